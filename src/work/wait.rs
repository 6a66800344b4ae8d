//! The waits of the loops: for a notification, for a lease, and after a failure. Each ends when the stop begins.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::LeaseDeadline;
use crate::domain::clock::{now_ms, since};

/// Wait after an error of the store.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Longest time between two queries of the store: a command beside the process, for example, sends no notification.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Waits for a notification, at most until `due_ms`, and never longer than [`LOOK_AGAIN`]. False when the stop begins.
pub(super) async fn notified(notify: &Notify, due_ms: Option<i64>, stop: &CancellationToken) -> bool {
    let until_due = due_ms.map_or(LOOK_AGAIN, |due_ms| since(now_ms(), due_ms));
    let wait = until_due.clamp(Duration::from_millis(1), LOOK_AGAIN);
    let notified = tokio::time::timeout(wait, notify.notified());
    stop.run_until_cancelled(notified).await.is_some()
}

/// Waits until a call may start: at once, or once the lease is renewed. False if the stop begins first, as it does when
/// the lease is lost.
pub(super) async fn may_call(deadline: &LeaseDeadline, stop: &CancellationToken) -> bool {
    deadline.is_valid() || stop.run_until_cancelled(deadline.wait_valid()).await.is_some()
}

/// Returns a number in `0.0..1.0` for full jitter.
pub(super) fn jitter() -> f64 {
    rand::random()
}
