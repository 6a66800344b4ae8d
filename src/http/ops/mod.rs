//! What operators are served beside the metrics: their pages, and the same as an API. On the admin listener alone; the
//! listener for BonyChat has none of it.

mod access;
pub(crate) mod api;
mod assets;
mod audit;
mod bulk;
mod channels;
mod decide;
mod export;
mod failed;
mod form;
mod jobs;
mod journey;
mod live;
mod login;
mod messages;
pub(crate) mod openapi;
mod outcomes;
mod overview;
mod page;
mod pauses;
mod reach;
mod reply;
mod settings;
mod state;
mod stream;
mod unconfirmed;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use reply::refused;
pub(crate) use state::OperatorState;

/// The routes. Each call that is not for the sign-in needs a person, whom the handlers find as an
/// `Extension<Person>`; what changes anything must come from a page of the bridge, or bear a token.
pub(crate) fn router(state: Arc<OperatorState>) -> Router {
    let no_method = || async { refused(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method") };
    let for_persons = Router::new()
        .route("/", get(overview::show))
        .route("/live", get(live::show))
        .route("/live/events", get(live::events))
        .route("/messages", get(messages::show))
        .route("/messages/{m_id}", get(journey::show))
        .route("/messages/{m_id}/decide", get(decide::ask).post(decide::decide))
        .route("/unconfirmed", get(unconfirmed::show).post(unconfirmed::decide))
        .route("/failed", get(failed::show))
        .route("/bulk", get(bulk::show).post(bulk::start))
        .route("/bulk/{id}", get(jobs::show))
        .route("/bulk/{id}/cancel", post(jobs::cancel))
        .route("/bulk/{id}/resume", post(jobs::resume))
        .route("/channels", get(channels::list))
        .route("/channels/{name}", get(channels::show))
        .route("/channels/{name}/pause", get(pauses::ask_to_pause).post(pauses::pause))
        .route("/channels/{name}/resume", get(pauses::ask_to_resume).post(pauses::resume))
        .route("/audit", get(audit::show))
        .route("/settings", get(settings::show))
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), access::signed_in));
    let for_all = Router::new()
        .route("/login", get(login::form).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/language", get(login::language))
        .merge(assets::routes())
        .method_not_allowed_fallback(no_method);
    for_persons
        .merge(for_all)
        .layer(CatchPanicLayer::custom(|_| reply::broken()))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), access::guarded))
        .layer(middleware::map_response(access::with_headers))
        .with_state(state)
}
