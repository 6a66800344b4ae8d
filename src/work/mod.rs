//! The loops of a channel: sender, reconciler, poller, publisher. Each channel has one owner; its loops share messages
//! and events only through the store. They know the two platforms only as [`Messenger`] and [`Webhook`].

mod balance;
mod channel;
mod gauges;
mod inbound;
mod lease_manager;
mod limits;
mod lock;
mod loops;
mod operator_pauses;
mod outbound;
mod retention;
#[cfg(test)]
mod testing;
mod text_index;
mod wait;
mod webhook;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::{Channel as ChannelConfig, Config};
use crate::domain::clock::now_ms;
use crate::domain::{ChannelName, LeaseDeadline, Messenger, PlaceholderResolver, RetryPolicy, Webhook};
use crate::lifecycle::TaskGroup;
use crate::store::{Epoch, Store, StoreError, Waiting};
use crate::telemetry::{delivery, metrics};

use channel::{Channel, ChannelPorts, ChannelSettings};
use inbound::receipts::Receipts;
use lease_manager::LeaseManager;
use limits::call_permit::Account;

/// The clients of one channel, and their lease deadline.
pub(crate) struct Clients {
    pub(crate) messenger: Arc<dyn Messenger>,
    pub(crate) webhook: Arc<dyn Webhook>,
    pub(crate) placeholders: Option<Arc<dyn PlaceholderResolver>>,
    pub(crate) lease_deadline: LeaseDeadline,
}

/// Registers every channel with the store's wakeups, so that the listener can be opened, and starts the loops.
/// `before`: the channels that this process served until now; their loops have ended and are restarted.
pub(crate) async fn start(
    config: &Config,
    store: &Arc<dyn Store>,
    mut clients: HashMap<ChannelName, Clients>,
    before: &BTreeSet<ChannelName>,
    tasks: &TaskGroup,
) -> Result<(), StoreError> {
    let mut accounts: HashMap<(String, String), Arc<Account>> = HashMap::new();
    let mut by_account: BTreeMap<(String, String), Vec<Arc<Channel>>> = BTreeMap::new();
    let mut channels = Vec::with_capacity(config.channels.len());
    for channel in config.channels.values() {
        let key = (channel.afilnet.url.to_string(), channel.afilnet.user.clone());
        let (rate, in_flight) = (channel.afilnet.requests_per_second, channel.afilnet.max_in_flight);
        let account = accounts.entry(key.clone()).or_insert_with(|| Arc::new(Account::new(rate, in_flight)));
        let wakeups = store.wakeups().register(&channel.name, &account.load);
        let Some(Clients { messenger, webhook, placeholders, lease_deadline }) = clients.remove(&channel.name) else {
            continue;
        };
        let ports =
            ChannelPorts { store: Arc::clone(store), messenger, webhook, placeholders, deadline: lease_deadline };
        let receipts = Receipts::new(config.inbound.statuses, &config.inbound.status_map);
        let channel = Channel::new(settings(config, channel), ports, account, wakeups, receipts);
        delivery::polls_every(channel.name().as_str(), channel.settings.poll_idle);
        by_account.entry(key).or_default().push(Arc::clone(&channel));
        channels.push(channel);
    }
    let back_ms = store.correct_clock_rollback(now_ms()).await?;
    if back_ms > 0 {
        tracing::warn!(
            back_ms,
            "this machine's clock was set back by about {} s since the last run; what waits goes on all the same",
            back_ms / 1000
        );
    }
    operator_pauses::follow(&channels, store.as_ref()).await?;
    let shared = store.leases().is_some();
    let epochs = if shared { Vec::new() } else { take_over(&channels, before).await? };
    report_waiting(&channels, &store.waiting().await?, shared);
    // Only now that nothing can fail any more: a loop that is stopped during a send leaves an unknown outcome.
    tasks.spawn("gauges".into(), gauges::run(channels.clone(), Arc::clone(store), tasks.stopping()));
    let pauses = operator_pauses::run(channels.clone(), Arc::clone(store), tasks.stopping());
    tasks.spawn("pauses by hand".into(), pauses);
    tasks.spawn("check of the store".into(), gauges::check_store(Arc::clone(store), tasks.stopping()));
    tasks.spawn("balances".into(), balance::run(by_account.values().cloned().collect(), tasks.stopping()));
    if shared {
        let (lease, answer_within) = (config.store.lease, config.outbound.answer_within);
        let accounts = by_account.into_values().collect();
        let mut lease_manager = LeaseManager::new(store, lease, answer_within, accounts, tasks.stopping());
        lease_manager.begin().await;
        tasks.spawn("lease manager".into(), lease_manager.run());
    }
    for (channel, epoch) in channels.into_iter().zip(epochs) {
        if !before.is_empty() {
            channel.state.calls.account.upstream.limiter.fill_window(); // the former loops may have made calls in this second
        }
        channel.ports.deadline.extend_to(i64::MAX);
        metrics::owned(channel.name(), true);
        loops::start(&channel, epoch, tasks);
    }
    tasks.spawn("index of words".into(), text_index::run(Arc::clone(store), tasks.stopping()));
    let (store, keep) = (Arc::clone(store), (config.store.keep_text, config.store.keep_rows));
    tasks.spawn("retention".into(), retention::run(store, keep.0, keep.1, tasks.stopping()));
    Ok(())
}

