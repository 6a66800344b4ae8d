//! The store. What is accepted or read is durable here before it is acknowledged; the HTTP handlers and the loops meet
//! only here. Operations are named by intent, and each is one transaction; both engines give the same guarantees.

mod admin;
mod attempt;
mod bulk;
mod caller;
#[cfg(test)]
mod conformance;
pub(crate) mod copy;
mod copy_rows;
mod erasure;
mod error;
mod examination;
mod found;
mod in_doubt;
mod lease;
#[cfg(test)]
mod many_rows;
pub(crate) mod open;
mod operators;
mod ops;
mod places;
mod postgres;
mod reading;
mod rules;
mod sent_forms;
mod sql;
mod sql_bulk;
mod sql_find;
mod sql_journey;
mod sql_operators;
mod sql_pauses;
mod sql_stale;
mod sql_tail;
mod sqlite;
mod stale;
mod tail;
mod tx;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::find::Search;
use crate::domain::journey::{Journey, Operator, StepRecord};
use crate::domain::matching::{AccountTraits, SentForm};
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{
    ChannelName, Chat, ContactId, Content, Destination, Event, Fault, IdempotencyKey, MId, PendingQuestion, Wordings,
};

#[cfg(test)]
pub(crate) use admin::Filter;
pub(crate) use admin::{
    DecisionTarget, DiscardNotices, GivenUp, ListedMessage, ManualOutcome, QueueDepth, ShownState, Waiting,
};
pub(crate) use attempt::{Attempt, Begun, FailureStreak, Settlement};
pub(crate) use bulk::{BulkAction, BulkFilter, BulkJobs, BulkMatch, BulkPage, BulkState, Job, JobParts, NewJob, Place};
pub(crate) use caller::Caller;
pub(crate) use erasure::{Erase, Erasure, Person};
pub(crate) use error::{CommitLost, StoreError};
pub(crate) use examination::{DataCheck, Examination};
pub(crate) use found::{FoundMessage, FoundMessages, Indexing};
pub(crate) use in_doubt::{Decision, Evidence, InDoubtSend, LookupResult};
pub(crate) use lease::{ClusterView, Epoch, Leases, Owner};
pub(crate) use operators::{Activity, AuditEntry, FailedGroup, ObservedTraits, Operators};
pub(crate) use reading::{
    ConversationRead, Lesson, NewRow, PostponedRow, Postponement, Receipt, Recorded, RowChange, SeenRow, SeenRows,
    SendRecord, UnreportedSend,
};
pub(crate) use stale::{StaleMessage, StaleQuery, StaleRule};
pub(crate) use tail::{TailEntry, TailFrom, TailStep, Tailed};
pub(crate) use wakeups::{AccountLoad, ChannelWakeups, FirstVerdict, Wakeups};

/// A message to be accepted.
#[derive(Debug, Clone)]
pub(crate) struct NewOutbound {
    pub(crate) m_id: MId,
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// The other spelling of the contact's number: where only that is known, its conversation is the one.
    pub(crate) other_spelling: Option<ContactId>,
    /// Used unless a read has shown Afilnet's own spelling of the destination.
    pub(crate) destination: Destination,
    pub(crate) content: Content,
    pub(crate) request_id: String,
    pub(crate) accepted_ms: i64,
    /// The `Idempotency-Key` of the call.
    pub(crate) key: Option<IdempotencyKey>,
    /// How long the caller waits for a verdict.
    pub(crate) waits: Duration,
    /// The channel takes nothing new: a repeat of what was taken before gets its answer, anything else is not stored.
    pub(crate) is_drained: bool,
    pub(crate) caller: Caller,
}

/// Result of `accept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Earlier messages of the same conversation are still queued.
    pub(crate) ahead: bool,
    pub(crate) outcome: AcceptOutcome,
}

/// What a call was accepted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AcceptOutcome {
    /// A new message.
    New,
    /// A repeat of this message; nothing was stored.
    RepeatOf(MId),
    /// Refused: its key belongs to another message.
    KeyTaken,
    /// Refused: it is new, and the channel takes nothing new.
    Drained,
    /// Refused: another process has not said whether its caller received the response to an equal message, so that this
    /// may be a repeat or a message of its own.
    EqualPending,
}

