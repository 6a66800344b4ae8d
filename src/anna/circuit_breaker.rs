//! Keeps calls from AnnA while it fails (anna.md section 8): three counted failures in a row, a minute without calls,
//! then one trial. A call that is given up counts as failed if it had a fair part of its time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::AnnaError;
use crate::telemetry::metrics;

/// Counted failures in a row that open it.
const MOST_FAILURES: u32 = 3;
/// How long it stays open.
const PAUSE: Duration = Duration::from_mins(1);
/// The longest wait that a `Retry-After` gets.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What the result of one call shows of AnnA as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// It works.
    Works,
    /// It fails.
    Fails,
    /// It asks for a pause.
    Pauses(Duration),
}

impl Conclusion {
    /// By anna.md section 5.
    pub(super) fn of<T>(answered: &Result<T, AnnaError>) -> Self {
        match answered {
            Ok(_) | Err(AnnaError::Api { server: false, .. } | AnnaError::Auth(_) | AnnaError::Open) => Self::Works,
            Err(AnnaError::Busy { asked }) => Self::Pauses(asked.unwrap_or(PAUSE).min(LONGEST_PAUSE)),
            Err(AnnaError::Api { server: true, .. } | AnnaError::Protocol(_) | AnnaError::Transport(_)) => Self::Fails,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    /// A trial is under way.
    trial: bool,
}

/// The circuit breaker of one company.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    state: Mutex<State>,
    /// How long a call that is given up must have run to count as failed.
    fair: Duration,
}

/// That a call may be made. Dropped without a conclusion, it counts as failed if the call has run for half of what a
/// call has at most: a shorter one was given up for what came before it, such as a slow login.
pub(super) struct Admission<'a> {
    breaker: &'a CircuitBreaker,
    since: Instant,
    /// It is the trial after a pause.
    trial: bool,
    concluded: bool,
}

