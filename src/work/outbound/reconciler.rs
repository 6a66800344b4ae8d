//! Reconciles sends in doubt (`docs/architecture.md`): a message whose outcome is unknown is looked for among the rows
//! that Afilnet shows of its conversation, which waits meanwhile. Found: sent. Certainly absent: queued again. Otherwise
//! the policy `on_unconfirmed` decides, and the agent is told.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outcome::{gives_up, report};
use crate::config::OnUnconfirmed;
use crate::domain::agent_text::{Delivered, failure_text};
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::journey::{LookupConclusion, LookupStep, Step, StepRecord};
use crate::domain::matching::{LookupEvidence, SendStanding};
use crate::domain::reconcile::{LookupFindings, ReconcileState, Reconciliation, next};
use crate::domain::{Chat, Destination, Fault, Messenger, same_digits};
use crate::store::{
    Attempt, ChannelWakeups, Epoch, InDoubtSend, LookupResult, Position, Settlement, Store, StoreError,
};
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::inbound::reader::{InboundError, LookupTarget, Outcome, ReadRequest, Reader, Shown, unread_position};
use crate::work::wait::{STORE_PAUSE, jitter, notified};

/// Concurrent lookups, at most; the account's rate limiter bounds them further.
const SIDE_BY_SIDE: usize = 8;

/// Wait for a conversation that another loop reads just now.
const BUSY: Duration = Duration::from_millis(200);

/// Attempts at one part under `on_unconfirmed = "resend"`, at most.
const MOST_RESENDS: u32 = 3;

/// The largest lag that is waited for.
const MOST_LAG: Duration = Duration::from_mins(10);

/// The longest wait between two lookups while they fail: a message in doubt must not wait much longer than the outage
/// lasts.
const MOST_WAIT: Duration = Duration::from_mins(1);

/// How a lookup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookupEnd {
    /// It could be made, whatever its result.
    Made,
    /// It could not be made.
    Failed,
    /// Not its turn: nothing was asked.
    Skipped,
}

/// One channel's reconciler, and all that it touches.
pub(in crate::work) struct Reconciler {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    reader: Arc<Reader>,
    wakeups: Arc<ChannelWakeups>,
    epoch: Epoch,
}

