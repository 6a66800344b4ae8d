//! The durable line. What is accepted or read is kept here before anyone is told so; the door and the loops meet only
//! here. Operations are named by intent, and each is one transaction; both engines keep the same promises.

mod admin;
mod attempt;
mod caller;
#[cfg(test)]
mod conformance;
mod copy;
mod erasure;
mod in_doubt;
mod lease;
mod postgres;
mod reading;
mod sent_forms;
mod sql;
mod sqlite;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::matching::SentForm;
use crate::domain::{ChannelName, ContactId, Content, Destination, Event, Fault, IdempotencyKey, MId, PendingQuestion};

pub(crate) use admin::{DiscardNotices, Filter, GivenUp, ListedMessage, ManualOutcome, QueueDepth, Waiting};
pub(crate) use attempt::{Attempt, FailureStreak, Settlement};
pub(crate) use caller::Caller;
pub(crate) use copy::{Copied, copy, reopen};
pub(crate) use erasure::{Erase, Erasure, Person};
pub(crate) use in_doubt::{Decision, Evidence, InDoubtSend, Look};
pub(crate) use lease::{ClusterView, Leases, Owner};
pub(crate) use postgres::PostgresStore;
pub(crate) use reading::{
    AccountTraits, ConversationRead, NewRow, OwnSend, Receipt, Recorded, SeenRow, SeenRows, UnreportedSend,
};
use sqlite::FileGone;
pub(crate) use sqlite::SqliteStore;
pub(crate) use wakeups::{AccountLoad, ChannelWakeups, FirstVerdict, Wakeups};

/// Why the store could not do what was asked. Variants differ by what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// Later, perhaps: disk full, locked, gone. Nothing was stored, or nobody knows ([`Self::may_be_committed`]); the door
    /// answers 503.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A row does not decode; someone must look.
    #[error("a row in table `{table}` does not decode")]
    Corrupt {
        table: &'static str,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The attempt or the channel belongs to another owner by now, or the caller of a message may be another process's:
    /// it is gone, or has waited so long that it may have called again there. Drop the result.
    #[error("another owner has taken over")]
    Stale,
    /// The store is closed: the process is ending.
    #[error("the store is closed")]
    Closed,
}

/// A commit whose answer did not come: what it held may be stored or not.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a commit was lost")]
pub(crate) struct CommitLost(#[source] pub(crate) Arc<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Whether what failed may be stored all the same.
    pub(crate) fn may_be_committed(&self) -> bool {
        matches!(self, Self::Unavailable(source) if source.downcast_ref::<CommitLost>().is_some())
    }

    /// The error for whoever asks whether the bridge is ready, with its cause where an operator must act on that.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unavailable(source) => match source.downcast_ref::<FileGone>() {
                Some(gone) => format!("{self}: {gone}"),
                None => self.to_string(),
            },
            Self::Corrupt { .. } | Self::Stale | Self::Closed => self.to_string(),
        }
    }
}

/// Generation of a channel's owner. Only the newest may begin and settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(pub(crate) i64);

/// A message to be accepted.
#[derive(Debug, Clone)]
pub(crate) struct NewOutbound {
    pub(crate) m_id: MId,
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// Where it goes unless a read has shown Afilnet's own spelling of the destination.
    pub(crate) destination: Destination,
    pub(crate) content: Content,
    pub(crate) request_id: String,
    pub(crate) accepted_ms: i64,
    /// The caller's own name of the call.
    pub(crate) key: Option<IdempotencyKey>,
    /// How long the caller waits for a verdict.
    pub(crate) waits: Duration,
    pub(crate) caller: Caller,
}

/// What `accept` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Messages of the same conversation wait before it.
    pub(crate) ahead: bool,
    pub(crate) kept: AcceptOutcome,
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AcceptOutcome {
    /// A message of its own.
    New,
    /// No message of its own: it repeats this one.
    RepeatOf(MId),
    /// Nothing: its key names another message.
    KeyTaken,
}

/// A message that was under way when its owner ended.
#[derive(Debug, Clone)]
pub(crate) struct Interrupted {
    pub(crate) m_id: MId,
    pub(crate) contact: ContactId,
}

/// An event whose turn it is.
#[derive(Debug, Clone)]
pub(crate) struct DueEvent {
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// The store's own names of the event and its conversation.
    pub(crate) row: i64,
    pub(crate) conversation: i64,
    pub(crate) event: Event,
    /// Attempts made before, and which failed.
    pub(crate) attempts: u32,
    pub(crate) before: FailureStreak,
    pub(crate) recorded_ms: i64,
}

/// What became of an attempt to publish.
#[derive(Debug, Clone)]
pub(crate) enum Publication {
    Done,
    Queued { due_ms: i64, fault: Fault },
    Dead { fault: Fault },
}

