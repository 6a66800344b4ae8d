//! A stateful AnnA (anna.md section 9): one company, its login, its users and their requests, a ledger of calls, faults on
//! order. [`Anna`] serves it over loopback; its methods, those of [`World`], look into it.

mod api;
mod faults;
#[cfg(test)]
mod tests;
mod world;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::server::Server;
pub use faults::{BadAnnaRule, Oddity, OddityRule};
use world::State;
pub use world::{AnnaCall, User, World};

/// The path in front of the API, beside the root.
pub(super) const PREFIX: &str = "/w5/anna";

/// What a token looks like, and what `ExpiresIn` says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenForm {
    /// A JWT with `iat` and `exp`, so many seconds apart.
    Jwt(u32),
    /// No JWT; `ExpiresIn` is this text.
    Opaque(String),
}

/// What the simulator begins with, and what `reset` brings back.
#[derive(Debug, Clone)]
pub struct Options {
    /// The company's hash.
    pub company_hash: String,
    /// Login.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Users who are known.
    pub users: Vec<User>,
    /// Every user is known, and active.
    pub everybody: bool,
    /// Form of tokens.
    pub tokens: TokenForm,
    /// How long the fault `slow` takes for its answer.
    pub slow: Duration,
    /// How long the port stays closed after the fault `closed`.
    pub down_for: Duration,
    /// Host of the links.
    pub link_host: String,
    /// Seed of hashes and tokens.
    pub seed: u64,
}

impl Default for Options {
    /// A company that knows everybody.
    fn default() -> Self {
        Self {
            company_hash: "company-hash-c0ffee".into(),
            user: "bridge-login".into(),
            password: "anna-password-s3cret".into(),
            users: Vec::new(),
            everybody: true,
            tokens: TokenForm::Jwt(3600),
            slow: Duration::from_secs(20),
            down_for: Duration::from_secs(1),
            link_host: "chat.anna.test".into(),
            seed: 1,
        }
    }
}

/// A running simulator. Clones share it; the last one to go stops it. Its methods are those of [`World`].
#[derive(Clone)]
pub struct Anna {
    world: Arc<World>,
    server: Arc<Server>,
}

impl Anna {
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

    /// The base URL: `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    /// A base URL with a path and no final slash: `http://127.0.0.1:PORT/w5/anna`.
    #[must_use]
    pub fn url_with_path(&self) -> String {
        format!("http://{}{PREFIX}", self.server.address())
    }

    /// Where the control API is: `http://127.0.0.1:PORT/control/`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}/control/", self.server.address())
    }

    /// Closes the port and cuts every connection. Connecting is refused from then on.
    pub fn down(&self) {
        self.server.listener.close();
    }

    /// Opens the port again after [`Anna::down`].
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

impl Deref for Anna {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}
