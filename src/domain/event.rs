//! One entry of the webhook's `events`.

use serde::{Deserialize, Serialize};

use super::{Content, MId};

/// The status of a message that BonyChat sent through `/message` (bonychat.md section 2.3). Later ones outrank earlier
/// ones; `failed` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusValue {
    Delivered,
    Read,
    Failed,
}

impl StatusValue {
    /// Returns the rank that the store keeps of the last published status: none follows the highest.
    pub(crate) fn rank(self) -> i64 {
        match self {
            Self::Delivered => 1,
            Self::Read | Self::Failed => 2,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum EventBody {
    /// Written by the customer.
    Message { content: Content },
    /// Written by the business outside BonyChat.
    MessageEcho { content: Content },
    /// A receipt for the outbound message of the event's mId; `message` is a text for the agent.
    MessageStatus { value: StatusValue, message: String },
}

impl EventBody {
    /// Returns its kind, for the store and for logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::MessageEcho { .. } => "message_echo",
            Self::MessageStatus { .. } => "message_status",
        }
    }
}

/// One event of a conversation. The same mId at every retry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) m_id: MId,
    /// When it happened, epoch milliseconds, never in the future (bonychat.md F7, A10).
    pub(crate) timestamp_ms: i64,
    pub(crate) body: EventBody,
}
