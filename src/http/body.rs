//! Reading a request's body: whole, uncompressed, within the limits of size and time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::ApiError;

/// A client that has not sent its whole body by then gets 408.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// Reads the whole body.
///
/// # Errors
/// The body is compressed, larger than `limit_bytes`, too slow, or breaks off.
pub(super) async fn read(parts: &Parts, body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    if is_coded(&parts.headers) {
        return Err(ApiError::UnsupportedBody);
    }
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit_bytes as u64) {
        return Err(ApiError::BodyTooLarge { limit_bytes });
    }
    match tokio::time::timeout(BODY_WITHIN, Limited::new(body, limit_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge { limit_bytes }),
        Ok(Err(_)) => Err(ApiError::BrokenOff),
        Err(_) => Err(ApiError::BodyTooSlow),
    }
}

/// Returns true if a Content-Encoding names anything but `identity`, which is none (RFC 9110, section 8.4.1).
fn is_coded(headers: &HeaderMap) -> bool {
    let is_none = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|line| line.to_str().map_or(true, |codings| !codings.split(',').map(str::trim).all(is_none)))
}

/// Announces the close of the connection with every response that is given before the request's body was read to its
/// end: the connection cannot carry another request. Otherwise a proxy may send one on it, which is then lost.
pub(super) async fn close_after_unread(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let has_ended = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| Body::new(Observed { body, has_ended: Arc::clone(&has_ended) }));
    let mut response = next.run(request).await;
    if !has_ended.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that notes when it was read to its end.
struct Observed {
    body: Body,
    has_ended: Arc<AtomicBool>,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.has_ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_anything_but_identity() {
        for (lines, coded) in [
            (&[][..], false),
            (&[""], false),
            (&["identity"], false),
            (&["Identity , identity"], false),
            (&["identity", ""], false),
            (&["gzip"], true),
            (&["identity, br"], true),
            (&["identity", "deflate"], true),
            (&["ñ"], true),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line: &str = line;
                headers.append(header::CONTENT_ENCODING, line.as_bytes().try_into().unwrap());
            }
            assert_eq!(is_coded(&headers), coded, "{lines:?}");
        }
    }
}
