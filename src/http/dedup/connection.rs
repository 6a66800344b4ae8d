//! Watches one connection: whether the response was written in full, and how the connection ended. If a caller closes
//! with some of the response unread, its kernel sends a reset: so a reset after the write means that it was not read in
//! full, a new request or a clean end that it was.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::Request;
use axum_server::accept::Accept;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::tracker::{CallerConnection, ResponseTracker};
use crate::http::guard::Abort;

/// How long a connection is kept after its end, to learn whether the last response was read.
const LINGER: Duration = Duration::from_secs(1);

/// TCP user timeout: the connection ends if bytes are not acknowledged for this long, since a response that never
/// arrived must not count as read. Shorter than [`super::tracker::SETTLE`] by more than the system needs to notice.
#[cfg(target_os = "linux")]
const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

/// A call that was read this long before it is handled was in a process that stood still. Longer than a busy process
/// needs, and shorter than the timeout of callers.
const STANDSTILL: Duration = Duration::from_secs(5);

/// State of one connection, shared by its handlers and its stream.
pub(in crate::http) struct Connection {
    tracker: Arc<ResponseTracker>,
    /// The connection itself, as long as its stream has it.
    stream: Weak<TcpStream>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes written so far.
    bytes: u64,
    /// Responses to be written, each with the bytes written before it.
    handed: Vec<(u64, u64)>,
    /// Responses that were written in full.
    written: Vec<u64>,
    /// Something was read since the last response was written.
    heard: bool,
    /// The last read.
    read: Option<Read>,
}

/// One read.
#[derive(Clone, Copy)]
struct Read {
    at: Instant,
    /// When its bytes may have arrived.
    came: Instant,
    /// The other side had ended the connection by then.
    ended: bool,
}

impl Connection {
    fn new(tracker: &Arc<ResponseTracker>, stream: Weak<TcpStream>) -> Arc<Self> {
        Arc::new(Self { tracker: Arc::clone(tracker), stream, state: Mutex::default() })
    }

    fn wrote(&self, bytes: usize) {
        self.state().bytes += bytes as u64;
    }

    /// Registers a read of so many bytes; 0 at the end.
    fn read(&self, bytes: usize) {
        let (at, ended) = (Instant::now(), self.is_over());
        let came = self.tracker.standstill.came_by(at);
        let mut state = self.state();
        state.heard |= bytes > 0;
        state.read = Some(Read { at, came, ended });
    }

    /// Returns whether the caller may have given up: it had left when its call was read, or this process stood still
    /// since.
    pub(in crate::http) fn may_be_abandoned(&self) -> bool {
        self.state().read.is_some_and(|read| read.ended || read.at.elapsed() > STANDSTILL)
    }

    /// Returns when the bytes of the last read may have arrived.
    pub(in crate::http) fn came(&self) -> Instant {
        self.state().read.map_or_else(Instant::now, |read| read.came)
    }

    /// Registers that everything was written.
    fn flushed(&self) {
        let mut state = self.state();
        if state.handed.is_empty() {
            return;
        }
        let bytes = state.bytes;
        // Responses that were handed over after the last byte are not written yet.
        let (written, handed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.handed).into_iter().partition(|(_, before)| *before < bytes);
        state.handed = handed;
        state.heard &= written.is_empty();
        for (id, _) in written {
            state.written.push(id);
            self.tracker.written(id);
        }
    }

    /// Another request: the client has read the response before it, unless it sent the request before that response.
    fn asked(&self) {
        let mut state = self.state();
        let read = if state.heard { std::mem::take(&mut state.written) } else { Vec::new() };
        drop(state);
        self.settle(read, true);
    }

    /// Registers a reset of the connection: its open responses are lost.
    fn reset(&self) {
        let lost = self.state().take();
        self.settle(lost, false);
    }

    /// Registers the end of the connection without a reset: what was written in full counts as received.
    fn ended(&self) {
        let mut state = self.state();
        let (handed, written) = (std::mem::take(&mut state.handed), std::mem::take(&mut state.written));
        drop(state);
        self.settle(handed.into_iter().map(|(id, _)| id), false);
        self.settle(written, true);
    }

    fn settle(&self, ids: impl IntoIterator<Item = u64>, reached: bool) {
        for id in ids {
            self.tracker.settle(id, reached);
        }
    }

    /// Returns whether the end of the connection decides about a response.
    fn is_open(&self) -> bool {
        self.state().written.iter().any(|id| self.tracker.is_open(*id))
    }

    /// A poisoned lock holds plain lists that are consistent, so it is used on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallerConnection for Connection {
    fn hand_over(&self, id: u64) {
        let mut state = self.state();
        let before = state.bytes;
        state.handed.push((id, before));
    }

