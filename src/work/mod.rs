//! The loops of a channel: sender, poller, publisher. Each channel has one owner; all that its loops share goes through
//! the store. They know the two platforms only as [`Messenger`] and [`Webhook`].

mod breaker;
mod gate;
mod poller;
mod publisher;
mod sender;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Channel, Config, FirstRun};
use crate::domain::clock::now_ms;
use crate::domain::sentence::{Got, sentence};
use crate::domain::{ChannelName, Fault, IdType, Language, Messenger, RetryPolicy, Scope, Webhook};
use crate::lifecycle::Life;
use crate::store::{ChannelSignals, Pace, Store};

use breaker::{Breaker, Pass};
use gate::{Gate, Permit};

/// How long a read lets sends of the same account go first.
const READ_PATIENCE: Duration = Duration::from_millis(500);

/// Longest time between two looks at the store, whoever forgot to ring (a command beside the process, for one).
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Wait after the store could not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// One Afilnet account: what its channels share.
#[derive(Debug)]
pub(crate) struct Account {
    gate: Arc<Gate>,
    /// Closed while Afilnet does not let the account in.
    breaker: Arc<Breaker>,
    /// Closed while the account has no credit.
    credit: Arc<Breaker>,
    pace: Arc<Pace>,
}

/// One channel and everything that its loops need.
pub(crate) struct Line {
    name: ChannelName,
    id_type: IdType,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    webhook: Arc<dyn Webhook>,
    account: Arc<Account>,
    /// Closed while Afilnet does not know the channel.
    breaker: Arc<Breaker>,
    signals: Arc<ChannelSignals>,
    retry: RetryPolicy,
    language: Language,
    live_for: Duration,
    poll_active: Duration,
    poll_idle: Duration,
    first_run: FirstRun,
    keep_rows: Duration,
    publish_per_second: u32,
}

/// The clients of one channel.
pub(crate) struct Clients {
    pub(crate) messenger: Arc<dyn Messenger>,
    pub(crate) webhook: Arc<dyn Webhook>,
}

/// Registers every channel with the store's signals, so that the door can be opened, and starts the loops.
pub(crate) async fn start(
    config: &Config,
    store: &Arc<dyn Store>,
    mut clients: HashMap<ChannelName, Clients>,
    life: &Life,
) -> Result<(), crate::store::StoreError> {
    let retry =
        RetryPolicy { initial: config.retry.initial, max: config.retry.max, give_up_after: config.retry.give_up_after };
    let mut accounts: HashMap<(String, String), Arc<Account>> = HashMap::new();
    for channel in config.channels.values() {
        let key = (channel.afilnet.url.to_string(), channel.afilnet.user.clone());
        let account = accounts.entry(key).or_insert_with(|| Arc::new(Account::new(channel, retry.max)));
        let signals = store.signals().register(&channel.name, &account.pace);
        let Some(Clients { messenger, webhook }) = clients.remove(&channel.name) else { continue };
        let served = Arc::new(Line {
            name: channel.name.clone(),
            id_type: channel.id_type,
            store: Arc::clone(store),
            messenger,
            webhook,
            account: Arc::clone(account),
            breaker: Breaker::new(retry.max),
            signals,
            retry,
            language: config.language,
            live_for: config.outbound.live_for,
            poll_active: channel.poll_active,
            poll_idle: channel.poll_idle,
            first_run: config.inbound.first_run,
            keep_rows: config.store.keep_rows,
            publish_per_second: channel.bonychat.requests_per_second,
        });
        served.start(life).await?;
    }
    let (store, keep) = (Arc::clone(store), (config.store.keep_text, config.store.keep_rows));
    life.spawn("upkeep".into(), upkeep::run(store, keep.0, keep.1, life.stopping()));
    Ok(())
}

impl Account {
    fn new(channel: &Channel, probe_every: Duration) -> Self {
        let afilnet = &channel.afilnet;
        Self {
            gate: Gate::new(afilnet.requests_per_second, afilnet.max_in_flight),
            breaker: Breaker::new(probe_every),
            credit: Breaker::new(probe_every),
            pace: Pace::new(afilnet.requests_per_second),
        }
    }
}

