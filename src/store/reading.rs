//! What one read of a conversation records, and what the store knows of its rows before.

use serde::{Deserialize, Serialize};

use super::places::{self, FIRST, Places};
use crate::domain::matching::{AccountTraits, Elsewhere, Features, Match, SendVerdict, SentForm, ShownAs};
use crate::domain::{
    AfilnetRow, ChannelName, Chat, ContactId, Content, Destination, Direction, Event, MId, RowTime, StatusValue,
    Wording,
};

/// Result of one read of one conversation.
#[derive(Debug, Clone)]
pub(crate) struct ConversationRead {
    pub(crate) channel: ChannelName,
    pub(crate) contact: ContactId,
    /// The destination that was read.
    pub(crate) destination: Destination,
    /// Unseen rows, and seen ones of which something changes, oldest first.
    pub(crate) rows: Vec<NewRow>,
    /// A row of the bridge bore the flag of the customer's at first.
    pub(crate) late_flags: bool,
    /// A row of the bridge bore the flag of the business's at once.
    pub(crate) prompt_flags: bool,
    /// Statuses of the bridge's own messages, as their rows show them.
    pub(crate) receipts: Vec<Receipt>,
    /// Identity of the newest row that the read showed.
    pub(crate) newest: Option<String>,
    /// Identities of the newest rows that the read showed, in order; `None`: unchanged.
    pub(crate) page: Option<Vec<String>>,
    /// Set when the conversation is in sync up to this getchats row.
    pub(crate) position: Option<String>,
    /// The message with the question that one of the rows answers.
    pub(crate) answered: Option<MId>,
    /// Identities that no read shows any more and that are old enough to forget.
    pub(crate) forget: Vec<String>,
    /// When the previous read since the process started began, if there was one: what it did not show did not exist
    /// then.
    pub(crate) read_before_ms: Option<i64>,
    /// The list showed a row of the customer's, and the conversation could not be read: it counts as one that the customer
    /// wrote in, so that it is read later though no list shows it then.
    pub(crate) listed_only: bool,
    pub(crate) now_ms: i64,
}

impl ConversationRead {
    /// That a conversation was listed with a row of the customer's and could not be read.
    pub(crate) fn listed_only(channel: &ChannelName, Chat { contact, destination }: &Chat, now_ms: i64) -> Self {
        Self {
            channel: channel.clone(),
            contact: contact.clone(),
            destination: destination.clone(),
            rows: Vec::new(),
            late_flags: false,
            prompt_flags: false,
            receipts: Vec::new(),
            newest: None,
            page: None,
            position: None,
            answered: None,
            forget: Vec::new(),
            read_before_ms: None,
            listed_only: true,
            now_ms,
        }
    }

    /// Returns whether it holds anything of the person, beyond the position.
    pub(crate) fn has_content(&self) -> bool {
        !self.rows.is_empty() || !self.receipts.is_empty() || self.answered.is_some() || self.listed_only
    }
}

/// What the customer's new rows of a read say of where the customer writes.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// There are any.
    pub(super) any: bool,
    moves: bool,
    /// When the last of those was written that say where the customer writes now, as far as is known. Epoch ms.
    pub(super) written_ms: Option<i64>,
}

impl Heard {
    pub(super) fn of(reading: &ConversationRead) -> Self {
        Self { any: reading.listed_only, ..Self::default() }
    }

    /// Takes in a row that was recorded.
    pub(super) fn add(&mut self, row: &NewRow) {
        if !row.from_customer || row.events.is_empty() {
            return;
        }
        self.any = true;
        if row.change == RowChange::New {
            self.moves = true;
            self.written_ms = self.written_ms.max(row.written_ms);
        }
    }

    /// Returns the destination that they were written under, where that says anything.
    pub(super) fn destination<'r>(&self, reading: &'r ConversationRead) -> Option<&'r str> {
        self.moves.then(|| reading.destination.as_str())
    }
}