    fn is_over(&self) -> bool {
        let Some(stream) = self.stream.upgrade() else { return true };
        let mut state = self.state(); // held until the end is recorded: the kernel reports a reset once, then a clean end
        match SockRef::from(&*stream).peek(&mut [std::mem::MaybeUninit::uninit()]) {
            Ok(bytes) => bytes == 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                let lost = state.take();
                drop(state);
                self.settle(lost, false);
                true
            }
        }
    }
}

impl State {
    /// Takes all responses that are not settled.
    fn take(&mut self) -> Vec<u64> {
        let handed = std::mem::take(&mut self.handed).into_iter().map(|(id, _)| id);
        handed.chain(std::mem::take(&mut self.written)).collect()
    }
}

/// Watches every connection that the server accepts.
#[derive(Clone)]
pub(in crate::http) struct TrackConnections(pub(in crate::http) Arc<ResponseTracker>);

impl<S> Accept<TcpStream, S> for TrackConnections {
    type Stream = TrackedStream;
    type Service = WithConnection<S>;
    type Future = Ready<io::Result<(TrackedStream, WithConnection<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(ARRIVES_WITHIN)) {
            return ready(Err(error)); // it has ended already
        }
        let stream = Arc::new(stream);
        let conn = Connection::new(&self.0, Arc::downgrade(&stream));
        ready(Ok((
            TrackedStream { io: Io::Open(stream), conn: Arc::clone(&conn) },
            WithConnection { inner: service, conn },
        )))
    }
}

/// Gives each request its connection, as an extension `Arc<Connection>`.
#[derive(Clone)]
pub(in crate::http) struct WithConnection<S> {
    inner: S,
    conn: Arc<Connection>,
}

impl<S, B> Service<Request<B>> for WithConnection<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.conn.asked();
        request.extensions_mut().insert(Arc::clone(&self.conn));
        self.inner.call(request)
    }
}

/// The stream of a connection. Its shutdown lingers if a response is undecided.
pub(in crate::http) struct TrackedStream {
    io: Io,
    conn: Arc<Connection>,
}

enum Io {
    Open(Arc<TcpStream>),
    Ending(Pin<Box<dyn Future<Output = ()> + Send>>),
    Ended,
}

impl TrackedStream {
    fn done<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err() {
            self.conn.reset();
        }
        outcome
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Io::Open(stream) = &self.io else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        let outcome = loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => break outcome.map(drop),
            }
        };
        let outcome = self.done(outcome);
        self.conn.read(buf.filled().len() - before);
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Io::Open(stream) = &self.io else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let outcome = loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => break outcome,
            }
        };
        if let Ok(bytes) = outcome {
            self.conn.wrote(bytes);
        }
        Poll::Ready(self.done(outcome))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called only once `poll_write` has taken every byte: then they are in the kernel.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waited_for = self.conn.is_open();
        match std::mem::replace(&mut self.io, Io::Ended) {
            Io::Open(stream) if !waited_for => {
                let outcome = shut_down(&stream);
                self.io = Io::Open(stream);
                Poll::Ready(outcome)
            }
            Io::Open(stream) => {
                self.io = Io::Ending(Box::pin(end(stream, Arc::clone(&self.conn))));
                self.poll_shutdown(cx)
            }
            Io::Ending(mut ending) => {
                let outcome = ending.as_mut().poll(cx);
                if outcome.is_pending() {
                    self.io = Io::Ending(ending);
                }
                outcome.map(Ok)
            }
            Io::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl Abort for TrackedStream {
    /// Responses that were written but not read yet are lost with the connection.
    fn abort(&self) {
        self.conn.reset();
        if let Io::Open(stream) = &self.io {
            stream.abort();
        }
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        self.conn.ended();
    }
}

/// Shuts down this side of a connection. A connection that is over is not an error.
fn shut_down(stream: &TcpStream) -> io::Result<()> {
    match SockRef::from(stream).shutdown(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        outcome => outcome,
    }
}

/// Shuts a connection down and watches how the other side ends it. If that does nothing for [`LINGER`], the response
/// counts as read.
async fn end(stream: Arc<TcpStream>, conn: Arc<Connection>) {
    let was_reset = match shut_down(&stream) {
        Ok(()) => timeout(LINGER, was_reset(&stream)).await.unwrap_or(false),
        Err(_) => true,
    };
    if was_reset { conn.reset() } else { conn.ended() }
}

/// Returns whether the other side resets the connection, rather than ending it.
async fn was_reset(stream: &TcpStream) -> bool {
    let mut rest = [0; 1024];
    loop {
        match stream.readable().await.and_then(|()| stream.try_read(&mut rest)) {
            Ok(0) => break,
            Ok(_) => {} // a request that came too late
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
    }
    // Its end may have crossed our response; then the reset follows. The kernel forgets the peer once it has
    // acknowledged all that was sent, or has reset.
    let mut pause = Duration::from_millis(1);
    while stream.peer_addr().is_ok() {
        sleep(pause).await;
        pause *= 2;
    }
    !matches!(stream.take_error(), Ok(None))
}

#[cfg(test)]
mod tests;