impl CircuitBreaker {
    /// For calls that have `allowance` at most.
    pub(super) fn new(allowance: Duration) -> Self {
        Self { state: Mutex::default(), fair: allowance / 2 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the admission of a call, if one may be made now. After a pause one call is let through.
    pub(super) fn admit(&self) -> Option<Admission<'_>> {
        let mut state = self.state();
        let (since, trial) = (Instant::now(), state.open_until.is_some());
        if let Some(open_until) = state.open_until {
            if since < open_until || state.trial {
                return None;
            }
            state.trial = true;
        }
        Some(Admission { breaker: self, since, trial, concluded: false })
    }

    /// Counts how a call ended; `None`: it proves nothing. While it is open, only the trial closes it: other calls that
    /// end now began before the pause, and may do no more than lengthen it.
    fn note(&self, conclusion: Option<Conclusion>, trial: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let was_open = state.open_until.is_some();
        if trial {
            state.trial = false;
        }
        match conclusion {
            Some(Conclusion::Works) if trial || !was_open => *state = State::default(),
            Some(Conclusion::Pauses(pause)) if trial => state.open_until = Some(now + pause),
            Some(Conclusion::Pauses(pause)) => state.open_until = state.open_until.max(Some(now + pause)),
            Some(Conclusion::Fails) if trial || !was_open => {
                state.failures = state.failures.saturating_add(1);
                if trial || state.failures >= MOST_FAILURES {
                    state.open_until = Some(now + PAUSE);
                }
            }
            Some(Conclusion::Works | Conclusion::Fails) | None => {}
        }
        let is_open = state.open_until.is_some();
        drop(state);
        if is_open != was_open {
            metrics::anna::paused(is_open);
            if is_open {
                tracing::warn!("AnnA fails: it is not asked for a while, and messages go out with their fallbacks");
            } else {
                tracing::info!("AnnA works again: placeholders are filled in");
            }
        }
    }
}

impl Admission<'_> {
    /// The call has ended.
    pub(super) fn conclude(mut self, conclusion: Conclusion) {
        self.concluded = true;
        self.breaker.note(Some(conclusion), self.trial);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.concluded {
            let fair = self.since.elapsed() >= self.breaker.fair;
            self.breaker.note(fair.then_some(Conclusion::Fails), self.trial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Duration = Duration::from_secs(10);

    fn fail(breaker: &CircuitBreaker) {
        breaker.admit().unwrap().conclude(Conclusion::Fails);
    }

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_open_it_and_one_trial_closes_it() {
        let breaker = CircuitBreaker::new(ALLOWANCE);
        fail(&breaker);
        fail(&breaker);
        breaker.admit().unwrap().conclude(Conclusion::Works);
        fail(&breaker);
        let given_up = breaker.admit().unwrap();
        tokio::time::advance(ALLOWANCE / 2).await;
        drop(given_up); // a failure too
        assert!(breaker.admit().is_some_and(|admission| {
            admission.conclude(Conclusion::Fails);
            true
        }));
        assert!(breaker.admit().is_none());
        tokio::time::advance(PAUSE).await;
        let trial = breaker.admit().unwrap();
        assert!(breaker.admit().is_none(), "one trial at a time");
        trial.conclude(Conclusion::Fails);
        assert!(breaker.admit().is_none(), "a trial that fails is one more pause");
        tokio::time::advance(PAUSE).await;
        breaker.admit().unwrap().conclude(Conclusion::Works);
        fail(&breaker);
        fail(&breaker);
        assert!(breaker.admit().is_some(), "counted anew");
    }

    #[tokio::test(start_paused = true)]
    async fn it_pauses_as_long_as_it_is_asked_to_within_reason() {
        for (asked, pause) in [(Some(Duration::from_secs(7)), 7), (None, 60), (Some(Duration::from_hours(9)), 300)] {
            let breaker = CircuitBreaker::new(ALLOWANCE);
            let conclusion = Conclusion::of::<()>(&Err(AnnaError::Busy { asked }));
            breaker.admit().unwrap().conclude(conclusion);
            tokio::time::advance(Duration::from_secs(pause - 1)).await;
            assert!(breaker.admit().is_none(), "{asked:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(breaker.admit().is_some(), "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_a_pause_neither_ends_nor_shortens_it() {
        for conclusion in [Conclusion::Works, Conclusion::Fails, Conclusion::Pauses(Duration::from_secs(1))] {
            let breaker = CircuitBreaker::new(ALLOWANCE);
            let before = breaker.admit().unwrap();
            breaker.admit().unwrap().conclude(Conclusion::Pauses(LONGEST_PAUSE));
            before.conclude(conclusion);
            tokio::time::advance(Duration::from_secs(299)).await;
            assert!(breaker.admit().is_none(), "{conclusion:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(breaker.admit().is_some(), "{conclusion:?}: nor lengthens it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_a_pause_lets_no_second_trial_through() {
        for conclusion in [Conclusion::Works, Conclusion::Fails] {
            let breaker = CircuitBreaker::new(ALLOWANCE);
            let (before, given_up) = (breaker.admit().unwrap(), breaker.admit().unwrap());
            (0..MOST_FAILURES).for_each(|_| fail(&breaker));
            tokio::time::advance(PAUSE).await;
            let trial = breaker.admit().unwrap();
            before.conclude(conclusion);
            drop(given_up);
            assert!(breaker.admit().is_none(), "{conclusion:?}: a trial is under way");
            trial.conclude(Conclusion::Works);
            assert!(breaker.admit().is_some(), "{conclusion:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_are_given_up_at_once_prove_nothing() {
        let breaker = CircuitBreaker::new(ALLOWANCE);
        let given_up = |count: usize| (0..count).map(|_| breaker.admit().unwrap()).collect::<Vec<_>>();
        let calls = given_up(4);
        tokio::time::advance(Duration::from_millis(4999)).await;
        drop(calls);
        let calls = given_up(3);
        tokio::time::advance(ALLOWANCE / 2).await;
        drop(calls);
        assert!(breaker.admit().is_none(), "they had half of their time");
        tokio::time::advance(PAUSE).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_some(), "another call is the trial");
    }
}
