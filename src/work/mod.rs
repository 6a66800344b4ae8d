//! The loops of a channel: sender, looker, poller, publisher. Each channel has one owner; all that its loops share goes through
//! the store. They know the two platforms only as [`Messenger`] and [`Webhook`].

mod gauges;
mod inbound;
mod lease_manager;
mod limits;
mod outbound;
mod retention;
#[cfg(test)]
mod testing;
mod webhook;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Config, DirectionBy, FirstRun, OnUnconfirmed};
use crate::domain::clock::{millis, now_ms};
use crate::domain::{ChannelName, ContactId, Fence, IdType, Language, MId, Messenger, RetryPolicy, Webhook};
use crate::lifecycle::Life;
use crate::store::{ChannelSignals, Epoch, Pace, Store, StoreError, Waiting};
use crate::telemetry::metrics;

use inbound::account_traits::AccountTraits;
use inbound::initial_snapshot::SnapshotGate;
use inbound::receipts::Receipts;
use lease_manager::LeaseManager;
use limits::circuit_breaker::CircuitBreaker;
use limits::poison::PoisonDetector;
use limits::rate_limiter::RateLimiter;

/// How long a read lets sends of the same account go first.
const READS_YIELD_FOR: Duration = Duration::from_millis(500);

/// Longest time between two looks at the store, whoever forgot to ring (a command beside the process, for one).
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Outages of sends in a row that pause an account. Fewer may be one conversation's own trouble.
const OUTAGES: u32 = 3;

/// Wait after the store could not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// One Afilnet account: what its channels share.
#[derive(Debug)]
pub(crate) struct Account {
    limiter: Arc<RateLimiter>,
    /// Open while Afilnet does not let the account in, or is out of order.
    breaker: Arc<CircuitBreaker>,
    /// Open while the account has no credit, or sends alone are out of order.
    send_breaker: Arc<CircuitBreaker>,
    /// Sends in a row that met an outage.
    outages: AtomicU32,
    /// Sends that Afilnet took.
    sent: AtomicU64,
    poison: Mutex<PoisonDetector<MId>>,
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
    /// Open while Afilnet does not know the channel.
    breaker: Arc<CircuitBreaker>,
    signals: Arc<ChannelSignals>,
    retry: RetryPolicy,
    language: Language,
    live_for: Duration,
    /// Waits before the looks for a message of unknown outcome, and what to do where they could not tell.
    look_after: Vec<Duration>,
    on_unconfirmed: OnUnconfirmed,
    /// Conversations that are being read: by one loop at a time.
    reading: Mutex<HashSet<ContactId>>,
    poll_active: Duration,
    poll_idle: Duration,
    sweep_every: Duration,
    first_run: FirstRun,
    direction: DirectionBy,
    html_entities: bool,
    /// Questions go out numbered, and their answers come back as words.
    number_quick_replies: bool,
    /// Rows that somebody wrote in Afilnet's own panel are published too.
    echoes: bool,
    receipts: Receipts,
    traits: AccountTraits,
    snapshot: SnapshotGate,
    keep_rows: Duration,
    publish_per_second: u32,
    /// Until when calls for the channel may begin.
    fence: Fence,
}

/// The clients of one channel, and the fence that they stand behind.
pub(crate) struct Clients {
    pub(crate) messenger: Arc<dyn Messenger>,
    pub(crate) webhook: Arc<dyn Webhook>,
    pub(crate) fence: Fence,
}

