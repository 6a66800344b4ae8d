//! One connection of the door, watched: was the answer written in full, and how did the connection end? A caller that
//! closes with some of the answer unread has its kernel send a reset, so a reset after the write says that it did not
//! read all of it, while a new request or a clean end says that it did.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::Request;
use axum_server::accept::Accept;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::answers::Answers;
use super::guard::Abort;

/// So long a connection is kept after its end to learn whether the last answer was read.
const LINGER: Duration = Duration::from_secs(1);

/// A call that was read this long before it is taken was in a process that stood still. Longer than a busy one needs, and
/// shorter than a caller waits before it calls again.
const STANDSTILL: Duration = Duration::from_secs(5);

/// What one connection's handlers and its stream tell each other.
pub(super) struct Conn {
    answers: Arc<Answers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes written so far.
    bytes: u64,
    /// Answers that are to be written, each with the bytes written before.
    handed: Vec<(u64, u64)>,
    /// Answers that were written in full.
    written: Vec<u64>,
    /// What was read last, and whether the other side had ended the connection by then.
    read: Option<(Instant, bool)>,
}

impl Conn {
    fn new(answers: &Arc<Answers>) -> Arc<Self> {
        Arc::new(Self { answers: Arc::clone(answers), state: Mutex::default() })
    }

    /// This answer is what is written next.
    pub(super) fn hand_over(&self, id: u64) {
        let mut state = self.state();
        let before = state.bytes;
        state.handed.push((id, before));
    }

    fn wrote(&self, bytes: usize) {
        self.state().bytes += bytes as u64;
    }

    fn read(&self, ended: bool) {
        self.state().read = Some((Instant::now(), ended));
    }

    /// Whether the caller is gone, or may be: it had left when its call was read, or this process stood still since.
    pub(super) fn is_deserted(&self) -> bool {
        self.state().read.is_some_and(|(at, ended)| ended || at.elapsed() > STANDSTILL)
    }

    /// All that there was to write is written.
    fn flushed(&self) {
        let mut state = self.state();
        if state.handed.is_empty() {
            return;
        }
        let bytes = state.bytes;
        // What was handed over after the last byte is not among what was written.
        let (written, handed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.handed).into_iter().partition(|(_, before)| *before < bytes);
        state.handed = handed;
        for (id, _) in written {
            state.written.push(id);
            self.answers.written(id);
        }
    }

    /// Another request: who asks again has read the answer before.
    fn asked(&self) {
        let written = std::mem::take(&mut self.state().written);
        self.settle(written, true);
    }

    /// The connection was reset.
    fn reset(&self) {
        let mut state = self.state();
        let (handed, written) = (std::mem::take(&mut state.handed), std::mem::take(&mut state.written));
        drop(state);
        self.settle(handed.into_iter().map(|(id, _)| id).chain(written), false);
    }

    /// The connection is over, and no reset was seen.
    fn ended(&self) {
        let mut state = self.state();
        let (handed, written) = (std::mem::take(&mut state.handed), std::mem::take(&mut state.written));
        drop(state);
        self.settle(handed.into_iter().map(|(id, _)| id), false);
        self.settle(written, true);
    }

    fn settle(&self, answers: impl IntoIterator<Item = u64>, reached: bool) {
        for id in answers {
            self.answers.settle(id, reached);
        }
    }

    /// Whether the end of the connection has something to tell.
    fn is_open(&self) -> bool {
        self.state().written.iter().any(|id| self.answers.is_open(*id))
    }

    /// A poisoned lock holds plain lists that are whole: go on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches every connection that the server accepts.
#[derive(Clone)]
pub(super) struct Watch(pub(super) Arc<Answers>);

impl<S> Accept<TcpStream, S> for Watch {
    type Stream = Watched;
    type Service = WithConn<S>;
    type Future = Ready<io::Result<(Watched, WithConn<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let conn = Conn::new(&self.0);
        ready(Ok((Watched { io: Io::Open(stream), conn: Arc::clone(&conn) }, WithConn { inner: service, conn })))
    }
}

/// Gives each request its connection, as an extension `Arc<Conn>`.
#[derive(Clone)]
pub(super) struct WithConn<S> {
    inner: S,
    conn: Arc<Conn>,
}

impl<S, B> Service<Request<B>> for WithConn<S>
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

/// The stream of a connection. It ends like any other, but where an answer is open that waits for its end.
pub(super) struct Watched {
    io: Io,
    conn: Arc<Conn>,
}

enum Io {
    Open(TcpStream),
    Ending(Pin<Box<dyn Future<Output = ()> + Send>>),
    Ended,
}

impl Watched {
    fn done<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err() {
            self.conn.reset();
        }
        outcome
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Io::Open(stream) = &mut self.io else { return Poll::Ready(Ok(())) };
        let outcome = ready!(Pin::new(&mut *stream).poll_read(cx, buf));
        let ended = has_ended(stream);
        self.conn.read(ended);
        Poll::Ready(self.done(outcome))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Io::Open(stream) = &mut self.io else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let outcome = ready!(Pin::new(stream).poll_write_vectored(cx, bufs));
        if let Ok(bytes) = outcome {
            self.conn.wrote(bytes);
        }
        Poll::Ready(self.done(outcome))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Asked for only once every byte has been taken by `poll_write`: then they are the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waited_for = self.conn.is_open();
        match std::mem::replace(&mut self.io, Io::Ended) {
            Io::Open(mut stream) if !waited_for => {
                let outcome = Pin::new(&mut stream).poll_shutdown(cx);
                self.io = Io::Open(stream);
                outcome
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

impl Abort for Watched {
    /// What was written and is not read yet is lost with the connection.
    fn abort(&mut self) {
        self.conn.reset();
        if let Io::Open(stream) = &mut self.io {
            stream.abort();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.conn.ended();
    }
}

/// Whether nothing more will come. A caller that waits for its answer keeps its side open.
fn has_ended(stream: &TcpStream) -> bool {
    match SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Ends a connection and watches how the other side takes it. One that does nothing for so long keeps it open, which
/// counts as having read.
async fn end(mut stream: TcpStream, conn: Arc<Conn>) {
    let was_reset = match stream.shutdown().await {
        Ok(()) => timeout(LINGER, was_reset(&mut stream)).await.unwrap_or(false),
        Err(_) => true,
    };
    if was_reset { conn.reset() } else { conn.ended() }
}

/// Whether the other side resets the connection, rather than ending it.
async fn was_reset(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 1024];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => break,
            Ok(_) => {} // a request that came too late
            Err(_) => return true,
        }
    }
    // Its end may have crossed our answer, and then the reset comes after it. The kernel forgets the peer once it has
    // acknowledged all that we sent, or has reset.
    let mut pause = Duration::from_millis(1);
    while stream.peer_addr().is_ok() {
        sleep(pause).await;
        pause *= 2;
    }
    !matches!(stream.take_error(), Ok(None))
}

#[cfg(test)]
mod tests;
