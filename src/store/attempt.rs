//! Attempts to send, and their settlements.

use super::{Epoch, StaleMessage};
use crate::domain::journey::StepRecord;
use crate::domain::{ChannelName, ContactId, Content, Destination, Fault, MId, Wording};

/// One attempt, stored as `sending` before it is handed out.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Database ids of the message and its conversation.
    pub(crate) outbound_id: i64,
    pub(crate) conversation: i64,
    pub(crate) m_id: MId,
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    pub(crate) destination: Destination,
    pub(crate) content: Content,
    /// How the content was put into words when its first part was begun; `None`: by an older version.
    pub(crate) wording: Option<Wording>,
    /// Index of the part, from 0.
    pub(crate) part: u32,
    /// Number of the attempt at this part, from 1.
    pub(crate) number: u32,
    pub(crate) epoch: Epoch,
    pub(crate) accepted_ms: i64,
    /// Start of its age, for giving up.
    pub(crate) since_ms: i64,
    pub(crate) request_id: String,
    /// An earlier attempt may have sent this part.
    pub(crate) maybe_sent: bool,
    /// An HTTP caller waits for the verdict at another process.
    pub(crate) awaited: bool,
    /// How its last attempts failed.
    pub(crate) before: FailureStreak,
    /// What its journey is to tell of this attempt, or of the look for it: recorded with what follows from it.
    pub(crate) note: Option<StepRecord>,
}

/// What was begun, and when there is more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun {
    pub(crate) attempts: Vec<Attempt>,
    /// What failed instead, because it was stale.
    pub(crate) stale: Vec<StaleMessage>,
    /// When the next message of the channel is due, epoch ms; `None` if none waits.
    pub(crate) next_ms: Option<i64>,
}

impl Attempt {
    /// Returns whether its customer sees the question that it asks only when placeholders are filled in: it is opened
    /// directly before its call.
    pub(crate) fn asks_when_filled_in(&self) -> bool {
        self.part == 0 && matches!(&self.content, Content::QuickReply(question) if question.may_hold_placeholders())
    }
}

/// How the last attempts of a message or an event failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FailureStreak {
    /// Code of the last fault.
    pub(crate) fault: Option<String>,
    /// Attempts in a row that ended in it.
    pub(crate) count: u32,
}

impl FailureStreak {
    /// Attempts in a row that have ended in `fault`, counting one that just did.
    pub(crate) fn and(&self, fault: &Fault) -> u32 {
        if self.fault.as_deref() == Some(fault.code().as_str()) { self.count.saturating_add(1) } else { 1 }
    }
}

/// What the store records for an attempt. `notice` is the text of the agent's `message_status` failed, stored in the
/// same transaction; `None` if the HTTP caller gets the failure in its response.
#[derive(Debug, Clone)]
pub(crate) enum Settlement {
    /// This part was sent; `more`: further parts follow.
    Sent { afilnet_id: Option<String>, more: bool },
    /// To be retried, not before `due_ms`; `None`: in its old place, as soon as calls pass again.
    Queued { due_ms: Option<i64>, fault: Fault },
    /// Certainly not sent, and given up.
    Failed { fault: Fault, notice: Option<String> },
    /// May have been sent: first lookup at `look_ms`. Its conversation waits.
    Unknown { fault: Fault, look_ms: i64 },
    /// May have been sent, and lookups could not decide. Its conversation continues, or waits for an operator where
    /// `held`.
    Unconfirmed { fault: Fault, notice: String, held: bool },
}