/// Registers every channel with the store's signals, so that the door can be opened, and starts the loops. `before`: the
/// channels that this process served until now, whose loops have ended and are started anew.
pub(crate) async fn start(
    config: &Config,
    store: &Arc<dyn Store>,
    mut clients: HashMap<ChannelName, Clients>,
    before: &BTreeSet<ChannelName>,
    life: &Life,
) -> Result<(), StoreError> {
    let retry =
        RetryPolicy { initial: config.retry.initial, max: config.retry.max, give_up_after: config.retry.give_up_after };
    let mut accounts: HashMap<(String, String), Arc<Account>> = HashMap::new();
    let mut by_account: BTreeMap<(String, String), Vec<Arc<Line>>> = BTreeMap::new();
    let mut lines = Vec::with_capacity(config.channels.len());
    for channel in config.channels.values() {
        let key = (channel.afilnet.url.to_string(), channel.afilnet.user.clone());
        let (rate, in_flight) = (channel.afilnet.requests_per_second, channel.afilnet.max_in_flight);
        let account = accounts.entry(key.clone()).or_insert_with(|| Arc::new(Account::new(rate, in_flight)));
        let signals = store.signals().register(&channel.name, &account.pace);
        let Some(Clients { messenger, webhook, fence }) = clients.remove(&channel.name) else { continue };
        let of_channel = Arc::new(Line {
            name: channel.name.clone(),
            id_type: channel.id_type,
            store: Arc::clone(store),
            messenger,
            webhook,
            account: Arc::clone(account),
            breaker: CircuitBreaker::new(),
            signals,
            retry,
            language: config.language,
            live_for: config.outbound.live_for,
            look_after: config.outbound.look_after.clone(),
            on_unconfirmed: config.outbound.on_unconfirmed,
            reading: Mutex::default(),
            poll_active: channel.poll_active,
            poll_idle: channel.poll_idle,
            sweep_every: config.inbound.sweep_every,
            first_run: config.inbound.first_run,
            direction: config.inbound.direction,
            html_entities: config.inbound.html_entities,
            number_quick_replies: config.outbound.number_quick_replies,
            echoes: config.inbound.echoes,
            receipts: Receipts::new(config.inbound.statuses, &config.inbound.status_map),
            traits: AccountTraits::default(),
            snapshot: SnapshotGate::new(),
            keep_rows: config.store.keep_rows,
            publish_per_second: channel.bonychat.requests_per_second,
            fence,
        });
        by_account.entry(key).or_default().push(Arc::clone(&of_channel));
        lines.push(of_channel);
    }
    let back_ms = store.follow_clock(now_ms()).await?;
    if back_ms > 0 {
        tracing::warn!(
            back_ms,
            "this machine's clock was set back by about {} s since the last run; what waits goes on all the same",
            back_ms / 1000
        );
    }
    let shared = store.leases().is_some();
    let epochs = if shared { Vec::new() } else { take_over(&lines, before).await? };
    report_waiting(&lines, &store.waiting().await?, shared);
    // Only now that nothing can fail any more: a loop that is ended in mid-send leaves unknown outcomes.
    life.spawn("gauges".into(), gauges::run(lines.clone(), Arc::clone(store), life.stopping()));
    if shared {
        let (lease, answer_within) = (config.store.lease, config.outbound.answer_within);
        let accounts = by_account.into_values().collect();
        let mut lease_manager = LeaseManager::new(store, lease, answer_within, accounts, life.stopping());
        lease_manager.begin().await;
        life.spawn("lease manager".into(), lease_manager.run());
    }
    for (line, epoch) in lines.into_iter().zip(epochs) {
        if !before.is_empty() {
            line.account.limiter.fill_window(); // the loops before made calls in this very second
        }
        line.fence.move_to(i64::MAX);
        metrics::owned(&line.name, true);
        line.run(epoch, life);
    }
    let (store, keep) = (Arc::clone(store), (config.store.keep_text, config.store.keep_rows));
    life.spawn("retention".into(), retention::run(store, keep.0, keep.1, life.stopping()));
    Ok(())
}

/// Takes every channel over, side by side, so that they share commits.
async fn take_over(lines: &[Arc<Line>], before: &BTreeSet<ChannelName>) -> Result<Vec<Epoch>, StoreError> {
    let take = |line: &Arc<Line>| tokio::spawn(Arc::clone(line).take_over(before.contains(&line.name)));
    let tasks: Vec<_> = lines.iter().map(take).collect();
    let mut epochs = Vec::with_capacity(tasks.len());
    for task in tasks {
        epochs.push(task.await.map_err(|_| StoreError::Closed)??);
    }
    Ok(epochs)
}

