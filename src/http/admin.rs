//! The operators' door, on an address of its own: what the bridge counts. Nothing of it is on the door that BonyChat calls.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ipnet::IpNet;
use secrecy::SecretString;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::client_address::identify;
use super::edge;
use super::token_limit::{TokenLimit, limit_wrong_tokens};
use crate::telemetry::metrics;

/// Prometheus' text format.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The routes. Where there is a `token`, every call must bear it. `trusted_proxies` are believed who called them.
pub(crate) fn router(token: Option<&SecretString>, trusted_proxies: &[IpNet]) -> Router {
    let digest = Arc::new(token.map(edge::digest_secret));
    Router::new()
        .route("/metrics", get(numbers))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "not found: the admin door serves GET /metrics") })
        .method_not_allowed_fallback(|| async { refused(StatusCode::METHOD_NOT_ALLOWED, "use GET") })
        .layer(middleware::from_fn_with_state(digest, authorized))
        .layer(middleware::from_fn_with_state(TokenLimit::new(too_many), limit_wrong_tokens))
        .layer(middleware::from_fn(super::log))
        .layer(middleware::from_fn(super::body::close_after_unread))
        .layer(middleware::from_fn_with_state(Arc::from(trusted_proxies), identify))
}

async fn numbers() -> Response {
    match metrics::text() {
        Some(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        None => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "nothing is counted in this process: see the log of its start")
        }
    }
}

/// Lets through who bears the token, compared in constant time.
async fn authorized(State(digest): State<Arc<Option<[u8; 32]>>>, request: Request, next: Next) -> Response {
    if digest.as_ref().is_none_or(|expected| bears(request.headers(), &expected)) {
        return next.run(request).await;
    }
    let words = "the bearer token is missing or is not that of admin.token";
    let mut response = refused(StatusCode::UNAUTHORIZED, words);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn too_many() -> Response {
    let words = "the bearer token is missing or is not that of admin.token, as in many calls of the last minute";
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, words);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

fn bears(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let given = edge::bearer(headers).map(|token| edge::digest(token.as_bytes()));
    given.is_some() & bool::from(given.unwrap_or_default().ct_eq(expected))
}

fn refused(status: StatusCode, words: &str) -> Response {
    edge::json(status, json!({"error": {"message": words}}).to_string())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(token: Option<&str>, path: &str, bears: Option<&str>) -> u16 {
        let mut request = Request::builder().uri(path);
        if let Some(bears) = bears {
            request = request.header(header::AUTHORIZATION, bears);
        }
        let token = token.map(SecretString::from);
        router(token.as_ref(), &[]).oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn where_there_is_a_token_every_call_must_bear_it() {
        metrics::start([], &[]).unwrap();
        assert_eq!(status(None, "/metrics", None).await, 200);
        assert_eq!(status(None, "/elsewhere", None).await, 404);
        assert_eq!(status(Some("t0ken"), "/metrics", Some("Bearer t0ken")).await, 200);
        assert_eq!(status(Some("t0ken"), "/metrics", Some("bearer  t0ken ")).await, 200);
        for wrong in
            [None, Some("Bearer "), Some("Bearer t0ke"), Some("Bearer t0ken1"), Some("Basic t0ken"), Some("t0ken")]
        {
            assert_eq!(status(Some("t0ken"), "/metrics", wrong).await, 401, "{wrong:?}");
            assert_eq!(status(Some("t0ken"), "/elsewhere", wrong).await, 401, "nothing is told without it");
        }
    }
}