/// How far one conversation has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) contact: ContactId,
    pub(crate) destination: Destination,
    /// Fingerprint of the getchats row up to which it is recorded.
    pub(crate) read_to: Option<String>,
    /// The same as it was at first run, while the rows up to it wait for the first-run rule.
    pub(crate) baseline: Option<String>,
    /// What [`Store::note_unread`] kept, until then.
    pub(crate) unread: Option<String>,
}

impl Position {
    /// The same under the contact's name, where it was kept under another.
    pub(crate) fn of(self, contact: &ContactId) -> Self {
        Self { contact: contact.clone(), ..self }
    }
}

/// The durable line. Every method is one transaction; what returned `Ok` survives kill -9 and a power cut.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// Keeps a message, last of its conversation, unless the call repeats one: the oldest equal message of the last ten
    /// minutes whose mId did not reach its caller, or the one that its key names. Each such message is repeated once;
    /// again only where [`Store::record_responses`] says that the repeat's response was lost as well. What surely was not sent
    /// has no repeat.
    async fn accept(&self, message: NewOutbound) -> Result<Accepted, StoreError>;

    /// Where what was stored last lies ahead of `now_ms`, the clock was set back while no process ran: moves all that
    /// waits back by the difference, so that nothing waits for the clock to catch up. Tells the difference; 0 where there
    /// is none worth mentioning. For an owner, before it begins anything.
    async fn follow_clock(&self, now_ms: i64) -> Result<i64, StoreError>;

    /// Keeps which mIds reached their callers, and which did not.
    async fn record_responses(&self, accept: Vec<(MId, bool)>) -> Result<(), StoreError>;

    /// Notes at once, without waiting for any disk, what [`Self::record_responses`] stores later: a response was written
    /// in full, or was lost after all. It outlives a kill of the process where the engine can do that.
    fn journal_response(&self, m_id: &MId, reached: bool);

    /// Makes the caller the owner of `channel`: nobody with an older epoch begins or settles there from now on. Answers
    /// of which the former owner did not come to know count as lost.
    async fn take_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError>;

    /// As [`Self::take_ownership`], for a process that owns `channel` and begins anew: it still tells what becomes of the answers that
    /// it is giving. Where leases tell who owns what, they do this.
    async fn retake_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        self.take_ownership(channel).await
    }

    /// Marks as unknown what a former owner left in `sending`, to be looked up first at `look_ms`.
    async fn interrupted(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Interrupted>, StoreError>;

    /// Takes up to `limit` messages whose turn it is and that are due by `now_ms`, and marks them `sending`: one a
    /// conversation, conversations with a customer's message since `live_since_ms` first, then oldest first. A question
    /// becomes its conversation's open choice with its first part: from now on the customer may see a number, and a
    /// later part never opens again what was answered in between.
    async fn begin(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        now_ms: i64,
        live_since_ms: i64,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError>;

    /// Keeps what is known of the words that an attempt is about to send, beside those of earlier attempts that may have
    /// been sent. `Stale` where it is not the current one.
    async fn note_sent_form(&self, attempt: &Attempt, form: SentForm) -> Result<(), StoreError>;

    /// Settles an attempt. `Stale` where it is not the current one. A question that surely was not seen, or has failed,
    /// is no longer open; one whose outcome is unknown still is.
    async fn settle(&self, attempt: &Attempt, settlement: Settlement, now_ms: i64) -> Result<(), StoreError>;

    /// Up to `limit` messages of unknown outcome that are to be looked up by `now_ms`, the most due first.
    async fn due_looks(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<InDoubtSend>, StoreError>;

    /// When the next look is due; `None` where nothing is in doubt.
    async fn next_look_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError>;

    /// What the rows seen by now say of a doubt.
    async fn evidence(&self, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError>;

    /// Notes a look that settled nothing; the next is at `look_ms`. `Stale` where the doubt is settled by now.
    async fn look_again(&self, in_doubt: &InDoubtSend, look: Look, look_ms: i64, now_ms: i64)
    -> Result<(), StoreError>;

    /// Settles a doubt: as [`Store::settle`] settles an attempt. `Stale` where a person was quicker, or the channel has
    /// another owner than `epoch`.
    async fn resolve(
        &self,
        in_doubt: &InDoubtSend,
        epoch: Epoch,
        settlement: Settlement,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Settles by hand a message in doubt (`unknown`, `held` or `unconfirmed`); `notice` tells the agent of a failure
    /// that nobody has told yet. `None` where there is no such message, else its state before: where that is none of
    /// these, nothing was changed. `wiped`: it cannot be sent again, as its text is gone.
    async fn decide(
        &self,
        m_id: String,
        decision: Decision,
        notice: String,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError>;

    /// Tells the agent that a message failed, where `settle` left that to a caller who has gone away.
    async fn notify_failed(&self, attempt: &Attempt, notice: String, now_ms: i64) -> Result<(), StoreError>;

    /// When the next outbound message of `channel` is due; `None` where none waits.
    async fn next_outbound_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError>;

    /// What waits, by channel, whether it is configured or not.
    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError>;

    /// How deep the queues are, by channel; not those where nothing waits. Its cost grows with what waits.
    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError>;

    /// When the first run of `channel` took stock; `None` before.
    async fn baseline_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError>;

    /// Takes stock: these conversations were there before, up to these positions.
    async fn take_baseline(
        &self,
        channel: &ChannelName,
        conversations: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Keeps what Afilnet called unread in a conversation of the baseline, before anything else is read of it: reading
    /// may clear the mark, and nobody would know again.
    async fn note_unread(&self, channel: &ChannelName, contact: &ContactId, unread: String) -> Result<(), StoreError>;

    /// How far each conversation of `channel` has been read.
    async fn positions(&self, channel: &ChannelName) -> Result<Vec<Position>, StoreError>;

    /// How far one conversation has been read; `None` where nothing of it was.
    async fn position(&self, channel: &ChannelName, contact: &ContactId) -> Result<Option<Position>, StoreError>;

    /// The rows seen in one conversation, and the tail of the page that was read last.
    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError>;

    /// What was sent to one conversation, or may have been, and no seen row claims: the newest `limit` calls, oldest
    /// first. Not those whose text is wiped.
    async fn own_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<OwnSend>, StoreError>;

    /// Messages that went out to one conversation, or may have, and of whose end nothing final was told: the newest
    /// `limit`. Not those whose text is wiped.
    async fn unreported_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<UnreportedSend>, StoreError>;

    /// What readings have taught about the account of `channel`.
    async fn account_traits(&self, channel: &ChannelName) -> Result<AccountTraits, StoreError>;

    /// The question of a conversation that its customer has not answered, however old. A later one takes its place.
    async fn pending_question(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
    ) -> Result<Option<PendingQuestion>, StoreError>;

    /// Records a reading: events, seen rows and position together, and the answered question is no longer open, unless
    /// a later one is by now. A row seen before makes no event, and a status only where it goes beyond what was told.
    /// What claimed rows of sent messages teach is learned. Timestamps of a conversation's events never go back.
    async fn record(&self, reading: ConversationRead) -> Result<Recorded, StoreError>;

    /// Up to `limit` events whose turn it is and that are due by `now_ms`, one a conversation, oldest first.
    async fn due_events(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<DueEvent>, StoreError>;

    /// The event that follows one in its conversation, where it waits and is due by `now_ms`.
    async fn event_behind(&self, event: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError>;

    /// When the next event of `channel` after `now_ms` is due; `None` where none waits.
    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError>;

    /// Settles an attempt to publish.
    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError>;

    /// Messages for a person, newest first; in the state `dead`, events that were given up and not discarded.
    async fn list(&self, filter: Filter) -> Result<Vec<ListedMessage>, StoreError>;

    /// Puts a failed message, or else the events of this id that were given up, back to their old places: due at once,
    /// tries and age counted anew.
    async fn retry(&self, m_id: String, now_ms: i64) -> Result<ManualOutcome, StoreError>;

    /// Events given up at `since_ms` or later, of `channel` or of all, whose text is still there: how many, by channel and
    /// fault.
    async fn given_up(&self, channel: Option<String>, since_ms: i64) -> Result<Vec<GivenUp>, StoreError>;

    /// As [`Self::retry`], for the oldest `limit` of those. Returns how many.
    async fn retry_given_up(
        &self,
        channel: Option<String>,
        since_ms: i64,
        limit: u32,
        now_ms: i64,
    ) -> Result<usize, StoreError>;

    /// The names of all channels that ever were served from this store.
    async fn channel_names(&self) -> Result<Vec<String>, StoreError>;

    /// Gives up for good what waits, failed, or is not confirmed, or else the events of this id that were given up; their
    /// texts are wiped at once. The agent of a message that still waited gets one of `notices`.
    async fn discard(&self, m_id: String, notices: DiscardNotices, now_ms: i64) -> Result<ManualOutcome, StoreError>;

    /// Erases everything of one person: messages, events, keys, open questions and names, all or nothing. Of each
    /// conversation stays how far it is read, under a hash ([`ContactId::erased`]): what Afilnet still shows of it is not
    /// published anew. Returns what there is, or was.
    async fn erase(&self, person: Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError>;

    /// Writes over what was erased in files of this process's own; `None` where the engine keeps none. False where another
    /// program stands in the way.
    async fn scrub(&self) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    /// One message, or an event that was given up, for a person.
    async fn show(&self, m_id: String) -> Result<Option<ListedMessage>, StoreError>;

    /// Wipes texts and rows that are done for longer than they are kept, at most `limit` of each. Tells how many of the
    /// kind that had most.
    async fn purge(&self, text_before_ms: i64, rows_before_ms: i64, limit: u32) -> Result<usize, StoreError>;

    /// Whether something can be written now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Who waits for what.
    fn wakeups(&self) -> &Arc<Wakeups>;

    /// Who owns which channel, where several processes share the store. `None`: one process has it to itself.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }

    /// Ends: what was handed in is committed, then the files are closed.
    async fn close(&self);
}
