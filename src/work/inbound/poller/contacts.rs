//! Which contact each listed conversation belongs to, and what is said of those that belong to none.

use std::collections::HashSet;

use crate::domain::{AfilnetRow, ContactId, Destination, bare_number};
use crate::telemetry;
use crate::work::channel::ChannelSettings;

/// Destinations without a contact id that one line names, at most.
const MOST_NAMED: usize = 10;

/// What was said already.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    /// Second spellings of a number.
    second: HashSet<Destination>,
    /// How many destinations make no contact id.
    unreadable: usize,
}

impl Contacts {
    /// Each row with its contact. Where a number is listed bare as well as with an ending, the bare one is read, whichever
    /// comes first; of two other spellings the first.
    pub(super) fn named(
        &mut self,
        settings: &ChannelSettings,
        mut chats: Vec<AfilnetRow>,
    ) -> Vec<(ContactId, AfilnetRow)> {
        let has_ending = |row: &AfilnetRow| bare_number(&row.destination).is_some();
        if chats.iter().any(has_ending) {
            chats.sort_by_key(has_ending);
        }
        let mut named: Vec<(ContactId, AfilnetRow)> = Vec::with_capacity(chats.len());
        let mut known = HashSet::with_capacity(chats.len());
        let mut unreadable: Vec<Destination> = Vec::new();
        for row in chats {
            match settings.id_type.contact_of(&row.destination) {
                Ok(contact) if known.insert(contact.clone()) => named.push((contact, row)),
                Ok(_) => self.say_second(settings, row.destination),
                Err(_) => unreadable.push(row.destination),
            }
        }
        self.say_unreadable(settings, &unreadable);
        named
    }

    /// One line for each.
    fn say_second(&mut self, settings: &ChannelSettings, destination: Destination) {
        let name = &settings.name;
        if self.second.insert(destination) {
            tracing::error!(channel_name = %name, "channel `{name}`: Afilnet holds two conversations with one contact, under \
                two spellings of its number; only the first that it lists is read");
        }
    }

    /// One line after the start, and one whenever their number changes.
    fn say_unreadable(&mut self, settings: &ChannelSettings, destinations: &[Destination]) {
        let (name, count) = (&settings.name, destinations.len());
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
