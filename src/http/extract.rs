//! Values of request headers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tower_http::request_id::{MakeRequestId, RequestId};

use crate::domain::IdempotencyKey;

/// Taken from the request or generated, logged, and returned.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns whether the content type is JSON or missing (bonychat.md A38: JSON is read under any content type).
pub(super) fn says_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")))
}

/// Returns the value of the one Idempotency-Key header, verbatim. `Err` if it is invalid.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ()> {
    let mut all = headers.get_all("idempotency-key").iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => one.to_str().map_err(drop)?.parse().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Returns the request's id, safe for the log.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let id = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    crate::telemetry::foreign_id(id)
}

/// Generates an id for a request that has none.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string()).ok().map(RequestId::new)
    }
}
