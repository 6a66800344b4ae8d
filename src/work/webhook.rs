//! Inbound, after the durable line: posts events to BonyChat, in order per conversation, one a POST, below the rate that
//! BonyChat allows a channel. While BonyChat is down or does not let the channel in, one probe at a time goes and the
//! rest waits untried.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::channel::{Channel, ChannelSettings};
use super::limits::circuit_breaker::Permit;
use super::limits::rate_limiter::{RateLimiter, Slot};
use super::limits::upstream::Upstream;
use super::lock::lock;
use super::wait::{STORE_PAUSE, jitter, may_call, notified};
use crate::config::BONYCHAT_LIMIT;
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::{ContactId, Delivery, Fault, Fence, Scope, Webhook};
use crate::store::{ChannelSignals, DueEvent, Publication, Store, StoreError};
use crate::telemetry::metrics::{self, Part};

/// Tries that an event gets however old it is, where BonyChat is out of order.
const LEAST_TRIES: u32 = 10;

/// Conversations published side by side, at most.
const SIDE_BY_SIDE: u32 = 8;

/// Time between two probes of a webhook that is out of order, at least. An agent waits for what comes after.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// After a longer wait for a permit, the event is queried again: an operator may have discarded it.
const STALE: Duration = Duration::from_secs(1);

/// One channel's publisher, and all that it touches.
pub(super) struct Publisher {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    webhook: Arc<dyn Webhook>,
    deadline: Fence,
    signals: Arc<ChannelSignals>,
    /// Its breaker is open while BonyChat is out of order, does not take the channel's token, or the webhook URL is wrong.
    upstream: Upstream<i64>,
    /// Conversations with an event under way.
    under_way: Mutex<HashSet<ContactId>>,
    /// Trips since an event that BonyChat answered for good, for what concerns the channel's set-up.
    trips: AtomicU32,
    /// Tries of an event that failed while the breaker was closed: its own trouble, by its row.
    own_tries: Mutex<HashMap<i64, u32>>,
}

