//! The HTTP listener that BonyChat calls. Handlers authenticate, parse, store and respond; what happens to a message is
//! decided elsewhere.

pub(crate) mod admin;
mod auth;
pub(crate) mod below;
mod body;
mod client_address;
mod dedup;
mod error;
mod extract;
mod guard;
pub(crate) mod listener;
mod message;
pub(crate) mod ops;
mod parse_error;
mod received;
mod state;
mod token_limit;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use axum_server::accept::DefaultAcceptor;
use bytes::Bytes;
use hyper_util::rt::TokioTimer;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};

use crate::bonychat::wire::openapi;
use crate::config::Config;
use crate::store::Store;
use crate::telemetry::Refusal;

use auth::Channels;
use client_address::{ClientAddress, identify};
pub(crate) use dedup::ResponseTracker;
use error::ApiError;
use extract::{NewRequestId, X_REQUEST_ID};
use guard::Guard;
use listener::{LimitedListener, Peer};
use parse_error::HEADER_BYTES;
pub(crate) use received::ReceivedCalls;
use state::AppState;
use token_limit::{NoTokenGiven, TokenLimit, limit_wrong_tokens};

/// Stops a listener and counts its connections.
pub(crate) type Handle = axum_server::Handle<Peer>;

/// A client that has not sent its whole header by then is cut off.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of a request's path and query.
const URI_BYTES: usize = 4 * 1024;
/// Connections that operators may have open at a time.
const OPERATORS: usize = 32;
/// A store that has not replied to a readiness check by then is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Returns the routes. Every channel must be registered with the store's wakeups before.
pub(crate) fn router(
    config: &Config,
    store: &Arc<dyn Store>,
    responses: &Arc<ResponseTracker>,
    calls: &Arc<ReceivedCalls>,
) -> Router {
    let state = Arc::new(AppState {
        channels: Channels::new(config, store.wakeups()),
        store: Arc::clone(store),
        responses: Arc::clone(responses),
        calls: Arc::clone(calls),
        answer_within: config.outbound.answer_within,
        body_limit_bytes: config.server.body_limit_bytes,
        language: config.language,
    });
    let language = config.language;
    let too_many = move || ApiError::TooManyWrongTokens.into_response_in(language);
    let prefix = config.server.path_prefix.as_str();
    let document = Bytes::from(openapi::document(prefix).to_string());
    let mut router = Router::new();
    // At the root for probes beside the bridge, below the prefix for those that come through the proxy.
    for at in BTreeSet::from(["", prefix]) {
        let document = document.clone();
        router = router
            .route(&format!("{at}/healthz"), get(alive))
            .route(&format!("{at}/readyz"), get(ready))
            .route(&format!("{at}/openapi.json"), get(|| async { error::json(StatusCode::OK, document) }));
    }
    // BonyChat appends /message to the configured URL (bonychat.md A2): all resulting forms are served.
    for path in ["/message", "/mensaje", "/message/message", "/mensaje/mensaje", "/mensaje/message"] {
        for end in ["", "/"] {
            router = router.route(&format!("{prefix}{path}{end}"), post(message::take));
        }
    }
    router = router.route(&format!("{prefix}/"), post(message::take).get(alive));
    if !prefix.is_empty() {
        router = router.route(prefix, post(message::take).get(alive));
    }
    router
        .fallback(move || async move { ApiError::NotFound.into_response_in(language) })
        .method_not_allowed_fallback(move || async move { ApiError::MethodNotAllowed.into_response_in(language) })
        .with_state(state)
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(X_REQUEST_ID, NewRequestId))
                .layer(PropagateRequestIdLayer::new(X_REQUEST_ID))
                .layer(middleware::from_fn(body::close_after_unread))
                .layer(middleware::from_fn_with_state(Arc::from(config.server.trusted_proxies.clone()), identify))
                .layer(middleware::from_fn(log))
                .layer(middleware::from_fn_with_state(TokenLimit::new(too_many), limit_wrong_tokens))
                .layer(CatchPanicLayer::custom(move |_| ApiError::Inside.into_response_in(language)))
                .layer(middleware::from_fn(move |request: Request, next: middleware::Next| async move {
                    let has_long_uri = request.uri().path_and_query().is_some_and(|uri| uri.as_str().len() > URI_BYTES);
                    if has_long_uri { ApiError::UriTooLong.into_response_in(language) } else { next.run(request).await }
                })),
        )
}

/// The current routes: a reload exchanges them while the listener stays open.
#[derive(Clone)]
pub(crate) struct Routes(Arc<RwLock<Router>>);

impl Routes {
    pub(crate) fn new(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }

