//! The admin listener, on its own address: serves the bridge's metrics, and whether messages are delivered, which the
//! listener for BonyChat does not.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ipnet::IpNet;
use secrecy::SecretString;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::client_address::identify;
use super::token_limit::{NoTokenGiven, TokenLimit, limit_wrong_tokens};
use super::{auth, error};
use crate::telemetry::{delivery, metrics};

/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Which calls are served.
#[derive(Debug)]
enum Guard {
    /// Those with the token of this digest.
    Token([u8; 32]),
    /// Those with a loopback host name: a page that uses DNS rebinding sends its own host name.
    Loopback,
}

/// The routes. With a `token`, every call must have it; without one, the listener is on a loopback address (elsewhere
/// the configuration requires a token), and every call must name such an address as its host. `X-Forwarded-For` of
/// `trusted_proxies` is used. `pages` authenticate by themselves.
pub(crate) fn router(token: Option<&SecretString>, trusted_proxies: &[IpNet], pages: Router) -> Router {
    let guard = Arc::new(token.map_or(Guard::Loopback, |token| Guard::Token(auth::digest_secret(token))));
    Router::new()
        .route("/metrics", get(numbers))
        .route("/deliverz", get(delivers))
        .fallback(|| async {
            refused(StatusCode::NOT_FOUND, "not found: the admin listener serves GET /metrics, GET /deliverz, the operators' page at / and their API below /api/v1")
        })
        .method_not_allowed_fallback(|| async { refused(StatusCode::METHOD_NOT_ALLOWED, "use GET") })
        .layer(middleware::from_fn_with_state(guard, guarded))
        .merge(pages)
        .layer(middleware::from_fn_with_state(TokenLimit::new(too_many), limit_wrong_tokens))
        .layer(middleware::from_fn(super::log))
        .layer(middleware::from_fn(super::body::close_after_unread))
        .layer(middleware::from_fn_with_state(Arc::from(trusted_proxies), identify))
}

async fn numbers() -> Response {
    match metrics::text() {
        Some(text) => ([(header::CONTENT_TYPE, METRICS)], text).into_response(),
        None => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "nothing is counted in this process: see the log of its start")
        }
    }
}

/// `GET /deliverz`: whether messages are delivered, and what keeps them from it, in words.
async fn delivers() -> Response {
    let delivery::Report { delivers, words } = delivery::report();
    let status = if delivers { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, words).into_response();
    response.extensions_mut().insert(error::Logged); // a probe asks often, and what it is told is in the log
    response
}

async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match &*guard {
        Guard::Token(expected) if !bears(request.headers(), expected) => {
            let words = "the bearer token is missing or is not that of admin.token";
            let mut response = refused(StatusCode::UNAUTHORIZED, words);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            if !request.headers().contains_key(header::AUTHORIZATION) {
                response.extensions_mut().insert(NoTokenGiven); // a browser asks for /favicon.ico by itself
            }
            response
        }
        Guard::Loopback if !names_this_machine(&request) => refused(
            StatusCode::FORBIDDEN,
            "without admin.token only calls to localhost, 127.0.0.1 or [::1] are answered: call it by one of them (a proxy: \
             let it send such a Host), or set admin.token and bear it",
        ),
        Guard::Token(_) | Guard::Loopback => next.run(request).await,
    }
}

/// Returns whether every host that the call names is a loopback name or address. A browser always names one; old tools
/// may not.
pub(super) fn names_this_machine(request: &Request) -> bool {
    let in_target = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let in_headers =
        request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default().to_owned());
    in_target.into_iter().chain(in_headers).all(|host| is_loopback(&host))
}

/// Returns whether `host`, with or without a port, is a loopback name or address.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_end_matches('.');
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()))
}

fn too_many() -> Response {
    let words = "the bearer token is not that of admin.token, as in many calls of the last minute";
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, words);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

fn bears(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let given = auth::bearer(headers).map(|token| auth::digest(token.as_bytes()));
    given.is_some() & bool::from(given.unwrap_or_default().ct_eq(expected))
}

fn refused(status: StatusCode, words: &str) -> Response {
    error::json(status, json!({"error": {"message": words}}).to_string())
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
        router(token.as_ref(), &[], Router::new())
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    #[tokio::test]
    async fn where_there_is_a_token_every_call_must_bear_it() {
        metrics::start([], &[]).unwrap();
        assert_eq!(status(None, "/metrics", None).await, 200);
        assert_eq!(status(Some("t0ken"), "/deliverz", None).await, 401);
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

    #[tokio::test]
    async fn without_a_token_only_calls_that_name_this_machine_are_answered() {
        metrics::start([], &[]).unwrap();
        let status = async |target: &str, hosts: &[&str], token: Option<&str>| {
            let mut request = Request::builder().uri(target);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            if token.is_some() {
                request = request.header(header::AUTHORIZATION, "Bearer t0ken");
            }
            let token = token.map(SecretString::from);
            router(token.as_ref(), &[], Router::new())
                .oneshot(request.body(Body::empty()).unwrap())
                .await
                .unwrap()
                .status()
                .as_u16()
        };
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:9090",
            "127.8.9.1",
            "[::1]",
            "[::1]:9090",
        ] {
            assert_eq!(status("/metrics", &[host], None).await, 200, "{host}");
        }
        assert_eq!(status("/metrics", &[], None).await, 200, "HTTP/1.0 names none");
        for host in [
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[2001:db8::1]",
            "",
            "a b",
        ] {
            assert_eq!(status("/metrics", &[host], None).await, 403, "{host}");
            assert_eq!(status("/metrics", &[host], Some("t0ken")).await, 200, "{host}, with the token");
        }
        assert_eq!(status("/metrics", &["localhost", "evil.example"], None).await, 403);
        assert_eq!(status("http://evil.example/metrics", &["localhost"], None).await, 403);
        assert_eq!(status("http://localhost/metrics", &["localhost"], None).await, 200);
    }
}
