//! Keeps the next calls of `/message` while a person waits for them: the first body of each kind, in memory, and none before
//! or after.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::bonychat::capture::{KINDS, Received};
use crate::domain::ChannelName;

/// Larger bodies are not kept. BonyChat's are smaller: files are links.
const MOST_BYTES: usize = 32 * 1024;

/// The calls that are kept; `None` while nobody waits for any.
#[derive(Debug, Default)]
pub(crate) struct ReceivedCalls {
    kept: Mutex<Option<BTreeMap<&'static str, Received>>>,
    all: Notify,
}

/// Somebody else waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waited;

/// Forgets what is kept when dropped, as when the person who waits hangs up.
struct Wait<'a>(&'a ReceivedCalls);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl ReceivedCalls {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<BTreeMap<&'static str, Received>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a call if somebody waits for the first of its kind. Of its headers only the content type is kept.
    pub(super) fn note(&self, kind: &'static str, channel: &ChannelName, headers: &HeaderMap, body: &Bytes) {
        let mut kept = self.lock();
        let Some(calls) = kept.as_mut().filter(|_| body.len() <= MOST_BYTES) else { return };
        let Entry::Vacant(entry) = calls.entry(kind) else { return };
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        entry.insert(Received { kind, channel: channel.clone(), content_type, body: body.clone() });
        if calls.len() == KINDS.len() {
            self.all.notify_one();
        }
    }

    /// Returns the first calls of each kind that come within `limit`, as soon as there is one of each.
    ///
    /// # Errors
    /// One person at a time can wait.
    pub(crate) async fn next(&self, limit: Duration, stopping: &CancellationToken) -> Result<Vec<Received>, Waited> {
        {
            let mut kept = self.lock();
            if kept.is_some() {
                return Err(Waited);
            }
            *kept = Some(BTreeMap::new());
        }
        let _forget = Wait(self);
        let all = async {
            // Whoever waited before may have hung up at the moment of its last call, and left its notification.
            while self.lock().as_ref().is_some_and(|calls| calls.len() < KINDS.len()) {
                self.all.notified().await;
            }
        };
        tokio::select! {
            () = all => {}
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(limit) => {}
        }
        Ok(self.lock().take().unwrap_or_default().into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(calls: &ReceivedCalls, kind: &'static str, body: &[u8]) {
        calls.note(kind, &"support".parse().unwrap(), &HeaderMap::new(), &Bytes::copy_from_slice(body));
    }

    #[tokio::test]
    async fn calls_are_kept_while_somebody_waits_and_one_of_a_kind() {
        let (calls, stopping) = (ReceivedCalls::default(), CancellationToken::new());
        let hour = Duration::from_hours(1);
        note(&calls, "text", b"before");
        assert!(calls.lock().is_none());
        let mut waits = Box::pin(calls.next(hour, &stopping));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
        assert_eq!(calls.next(hour, &stopping).await.unwrap_err(), Waited);
        note(&calls, "text", b"first");
        note(&calls, "text", b"second");
        note(&calls, "location", &vec![b'x'; MOST_BYTES + 1]);
        stopping.cancel();
        let kept = waits.await.unwrap();
        assert_eq!(kept.iter().map(|call| &call.body[..]).collect::<Vec<_>>(), [b"first"]);

        let stopping = CancellationToken::new();
        let mut waits = Box::pin(calls.next(hour, &stopping));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
        note(&calls, "text", b"of one who hangs up");
        drop(waits);
        assert!(calls.lock().is_none(), "nothing is kept any more");
        let mut waits = Box::pin(calls.next(hour, &stopping));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
        for kind in KINDS {
            note(&calls, kind, b"{}");
        }
        assert_eq!(waits.await.unwrap().len(), KINDS.len(), "before its time is over");

        let mut waits = Box::pin(calls.next(hour, &stopping));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
        for kind in KINDS {
            note(&calls, kind, b"{}");
        }
        drop(waits); // at the moment of its last call
        let mut waits = Box::pin(calls.next(hour, &stopping));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err(), "of one before");
    }
}
