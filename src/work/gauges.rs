//! Gauges: what is paused, and how deep the queues are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::channel::Channel;
use crate::domain::ChannelName;
use crate::domain::clock::{now_ms, since};
use crate::store::{QueueDepth, Store};
use crate::telemetry::metrics::{self, Part};

/// Time between two updates.
const EVERY: Duration = Duration::from_secs(1);

/// Time between two checks of the store, and the wait for one: a store that has not replied by then is not ready.
const CHECK_EVERY: Duration = Duration::from_secs(5);
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// Time between two counts of the queues, at least, and the share of the time that counting may take.
const COUNT_EVERY: Duration = Duration::from_secs(5);
const COUNT_SHARE: u32 = 50;

/// Time between two questions which channels have an owner: /deliverz fails where one has none for a while.
const OWNERS_EVERY: Duration = Duration::from_secs(5);

/// Runs until the stop.
pub(super) async fn run(
    channels: Vec<Arc<Channel>>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (mut next_count, mut next_owners) = (Instant::now(), Instant::now());
    let mut known: Vec<(ChannelName, Option<String>)> = Vec::new();
    loop {
        let (here, elsewhere): (Vec<_>, Vec<_>) = channels.iter().partition(|channel| channel.state.wakeups.is_local());
        for channel in elsewhere {
            metrics::elsewhere(channel.name());
        }
        let paused_by: Vec<_> =
            here.iter().map(|channel| (channel.name().clone(), channel.state.calls.paused_by())).collect();
        // What another process has written meanwhile is not known.
        known.retain(|(name, _)| here.iter().any(|channel| channel.name() == name));
        let changed: Vec<_> = paused_by.iter().filter(|one| !known.contains(*one)).cloned().collect();
        if !changed.is_empty() && store.set_paused_by(changed, now_ms()).await.is_ok() {
            known = paused_by; // of a store that cannot be written, once it can
        }
        for channel in here {
            let (name, calls) = (channel.name(), &channel.state.calls);
            metrics::paused(name, Part::Account, calls.account.upstream.breaker.is_open());
            metrics::paused(name, Part::Sends, calls.account.send_breaker.is_open());
            metrics::paused(name, Part::Channel, calls.breaker.is_open());
            metrics::operator_pauses(name, channel.state.wakeups.pauses());
        }
        if Instant::now() >= next_count {
            metrics::fold();
            let started = Instant::now();
            match store.depths().await {
                Ok(depths) => show(&channels, &depths),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "could not count what waits"),
            }
            next_count = Instant::now() + (started.elapsed() * COUNT_SHARE).max(COUNT_EVERY);
        }
        if Instant::now() >= next_owners {
            match store.operators().owners().await {
                Ok(Some(owners)) => {
                    let nobodys = channels.iter().map(|channel| channel.name());
                    metrics::delivered_by_nobody(nobodys.filter(|name| !owners.contains_key(name.as_str())));
                }
                Ok(None) => {} // this process has the store to itself
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "could not ask who delivers what");
                }
            }
            next_owners = Instant::now() + OWNERS_EVERY;
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return Ok(());
        }
    }
}

/// Shows whether the store can be written, until the stop: the store logs that itself.
pub(super) async fn check_store(store: Arc<dyn Store>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let ready = matches!(tokio::time::timeout(CHECK_WITHIN, store.check()).await, Ok(Ok(())));
        metrics::store_ready(ready);
        if stop.run_until_cancelled(tokio::time::sleep(CHECK_EVERY)).await.is_none() {
            return Ok(());
        }
    }
}

/// Sets the depth of each channel that is delivered here; zero if nothing waits.
fn show(channels: &[Arc<Channel>], depths: &[QueueDepth]) {
    let now_ms = now_ms();
    let by_name: std::collections::HashMap<&str, &QueueDepth> =
        depths.iter().map(|d| (d.channel.as_str(), d)).collect();
    for channel in channels.iter().filter(|channel| channel.state.wakeups.is_local()) {
        let there = by_name.get(channel.name().as_str()).map_or_else(metrics::Depth::default, |there| metrics::Depth {
            outbound: there.outbound,
            oldest: there.oldest_ms.map_or(Duration::ZERO, |then_ms| since(then_ms, now_ms)),
            events: there.events,
            unconfirmed: there.unconfirmed,
            dead_events: there.dead_events,
        });
        metrics::depth(channel.name(), there);
    }
}
