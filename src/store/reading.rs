//! What one read of a conversation brings to the store, and what the store knows of its rows before.

use crate::domain::matching::{Match, SentForm};
use crate::domain::{ChannelName, ContactId, Content, Destination, Event, MId, StatusValue};

/// What one read of one conversation brought.
#[derive(Debug, Clone)]
pub(crate) struct ConversationRead {
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// As Afilnet spells it.
    pub(crate) destination: Destination,
    /// Unseen rows, oldest first.
    pub(crate) rows: Vec<NewRow>,
    /// What became of messages of ours, as their rows show it.
    pub(crate) receipts: Vec<Receipt>,
    /// Identity of the newest row that the read showed.
    pub(crate) newest: Option<String>,
    /// Identities of the newest rows that the read showed, in order; `None`: as they were.
    pub(crate) page: Option<Vec<String>>,
    /// Set when the conversation is in sync up to this getchats row.
    pub(crate) position: Option<String>,
    /// The message whose question one of the rows answers.
    pub(crate) answered: Option<MId>,
    /// Identities that no read shows any more and that are old enough to forget.
    pub(crate) forget: Vec<String>,
    /// When the read before this one began, where there was one since the start: what it did not show was not there.
    pub(crate) read_before_ms: Option<i64>,
    pub(crate) now_ms: i64,
}

impl ConversationRead {
    /// Whether it brings anything of the person, beyond how far the conversation is read.
    pub(crate) fn is_news(&self) -> bool {
        !self.rows.is_empty() || !self.receipts.is_empty() || self.answered.is_some()
    }
}

/// One unseen row and the events it makes (none: it only becomes seen).
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) identity: String,
    /// What it says and when, without its id.
    pub(crate) mark: String,
    pub(crate) events: Vec<Event>,
    /// Whether the customer wrote it.
    pub(crate) from_customer: bool,
    /// The call of ours that it shows, where it shows one.
    pub(crate) matched: Option<Match>,
    /// It may be a call of ours in other words.
    pub(crate) doubtful: bool,
}

/// A status that a row of ours shows. Delivered and read count where it is the row of the message's last part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) m_id: MId,
    pub(crate) part: u32,
    pub(crate) value: StatusValue,
    /// For the agent; never empty.
    pub(crate) message: String,
}

/// One call that was made, or may have been, and that no seen row shows yet.
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
    /// What it says and when; `None` where that was not kept.
    pub(crate) mark: Option<String>,
    /// The call of ours that it shows: message and part.
    pub(crate) matched: Option<(MId, u32)>,
}

/// A message of ours of whose end nothing final was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreportedSend {
    pub(crate) m_id: MId,
    /// The last part that was begun; of a message that was sent, its last one.
    pub(crate) part: u32,
    /// Whether all of it surely went out.
    pub(crate) sent: bool,
    /// Rank of the last status that was told, 0 for none.
    pub(crate) told: i64,
    /// When it was sent, or accepted where that is not known.
    pub(crate) since_ms: i64,
}

/// What a reading came to in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Events that it made.
    pub(crate) events: usize,
    /// What is known of the channel's account by now, where the reading's rows were matched with sends of the bridge.
    pub(crate) account_traits: Option<AccountTraits>,
}

/// What readings have taught about a channel's account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AccountTraits {
    /// Rows of texts that were surely sent were found.
    pub(crate) shows_texts: bool,
    /// The same of files.
    pub(crate) shows_files: bool,
    /// Longest time after its sending that a row was seen not to show.
    pub(crate) settle_lag_ms: i64,
}
