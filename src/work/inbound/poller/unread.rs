//! Chats that a list showed with a row that no read has brought yet: a list that is cut may not show them again.

use std::collections::HashMap;

use tokio::time::Instant;

use super::unlisted::ACTIVE_FOR;
use crate::domain::{AfilnetRow, Chat, Direction};

/// Chats that are kept, at most, each with its last row.
const MOST: usize = 10_000;

/// What a list showed of a chat.
#[derive(Debug)]
struct Listed {
    last: AfilnetRow,
    since: Instant,
    failed: bool,
    /// The row was listed behind the start of the read that is under way, which may have missed it.
    put_off: bool,
    /// The store knows of it.
    noted: bool,
}

/// The chats that are being read, and those of which the reads failed. A map of its own rather than a field of
/// `ConversationState`: every round walks it, it is bounded by [`MOST`], and few of the conversations are in it.
#[derive(Debug, Default)]
pub(super) struct Unread(HashMap<Chat, Listed>);

impl Unread {
    /// A chat is being read up to this row, which a list showed.
    pub(super) fn begins(&mut self, chat: &Chat, last: &AfilnetRow, now: Instant) {
        if let Some(known) = self.0.get_mut(chat) {
            (known.last, known.put_off) = (last.clone(), false);
        } else if self.0.len() < MOST {
            let listed = Listed { last: last.clone(), since: now, failed: false, put_off: false, noted: false };
            self.0.insert(chat.clone(), listed);
        }
    }

    /// A list showed this row, and the chat is not read for it now.
    pub(super) fn put_off(&mut self, chat: &Chat, last: &AfilnetRow, now: Instant) {
        self.begins(chat, last, now);
        if let Some(listed) = self.0.get_mut(chat) {
            (listed.failed, listed.put_off) = (true, true);
        }
    }

    /// Its read failed, or did not show that row.
    pub(super) fn failed(&mut self, chat: &Chat) {
        if let Some(listed) = self.0.get_mut(chat) {
            listed.failed = true;
        }
    }

    /// A read of it is over, and showed the row that it was for.
    pub(super) fn read(&mut self, chat: &Chat) {
        match self.0.get_mut(chat) {
            Some(listed) if listed.put_off => listed.put_off = false,
            _ => self.ends(chat),
        }
    }

    /// It is read up to its newest row, or never will be.
    pub(super) fn ends(&mut self, chat: &Chat) {
        self.0.remove(chat);
    }

    /// Returns the chats of which a read has failed, with their last rows. Those that are older than what the full resync
    /// reads are left out from now on.
    pub(super) fn failures(&mut self, now: Instant) -> HashMap<Chat, AfilnetRow> {
        self.0.retain(|_, listed| now.duration_since(listed.since) < ACTIVE_FOR);
        let failed = self.0.iter().filter(|(_, listed)| listed.failed);
        failed.map(|(chat, listed)| (chat.clone(), listed.last.clone())).collect()
    }

    /// Returns whether the store is to know of a chat that no list shows now: the customer wrote there.
    pub(super) fn is_to_note(&self, chat: &Chat) -> bool {
        self.0.get(chat).is_some_and(|listed| !listed.noted && listed.last.direction != Direction::Outbound)
    }

    pub(super) fn noted(&mut self, chat: &Chat) {
        if let Some(listed) = self.0.get_mut(chat) {
            listed.noted = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RowTime;

    #[test]
    fn the_end_of_a_read_forgets_no_row_that_was_listed_after_its_start() {
        let chat = Chat { contact: "+34600111222".parse().unwrap(), destination: "34600111222".parse().unwrap() };
        let row = |text: &str| AfilnetRow {
            destination: chat.destination.clone(),
            id: None,
            direction: Direction::Inbound,
            time: RowTime { raw: "1".to_owned(), epoch_ms: Some(1) },
            text: text.to_owned(),
            status: None,
        };
        let (mut unread, now) = (Unread::default(), Instant::now());
        unread.begins(&chat, &row("first"), now);
        unread.put_off(&chat, &row("second"), now);
        unread.read(&chat);
        assert_eq!(unread.failures(now)[&chat].text, "second");
        unread.begins(&chat, &row("second"), now);
        unread.read(&chat);
        assert!(unread.failures(now).is_empty());
    }
}
