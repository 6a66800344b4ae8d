//! The limits of calls to one platform, the same for Afilnet and for the webhook: a rate limiter, a circuit breaker,
//! the outages in a row, and a poison detector.

use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::circuit_breaker::{CircuitBreaker, Permit};
use super::poison::PoisonDetector;
use super::rate_limiter::{RateLimiter, Slot};
use crate::work::lock::lock;

/// Outages in a row that are more than the fault of one conversation.
pub(in crate::work) const OUTAGES: u32 = 3;

/// One platform. `K` is the id of what is sent to it.
#[derive(Debug)]
pub(in crate::work) struct Upstream<K> {
    pub(in crate::work) limiter: Arc<RateLimiter>,
    pub(in crate::work) breaker: Arc<CircuitBreaker>,
    /// Outages since the last call that met none.
    outages: AtomicU32,
    /// Calls that it accepted, in all.
    accepted: AtomicU64,
    poison: Mutex<PoisonDetector<K>>,
}

impl<K: Eq + Hash + Clone> Upstream<K> {
    /// Returns one with this rate and concurrency limit.
    pub(in crate::work) fn new(per_second: u32, max_in_flight: u32) -> Self {
        Self::limited_by(RateLimiter::new(per_second, max_in_flight))
    }

    /// Returns one with this limiter.
    pub(in crate::work) fn limited_by(limiter: Arc<RateLimiter>) -> Self {
        Self {
            limiter,
            breaker: CircuitBreaker::new(),
            outages: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            poison: Mutex::default(),
        }
    }

    /// Waits until the breaker lets a call through and there is a slot for it. Calls that arrive within `yield_for` go
    /// first.
    pub(in crate::work) async fn acquire(&self, yield_for: Duration) -> (Permit, Slot) {
        loop {
            let permit = self.breaker.acquire().await;
            let slot = self.limiter.acquire(yield_for).await;
            if permit.holds() {
                return (permit, slot);
            }
            slot.unused(); // tripped while this one waited for its slot
        }
    }

    /// Registers a call that was accepted.
    pub(in crate::work) fn on_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.outages.store(0, Ordering::Relaxed);
    }

    /// Registers a call that was processed and refused for itself, which is not an outage. Returns whether outages had
    /// lasted until then.
    pub(in crate::work) fn on_refused(&self) -> bool {
        self.outages.swap(0, Ordering::Relaxed) >= OUTAGES
    }

    /// Registers a call that met an outage. Returns whether outages last: it is the third in a row, or a later one.
    pub(in crate::work) fn on_outage(&self) -> bool {
        self.outages.fetch_add(1, Ordering::Relaxed) + 1 >= OUTAGES
    }

    /// Registers that it refused `who` for a reason that should concern all. Returns whether `who` is the reason:
    /// others were accepted repeatedly meanwhile.
    pub(in crate::work) fn is_poison(&self, who: &K) -> bool {
        lock(&self.poison).is_poison(who, self.accepted.load(Ordering::Relaxed))
    }
}
