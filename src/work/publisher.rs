//! Inbound, after the durable line: posts events to BonyChat, in order per conversation, one a POST, below the rate that
//! BonyChat allows a channel.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::{Breaker, Pass};
use super::gate::{Gate, Permit};
use super::suspects::Suspects;
use super::{Line, STORE_PAUSE, jitter, lock, wait_for};
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::{ContactId, Delivery, Fault, Scope};
use crate::store::{DueEvent, Publication, StoreError};
use crate::telemetry::metrics;

/// Conversations published side by side, at most.
const SIDE_BY_SIDE: u32 = 8;

/// One channel's way to the webhook.
struct Publisher {
    line: Arc<Line>,
    gate: Arc<Gate>,
    /// Closed while BonyChat does not take the channel's token, or the webhook URL is wrong.
    breaker: Arc<Breaker>,
    /// Conversations with an event under way.
    under_way: Mutex<HashSet<ContactId>>,
    /// Events that BonyChat answered for good.
    passed: AtomicU64,
    /// Closings since one of those.
    closings: AtomicU32,
    suspects: Mutex<Suspects<i64>>,
}

/// Runs until the stop, then until every post in flight is settled.
pub(super) async fn run(line: Arc<Line>, stop: CancellationToken) -> anyhow::Result<()> {
    let publisher = Arc::new(Publisher {
        gate: Gate::new(line.publish_per_second, SIDE_BY_SIDE),
        breaker: Breaker::new(),
        under_way: Mutex::default(),
        passed: AtomicU64::new(0),
        closings: AtomicU32::new(0),
        suspects: Mutex::default(),
        line,
    });
    let posts = TaskTracker::new();
    while !stop.is_cancelled() {
        match publisher.step(&posts, &stop).await {
            Ok(true) => {}
            Ok(false) => {
                let due_ms = publisher.line.store.next_event_ms(&publisher.line.name, now_ms()).await.ok().flatten();
                wait_for(&publisher.line.signals.events, due_ms, &stop).await;
            }
            Err(StoreError::Closed) => break,
            Err(error) => {
                tracing::error!(
                    channel.name = %publisher.line.name,
                    error = &error as &dyn std::error::Error,
                    "channel `{}`: cannot take events from the store; trying again", publisher.line.name
                );
                stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
            }
        }
    }
    posts.close();
    posts.wait().await;
    Ok(())
}

impl Publisher {
    /// One pass: starts a post for each conversation whose turn it is. Tells whether it started any.
    async fn step(self: &Arc<Self>, posts: &TaskTracker, stop: &CancellationToken) -> Result<bool, StoreError> {
        // Taken before the look: who is under way now may be settled meanwhile, and the look would not show it.
        let busy = self.under_way().clone();
        // Some of the first may be under way; ask for enough that others are among them.
        let due = self.line.store.due_events(&self.line.name, now_ms(), 2 * SIDE_BY_SIDE).await?;
        let mut started = false;
        for event in due {
            if busy.contains(&event.contact) || self.under_way().len() >= SIDE_BY_SIDE as usize {
                continue;
            }
            self.under_way().insert(event.contact.clone());
            let turn = Turn { publisher: Arc::clone(self), contact: event.contact.clone() };
            let Some((pass, permit)) = stop.run_until_cancelled(self.leave()).await else { return Ok(false) };
            let stop = stop.clone();
            started = true;
            posts.spawn(async move {
                turn.publisher.post(&event, pass, permit, &stop).await;
                drop(turn);
            });
        }
        Ok(started)
    }

    /// Waits until the way is open and there is room for one post.
    async fn leave(&self) -> (Pass, Permit) {
        loop {
            let pass = self.breaker.pass().await;
            let permit = self.gate.permit(Duration::ZERO).await;
            if pass.holds() {
                return (pass, permit);
            }
            permit.unused();
        }
    }

    /// Posts one event and settles what became of it.
    async fn post(&self, event: &DueEvent, pass: Pass, permit: Permit, stop: &CancellationToken) {
        let started = Instant::now();
        let (webhook, sent) = (Arc::clone(&self.line.webhook), event.clone());
        let call = tokio::spawn(async move { webhook.publish(&sent.contact, &sent.event).await });
        let failed = Delivery::Again { fault: Fault::Interrupted, asked: None };
        let delivery = call.await.unwrap_or(failed);
        drop(permit);
        self.learn(&pass, &delivery);
        drop(pass);
        let publication = self.judge(event, &delivery);
        self.report(event, &publication, started.elapsed());
        while let Err(error) = self.line.store.published(event, publication.clone(), now_ms()).await {
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
    fn learn(&self, pass: &Pass, delivery: &Delivery) {
        let name = &self.line.name;
        let fault = match delivery {
            Delivery::Done | Delivery::Refused { .. } => {
                self.passed.fetch_add(1, Ordering::Relaxed);
                self.closings.store(0, Ordering::Relaxed);
                if pass.succeeded() {
                    tracing::info!(channel.name = %name, "channel `{name}`: BonyChat takes its events again, going on");
                }
                return;
            }
            Delivery::Again { fault, .. } => fault,
        };
        if matches!(fault.scope(), Scope::Call | Scope::Sends) {
            return;
        }
        // Soon at first: it may be this event alone. The longer it lasts the slower.
        let closings = self.closings.fetch_add(1, Ordering::Relaxed) + 1;
        if self.breaker.close(self.line.retry.wait(closings, None, 1.0)) && closings == 1 {
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

    fn judge(&self, event: &DueEvent, delivery: &Delivery) -> Publication {
        match delivery {
            Delivery::Done => Publication::Done,
            Delivery::Refused { fault } => Publication::Dead { fault: fault.clone() },
            Delivery::Again { fault, asked } => {
                let (tries, now_ms) = (event.attempts.saturating_add(1), now_ms());
                let passed = self.passed.load(Ordering::Relaxed);
                match fault.scope() {
                    Scope::Account | Scope::Channel if lock(&self.suspects).is_poison(&event.row, passed) => {
                        Publication::Dead { fault: fault.clone() }
                    }
                    Scope::Account | Scope::Channel => Publication::Queued { due_ms: now_ms, fault: fault.clone() },
                    Scope::Call | Scope::Sends if self.gives_up(event, fault, now_ms) => {
                        Publication::Dead { fault: fault.clone() }
                    }
                    Scope::Call | Scope::Sends => {
                        let wait = self.line.retry.wait(tries, *asked, jitter());
                        Publication::Queued { due_ms: now_ms.saturating_add(millis(wait)), fault: fault.clone() }
                    }
                }
            }
        }
    }

    fn gives_up(&self, event: &DueEvent, fault: &Fault, now_ms: i64) -> bool {
        self.line.retry.gives_up(since(event.recorded_ms, now_ms), event.before.and(fault), fault)
    }

    /// Counts what came of an attempt; one log line each.
    fn report(&self, event: &DueEvent, publication: &Publication, elapsed: Duration) {
        let (m_id, duration_ms) = (&event.event.m_id, millis(elapsed));
        macro_rules! log {
            ($level:ident, $fault:expr, $($text:tt)*) => {
                tracing::$level!(
                    channel.name = %self.line.name,
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
            Publication::Done => metrics::published(&self.line.name, event.event.body.kind()),
            Publication::Dead { .. } => metrics::dead_event(&self.line.name),
            Publication::Queued { .. } => {}
        }
        let none: Option<String> = None;
        match publication {
            Publication::Done => log!(info, none, "published event `{m_id}`"),
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
        self.publisher.line.signals.events.notify_one();
    }
}
