//! When to look up a message of unknown outcome, and what the lookups prove. Pure.
//!
//! Its limit: a send that Afilnet carries out only after the last lookup arrives twice if it was sent again meanwhile.

use std::time::Duration;

/// Lookups beyond the configured ones, if rows of this channel are known to appear late.
const EXTRA_LOOKS: u32 = 3;

/// Result of the lookups so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reconciliation {
    /// Look up again after this time.
    Look(Duration),
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

/// Returns what to do after a lookup; `waits` are the times before each (design.md section 5, `look_after`). Decided
/// only after the last of them: the longer the wait, the less likely that a row still appears.
pub(crate) fn next(waits: &[Duration], looks: ReconcileState) -> Reconciliation {
    if let Some(wait) = waits.get(looks.made as usize) {
        return Reconciliation::Look(*wait);
    }
    if looks.absences >= 2 && looks.absent_for >= looks.lag {
        return Reconciliation::NotSent;
    }
    let extra = u32::try_from(waits.len()).unwrap_or(u32::MAX).saturating_add(EXTRA_LOOKS);
    if looks.lag > looks.absent_for && looks.made < extra {
        let last = waits.last().copied().unwrap_or_default();
        return Reconciliation::Look(last.max(looks.lag.saturating_sub(looks.absent_for)));
    }
    Reconciliation::Unresolved
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45)];

    fn looks(made: u32, absences: u32, absent_for: u64, lag: u64) -> ReconcileState {
        ReconcileState { made, absences, absent_for: Duration::from_secs(absent_for), lag: Duration::from_secs(lag) }
    }

    #[test]
    fn all_looks_are_made_and_two_absences_are_needed() {
        for made in 0..3 {
            assert_eq!(next(&WAITS, looks(made, made, 60, 0)), Reconciliation::Look(WAITS[made as usize]));
        }
        assert_eq!(next(&WAITS, looks(3, 3, 60, 0)), Reconciliation::NotSent);
        assert_eq!(next(&WAITS, looks(3, 2, 60, 0)), Reconciliation::NotSent);
        assert_eq!(next(&WAITS, looks(3, 1, 60, 0)), Reconciliation::Unresolved);
        assert_eq!(next(&WAITS, looks(3, 0, 0, 0)), Reconciliation::Unresolved);
        assert_eq!(next(&WAITS[..1], looks(1, 1, 0, 0)), Reconciliation::Unresolved, "one look proves little");
    }

    #[test]
    fn rows_that_show_late_are_waited_for_but_not_for_ever() {
        assert_eq!(next(&WAITS, looks(3, 2, 45, 120)), Reconciliation::Look(Duration::from_secs(75)));
        assert_eq!(next(&WAITS, looks(4, 3, 120, 120)), Reconciliation::NotSent);
        assert_eq!(next(&WAITS, looks(6, 0, 0, 120)), Reconciliation::Unresolved);
    }
}
