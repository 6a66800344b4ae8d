//! A stateful BonyChat: the webhook that the bridge posts to, checked against the contract rule by rule, a ledger of
//! what arrived, and the client that calls `/message` as the platform does. [`BonyChat`] serves it over loopback; its
//! methods, those of [`World`], read the ledger and order faults.

mod client;
mod schema;
#[cfg(test)]
mod tests;
mod webhook;
mod world;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::faults::FaultRule;
use super::latency::Latency;
use super::server::Server;
pub use client::SendOutcome;
pub use world::{EventRecord, Violation, World};

/// What a channel's contact ids hold (bonychat.md section 1, step 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdType {
    /// `+` and 8 to 15 digits.
    Phone,
    /// 1 to 50 of `A-Z a-z 0-9 _ = + / @`.
    Custom,
}

impl IdType {
    fn fits(self, id: &str) -> bool {
        match self {
            Self::Phone => id.strip_prefix('+').is_some_and(|digits| {
                let plain = digits.bytes().all(|b| b.is_ascii_digit());
                (8..=15).contains(&digits.len()) && plain && !digits.starts_with('0')
            }),
            Self::Custom => {
                (1..=50).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_=+/@".contains(&b))
            }
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Phone => "must be + and 8 to 15 digits",
            Self::Custom => "must be 1 to 50 of A-Z a-z 0-9 _ = + / @",
        }
    }

    /// Its word in the bridge's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Custom => "custom",
        }
    }
}

/// An id type that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id type: use phone or custom")]
pub struct BadIdType(String);

impl FromStr for IdType {
    type Err = BadIdType;
    fn from_str(text: &str) -> Result<Self, BadIdType> {
        match text {
            "phone" => Ok(Self::Phone),
            "custom" => Ok(Self::Custom),
            _ => Err(BadIdType(text.to_owned())),
        }
    }
}

/// One custom channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Its id.
    pub channel_id: String,
    /// The token of both directions.
    pub api_token: String,
    /// What its contact ids hold.
    pub id_type: IdType,
}

impl ChannelSpec {
    /// Returns a channel with these values.
    #[must_use]
    pub fn new(channel_id: &str, api_token: &str, id_type: IdType) -> Self {
        Self { channel_id: channel_id.into(), api_token: api_token.into(), id_type }
    }
}

/// Initial state of a simulator, restored by `reset`.
#[derive(Clone)]
pub struct Options {
    /// The channels.
    pub channels: Vec<ChannelSpec>,
    /// Whether more than 20 requests of one channel within a second get 429 (bonychat.md F10).
    pub rate_limit: bool,
    /// Faults in force from the start; their method is `message`, `message_echo`, `message_status` or `*`.
    pub faults: Vec<FaultRule>,
    /// Seed of all random decisions.
    pub seed: u64,
    /// Wait before each answer.
    pub latency: Latency,
    /// How long the port stays closed after the fault `refused`.
    pub down_for: Duration,
    /// Pause before each byte under the fault `drip`.
    pub drip: Duration,
    /// The bridge's base URL for `/control/say`, if that names none.
    pub bridge_url: String,
}

impl Default for Options {
    /// One channel `demo` of the phone type with the token `demo-token`, the rate limit on, no faults.
    fn default() -> Self {
        Self {
            channels: vec![ChannelSpec::new("demo", "demo-token", IdType::Phone)],
            rate_limit: true,
            faults: Vec::new(),
            seed: 1,
            latency: Latency::default(),
            down_for: Duration::from_secs(1),
            drip: Duration::from_millis(100),
            bridge_url: "http://127.0.0.1:8080".into(),
        }
    }
}

/// A running simulator. Clones share it; the last one to go stops it. Its methods are those of [`World`].
#[derive(Clone)]
pub struct BonyChat {
    world: Arc<World>,
    server: Arc<Server>,
}

impl BonyChat {
    /// Serves on a loopback address; port 0 takes any free port. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address is not loopback, it cannot be bound, or no HTTP client can be built.
    pub fn start(address: SocketAddr, options: Options) -> io::Result<Self> {
        let world = Arc::new(World::new(options)?);
        let server = Arc::new(Server::start(address, Arc::clone(&world))?);
        world.open_at(server.address().port());
        Ok(Self { world, server })
    }

    /// Returns the URL that the bridge posts to: `http://127.0.0.1:PORT/custom/webhook`.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("http://{}/custom/webhook", self.server.address())
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

    /// Opens the port again after [`BonyChat::down`].
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

impl Deref for BonyChat {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}
