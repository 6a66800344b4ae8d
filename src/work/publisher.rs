//! Inbound, after the durable line: posts events to BonyChat, in order per conversation, one a POST, below the rate that
//! BonyChat allows a channel.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::Breaker;
use super::gate::Gate;
use super::{Line, STORE_PAUSE, jitter, wait_for};
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::{ContactId, Delivery, Fault, Scope};
use crate::store::{DueEvent, Publication, StoreError};

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
}

/// Runs until the stop, then until every post in flight is settled.
pub(super) async fn run(line: Arc<Line>, stop: CancellationToken) -> anyhow::Result<()> {
    let publisher = Arc::new(Publisher {
        gate: Gate::new(line.publish_per_second, SIDE_BY_SIDE),
        breaker: Breaker::new(line.retry.max),
        under_way: Mutex::default(),
        line,
    });
    let posts = TaskTracker::new();
    while !stop.is_cancelled() {
        match publisher.step(&posts, &stop).await {
            Ok(true) => {}
            Ok(false) => {
                let due_ms = publisher.line.store.next_event_ms(&publisher.line.name).await.ok().flatten();
                // What is due but under way rings when it is settled.
                let due_ms = due_ms.filter(|due_ms| *due_ms > now_ms());
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
            let leave = async { (self.breaker.pass().await, self.gate.permit(Duration::ZERO).await) };
            let Some(leave) = stop.run_until_cancelled(leave).await else { return Ok(false) };
            let stop = stop.clone();
            started = true;
            posts.spawn(async move {
                turn.publisher.post(&event, &stop).await;
                drop((leave, turn));
            });
        }
        Ok(started)
    }

    /// Posts one event and settles what became of it.
    async fn post(&self, event: &DueEvent, stop: &CancellationToken) {
        let started = Instant::now();
        let (webhook, sent) = (Arc::clone(&self.line.webhook), event.clone());
        let call = tokio::spawn(async move { webhook.publish(&sent.contact, &sent.event).await });
        let failed = Delivery::Again { fault: Fault::Interrupted, asked: None };
        let delivery = call.await.unwrap_or(failed);
        self.learn(&delivery);
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
    fn learn(&self, delivery: &Delivery) {
        let name = &self.line.name;
        match delivery {
            Delivery::Done | Delivery::Refused { .. } => {
                if self.breaker.open() {
                    tracing::info!(channel.name = %name, "channel `{name}`: BonyChat takes its events again, going on");
                }
            }
            Delivery::Again { fault, .. } => match fault.scope() {
                Scope::Call | Scope::Sends => {}
                Scope::Account | Scope::Channel => {
                    if self.breaker.close() {
                        tracing::error!(
                            channel.name = %name,
                            fault = fault.code(),
                            "channel `{name}`: BonyChat does not take its events ({}): check api_token and webhook_url \
                             against the channel's page in BonyChat. Nothing is lost: publishing is paused, events are \
                             kept, one probe every {:?} finds out whether it works again",
                            fault.code(),
                            self.line.retry.max
                        );
                    }
                }
            },
        }
    }

    fn judge(&self, event: &DueEvent, delivery: &Delivery) -> Publication {
        match delivery {
            Delivery::Done => Publication::Done,
            Delivery::Refused { fault } => Publication::Dead { fault: fault.clone() },
            Delivery::Again { fault, asked } => {
                let (tries, now_ms) = (event.attempts.saturating_add(1), now_ms());
                match fault.scope() {
                    Scope::Account | Scope::Channel => Publication::Queued { due_ms: now_ms, fault: fault.clone() },
                    Scope::Call | Scope::Sends
                        if self.line.retry.gives_up(since(event.recorded_ms, now_ms), tries, fault) =>
                    {
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

    /// One log line an attempt.
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

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<ContactId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
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
