//! Limits on what the peer of one connection may cost, for both listeners. Every response reaches a peer that is still
//! writing (lingering close), a peer that does not read is cut off (write timeout), and the empty responses that hyper
//! writes on its own when a request is not HTTP become JSON.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::listener::{Accepted, Slot};
use super::parse_error;
use crate::telemetry::Refusal;

/// How long a connection is read from after its last response, so that a peer that is still writing gets to read it.
const LINGER_WITHIN: Duration = Duration::from_secs(2);
/// How many bytes are read and discarded in that time. Four times the default of `server.body_limit`.
const LINGER_BYTES: usize = 1024 * 1024;
/// A peer that has not taken a response by this time after its receive window was full first is cut off.
const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// The same while the connection limit is reached: others wait for its slot.
const WRITE_WITHIN_AT_LIMIT: Duration = Duration::from_secs(1);
/// How often a blocked write checks its age.
const TICK: Duration = Duration::from_secs(1);

/// A stream that can be closed with a reset in place of an orderly end.
pub(super) trait Abort {
    /// Makes the close discard what the peer has not read and reset the connection.
    fn abort(&self);
}

impl Abort for TcpStream {
    fn abort(&self) {
        let _ = self.set_zero_linger(); // fails only if the connection is gone already
    }
}

/// Puts each accepted connection behind the limits of this file, around what `A` makes of it.
#[derive(Clone)]
pub(super) struct Guard<A>(pub(super) A);

impl<A, S> Accept<Accepted, S> for Guard<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = GuardedStream<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, accepted: Accepted, service: S) -> Self::Future {
        let Accepted { stream, peer, slot } = accepted;
        let inner = self.0.accept(stream, service);
        Box::pin(async move {
            let (io, service) = inner.await?;
            Ok((GuardedStream { io, peer, slot, blocked: None, replacement: None, closing: None }, service))
        })
    }
}

/// The stream of one connection. Holds its slot until the descriptor is closed.
pub(super) struct GuardedStream<S> {
    io: S,
    slot: Slot,
    peer: SocketAddr,
    blocked: Option<Blocked>,
    replacement: Option<Replacement>,
    closing: Option<Closing>,
}

/// A response that the peer has not taken yet.
struct Blocked {
    since: Instant,
    tick: Pin<Box<Sleep>>,
}

/// A response written in place of one of hyper's, of `replaced` bytes.
struct Replacement {
    left: Bytes,
    replaced: usize,
}

/// The lingering close (RFC 9112, section 9.6): our side has ended, the peer's is read and discarded.
struct Closing {
    left_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Abort + Unpin> GuardedStream<S> {
    /// Writes what is left of the replacement, then reports the replaced response as written.
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(replacement) = &mut self.replacement {
            if replacement.left.is_empty() {
                let replaced = replacement.replaced;
                self.replacement = None;
                return Poll::Ready(Ok(replaced));
            }
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &replacement.left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            replacement.left.advance(written);
        }
        Poll::Ready(Ok(0))
    }

    /// Waits until the blocked response is too old, then cuts the peer off.
    fn poll_write_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let blocked =
            self.blocked.get_or_insert_with(|| Blocked { since: Instant::now(), tick: Box::pin(sleep(TICK)) });
        loop {
            ready!(blocked.tick.as_mut().poll(cx));
            let limit = if self.slot.is_at_limit() { WRITE_WITHIN_AT_LIMIT } else { WRITE_WITHIN };
            if blocked.since.elapsed() >= limit {
                break;
            }
            blocked.tick.as_mut().reset(Instant::now() + TICK);
        }
        if let Some(times) = Refusal::NotRead.count_and_sample() {
            tracing::warn!(
                peer = %self.peer.ip(),
                times,
                "cut off a caller that does not read its response"
            );
        }
        self.io.abort();
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Abort + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replacement.is_none()
            && let Some((response, replaced)) = parse_error::replacement(bufs, this.peer.ip())
        {
            this.replacement = Some(Replacement { left: response, replaced });
        }
        let outcome = if this.replacement.is_some() {
            this.poll_replacement(cx)
        } else {
            Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
        };
        match outcome {
            Poll::Pending => this.poll_write_timeout(cx).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes once a response was written whole, so the write timeout is one for the response: a peer that takes a
    /// byte now and then is cut off too.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.blocked = None;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// A close while the peer's bytes are unread makes the kernel send a reset, which takes the response away from a peer
    /// that has not read it yet.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        let closing = this
            .closing
            .get_or_insert_with(|| Closing { left_bytes: LINGER_BYTES, deadline: Box::pin(sleep(LINGER_WITHIN)) });
        let mut discarded = [0; 8192];
        while closing.left_bytes > 0 && closing.deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut discarded);
            let ended = ready!(Pin::new(&mut this.io).poll_read(cx, &mut buf)).is_err() || buf.filled().is_empty();
            if ended {
                break;
            }
            closing.left_bytes = closing.left_bytes.saturating_sub(buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
