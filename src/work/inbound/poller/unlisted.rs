//! Known conversations that Afilnet's list does not show: which of them the full resync is to read, and whether the
//! list is cut.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{AfilnetRow, ChannelName, Chat, ContactId};
use crate::telemetry;

/// How long a conversation without a new row and without a send is still read where the list does not show it.
pub(super) const ACTIVE_FOR: Duration = Duration::from_hours(7 * 24);

/// Polls of the store for active conversations, in the time in which the full resync reads all of them once: each is
/// known to be active before its turn comes.
const POLLS_PER_RESYNC: u32 = 4;

/// Rounds in a row with the same finding, before it is logged: a list may lag behind for a moment.
const SURE_AFTER: u32 = 3;

/// Active conversations that the list does not show. Sets of their own rather than flags in `ConversationState`: each poll of
/// the store replaces them whole, and every round counts them; the states may be a hundred thousand.
#[derive(Debug, Default)]
pub(super) struct Unlisted {
    /// As of the last poll of the store, without those that were listed since.
    chats: HashSet<Chat>,
    /// Those of them that Afilnet showed rows of.
    held: HashSet<Chat>,
    polled_at: Option<Instant>,
    list: ListLength,
}

impl Unlisted {
    /// Returns whether the store is to be asked for active conversations. Nothing is due for a resync before `started`
    /// plus `sweep_every`.
    pub(super) fn is_poll_due(&self, started: Instant, now: Instant, sweep_every: Duration) -> bool {
        now.duration_since(self.polled_at.unwrap_or(started)) >= sweep_every / POLLS_PER_RESYNC
    }

    /// Replaces what is known by the chats that were `read` and the others that are `active`, without those that the
    /// list shows. Of a contact that is listed only what was read counts: Afilnet may spell a destination otherwise
    /// than was written to.
    pub(super) fn polled(&mut self, read: HashSet<Chat>, active: &[Chat], listed: &[(Chat, AfilnetRow)], now: Instant) {
        let contacts: HashSet<&ContactId> = listed.iter().map(|(chat, _)| &chat.contact).collect();
        self.chats = read;
        self.chats.extend(active.iter().filter(|chat| !contacts.contains(&chat.contact)).cloned());
        for (chat, _) in listed {
            self.chats.remove(chat);
        }
        self.held.retain(|chat| self.chats.contains(chat));
        self.polled_at = Some(now);
    }

    /// Applies a round's list: those that it shows are no longer unlisted. Logs when the list proves to be cut, and
    /// when it is whole again.
    pub(super) fn listed(&mut self, name: &ChannelName, chats: &[(Chat, AfilnetRow)]) {
        for (chat, _) in chats {
            if self.chats.is_empty() {
                break;
            }
            if self.chats.remove(chat) {
                self.held.remove(chat);
            }
        }
        // A contact that is listed under another spelling of its number is no sign of a cut list.
        let count = self.hidden(chats);
        telemetry::metrics::unlisted_conversations(name, count);
        match self.list.round(chats.len(), count) {
            Some(Change::Cut { length, constant }) => {
                let constant = if constant { ", as many as in the rounds before" } else { "" };
                tracing::warn!(channel_name = %name, listed = length, unlisted = count,
                    "channel `{name}`: Afilnet's list of conversations is cut: it shows {length}{constant}, and not {count} \
                     active one(s) that Afilnet still holds. They are read in turn all the same: what customers write in them \
                     arrives with the list or within inbound.sweep_every");
            }
            Some(Change::Whole) => {
                tracing::info!(channel_name = %name, listed = chats.len(),
                    "channel `{name}`: Afilnet's list of conversations shows all active ones again");
            }
            None => {}
        }
    }

    /// Returns how many of them are of contacts that a list does not show at all.
    fn hidden(&self, listed: &[(Chat, AfilnetRow)]) -> usize {
        if self.held.is_empty() {
            return 0;
        }
        let contacts: HashSet<&ContactId> = listed.iter().map(|(chat, _)| &chat.contact).collect();
        self.held.iter().filter(|chat| !contacts.contains(&chat.contact)).count()
    }

    /// Registers the read of a chat that the list did not show; `rows`: it had any.
    pub(super) fn read(&mut self, chat: &Chat, rows: bool) {
        if !rows {
            self.held.remove(chat);
        } else if self.chats.contains(chat) {
            self.held.insert(chat.clone());
        }
    }

    pub(super) fn chats(&self) -> impl Iterator<Item = &Chat> {
        self.chats.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.chats.len()
    }

    /// Returns whether a chat is active and not listed.
    pub(super) fn holds(&self, chat: &Chat) -> bool {
        self.chats.contains(chat)
    }
}

