//! When to look up a message of unknown outcome, and what the lookups prove. Pure.
//!
//! Its limit: a send that Afilnet carries out only after the last lookup arrives twice if it was sent again meanwhile.

use std::time::Duration;

use super::Destination;
use super::matching::SendStanding;

/// Lookups beyond the configured ones, if rows of this channel are known to appear late.
const EXTRA_LOOKS: u32 = 3;

/// Result of the lookups so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reconciliation {
    /// Look up again after this time.
    LookUpAgain(Duration),
    /// Certainly not sent: two lookups apart in time would have shown it.
    NotSent,
    /// Undecidable.
    Unresolved,
}

/// How long a message has been in doubt, and what its lookups showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReconcileState {
    /// Lookups that count.
    pub(crate) made: u32,
    /// Those that proved its absence.
    pub(crate) absences: u32,
    /// Time since the first of these.
    pub(crate) absent_for: Duration,
    /// The longest time that a row of this channel was observed to take to appear.
    pub(crate) lag: Duration,
}

/// What one lookup that could be made showed of a send.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "findings that have nothing to do with each other")]
pub(crate) struct LookupFindings {
    /// It shows the newest row that was known before the attempt; `true` where none was known.
    pub(crate) reaches_back: bool,
    /// Rows of the conversation were known before the attempt.
    pub(crate) known_before: bool,
    /// Whether the last send that was certainly accepted before shows; `None` where there is none.
    pub(crate) before_shown: Option<bool>,
    /// First sends to such destinations were seen to show where they went.
    pub(crate) new_shown: bool,
    /// A row that could not be attributed came since.
    pub(crate) doubtful: bool,
    /// What the rows that came since prove.
    pub(crate) standing: SendStanding,
}

impl LookupFindings {
    /// Returns whether they prove that the send is not there. An empty or unknown conversation proves nothing, unless
    /// sends are known to show there: Afilnet may keep them under another spelling of the number.
    pub(crate) fn prove_absence(self) -> bool {
        let is_its_conversation = self.known_before || self.before_shown == Some(true) || self.new_shown;
        self.reaches_back
            && is_its_conversation
            && self.before_shown != Some(false)
            && !self.doubtful
            && self.standing == SendStanding::Absent
    }
}

/// Returns the part of a number on which its spelling at Afilnet depends: its first two digits, which name the country
/// or the group of countries. `*` for a destination that is no number.
pub(crate) fn numbering_area(destination: &Destination) -> &str {
    let number = destination.as_str().trim_start_matches('+').trim_start_matches('0');
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    if digits >= 7 { &number[..2] } else { "*" }
}

/// Returns what to do after a lookup; `waits` are the times before each (design.md section 5, `look_after`). Decided
/// only after the last of them: the longer the wait, the less likely that a row still appears.
pub(crate) fn next(waits: &[Duration], lookups: ReconcileState) -> Reconciliation {
    if let Some(wait) = waits.get(lookups.made as usize) {
        return Reconciliation::LookUpAgain(*wait);
    }
    if lookups.absences >= 2 && lookups.absent_for >= lookups.lag {
        return Reconciliation::NotSent;
    }
    let extra = u32::try_from(waits.len()).unwrap_or(u32::MAX).saturating_add(EXTRA_LOOKS);
    if lookups.lag > lookups.absent_for && lookups.made < extra {
        let last = waits.last().copied().unwrap_or_default();
        return Reconciliation::LookUpAgain(last.max(lookups.lag.saturating_sub(lookups.absent_for)));
    }
    Reconciliation::Unresolved
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45)];

    fn lookups(made: u32, absences: u32, absent_for: u64, lag: u64) -> ReconcileState {
        ReconcileState { made, absences, absent_for: Duration::from_secs(absent_for), lag: Duration::from_secs(lag) }
    }

    #[test]
    fn absence_is_proven_only_where_nothing_else_is_possible() {
        let proof = LookupFindings {
            reaches_back: true,
            known_before: true,
            before_shown: Some(true),
            new_shown: true,
            doubtful: false,
            standing: SendStanding::Absent,
        };
        assert!(proof.prove_absence());
        assert!(LookupFindings { before_shown: None, ..proof }.prove_absence());
        assert!(LookupFindings { known_before: false, new_shown: false, ..proof }.prove_absence());
        let new = LookupFindings { known_before: false, before_shown: None, ..proof };
        assert!(new.prove_absence());
        for none in [
            LookupFindings { new_shown: false, ..new },
            LookupFindings { reaches_back: false, ..proof },
            LookupFindings { before_shown: Some(false), ..proof },
            LookupFindings { doubtful: true, ..proof },
            LookupFindings { standing: SendStanding::Undecidable, ..proof },
            LookupFindings { standing: SendStanding::Shown, ..proof },
        ] {
            assert!(!none.prove_absence(), "{none:?}");
        }
    }

    #[test]
    fn a_destination_has_the_numbering_area_of_its_country() {
        let area = |text: &str| numbering_area(&text.parse().unwrap()).to_owned();
        assert_eq!([area("34600111222"), area("+5491155551234"), area("0034600111222")], ["34", "54", "34"]);
        assert_eq!([area("visitor-17"), area("123")], ["*", "*"]);
    }

    #[test]
    fn all_looks_are_made_and_two_absences_are_needed() {
        for made in 0..3 {
            assert_eq!(next(&WAITS, lookups(made, made, 60, 0)), Reconciliation::LookUpAgain(WAITS[made as usize]));
        }
        assert_eq!(next(&WAITS, lookups(3, 3, 60, 0)), Reconciliation::NotSent);
        assert_eq!(next(&WAITS, lookups(3, 2, 60, 0)), Reconciliation::NotSent);
        assert_eq!(next(&WAITS, lookups(3, 1, 60, 0)), Reconciliation::Unresolved);
        assert_eq!(next(&WAITS, lookups(3, 0, 0, 0)), Reconciliation::Unresolved);
        assert_eq!(next(&WAITS[..1], lookups(1, 1, 0, 0)), Reconciliation::Unresolved, "one lookup proves little");
    }

    #[test]
    fn rows_that_show_late_are_waited_for_but_not_for_ever() {
        assert_eq!(next(&WAITS, lookups(3, 2, 45, 120)), Reconciliation::LookUpAgain(Duration::from_secs(75)));
        assert_eq!(next(&WAITS, lookups(4, 3, 120, 120)), Reconciliation::NotSent);
        assert_eq!(next(&WAITS, lookups(6, 0, 0, 120)), Reconciliation::Unresolved);
    }
}
