//! What operators are served beside the metrics: their pages, and the same as an API. On the admin listener alone; the
//! listener for BonyChat has none of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::{auth, error};
use crate::config::Config;
use crate::ops::sign_in::{People, Person};
use crate::store::Store;

/// What the handlers of pages and API share.
pub(crate) struct OperatorState {
    /// Reads and decisions of operators.
    store: Arc<dyn Store>,
    /// The configuration as it was read last, at the start or at a SIGHUP.
    config: watch::Receiver<Arc<Config>>,
    /// Cancelled when the stop of the bridge begins: what would stay open ends itself then.
    stopping: CancellationToken,
    people: People,
}

impl OperatorState {
    /// `token` is `admin.token`; as all of `[admin]`, it is that of the start.
    pub(crate) fn new(
        token: Option<&SecretString>,
        store: &Arc<dyn Store>,
        config: watch::Receiver<Arc<Config>>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), config, stopping, people: People::new(token) })
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
}

/// The routes. Each call that is not for the sign-in needs a person, whom the handlers find as an
/// `Extension<Person>`.
pub(crate) fn router(state: Arc<OperatorState>) -> Router {
    Router::new()
        .route("/", get(overview))
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&state), signed_in))
        .layer(CatchPanicLayer::custom(|_| {
            refused(StatusCode::INTERNAL_SERVER_ERROR, "something broke inside the bridge: its log has the cause")
        }))
        .with_state(state)
}

/// Lets those calls pass that are made by a person, whom it adds to them.
async fn signed_in(State(state): State<Arc<OperatorState>>, mut request: Request, next: Next) -> Response {
    if state.people.is_empty() {
        return (StatusCode::FORBIDDEN, NO_TOKEN).into_response();
    }
    let Some(person) = auth::bearer(request.headers()).and_then(|token| state.people.by_token(token)) else {
        let mut response =
            refused(StatusCode::UNAUTHORIZED, "the bearer token is missing or is not that of admin.token");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    };
    request.extensions_mut().insert(person);
    next.run(request).await
}

/// What is served in place of the pages where nobody can sign in.
const NO_TOKEN: &str = "The operators' page is off: admin.token is not set, or is shorter than 16 characters. Make one with \
                        `openssl rand -hex 32`, set it as BRIDGE__ADMIN__TOKEN or in a file that admin.token_file names, and \
                        restart the bridge.\n";

/// `GET /`
async fn overview(Extension(person): Extension<Person>) -> String {
    format!("signed in as {}\n", person.name)
}

/// Returns an error as the API has it.
pub(super) fn refused(status: StatusCode, words: &str) -> Response {
    error::json(status, json!({"error": {"message": words}}).to_string())
}