/// How a row changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RowChange {
    /// It was not seen before.
    #[default]
    New,
    /// It was postponed, and is decided.
    Decided,
    /// It said nothing, and says something.
    GainedWords,
}

/// What a row that shows a send teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// Of the send.
    pub(crate) features: Features,
    /// How the row shows it.
    pub(crate) how: ShownAs,
}

/// A decision that is postponed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Postponement {
    /// When the last read began that did not show the row; `None`: not known.
    pub(crate) read_before_ms: Option<i64>,
    /// When it is made at the latest.
    pub(crate) due_ms: i64,
}

/// A row of which nothing is decided yet.
#[derive(Debug, Clone)]
pub(crate) struct PostponedRow {
    pub(crate) identity: String,
    pub(crate) row: AfilnetRow,
    /// When it was read first.
    pub(crate) since_ms: i64,
    pub(crate) postponement: Postponement,
}

/// A postponed row as JSON.
#[derive(Serialize, Deserialize)]
struct StoredRow {
    destination: String,
    id: Option<String>,
    direction: String,
    time: String,
    epoch_ms: Option<i64>,
    text: String,
    status: Option<String>,
}

/// Returns what is known of a call of a message in this state; `before`: later parts of the message went out after it.
pub(super) fn verdict_of(state: &str, before: bool) -> SendVerdict {
    match state {
        _ if before => SendVerdict::Taken,
        "sent" => SendVerdict::Taken,
        "sending" => SendVerdict::InFlight,
        _ => SendVerdict::InDoubt,
    }
}

/// Clocks of processes of one cluster differ by less.
const CLOCKS_DIFFER_MS: i64 = 2000;

/// Returns the time before which no row of a message can have been read. Its last attempt (number `attempt` for the part
/// `part`) began at `began_ms`, by the clock of the process that reads; another may have accepted it.
pub(super) fn earliest_ms(accepted_ms: i64, began_ms: i64, attempt: u32, part: u32) -> i64 {
    let is_first = attempt <= 1 && part == 0 && began_ms > 0;
    if is_first { began_ms } else { accepted_ms.saturating_sub(CLOCKS_DIFFER_MS) }
}

/// Reads a conversation that can be read at Afilnet; `None` for an erased one, or one that does not decode.
pub(super) fn active(contact: &str, destination: &str) -> Option<Chat> {
    let contact: ContactId = contact.parse().ok()?;
    let destination: Destination = destination.parse().ok()?;
    (!contact.is_erased() && !destination.is_erased()).then_some(Chat { contact, destination })
}

