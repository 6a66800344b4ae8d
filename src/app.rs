//! Assembles the bridge: configuration to store, clients, loops and listeners. The one room that knows concrete types.

mod open_files;
mod reload;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::afilnet::{self, AccessTokens, AfilnetClient};
use crate::anna::{self, AnnaClient, AnnaResolver};
use crate::bonychat::{self, WebhookClient};
use crate::config::{Channel, Config, Problems};
use crate::domain::{ChannelName, LeaseDeadline, PlaceholderResolver};
use crate::http::ops::OperatorState;
use crate::http::{self, Handle, ReceivedCalls, ResponseTracker, Routes};
use crate::lifecycle::{GRACE, Signal, Signals, TaskGroup};
use crate::store::{self, Store};
use crate::telemetry::metrics;
use crate::work::{self, Clients};

/// A running bridge.
pub struct App {
    address: SocketAddr,
    tasks: TaskGroup,
    store: Arc<dyn Store>,
    /// As read last.
    config: Config,
    responses: Arc<ResponseTracker>,
    calls: Arc<ReceivedCalls>,
    routes: Routes,
    handle: Handle,
    server: JoinHandle<std::io::Result<()>>,
    /// The admin listener, if it could be opened.
    admin: Option<(SocketAddr, Handle)>,
    operators: Arc<OperatorState>,
    /// `config` for the pages on the admin listener.
    live_config: watch::Sender<Arc<Config>>,
    /// Cancelled when the stop begins.
    stopping: CancellationToken,
}

/// What a benchmark may switch off.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Operations of the store share commits. Off only to measure the gain.
    pub group_commit: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { group_commit: true }
    }
}

impl App {
    /// Opens the store, starts the loops and opens the listeners.
    ///
    /// # Errors
    /// For the operator: the address is taken, the store cannot be used, a client cannot be built.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_tuned(config, Tuning::default()).await
    }

    /// As [`Self::start`], for benchmarks.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_tuned(config: Config, tuning: Tuning) -> anyhow::Result<Self> {
        metrics::start(config.channels.keys(), afilnet::METHODS).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "nothing is counted in this process; messages go on");
        });
        metrics::configuration(config.digest());
        let listen = config.server.listen;
        let connections = open_files::connection_limit(open_files::raise());
        let listener = http::listener::bind(listen)
            .with_context(|| format!("cannot listen on {listen}: is another process there? (server.listen)"))?;
        let address = listener.local_addr().context("cannot tell the listener's address")?;
        let store = store::open::owner(&config.store.url, tuning.group_commit).await?;
        let tasks = TaskGroup::new();
        let clients = clients(&config)?;
        work::start(&config, &store, clients, &BTreeSet::new(), &tasks)
            .await
            .context("cannot take the channels over")?;
        let responses = ResponseTracker::new(&store);
        let calls = Arc::default();
        let routes = Routes::new(http::router(&config, &store, &responses, &calls));
        let (live_config, config_of_pages) = watch::channel(Arc::new(config.clone()));
        let stopping = CancellationToken::new();
        let operators = OperatorState::new(&config.admin, &store, &calls, config_of_pages, stopping.clone());
        operators.run_interrupted_jobs();
        let pages = http::ops::router(Arc::clone(&operators)).merge(http::ops::api::router(&operators));
        let admin = open_admin(&config, pages);
        let handle = Handle::new();
        let server =
            tokio::spawn(http::serve(listener, connections, routes.clone(), Arc::clone(&responses), handle.clone()));
        tracing::info!(
            %address, channels = config.channels.len(), connections, version = env!("CARGO_PKG_VERSION"), "ready"
        );
        Ok(Self {
            address,
            tasks,
            store,
            config,
            responses,
            calls,
            routes,
            handle,
            server,
            admin,
            operators,
            live_config,
            stopping,
        })
    }

    /// Returns the address of `POST /message`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a link to the operators' page that signs in, as `bridge page` makes one; `None` where there is no page.
    #[must_use]
    pub fn page_link(&self) -> Option<String> {
        let (address, _) = self.admin.as_ref()?;
        self.operators.link(*address, &self.config.admin.path_prefix)
    }

    /// Serves until a stop signal or a task that ended early, then stops. A second stop signal ends at once. A reload
    /// signal applies what `load` reads.
    ///
    /// # Errors
    /// The stop was not requested: a part of the bridge failed.
    pub async fn run(
        mut self,
        mut signals: Signals,
        load: impl Fn() -> Result<Config, Problems>,
    ) -> anyhow::Result<()> {
        let failed = loop {
            let stopping = self.tasks.stopping();
            let order = tokio::select! {
                order = signals.next() => order,
                () = stopping.cancelled() => break Some("a task ended early".to_owned()),
                ended = &mut self.server => break Some(format!("the listener ended: {ended:?}")),
            };
            let signal = match order {
                Signal::Stop(signal) => signal,
                Signal::Reload => tokio::select! {
                    () = self.reload(&load) => continue,
                    signal = signals.stop() => signal,
                },
            };
            tracing::info!(signal, "stopping");
            break None;
        };
        tokio::select! {
            () = self.stop() => {}
            _ = signals.stop() => anyhow::bail!("stopped at once by a second signal"),
        }
        match failed {
            None => Ok(()),
            Some(why) => Err(anyhow::anyhow!(why)),
        }
    }

    /// Stops accepting calls and starting attempts, lets what is in flight finish within the grace, closes the store.
    pub async fn stop(self) {
        let started = tokio::time::Instant::now();
        let left = || GRACE.saturating_sub(started.elapsed());
        self.stopping.cancel();
        self.tasks.stop();
        self.handle.graceful_shutdown(Some(GRACE));
        if !self.server.is_finished() {
            let _ = tokio::time::timeout(GRACE, self.server).await;
        }
        if !self.tasks.wait_all_within(left()).await {
            tracing::warn!("the grace is spent: attempts still in flight are unknown to the next start");
        }
        let closing = left().max(Duration::from_secs(1));
        if tokio::time::timeout(closing, self.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time; what was acknowledged is safe");
        }
        if let Some((_, admin)) = self.admin {
            admin.shutdown(); // last, so that the stop itself can be observed
        }
        tracing::info!("stopped");
    }
}

