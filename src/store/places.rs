//! Where the conversation of one contact is kept at Afilnet: under its first destination and further ones. What is known of
//! the rows of each is kept apart: ids and contents of two destinations say nothing of one another.

use std::borrow::Cow;

use crate::domain::{ChannelName, ContactId, Destination};

/// The number of the first destination.
pub(super) const FIRST: i64 = 0;

/// Where the rows of one read are kept: its conversation, and the number of the destination in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) conversation: i64,
    pub(super) nth: i64,
}

impl Place {
    /// Returns the stored form of the identity of a row there.
    pub(super) fn stored<'i>(&self, identity: &'i str) -> Cow<'i, str> {
        if self.nth == FIRST { identity.into() } else { format!("@{} {identity}", self.nth).into() }
    }
}

/// Returns number of the destination and identity of a row, from its stored form.
pub(super) fn parse(stored: &str) -> (i64, &str) {
    let further = stored.strip_prefix('@').and_then(|rest| rest.split_once(' '));
    further.and_then(|(nth, identity)| Some((nth.parse().ok()?, identity))).unwrap_or((FIRST, stored))
}

/// The destinations of one conversation, as they are stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub(super) first: Option<Destination>,
    /// Something of the first one was read: until then any destination may become it.
    pub(super) is_read: bool,
    pub(super) further: Vec<FurtherPlace>,
}

/// One of the further ones.
#[derive(Debug, Clone)]
pub(crate) struct FurtherPlace {
    pub(super) nth: i64,
    pub(super) destination: Destination,
    /// Identities of the newest rows that the last read of it showed, in order.
    pub(super) page: Vec<String>,
}

/// A row of the statement `PLACES`: page and name of the first destination, whether anything of it was read, and number,
/// name and page of a further one.
pub(super) type StoredPlace = (Option<String>, String, i64, Option<i64>, Option<String>, Option<String>);

impl Places {
    /// Returns the page of the first destination, and the destinations. What does not decode counts as none.
    pub(super) fn parse(stored: Vec<StoredPlace>) -> (Vec<String>, Self) {
        let page = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let (mut first_page, mut places) = (Vec::new(), Self::default());
        for (at, (page_of_first, first, is_read, nth, destination, page_of_further)) in stored.into_iter().enumerate() {
            if at == 0 {
                first_page = page(page_of_first);
                (places.first, places.is_read) = (first.parse().ok(), is_read != 0);
            }
            let further = nth.zip(destination.and_then(|destination| destination.parse().ok()));
            let further = further.map(|(nth, destination)| (nth, destination, page(page_of_further)));
            places.further.extend(further.map(|(nth, destination, page)| FurtherPlace { nth, destination, page }));
        }
        (first_page, places)
    }

    /// Returns the number of a destination; `None` for a further one that was never read. By its name, or by the hash of
    /// it where the conversation was erased.
    pub(super) fn nth(&self, channel: &ChannelName, contact: &ContactId, destination: &Destination) -> Option<i64> {
        let Some(first) = self.first.as_ref().filter(|first| self.is_read && *first != destination) else {
            return Some(FIRST);
        };
        let erased = destination.erased(channel);
        if *first == erased || first.as_str() == contact.erased(channel).as_str() {
            return Some(FIRST);
        }
        let found = self.further.iter().find(|there| there.destination == *destination || there.destination == erased);
        found.map(|there| there.nth)
    }
}