/// Returns the stored form of a row.
pub(super) fn row_to_text(row: &AfilnetRow) -> String {
    let stored = StoredRow {
        destination: row.destination.as_str().to_owned(),
        id: row.id.clone(),
        direction: row.direction.letter().to_owned(),
        time: row.time.raw.clone(),
        epoch_ms: row.time.epoch_ms,
        text: row.text.clone(),
        status: row.status.clone(),
    };
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads the stored form of a row; `None` where it does not decode.
pub(super) fn row_from_text(text: &str) -> Option<AfilnetRow> {
    let stored: StoredRow = serde_json::from_str(text).ok()?;
    let directions = [Direction::Inbound, Direction::Outbound, Direction::Unknown];
    Some(AfilnetRow {
        destination: stored.destination.parse().ok()?,
        id: stored.id,
        direction: directions.into_iter().find(|direction| direction.letter() == stored.direction)?,
        time: RowTime { raw: stored.time, epoch_ms: stored.epoch_ms },
        text: stored.text,
        status: stored.status,
    })
}

/// One row that is new or of which something is, and the events it makes (none: it only becomes seen).
#[derive(Debug, Clone, Default)]
pub(crate) struct NewRow {
    pub(crate) change: RowChange,
    pub(crate) identity: String,
    /// Fingerprint of its content and time, without its id (column `mark`).
    pub(crate) fingerprint: String,
    /// What stays of it where its link, its time or its characters change; `None` where that is not to be kept.
    pub(crate) shape: Option<String>,
    pub(crate) events: Vec<Event>,
    /// Whether the customer wrote it.
    pub(crate) from_customer: bool,
    /// When the customer wrote it, as far as its time tells; never in the future. Epoch ms, by the wall.
    pub(crate) written_ms: Option<i64>,
    /// The own send that it matches.
    pub(crate) matched: Option<Match>,
    /// What that teaches of the account.
    pub(crate) lesson: Option<Lesson>,
    /// It may be an own send in other words.
    pub(crate) doubtful: bool,
    /// The row itself, where its decision is postponed.
    pub(crate) postponed: Option<(AfilnetRow, Postponement)>,
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
pub(crate) struct SendRecord {
    pub(crate) m_id: MId,
    pub(crate) content: Content,
    /// As in [`super::Attempt`].
    pub(crate) wording: Option<Wording>,
    /// Which call of the content, from 0.
    pub(crate) part: u32,
    pub(crate) verdict: SendVerdict,
    /// When it ended, or began where that is not known.
    pub(crate) at_ms: i64,
    /// What was read before cannot be it.
    pub(crate) earliest_ms: i64,
    /// A row was taken for it by its likeness.
    pub(crate) shown_rewritten: bool,
    /// Where placeholders were filled in: what is kept of the words of its attempts.
    pub(crate) sent_forms: Vec<SentForm>,
}

/// What the store knows of the rows of one conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenRows {
    pub(crate) rows: Vec<SeenRow>,
    /// Identities of the newest rows that the last read showed, in order.
    pub(crate) page: Vec<String>,
    /// Those of which nothing is decided yet, oldest first.
    pub(crate) postponed: Vec<PostponedRow>,
    /// The destinations under which they are kept. All of the above is of all of them; [`Self::at`] gives that of one.
    pub(crate) places: Places,
    /// It is what is known of a destination beyond the conversation's first.
    pub(crate) is_further: bool,
    /// Identities and fingerprints of the rows under other destinations.
    pub(crate) elsewhere: Vec<(String, String)>,
}

impl SeenRows {
    /// Returns the rows that are known under other destinations.
    pub(crate) fn elsewhere(&self) -> Elsewhere<'_> {
        Elsewhere::new(self.elsewhere.iter().map(|(identity, fingerprint)| (identity.as_str(), fingerprint.as_str())))
    }

    /// Returns what is known of the rows under one destination.
    pub(crate) fn at(self, channel: &ChannelName, contact: &ContactId, destination: &Destination) -> Self {
        let nth = self.places.nth(channel, contact, destination);
        if nth == Some(FIRST) && self.places.further.is_empty() {
            return self;
        }
        let Self { rows, page, postponed, places: all, .. } = self;
        let page = match nth {
            Some(FIRST) => page,
            nth => {
                all.further.iter().find(|there| Some(there.nth) == nth).map(|at| at.page.clone()).unwrap_or_default()
            }
        };
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for row in rows {
            let (at, identity) = places::parse(&row.identity);
            if Some(at) == nth {
                here.push(SeenRow { identity: identity.to_owned(), ..row });
            } else {
                elsewhere.extend(row.fingerprint.map(|fingerprint| (identity.to_owned(), fingerprint)));
            }
        }
        let mut waiting = Vec::new();
        for row in postponed {
            let (at, identity) = places::parse(&row.identity);
            if Some(at) == nth {
                waiting.push(PostponedRow { identity: identity.to_owned(), ..row });
            }
        }
        Self { rows: here, page, postponed: waiting, places: all, is_further: nth != Some(FIRST), elsewhere }
    }
}

/// One row that was seen.
#[derive(Debug, Clone)]
pub(crate) struct SeenRow {
    pub(crate) identity: String,
    /// When it was recorded.
    pub(crate) seen_ms: i64,
    /// Fingerprint of its content and time (column `mark`); `None` if it was not stored.
    pub(crate) fingerprint: Option<String>,
    pub(crate) shape: Option<String>,
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
