//! Attempts to send, and what becomes of them.

use super::Epoch;
use crate::domain::{ChannelName, ContactId, Content, Destination, Fault, MId};

/// One attempt, stored as `sending` before it is handed out.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// The store's own names of the message and its conversation.
    pub(crate) row: i64,
    pub(crate) conversation: i64,
    pub(crate) m_id: MId,
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    pub(crate) destination: Destination,
    pub(crate) content: Content,
    /// Which call of the content, from 0.
    pub(crate) part: u32,
    /// Which attempt at this part, from 1.
    pub(crate) number: u32,
    pub(crate) epoch: Epoch,
    pub(crate) accepted_ms: i64,
    /// Its age counts from here.
    pub(crate) since_ms: i64,
    pub(crate) request_id: String,
    /// An attempt at this part before may have sent it.
    pub(crate) doubted: bool,
    /// Its caller waits for the verdict at another process.
    pub(crate) awaited: bool,
    /// How its last attempts failed.
    pub(crate) before: FailureStreak,
}

/// How the last attempts of a message or an event failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FailureStreak {
    /// Code of the last fault.
    pub(crate) fault: Option<String>,
    /// Attempts in a row that ended in it.
    pub(crate) clock_rollback: u32,
}

impl FailureStreak {
    /// Attempts in a row that have ended in `fault`, counting one that just did.
    pub(crate) fn and(&self, fault: &Fault) -> u32 {
        if self.fault.as_deref() == Some(fault.code().as_str()) { self.clock_rollback.saturating_add(1) } else { 1 }
    }
}

/// What became of an attempt, as the store keeps it. `notice` is the sentence that the agent gets as `message_status`
/// failed, stored in the same transaction; `None` where the caller of `/message` is told instead.
#[derive(Debug, Clone)]
pub(crate) enum Settlement {
    /// This part went out; `more` parts follow.
    Sent { afilnet_id: Option<String>, more: bool },
    /// To be tried again, not before `due_ms`; `None`: in its old place, as soon as anything goes.
    Queued { due_ms: Option<i64>, fault: Fault },
    /// Surely not sent, and given up.
    Failed { fault: Fault, notice: Option<String> },
    /// May have been sent: to be looked up, first at `look_ms`. Its conversation waits.
    Unknown { fault: Fault, look_ms: i64 },
    /// May have been sent, and looking could not tell. Its conversation goes on, or waits for a person where `held`.
    Unconfirmed { fault: Fault, notice: String, held: bool },
}