/// A message that was `sending` when its owner ended.
#[derive(Debug, Clone)]
pub(crate) struct Interrupted {
    pub(crate) m_id: MId,
    pub(crate) contact: ContactId,
}

/// An event that is due, and the first of its conversation.
#[derive(Debug, Clone)]
pub(crate) struct DueEvent {
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// Database ids of the event and its conversation.
    pub(crate) event_id: i64,
    pub(crate) conversation: i64,
    pub(crate) event: Event,
    /// Earlier attempts, and how the last ones failed.
    pub(crate) attempts: u32,
    pub(crate) before: FailureStreak,
    pub(crate) recorded_ms: i64,
    /// What its journey is to tell of this post: recorded with what follows from it.
    pub(crate) note: Option<StepRecord>,
}

/// Result of an attempt to publish.
#[derive(Debug, Clone)]
pub(crate) enum Publication {
    Done,
    Queued { due_ms: i64, fault: Fault },
    Dead { fault: Fault },
}

/// Result of `pause`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Paused {
    /// From now on.
    Now,
    /// This one lasts already; nothing was changed.
    Already(OperatorPause),
}

/// How far one destination of a conversation has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) contact: ContactId,
    pub(crate) destination: Destination,
    /// Fingerprint of the getchats row up to which rows are recorded.
    pub(crate) read_to: Option<String>,
    /// The same at the initial snapshot, until the rows up to it are read by the first-run rule (column `baseline`).
    pub(crate) snapshot_row: Option<String>,
    /// What [`Store::note_unread`] stored, until then.
    pub(crate) unread: Option<String>,
}

impl Position {
    /// Returns it with these names, where it was stored under hashes of erased ones.
    pub(crate) fn of(self, Chat { contact, destination }: &Chat) -> Self {
        Self { contact: contact.clone(), destination: destination.clone(), ..self }
    }

    pub(crate) fn chat(&self) -> Chat {
        Chat { contact: self.contact.clone(), destination: self.destination.clone() }
    }
}

/// The index of words goes before other operations when it is behind by so much.
const INDEX_WITHIN_MS: i64 = 80_000;