/// Counts what waits, and says what waits for nobody.
fn report_waiting(lines: &[Arc<Line>], waiting: &[Waiting], shared: bool) {
    for line in lines.iter().filter(|_| !shared) {
        let there = waiting.iter().find(|there| there.channel == line.name.as_str());
        let outbound = there.map_or(0, |there| there.outbound);
        line.signals.comes_here(i64::try_from(outbound).unwrap_or(i64::MAX));
        tracing::info!(channel.name = %line.name, waiting = outbound, "channel `{}` is served", line.name);
    }
    for there in waiting.iter().filter(|there| lines.iter().all(|line| line.name.as_str() != there.channel)) {
        tracing::error!(
            channel.name = there.channel,
            outbound = there.outbound,
            conversations_with_events = there.events,
            "messages wait for channel `{}`, which is not configured: they are kept and not delivered. Configure it again \
             under this name, or see them with `bridge messages list --channel {}`",
            there.channel,
            there.channel
        );
    }
}

impl Account {
    fn new(requests_per_second: u32, max_in_flight: u32) -> Self {
        Self {
            limiter: RateLimiter::new(requests_per_second, max_in_flight),
            breaker: CircuitBreaker::new(),
            send_breaker: CircuitBreaker::new(),
            outages: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            poison: Mutex::default(),
            pace: Pace::new(requests_per_second),
        }
    }
}

impl Line {
    /// Makes this process the channel's owner where it is not, and accounts for what was left under way.
    async fn take_over(self: Arc<Self>, owned: bool) -> Result<Epoch, StoreError> {
        let epoch = if owned { self.store.own_anew(&self.name).await? } else { self.store.own(&self.name).await? };
        self.account_for_left(epoch).await?;
        Ok(epoch)
    }

    /// What a former owner left under way is looked up from now on.
    async fn account_for_left(&self, epoch: Epoch) -> Result<(), StoreError> {
        let now_ms = now_ms();
        for left in self.store.interrupted(&self.name, epoch, self.first_look_ms(now_ms), now_ms).await? {
            metrics::unknown(&self.name);
            tracing::warn!(
                channel.name = %self.name,
                message.id = %left.m_id,
                contact = %crate::telemetry::contact(&left.contact),
                "message `{}` was being sent when the process ended: it may have been delivered; its conversation waits \
                 until it is looked up at Afilnet",
                left.m_id
            );
        }
        Ok(())
    }

    /// Whether a call may begin: at once, or once the lease is renewed. False where the stop begins first, as it does
    /// when the lease is lost.
    async fn may_call(&self, stop: &CancellationToken) -> bool {
        self.fence.holds() || stop.run_until_cancelled(self.fence.held()).await.is_some()
    }

    /// Starts the channel's loops.
    fn run(self: Arc<Self>, epoch: Epoch, life: &Life) {
        let name = self.name.clone();
        life.spawn(format!("sender of {name}"), outbound::sender::run(Arc::clone(&self), epoch, life.stopping()));
        life.spawn(
            format!("reconciler of {name}"),
            outbound::reconciler::run(Arc::clone(&self), epoch, life.stopping()),
        );
        life.spawn(format!("poller of {name}"), inbound::poller::run(Arc::clone(&self), life.stopping()));
        life.spawn(format!("publisher of {name}"), webhook::run(self, life.stopping()));
    }

    /// When to look first for a message whose outcome is unknown since now.
    fn first_look_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.look_after.first().map_or(0, |wait| millis(*wait)))
    }

    /// The turn to read a conversation; `None` while another loop reads it.
    fn reading_turn(self: &Arc<Self>, contact: &ContactId) -> Option<ReadingTurn> {
        let free = lock(&self.reading).insert(contact.clone());
        free.then(|| ReadingTurn { line: Arc::clone(self), contact: contact.clone() })
    }
}

/// The turn to read one conversation; ends however the read ends.
struct ReadingTurn {
    line: Arc<Line>,
    contact: ContactId,
}

impl Drop for ReadingTurn {
    fn drop(&mut self) {
        lock(&self.line.reading).remove(&self.contact);
    }
}

/// What these locks guard is whole between any two lines that could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
