//! The door that BonyChat calls. Handlers authenticate, parse, store and answer; what happens to a message is decided
//! elsewhere.

pub(crate) mod admin;
mod answers;
mod conn;
mod edge;
mod message;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use axum_server::Handle;
use bytes::Bytes;
use hyper_util::rt::TokioTimer;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};

use crate::bonychat::wire::openapi;
use crate::config::Config;
use crate::domain::Language;
use crate::store::Store;

pub(crate) use answers::Answers;
use edge::{ApiError, Channels, NewRequestId};

/// A client that has not sent its whole header by then is cut off.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// A client that has not sent its whole body by then gets 408.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// The store answers a readiness question by then, or it is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the handlers share.
pub(crate) struct Door {
    channels: Channels,
    store: Arc<dyn Store>,
    answers: Arc<Answers>,
    answer_within: Duration,
    body_limit_bytes: usize,
    language: Language,
}

/// The routes. Every channel must be registered with the store's signals before.
pub(crate) fn router(config: &Config, store: &Arc<dyn Store>, answers: &Arc<Answers>) -> Router {
    let door = Arc::new(Door {
        channels: Channels::new(config, store.signals()),
        store: Arc::clone(store),
        answers: Arc::clone(answers),
        answer_within: config.outbound.answer_within,
        body_limit_bytes: config.server.body_limit_bytes,
        language: config.language,
    });
    let language = config.language;
    let prefix = config.server.path_prefix.as_str();
    let document = Bytes::from(openapi::document(prefix).to_string());
    let mut router = Router::new();
    // At the root for probes beside the bridge, below the prefix for those that come through the proxy.
    for at in BTreeSet::from(["", prefix]) {
        let document = document.clone();
        router = router
            .route(&format!("{at}/healthz"), get(alive))
            .route(&format!("{at}/readyz"), get(ready))
            .route(&format!("{at}/openapi.json"), get(|| async { edge::json(StatusCode::OK, document) }));
    }
    // BonyChat appends /message to what it was given (bonychat.md A2): take every form that leads here.
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
        .fallback(move || async move { ApiError::NotFound.answer(language) })
        .method_not_allowed_fallback(move || async move { ApiError::MethodNotAllowed.answer(language) })
        .with_state(door)
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(X_REQUEST_ID, NewRequestId))
                .layer(PropagateRequestIdLayer::new(X_REQUEST_ID))
                .layer(middleware::from_fn(log))
                .layer(CatchPanicLayer::custom(move |_| ApiError::Inside.answer(language))),
        )
}

/// The routes as they are now: a reload exchanges them, and the door stays open.
#[derive(Clone)]
pub(crate) struct Routes(Arc<RwLock<Router>>);

impl Routes {
    pub(crate) fn new(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }

    /// Calls that come from now on find `router`.
    pub(crate) fn exchange(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    fn now(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn service(self) -> Router {
        Router::new().fallback_service(tower::service_fn(move |request| self.now().oneshot(request)))
    }
}

/// Serves operators until `handle` is told to stop.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve_operators(
    listener: std::net::TcpListener,
    router: Router,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?.handle(handle).http1_only();
    patient_only(&mut server);
    server.serve(router.into_make_service()).await
}

/// Cuts off who does not send its header in time.
fn patient_only<A, B: axum_server::Address>(server: &mut axum_server::Server<B, A>) {
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WITHIN).max_buf_size(64 * 1024);
}

/// Serves until `handle` is told to stop, and until the store knows which answers reached their callers.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    routes: Routes,
    answers: Arc<Answers>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let keeper = tokio::spawn({
        let answers = Arc::clone(&answers);
        async move { answers.keep().await }
    });
    let watch = conn::Watch(Arc::clone(&answers));
    // The acceptor resets what the server speaks, so that comes after it.
    let mut server = axum_server::from_tcp(listener)?.handle(handle).acceptor(watch).http1_only();
    patient_only(&mut server);
    let outcome = server.serve(routes.service().into_make_service()).await;
    answers.close();
    let _ = keeper.await;
    outcome
}

/// `GET /healthz`, and `GET` on the prefix: the process lives (bonychat.md A37).
async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: messages can be stored.
async fn ready(State(door): State<Arc<Door>>) -> Result<&'static str, ApiError> {
    match tokio::time::timeout(READY_WITHIN, door.store.check()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => Err(ApiError::NotReady(error.reason())),
        Err(_) => Err(ApiError::NotReady("the store does not answer".into())),
    }
}

/// One line a request that is not a probe; messages, and refusals that were explained, have lines of their own.
async fn log(request: Request, next: middleware::Next) -> Response {
    let started = std::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().chars().take(100).collect::<String>());
    let request_id = edge::request_id(request.headers());
    let response = next.run(request).await;
    let status = response.status();
    let duration_ms = crate::domain::clock::millis(started.elapsed());
    let quiet = method == Method::GET && status == StatusCode::OK;
    if quiet || status.is_success() || response.extensions().get::<edge::Logged>().is_some() {
        tracing::debug!(request.id = request_id, %method, path, http.status = status.as_u16(), duration_ms, "answered");
    } else {
        tracing::warn!(
            request.id = request_id, %method, path, http.status = status.as_u16(), duration_ms, "refused a request"
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;
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
        let router = router(&config, &store, &Answers::new(&store));
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
