//! A pause that heals by itself: after a fault that concerns a whole account or channel, nothing passes but one slow
//! probe at a time; the first that succeeds opens the way again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// One way that can be closed.
#[derive(Debug)]
pub(crate) struct Breaker {
    probe_every: Duration,
    closed: Mutex<Option<Closed>>,
    changed: Notify,
}

#[derive(Debug)]
struct Closed {
    probe_at: Instant,
    probing: bool,
}

/// Leave to pass. While closed only a probe has one.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
}

impl Breaker {
    /// Open; once closed, a probe passes every `probe_every`.
    pub(crate) fn new(probe_every: Duration) -> Arc<Self> {
        Arc::new(Self { probe_every, closed: Mutex::default(), changed: Notify::new() })
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

    /// Closes the way. Tells whether it was open before.
    pub(crate) fn close(&self) -> bool {
        let mut closed = self.lock();
        let was_open = closed.is_none();
        let probe_at = Instant::now() + self.probe_every;
        *closed = Some(Closed { probe_at, probing: false });
        drop(closed);
        self.changed.notify_waiters();
        was_open
    }

    /// Opens the way. Tells whether it was closed before.
    pub(crate) fn open(&self) -> bool {
        let was_closed = self.lock().take().is_some();
        if was_closed {
            self.changed.notify_waiters();
        }
        was_closed
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
}

impl Drop for Pass {
    /// A probe that proved nothing leaves the way closed until the next.
    fn drop(&mut self) {
        if self.probe {
            if let Some(closed) = self.breaker.lock().as_mut().filter(|closed| closed.probing) {
                closed.probing = false;
                closed.probe_at = Instant::now() + self.breaker.probe_every;
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
    async fn one_probe_at_a_time_and_success_opens() {
        let breaker = Breaker::new(MINUTE);
        assert!(passes_within(&breaker, Duration::ZERO).await.is_some());
        assert!(breaker.close());
        assert!(!breaker.close());
        assert!(passes_within(&breaker, MINUTE / 2).await.is_none());
        let probe = passes_within(&breaker, MINUTE).await.unwrap();
        assert!(passes_within(&breaker, 3 * MINUTE).await.is_none());
        assert!(breaker.open());
        drop(probe);
        assert!(passes_within(&breaker, Duration::ZERO).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_proves_nothing_is_followed_by_another() {
        let breaker = Breaker::new(MINUTE);
        breaker.close();
        drop(passes_within(&breaker, 2 * MINUTE).await.unwrap());
        assert!(passes_within(&breaker, MINUTE / 2).await.is_none());
        assert!(passes_within(&breaker, MINUTE).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_by_success() {
        let breaker = Breaker::new(1000 * MINUTE);
        breaker.close();
        let waiter = tokio::spawn({
            let breaker = Arc::clone(&breaker);
            async move { drop(breaker.pass().await) }
        });
        tokio::time::sleep(MINUTE).await;
        breaker.open();
        tokio::time::timeout(MINUTE, waiter).await.unwrap().unwrap();
    }
}