    /// Serves later calls by `router`.
    pub(crate) fn exchange(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    fn now(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn service(self) -> Router {
        Router::new()
            .fallback_service(tower::service_fn(move |request| self.now().oneshot(with_single_slashes(request))))
    }
}

/// Returns the request with every run of slashes in its path as one: an API base URL that was entered with its final
/// slash makes BonyChat call `//message` (bonychat.md A2).
fn with_single_slashes(mut request: Request) -> Request {
    if request.uri().path().contains("//") {
        let mut path = String::with_capacity(request.uri().path().len());
        for c in request.uri().path().chars() {
            if c != '/' || !path.ends_with('/') {
                path.push(c);
            }
        }
        let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
        if let Ok(uri) = format!("{path}{query}").parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Serves operators until `handle` is shut down.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve_operators(
    listener: std::net::TcpListener,
    router: Router,
    handle: Handle,
) -> std::io::Result<()> {
    let listener = LimitedListener::new(listener, OPERATORS)?;
    let guard = Guard(DefaultAcceptor::new());
    let mut server = axum_server::Server::from_listener(listener).handle(handle).acceptor(guard).http1_only();
    limit_header(&mut server);
    // One call per connection: a client that sends requests without reading costs one response.
    server.http_builder().http1().keep_alive(false);
    server.serve(router.into_make_service_with_connect_info::<Peer>()).await
}

/// Cuts off a client that does not send its header in time, or sends too large a one.
fn limit_header<A>(server: &mut axum_server::Server<Peer, A>) {
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(HEADER_BYTES);
}

/// Serves at most `limit` connections at a time until `handle` is shut down, and until the store knows which responses
/// reached their callers.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    limit: usize,
    routes: Routes,
    responses: Arc<ResponseTracker>,
    handle: Handle,
) -> std::io::Result<()> {
    let recorder = tokio::spawn({
        let responses = Arc::clone(&responses);
        async move { responses.run().await }
    });
    let standstill = tokio::spawn({
        let responses = Arc::clone(&responses);
        async move { responses.standstill.run().await }
    });
    let guard = Guard(dedup::TrackConnections(Arc::clone(&responses)));
    let listener = LimitedListener::new(listener, limit)?;
    // Setting the acceptor resets the protocol, so `http1_only` comes after it.
    let mut server = axum_server::Server::from_listener(listener).handle(handle).acceptor(guard).http1_only();
    limit_header(&mut server);
    let outcome = server.serve(routes.service().into_make_service_with_connect_info::<Peer>()).await;
    standstill.abort();
    responses.close();
    let _ = recorder.await;
    outcome
}

/// `GET /healthz`, and `GET` on the prefix: the process lives (bonychat.md A37).
async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: messages can be stored.
async fn ready(State(state): State<Arc<AppState>>) -> Result<&'static str, ApiError> {
    match tokio::time::timeout(READY_WITHIN, state.store.check()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => Err(ApiError::NotReady(error.reason())),
        Err(_) => Err(ApiError::NotReady("the store does not answer".into())),
    }
}

/// Logs one line per request that was not logged elsewhere. Of equal refusals, the first is logged and each doubling of
/// their number.
async fn log(request: Request, next: middleware::Next) -> Response {
    let started = std::time::Instant::now();
    let (method, path) = (known(request.method()), crate::telemetry::foreign_path(request.uri().path()));
    let request_id = extract::request_id(request.headers());
    let ClientAddress(client) = ClientAddress::of(&request);
    let response = next.run(request).await;
    let status = response.status();
    let duration_ms = crate::domain::clock::millis(started.elapsed());
    let is_logged = response.extensions().get::<error::Logged>().is_some();
    let is_refusal = response.extensions().get::<NoTokenGiven>().is_none();
    let times = match Refusal::of_status(status.as_u16()).filter(|_| is_refusal) {
        Some(refusal) if is_logged => {
            refusal.count();
            None
        }
        refusal => refusal.and_then(Refusal::count_and_sample),
    };
    if let Some(times) = times {
        tracing::warn!(
            request_id, %client, %method, path, http_status = status.as_u16(), times, duration_ms,
            "refused a request"
        );
    } else {
        tracing::debug!(request_id, %method, path, http_status = status.as_u16(), duration_ms, "answered");
    }
    response
}

/// Returns the method's name, "other" for an unknown one, which may be any word.
fn known(method: &Method) -> &'static str {
    ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"]
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open::SqliteStore;
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn the_document_names_the_path_that_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let settings = [
            ("SERVER__PATH_PREFIX", "/bony"),
            ("AFILNET__USER", "user"),
            ("AFILNET__PASSWORD", "password"),
            ("BONYCHAT__WEBHOOK_URL", "https://bonychat.example/hook"),
            ("CHANNELS__A__CHANNEL_ID", "gfd8g7fd89dgfd"),
            ("CHANNELS__A__API_TOKEN", "token-0123456789abcdef"),
            ("CHANNELS__A__ID_TYPE", "phone"),
            ("CHANNELS__A__PLATFORM", "whatsapp"),
            ("CHANNELS__A__PLATFORM_ID", "100"),
        ];
        let env = settings.map(|(key, value)| (format!("BRIDGE__{key}"), value.to_owned()));
        let config = Config::load(None, env.into()).unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&file).unwrap());
        let router = router(&config, &store, &ResponseTracker::new(&store), &Arc::default());
        let asked = |method, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(asked(Method::GET, "/openapi.json")).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        let document: serde_json::Value =
            serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let method = method.to_uppercase().parse().unwrap();
                let status = router.clone().oneshot(asked(method, path)).await.unwrap().status();
                assert!(!matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED), "{path}: {status}");
            }
        }
        assert!(document["paths"].get("/bony/message").is_some());
        for path in ["/bony/healthz", "/bony/readyz", "/bony/openapi.json"] {
            let status = router.clone().oneshot(asked(Method::GET, path)).await.unwrap().status();
            assert_eq!(status, StatusCode::OK, "{path}");
        }
        store.close().await;
    }
}
