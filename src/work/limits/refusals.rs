//! Whether a refusal is about the event or the channel's configuration. A status like 400 or 422 alone does not show
//! it: BonyChat gives it to an unknown sticker, and to everything while a workspace is suspended. Which events are
//! refused and which are accepted in between does.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Events kept, at most; with more, the configuration is at fault.
const MOST: usize = 1000;

/// Contacts with refused events in a row that make it the channel's fault. Fewer may each have written something that
/// BonyChat does not accept.
const CONTACTS: usize = 3;

/// How long everything is refused before events behind refused ones are tried: the heads of a few conversations may
/// each be at fault while no other contact writes.
const SUSPICION_TIMEOUT: Duration = Duration::from_mins(1);

/// Whether a refused event is at fault, or the channel's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum RefusalCause {
    /// The event: others are accepted repeatedly between its refusals.
    Event,
    /// The configuration: events of several contacts are refused in a row, and none is accepted.
    Configuration,
    /// Not known yet. Nothing is given up for it.
    Unknown,
}

/// What one refusal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) struct RefusalFinding {
    pub(in crate::work) cause: RefusalCause,
    /// Whether the event behind it in its conversation should be tried, since nothing else decides.
    pub(in crate::work) try_next: bool,
}

/// Refusals since an event was accepted last. `K` names an event, `C` its contact.
#[derive(Debug)]
pub(in crate::work) struct Refusals<K, C> {
    /// Their contacts, up to [`CONTACTS`]; and since when.
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
    /// Registers an accepted event: the configuration is right.
    pub(in crate::work) fn taken(&mut self) {
        *self = Self::default();
    }

    /// Registers a refused event. `contact`: its contact, if the refusal may be due to the configuration: BonyChat may
    /// always refuse one kind (receipts, echoes) and accept what customers write. `poison`: it was refused repeatedly
    /// before, with others accepted in between.
    pub(in crate::work) fn refused(
        &mut self,
        event: &K,
        contact: Option<&C>,
        poison: bool,
        now: Instant,
    ) -> RefusalFinding {
        if poison {
            return RefusalFinding { cause: RefusalCause::Event, try_next: false };
        }
        let since = *self.since.get_or_insert(now);
        if let Some(contact) = contact.filter(|_| self.contacts.len() < CONTACTS) {
            self.contacts.insert(contact.clone());
        }
        if self.events.len() >= MOST {
            self.events.clear();
        }
        self.events.insert(event.clone());
        if self.contacts.len() >= CONTACTS {
            RefusalFinding {
                cause: RefusalCause::Configuration,
                try_next: now.duration_since(since) >= SUSPICION_TIMEOUT,
            }
        } else {
            RefusalFinding { cause: RefusalCause::Unknown, try_next: true }
        }
    }

    /// Returns whether this event was refused since one was accepted last.
    pub(in crate::work) fn is_suspect(&self, event: &K) -> bool {
        self.events.contains(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: RefusalFinding = RefusalFinding { cause: RefusalCause::Unknown, try_next: true };

    #[test]
    fn a_refusal_of_several_contacts_in_a_row_is_the_set_ups_however_long_it_lasts() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        refusals.taken();
        assert_eq!(refusals.refused(&1, Some(&"anna"), false, now), UNKNOWN);
        assert_eq!(refusals.refused(&2, Some(&"berta"), false, now), UNKNOWN);
        for n in 0..100 {
            let ruling = refusals.refused(&(3 + n % 20), Some(&"carla"), false, now + SUSPICION_TIMEOUT / 2);
            assert_eq!(ruling, RefusalFinding { cause: RefusalCause::Configuration, try_next: false });
        }
        // One is accepted: the counts of all others restart, and a refusal in between decides nothing yet.
        refusals.taken();
        assert!(!refusals.is_suspect(&1));
        for n in 1..=2 {
            assert_eq!(refusals.refused(&n, Some(&"anna"), false, now), UNKNOWN);
        }
        assert_eq!(refusals.refused(&3, Some(&"berta"), false, now), UNKNOWN, "two contacts");
    }

    #[test]
    fn an_event_that_is_refused_while_others_are_taken_is_at_fault() {
        let mut refusals = Refusals::default();
        let at_fault = RefusalFinding { cause: RefusalCause::Event, try_next: false };
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
        for _ in 0..10 {
            assert_eq!(
                refusals.refused(&1, Some(&"anna"), false, now + SUSPICION_TIMEOUT),
                UNKNOWN,
                "one contact, however often"
            );
        }
        let _ = refusals.refused(&2, Some(&"berta"), false, now);
        let several =
            |after| RefusalFinding { cause: RefusalCause::Configuration, try_next: after >= SUSPICION_TIMEOUT };
        for after in [Duration::ZERO, SUSPICION_TIMEOUT / 2, SUSPICION_TIMEOUT, 2 * SUSPICION_TIMEOUT] {
            assert_eq!(
                refusals.refused(&3, Some(&"carla"), false, now + SUSPICION_TIMEOUT + after),
                several(after),
                "{after:?}"
            );
        }
    }
}
