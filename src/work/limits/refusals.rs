//! Whose fault a refusal is. An answer like 400 or 422 alone cannot tell: it is given to a sticker that the platform does
//! not know, and to everything while a workspace is suspended. What is refused and what is taken in between can.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Events kept, at most; the trouble is the set-up's where there are more.
const MOST: usize = 1000;

/// Contacts whose events are refused in a row that make it the channel's trouble. Fewer may each have written something
/// that the far side cannot take.
const CONTACTS: usize = 3;

/// So long everything is refused before events behind others are tried all the same: perhaps one of several contacts each
/// stands at the head of its conversation, and nobody else writes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether a refused event is at fault, or the channel's set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum Cause {
    /// The event: others are taken again and again between its refusals.
    Event,
    /// The set-up: events of several contacts are refused in a row, and none is taken.
    SetUp,
    /// Not known yet. Nothing is given up for it.
    Unknown,
}

/// What one refusal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) struct Ruling {
    pub(in crate::work) cause: Cause,
    /// Whether the event behind it in its conversation may be tried, as nothing else tells. Not at the first refusal: after
    /// a single hiccup of the far side, the event behind would be taken first, and the two would arrive in the wrong order.
    pub(in crate::work) look_behind: bool,
}

/// What was refused since an event was taken last. `K` names an event, `C` its contact.
#[derive(Debug)]
pub(in crate::work) struct Refusals<K, C> {
    /// Contacts, no more than tell; and since when.
    contacts: HashSet<C>,
    since: Option<Instant>,
    events: HashSet<K>,
}

impl<K, C> Default for Refusals<K, C> {
    fn default() -> Self {
        Self { contacts: HashSet::new(), since: None, events: HashSet::new() }
    }
}

impl<K: Eq + Hash + Clone, C: Eq + Hash + Clone> Refusals<K, C> {
    /// An event was taken: the set-up is right.
    pub(in crate::work) fn taken(&mut self) {
        *self = Self::default();
    }

    /// An event was refused. `contact`: whose it is, where its refusal may be the set-up's: a platform may well refuse all of
    /// one kind (receipts, echoes) for ever, and take what customers write. `poison`: it was refused before, again and
    /// again, with others taken between.
    pub(in crate::work) fn refused(&mut self, event: &K, contact: Option<&C>, poison: bool, now: Instant) -> Ruling {
        if poison {
            return Ruling { cause: Cause::Event, look_behind: false };
        }
        let since = *self.since.get_or_insert(now);
        if let Some(contact) = contact.filter(|_| self.contacts.len() < CONTACTS) {
            self.contacts.insert(contact.clone());
        }
        if self.events.len() >= MOST {
            self.events.clear();
        }
        let again = !self.events.insert(event.clone());
        if self.contacts.len() >= CONTACTS {
            Ruling { cause: Cause::SetUp, look_behind: again && now.duration_since(since) >= PATIENCE }
        } else {
            Ruling { cause: Cause::Unknown, look_behind: again }
        }
    }

    /// Whether this event was refused since one was taken last.
    pub(in crate::work) fn is_suspect(&self, event: &K) -> bool {
        self.events.contains(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the first refusal of an event, and at a further one.
    const UNKNOWN: Ruling = Ruling { cause: Cause::Unknown, look_behind: false };
    const UNKNOWN_AGAIN: Ruling = Ruling { cause: Cause::Unknown, look_behind: true };

    #[test]
    fn a_refusal_of_several_contacts_in_a_row_is_the_set_ups_however_long_it_lasts() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        refusals.taken();
        assert_eq!(refusals.refused(&1, Some(&"anna"), false, now), UNKNOWN);
        assert_eq!(refusals.refused(&2, Some(&"berta"), false, now), UNKNOWN);
        for n in 0..100 {
            let ruling = refusals.refused(&(3 + n % 20), Some(&"carla"), false, now + PATIENCE / 2);
            assert_eq!(ruling, Ruling { cause: Cause::SetUp, look_behind: false });
        }
        // One is taken: all others get their chances anew, and one that is refused in between is nobody's fault yet.
        refusals.taken();
        assert!(!refusals.is_suspect(&1));
        for n in 1..=2 {
            assert_eq!(refusals.refused(&n, Some(&"anna"), false, now), UNKNOWN, "anew for each");
        }
        assert_eq!(refusals.refused(&3, Some(&"berta"), false, now), UNKNOWN, "two contacts");
    }

    #[test]
    fn an_event_that_is_refused_while_others_are_taken_is_at_fault() {
        let mut refusals = Refusals::default();
        let at_fault = Ruling { cause: Cause::Event, look_behind: false };
        for n in 0..CONTACTS {
            assert_eq!(refusals.refused(&n, Some(&n), true, Instant::now()), at_fault);
        }
    }

    #[test]
    fn a_kind_that_is_always_refused_pauses_nothing() {
        let mut refusals = Refusals::<u32, &str>::default();
        for receipt in 0..100 {
            assert_eq!(refusals.refused(&receipt, None, false, Instant::now()), UNKNOWN);
        }
    }

    #[test]
    fn the_event_behind_is_tried_where_nothing_else_can_tell() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        assert_eq!(refusals.refused(&1, Some(&"anna"), false, now + PATIENCE), UNKNOWN, "perhaps a hiccup");
        for _ in 0..10 {
            assert_eq!(
                refusals.refused(&1, Some(&"anna"), false, now + PATIENCE),
                UNKNOWN_AGAIN,
                "one contact, however often"
            );
        }
        let _ = refusals.refused(&2, Some(&"berta"), false, now);
        let _ = refusals.refused(&3, Some(&"carla"), false, now);
        let several = |after| Ruling { cause: Cause::SetUp, look_behind: after >= PATIENCE };
        for after in [Duration::ZERO, PATIENCE / 2, PATIENCE, 2 * PATIENCE] {
            assert_eq!(
                refusals.refused(&3, Some(&"carla"), false, now + PATIENCE + after),
                several(after),
                "{after:?}"
            );
        }
    }
}
