//! Decisions on many messages at once: which, and how far a job is.

use async_trait::async_trait;

use super::{DiscardNotices, StoreError};
use crate::domain::journey::Operator;

/// What is done to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BulkAction {
    /// Messages are sent again, and events posted again, in their old places.
    Retry,
    /// Given up for good, with their texts erased; agents of messages that still wait are told.
    Discard,
}

/// Which messages or events: those in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BulkState {
    Queued,
    Failed,
    /// Events that were given up.
    Dead,
}

impl BulkAction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }
}

impl BulkState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }
}

/// Those that fulfil each of these.
#[derive(Debug, Clone)]
pub(crate) struct BulkFilter {
    pub(crate) state: BulkState,
    /// Kind of the content of a message; of an event, what it tells.
    pub(crate) kind: Option<&'static str>,
    pub(crate) channel: Option<String>,
    /// `None`: whatever it is, but not what a person settled or discarded.
    pub(crate) fault: Option<String>,
    /// Messages by when they were accepted, events by when they were given up.
    pub(crate) since_ms: Option<i64>,
    pub(crate) until_ms: Option<i64>,
    /// Spellings of one contact; empty: any.
    pub(crate) contacts: Vec<String>,
    /// Words that a text must hold, folded.
    pub(crate) words: Vec<String>,
}

/// One message or event that a filter describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BulkMatch {
    pub(crate) id: i64,
    pub(crate) conversation: i64,
    pub(crate) m_id: String,
    pub(crate) channel: String,
    pub(crate) contact: String,
    pub(crate) kind: String,
    /// When it was accepted, or given up.
    pub(crate) at_ms: i64,
    pub(crate) fault: String,
    pub(crate) has_text: bool,
    /// A later message of its conversation was sent, or may have been.
    pub(crate) moved_on: bool,
    /// Since when it waits, or waited: a retry starts again.
    pub(crate) since_ms: i64,
}

/// How far a set is read. What waits is read by conversation, all else by its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) conversation: i64,
    pub(crate) id: i64,
}

/// Some of what a filter describes.
#[derive(Debug, Clone, Default)]
pub(crate) struct BulkPage {
    /// What waits by conversation and id, all else by id: one order, whatever the pages.
    pub(crate) found: Vec<BulkMatch>,
    /// Where the next page begins; `None`: this is the last.
    pub(crate) next: Option<Place>,
}

/// A job that is to be made, as yet without its set.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) action: BulkAction,
    pub(crate) state: BulkState,
    /// JSON of how the set was described, without texts and contacts.
    pub(crate) filter: String,
    /// Also what its conversation has moved on from.
    pub(crate) moved_on: bool,
    /// Time for one of them, on average.
    pub(crate) spacing_ms: i64,
    pub(crate) by: Operator,
}

/// Some of the set of a job.
#[derive(Debug, Clone)]
pub(crate) struct JobParts {
    /// Number of the first of them in the job.
    pub(crate) first: i64,
    /// What each transaction decides, as mIds of messages or as ids of events.
    pub(crate) parts: Vec<Vec<String>>,
    /// The job has its whole set with these, and may be worked on.
    pub(crate) are_last: bool,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    pub(crate) means: String,
    pub(crate) why: Option<String>,
    /// `retry` or `discard`.
    pub(crate) action: String,
    /// `o`: messages; `e`: events.
    pub(crate) subject: String,
    /// [`BulkState`] of the set when the job was made.
    pub(crate) state: String,
    pub(crate) filter: String,
    pub(crate) moved_on: bool,
    pub(crate) spacing_ms: i64,
    pub(crate) total: u64,
    pub(crate) done: u64,
    /// Left out, since they were no longer as they were when the job was made.
    pub(crate) skipped: u64,
    /// When its last transaction was; before the first, when it was made.
    pub(crate) worked_ms: i64,
    /// Its next transaction is not before.
    pub(crate) next_ms: i64,
    /// It waits, since a channel of its next part is paused by hand.
    pub(crate) paused: bool,
    pub(crate) ended_ms: Option<i64>,
    pub(crate) cancelled_ms: Option<i64>,
    /// Its whole set is in. Nothing of it is decided before.
    pub(crate) filled: bool,
    /// Why it waits until a person goes on with it: its next part failed again and again.
    pub(crate) stopped: Option<String>,
}

impl Job {
    pub(crate) fn is_over(&self) -> bool {
        self.ended_ms.is_some() || self.cancelled_ms.is_some()
    }

    /// Returns whether its next part may be decided, now or later, without a person.
    pub(crate) fn goes_on(&self) -> bool {
        !self.is_over() && self.filled && self.stopped.is_none()
    }
}

/// Operations on many messages. Every method is one transaction, as those of [`super::Store`].
#[async_trait]
pub(crate) trait BulkJobs: Send + Sync {
    /// Returns some of what `filter` describes, behind a place. Looks at `limit` of those in its state, at most.
    async fn bulk_page(&self, filter: BulkFilter, after: Option<Place>, limit: u32) -> Result<BulkPage, StoreError>;

    /// Stores a job without its set. Returns its id. Ends those that nobody has added to for [`super::rules::FILLING_MS`].
    async fn add_job(&self, job: NewJob, now_ms: i64) -> Result<i64, StoreError>;

    /// Adds to the set of a job; with the last of it, the row of the audit.
    ///
    /// # Errors
    /// `Stale`: it has ended meanwhile, or has its whole set.
    async fn fill_job(&self, job: i64, parts: JobParts, now_ms: i64) -> Result<(), StoreError>;

    /// Returns a job, and whether [`Self::work_job`] has something to do now. Writes nothing. `None` if there is no such job.
    async fn job_and_work(&self, job: i64, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError>;

    /// Decides the next part of a job, each as a command on it alone would; what is no longer as it was is left out. Does nothing
    /// before [`Job::next_ms`], nor with one that does not [go on](Job::goes_on); a retry waits while a channel of the part is paused
    /// by hand. Returns how far it is; `None` if there is no such job.
    async fn work_job(&self, job: i64, notices: DiscardNotices, now_ms: i64) -> Result<Option<Job>, StoreError>;

    /// Lets a job wait until a person goes on with it. Nothing where it is over.
    async fn stop_job(&self, job: i64, why: String, now_ms: i64) -> Result<(), StoreError>;

    /// A person goes on with a job: it is no longer stopped.
    async fn resume_job(&self, job: i64, now_ms: i64) -> Result<(), StoreError>;

    /// Ends a job: what is done stays done. Returns it, and whether this ended it; `None` if there is no such job.
    async fn cancel_job(&self, job: i64, by: Operator, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError>;

    /// Returns a job; `None` if there is none of this id.
    async fn job(&self, job: i64) -> Result<Option<Job>, StoreError>;

    /// Returns jobs, the newest first.
    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, StoreError>;
}