/// Every method is one transaction; what returned `Ok` survives kill -9 and a power cut.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// Enqueues a message, in the conversation of its contact or else of the other spelling of its number. Deduplicates: returns the earlier mId if the `Idempotency-Key` is known, or if an equal
    /// message of the last ten minutes exists and its response never reached the client (once per lost response, see
    /// [`Store::record_responses`]). A message that was certainly not sent is never deduplicated against.
    async fn accept(&self, message: NewOutbound) -> Result<Accepted, StoreError>;

    /// Detects a clock that was set back while no process ran: the newest stored time is later than `now_ms`. Then
    /// moves all due times back by the difference, so that nothing waits for the clock to catch up. Returns the
    /// difference, 0 where it is negligible. Called by an owner before it begins anything.
    async fn correct_clock_rollback(&self, now_ms: i64) -> Result<i64, StoreError>;

    /// Records for each mId whether its response reached the caller. Returns those of which the row was being changed by
    /// another transaction: nothing is recorded of them, and the caller records them again.
    async fn record_responses(&self, responses: Vec<(MId, bool)>) -> Result<Vec<(MId, bool)>, StoreError>;

    /// Journals at once, without a sync to disk, what [`Self::record_responses`] stores later: a response was written
    /// in full (`reached`), or was lost after all. Survives a kill of the process where the engine supports that.
    fn journal_response(&self, m_id: &MId, reached: bool);

    /// Makes the caller the owner of `channel`: from now on nothing is begun or settled there under an older epoch.
    /// Responses that the former owner had not recorded count as lost.
    async fn take_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError>;

    /// As [`Self::take_ownership`], for a process that owns `channel` already and restarts its loops: the responses
    /// that it is giving do not count as lost. Where there are leases, they decide which responses count as lost.
    async fn retake_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        self.take_ownership(channel).await
    }

    /// Marks as unknown what a former owner left in `sending`; the first lookup is at `look_ms`.
    async fn interrupted(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Interrupted>, StoreError>;

    /// Marks up to `limit` messages that are due by `now_ms` as `sending`, and returns them: one per conversation,
    /// conversations with a customer's message since `live_since_ms` first, then oldest first. A question becomes its
    /// conversation's pending question with its first part: from then on the customer may see the numbers; a later part
    /// does not reopen what was answered in between. One with placeholders waits for `prepare_call`. `wordings` are kept
    /// with a message of which certainly nothing was sent yet; any other keeps those that it has. A message that `stale` applies to fails
    /// instead, and its agent is told.
    #[expect(clippy::too_many_arguments, reason = "what decides on which messages, in which words")]
    async fn begin_unless_stale(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        now_ms: i64,
        live_since_ms: i64,
        limit: u32,
        wordings: &Wordings,
        stale: Option<StaleRule>,
    ) -> Result<Begun, StoreError>;

    /// The same, however old they are.
    #[cfg(test)]
    async fn begin(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        now_ms: i64,
        live_since_ms: i64,
        limit: u32,
        wordings: &Wordings,
    ) -> Result<Begun, StoreError> {
        self.begin_unless_stale(channel, epoch, now_ms, live_since_ms, limit, wordings, None).await
    }

    /// Fails messages that the rule applies to, `limit` at most, the first of each conversation, and tells their agents. Returns them;
    /// none where nothing is stale, without a write. What is to be tried again later is left to `begin`.
    async fn fail_stale(&self, query: StaleQuery, limit: u32, now_ms: i64) -> Result<Vec<StaleMessage>, StoreError>;

    /// Stores what must be known before the first byte of a call with placeholders: what is kept of its words where they
    /// were filled in, beside those of earlier attempts that may have been sent, and the question that it asks, which
    /// `begin` leaves closed. `Stale` where the attempt is not the current one.
    async fn prepare_call(&self, attempt: &Attempt, form: Option<SentForm>, now_ms: i64) -> Result<(), StoreError>;

    /// Settles an attempt; `Stale` if it is not the current one. A question that was certainly not sent, or has failed,
    /// is closed; one of unknown outcome stays open.
    async fn settle(&self, attempt: &Attempt, settlement: Settlement, now_ms: i64) -> Result<(), StoreError>;

    /// Returns up to `limit` messages of unknown outcome whose lookup is due by `now_ms`, the earliest due first.
    async fn due_lookups(&self, channel: &ChannelName, now_ms: i64, limit: u32)
    -> Result<Vec<InDoubtSend>, StoreError>;

    /// Returns when the next lookup is due; `None` if nothing is in doubt.
    async fn next_lookup_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError>;

    /// Returns what the rows seen so far show of a send in doubt.
    async fn evidence(&self, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError>;

    /// Records a lookup that settled nothing; the next is at `look_ms`. `Stale` if the message is settled by now.
    async fn record_lookup(
        &self,
        in_doubt: &InDoubtSend,
        look: LookupResult,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Settles a message in doubt, as [`Store::settle`] settles an attempt. `Stale` if an operator has settled it, or
    /// if `epoch` is not the current ownership of the channel.
    async fn resolve(
        &self,
        in_doubt: &InDoubtSend,
        epoch: Epoch,
        settlement: Settlement,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Settles a message in doubt (`unknown`, `held` or `unconfirmed`) for an operator; `notice` goes to the agent if
    /// the message failed and the agent has not been notified yet. Returns the state before, `None` if there is no such
    /// message; in any other state nothing is changed. `wiped`: it cannot be sent again, since its text is erased. Only
    /// one that lookups could not decide (`held` or `unconfirmed`) can be noted, and once: `noted` if it was before. `Stale`:
    /// the target is no longer as it was seen, as of `retry` and `discard`.
    async fn decide(
        &self,
        target: DecisionTarget,
        decision: Decision,
        notice: String,
        by: Operator,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError>;

    /// Queues the agent's notice of a failure that `settle` had left to an HTTP caller which then went away.
    async fn notify_failed(&self, attempt: &Attempt, notice: String, now_ms: i64) -> Result<(), StoreError>;

    /// Returns when the next outbound message of `channel` is due; `None` if none waits.
    async fn next_outbound_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError>;

    /// Returns what waits, by channel, configured or not.
    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError>;

    /// Returns the depth of the queues by channel, without empty ones. Its cost grows with what waits.
    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError>;

    /// Returns when the initial snapshot of `channel` was stored (column `baseline_ms`); `None` before.
    async fn snapshot_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError>;

    /// Stores the initial snapshot: the conversations that existed before the first run, and their positions.
    /// Its crash point is `take_baseline`.
    async fn store_initial_snapshot(
        &self,
        channel: &ChannelName,
        conversations: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Stores what Afilnet marked as unread under a destination of the initial snapshot, before anything else of it is
    /// read: reading may clear the mark for good.
    async fn note_unread(&self, channel: &ChannelName, chat: &Chat, unread: String) -> Result<(), StoreError>;

    /// Returns how far each destination of each conversation of `channel` has been read.
    async fn positions(&self, channel: &ChannelName) -> Result<Vec<Position>, StoreError>;

    /// Returns the first destination of each conversation of `channel` of which a row was recorded since `since_ms`, or to
    /// which something was sent or may have been. Without those of erased persons.
    async fn active_since(&self, channel: &ChannelName, since_ms: i64) -> Result<Vec<Chat>, StoreError>;

    /// Returns how far each destination of one conversation has been read, the first one first; none if nothing was.
    async fn positions_of(&self, channel: &ChannelName, contact: &ContactId) -> Result<Vec<Position>, StoreError>;

    /// Returns those of these contacts, or hashes of erased ones, with which a conversation is stored.
    async fn known_contacts(
        &self,
        channel: &ChannelName,
        contacts: Vec<ContactId>,
    ) -> Result<Vec<ContactId>, StoreError>;

    /// Returns the rows seen in one conversation, under all its destinations, and the tails of the pages that were read last.
    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError>;

    /// Returns the chats with rows that wait for a decision.
    async fn chats_with_postponed(&self, channel: &ChannelName) -> Result<Vec<Chat>, StoreError>;

    /// Returns what was sent to one conversation, or may have been, and is not matched word for word with a row: the newest
    /// `limit` sends, oldest first, without those whose text is erased.
    async fn own_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<SendRecord>, StoreError>;

    /// Returns the newest `limit` messages that were sent to one conversation, or may have been, and have no final
    /// status yet, without those whose text is erased.
    async fn unreported_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<UnreportedSend>, StoreError>;

    /// Returns what is known of the account of `channel` from its rows.
    async fn account_traits(&self, channel: &ChannelName) -> Result<AccountTraits, StoreError>;

    /// Returns the pending question of a conversation, however old. A later question replaces it.
    async fn pending_question(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
    ) -> Result<Option<PendingQuestion>, StoreError>;

    /// Records one read of a conversation: events, seen rows and position together; closes the answered question unless
    /// a later one is pending. A row seen before makes no event, unless it was postponed or had no
    /// content before; a status makes one only if it goes beyond the last one
    /// published. Updates the account's traits from rows that match sent messages. Timestamps of a conversation's
    /// events never go back. Where a row of the customer makes one, messages go to the destination that was read from now
    /// on; without one, only where nothing was read before and its spelling alone differs.
    async fn record(&self, reading: ConversationRead) -> Result<Recorded, StoreError>;

    /// Returns up to `limit` events that are due by `now_ms`, the first of each conversation, oldest first.
    async fn due_events(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<DueEvent>, StoreError>;

    /// Returns the event that follows `event` in its conversation, if it is due by `now_ms`.
    async fn event_behind(&self, event: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError>;

    /// Returns when the next event of `channel` after `now_ms` is due; `None` if none waits.
    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError>;

    /// Settles an attempt to publish.
    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError>;

    /// Returns the first page of what `search` describes, newest first, and where it ends. Takes at most `within`, and
    /// says how far it came where that is not enough.
    async fn find(&self, search: Search, within: Option<Duration>) -> Result<FoundMessages, StoreError>;

    /// Adds the next messages to the index of words, unless others are being stored and it is not late.
    async fn index_texts(&self, now_ms: i64) -> Result<Indexing, StoreError>;

    /// Lists outbound messages, newest first; in the state `dead`, events that were given up and not discarded.
    #[cfg(test)]
    async fn list(&self, filter: Filter) -> Result<Vec<ListedMessage>, StoreError> {
        use crate::domain::find::{MessageState, Side};
        let Filter { state, channel, limit } = filter;
        let state: Option<MessageState> = state.map(|state| state.parse().unwrap());
        let side = Some(if state == Some(MessageState::Dead) { Side::In } else { Side::Out });
        let found = self.find(Search { side, channel, state, limit, ..Search::all() }, None).await?;
        Ok(found.messages.into_iter().map(|found| found.message).collect())
    }

    /// Requeues a failed message, or else the dead events of this id, in their old places: due at once, attempts and
    /// age counted from zero.
    async fn retry(&self, target: DecisionTarget, by: Operator, now_ms: i64) -> Result<ManualOutcome, StoreError>;

    /// Counts the events, by channel and fault, that were given up at `since_ms` or later and still have their text; of
    /// `channel` or of all.
    async fn given_up(&self, channel: Option<String>, since_ms: i64) -> Result<Vec<GivenUp>, StoreError>;

    /// As [`Self::retry`], for the oldest `limit` of those. Returns their number.
    async fn retry_given_up(
        &self,
        channel: Option<String>,
        since_ms: i64,
        limit: u32,
        by: Operator,
        now_ms: i64,
    ) -> Result<usize, StoreError>;

    /// Returns the names of all channels that were ever served from this store.
    async fn channel_names(&self) -> Result<Vec<String>, StoreError>;

    /// Discards a message that is queued, held, failed or unconfirmed, or else the dead events of this id, and erases their
    /// texts at once. The agent of a message that was still queued gets one of `notices`.
    async fn discard(
        &self,
        target: DecisionTarget,
        notices: DiscardNotices,
        by: Operator,
        now_ms: i64,
    ) -> Result<ManualOutcome, StoreError>;

    /// Erases everything of one person: messages, events, keys, pending questions and names, all or nothing. The
    /// position of each conversation is kept under a hash ([`ContactId::erased`]), so that what Afilnet still shows of
    /// it is not published again. Returns what there is, or was.
    async fn erase(&self, person: Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError>;

    /// Overwrites erased data in files that this process owns; `None` if the engine has none, `false` if another
    /// program prevents it.
    async fn scrub(&self) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    /// Returns what happened to the message of an mId, or to the events of it; `None` if there is neither. Works beside a
    /// running process.
    async fn journey(&self, m_id: String) -> Result<Option<Journey>, StoreError>;

    /// Returns what happened since `from`, without what a look leaves out where there is too much of it.
    async fn tail(&self, from: TailFrom) -> Result<Tailed, StoreError>;

    /// Pauses a part of `channel` for an operator: from the commit on, nothing more is begun (`Out`) or returned as due
    /// (`In`) by whichever process owns the channel. The ages of its messages or events do not count the time.
    async fn pause(
        &self,
        channel: &ChannelName,
        kind: PauseKind,
        by: Operator,
        now_ms: i64,
    ) -> Result<Paused, StoreError>;

    /// Ends a pause of [`Store::pause`] and returns it; `None` if none lasts.
    async fn resume(
        &self,
        channel: &ChannelName,
        kind: PauseKind,
        by: Operator,
        now_ms: i64,
    ) -> Result<Option<OperatorPause>, StoreError>;

    /// Returns the pauses by hand that last, of all channels.
    async fn operator_pauses(&self) -> Result<Vec<OperatorPause>, StoreError>;

    /// Records the fault by which each of these channels is paused, from now on; `None`: by none.
    async fn set_paused_by(&self, channels: Vec<(ChannelName, Option<String>)>, now_ms: i64) -> Result<(), StoreError>;

    /// Returns one message, or an event.
    async fn show(&self, m_id: String) -> Result<Option<ListedMessage>, StoreError>;

    /// Erases texts and deletes rows of which the retention time is over, at most `limit` of each kind. Returns the
    /// number of the kind that had most.
    async fn purge(&self, text_before_ms: i64, rows_before_ms: i64, limit: u32) -> Result<usize, StoreError>;

    /// Checks that the store can be written now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Examines the engine and its data for an operator, and ends its own check of the data after this time. Changes
    /// nothing.
    async fn examine(&self, within: Duration) -> Result<Examination, StoreError>;

    /// Returns the operations on many messages.
    fn bulk(&self) -> &dyn BulkJobs;

    /// Returns the store's notifications.
    fn wakeups(&self) -> &Arc<Wakeups>;

    /// Returns the leases of channels, where several processes share the store; `None` if one process has it to itself.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }

    /// Returns what operators alone read.
    fn operators(&self) -> &dyn Operators;

    /// Commits the operations that were handed in, then closes the store.
    async fn close(&self);
}
