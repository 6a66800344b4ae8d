//! A pause that heals by itself: after a fault that concerns a whole account or channel, nothing passes but one probe at
//! a time; only a probe that succeeds opens the way again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// One way that can be closed.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    closed: Mutex<Option<Closed>>,
    changed: Notify,
}

#[derive(Debug)]
struct Closed {
    probe_at: Instant,
    probe_every: Duration,
    probing: bool,
}

/// Leave to pass. While closed only a probe has one.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
}

impl Breaker {
    /// An open way.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until the way is open, or it is the caller's turn to probe.
    pub(crate) async fn pass(self: &Arc<Self>) -> Pass {
        loop {
            let changed = self.changed.notified();
            let wait = {
                let mut closed = self.lock();
                match closed.as_mut() {
                    None => return Pass { breaker: Arc::clone(self), probe: false },
                    Some(closed) if closed.probing => None,
                    Some(closed) if Instant::now() >= closed.probe_at => {
                        closed.probing = true;
                        return Pass { breaker: Arc::clone(self), probe: true };
                    }
                    Some(closed) => Some(closed.probe_at),
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

    /// Closes the way; a probe passes every `probe_every`. Tells whether it was open before.
    pub(crate) fn close(&self, probe_every: Duration) -> bool {
        let mut closed = self.lock();
        let was_open = closed.is_none();
        *closed = Some(Closed { probe_at: Instant::now() + probe_every, probe_every, probing: false });
        drop(closed);
        self.changed.notify_waiters();
        was_open
    }

    /// Keeps a closed way closed for `wait` from now on at least, whoever probes it meanwhile.
    pub(crate) fn not_before(&self, wait: Duration) {
        if let Some(closed) = self.lock().as_mut() {
            closed.probe_at = closed.probe_at.max(Instant::now() + wait);
        }
    }

    /// Whether only a probe passes.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Closed>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Whether the way is closed and this is the one that finds out.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe
    }

    /// Whether it still lets through: the way may have been closed since.
    pub(crate) fn holds(&self) -> bool {
        self.probe || self.breaker.lock().is_none()
    }

    /// What passed was a success. A probe's opens the way; any other proves nothing about a way that was closed since it
    /// passed. Tells whether this opened it.
    pub(crate) fn succeeded(&self) -> bool {
        let opened = self.probe && self.breaker.lock().take().is_some();
        if opened {
            self.breaker.changed.notify_waiters();
        }
        opened
    }
}

impl Drop for Pass {
    /// A probe that proved nothing leaves the way closed until the next.
    fn drop(&mut self) {
        if self.probe {
            if let Some(closed) = self.breaker.lock().as_mut().filter(|closed| closed.probing) {
                closed.probing = false;
                closed.probe_at = closed.probe_at.max(Instant::now() + closed.probe_every);
            }
            self.breaker.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn passes_within(breaker: &Arc<Breaker>, limit: Duration) -> Option<Pass> {
        tokio::time::timeout(limit, breaker.pass()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_its_success_opens() {
        let breaker = Breaker::new();
        let early = passes_within(&breaker, Duration::ZERO).await.unwrap();
        assert!(breaker.close(MINUTE));
        assert!(!breaker.close(MINUTE));
        assert!(!early.holds(), "a pass from before does not outlive the closing");
        assert!(!early.succeeded(), "a success from before the closing proves nothing");
        assert!(passes_within(&breaker, MINUTE / 2).await.is_none());
        let probe = passes_within(&breaker, MINUTE).await.unwrap();
        assert!(passes_within(&breaker, 3 * MINUTE).await.is_none());
        assert!(probe.holds() && probe.succeeded());
        drop(probe);
        assert!(passes_within(&breaker, Duration::ZERO).await.is_some());
    }

    /// Someone who waits for a pass by now.
    async fn waits(breaker: &Arc<Breaker>) -> tokio::task::JoinHandle<Pass> {
        let breaker = Arc::clone(breaker);
        let waiter = tokio::spawn(async move { breaker.pass().await });
        tokio::task::yield_now().await;
        waiter
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_proves_nothing_is_followed_by_another() {
        let breaker = Breaker::new();
        breaker.close(MINUTE);
        let probe = passes_within(&breaker, 2 * MINUTE).await.unwrap();
        let waiter = waits(&breaker).await;
        drop(probe);
        assert!(passes_within(&breaker, MINUTE / 2).await.is_none());
        let next = tokio::time::timeout(MINUTE, waiter).await.expect("who waited for the probe is woken").unwrap();
        assert!(next.is_probe());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_by_success() {
        let breaker = Breaker::new();
        breaker.close(MINUTE);
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let breaker = Arc::clone(&breaker);
                tokio::spawn(async move { breaker.pass().await.succeeded() })
            })
            .collect();
        let mut opened = 0;
        for waiter in waiters {
            opened += usize::from(tokio::time::timeout(2 * MINUTE, waiter).await.unwrap().unwrap());
        }
        assert_eq!(opened, 1);
        // Those who came while it was probed are woken by its success, not by its end.
        breaker.close(MINUTE);
        let probe = passes_within(&breaker, 2 * MINUTE).await.unwrap();
        let waiter = waits(&breaker).await;
        assert!(probe.succeeded());
        assert!(!tokio::time::timeout(MINUTE, waiter).await.expect("it is woken").unwrap().is_probe());
        drop(probe);
    }
}