/// Returns the settings of `channel`.
fn settings(config: &Config, channel: &ChannelConfig) -> ChannelSettings {
    let retry = &config.retry;
    ChannelSettings {
        name: channel.name.clone(),
        id_type: channel.id_type,
        language: config.language,
        retry: RetryPolicy { initial: retry.initial, max: retry.max, give_up_after: retry.give_up_after },
        live_for: config.outbound.live_for,
        stale_after: config.outbound.stale_after,
        look_after: config.outbound.look_after.clone(),
        on_unconfirmed: config.outbound.on_unconfirmed,
        number_quick_replies: config.outbound.number_quick_replies,
        poll_active: channel.poll_active,
        poll_idle: channel.poll_idle,
        sweep_every: config.inbound.sweep_every,
        decide_within: config.inbound.decide_within,
        first_run: config.inbound.first_run,
        direction: config.inbound.direction,
        html_entities: config.inbound.html_entities,
        echoes: config.inbound.echoes,
        keep_rows: config.store.keep_rows,
        publish_per_second: channel.bonychat.requests_per_second,
    }
}

/// Takes every channel over concurrently, so that they share commits.
async fn take_over(channels: &[Arc<Channel>], before: &BTreeSet<ChannelName>) -> Result<Vec<Epoch>, StoreError> {
    let take =
        |channel: &Arc<Channel>| tokio::spawn(take_ownership(Arc::clone(channel), before.contains(channel.name())));
    let tasks: Vec<_> = channels.iter().map(take).collect();
    let mut epochs = Vec::with_capacity(tasks.len());
    for task in tasks {
        epochs.push(task.await.map_err(|_| StoreError::Closed)??);
    }
    Ok(epochs)
}

/// Makes this process the channel's owner (`again`: it is already), and marks unfinished sends as in doubt.
async fn take_ownership(channel: Arc<Channel>, again: bool) -> Result<Epoch, StoreError> {
    let (store, name) = (&channel.ports.store, channel.name());
    let epoch = if again { store.retake_ownership(name).await? } else { store.take_ownership(name).await? };
    loops::account_for_left(&channel, epoch).await?;
    Ok(epoch)
}

/// Counts what waits, and logs what waits for channels that are not configured.
fn report_waiting(channels: &[Arc<Channel>], waiting: &[Waiting], shared: bool) {
    for channel in channels.iter().filter(|_| !shared) {
        let name = channel.name();
        let there = waiting.iter().find(|there| there.channel == name.as_str());
        let outbound = there.map_or(0, |there| there.outbound);
        channel.state.wakeups.set_local(i64::try_from(outbound).unwrap_or(i64::MAX));
        tracing::info!(channel_name = %name, waiting = outbound, "channel `{name}` is served");
    }
    let configured = |there: &&Waiting| channels.iter().any(|channel| channel.name().as_str() == there.channel);
    for there in waiting.iter().filter(|there| !configured(there)) {
        tracing::error!(
            channel_name = there.channel,
            outbound = there.outbound,
            conversations_with_events = there.events,
            "messages wait for channel `{}`, which is not configured: they are kept and not delivered. Configure it again \
             under this name, or see them with `bridge messages list --channel {}`",
            there.channel,
            there.channel
        );
    }
}
