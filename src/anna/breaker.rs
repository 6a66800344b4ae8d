//! Keeps calls from AnnA while it fails (anna.md section 8): three counted failures in a row, a minute without calls, then one
//! trial. A call that is given up counts as failed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::error::AnnaError;
use crate::telemetry::metrics;

/// Counted failures in a row that open it.
const MOST_FAILURES: u32 = 3;
/// How long it stays open.
const PAUSE: Duration = Duration::from_mins(1);
/// The longest wait that a `Retry-After` gets.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What one call says of AnnA as a whole.
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
    pub(super) fn of(answered: &Result<Value, AnnaError>) -> Self {
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
pub(super) struct Breaker(Mutex<State>);

/// That a call may be made. Dropped without a conclusion, it counts as failed.
pub(super) struct Admission<'a> {
    breaker: &'a Breaker,
    concluded: bool,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be made now; of those after a pause, one.
    pub(super) fn admit(&self) -> Option<Admission<'_>> {
        let mut state = self.state();
        if let Some(open_until) = state.open_until {
            if Instant::now() < open_until || state.trial {
                return None;
            }
            state.trial = true;
        }
        Some(Admission { breaker: self, concluded: false })
    }

    fn note(&self, conclusion: Conclusion) {
        let mut state = self.state();
        let was_open = state.open_until.is_some();
        state.trial = false;
        match conclusion {
            Conclusion::Works => *state = State::default(),
            Conclusion::Pauses(pause) => state.open_until = Some(Instant::now() + pause),
            Conclusion::Fails => {
                state.failures = state.failures.saturating_add(1);
                if was_open || state.failures >= MOST_FAILURES {
                    state.open_until = Some(Instant::now() + PAUSE);
                }
            }
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
        self.breaker.note(conclusion);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.concluded {
            self.breaker.note(Conclusion::Fails);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker) {
        breaker.admit().unwrap().conclude(Conclusion::Fails);
    }

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_open_it_and_one_trial_closes_it() {
        let breaker = Breaker::new();
        fail(&breaker);
        fail(&breaker);
        breaker.admit().unwrap().conclude(Conclusion::Works);
        fail(&breaker);
        drop(breaker.admit().unwrap()); // given up: a failure too
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
            let breaker = Breaker::new();
            let conclusion = Conclusion::of(&Err(AnnaError::Busy { asked }));
            breaker.admit().unwrap().conclude(conclusion);
            tokio::time::advance(Duration::from_secs(pause - 1)).await;
            assert!(breaker.admit().is_none(), "{asked:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(breaker.admit().is_some(), "{asked:?}");
        }
    }
}
