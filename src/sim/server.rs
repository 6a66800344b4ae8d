//! A service on a port that can be switched.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::switchable_listener::SwitchableListener;
use super::wire::{Service, converse};

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
        let listener = Arc::new(SwitchableListener::start(address, runtime.clone())?);
        let gone = CancellationToken::new();
        runtime.spawn(gone.clone().run_until_cancelled_owned(accept(Arc::clone(&listener), service)));
        Ok(Self { listener, gone })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.address()
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
            () = listener.opened() => continue,
            accepted = poll_fn(|context| listener.poll_accept(context)) => accepted,
        };
        match accepted {
            Ok((stream, cut)) => {
                // A delayed segment would distort the timing.
                let _ = stream.set_nodelay(true);
                let conversation = converse(stream, Arc::clone(&service), Arc::clone(&listener));
                tokio::spawn(cut.run_until_cancelled_owned(conversation));
            }
            // Out of descriptors: connections that end will free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
