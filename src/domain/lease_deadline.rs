//! Lease deadline. No call starts after it: a paused or disconnected process must not act for a channel that another
//! process may own by then.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

use super::clock::now_ms;

/// The time until which calls for a channel may start. Shared by all clients of the channel.
#[derive(Debug, Clone)]
pub(crate) struct LeaseDeadline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    until_ms: AtomicI64,
    moved: Notify,
}

impl LeaseDeadline {
    /// Returns one that never passes, for a store of one process.
    pub(crate) fn unlimited() -> Self {
        Self::until(i64::MAX)
    }

    /// Returns one that has passed until it is extended.
    pub(crate) fn expired() -> Self {
        Self::until(0)
    }

    fn until(until_ms: i64) -> Self {
        Self(Arc::new(Inner { until_ms: AtomicI64::new(until_ms), moved: Notify::new() }))
    }

    /// Allows calls to start until then, by the process's own clock.
    pub(crate) fn extend_to(&self, until_ms: i64) {
        self.0.until_ms.store(until_ms, Ordering::Relaxed);
        self.0.moved.notify_waiters();
    }

    /// Returns whether a call may start now.
    pub(crate) fn is_valid(&self) -> bool {
        now_ms() < self.0.until_ms.load(Ordering::Relaxed)
    }

    /// Waits until a call may start.
    pub(crate) async fn wait_valid(&self) {
        loop {
            let mut moved = std::pin::pin!(self.0.moved.notified());
            moved.as_mut().enable();
            if self.is_valid() {
                return;
            }
            moved.await;
        }
    }

    /// Returns a request body that aborts the request before its first byte if the deadline has passed: it is polled
    /// before anything is written.
    pub(crate) fn guard(&self, body: Bytes) -> DeadlineBody {
        DeadlineBody { body: Some(body), lease_deadline: self.clone() }
    }
}

/// See [`LeaseDeadline::guard`].
#[derive(Debug)]
pub(crate) struct DeadlineBody {
    body: Option<Bytes>,
    lease_deadline: LeaseDeadline,
}

/// The lease has expired, and nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("the channel may belong to another process by now")]
pub(crate) struct LeaseExpired;

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = LeaseExpired;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LeaseExpired>>> {
        let Some(body) = self.body.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(if self.lease_deadline.is_valid() { Ok(Frame::data(body)) } else { Err(LeaseExpired) }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_holds_until_its_time_and_lets_go_on_when_it_is_moved() {
        let lease_deadline = LeaseDeadline::expired();
        assert!(!lease_deadline.is_valid());
        lease_deadline.extend_to(now_ms() + 1000);
        assert!(lease_deadline.is_valid());
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert!(!lease_deadline.is_valid());
        let waits = tokio::spawn({
            let lease_deadline = lease_deadline.clone();
            async move { lease_deadline.wait_valid().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        lease_deadline.extend_to(now_ms() + 1);
        waits.await.unwrap();
        assert!(LeaseDeadline::unlimited().is_valid());
    }
}
