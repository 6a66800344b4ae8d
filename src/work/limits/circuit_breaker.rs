//! Circuit breaker. Closed: calls pass. Open: after a fault that concerns a whole account, channel or webhook, calls
//! wait. Half-open: every `probe_every` one call is let through, the probe; only its success closes the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::Fault;

/// One breaker, shared by all that call through it.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// `None` while closed.
    open: Option<Tripped>,
    /// Code of the fault that opened it.
    fault: Option<String>,
    /// When it was closed last, and its state before.
    reset: Option<(Instant, Tripped)>,
}

#[derive(Debug, Clone, Copy)]
struct Tripped {
    probe_at: Instant,
    probe_every: Duration,
    /// A probe is under way.
    half_open: bool,
    /// The trip and the probes that failed since.
    failures: u32,
}

/// Permission to call. While the breaker is open only the probe holds one.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: Arc<CircuitBreaker>,
    probe: bool,
}

impl CircuitBreaker {
    /// Returns a closed one.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until the breaker is closed, or it is the caller's turn to probe.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let changed = self.changed.notified();
            let wait = {
                let mut state = self.lock();
                match state.open.as_mut() {
                    None => return Permit { breaker: Arc::clone(self), probe: false },
                    Some(open) if open.half_open => None,
                    Some(open) if Instant::now() >= open.probe_at => {
                        open.half_open = true;
                        return Permit { breaker: Arc::clone(self), probe: true };
                    }
                    Some(open) => Some(open.probe_at),
                }
            };
            match wait {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Opens the breaker; a probe is let through every `probe_every`. Returns whether it was closed before.
    pub(crate) fn trip(&self, probe_every: Duration) -> bool {
        self.trip_backing_off(|_| probe_every)
    }

    /// Opens the breaker; the next probe is let through after `wait(failures)`, where `failures` counts the trip and
    /// each probe that failed since, from 1. A call that was under way at the trip and fails as well is not counted: it
    /// does not show how long this lasts. A breaker that is tripped again at once counts on: its probe shows less than
    /// the calls that it lets through (a balance that can be read where sends are forbidden). Returns whether it was
    /// closed before.
    pub(crate) fn trip_backing_off(&self, wait: impl FnOnce(u32) -> Duration) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        let before = match (&state.open, &state.reset) {
            (Some(open), _) => open.failures - u32::from(!open.half_open),
            (None, Some((at, open))) if now.duration_since(*at) < open.probe_every => open.failures,
            (None, _) => 0,
        };
        let (was_closed, failures) = (state.open.is_none(), before.saturating_add(1));
        let probe_every = wait(failures);
        state.open = Some(Tripped { probe_at: now + probe_every, probe_every, half_open: false, failures });
        drop(state);
        self.changed.notify_waiters();
        was_closed
    }

    /// Lets no probe through for `wait` from now on, if the breaker is open.
    pub(crate) fn not_before(&self, wait: Duration) {
        if let Some(open) = self.lock().open.as_mut() {
            open.probe_at = open.probe_at.max(Instant::now() + wait);
        }
    }

    /// Returns whether only a probe is let through.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    /// Sets the fault that it was tripped for, which [`Self::open_by`] returns.
    pub(crate) fn set_fault(&self, fault: &Fault) {
        self.lock().fault = Some(fault.code());
    }

    /// Returns the code of the fault by which it is open.
    pub(crate) fn open_by(&self) -> Option<String> {
        let state = self.lock();
        state.open.as_ref().and(state.fault.clone())
    }

