//! A plan as a person saw it: what that person then starts is of what was shown, and not of something else.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Plan;

/// How long a plan may be started after it was shown.
const GOOD_FOR: Duration = Duration::from_mins(10);

/// The number of messages of a plan may have changed meanwhile by one in so many.
const CHANGED_AT_MOST: usize = 10;

/// What was shown of a plan: when, how many messages, and the newest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    at_ms: i64,
    count: usize,
    newest: i64,
}

/// Why a plan is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was shown too long ago.
    Old,
    /// It was of another number of messages.
    Changed { seen: usize, now: usize },
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.at_ms, self.count, self.newest)
    }
}

/// Not what [`Seen`] is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl FromStr for Seen {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(Unreadable);
        let (at, count, newest) = (part()?, part()?, part()?);
        let number = |text: &str| text.parse::<i64>().map_err(|_| Unreadable);
        let seen = Self { at_ms: number(at)?, count: count.parse().map_err(|_| Unreadable)?, newest: number(newest)? };
        if part().is_ok() { Err(Unreadable) } else { Ok(seen) }
    }
}

impl Plan {
    /// Returns what is shown of it at this time.
    pub(crate) fn seen(&self, now_ms: i64) -> Seen {
        let newest = self.chosen.iter().map(|one| one.id).max().unwrap_or(0);
        Seen { at_ms: now_ms, count: self.chosen.len(), newest }
    }

    /// Returns the plan of now without what was stored after it was seen.
    ///
    /// # Errors
    /// It was seen too long ago, or has changed too much since.
    pub(crate) fn held_to(mut self, seen: Seen, now_ms: i64) -> Result<Self, Stale> {
        if Duration::from_millis(seen.at_ms.abs_diff(now_ms)) > GOOD_FOR {
            return Err(Stale::Old);
        }
        self.chosen.retain(|one| one.id <= seen.newest);
        let now = self.chosen.len();
        if now.abs_diff(seen.count).saturating_mul(CHANGED_AT_MOST) > seen.count || now == 0 {
            return Err(Stale::Changed { seen: seen.count, now });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::bulk::tests::plan;
    use crate::store::BulkState;

    #[test]
    fn a_plan_is_started_as_it_was_seen_or_not_at_all() {
        let of = |count: usize| plan(BulkState::Failed, 0, &vec![1; count]);
        let minutes = |n: i64| 1_000_000 + n * 60_000;
        let seen = of(20).seen(minutes(0));
        assert_eq!(seen.to_string().parse(), Ok(seen));
        let started = |count, at_ms| of(count).held_to(seen, at_ms).map(|plan| plan.chosen.len());
        assert_eq!(started(20, minutes(10)), Ok(20));
        assert_eq!(started(20, minutes(10) + 1), Err(Stale::Old));
        assert_eq!(started(20, minutes(-11)), Err(Stale::Old), "of a clock that was set back");
        assert_eq!(started(30, minutes(1)), Ok(20), "what was stored later was not seen");
        assert_eq!(started(18, minutes(1)), Ok(18), "a tenth has gone its own way");
        assert_eq!(started(17, minutes(1)), Err(Stale::Changed { seen: 20, now: 17 }));
        let few = of(2).seen(minutes(0));
        assert_eq!(of(1).held_to(few, minutes(1)).map(drop), Err(Stale::Changed { seen: 2, now: 1 }));
        for other in ["", "1-2", "1-2-3-4", "a-2-3", "1--2-3", "1-2-", "-1-2-3"] {
            assert_eq!(other.parse::<Seen>(), Err(Unreadable), "{other}");
        }
    }
}