impl Reconciler {
    /// The reconciler of a channel that this process owns since `epoch`.
    pub(in crate::work) fn new(channel: &Channel, reader: Arc<Reader>, epoch: Epoch) -> Self {
        Self {
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&channel.ports.store),
            messenger: Arc::clone(&channel.ports.messenger),
            reader,
            wakeups: Arc::clone(&channel.state.wakeups),
            epoch,
        }
    }

    /// Runs until the stop, then until every lookup in flight is done.
    pub(in crate::work) async fn run(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut lookups: JoinSet<(i64, LookupEnd)> = JoinSet::new();
        let mut under_way: HashSet<i64> = HashSet::new();
        let (mut failures, mut not_before) = (0u32, Instant::now());
        while !stop.is_cancelled() {
            // While lookups fail, one at a time finds out whether they work again.
            let most = if failures > 0 { 1 } else { SIDE_BY_SIDE };
            let mut due_ms = None;
            if Instant::now() < not_before {
                due_ms = Some(now_ms() + millis(not_before - Instant::now()));
            } else if lookups.len() < most {
                match self.start(&mut lookups, &mut under_way, most, &stop).await {
                    Ok(next_ms) => due_ms = next_ms,
                    Err(StoreError::Closed) => break,
                    Err(error) => {
                        tracing::error!(channel_name = %self.settings.name, error = &error as &dyn std::error::Error,
                            "channel `{}`: cannot take messages in doubt from the store; trying again", self.settings.name);
                        stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
                        continue;
                    }
                }
            }
            let notification = notified(&self.wakeups.lookups, due_ms, &stop);
            tokio::select! {
                Some(Ok((row, ended))) = lookups.join_next(), if !lookups.is_empty() => {
                    under_way.remove(&row);
                    match ended {
                        LookupEnd::Made => failures = 0,
                        LookupEnd::Failed => {
                            failures = failures.saturating_add(1);
                            not_before = Instant::now() + self.settings.retry.wait(failures, None, 0.5 + jitter() / 2.0).min(MOST_WAIT);
                        }
                        LookupEnd::Skipped => {}
                    }
                }
                _ = notification => {}
            }
        }
        while lookups.join_next().await.is_some() {}
        Ok(())
    }

    /// Starts the lookups that are due, as many as there is room for. Returns when the next is due.
    async fn start(
        self: &Arc<Self>,
        lookups: &mut JoinSet<(i64, LookupEnd)>,
        under_way: &mut HashSet<i64>,
        most: usize,
        stop: &CancellationToken,
    ) -> Result<Option<i64>, StoreError> {
        // Some of the first may be under way; ask for enough that others are among them.
        let limit = u32::try_from(most + under_way.len()).unwrap_or(u32::MAX);
        let due = self.store.due_lookups(&self.settings.name, now_ms(), limit).await?;
        for send in due {
            if lookups.len() >= most || !under_way.insert(send.attempt.outbound_id) {
                continue;
            }
            let (this, stop, row) = (Arc::clone(self), stop.clone(), send.attempt.outbound_id);
            // In a task of its own: a panic affects this lookup only, which is made again.
            let lookup = tokio::spawn(async move { this.run_lookup(&send, &stop).await });
            lookups.spawn(async move { (row, lookup.await.unwrap_or(LookupEnd::Failed)) });
        }
        if lookups.len() >= most {
            return Ok(None);
        }
        let next_ms = self.store.next_lookup_ms(&self.settings.name).await?;
        // One that is due and under way notifies when it ends.
        Ok(next_ms.map(|next_ms| if under_way.is_empty() { next_ms } else { next_ms.max(now_ms() + millis(BUSY)) }))
    }

    /// One lookup, and what follows from it.
    async fn run_lookup(&self, send: &InDoubtSend, stop: &CancellationToken) -> LookupEnd {
        match self.look_up(send, stop).await {
            Ok(ended) => ended,
            // A person was quicker, or the process ends.
            Err(StoreError::Stale | StoreError::Closed) => LookupEnd::Skipped,
            Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt { .. })) => {
                tracing::error!(message_id = %send.attempt.m_id, error = &error as &dyn std::error::Error,
                    "message `{}` is in doubt and could not be looked up; trying again", send.attempt.m_id);
                stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
                LookupEnd::Failed
            }
        }
    }

    async fn look_up(&self, send: &InDoubtSend, stop: &CancellationToken) -> Result<LookupEnd, StoreError> {
        let attempt = &send.attempt;
        if self.store.evidence(send).await?.found {
            self.found(send).await?;
            return Ok(LookupEnd::Made);
        }
        let snapshot_ms = self.store.snapshot_ms(&self.settings.name).await?;
        let positions = self.store.positions_of(&self.settings.name, &attempt.contact).await?;
        // The poller marks what was there before the bridge; nothing can be found before that.
        let told_apart = positions.iter().all(|there| there.snapshot_row.is_none());
        let Some(snapshot_ms) = snapshot_ms.filter(|_| told_apart) else {
            return self.failed(send).await.map(|()| LookupEnd::Skipped);
        };
        let Some(turn) = self.reader.turn(&attempt.contact) else {
            tokio::time::sleep(BUSY).await;
            return Ok(LookupEnd::Skipped);
        };
        let ToRead { positions, guess, complete } = self.to_read(attempt, positions).await?;
        let looked_for = LookupTarget { m_id: attempt.m_id.clone(), part: attempt.part, began_ms: send.began_ms };
        let request = |position: Position| ReadRequest {
            destination: position.destination.clone(),
            position,
            last: None,
            behind: 0,
            snapshot_ms,
            previous: None,
            looked_for: Some(looked_for.clone()),
        };
        let requests: Vec<ReadRequest> = positions.into_iter().chain(guess.clone()).map(request).collect();
        let mut lookups = Vec::new();
        let mut undecidable = !complete;
        for (request, report) in requests.iter().zip(self.reader.read_all(&requests, stop).await) {
            match report.result {
                Ok(Outcome::Read(shown)) => lookups.push((request.destination.clone(), shown)),
                Ok(Outcome::Stopped) => return Ok(LookupEnd::Skipped),
                // It is not known whether there is such a destination.
                Err(InboundError::Read(_)) if guess.as_ref().is_some_and(|guess| *guess == request.position) => {
                    undecidable = true;
                }
                Err(error) => {
                    tracing::warn!(channel_name = %self.settings.name, message_id = %attempt.m_id,
                        error = &error as &dyn std::error::Error,
                        "message `{}` is in doubt and could not be looked up; its conversation waits", attempt.m_id);
                    self.failed(&failing(send, &error)).await?;
                    return Ok(LookupEnd::Failed);
                }
            }
        }
        drop(turn);
        self.weigh(send, &lookups, undecidable).await?;
        Ok(LookupEnd::Made)
    }

    /// Returns what a lookup reads: the destination that the attempt was made to, all others of the contact, and the other
    /// spelling of its number, unless that is another contact. Platforms file what is sent to one under the other.
    async fn to_read(&self, attempt: &Attempt, positions: Vec<Position>) -> Result<ToRead, StoreError> {
        let (name, id_type) = (&self.settings.name, self.settings.id_type);
        let Attempt { contact, destination, .. } = attempt;
        let hashed = destination.erased(name);
        let is_there = |there: &&Position| there.destination == *destination || there.destination == hashed;
        let found = positions.iter().find(is_there).cloned();
        let chat = Chat { contact: contact.clone(), destination: destination.clone() };
        let first = found.map_or_else(|| unread_position(contact, destination), |there| there.of(&chat));
        let others = positions.into_iter().filter(|there| !is_there(&there));
        // The name of an erased destination is not known any more.
        let (erased, others): (Vec<_>, Vec<_>) = others.partition(|there| there.destination.is_erased());
        let positions: Vec<Position> = std::iter::once(first).chain(others).collect();
        let mut guess = None;
        if let Ok(spelled) = id_type.contact_of(destination)
            && let Some(other) = id_type.other_spelling(&spelled)
            && let Ok(other_destination) = id_type.destination_of(&other)
            && !positions.iter().any(|there| same_digits(&there.destination, &other_destination))
        {
            let names = vec![other.clone(), other.erased(name)];
            let is_another = other != *contact && !self.store.known_contacts(name, names).await?.is_empty();
            guess = (!is_another).then(|| unread_position(contact, &other_destination));
        }
        Ok(ToRead { positions, guess, complete: erased.is_empty() })
    }

    /// The lookup failed: again later, unless the message has been in doubt for too long.
    async fn failed(&self, send: &InDoubtSend) -> Result<(), StoreError> {
        let now_ms = now_ms();
        if since(send.unknown_ms, now_ms) >= self.settings.retry.give_up_after {
            return self.unresolved(send).await;
        }
        let wait = self.settings.retry.wait(1, None, 1.0).max(BUSY);
        self.store.record_lookup(send, LookupResult::Failed, now_ms.saturating_add(millis(wait)), now_ms).await
    }

    /// What the reads of a lookup say of the doubt, and what follows. `undecidable`: a destination could not be read.
    async fn weigh(
        &self,
        send: &InDoubtSend,
        lookups: &[(Destination, Shown)],
        undecidable: bool,
    ) -> Result<(), StoreError> {
        let evidence = self.store.evidence(send).await?;
        let now_ms = now_ms();
        let lag = since(0, send.settle_lag_ms).min(MOST_LAG);
        // Absent only where each destination proves it.
        let mut standing = if undecidable { SendStanding::Undecidable } else { SendStanding::Absent };
        let mut rows = LookupEvidence::default();
        for (_, shown) in lookups {
            let (there, evidence) = shown.looked_for.unwrap_or((SendStanding::Undecidable, LookupEvidence::default()));
            rows += evidence;
            standing = if there == SendStanding::Absent { standing } else { there };
        }
        let anchored = |shown: &Shown| send.anchor.as_ref().is_none_or(|anchor| shown.identities.contains(anchor));
        let had_rows =
            |shown: &Shown| if shown.there.is_first { send.anchor.is_some() } else { shown.there.known_before };
        let sent_to = &send.attempt.destination;
        let findings = LookupFindings {
            reaches_back: lookups
                .iter()
                .all(|(_, shown)| if shown.there.is_first { anchored(shown) } else { shown.there.reaches_back }),
            known_before: lookups.iter().any(|(destination, shown)| destination == sent_to && had_rows(shown)),
            before_shown: evidence.before_shown,
            new_shown: evidence.new_shown,
            doubtful: evidence.doubtful,
            standing,
        };
        let words = in_words(send.lookups + 1, findings, rows, evidence.found);
        tracing::info!(channel_name = %self.settings.name, message_id = %send.attempt.m_id, evidence = words,
            "looked for message `{}`", send.attempt.m_id);
        let proves = findings.prove_absence() && since(send.unknown_ms, now_ms) >= lag && !evidence.found;
        let absences = send.absences + u32::from(proves);
        let shown = lookups.iter().map(|(_, shown)| shown.identities.len()).sum();
        let lookup = LookupStep {
            number: send.lookups + 1,
            part: send.attempt.part,
            proofs: absences,
            ..as_counts(findings, rows, shown)
        };
        let mut looked = InDoubtSend { evidence: Some(words), ..send.clone() };
        looked.attempt.note = Some(Step::Lookup(lookup).into());
        let send = &looked;
        if evidence.found {
            return self.found(send).await;
        }
        let absent_since_ms = send.absent_ms.or_else(|| proves.then_some(now_ms));
        let absent_for = absent_since_ms.map_or(Duration::ZERO, |then_ms| since(then_ms, now_ms));
        // The part before is of the same kind; what was sent before may not be.
        let part_before_shown = send.attempt.part > 0 && evidence.before_shown == Some(true);
        match next(&self.settings.look_after, ReconcileState { made: send.lookups + 1, absences, absent_for, lag }) {
            Reconciliation::LookUpAgain(wait) => {
                let result = if proves { LookupResult::Absent } else { LookupResult::Inconclusive };
                self.store.record_lookup(send, result, now_ms.saturating_add(millis(wait)), now_ms).await
            }
            Reconciliation::NotSent if send.shows || part_before_shown => self.not_sent(send).await,
            Reconciliation::NotSent | Reconciliation::Unresolved => self.unresolved(send).await,
        }
    }

    /// A row shows the message: it was sent.
    async fn found(&self, send: &InDoubtSend) -> Result<(), StoreError> {
        let Attempt { content, part, wording, .. } = &send.attempt;
        let more = part + 1 < self.messenger.parts(content, wording.as_ref());
        let send = concluded(send, LookupConclusion::Found);
        self.settle(&send, Settlement::Sent { afilnet_id: None, more }).await
    }

    /// Certainly not sent: queued again in its old place, unless it is too old.
    async fn not_sent(&self, send: &InDoubtSend) -> Result<(), StoreError> {
        let fault = fault(send);
        let settlement = if gives_up(&self.settings, &send.attempt, &fault, now_ms()) {
            let got = if send.attempt.part == 0 { Delivered::No } else { Delivered::Maybe };
            let notice = Some(failure_text(&fault, got, self.settings.language));
            Settlement::Failed { fault, notice }
        } else {
            Settlement::Queued { due_ms: None, fault }
        };
        self.settle(&concluded(send, LookupConclusion::NotSent), settlement).await
    }

    /// The lookups could not settle it: as `on_unconfirmed` says.
    async fn unresolved(&self, send: &InDoubtSend) -> Result<(), StoreError> {
        let (send, fault) = (&concluded(send, LookupConclusion::Unresolved), fault(send));
        let held = match self.settings.on_unconfirmed {
            // Not without end: each send whose outcome stays unknown may be one more delivery.
            OnUnconfirmed::Resend
                if send.attempt.number < MOST_RESENDS && !gives_up(&self.settings, &send.attempt, &fault, now_ms()) =>
            {
                tracing::warn!(message_id = %send.attempt.m_id,
                    "message `{}` may have been delivered, and looking could not tell; it is sent again, as on_unconfirmed says",
                    send.attempt.m_id);
                return self.settle(send, Settlement::Queued { due_ms: None, fault }).await;
            }
            OnUnconfirmed::Fail | OnUnconfirmed::Resend => false,
            OnUnconfirmed::Hold => true,
        };
        let notice = failure_text(&fault, Delivered::Maybe, self.settings.language);
        self.settle(send, Settlement::Unconfirmed { fault, notice, held }).await
    }

    async fn settle(&self, send: &InDoubtSend, settlement: Settlement) -> Result<(), StoreError> {
        let now_ms = now_ms();
        self.store.resolve(send, self.epoch, settlement.clone(), now_ms).await?;
        report(&self.settings, &send.attempt, &settlement, since(send.unknown_ms, now_ms));
        Ok(())
    }
}