    /// Closes the breaker. Returns whether it was open before.
    fn reset(&self) -> bool {
        let mut state = self.lock();
        let Some(open) = state.open.take() else { return false };
        state.reset = Some((Instant::now(), open));
        state.fault = None;
        drop(state);
        self.changed.notify_waiters();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Returns whether the breaker is half-open and this call is its probe.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Returns whether the call may still be made: the breaker may have been tripped since.
    pub(crate) fn holds(&self) -> bool {
        self.probe || !self.breaker.is_open()
    }

    /// Registers the success of the call. A probe's success closes the breaker; any other proves nothing about a
    /// breaker that was tripped since it was let through. Returns whether this closed it.
    pub(crate) fn succeeded(&self) -> bool {
        self.probe && self.breaker.reset()
    }
}

impl Drop for Permit {
    /// A probe that proved nothing leaves the breaker open until the next.
    fn drop(&mut self) {
        if self.probe {
            if let Some(open) = self.breaker.lock().open.as_mut().filter(|open| open.half_open) {
                open.half_open = false;
                open.probe_at = open.probe_at.max(Instant::now() + open.probe_every);
            }
            self.breaker.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn acquired_within(breaker: &Arc<CircuitBreaker>, limit: Duration) -> Option<Permit> {
        tokio::time::timeout(limit, breaker.acquire()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_its_success_closes() {
        let breaker = CircuitBreaker::new();
        let early = acquired_within(&breaker, Duration::ZERO).await.unwrap();
        assert!(breaker.trip(MINUTE));
        assert!(!breaker.trip(MINUTE));
        assert!(!early.holds(), "a permit from before does not outlive the trip");
        assert!(!early.succeeded(), "a success from before the trip proves nothing");
        assert!(acquired_within(&breaker, MINUTE / 2).await.is_none());
        let probe = acquired_within(&breaker, MINUTE).await.unwrap();
        assert!(acquired_within(&breaker, 3 * MINUTE).await.is_none());
        assert!(probe.holds() && probe.succeeded());
        drop(probe);
        assert!(acquired_within(&breaker, Duration::ZERO).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_probe_that_fails_makes_the_next_wait_longer() {
        let breaker = CircuitBreaker::new();
        let doubling = |failures: u32| Duration::from_secs(1 << (failures - 1)).min(Duration::from_secs(8));
        let waits_and_closes = async || {
            let before = Instant::now();
            assert!(breaker.acquire().await.succeeded());
            before.elapsed().as_secs()
        };
        for _ in 0..2 {
            for straggler in 0..8 {
                assert_eq!(breaker.trip_backing_off(doubling), straggler == 0);
            }
            for seconds in [1, 2, 4] {
                let before = Instant::now();
                let probe = breaker.acquire().await;
                assert_eq!(before.elapsed().as_secs(), seconds);
                assert!(!breaker.trip_backing_off(doubling));
                drop(probe);
            }
            assert_eq!(waits_and_closes().await, 8);
            // Only its probe succeeds: the same fault still lasts.
            assert!(breaker.trip_backing_off(doubling));
            assert_eq!(waits_and_closes().await, 8, "the most");
            tokio::time::advance(Duration::from_secs(8)).await;
            // It was closed for a while: the next fault is a new one.
        }
    }

    /// Returns a task that waits for a permit.
    async fn waits(breaker: &Arc<CircuitBreaker>) -> tokio::task::JoinHandle<Permit> {
        let breaker = Arc::clone(breaker);
        let waiter = tokio::spawn(async move { breaker.acquire().await });
        tokio::task::yield_now().await;
        waiter
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_proves_nothing_is_followed_by_another() {
        let breaker = CircuitBreaker::new();
        breaker.trip(MINUTE);
        let probe = acquired_within(&breaker, 2 * MINUTE).await.unwrap();
        let waiter = waits(&breaker).await;
        drop(probe);
        assert!(acquired_within(&breaker, MINUTE / 2).await.is_none());
        let next = tokio::time::timeout(MINUTE, waiter).await.expect("who waited for the probe is woken").unwrap();
        assert!(next.is_probe());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_by_success() {
        let breaker = CircuitBreaker::new();
        breaker.trip(MINUTE);
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let breaker = Arc::clone(&breaker);
                tokio::spawn(async move { breaker.acquire().await.succeeded() })
            })
            .collect();
        let mut closed = 0;
        for waiter in waiters {
            closed += usize::from(tokio::time::timeout(2 * MINUTE, waiter).await.unwrap().unwrap());
        }
        assert_eq!(closed, 1);
        // Tasks that waited during the probe are woken by its success, not by its end.
        breaker.trip(MINUTE);
        let probe = acquired_within(&breaker, 2 * MINUTE).await.unwrap();
        let waiter = waits(&breaker).await;
        assert!(probe.succeeded());
        assert!(!tokio::time::timeout(MINUTE, waiter).await.expect("it is woken").unwrap().is_probe());
        drop(probe);
    }
}
