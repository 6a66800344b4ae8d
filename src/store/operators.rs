//! What operators alone read: the audit, what happened last in each channel, every text, every contact. And the audit row of one
//! who read what is read under the audit alone.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::find::Side;
use crate::domain::journey::{ChannelFault, Operator};
use crate::domain::matching::AccountTraits;

/// One row of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    pub(crate) id: i64,
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    /// `cli`, `api`, `page`.
    pub(crate) means: String,
    /// A verb, `retry`.
    pub(crate) what: String,
    /// An mId, the name of a channel, the id of a job.
    pub(crate) target: String,
    /// JSON of what else matters.
    pub(crate) detail: Option<String>,
}

/// What happened last in one channel, among the newest messages of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    /// When the last message was sent; one that a person has settled was not.
    pub(crate) sent_ms: Option<i64>,
    /// When the first of the newest messages was accepted, among which that is looked for; `None` where these are all.
    pub(crate) searched_from_ms: Option<i64>,
    /// When the last message of a customer was stored.
    pub(crate) received_ms: Option<i64>,
    /// When BonyChat took the last event.
    pub(crate) published_ms: Option<i64>,
    /// When the oldest event was stored that waits for BonyChat.
    pub(crate) oldest_event_ms: Option<i64>,
    /// The last attempt to send that failed, in the last hour.
    pub(crate) fault: Option<ChannelFault>,
}

/// Messages that failed, or events that were given up, of one channel with the same fault; without those that a person has
/// discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedGroup {
    pub(crate) channel: String,
    pub(crate) side: Side,
    pub(crate) fault: String,
    pub(crate) count: u64,
    pub(crate) oldest_ms: i64,
    pub(crate) newest_ms: i64,
}

/// What the rows of a channel have shown of its account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObservedTraits {
    pub(crate) traits: AccountTraits,
    /// Areas of numbering, as country codes, of which rows show under the number that was written to.
    pub(crate) areas: Vec<String>,
}

/// Texts of some messages, folded as a search sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) folded: Vec<String>,
    /// Where the next ones begin.
    pub(crate) next: i64,
}

/// Contacts and destinations of some conversations, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contacts {
    pub(crate) values: Vec<String>,
    /// After which the next ones begin.
    pub(crate) next: i64,
}

/// Reads that work beside a running process. None changes anything; [`Operators::note_deed`] adds a row to the audit.
#[async_trait]
pub(crate) trait Operators: Send + Sync {
    /// Returns rows of the audit before the one with this id, newest first; `about`: of this person or target alone.
    async fn audit(
        &self,
        before: Option<i64>,
        about: Option<String>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Adds a row to the audit of a deed that changes nothing else, such as a read. `target`: an mId, or the name of a channel;
    /// never a contact. `detail`: JSON.
    async fn note_deed(
        &self,
        by: Operator,
        what: &'static str,
        target: String,
        detail: Option<String>,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Returns what happened last, by channel; channels without anything among the newest messages are left out.
    async fn activity(&self) -> Result<BTreeMap<String, Activity>, StoreError>;

    /// Returns what failed or was given up, by channel and fault. Its cost grows with their number.
    async fn failed(&self) -> Result<Vec<FailedGroup>, StoreError>;

    /// Returns what the rows of a channel have shown of its account.
    async fn learned(&self, channel: String) -> Result<ObservedTraits, StoreError>;

    /// Returns texts from a place on, that of the first being 0; `None` after the last.
    async fn texts(&self, side: Side, from: i64) -> Result<Option<Texts>, StoreError>;

    /// Returns the contacts and destinations of conversations after a place, that before the first being 0; `None` after the
    /// last.
    async fn contacts(&self, after: i64) -> Result<Option<Contacts>, StoreError>;

    /// Returns the process that delivers each channel; `None` where one process has the store to itself.
    async fn owners(&self) -> Result<Option<BTreeMap<String, String>>, StoreError>;
}
