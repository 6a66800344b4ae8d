//! The one place that reads the wall clock. Rules never do: time comes to them as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in epoch milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A span in whole milliseconds.
pub(crate) fn millis(span: impl Into<Duration>) -> i64 {
    i64::try_from(span.into().as_millis()).unwrap_or(i64::MAX)
}

/// Time since `then_ms`, zero where that lies ahead.
pub(crate) fn since(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
}
