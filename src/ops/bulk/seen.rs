//! A plan as a person saw it: what that person then starts is of what was shown, and not of something else.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::set::Set;
use crate::store::BulkState;

/// How long a plan may be started after it was shown.
const GOOD_FOR: Duration = Duration::from_mins(10);

/// Of messages that wait, one in this number may have gone out since.
const GONE_AT_MOST: usize = 10;

/// A plan as it was shown: when, and which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownPlan {
    pub(super) at_ms: i64,
    count: usize,
    /// The highest id at that time; higher ones were stored later.
    pub(super) newest: i64,
    digest: String,
}

/// Why a plan is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was shown too long ago.
    Old,
    /// The messages are others: their number then and now.
    Changed { seen: usize, now: usize },
}

impl fmt::Display for ShownPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.at_ms, self.count, self.newest, self.digest)
    }
}

/// The text is not that of a [`ShownPlan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl FromStr for ShownPlan {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(Unreadable);
        let (at, count, newest, digest) = (part()?, part()?, part()?, part()?);
        let number = |text: &str| text.parse::<i64>().map_err(|_| Unreadable);
        let seen = Self {
            at_ms: number(at)?,
            count: count.parse().map_err(|_| Unreadable)?,
            newest: number(newest)?,
            digest: digest.to_owned(),
        };
        if part().is_ok() { Err(Unreadable) } else { Ok(seen) }
    }
}

impl ShownPlan {
    /// Returns what is shown of a set at this time.
    pub(crate) fn of(set: &Set, now_ms: i64) -> Self {
        Self { at_ms: now_ms, count: set.count, newest: set.newest, digest: set.digest.clone() }
    }

    /// Checks that a set, of what was there when this was seen, is what was seen.
    ///
    /// # Errors
    /// The plan was shown too long ago, or its messages are others now: some that wait may have gone out, none may have been added.
    pub(crate) fn check(&self, set: &Set, state: BulkState, now_ms: i64) -> Result<(), Stale> {
        if Duration::from_millis(self.at_ms.abs_diff(now_ms)) > GOOD_FOR {
            return Err(Stale::Old);
        }
        let is_same = set.count == self.count && set.digest == self.digest;
        let few_are_gone = || {
            let gone = self.count.checked_sub(set.count);
            set.count > 0 && gone.is_some_and(|gone| gone > 0 && gone.saturating_mul(GONE_AT_MOST) <= self.count)
        };
        if is_same || (state == BulkState::Queued && few_are_gone()) {
            return Ok(());
        }
        Err(Stale::Changed { seen: self.count, now: set.count })
    }
}

#[cfg(test)]
mod tests {
    use super::super::set::RunningDigest;
    use super::*;

    fn set(ids: &[i64]) -> Set {
        let mut summed = RunningDigest::default();
        for id in ids {
            summed.add(*id).unwrap();
        }
        summed.set()
    }

    #[test]
    fn a_plan_is_started_as_it_was_seen_or_not_at_all() {
        let minutes = |n: i64| 1_000_000 + n * 60_000;
        let ids: Vec<i64> = (1..=20).collect();
        let seen = ShownPlan::of(&set(&ids), minutes(0));
        assert_eq!(seen.to_string().parse().as_ref(), Ok(&seen));
        let check = |ids: &[i64], state, at_ms| seen.check(&set(ids), state, at_ms);
        let changed = |now| Err(Stale::Changed { seen: 20, now });
        for state in [BulkState::Failed, BulkState::Dead, BulkState::Queued] {
            assert_eq!(check(&ids, state, minutes(10)), Ok(()));
            assert_eq!(check(&ids, state, minutes(10) + 1), Err(Stale::Old));
            assert_eq!(check(&ids, state, minutes(-11)), Err(Stale::Old), "of a clock that was set back");
            assert_eq!(check(&[&[0], &ids[1..]].concat(), state, minutes(1)), changed(20), "one left, another came");
            assert_eq!(check(&ids[3..], state, minutes(1)), changed(17));
            assert_eq!(check(&[], state, minutes(1)), changed(0));
        }
        assert_eq!(check(&ids[1..], BulkState::Failed, minutes(1)), changed(19));
        assert_eq!(check(&ids[2..], BulkState::Queued, minutes(1)), Ok(()), "a tenth has gone out");
        for other in ["", "1-2", "1-2-3", "1-2-3-4-5", "a-2-3-4", "1--2-3-4", "1-2--4", "-1-2-3-4"] {
            assert_eq!(other.parse::<ShownPlan>(), Err(Unreadable), "{other}");
        }
    }
}
