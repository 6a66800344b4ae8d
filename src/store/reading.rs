//! What one read of a conversation records, and what the store knows of its rows before.

use crate::domain::matching::{Match, SentForm};
use crate::domain::{ChannelName, ContactId, Content, Destination, Event, MId, StatusValue};

/// Result of one read of one conversation.
#[derive(Debug, Clone)]
pub(crate) struct ConversationRead {
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// As Afilnet spells it.
    pub(crate) destination: Destination,
    /// Unseen rows, oldest first.
    pub(crate) rows: Vec<NewRow>,
    /// Statuses of the bridge's own messages, as their rows show them.
    pub(crate) receipts: Vec<Receipt>,
    /// Identity of the newest row that the read showed.
    pub(crate) newest: Option<String>,
    /// Identities of the newest rows that the read showed, in order; `None`: unchanged.
    pub(crate) page: Option<Vec<String>>,
    /// Set when the conversation is in sync up to this getchats row.
    pub(crate) position: Option<String>,
    /// The message whose question one of the rows answers.
    pub(crate) answered: Option<MId>,
    /// Identities that no read shows any more and that are old enough to forget.
    pub(crate) forget: Vec<String>,
    /// When the previous read since the process started began, if there was one: what it did not show did not exist
    /// then.
    pub(crate) read_before_ms: Option<i64>,
    pub(crate) now_ms: i64,
}

impl ConversationRead {
    /// Returns whether it holds anything of the person, beyond the position.
    pub(crate) fn has_content(&self) -> bool {
        !self.rows.is_empty() || !self.receipts.is_empty() || self.answered.is_some()
    }
}

/// One unseen row and the events it makes (none: it only becomes seen).
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) identity: String,
    /// Fingerprint of its content and time, without its id.
    pub(crate) mark: String,
    pub(crate) events: Vec<Event>,
    /// Whether the customer wrote it.
    pub(crate) from_customer: bool,
    /// The own send that it matches.
    pub(crate) matched: Option<Match>,
    /// It may be an own send in other words.
    pub(crate) doubtful: bool,
}

/// A status on the row of an own send. Delivered and read count only on the row of the message's last part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) m_id: MId,
    pub(crate) part: u32,
    pub(crate) value: StatusValue,
    /// For the agent; never empty.
    pub(crate) message: String,
}

/// One send that was made, or may have been, and is matched with no row yet.
#[derive(Debug, Clone)]
pub(crate) struct OwnSend {
    pub(crate) m_id: MId,
    pub(crate) content: Content,
    /// Which call of the content, from 0.
    pub(crate) part: u32,
    /// Where placeholders were filled in: what is kept of the words of its attempts.
    pub(crate) sent_forms: Vec<SentForm>,
}

/// What the store knows of the rows of one conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenRows {
    pub(crate) rows: Vec<SeenRow>,
    /// Identities of the newest rows that the last read showed, in order.
    pub(crate) page: Vec<String>,
}

/// One row that was seen.
#[derive(Debug, Clone)]
pub(crate) struct SeenRow {
    pub(crate) identity: String,
    /// When it was recorded.
    pub(crate) seen_ms: i64,
    /// Fingerprint of its content and time; `None` if it was not stored.
    pub(crate) mark: Option<String>,
    /// The own send that it matches: message and part.
    pub(crate) matched: Option<(MId, u32)>,
}

/// An own message that has no final status yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreportedSend {
    pub(crate) m_id: MId,
    /// The last part that was begun; of a sent message, its last part.
    pub(crate) part: u32,
    /// Whether all of it was certainly sent.
    pub(crate) sent: bool,
    /// Rank of the last published status, 0 for none.
    pub(crate) told: i64,
    /// When it was sent, or accepted where that is not known.
    pub(crate) since_ms: i64,
}

/// Result of recording a read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Events that it made.
    pub(crate) events: usize,
    /// The account's traits after it, if rows of the read matched own sends.
    pub(crate) account_traits: Option<AccountTraits>,
}

/// What is known of a channel's account from its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AccountTraits {
    /// Rows of certainly sent texts were found.
    pub(crate) shows_texts: bool,
    /// The same of files.
    pub(crate) shows_files: bool,
    /// Longest time after a send for which a read was observed not to show its row yet.
    pub(crate) settle_lag_ms: i64,
}
