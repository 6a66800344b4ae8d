//! The port of a simulator: opened, closed so that connections are really refused, and opened again on the same number.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::wire::{Service, converse};

/// Locks, whatever a thread that panicked left behind: a simulator's state is worth reading after a failed test.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Port {
    Open(TcpListener),
    /// Bound without listening: connections are refused, and nobody else gets the number.
    Closed(Option<TcpSocket>),
    Gone,
}

/// A port and the connections that came through it.
pub(super) struct SwitchableListener {
    address: SocketAddr,
    runtime: Handle,
    port: Mutex<Port>,
    /// Cuts the connections of the present opening.
    cut: Mutex<CancellationToken>,
    opened: Notify,
}

impl SwitchableListener {
    /// Closes the port and cuts every connection; from the return on, connecting is refused.
    pub(super) fn close(&self) {
        let mut port = lock(&self.port);
        if matches!(*port, Port::Open(_)) {
            *port = Port::Closed(None);
            *port = Port::Closed(bind(self.address).ok());
        }
        let mut cut = lock(&self.cut);
        cut.cancel();
        *cut = CancellationToken::new();
    }

    /// Opens the port again. Does nothing to a port that is open or gone for good.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut port = lock(&self.port);
        if let Port::Closed(held) = &mut *port {
            let socket = held.take().map_or_else(|| bind(self.address), Ok)?;
            let _runtime = self.runtime.enter();
            *port = Port::Open(socket.listen(BACKLOG)?);
            self.opened.notify_one();
        }
        Ok(())
    }

    /// Closes the port now and opens it after `pause`. The connection that asks for this must not be cut by it: only
    /// the port closes.
    pub(super) fn close_for(self: &Arc<Self>, pause: Duration) {
        let mut port = lock(&self.port);
        if matches!(*port, Port::Open(_)) {
            *port = Port::Closed(None);
            *port = Port::Closed(bind(self.address).ok());
            let listener = Arc::clone(self);
            self.runtime.spawn(async move {
                tokio::time::sleep(pause).await;
                if let Err(e) = listener.open() {
                    tracing::warn!(error = &e as &dyn std::error::Error, "the simulator cannot open its port again");
                }
            });
        }
    }

    fn end(&self) {
        *lock(&self.port) = Port::Gone;
        lock(&self.cut).cancel();
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, CancellationToken)>> {
        match &*lock(&self.port) {
            Port::Open(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| (stream, lock(&self.cut).clone()))
            }
            Port::Closed(_) | Port::Gone => Poll::Pending,
        }
    }
}

const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A served port. Dropping it closes the port and every connection.
pub(super) struct Server {
    pub(super) listener: Arc<SwitchableListener>,
    gone: CancellationToken,
}

impl Server {
    /// Serves `service` on `address`, which must be loopback; port 0 takes any free one. Needs a tokio runtime.
    pub(super) fn start<S: Service>(address: SocketAddr, service: Arc<S>) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let why = format!("the simulator listens on loopback only, not on {address}: use 127.0.0.1");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let listener = bind(address)?.listen(BACKLOG)?;
        let listener = Arc::new(SwitchableListener {
            address: listener.local_addr()?,
            runtime: runtime.clone(),
            port: Mutex::new(Port::Open(listener)),
            cut: Mutex::new(CancellationToken::new()),
            opened: Notify::new(),
        });
        let gone = CancellationToken::new();
        runtime.spawn(gone.clone().run_until_cancelled_owned(accept(Arc::clone(&listener), service)));
        Ok(Self { listener, gone })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Closes port and connections for good.
    pub(super) fn stop(&self) {
        self.gone.cancel();
        self.listener.end();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept<S: Service>(listener: Arc<SwitchableListener>, service: Arc<S>) {
    loop {
        let accepted = tokio::select! {
            () = listener.opened.notified() => continue,
            accepted = poll_fn(|context| listener.poll_accept(context)) => accepted,
        };
        match accepted {
            Ok((stream, cut)) => {
                // A delayed segment would only blur the timing.
                let _ = stream.set_nodelay(true);
                let conversation = converse(stream, Arc::clone(&service), Arc::clone(&listener));
                tokio::spawn(cut.run_until_cancelled_owned(conversation));
            }
            // Out of descriptors: connections that end will free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
