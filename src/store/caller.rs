//! The HTTP caller of a message that is to be stored.

use std::fmt;
use std::sync::Arc;

use crate::domain::clock::now_ms;

/// A call that is not stored this long after it may have arrived is old: its caller may have given up and called again, and
/// the close of its connection may arrive after that. Shorter than the timeout of callers.
const OLD_MS: i64 = 250;

/// The caller of a message that is to be stored. A caller that gives up may call again at another process, which may
/// have stored the message by now: so the storing transaction itself checks whether the caller is gone.
#[derive(Clone)]
pub(crate) struct Caller {
    came_ms: i64,
    waits: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Caller {
    /// A caller that is connected as long as `waits` returns true; its call may have arrived as early as `came_ms` by
    /// the process's own clock.
    pub(crate) fn new(came_ms: i64, waits: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { came_ms, waits: Arc::new(waits) }
    }

    /// A caller that stays connected; its call is never old.
    pub(crate) fn stays() -> Self {
        Self::new(i64::MAX, || true)
    }

    /// Returns whether the caller has disconnected.
    pub(super) fn is_gone(&self) -> bool {
        !(self.waits)()
    }

    /// Returns when the call may have arrived, if that is so long ago that the caller may have called again although it
    /// still seems connected: a proxy may not pass on that its client is gone, or its close may still be in flight.
    pub(super) fn old_since_ms(&self) -> Option<i64> {
        self.old_at(now_ms())
    }

    fn old_at(&self, now_ms: i64) -> Option<i64> {
        (now_ms.saturating_sub(self.came_ms) > OLD_MS).then_some(self.came_ms)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("came_ms", &self.came_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_old_a_quarter_of_a_second_after_it_may_have_come() {
        let caller = Caller::new(1000, || true);
        assert_eq!([1000, 1250, 1251].map(|now_ms| caller.old_at(now_ms)), [None, None, Some(1000)]);
        assert_eq!(Caller::stays().old_at(i64::MAX), None);
    }
}
