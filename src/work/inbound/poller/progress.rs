//! How far a conversation is read, as the poller keeps it: without the names that it is kept under, since there may be
//! a hundred thousand.

use crate::domain::Chat;
use crate::store::Position;

/// A [`Position`] without its conversation.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) read_to: Option<Box<str>>,
    pub(super) snapshot_row: Option<Box<str>>,
    unread: Option<Box<str>>,
}

impl Progress {
    /// Returns the conversation of a position, and the rest of it.
    pub(super) fn split(position: Position) -> (Chat, Self) {
        let Position { contact, destination, read_to, snapshot_row, unread } = position;
        let [read_to, snapshot_row, unread] =
            [read_to, snapshot_row, unread].map(|text| text.map(String::into_boxed_str));
        (Chat { contact, destination }, Self { read_to, snapshot_row, unread })
    }

    /// Returns the position of the conversation that it is kept under.
    pub(super) fn of(&self, Chat { contact, destination }: &Chat) -> Position {
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Position {
            contact: contact.clone(),
            destination: destination.clone(),
            read_to: owned(&self.read_to),
            snapshot_row: owned(&self.snapshot_row),
            unread: owned(&self.unread),
        }
    }
}