/// Opens the admin listener, with these pages. Messages do not depend on it: if it cannot be opened, that is only logged.
fn open_admin(config: &Config, pages: axum::Router) -> Option<(SocketAddr, Handle)> {
    let listen = config.admin.listen;
    let bound = http::listener::bind(listen).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            tracing::error!(
                %listen,
                error = &error as &dyn std::error::Error,
                "cannot listen on {listen} for operators: there is no /metrics; messages go on. Free the address or set \
                 admin.listen to another one, then restart"
            );
            return None;
        }
    };
    let handle = Handle::new();
    let router = http::admin::router(config.admin.token.as_ref(), &config.server.trusted_proxies, pages);
    let router = http::below::below(&config.admin.path_prefix, router);
    let serving = http::serve_operators(listener, router, handle.clone());
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(error = &error as &dyn std::error::Error, "the admin listener has closed; messages go on");
        }
    });
    tracing::info!(%address, "operators find /metrics at {address}");
    Some((address, handle))
}

/// Returns the OpenAPI document of the HTTP listener, as indented JSON.
pub(crate) fn openapi() -> String {
    format!("{:#}\n", bonychat::wire::openapi::document(""))
}

/// Returns the OpenAPI document of the admin listener's API, as indented JSON.
pub(crate) fn admin_openapi() -> String {
    format!("{:#}\n", http::ops::openapi::document())
}

/// Logs what is configured.
pub(crate) fn report(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("configuration: {warning}");
    }
    for line in config.summary() {
        tracing::info!("configuration: {line}");
    }
}

/// Checks that a valid configuration can be served by this version, without connecting or opening anything.
///
/// # Errors
/// The first key that prevents it, and why.
pub fn verify(config: &Config) -> anyhow::Result<()> {
    store::open::verify(&config.store.url)?;
    clients(config).map(drop)
}

/// Builds the clients of each channel over one connection pool per platform.
fn clients(config: &Config) -> anyhow::Result<HashMap<ChannelName, Clients>> {
    let shortest = |timeout: fn(&Channel) -> Duration| config.channels.values().map(timeout).min().unwrap_or(GRACE);
    let any = config.channels.values().next(); // extra roots are the same for all
    let to_afilnet =
        afilnet::client(shortest(|channel| channel.afilnet.timeout), any.map_or(&[], |channel| &channel.afilnet.ca))
            .context("cannot build the client for Afilnet")?;
    let to_bonychat =
        bonychat::client(shortest(|channel| channel.bonychat.timeout), any.map_or(&[], |channel| &channel.bonychat.ca))
            .context("cannot build the client for BonyChat")?;
    let to_anna = match &config.anna {
        Some(settings) => {
            metrics::anna::start(anna::ENDPOINTS);
            Some(AnnaClient::new(settings).context("cannot build the client for AnnA")?)
        }
        None => None,
    };
    let tokens = AccessTokens::default();
    let build = |channel: &Channel| {
        let lease_deadline = LeaseDeadline::expired();
        let messenger = AfilnetClient::new(channel, &config.outbound, config.language, to_afilnet.clone(), &tokens);
        let webhook = WebhookClient::new(channel, config.inbound.attachments, config.language, to_bonychat.clone())
            .map_err(|bad| {
                anyhow::anyhow!("channels.{}.{bad} (not set there, it is that of [bonychat])", channel.name)
            })?;
        let (messenger, webhook) =
            (Arc::new(messenger.behind(&lease_deadline)), Arc::new(webhook.behind(&lease_deadline)));
        let placeholders = to_anna
            .as_ref()
            .filter(|_| channel.anna)
            .map(|client| Arc::new(AnnaResolver::new(channel.name.clone(), client)) as Arc<dyn PlaceholderResolver>);
        Ok((channel.name.clone(), Clients { messenger, webhook, placeholders, lease_deadline }))
    };
    config.channels.values().map(build).collect()
}
