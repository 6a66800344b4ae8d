//! Publisher: posts stored events to BonyChat, in order per conversation, one per POST, below the rate that BonyChat
//! allows a channel. While BonyChat has an outage or refuses the channel, only one probe at a time is sent. A refused
//! event is given up only once others show that it is at fault itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::channel::{Channel, ChannelSettings};
use super::limits::circuit_breaker::Permit;
use super::limits::rate_limiter::{RateLimiter, Slot};
use super::limits::refusals::{RefusalCause, RefusalFinding, Refusals};
use super::limits::upstream::Upstream;
use super::lock::lock;
use super::wait::{STORE_PAUSE, jitter, may_call, notified};
use crate::config::BONYCHAT_LIMIT;
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::journey::{PostOutcome, Step, StepRecord};
use crate::domain::{
    Called, ContactId, Delivery, EventBody, Fault, LeaseDeadline, Response, Scope, Webhook, until_probe,
};
use crate::store::{ChannelWakeups, DueEvent, Publication, Store, StoreError};
use crate::telemetry::metrics::{self, Part};

/// Least attempts of an event before it is given up, however old it is, during an outage of BonyChat.
const LEAST_TRIES: u32 = 10;

/// Conversations published concurrently, at most.
const SIDE_BY_SIDE: u32 = 8;

/// Least time between two probes during an outage of the webhook. An agent waits for the events after it.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Time before a refused event is posted again, where others would go before it next. A single refusal may be a hiccup
/// of BonyChat: the event behind would be accepted first, and the two would arrive in the wrong order.
const HICCUP: Duration = Duration::from_millis(250);

/// Events behind a refused one that are tried in one pass, at most.
const BEHIND: usize = 8;

/// Stuck conversations that are watched, at most; the others are retried after their own waits.
const STUCK: usize = 100;

/// An event is not begun from an older list: a person may have discarded it, or paused the channel.
const STALE: Duration = Duration::from_secs(1);

/// One channel's publisher.
pub(super) struct Publisher {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    webhook: Arc<dyn Webhook>,
    deadline: LeaseDeadline,
    wakeups: Arc<ChannelWakeups>,
    /// Its breaker is open while BonyChat has an outage or refuses the channel's token, or the webhook URL is wrong.
    upstream: Upstream<i64>,
    /// Conversations with an event under way.
    under_way: Mutex<HashSet<ContactId>>,
    /// Events refused since one was accepted last.
    refusals: Mutex<Refusals<i64, ContactId>>,
    stuck: Mutex<HashMap<ContactId, Stuck>>,
    /// Failed attempts of an event while the breaker was closed, by event id.
    own_tries: Mutex<HashMap<i64, u32>>,
}