impl Line {
    /// Takes the channel over, accounts for what a former owner left under way, and starts its loops.
    async fn start(self: Arc<Self>, life: &Life) -> Result<(), crate::store::StoreError> {
        let epoch = self.store.own(&self.name).await?;
        let notice = sentence(&Fault::Interrupted, Got::Maybe, self.language);
        for left in self.store.interrupted(&self.name, epoch, notice, now_ms()).await? {
            tracing::warn!(
                channel.name = %self.name,
                message.id = %left.m_id,
                contact = %crate::telemetry::contact(&left.contact),
                "message `{}` was being sent when the process ended: it may have been delivered; it is kept aside as \
                 unknown and not sent again (`bridge messages list --state unknown`)",
                left.m_id
            );
        }
        let waiting = self.store.waiting(&self.name).await?;
        self.signals.add_waiting(i64::try_from(waiting).unwrap_or(i64::MAX));
        tracing::info!(channel.name = %self.name, waiting, "channel `{}` is served", self.name);
        let name = self.name.clone();
        life.spawn(format!("sender of {name}"), sender::run(Arc::clone(&self), epoch, life.stopping()));
        life.spawn(format!("poller of {name}"), poller::run(Arc::clone(&self), life.stopping()));
        life.spawn(format!("publisher of {name}"), publisher::run(self, life.stopping()));
        Ok(())
    }

    /// Waits for leave to read from Afilnet; `None` when the stop begins first.
    async fn may_read(&self, stop: &CancellationToken) -> Option<Leave> {
        stop.run_until_cancelled(self.leave(READ_PATIENCE)).await
    }

    /// Waits for leave to send to Afilnet; `None` when the stop begins first.
    async fn may_send(&self, stop: &CancellationToken) -> Option<Leave> {
        let credit = stop.run_until_cancelled(self.account.credit.pass()).await?;
        let mut leave = stop.run_until_cancelled(self.leave(Duration::ZERO)).await?;
        leave.credit = Some(credit);
        Some(leave)
    }

    /// Waits until channel and account are open and there is room for one request. Whoever is the probe of a closed way
    /// finds out by a call that changes nothing, and goes on once the way is open.
    async fn leave(&self, patience: Duration) -> Leave {
        loop {
            // The channel first: whoever holds the account's probe must not wait for anything but room.
            let channel = self.breaker.pass().await;
            let account = self.account.breaker.pass().await;
            let permit = self.account.gate.permit(patience).await;
            if account.is_probe() {
                match self.messenger.probe_account().await {
                    Ok(()) => self.opened(self.account.breaker.open()),
                    Err(error) => self.learn(Some(&error.fault)),
                }
            } else if channel.is_probe() {
                match self.messenger.probe_channel().await {
                    Ok(true) => self.opened(self.breaker.open()),
                    Ok(false) => self.learn(Some(&Fault::ChannelNotFound)),
                    Err(error) => self.learn(Some(&error.fault)),
                }
            } else {
                return Leave { permit, credit: None };
            }
        }
    }

    /// Learns from a call's outcome whether the account and the channel work: closes and opens the ways of all.
    fn learn(&self, fault: Option<&Fault>) {
        let Some(fault) = fault else {
            self.account.pace.set_stalled(false);
            self.opened(self.account.breaker.open() | self.breaker.open());
            return;
        };
        let (newly, what) = match fault.scope() {
            Scope::Account => (self.account.breaker.close(), "the account is"),
            Scope::Sends => (self.account.credit.close(), "the account's sends are"),
            Scope::Channel => (self.breaker.close(), "the channel is"),
            Scope::Call => {
                self.account.pace.set_stalled(fault.is_outage());
                return;
            }
        };
        self.account.pace.set_stalled(true);
        if newly {
            tracing::error!(
                channel.name = %self.name,
                fault = fault.code(),
                "channel `{}`: {} Nothing is lost: {what} paused, messages are kept, one probe every {:?} finds out \
                 whether it works again",
                self.name,
                sentence(fault, Got::No, self.language),
                self.retry.max
            );
        }
    }

    fn opened(&self, newly: bool) {
        if newly {
            tracing::info!(channel.name = %self.name, "channel `{}`: Afilnet works again, going on", self.name);
        }
    }
}

/// Leave to make one call to Afilnet.
struct Leave {
    permit: Permit,
    /// For a send: its pass through the account's credit, where a probe is the message itself.
    credit: Option<Pass>,
}

/// A number in `0.0..1.0` for full jitter.
fn jitter() -> f64 {
    rand::random()
}

/// Waits for a bell, at most until `due_ms`, and never longer than [`LOOK_AGAIN`]. False when the stop begins.
async fn wait_for(bell: &tokio::sync::Notify, due_ms: Option<i64>, stop: &CancellationToken) -> bool {
    let until_due = due_ms.map_or(LOOK_AGAIN, |due_ms| crate::domain::clock::since(now_ms(), due_ms));
    let wait = until_due.clamp(Duration::from_millis(1), LOOK_AGAIN);
    let rung = tokio::time::timeout(wait, bell.notified());
    stop.run_until_cancelled(rung).await.is_some()
}
