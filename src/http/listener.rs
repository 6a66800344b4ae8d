//! Accepting connections: bounded in number, so that descriptors are left for the store and the clients; every failure
//! to accept is counted and logged.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::Refusal;

/// Connections that the kernel keeps ready to be accepted. `std` asks for 128, which a burst of callers overruns: those
/// beyond wait for a second before their kernel tries again.
const BACKLOG: i32 = 1024;
/// What the kernel takes of responses that a caller has not read; `std` leaves that to the kernel, which takes up to 4 MiB
/// of each connection. Every response fits, and a caller that does not read is noticed early.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Binds a listener of `address`.
///
/// # Errors
/// The address is taken or not available.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?; // accepted connections inherit it
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The peer address of a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(super) SocketAddr);

impl Connected<Self> for Peer {
    fn connect_info(peer: Self) -> Self {
        peer
    }
}

impl Address for Peer {
    type Stream = Accepted;
    type Listener = LimitedListener;
}

/// An accepted connection and its slot.
pub(crate) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) slot: Slot,
}

/// A slot for one open connection. Released when dropped.
pub(super) struct Slot(pub(super) OwnedSemaphorePermit);

impl Slot {
    /// Returns true while no further connection can be accepted.
    pub(super) fn is_at_limit(&self) -> bool {
        self.0.semaphore().available_permits() == 0
    }
}

/// A listener with at most `limit` connections open.
pub(crate) struct LimitedListener {
    listener: TcpListener,
    limit: usize,
    slots: Arc<Semaphore>,
}

impl LimitedListener {
    pub(super) fn new(listener: std::net::TcpListener, limit: usize) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, limit, slots: Arc::new(Semaphore::new(limit)) })
    }

    /// Waits for a slot. Further connections wait in the kernel's backlog meanwhile.
    async fn slot(&self) -> io::Result<Slot> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        if let Ok(slot) = slot {
            return Ok(Slot(slot));
        }
        if let Some(times) = Refusal::ConnectionLimit.count_and_sample() {
            tracing::warn!(
                limit = self.limit,
                times,
                "all {} connections of this listener are taken: further callers wait until one ends. Look who opens so \
                 many; at server.listen their number follows the limit of open files (LimitNOFILE of systemd, `ulimit -n`)",
                self.limit
            );
        }
        Arc::clone(&self.slots).acquire_owned().await.map(Slot).map_err(io::Error::other)
    }
}

impl AddrListener<Accepted, Peer> for LimitedListener {
    /// Not used: [`bind`] reports a taken address before anything else is started.
    async fn bind_to(_: Peer) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The server calls it again 50 ms after an error.
    async fn accept_stream(&self) -> io::Result<(Accepted, Peer)> {
        let slot = self.slot().await?;
        match self.listener.accept().await {
            Ok((stream, peer)) => Ok((Accepted { stream, peer, slot }, Peer(peer))),
            Err(error) => {
                if let Some(times) = Refusal::NotAccepted.count_and_sample() {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        times,
                        "a connection could not be accepted: its caller waits, and it is tried again"
                    );
                }
                Err(error)
            }
        }
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr().map(Peer)
    }
}
