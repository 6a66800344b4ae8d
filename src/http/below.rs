//! Serves a router below a path too, for a reverse proxy that forwards a sub-path without removing it. What a router answers at
//! its root stays there: a proxy that removes the path, and a browser on this machine, get the same.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tower::ServiceExt as _;

/// Paths that are answered at the root alone: they are for programs that reach the listener itself.
const ROOT_ALONE: [&str; 2] = ["/metrics", "/deliverz"];

/// Where a path is.
#[derive(Debug, PartialEq, Eq)]
enum Place<'p> {
    /// The prefix without its final slash: links that are relative to it would leave it.
    Bare,
    /// Below it; the rest, which begins with a slash.
    Below(&'p str),
    Elsewhere,
}

fn place<'p>(prefix: &str, path: &'p str) -> Place<'p> {
    match path.strip_prefix(prefix) {
        Some("") => Place::Bare,
        Some(rest) if rest.starts_with('/') && !ROOT_ALONE.contains(&rest) => Place::Below(rest),
        _ => Place::Elsewhere,
    }
}

/// Returns a router that answers below `prefix` what `router` answers at the root, and there too. `prefix` is empty, or begins
/// with a slash and ends with none.
pub(crate) fn below(prefix: &str, router: Router) -> Router {
    if prefix.is_empty() {
        return router;
    }
    let prefix: Arc<str> = prefix.into();
    Router::new().fallback_service(tower::service_fn(move |mut request: Request| {
        let (router, prefix) = (router.clone(), Arc::clone(&prefix));
        async move {
            let rest = match place(&prefix, request.uri().path()) {
                Place::Bare => return Ok::<Response, Infallible>(with_slash(&prefix)),
                Place::Below(rest) => Some(with_path(request.uri(), rest)),
                Place::Elsewhere => None,
            };
            match rest {
                Some(Some(uri)) => *request.uri_mut() = uri,
                Some(None) => return Ok(StatusCode::BAD_REQUEST.into_response()),
                None => {}
            }
            router.oneshot(request).await
        }
    }))
}

/// Sends a browser to the folder of that name, by a path relative to that of the request.
fn with_slash(prefix: &str) -> Response {
    let last = prefix.rsplit('/').next().unwrap_or_default();
    match HeaderValue::from_str(&format!("{last}/")) {
        Ok(location) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Returns the address with another path.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_prefix_or_elsewhere() {
        for (path, expected) in [
            ("/ops", Place::Bare),
            ("/ops/", Place::Below("/")),
            ("/ops/messages/a1", Place::Below("/messages/a1")),
            ("/ops/ops", Place::Below("/ops")),
            ("/", Place::Elsewhere),
            ("/opsy", Place::Elsewhere),
            ("/messages", Place::Elsewhere),
            ("/ops/metrics", Place::Elsewhere),
            ("/ops/deliverz", Place::Elsewhere),
        ] {
            assert_eq!(place("/ops", path), expected, "{path}");
        }
        assert_eq!(place("/a/b", "/a/b/login"), Place::Below("/login"));
    }

    #[test]
    fn only_the_path_of_an_address_changes() {
        for (uri, path, expected) in [
            ("/ops/messages?q=a%20b", "/messages", "/messages?q=a%20b"),
            ("http://evil.example/ops/", "/", "http://evil.example/"),
            ("/ops//evil.example", "//evil.example", "//evil.example"),
        ] {
            assert_eq!(with_path(&uri.parse().unwrap(), path).unwrap().to_string(), expected);
        }
        assert_eq!(with_slash("/a/ops").headers()[header::LOCATION], "ops/");
    }
}
