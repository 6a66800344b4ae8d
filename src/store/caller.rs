//! Whoever waits for a call to be answered.

use std::fmt;
use std::sync::Arc;

use crate::domain::clock::now_ms;

/// A call that is not stored this long after it may have come is old: its caller may have given it up, and called again.
/// Shorter than callers wait.
const OLD_MS: i64 = 1000;

/// The caller of a message that is to be stored. One that gives up may call again at another process, which may have
/// stored the message by now: whether the caller is gone is asked in the transaction that stores.
#[derive(Clone)]
pub(crate) struct Caller {
    came_ms: i64,
    waits: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Caller {
    /// One whose call may have come at `came_ms`, by the process's own clock, and that is there as long as `waits` says so.
    pub(crate) fn new(came_ms: i64, waits: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { came_ms, waits: Arc::new(waits) }
    }

    /// One that is always there, and whose call is never old.
    pub(crate) fn stays() -> Self {
        Self::new(i64::MAX, || true)
    }

    /// Returns whether nobody waits for the answer any more.
    pub(super) fn is_gone(&self) -> bool {
        !(self.waits)()
    }

    /// Returns since when the caller waits, where that is so long that it may have called again although it seems to be
    /// there: a proxy may not say that its client is gone, and news of it may be on its way.
    pub(super) fn old_since_ms(&self) -> Option<i64> {
        (now_ms().saturating_sub(self.came_ms) > OLD_MS).then_some(self.came_ms)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("came_ms", &self.came_ms).finish_non_exhaustive()
    }
}
