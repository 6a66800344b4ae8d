//! Outbound, after the durable line: takes what is due from the store, sends it to Afilnet, and settles what became of
//! it. One message of a conversation at a time; conversations side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::expansion::{Expansion, Words};
use super::outcome::{judge, report};
use crate::domain::clock::{millis, now_ms};
use crate::domain::{Fault, LeaseDeadline, Messenger, Verdict, Wordings};
use crate::store::{Attempt, ChannelWakeups, Epoch, FirstVerdict, Settlement, Store, StoreError};
use crate::telemetry::metrics;
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::inbound::initial_snapshot::SnapshotGate;
use crate::work::limits::call_permit::{AfilnetCalls, CallKind, CallPermit};
use crate::work::wait::{STORE_PAUSE, may_call, notified};

/// Messages taken from the store at once, at most.
const TAKE: u32 = 256;

/// One channel's sender, and all that it touches.
pub(in crate::work) struct Sender {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    wordings: Wordings,
    expansion: Option<Expansion>,
    deadline: LeaseDeadline,
    calls: Arc<AfilnetCalls>,
    snapshot: Arc<SnapshotGate>,
    wakeups: Arc<ChannelWakeups>,
    epoch: Epoch,
}

/// What one pass came to.
enum Step {
    Sent,
    /// Nothing is due before this time (epoch ms), as far as is known.
    Nothing(Option<i64>),
}

impl Sender {
    /// The sender of a channel that this process owns since `epoch`.
    pub(in crate::work) fn new(channel: &Channel, epoch: Epoch) -> Self {
        let (ports, state) = (&channel.ports, &channel.state);
        Self {
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&ports.store),
            messenger: Arc::clone(&ports.messenger),
            wordings: ports.messenger.wordings(),
            expansion: Expansion::new(ports),
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
        while !stop.is_cancelled() {
            match self.step(&attempts, &stop).await {
                Ok(Step::Sent) => {}
                Ok(Step::Nothing(due_ms)) => {
                    notified(&self.wakeups.outbound, due_ms, &stop).await;
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

    /// One pass: waits for room, takes what is due, starts an attempt for each.
    async fn step(self: &Arc<Self>, attempts: &TaskTracker, stop: &CancellationToken) -> Result<Step, StoreError> {
        let due_ms = self.store.next_outbound_ms(&self.settings.name).await?;
        if due_ms.is_none_or(|due_ms| due_ms > now_ms()) {
            return Ok(Step::Nothing(due_ms));
        }
        let Some(first) = self.calls.acquire(CallKind::Send, stop).await else {
            return Ok(Step::Nothing(None));
        };
        let more = std::iter::from_fn(|| self.calls.try_acquire_too(&first));
        let more: Vec<CallPermit> = more.take(TAKE as usize - 1).collect();
        let permits: Vec<CallPermit> = std::iter::once(first).chain(more).collect();
        let now_ms = now_ms();
        let limit = u32::try_from(permits.len()).unwrap_or(TAKE);
        let begun = self
            .store
            .begin(
                &self.settings.name,
                self.epoch,
                now_ms,
                now_ms - millis(self.settings.live_for),
                limit,
                &self.wordings,
            )
            .await;
        let mut permits = permits.into_iter();
        for attempt in begun.iter().flatten() {
            let Some(permit) = permits.next() else { break };
            attempts.spawn(Arc::clone(self).make(attempt.clone(), permit, stop.clone()));
        }
        permits.for_each(CallPermit::unused);
        begun.map(|_| Step::Sent)
    }

    /// Makes one attempt and settles it.
    async fn make(self: Arc<Self>, attempt: Attempt, permit: CallPermit, stop: CancellationToken) {
        if !may_call(&self.deadline, &stop).await {
            return; // the row stays `sending`, which the next owner reads as unknown
        }
        let words = match &self.expansion {
            Some(expansion) => expansion.words(&attempt, &stop).await,
            None => Words::AsWritten,
        };
        let started = Instant::now();
        let (messenger, sent) = (Arc::clone(&self.messenger), attempt.clone());
        let call = async move {
            let wording = sent.wording.as_ref();
            match words {
                Words::AsWritten => Some(messenger.send(&sent.destination, &sent.content, sent.part, wording).await),
                Words::Filled(words) => {
                    Some(messenger.send_filled(&sent.destination, &sent.content, sent.part, wording, &words).await)
                }
                Words::Dropped => None,
            }
        };
        // In a task of its own: should it panic, the outcome is unknown, and the conversation goes on.
        let verdict = tokio::spawn(call).await.unwrap_or(Some(Verdict::Unknown { fault: Fault::Interrupted }));
        let Some(verdict) = verdict else {
            permit.unused();
            return; // as above
        };
        let elapsed = started.elapsed();
        self.calls.on_send_result(&permit, &verdict);
        metrics::attempted(&self.settings.name, &verdict);
        drop(permit);
        self.conclude(&attempt, &verdict, elapsed, &stop).await;
    }

    /// Settles the attempt in the store, then answers the `POST /message` that waits for it, if any.
    async fn conclude(&self, attempt: &Attempt, verdict: &Verdict, elapsed: Duration, stop: &CancellationToken) {
        let settings = &self.settings;
        let caller = self.store.wakeups().take_caller(&attempt.m_id);
        let waited = caller.is_some();
        let (settlement, answer, notice) =
            judge(settings, self.messenger.as_ref(), &self.calls, attempt, verdict, waited);
        report(settings, attempt, &settlement, elapsed);
        match self.settle(attempt, &settlement, false).await {
            Ok(()) => {}
            Err(error @ StoreError::Unavailable(_)) => {
                // The store needs time: the request is answered 200 now, and the agent gets the notice instead.
                drop(caller.map(|caller| caller.send(FirstVerdict::Accepted)));
                let noticed = with_notice(settlement, notice.clone());
                if self.stands(attempt, &noticed, error.may_be_committed(), stop).await {
                    self.store.wakeups().notify_settled(&settings.name, &noticed, false);
                    self.tell(attempt, notice.filter(|_| waited), stop).await;
                }
                return;
            }
            Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => return,
        }
        let unreported_sends = caller.is_some_and(|caller| caller.send(answer).is_err());
        // The client went away between the verdict and its response: the agent gets the notice.
        self.tell(attempt, notice.filter(|_| unreported_sends), stop).await;
    }

    /// Retries to settle until it is stored. Returns true if the first try was committed after all, as it `may` be where
    /// the reply to its COMMIT was lost: that version carries no notice to the agent if a caller was waiting.
    async fn stands(
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
    async fn tell(&self, attempt: &Attempt, notice: Option<String>, stop: &CancellationToken) {
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