impl Publisher {
    pub(super) fn new(channel: &Channel) -> Self {
        Self {
            upstream: Upstream::limited_by(match channel.settings.publish_per_second {
                pace @ ..=BONYCHAT_LIMIT => RateLimiter::counting_arrivals(pace, SIDE_BY_SIDE, BONYCHAT_LIMIT),
                pace => RateLimiter::new(pace, SIDE_BY_SIDE), // not BonyChat's: a webhook on this machine
            }),
            under_way: Mutex::default(),
            trips: AtomicU32::new(0),
            own_tries: Mutex::default(),
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&channel.ports.store),
            webhook: Arc::clone(&channel.ports.webhook),
            deadline: channel.ports.deadline.clone(),
            signals: Arc::clone(&channel.state.signals),
        }
    }

    /// Runs until the stop, then until every post in flight is settled.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let posts = TaskTracker::new();
        while !stop.is_cancelled() {
            match self.step(&posts, &stop).await {
                Ok(true) => {}
                Ok(false) => {
                    let due_ms = self.store.next_event_ms(&self.settings.name, now_ms()).await.ok().flatten();
                    notified(&self.signals.events, due_ms, &stop).await;
                }
                Err(StoreError::Closed) => break,
                Err(error) => {
                    tracing::error!(
                        channel.name = %self.settings.name,
                        error = &error as &dyn std::error::Error,
                        "channel `{}`: cannot take events from the store; trying again", self.settings.name
                    );
                    stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
                }
            }
        }
        posts.close();
        posts.wait().await;
        Ok(())
    }

    /// One pass: starts a post for each conversation whose turn it is. Returns whether it started any.
    async fn step(self: &Arc<Self>, posts: &TaskTracker, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut started = false;
        for event in self.due().await? {
            if self.under_way().len() >= SIDE_BY_SIDE as usize {
                break;
            }
            let asked = Instant::now();
            let Some((permit, slot)) = stop.run_until_cancelled(self.upstream.acquire(Duration::ZERO)).await else {
                return Ok(false);
            };
            if asked.elapsed() >= STALE {
                let Some(event) = self.due().await?.into_iter().next() else {
                    slot.unused();
                    return Ok(started);
                };
                self.start(event, permit, slot, posts, stop);
                return Ok(true);
            }
            self.start(event, permit, slot, posts, stop);
            started = true;
        }
        Ok(started)
    }

    /// The events whose turn it is, of conversations that have none under way.
    async fn due(&self) -> Result<Vec<DueEvent>, StoreError> {
        // Taken before the query: what is under way now may be settled meanwhile, and the query would not show it.
        let busy = self.under_way().clone();
        // Some of the first may be under way; ask for enough that others are among them.
        let due = self.store.due_events(&self.settings.name, now_ms(), 2 * SIDE_BY_SIDE).await?;
        Ok(due.into_iter().filter(|event| !busy.contains(&event.contact)).collect())
    }

    fn start(
        self: &Arc<Self>,
        event: DueEvent,
        permit: Permit,
        slot: Slot,
        posts: &TaskTracker,
        stop: &CancellationToken,
    ) {
        self.under_way().insert(event.contact.clone());
        let turn = Turn { publisher: Arc::clone(self), contact: event.contact.clone() };
        let stop = stop.clone();
        posts.spawn(async move {
            turn.publisher.post(&event, permit, slot, &stop).await;
            drop(turn);
        });
    }

    /// Posts one event and settles what became of it.
    async fn post(&self, event: &DueEvent, permit: Permit, slot: Slot, stop: &CancellationToken) {
        if !may_call(&self.deadline, stop).await {
            return slot.unused();
        }
        let started = Instant::now();
        let (webhook, sent) = (Arc::clone(&self.webhook), event.clone());
        let call = tokio::spawn(async move { webhook.publish(&sent.contact, &sent.event).await });
        let failed = Delivery::Again { fault: Fault::Interrupted, asked: None };
        let delivery = call.await.unwrap_or(failed);
        drop(slot);
        self.on_result(&permit, &delivery);
        drop(permit);
        let publication = self.judge(event, &delivery);
        self.report(event, &publication, started.elapsed());
        while let Err(error) = self.store.published(event, publication.clone(), now_ms()).await {
            if stop.is_cancelled() || !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(message.id = %event.event.m_id, error = &error as &dyn std::error::Error,
                    "the outcome of event `{}` could not be stored; it may be posted again under the same id",
                    event.event.m_id);
                return;
            }
            stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
        }
    }

    /// Learns from an answer whether BonyChat takes this channel's events at all.
    fn on_result(&self, permit: &Permit, delivery: &Delivery) {
        let name = &self.settings.name;
        let fault = match delivery {
            Delivery::Done | Delivery::Refused { .. } => {
                self.upstream.on_accepted();
                self.trips.store(0, Ordering::Relaxed);
                if permit.succeeded() {
                    metrics::paused(name, Part::Webhook, false);
                    tracing::info!(channel.name = %name, "channel `{name}`: BonyChat takes its events again, going on");
                }
                return;
            }
            Delivery::Again { fault, asked } if fault.is_outage() => return self.on_outage(permit, fault, *asked),
            Delivery::Again { fault, .. } => fault,
        };
        if matches!(fault.scope(), Scope::Call | Scope::Sends) {
            return;
        }
        metrics::paused(name, Part::Webhook, true);
        // Soon at first: it may be this event alone. The longer it lasts the slower.
        let trips = self.trips.fetch_add(1, Ordering::Relaxed) + 1;
        if self.upstream.breaker.trip(self.settings.retry.wait(trips, None, 1.0)) && trips == 1 {
            tracing::error!(
                channel.name = %name,
                fault = fault.code(),
                "channel `{name}`: BonyChat does not take its events ({}): check api_token and webhook_url against the \
                 channel's page in BonyChat. Nothing is lost: publishing is paused, events are kept, and a probe finds out \
                 when it works again",
                fault.code()
            );
        }
    }

    /// Trips the breaker after some outages in a row, whichever conversations they met: what waits is not tried in vain.
    fn on_outage(&self, permit: &Permit, fault: &Fault, asked: Option<Duration>) {
        let lasts = self.upstream.on_outage();
        let wait = PROBE_EVERY.max(asked.unwrap_or_default());
        if !permit.is_probe() && self.upstream.breaker.is_open() {
            // One that was under way when the breaker was tripped: all that is new is how long to wait.
            return self.upstream.breaker.not_before(wait);
        }
        if !lasts && !permit.is_probe() {
            return;
        }
        let name = &self.settings.name;
        metrics::paused(name, Part::Webhook, true);
        if self.upstream.breaker.trip(wait) {
            tracing::error!(
                channel.name = %name,
                fault = fault.code(),
                "channel `{name}`: BonyChat is out of order ({}): publishing is paused, events are kept in their order, \
                 and a probe a second finds out when it works again",
                fault.code()
            );
        }
    }

    /// When an event that met an outage goes again. While the breaker is open its turn comes about with every probe;
    /// otherwise it waits the longer the more often it alone failed.
    fn again_in(&self, event: &DueEvent, asked: Option<Duration>) -> Duration {
        if self.upstream.breaker.is_open() {
            return PROBE_EVERY.max(asked.unwrap_or_default());
        }
        let mut own_tries = lock(&self.own_tries);
        let tries = own_tries.entry(event.row).or_default();
        *tries = tries.saturating_add(1);
        self.settings.retry.wait(*tries, asked, jitter())
    }

    fn judge(&self, event: &DueEvent, delivery: &Delivery) -> Publication {
        let publication = self.judged(event, delivery);
        if !matches!(publication, Publication::Queued { .. }) {
            lock(&self.own_tries).remove(&event.row);
        }
        publication
    }

    fn judged(&self, event: &DueEvent, delivery: &Delivery) -> Publication {
        match delivery {
            Delivery::Done => Publication::Done,
            Delivery::Refused { fault } => Publication::Dead { fault: fault.clone() },
            Delivery::Again { fault, asked } => {
                let now_ms = now_ms();
                match fault.scope() {
                    Scope::Account | Scope::Channel if self.upstream.is_poison(&event.row) => {
                        Publication::Dead { fault: fault.clone() }
                    }
                    Scope::Account | Scope::Channel => Publication::Queued { due_ms: now_ms, fault: fault.clone() },
                    // However old: while nothing goes, nothing is given up for it.
                    Scope::Call | Scope::Sends
                        if !self.upstream.breaker.is_open() && self.gives_up(event, fault, now_ms) =>
                    {
                        Publication::Dead { fault: fault.clone() }
                    }
                    Scope::Call | Scope::Sends => {
                        let wait = self.again_in(event, *asked);
                        Publication::Queued { due_ms: now_ms.saturating_add(millis(wait)), fault: fault.clone() }
                    }
                }
            }
        }
    }

    /// An event that waited long behind others, or while nothing went, is not given up at its first hiccup.
    fn gives_up(&self, event: &DueEvent, fault: &Fault, now_ms: i64) -> bool {
        if fault.is_outage() && event.attempts < LEAST_TRIES {
            return false;
        }
        self.settings.retry.gives_up(since(event.recorded_ms, now_ms), event.before.and(fault), fault)
    }

    /// Counts what came of an attempt; one log line each.
    fn report(&self, event: &DueEvent, publication: &Publication, elapsed: Duration) {
        let (m_id, duration_ms) = (&event.event.m_id, millis(elapsed));
        macro_rules! log {
            ($level:ident, $fault:expr, $($text:tt)*) => {
                tracing::$level!(
                    channel.name = %self.settings.name,
                    message.id = %m_id,
                    contact = %crate::telemetry::contact(&event.contact),
                    kind = event.event.body.kind(),
                    attempt = event.attempts + 1,
                    fault = $fault,
                    duration_ms,
                    $($text)*
                )
            };
        }
        match publication {
            Publication::Done => metrics::published(&self.settings.name, event.event.body.kind()),
            Publication::Dead { .. } => metrics::dead_event(&self.settings.name),
            Publication::Queued { .. } => {}
        }
        let none: Option<String> = None;
        match publication {
            Publication::Done => log!(info, none, "published event `{m_id}`"),
            // The pause has a line of its own, and probes are many.
            Publication::Queued { fault, .. } if self.upstream.breaker.is_open() => {
                log!(debug, fault.code(), "event `{m_id}` was not taken; it waits for the end of the pause");
            }
            Publication::Queued { fault, due_ms } => log!(
                warn,
                fault.code(),
                "event `{m_id}` was not taken; it is posted again in {} ms",
                due_ms.saturating_sub(now_ms())
            ),
            Publication::Dead { fault } => log!(
                error,
                fault.code(),
                "event `{m_id}` is given up: BonyChat refuses it ({}); it is kept as a dead letter and the conversation \
                 goes on",
                fault.code()
            ),
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<ContactId>> {
        lock(&self.under_way)
    }
}

/// A conversation's turn; ends however the post ends.
struct Turn {
    publisher: Arc<Publisher>,
    contact: ContactId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.publisher.under_way().remove(&self.contact);
        self.publisher.signals.events.notify_one();
    }
}

#[cfg(test)]
mod tests;
