//! Which contact each listed conversation belongs to, and what is logged of those that belong to none.

use std::collections::{HashMap, HashSet};

use crate::domain::{AfilnetRow, ChannelName, Chat, ContactId, Destination, bare_number};
use crate::store::{Store, StoreError};
use crate::telemetry;
use crate::work::channel::ChannelSettings;

/// Destinations without a contact id that one line names, at most.
const MOST_NAMED: usize = 10;

/// The contacts of listed destinations, and what was logged already. Not in `ConversationState`, which is of one destination:
/// these maps lead from a listed destination to its contact, before there is such a state.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    /// By the contact that a destination makes, the one that the store knows: for numbers with two spellings.
    known: HashMap<ContactId, ContactId>,
    /// The same of those that the store does not know yet, so that both spellings stay one contact while the first read
    /// of it is under way.
    chosen: HashMap<ContactId, ContactId>,
    /// Contacts that the last list shows under several destinations.
    several: HashMap<ContactId, Vec<Destination>>,
    /// How many of these were logged last.
    several_logged: usize,
    /// How many destinations make no contact id.
    unreadable: usize,
}

impl Contacts {
    /// Returns each row with its contact. A contact may be listed under several destinations: spellings of its number,
    /// or the number with an ending. Those without an ending come first.
    pub(super) async fn named(
        &mut self,
        settings: &ChannelSettings,
        store: &dyn Store,
        mut chats: Vec<AfilnetRow>,
    ) -> Result<Vec<(Chat, AfilnetRow)>, StoreError> {
        let has_ending = |row: &AfilnetRow| bare_number(&row.destination).is_some();
        if chats.iter().any(has_ending) {
            chats.sort_by_key(has_ending);
        }
        let mut unreadable: Vec<Destination> = Vec::new();
        let mut named: Vec<(Chat, AfilnetRow)> = Vec::with_capacity(chats.len());
        for row in chats {
            let destination = row.destination.clone();
            match settings.id_type.contact_of(&destination) {
                Ok(contact) => named.push((Chat { contact, destination }, row)),
                Err(_) => unreadable.push(destination),
            }
        }
        let spelled = self.spelled(settings, store, named.iter().map(|(chat, _)| &chat.contact)).await?;
        for (chat, _) in &mut named {
            if let Some(contact) = spelled.get(&chat.contact).or_else(|| self.known.get(&chat.contact)) {
                chat.contact = contact.clone();
            }
        }
        // No name is copied for those with one destination: there may be a hundred thousand.
        let mut first: HashMap<&ContactId, usize> = HashMap::with_capacity(named.len());
        let mut several: HashMap<ContactId, Vec<Destination>> = HashMap::new();
        let mut again: HashSet<usize> = HashSet::new();
        for (at, (Chat { contact, destination }, _)) in named.iter().enumerate() {
            let Some(before) = first.get(contact) else {
                first.insert(contact, at);
                continue;
            };
            let before = &named[*before].0.destination;
            let all = several.entry(contact.clone()).or_insert_with(|| vec![before.clone()]);
            if all.contains(destination) {
                again.insert(at);
            } else {
                all.push(destination.clone());
            }
        }
        let mut at = 0..;
        named.retain(|_| at.next().is_none_or(|at| !again.contains(&at)));
        several.retain(|_, destinations| destinations.len() > 1);
        self.several = several;
        self.log_several(&settings.name);
        self.log_unreadable(&settings.name, &unreadable);
        Ok(named)
    }

    /// Returns the other chats of a contact in the last list.
    pub(super) fn others_of(&self, chat: &Chat) -> Vec<Chat> {
        let destinations = self.several.get(&chat.contact).into_iter().flatten();
        let others = destinations.filter(|destination| **destination != chat.destination);
        others.map(|other| Chat { contact: chat.contact.clone(), destination: other.clone() }).collect()
    }

