//! Erasing one person's data: selection, counts, and the statements, for both engines.

use std::sync::Arc;

use super::StoreError;
use crate::domain::ids::BadId;
use crate::domain::{ChannelName, Destination};

/// Restores contact and destination of an erased conversation.
pub(super) const RECALL: &str = "UPDATE conversations SET contact = $1, destination = $2 WHERE channel = $3 AND contact = $4 \
     AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.channel = $3 AND c.contact = $1) RETURNING id";

/// With the first destination. By names of the contact or of any destination.
pub(super) const PERSON: &str = "SELECT id, channel, contact, COALESCE(read_from, destination) FROM conversations c \
     WHERE ($1 IS NULL OR channel = $1) AND (contact IN ($2, $3) OR destination IN ($2, $3) OR read_from IN ($2, $3) \
     OR EXISTS (SELECT 1 FROM destinations d WHERE d.conversation = c.id AND d.destination IN ($2, $3))) ORDER BY id";

pub(super) const FURTHER: &str = "SELECT nth, destination FROM destinations WHERE conversation = $1";

pub(super) const ERASE_FURTHER: &str =
    "UPDATE destinations SET destination = $1, unread = NULL WHERE conversation = $2 AND nth = $3";

/// A message that was sent since `$2` and is not matched yet counts as under way: its row would appear as one that the
/// bridge did not send.
pub(super) const PERSON_OUTBOUND: &str = "SELECT COUNT(*), COUNT(CASE WHEN state IN ('queued', 'held') THEN 1 END), \
     COUNT(CASE WHEN state IN ('sending', 'unknown') OR (state = 'sent' AND NOT EXISTS (SELECT 1 FROM seen s \
     WHERE s.conversation = $1 AND substr(s.claim, 1, length(m_id)) = m_id) AND done_ms > $2) THEN 1 END) \
     FROM outbound WHERE conversation = $1";

pub(super) const PERSON_EVENTS: &str =
    "SELECT COUNT(*), COUNT(CASE WHEN state = 'queued' THEN 1 END) FROM events WHERE conversation = $1";

pub(super) const ERASE_KEYS: &str =
    "DELETE FROM idempotency WHERE m_id IN (SELECT m_id FROM outbound WHERE conversation = $1)";

pub(super) const ERASE_POSTPONED: &str = "DELETE FROM postponed WHERE conversation = $1";

pub(super) const ERASE_OUTBOUND: &str = "DELETE FROM outbound WHERE conversation = $1 RETURNING id";

pub(super) const ERASE_EVENTS: &str = "DELETE FROM events WHERE conversation = $1 RETURNING id";

pub(super) const ERASE_NAMES: &str = "UPDATE conversations SET contact = $1, destination = $1, read_from = $2, \
     choice = NULL, choice_ms = NULL, outbound_due_ms = NULL, event_due_ms = NULL, inbound_ms = 0, heard_ms = NULL \
     WHERE id = $3";

/// Returns the stored form of a destination of an erased conversation. One that was erased before stays as it is.
pub(super) fn hashed(channel: &ChannelName, destination: &str) -> Result<String, StoreError> {
    let parsed: Destination = destination
        .parse()
        .map_err(|error: BadId| StoreError::Corrupt { table: "conversations", source: Arc::new(error) })?;
    Ok(if parsed.is_erased() { destination.to_owned() } else { parsed.erased(channel).as_str().to_owned() })
}

/// The person to erase.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Spellings of the contact or of its destination.
    pub(crate) names: [String; 2],
    /// Only in this channel.
    pub(crate) channel: Option<String>,
}

/// Longest time from a send until its row is read.
pub(super) const READ_WITHIN_MS: i64 = 60_000;

/// What may be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Erase {
    /// Nothing: only count.
    DryRun,
    /// All of it, unless something waits to be sent or to be published.
    Settled,
    /// What waits as well, unless it is being sent.
    Waiting,
}

/// What is stored of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Erasure {
    pub(crate) conversations: u64,
    pub(crate) messages: u64,
    pub(crate) events: u64,
    /// Of the messages, those that wait to be sent.
    pub(crate) to_send: u64,
    /// Of the messages, those that are being sent or in doubt, or were sent a moment ago and not read yet.
    pub(crate) under_way: u64,
    /// Of the events, those that BonyChat has not taken.
    pub(crate) to_publish: u64,
    /// It is erased.
    pub(crate) done: bool,
}

impl std::ops::AddAssign for Erasure {
    fn add_assign(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.messages += other.messages;
        self.events += other.events;
        self.to_send += other.to_send;
        self.under_way += other.under_way;
        self.to_publish += other.to_publish;
        self.done &= other.done;
    }
}

impl Erasure {
    /// Adds one conversation: its messages, those to be sent, those under way, its events, those to be published.
    pub(crate) fn add(&mut self, (messages, to_send, under_way): (i64, i64, i64), (events, to_publish): (i64, i64)) {
        let number = |counted: i64| u64::try_from(counted).unwrap_or(0);
        self.conversations += 1;
        self.messages += number(messages);
        self.to_send += number(to_send);
        self.under_way += number(under_way);
        self.events += number(events);
        self.to_publish += number(to_publish);
    }

    /// Returns whether it may be erased.
    pub(crate) fn may(&self, how: Erase) -> bool {
        let waits = self.to_send + self.to_publish > 0;
        match how {
            Erase::DryRun => false,
            Erase::Settled => self.under_way == 0 && !waits,
            Erase::Waiting => self.under_way == 0,
        }
    }
}
