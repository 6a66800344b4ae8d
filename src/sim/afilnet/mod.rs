//! A stateful Afilnet (afilnet.md section 6): conversations, a ledger of sends, switches for what is unknown of the
//! live service, faults on order. [`Afilnet`] serves it over loopback; its methods, those of [`World`], read its state
//! and play the customer, the operator in Afilnet's panel and faults.

mod api;
mod render;
mod rewriting;
mod state;
pub mod switches;
mod transports;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::faults::FaultRule;
use super::latency::Latency;
use super::server::Server;
use state::State;
pub(super) use state::machine_ms;
pub use state::{Counters, SentCall};
pub use switches::{BadSwitch, Switches};
pub use world::World;

/// Initial state of a simulator, restored by `reset`.
#[derive(Clone)]
pub struct Options {
    /// User and password of each account. Every account sees every channel.
    pub accounts: Vec<(String, String)>,
    /// The channels.
    pub channels: Vec<ChannelSpec>,
    /// The unknowns.
    pub switches: Switches,
    /// Faults in force from the start.
    pub faults: Vec<FaultRule>,
    /// Seed of all random decisions.
    pub seed: u64,
    /// Wait before each answer.
    pub latency: Latency,
    /// How long the port stays closed after the fault `refused`.
    pub down_for: Duration,
    /// Pause before each byte under the fault `drip`.
    pub drip: Duration,
    /// Calls a second, once the switch `rate_limit` is on.
    pub rate_limit: usize,
    /// Age at which a sent row shows the status delivered; `None`: only by `set_status`.
    pub delivered_after: Option<Duration>,
}

impl Default for Options {
    /// Account `user` / `password`, one channel `whatsapp` / `100`, every switch at its default, no faults.
    fn default() -> Self {
        Self {
            accounts: vec![("user".into(), "password".into())],
            channels: vec![ChannelSpec::new("whatsapp", "100", "Ventas")],
            switches: Switches::default(),
            faults: Vec::new(),
            seed: 1,
            latency: Latency::default(),
            down_for: Duration::from_secs(1),
            drip: Duration::from_millis(100),
            rate_limit: 5,
            delivered_after: None,
        }
    }
}

/// One channel, as `getchatchannels` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// `webchat`, `whatsapp`, `telegram` or `operator`.
    pub platform: String,
    /// Its id there.
    pub platformid: String,
    /// Its name for people.
    pub name: String,
}

impl ChannelSpec {
    /// Returns a channel with these values.
    #[must_use]
    pub fn new(platform: &str, platformid: &str, name: &str) -> Self {
        Self { platform: platform.into(), platformid: platformid.into(), name: name.into() }
    }
}

/// Status of a row that the business wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowStatus {
    /// Accepted by Afilnet: `1`, `sent`.
    Sent,
    /// On the customer's device: `2`, `delivered`.
    Delivered,
    /// Seen by the customer: `3`, `read`.
    Read,
    /// Given up: `4`, `failed`.
    Failed,
}

/// A platform id that no channel has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no channel has the platform id `{0}`: add it first")]
pub struct NoChannel(String);

/// A running simulator. Clones share it; the last one to go stops it. Its methods are those of [`World`].
#[derive(Clone)]
pub struct Afilnet {
    world: Arc<World>,
    server: Arc<Server>,
}

impl Afilnet {
    /// Serves on a loopback address; port 0 takes any free port. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address is not loopback, or it cannot be bound.
    pub fn start(address: SocketAddr, options: Options) -> io::Result<Self> {
        let (changed, _) = watch::channel(0);
        let state = Mutex::new(State::new(&options));
        let world = Arc::new(World { options, state, changed, port: OnceLock::new() });
        let server = Arc::new(Server::start(address, Arc::clone(&world))?);
        let _ = world.port.set(server.address().port());
        Ok(Self { world, server })
    }

    /// The endpoint for GET and POST: `http://127.0.0.1:PORT/api/http/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api/http/", self.server.address())
    }

    /// The endpoint for Basic: `http://127.0.0.1:PORT/api/basic/`.
    #[must_use]
    pub fn basic_url(&self) -> String {
        format!("http://{}/api/basic/", self.server.address())
    }

    /// The endpoint for JSON with OAuth 2.0, client `client` with secret `client-secret`: `http://127.0.0.1:PORT/api/json/`.
    #[must_use]
    pub fn json_url(&self) -> String {
        format!("http://{}/api/json/", self.server.address())
    }

    /// Its token endpoint: `http://127.0.0.1:PORT/oauth/token`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("http://{}/oauth/token", self.server.address())
    }

    /// The endpoint for SOAP: `http://127.0.0.1:PORT/api/soap/`.
    #[must_use]
    pub fn soap_url(&self) -> String {
        format!("http://{}/api/soap/", self.server.address())
    }

    /// Returns the URL of the control API: `http://127.0.0.1:PORT/control/`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}/control/", self.server.address())
    }

    /// Closes the port and cuts every connection, like a machine that goes down. Connecting is refused from then on.
    pub fn down(&self) {
        self.server.listener.close();
    }

    /// Opens the port again after [`Afilnet::down`].
    ///
    /// # Errors
    /// The port cannot be bound any more.
    pub fn up(&self) -> io::Result<()> {
        self.server.listener.open()
    }

    /// Ends the service for good; the ledger can still be read.
    pub fn stop(&self) {
        self.server.stop();
    }
}

impl Deref for Afilnet {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}