/// What a lookup reads.
struct ToRead {
    positions: Vec<Position>,
    /// The other spelling of the number, of which nothing is known.
    guess: Option<Position>,
    /// They are all destinations of the contact.
    complete: bool,
}

/// What a lookup showed, as its step; `shown` rows in all.
fn as_counts(findings: LookupFindings, rows: LookupEvidence, shown: usize) -> LookupStep {
    let LookupFindings { reaches_back, known_before, before_shown, new_shown, doubtful, .. } = findings;
    let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
    LookupStep {
        rows: count(shown),
        reaches_back,
        since: count(rows.since),
        ours: count(rows.ours),
        others: count(rows.others),
        unexplained: count(rows.unexplained),
        missing: count(rows.missing),
        before_hidden: before_shown == Some(false),
        place_unknown: !known_before && before_shown != Some(true) && !new_shown,
        doubtful,
        ..LookupStep::default()
    }
}

/// Returns it with what followed from its lookup, if one was made.
fn concluded(send: &InDoubtSend, conclusion: LookupConclusion) -> InDoubtSend {
    let mut send = send.clone();
    if let Some(StepRecord { step: Step::Lookup(lookup), .. }) = &mut send.attempt.note {
        lookup.conclusion = conclusion;
    }
    send
}

/// Returns it with the step of a lookup that could not be made, where that was Afilnet's fault.
fn failing(send: &InDoubtSend, error: &InboundError) -> InDoubtSend {
    let mut send = send.clone();
    if let InboundError::Read(error) = error {
        send.attempt.note = Some(Step::LookupFailed { fault: error.fault.code() }.into());
    }
    send
}

/// What a lookup showed, for a person.
fn in_words(number: u32, findings: LookupFindings, rows: LookupEvidence, found: bool) -> String {
    let LookupFindings { reaches_back, known_before, before_shown, new_shown, doubtful, .. } = findings;
    let mut words = format!("look {number}: {rows}");
    for (holds, says) in [
        (found, "a row shows the message"),
        (!reaches_back, "the read does not reach back to the newest row known before"),
        (before_shown == Some(false), "the message sent before does not show either"),
        (
            !known_before && before_shown != Some(true) && !new_shown,
            "no message to a new number of this country has shown yet, so it may be kept under another spelling",
        ),
        (doubtful, "a row that may be the message in other words is not decided"),
    ] {
        if holds {
            words.push_str("; ");
            words.push_str(says);
        }
    }
    words
}

fn fault(send: &InDoubtSend) -> Fault {
    send.attempt.before.fault.as_deref().map_or(Fault::Interrupted, Fault::from_code)
}

#[cfg(test)]
mod tests;
