//! Circuit breaker. Closed: calls pass. Open: after a fault that concerns a whole account, channel or webhook, calls
//! wait. Half-open: every `probe_every` one call is let through, the probe; only its success closes the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// One breaker, shared by all that call through it.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    /// `None` while closed.
    open: Mutex<Option<Tripped>>,
    changed: Notify,
}

#[derive(Debug)]
struct Tripped {
    probe_at: Instant,
    probe_every: Duration,
    /// A probe is under way.
    half_open: bool,
}

/// Permission to call. While the breaker is open only the probe holds one.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: Arc<CircuitBreaker>,
    probe: bool,
}

impl CircuitBreaker {
    /// A closed one.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until the breaker is closed, or it is the caller's turn to probe.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let changed = self.changed.notified();
            let wait = {
                let mut open = self.lock();
                match open.as_mut() {
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
        let mut open = self.lock();
        let was_closed = open.is_none();
        *open = Some(Tripped { probe_at: Instant::now() + probe_every, probe_every, half_open: false });
        drop(open);
        self.changed.notify_waiters();
        was_closed
    }

    /// Lets no probe through for `wait` from now on, where the breaker is open.
    pub(crate) fn not_before(&self, wait: Duration) {
        if let Some(open) = self.lock().as_mut() {
            open.probe_at = open.probe_at.max(Instant::now() + wait);
        }
    }

    /// Whether only a probe is let through.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// Closes the breaker. Returns whether it was open before.
    fn reset(&self) -> bool {
        let was_open = self.lock().take().is_some();
        if was_open {
            self.changed.notify_waiters();
        }
        was_open
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tripped>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Whether the breaker is half-open and this call is its probe.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Whether the call may still be made: the breaker may have been tripped since.
    pub(crate) fn holds(&self) -> bool {
        self.probe || !self.breaker.is_open()
    }

    /// The call succeeded. A probe's success closes the breaker; any other proves nothing about a breaker that was
    /// tripped since it was let through. Returns whether this closed it.
    pub(crate) fn succeeded(&self) -> bool {
        self.probe && self.breaker.reset()
    }
}

impl Drop for Permit {
    /// A probe that proved nothing leaves the breaker open until the next.
    fn drop(&mut self) {
        if self.probe {
            if let Some(open) = self.breaker.lock().as_mut().filter(|open| open.half_open) {
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

    /// Someone who waits for a permit by now.
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
        // Those who came while it was probed are woken by its success, not by its end.
        breaker.trip(MINUTE);
        let probe = acquired_within(&breaker, 2 * MINUTE).await.unwrap();
        let waiter = waits(&breaker).await;
        assert!(probe.succeeded());
        assert!(!tokio::time::timeout(MINUTE, waiter).await.expect("it is woken").unwrap().is_probe());
        drop(probe);
    }
}
