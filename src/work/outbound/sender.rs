//! Outbound, after the durable line: takes what is due from the store, sends it to Afilnet, and settles what became of
//! it. One message of a conversation at a time; conversations side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::expansion::Expansion;
use super::outcome::{judge, note, report};
use super::stale::{self, StaleMessages};
use crate::domain::clock::{millis, now_ms};
use crate::domain::matching::SentForm;
use crate::domain::{Called, Fault, LeaseDeadline, Messenger, Verdict, Wordings};
use crate::store::{Attempt, Begun, ChannelWakeups, Epoch, FirstVerdict, Settlement, Store, StoreError};
use crate::telemetry::metrics;
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::inbound::initial_snapshot::SnapshotGate;
use crate::work::limits::call_permit::{AfilnetCalls, CallKind, CallPermit};
use crate::work::wait::{STORE_PAUSE, may_call, notified};

/// Messages taken from the store at once, at most.
const TAKE: u32 = 256;

/// Attempts of a channel that fills in placeholders between their begin and their call permit, at most. As many as AnnA is
/// asked at the same time by default, since the wait for a place there counts in the budget; and no more are left in doubt
/// by a process that is killed then.
const FILLED_IN_AT_ONCE: usize = 8;

/// How long filled words wait for their call permit. After that the message goes back to its place in the queue, to be filled
/// in again: values are not older than this when they are sent, and what was certainly not sent does not stay `sending`.
const PERMIT_WITHIN: Duration = Duration::from_secs(30);

/// One channel's sender, and all that it touches.
pub(in crate::work) struct Sender {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    wordings: Wordings,
    expansion: Option<Expansion>,
    stale: Option<StaleMessages>,
    /// Turns of attempts that are not at their call yet.
    turns: Arc<Semaphore>,
    permit_within: Duration,
    deadline: LeaseDeadline,
    calls: Arc<AfilnetCalls>,
    snapshot: Arc<SnapshotGate>,
    wakeups: Arc<ChannelWakeups>,
    epoch: Epoch,
}

/// Whether an attempt may make its call.
enum Prepared {
    MayCall(CallPermit),
    /// Calls are paused for too long: back into the queue.
    Requeue,
    /// It is another owner's by now, or the process ends: the row stays `sending`.
    Abandoned,
}