/// What the length of the list has shown, round by round. Pure.
#[derive(Debug, Default)]
struct ListLength {
    /// Of the last round, and for how many rounds in a row it has been that.
    length: usize,
    same: u32,
    /// Rounds in a row that speak against what was logged last.
    against: u32,
    /// Its length when it was logged as cut; `None`: it is not known as cut.
    cut_at: Option<usize>,
}

/// What is to be logged of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It does not show all. `constant`: its length was the same in the rounds that prove it.
    Cut { length: usize, constant: bool },
    /// It shows all again.
    Whole,
}

impl ListLength {
    /// One round: the length of its list, and how many active conversations Afilnet holds and the list does not show.
    ///
    /// A cut list whose known conversations have all come up or grown old has still the length at which it is cut.
    fn round(&mut self, length: usize, missing: usize) -> Option<Change> {
        self.same = if self.length == length { self.same.saturating_add(1) } else { 1 };
        self.length = length;
        let against = match self.cut_at {
            None => missing > 0,
            Some(cut_at) => missing == 0 && length != cut_at,
        };
        self.against = if against { self.against + 1 } else { 0 };
        if self.against < SURE_AFTER {
            return None;
        }
        self.against = 0;
        if self.cut_at.take().is_some() {
            return Some(Change::Whole);
        }
        self.cut_at = Some(length);
        Some(Change::Cut { length, constant: self.same >= SURE_AFTER })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged in which round.
    fn changes(rounds: &[(usize, usize)]) -> Vec<(usize, Change)> {
        let mut list = ListLength::default();
        let logged = |(at, (length, missing)): (usize, &(usize, usize))| Some((at, list.round(*length, *missing)?));
        rounds.iter().enumerate().filter_map(logged).collect()
    }

    #[test]
    fn a_list_that_hides_what_afilnet_holds_is_logged_once_and_so_is_its_end() {
        let cut = |length| Change::Cut { length, constant: true };
        assert_eq!(changes(&[(50, 0); 20]), [], "a constant length alone is no evidence");
        assert_eq!(changes(&[(50, 11); 20]), [(2, cut(50))]);
        // One came up in the list, and nothing that is known is missing: it is cut at 50 all the same.
        let busy = [[(50, 1); 4], [(50, 0); 4], [(50, 2); 4], [(50, 0); 4]].concat();
        assert_eq!(changes(&busy), [(2, cut(50))]);
        let mended = [[(50, 1); 4], [(50, 0); 4], [(61, 0); 4], [(61, 0); 4]].concat();
        assert_eq!(changes(&mended), [(2, cut(50)), (10, Change::Whole)]);
        let again = [[(50, 1); 4], [(61, 0); 4], [(61, 1); 4], [(61, 1); 4]].concat();
        assert_eq!(changes(&again), [(2, cut(50)), (6, Change::Whole), (10, cut(61))]);
    }

    #[test]
    fn a_contact_that_is_listed_under_another_spelling_is_no_sign_of_a_cut_list() {
        let chat = |contact: &str, destination: &str| Chat {
            contact: contact.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        let (bare, plus) = (chat("+34600111222", "34600111222"), chat("+34600111222", "+34600111222"));
        let other = chat("+34600111333", "34600111333");
        let row = crate::domain::matching::testing::row("1", crate::domain::Direction::Inbound, 7, "hello");
        let listed = [(plus.clone(), row)];
        let mut unlisted = Unlisted::default();
        // What was written to is not read where its contact is listed, and what was read is.
        unlisted.polled(HashSet::new(), &[bare.clone(), other.clone()], &listed, Instant::now());
        assert_eq!(unlisted.chats().collect::<Vec<_>>(), [&other]);
        unlisted.polled(HashSet::from([bare.clone(), plus, other.clone()]), &[], &listed, Instant::now());
        assert_eq!((unlisted.len(), unlisted.holds(&bare), unlisted.holds(&other)), (2, true, true));
        unlisted.read(&bare, true);
        assert_eq!(unlisted.hidden(&listed), 0);
        unlisted.read(&other, true);
        assert_eq!((unlisted.hidden(&listed), unlisted.hidden(&[])), (1, 2));
    }

    #[test]
    fn a_list_that_lags_behind_for_a_moment_is_not_cut() {
        assert_eq!(changes(&[(7, 0), (7, 1), (7, 1), (8, 0), (8, 1), (8, 1), (9, 0)]), []);
    }

    #[test]
    fn a_list_that_hides_by_another_rule_than_its_length_is_logged_without_it() {
        let by_age = [(40, 2), (41, 2), (39, 2), (40, 2), (38, 2)];
        assert_eq!(changes(&by_age), [(2, Change::Cut { length: 39, constant: false })]);
    }
}
