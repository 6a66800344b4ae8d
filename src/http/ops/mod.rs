//! What operators are served beside the metrics: their pages, and the same as an API. On the admin listener alone; the
//! listener for BonyChat has none of it.

mod access;
mod assets;
mod decide;
mod form;
mod journey;
mod login;
mod messages;
mod overview;
mod page;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::error;
use crate::config::Config;
use crate::domain::clock::wall_ms;
use crate::ops::sign_in::{Link, People};
use crate::store::Store;
use decide::Outcomes;

/// What is served where nobody can sign in.
const NO_TOKEN: &str = "admin.token is not set, or is shorter than 16 characters. Make one with `openssl rand -hex 32`, set it \
                        as BRIDGE__ADMIN__TOKEN or in a file that admin.token_file names, and restart the bridge. Messages go \
                        on meanwhile.";

/// What the handlers of pages and API share.
pub(crate) struct OperatorState {
    /// Reads and decisions of operators.
    store: Arc<dyn Store>,
    /// The configuration as it was read last, at the start or at a SIGHUP.
    config: watch::Receiver<Arc<Config>>,
    /// Cancelled when the stop of the bridge begins: what would stay open ends itself then.
    stopping: CancellationToken,
    people: People,
    /// Links that were followed, until their time is over.
    followed: Mutex<HashMap<String, i64>>,
    outcomes: Outcomes,
}

impl OperatorState {
    /// `token` is `admin.token`; as all of `[admin]`, it is that of the start.
    pub(crate) fn new(
        token: Option<&SecretString>,
        store: &Arc<dyn Store>,
        config: watch::Receiver<Arc<Config>>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let (people, followed, outcomes) = (People::new(token), Mutex::default(), Outcomes::default());
        Arc::new(Self { store: Arc::clone(store), config, stopping, people, followed, outcomes })
    }

    /// Returns the store.
    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Returns the configuration as it is now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// Returns the token that is cancelled when the stop of the bridge begins.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Returns the cookie of a link that is good and was not followed before in this process.
    fn follow(&self, link: &str) -> Option<String> {
        let now_s = wall_ms() / 1000;
        let Link { nonce, expires_s, cookie } = self.people.follow(link, now_s)?;
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, expires_s| *expires_s > now_s);
        followed.insert(nonce, expires_s).is_none().then_some(cookie)
    }
}

/// The routes. Each call that is not for the sign-in needs a person, whom the handlers find as an
/// `Extension<Person>`; what changes anything must come from a page of the bridge, or bear a token.
pub(crate) fn router(state: Arc<OperatorState>) -> Router {
    let no_method = || async { refused(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method") };
    let for_persons = Router::new()
        .route("/", get(overview::show))
        .route("/messages", get(messages::show))
        .route("/messages/{m_id}", get(journey::show))
        .route("/messages/{m_id}/decide", get(decide::ask).post(decide::decide))
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
        .layer(CatchPanicLayer::custom(|_| {
            refused(StatusCode::INTERNAL_SERVER_ERROR, "something broke inside the bridge: its log has the cause")
        }))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), access::guarded))
        .with_state(state)
}

/// Returns an error as the API has it.
pub(super) fn refused(status: StatusCode, words: &str) -> Response {
    error::json(status, json!({"error": {"message": words}}).to_string())
}
