//! The port of a simulator: opened, closed so that connections are refused, and opened again on the same number.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Locks, poisoned or not: a simulator's state is worth reading after a failed test.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Port {
    Open(TcpListener),
    /// Bound without listening: connections are refused, and no other process gets the number.
    Closed(Option<TcpSocket>),
    Gone,
}

/// A port and the connections that came through it.
pub(super) struct SwitchableListener {
    address: SocketAddr,
    runtime: Handle,
    port: Mutex<Port>,
    /// Cuts the connections of the current opening.
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

    /// Closes the port now and opens it after `pause`. The connection that ordered this must not be cut by it: only the
    /// port closes.
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

    /// Listens on `address`.
    pub(super) fn start(address: SocketAddr, runtime: Handle) -> io::Result<Self> {
        let listener = bind(address)?.listen(BACKLOG)?;
        Ok(Self {
            address: listener.local_addr()?,
            runtime,
            port: Mutex::new(Port::Open(listener)),
            cut: Mutex::new(CancellationToken::new()),
            opened: Notify::new(),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Completes when the port was opened again.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Closes the port and every connection for good.
    pub(super) fn end(&self) {
        *lock(&self.port) = Port::Gone;
        lock(&self.cut).cancel();
    }

    /// Returns the next connection, and the token that cancels it when the port is closed.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, CancellationToken)>> {
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