impl Sender {
    /// The sender of a channel that this process owns since `epoch`.
    pub(in crate::work) fn new(channel: &Channel, epoch: Epoch) -> Self {
        let (ports, state) = (&channel.ports, &channel.state);
        let expansion = Expansion::new(ports);
        let turns = if expansion.is_some() { FILLED_IN_AT_ONCE } else { Semaphore::MAX_PERMITS };
        Self {
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&ports.store),
            messenger: Arc::clone(&ports.messenger),
            wordings: ports.messenger.wordings(),
            turns: Arc::new(Semaphore::new(turns)),
            permit_within: PERMIT_WITHIN,
            expansion,
            stale: StaleMessages::new(channel, epoch),
            deadline: ports.deadline.clone(),
            calls: Arc::clone(&state.calls),
            snapshot: Arc::clone(&state.snapshot),
            wakeups: Arc::clone(&state.wakeups),
            epoch,
        }
    }

    /// Runs until the stop, then until every attempt in flight is settled.
    pub(in crate::work) async fn run(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let name = &self.settings.name;
        let attempts = TaskTracker::new();
        stop.run_until_cancelled(self.snapshot.may_send()).await;
        let is_due = |next_ms: Option<i64>| next_ms.is_some_and(|next_ms| next_ms <= now_ms());
        let mut next_ms = None;
        while !stop.is_cancelled() {
            let known = if is_due(next_ms) {
                self.send_due(&attempts, &stop).await
            } else {
                self.store.next_outbound_ms(name).await
            };
            match known {
                Ok(known_ms) => {
                    next_ms = known_ms;
                    if !is_due(next_ms) {
                        notified(&self.wakeups.outbound, next_ms, &stop).await;
                    }
                }
                Err(StoreError::Closed) => break,
                Err(StoreError::Stale) if self.store.leases().is_some() => stop.cancelled().await, // its lease is lost
                Err(StoreError::Stale) => anyhow::bail!("another process has taken channel `{name}` over"),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt { .. })) => {
                    tracing::error!(
                        channel_name = %name,
                        error = &error as &dyn std::error::Error,
                        "channel `{name}`: cannot take messages from the store; trying again"
                    );
                    stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
                }
            }
        }
        attempts.close();
        attempts.wait().await;
        Ok(())
    }

    /// Waits for room, takes what is due, starts an attempt for each. Returns when the next message is due, epoch ms; `None`
    /// if none waits, or at the stop.
    async fn send_due(
        self: &Arc<Self>,
        attempts: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Option<i64>, StoreError> {
        let Some(Ok(turn)) = stop.run_until_cancelled(Arc::clone(&self.turns).acquire_owned()).await else {
            return Ok(None);
        };
        let Some(first) = self.calls.acquire(CallKind::Send, stop).await else { return Ok(None) };
        let more = std::iter::from_fn(|| {
            let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
            Some((self.calls.try_acquire_too(&first)?, turn))
        });
        let more: Vec<(CallPermit, OwnedSemaphorePermit)> = more.take(TAKE as usize - 1).collect();
        let permits: Vec<(CallPermit, OwnedSemaphorePermit)> = std::iter::once((first, turn)).chain(more).collect();
        let begun = self.begin(u32::try_from(permits.len()).unwrap_or(TAKE)).await;
        let mut permits = permits.into_iter();
        for attempt in begun.iter().flat_map(|begun| &begun.attempts) {
            let Some((permit, turn)) = permits.next() else { break };
            attempts.spawn(Arc::clone(self).make(attempt.clone(), permit, turn, stop.clone()));
        }
        permits.for_each(|(permit, _)| permit.unused());
        Ok(begun?.next_ms)
    }

    /// Takes what is due, and not what is stale.
    async fn begin(&self, limit: u32) -> Result<Begun, StoreError> {
        let now_ms = now_ms();
        let live_since_ms = now_ms - millis(self.settings.live_for);
        let (name, rule) = (&self.settings.name, self.stale.as_ref().map(|stale| stale.rule(now_ms)));
        let begun =
            self.store.begin_unless_stale(name, self.epoch, now_ms, live_since_ms, limit, &self.wordings, rule).await?;
        stale::report(&self.settings.name, &begun.stale, now_ms);
        Ok(begun)
    }

    /// Makes one attempt and settles it. `turn` is held until the attempt is at its call.
    async fn make(
        self: Arc<Self>,
        attempt: Attempt,
        permit: CallPermit,
        turn: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) {
        if !may_call(&self.deadline, &stop).await {
            return; // the row stays `sending`, which the next owner reads as unknown
        }
        let template = self.expansion.as_ref().and_then(|expansion| Some((expansion, expansion.template(&attempt)?)));
        let (permit, filled) = match template {
            None => (Some(permit), None),
            Some((expansion, template)) => {
                // The account's other channels send while AnnA is asked. They cannot while sends are paused, and the probe that
                // could end the pause would be put off where it is given back.
                let probe = permit.unused_unless_probe();
                (probe, Some(expansion.fill(&attempt, &template).await))
            }
        };
        let form = filled.as_ref().map(|filled| &filled.form);
        let permit = match self.prepare(&attempt, permit, form, &stop).await {
            Prepared::MayCall(permit) => permit,
            Prepared::Requeue => return self.requeue(&attempt, &stop).await,
            Prepared::Abandoned => return, // as above
        };
        let words = filled.map(|filled| filled.words);
        drop(turn);
        let started = Instant::now();
        let (messenger, sent) = (Arc::clone(&self.messenger), attempt.clone());
        let call = async move {
            let wording = sent.wording.as_ref();
            match words {
                None => messenger.send(&sent.destination, &sent.content, sent.part, wording).await,
                Some(words) => {
                    messenger.send_filled(&sent.destination, &sent.content, sent.part, wording, &words).await
                }
            }
        };
        // In a task of its own: should it panic, the outcome is unknown, and the conversation continues.
        let broken = Verdict::Unknown { fault: Fault::Interrupted };
        let reply = tokio::spawn(call).await.unwrap_or_else(|_| broken.into());
        let elapsed = started.elapsed();
        self.calls.on_send_result(&permit, &reply.outcome);
        metrics::attempted(&self.settings.name, &reply.outcome);
        drop(permit);
        self.conclude(attempt, reply, elapsed, &stop).await;
    }

    /// Waits for a permit where the attempt holds none, then stores what must be known before its first byte.
    async fn prepare(
        &self,
        attempt: &Attempt,
        mut held: Option<CallPermit>,
        form: Option<&SentForm>,
        stop: &CancellationToken,
    ) -> Prepared {
        loop {
            let permit = if let Some(permit) = held.take() {
                permit
            } else {
                let permit = self.calls.acquire(CallKind::Send, stop);
                let Ok(Some(permit)) = tokio::time::timeout(self.permit_within, permit).await else {
                    return Prepared::Requeue;
                };
                permit
            };
            if form.is_none() && !attempt.asks_when_filled_in() {
                return Prepared::MayCall(permit);
            }
            match self.store.prepare_call(attempt, form.cloned(), now_ms()).await {
                Ok(()) => return Prepared::MayCall(permit),
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::error!(message_id = %attempt.m_id, error = &error as &dyn std::error::Error,
                        "message `{}` waits: what is kept of its words could not be stored; trying again", attempt.m_id);
                    held = permit.unused_unless_probe();
                    if stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none() {
                        held.into_iter().for_each(CallPermit::unused);
                        return Prepared::Abandoned;
                    }
                }
                Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => {
                    permit.unused();
                    return Prepared::Abandoned;
                }
            }
        }
    }

    /// Puts a message of which no byte was sent back into its place in the queue. A caller that waits for it waits on.
    async fn requeue(&self, attempt: &Attempt, stop: &CancellationToken) {
        let again = Settlement::Queued { due_ms: None, fault: Fault::Interrupted };
        let mut stored = self.store.settle(attempt, again.clone(), now_ms()).await;
        while let Err(StoreError::Unavailable(_)) = &stored
            && stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_some()
        {
            stored = self.store.settle(attempt, again.clone(), now_ms()).await;
        }
        match stored {
            Ok(()) => tracing::info!(channel_name = %self.settings.name, message_id = %attempt.m_id,
                "message `{}` is back in its place: no call could be made since its placeholders were filled in", attempt.m_id),
            // It is another owner's by now, or stays `sending`, which the next owner reads as unknown.
            Err(error) => tracing::warn!(message_id = %attempt.m_id, error = &error as &dyn std::error::Error,
                "message `{}` was not sent, and could not be put back into its place", attempt.m_id),
        }
    }

    /// Settles the attempt in the store, then answers the `POST /message` that waits for it, if any.
    async fn conclude(
        &self,
        mut attempt: Attempt,
        reply: Called<Verdict>,
        elapsed: Duration,
        stop: &CancellationToken,
    ) {
        let settings = &self.settings;
        let caller = self.store.wakeups().take_caller(&attempt.m_id);
        let waited = caller.is_some();
        let Called { outcome: verdict, response } = reply;
        let messenger = self.messenger.as_ref();
        let (settlement, answer, notice) = judge(settings, messenger, &self.calls, &attempt, &verdict, waited);
        attempt.note = note(&attempt, &settlement, response, elapsed, messenger);
        let attempt = &attempt;
        report(settings, attempt, &settlement, elapsed);
        match self.settle(attempt, &settlement, false).await {
            Ok(()) => {}
            Err(error @ StoreError::Unavailable(_)) => {
                // The store needs time: the request is answered 200 now, and the agent gets the notice instead.
                drop(caller.map(|caller| caller.send(FirstVerdict::Accepted)));
                let noticed = with_notice(settlement, notice.clone());
                if self.retry_settle(attempt, &noticed, error.may_be_committed(), stop).await {
                    self.store.wakeups().notify_settled(&settings.name, &noticed, false);
                    self.notify_agent(attempt, notice.filter(|_| waited), stop).await;
                }
                return;
            }
            Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => return,
        }
        let caller_is_gone = caller.is_some_and(|caller| caller.send(answer).is_err());
        // The client went away between the verdict and its response: the agent gets the notice.
        self.notify_agent(attempt, notice.filter(|_| caller_is_gone), stop).await;
    }

    /// Retries to settle until it is stored. Returns true if the first try was committed after all, as it `may` be where
    /// the reply to its COMMIT was lost: that version carries no notice to the agent if a caller was waiting.
    async fn retry_settle(
        &self,
        attempt: &Attempt,
        settlement: &Settlement,
        mut may: bool,
        stop: &CancellationToken,
    ) -> bool {
        while stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_some() {
            match self.settle(attempt, settlement, may).await {
                Err(StoreError::Stale) if may => return true,
                // Where another commit was asked for, the first does not stand.
                Err(error @ StoreError::Unavailable(_)) => may &= !error.may_be_committed(),
                Ok(()) | Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => return false,
            }
        }
        false // the row stays `sending`, which the next owner reads as unknown
    }

    /// Notifies the agent of a stored failure that no HTTP response reported.
    async fn notify_agent(&self, attempt: &Attempt, notice: Option<String>, stop: &CancellationToken) {
        if let Some(notice) = notice {
            while let Err(error) = self.store.notify_failed(attempt, notice.clone(), now_ms()).await {
                let ended = stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none();
                if ended || !matches!(error, StoreError::Unavailable(_)) {
                    tracing::error!(message_id = %attempt.m_id, error = &error as &dyn std::error::Error,
                        "message `{}` failed and its agent could not be told", attempt.m_id);
                    return;
                }
            }
        }
    }

    /// Stores the settlement; logs where that failed for good, unless it `may_be_committed` from before.
    async fn settle(
        &self,
        attempt: &Attempt,
        settlement: &Settlement,
        may_be_committed: bool,
    ) -> Result<(), StoreError> {
        let stored = self.store.settle(attempt, settlement.clone(), now_ms()).await;
        if let Err(error @ (StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. })) = &stored
            && !(may_be_committed && matches!(error, StoreError::Stale))
        {
            tracing::error!(message_id = %attempt.m_id, error = error as &dyn std::error::Error,
                "message `{}`: its outcome could not be stored", attempt.m_id);
        }
        stored
    }
}

/// The settlement with the notice that no HTTP response replaces.
fn with_notice(settlement: Settlement, notice: Option<String>) -> Settlement {
    match settlement {
        Settlement::Failed { fault, .. } => Settlement::Failed { fault, notice },
        other @ (Settlement::Sent { .. }
        | Settlement::Queued { .. }
        | Settlement::Unknown { .. }
        | Settlement::Unconfirmed { .. }) => other,
    }
}

#[cfg(test)]
mod tests;