    /// Returns the contact of each number with two spellings: the one that the store knows, in this spelling or in the
    /// other; where it knows neither, the first that the list shows.
    async fn spelled<'c>(
        &mut self,
        settings: &ChannelSettings,
        store: &dyn Store,
        contacts: impl Iterator<Item = &'c ContactId>,
    ) -> Result<HashMap<ContactId, ContactId>, StoreError> {
        let with_other = contacts.filter(|contact| !self.known.contains_key(*contact));
        let with_other: Vec<(&ContactId, ContactId)> =
            with_other.filter_map(|contact| Some((contact, settings.id_type.other_spelling(contact)?))).collect();
        if with_other.is_empty() {
            return Ok(HashMap::new());
        }
        let name = &settings.name;
        let candidates = with_other.iter().flat_map(|(contact, other)| [*contact, other]);
        let candidates = candidates.flat_map(|contact| [contact.clone(), contact.erased(name)]).collect();
        let stored: HashSet<ContactId> = store.known_contacts(name, candidates).await?.into_iter().collect();
        let is_stored = |contact: &ContactId| stored.contains(contact) || stored.contains(&contact.erased(name));
        let mut spelled: HashMap<ContactId, ContactId> = HashMap::new();
        for (contact, other) in with_other {
            let known = [contact, &other].into_iter().find(|contact| is_stored(contact));
            if let Some(known) = known {
                self.known.insert(contact.clone(), known.clone());
                self.chosen.remove(contact);
                continue;
            }
            // What is not stored yet may be so with the next message: asked again.
            let chosen = self.chosen.entry(contact.clone()).or_insert_with(|| contact.clone()).clone();
            self.chosen.insert(other, chosen.clone());
            spelled.insert(contact.clone(), chosen);
        }
        Ok(spelled)
    }

    /// Logs the number of such contacts whenever it changes.
    fn log_several(&mut self, name: &ChannelName) {
        let count = self.several.len();
        if std::mem::replace(&mut self.several_logged, count) != count && count > 0 {
            tracing::info!(channel_name = %name, contacts = count, "channel `{name}`: Afilnet keeps {count} contact(s) under \
                several spellings of their number; all are read, and messages go to the one that the customer wrote from last");
        }
    }

    /// Logs their number after the start and whenever it changes.
    fn log_unreadable(&mut self, name: &ChannelName, destinations: &[Destination]) {
        let count = destinations.len();
        telemetry::metrics::unreadable_destinations(name, count);
        if std::mem::replace(&mut self.unreadable, count) == count {
            return;
        }
        let shown: Vec<String> = destinations.iter().take(MOST_NAMED).map(telemetry::destination).collect();
        let (shown, more) = (shown.join(", "), if count > MOST_NAMED { ", ..." } else { "" });
        if count == 0 {
            tracing::info!(channel_name = %name, "channel `{name}`: every destination at Afilnet makes a contact id again");
        } else {
            tracing::error!(channel_name = %name, destinations = count, "channel `{name}`: each of {count} conversation(s) at \
                Afilnet has a destination that makes no contact id, so their messages cannot reach BonyChat: {shown}{more}. \
                Check the channel's id_type: customers without a phone number need a channel of their own with id_type custom");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::open::SqliteStore;
    use crate::work::testing;

    #[tokio::test]
    async fn a_contact_that_the_store_does_not_know_yet_keeps_the_spelling_that_was_listed_first() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let settings = testing::settings("support");
        let mut contacts = Contacts::default();
        let row = |destination: &str| AfilnetRow {
            destination: destination.parse().unwrap(),
            ..crate::domain::matching::testing::row("1", crate::domain::Direction::Inbound, 7, "hello")
        };
        let (short, long) = ("541155551234", "5491155551234");
        let lists = [vec![short], vec![long], vec![long, short], vec!["5491155551299", long, short]];
        for list in lists {
            let named =
                contacts.named(&settings, store.as_ref(), list.iter().map(|to| row(to)).collect()).await.unwrap();
            let there = named.iter().filter(|(chat, _)| chat.destination.as_str() != "5491155551299");
            let found: HashSet<&str> = there.map(|(chat, _)| chat.contact.as_str()).collect();
            assert_eq!(found, HashSet::from(["+541155551234"]), "{list:?}");
        }
    }
}
