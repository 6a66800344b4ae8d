//! Bodies that are written as they come: the lines of `/live`, and files.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

/// Ends a body before its end, so that the browser does not take it for whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body ends before its end")]
pub(super) struct BrokenOff;

/// Where it is written to. Closed once the connection has ended.
pub(super) type Writer = mpsc::Sender<Result<Bytes, BrokenOff>>;

struct Stream(mpsc::Receiver<Result<Bytes, BrokenOff>>);

/// Returns a body, and its writer, which waits while so many pieces were not taken.
pub(super) fn body(ahead: usize) -> (Writer, Body) {
    let (writer, pieces) = mpsc::channel(ahead);
    (writer, Body::new(Stream(pieces)))
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