impl Publisher {
    pub(super) fn new(channel: &Channel) -> Self {
        Self {
            upstream: Upstream::limited_by(match channel.settings.publish_per_second {
                per_second @ ..=BONYCHAT_LIMIT => {
                    RateLimiter::counting_arrivals(per_second, SIDE_BY_SIDE, BONYCHAT_LIMIT)
                }
                per_second => RateLimiter::new(per_second, SIDE_BY_SIDE), // a webhook on this machine, not BonyChat's
            }),
            under_way: Mutex::default(),
            refusals: Mutex::default(),
            stuck: Mutex::default(),
            own_tries: Mutex::default(),
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&channel.ports.store),
            webhook: Arc::clone(&channel.ports.webhook),
            deadline: channel.ports.deadline.clone(),
            wakeups: Arc::clone(&channel.state.wakeups),
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
                    notified(&self.wakeups.events, due_ms, &stop).await;
                }
                Err(StoreError::Closed) => break,
                Err(error) => {
                    tracing::error!(
                        channel_name = %self.settings.name,
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

    /// Runs one pass: starts a post for each conversation with a due event. Returns whether it started any.
    async fn step(self: &Arc<Self>, posts: &TaskTracker, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut started = false;
        let asked = Instant::now();
        for event in self.due().await? {
            if self.under_way().len() >= SIDE_BY_SIDE as usize {
                break;
            }
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

    /// Returns the due events of conversations that have none under way.
    async fn due(&self) -> Result<Vec<DueEvent>, StoreError> {
        // Read before the query: what is under way now may be settled meanwhile, and the query would not show it.
        let busy = self.under_way().clone();
        // Some of the first may be under way, so more are queried.
        let mut due = self.store.due_events(&self.settings.name, now_ms(), 2 * SIDE_BY_SIDE).await?;
        due.extend(self.heads_that_may_be_told_of().await?);
        let mut taken = busy;
        due.retain(|event| taken.insert(event.contact.clone()));
        // The better probes first: events that were refused before prove nothing new.
        let refusals = lock(&self.refusals);
        due.sort_by_key(|event| refusals.is_suspect(&event.event_id));
        Ok(due)
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
        let turn = ConversationTurn { publisher: Arc::clone(self), contact: event.contact.clone() };
        let stop = stop.clone();
        posts.spawn(async move {
            turn.publisher.post(&event, permit, slot, &stop).await;
            drop(turn);
        });
    }

    /// Posts one event and settles it.
    async fn post(&self, event: &DueEvent, permit: Permit, slot: Slot, stop: &CancellationToken) {
        if !may_call(&self.deadline, stop).await {
            return slot.unused();
        }
        let started = Instant::now();
        let delivery = self.call(event, slot).await;
        let (delivery, ruling) = self.ruled(event, delivery, &permit, stop).await;
        self.conclude(event, &delivery, ruling, started, &permit, stop).await;
    }

    /// Makes one call, which continues to its end if the waiting task ends.
    async fn call(&self, event: &DueEvent, slot: Slot) -> Called<Delivery> {
        let (webhook, sent) = (Arc::clone(&self.webhook), event.clone());
        let call = tokio::spawn(async move { webhook.publish(&sent.contact, &sent.event).await });
        let failed = Delivery::Again { fault: Fault::Interrupted, asked: None };
        let delivery = call.await.unwrap_or_else(|_| failed.into());
        drop(slot);
        delivery
    }

    /// Feeds a result back, and settles the event.
    async fn conclude(
        &self,
        event: &DueEvent,
        Called { outcome: delivery, response }: &Called<Delivery>,
        ruling: RefusalFinding,
        started: Instant,
        permit: &Permit,
        stop: &CancellationToken,
    ) {
        self.on_result(permit, delivery, ruling);
        let publication = self.judge(event, delivery, ruling);
        let elapsed = started.elapsed();
        self.report(event, &publication, elapsed);
        let noted =
            note(event, &publication, response, elapsed).map(|note| DueEvent { note: Some(note), ..event.clone() });
        let event = noted.as_ref().unwrap_or(event);
        while let Err(error) = self.store.published(event, publication.clone(), now_ms()).await {
            if stop.is_cancelled() || !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(message_id = %event.event.m_id, error = &error as &dyn std::error::Error,
                    "the outcome of event `{}` could not be stored; it may be posted again under the same id",
                    event.event.m_id);
                return;
            }
            stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
        }
    }

    /// Returns the event's last result, and what a refusal shows. If nothing else decides, the events behind it in its
    /// conversation are tried, up to the first that is accepted; then those before it are tried once more. If they are
    /// refused right before and right after another was accepted, they are at fault; one that is accepted after all
    /// comes late and is not lost. Nothing is given up in the store before that is known: a process that is killed
    /// meanwhile restarts with the same event.
    async fn ruled(
        &self,
        event: &DueEvent,
        delivery: Called<Delivery>,
        permit: &Permit,
        stop: &CancellationToken,
    ) -> (Called<Delivery>, RefusalFinding) {
        lock(&self.stuck).remove(&event.contact);
        let first = !lock(&self.refusals).is_suspect(&event.event_id);
        let ruling = self.rule(event, &delivery.outcome);
        if !ruling.try_next {
            return (delivery, ruling);
        }
        let mut delivery = delivery;
        if first && self.is_followed(event).await {
            let pause = stop.run_until_cancelled(tokio::time::sleep(HICCUP)).await;
            let again = if pause.is_some() { self.once_more(event, stop).await } else { None };
            let Some((again, _)) = again else { return (delivery, ruling) };
            if !matches!(again.outcome, Delivery::Refused { .. }) {
                let ruling = self.rule(event, &again.outcome);
                return (again, ruling);
            }
            delivery = again;
        }
        let behind = self.try_behind(event, permit, stop).await;
        if !behind.taken {
            let mut stuck = lock(&self.stuck);
            if behind.ended && stuck.len() < STUCK {
                let last = behind.refused.last().unwrap_or(event).clone();
                stuck.insert(event.contact.clone(), Stuck { head: event.clone(), last });
            }
            return (delivery, ruling);
        }
        let Some(again) = self.once_more(event, stop).await else { return (delivery, ruling) };
        let mut before = again.0.outcome.clone();
        for event in &behind.refused {
            if matches!(before, Delivery::Again { .. }) {
                break; // it is still queued, and none may overtake it
            }
            let started = Instant::now();
            let Some((delivery, ruling)) = self.once_more(event, stop).await else { break };
            self.conclude(event, &delivery, ruling, started, permit, stop).await;
            before = delivery.outcome;
        }
        again
    }

    /// Returns whether another event of the conversation is due behind this one. `false` if the store cannot say.
    async fn is_followed(&self, event: &DueEvent) -> bool {
        matches!(self.store.event_behind(event, now_ms()).await, Ok(Some(_)))
    }

    fn rule(&self, event: &DueEvent, delivery: &Delivery) -> RefusalFinding {
        if !matches!(delivery, Delivery::Refused { .. }) {
            return RefusalFinding { cause: RefusalCause::Unknown, try_next: false };
        }
        let poison = self.upstream.is_poison(&event.event_id);
        let contact = matches!(event.event.body, EventBody::Message { .. }).then_some(&event.contact);
        lock(&self.refusals).refused(&event.event_id, contact, poison, Instant::now())
    }

    /// Tries the events behind a refused one, up to the first that is not refused.
    async fn try_behind(&self, event: &DueEvent, permit: &Permit, stop: &CancellationToken) -> Behind {
        let mut behind = Behind { refused: Vec::new(), taken: false, ended: false };
        while behind.refused.len() < BEHIND {
            let last = behind.refused.last().unwrap_or(event);
            let Ok(next) = self.store.event_behind(last, now_ms()).await else { break };
            let Some(next) = next else {
                behind.ended = true;
                break;
            };
            let Some(slot) = self.slot(stop).await else { break };
            let started = Instant::now();
            let delivery = self.call(&next, slot).await;
            let ruling = self.rule(&next, &delivery.outcome);
            match &delivery.outcome {
                Delivery::Done => {
                    self.conclude(&next, &delivery, ruling, started, permit, stop).await;
                    behind.taken = true;
                    break;
                }
                Delivery::Refused { .. } => behind.refused.push(next),
                Delivery::Again { .. } => break,
            }
        }
        behind
    }

    /// Posts a refused event once more, after one behind it was accepted.
    async fn once_more(
        &self,
        event: &DueEvent,
        stop: &CancellationToken,
    ) -> Option<(Called<Delivery>, RefusalFinding)> {
        let slot = self.slot(stop).await?;
        let delivery = self.call(event, slot).await;
        Some((delivery, RefusalFinding { cause: RefusalCause::Event, try_next: false }))
    }

    /// Waits for a slot for one more call of a post; `None` once the stop begins. Ignores a breaker that was tripped
    /// meanwhile: these few calls show best whether that is right.
    async fn slot(&self, stop: &CancellationToken) -> Option<Slot> {
        let slot = stop.run_until_cancelled(self.upstream.limiter.acquire(Duration::ZERO)).await?;
        if may_call(&self.deadline, stop).await {
            return Some(slot);
        }
        slot.unused();
        None
    }

    /// Returns the heads of stuck conversations behind which an untried event has arrived: they are posted at once,
    /// before their wait is over.
    async fn heads_that_may_be_told_of(&self) -> Result<Vec<DueEvent>, StoreError> {
        let stuck: Vec<Stuck> = lock(&self.stuck).values().cloned().collect();
        let mut heads = Vec::new();
        for Stuck { head, last } in stuck {
            if self.store.event_behind(&last, now_ms()).await?.is_some() {
                heads.push(head);
            }
        }
        Ok(heads)
    }

    /// Feeds a result back to the breaker.
    fn on_result(&self, permit: &Permit, delivery: &Delivery, ruling: RefusalFinding) {
        let name = &self.settings.name;
        let fault = match delivery {
            Delivery::Done => {
                self.upstream.on_accepted();
                lock(&self.refusals).taken();
                return self.on_response(permit);
            }
            Delivery::Refused { .. } if ruling.cause != RefusalCause::Configuration => {
                self.upstream.on_refused();
                return self.on_response(permit);
            }
            Delivery::Again { fault, asked } if fault.is_outage() => return self.on_outage(permit, fault, *asked),
            Delivery::Again { fault, .. } if matches!(fault.scope(), Scope::Call | Scope::Sends) => return,
            Delivery::Refused { fault } | Delivery::Again { fault, .. } => fault,
        };
        metrics::paused(name, Part::Webhook, true);
        // Soon at first, since it may be this event alone; then with growing waits.
        let wait = |failures| self.settings.retry.wait(failures, None, 1.0);
        if self.upstream.breaker.trip_backing_off(wait) {
            tracing::error!(
                channel_name = %name,
                fault = fault.code(),
                "channel `{name}`: BonyChat does not take its events ({}): {}. Nothing is lost: publishing is paused, events \
                 are kept, and a probe finds out when it works again",
                fault.code(),
                what_to_check(fault)
            );
        }
    }

    /// Registers a response that shows no outage and no refusal of the whole channel.
    fn on_response(&self, permit: &Permit) {
        if permit.succeeded() {
            let name = &self.settings.name;
            metrics::paused(name, Part::Webhook, false);
            tracing::info!(channel_name = %name, "channel `{name}`: BonyChat takes its events again, going on");
        }
    }

    /// Trips the breaker after some outages in a row, in any conversations, so that queued events are not tried in
    /// vain.
    fn on_outage(&self, permit: &Permit, fault: &Fault, asked: Option<Duration>) {
        let lasts = self.upstream.on_outage();
        let wait = PROBE_EVERY.max(until_probe(asked));
        if !permit.is_probe() && self.upstream.breaker.is_open() {
            // A call that was under way when the breaker was tripped: it shows only how long to wait.
            return self.upstream.breaker.not_before(wait);
        }
        if !lasts && !permit.is_probe() {
            return;
        }
        let name = &self.settings.name;
        metrics::paused(name, Part::Webhook, true);
        if self.upstream.breaker.trip(wait) {
            tracing::error!(
                channel_name = %name,
                fault = fault.code(),
                "channel `{name}`: BonyChat is out of order ({}): publishing is paused, events are kept in their order, \
                 and a probe finds out when it works again: one a second, or one after each wait that BonyChat asks for, \
                 a minute at most",
                fault.code()
            );
        }
    }

    /// Returns when an event is retried after an outage. While the breaker is open, about with every probe; otherwise
    /// its waits grow with its own failures.
    fn again_in(&self, event: &DueEvent, asked: Option<Duration>) -> Duration {
        if self.upstream.breaker.is_open() {
            return PROBE_EVERY.max(until_probe(asked));
        }
        let mut own_tries = lock(&self.own_tries);
        let tries = own_tries.entry(event.event_id).or_default();
        *tries = tries.saturating_add(1);
        self.settings.retry.wait(*tries, asked, jitter())
    }

    fn judge(&self, event: &DueEvent, delivery: &Delivery, ruling: RefusalFinding) -> Publication {
        let publication = self.judged(event, delivery, ruling);
        if !matches!(publication, Publication::Queued { .. }) {
            lock(&self.own_tries).remove(&event.event_id);
        }
        publication
    }

    fn judged(&self, event: &DueEvent, delivery: &Delivery, ruling: RefusalFinding) -> Publication {
        let now_ms = now_ms();
        match delivery {
            Delivery::Done => Publication::Done,
            Delivery::Refused { fault } => match ruling.cause {
                RefusalCause::Event => Publication::Dead { fault: fault.clone() },
                RefusalCause::Configuration => Publication::Queued { due_ms: now_ms, fault: fault.clone() },
                // Not given up at any age: nothing shows yet that it is this event.
                RefusalCause::Unknown => {
                    let due_ms = now_ms.saturating_add(millis(self.again_in(event, None)));
                    Publication::Queued { due_ms, fault: fault.clone() }
                }
            },
            Delivery::Again { fault, asked } => {
                match fault.scope() {
                    Scope::Account | Scope::Channel if self.upstream.is_poison(&event.event_id) => {
                        Publication::Dead { fault: fault.clone() }
                    }
                    Scope::Account | Scope::Channel => Publication::Queued { due_ms: now_ms, fault: fault.clone() },
                    // Not given up at any age while nothing is accepted.
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

    /// Returns whether an event is given up: not at its first failure after a long wait behind others or during an
    /// outage.
    fn gives_up(&self, event: &DueEvent, fault: &Fault, now_ms: i64) -> bool {
        if fault.is_outage() && event.attempts < LEAST_TRIES {
            return false;
        }
        self.settings.retry.gives_up(since(event.recorded_ms, now_ms), event.before.and(fault), fault)
    }

    /// Counts and logs the result of an attempt.
    fn report(&self, event: &DueEvent, publication: &Publication, elapsed: Duration) {
        let (m_id, duration_ms) = (&event.event.m_id, millis(elapsed));
        macro_rules! log {
            ($level:ident, $fault:expr, $($text:tt)*) => {
                tracing::$level!(
                    channel_name = %self.settings.name,
                    message_id = %m_id,
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
            // The pause is logged separately, and probes are many.
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

/// Returns what the journey of an event is to tell of a post: nothing of one that was taken.
fn note(event: &DueEvent, publication: &Publication, response: &Response, elapsed: Duration) -> Option<StepRecord> {
    let (outcome, fault) = match publication {
        Publication::Done => return None,
        Publication::Queued { fault, .. } => (PostOutcome::Again, fault),
        Publication::Dead { fault } => (PostOutcome::Dead, fault),
    };
    let (attempt, fault, took_ms) = (event.attempts.saturating_add(1), fault.code(), Some(millis(elapsed)));
    let step = Step::Post { attempt, outcome, fault, took_ms, http: response.http };
    Some(StepRecord { step, excerpt: response.excerpt.clone() })
}

/// A conversation with a refused head, for an unknown cause.
#[derive(Debug, Clone)]
struct Stuck {
    head: DueEvent,
    /// The last of those that were tried: the head, or one behind it.
    last: DueEvent,
}

/// Result of trying the events behind a refused one.
struct Behind {
    /// Those that were refused as well, in their order.
    refused: Vec<DueEvent>,
    /// Whether the one after them was accepted.
    taken: bool,
    /// Whether there was none after them.
    ended: bool,
}

/// Returns what an operator should check if BonyChat refuses a channel's events.
fn what_to_check(fault: &Fault) -> &'static str {
    match fault {
        Fault::WrongService(_) => {
            "webhook_url is not, or is no longer, an address that takes events; copy it anew from the channel's page in \
             BonyChat (addresses at app.respond.io moved in August 2026)"
        }
        Fault::Http(_) => {
            "it refuses whatever several contacts write; check that the channel still exists and its workspace is active in \
             BonyChat, and channel_id, id_type and webhook_url against the channel's page there"
        }
        _ => "check api_token and webhook_url against the channel's page in BonyChat",
    }
}

/// Marks a conversation as under way until it is dropped.
struct ConversationTurn {
    publisher: Arc<Publisher>,
    contact: ContactId,
}

impl Drop for ConversationTurn {
    fn drop(&mut self) {
        self.publisher.under_way().remove(&self.contact);
        self.publisher.wakeups.events.notify_one();
    }
}

#[cfg(test)]
mod tests;
