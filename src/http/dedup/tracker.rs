//! Tracks whether each response to `POST /message` was received. BonyChat sends no idempotency key, so only this
//! distinguishes a retry after a lost response from a second equal message (bonychat.md A29). The connections report
//! how they ended; the results are held here until the store has them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::domain::ids::fingerprint;
use crate::domain::{ChannelName, ContactId, Content, MId};
use crate::store::{AcceptOutcome, Accepted, NewOutbound, Store, StoreError};

use super::standstill::StandstillDetector;

/// A response counts as read if its connection stays open for this long after the write: by then the caller's system
/// has acknowledged it, or the connection would have been ended.
pub(in crate::http) const SETTLE: Duration = Duration::from_secs(2);
/// Results within this time are recorded in the store together.
const BATCH: Duration = Duration::from_millis(25);
/// How long an equal call waits for the fate of the response before it: a caller that lost its connection may be back
/// before the loss is noticed here.
const EQUAL_WAITS: Duration = Duration::from_millis(50);
/// How long it waits until the store has recorded a lost response, or until a connection that is over has reported. The
/// call before it may be waiting for another process itself.
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// Wait before recording is retried.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is tried at the stop: a loss that is not recorded counts as received once this process is dead.
const TRIES_AT_STOP: u32 = 6;
/// Calls that later ones are compared with, at most: those of many seconds.
const MOST: usize = 50_000;

/// The connection that a call came on, and that its response goes out on.
pub(in crate::http) trait CallerConnection: Send + Sync {
    /// Registers that the response of this call is written next.
    fn hand_over(&self, id: u64);

    /// Returns whether the other side has ended the connection, by what the kernel knows now: the connection's own task
    /// may not have noticed yet. A caller that waits for its response keeps its side open.
    fn is_over(&self) -> bool;
}

/// Responses of which the fate is unknown, or not recorded in the store yet.
pub(crate) struct ResponseTracker {
    store: Arc<dyn Store>,
    state: Mutex<TrackedCalls>,
    /// Something is written or settled.
    work: Notify,
    /// A call waits for the store to be updated.
    hurry: Notify,
    /// Something is settled, or was recorded in the store.
    changed: Notify,
    pub(in crate::http) standstill: StandstillDetector,
}

#[derive(Default)]
struct TrackedCalls {
    last: u64,
    calls: HashMap<u64, TrackedCall>,
    /// Calls with the same content to the same contact, by fingerprint.
    equal: HashMap<String, Vec<u64>>,
    /// Responses written in full, with the time at which they count as read, in that order.
    written: VecDeque<(Instant, u64)>,
    /// Settled ones, in that order, to be recorded in the store.
    settled: VecDeque<u64>,
    closed: bool,
}

struct TrackedCall {
    /// `None` if it is not compared.
    fingerprint: Option<String>,
    /// The connection that it came on.
    conn: Option<Weak<dyn CallerConnection>>,
    /// The message of its response.
    m_id: Option<MId>,
    /// Its accept is under way in the store.
    storing: bool,
    /// Whether the response reached the caller, once that is known.
    reached: Option<bool>,
}

impl ResponseTracker {
    pub(crate) fn new(store: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            state: Mutex::default(),
            work: Notify::new(),
            hurry: Notify::new(),
            changed: Notify::new(),
            standstill: StandstillDetector::default(),
        })
    }

    /// Registers a call. Returns the equal calls before it of which the responses are not settled. If the
    /// [`PendingResponse`] is dropped, the response counts as lost: the caller hung up.
    pub(in crate::http) fn open(
        self: &Arc<Self>,
        channel: &ChannelName,
        contact: &ContactId,
        content: &Content,
        conn: Option<Weak<dyn CallerConnection>>,
    ) -> (PendingResponse, Vec<u64>) {
        // Content that cannot be serialised is refused by the store.
        let content = serde_json::to_string(content).unwrap_or_default();
        let fingerprint = fingerprint(&[channel.as_str(), contact.as_str(), &content]);
        let mut state = self.state();
        state.last += 1;
        let id = state.last;
        let compared = state.calls.len() < MOST;
        let mut earlier = Vec::new();
        if compared {
            let equal = state.equal.entry(fingerprint.clone()).or_default();
            earlier.clone_from(equal);
            equal.push(id);
        }
        let fingerprint = compared.then_some(fingerprint);
        state.calls.insert(id, TrackedCall { fingerprint, conn, m_id: None, storing: false, reached: None });
        drop(state);
        (PendingResponse { tracker: Arc::clone(self), id, over: false }, earlier)
    }

    /// Waits until the responses to these calls are settled, and losses are recorded in the store, within the limits
    /// above.
    pub(in crate::http) async fn settled(&self, calls: Vec<u64>) {
        if calls.is_empty() {
            return;
        }
        let (known_by, told_by) = (Instant::now() + EQUAL_WAITS, Instant::now() + TOLD_WITHIN);
        let mut looks = 5; // on a busy machine a loss may be noticed only after the time is over
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (unsettled, unrecorded) = self.unsettled(&calls);
            let by = match (unrecorded, unsettled) {
                (true, _) => told_by,
                (false, true) => known_by,
                (false, false) => return,
            };
            if unrecorded {
                self.hurry.notify_one();
            }
            if timeout_at(by, changed).await.is_err() {
                looks -= 1;
                if unrecorded || looks == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Returns whether any of these is not settled, and whether any loss is not recorded in the store yet, or may have
    /// happened: its connection is over, and its task is about to report how.
    fn unsettled(&self, calls: &[u64]) -> (bool, bool) {
        let over = |id: &&u64| {
            let conn =
                self.state().calls.get(*id).filter(|call| call.reached.is_none()).and_then(|call| call.conn.clone());
            is_over(conn.as_ref())
        };
        let any_over = calls.iter().filter(over).count() > 0;
        let state = self.state();
        let any = |reached| calls.iter().filter_map(|id| state.calls.get(id)).any(|call| call.reached == reached);
        let unsettled = any(None);
        (unsettled, any(Some(false)) || (any_over && unsettled))
    }

    /// Returns whether the fate of this response is still unknown.
    pub(in crate::http) fn is_open(&self, id: u64) -> bool {
        self.state().calls.get(&id).is_some_and(|call| call.reached.is_none())
    }

    /// Registers that the response was written in full and its connection is open.
    pub(in crate::http) fn written(&self, id: u64) {
        let mut state = self.state();
        if let Some(m_id) = state.calls.get(&id).and_then(|call| call.m_id.as_ref()) {
            self.store.journal_response(m_id, true);
        }
        state.written.push_back((Instant::now() + SETTLE, id));
        if state.written.len() == 1 {
            self.work.notify_one();
        }
    }

    /// Settles whether the response reached its caller. The first result counts.
    pub(in crate::http) fn settle(&self, id: u64, reached: bool) {
        let mut state = self.state();
        if let Some(TrackedCall { m_id: Some(m_id), reached: None, .. }) = state.calls.get(&id).filter(|_| !reached) {
            self.store.journal_response(m_id, false);
        }
        state.settle(id, reached);
        drop(state);
        self.work.notify_one();
        self.changed.notify_waiters();
    }

    /// Registers the end of the accept of the call; `m_id`: of its message, if there is one.
    fn stored(&self, id: u64, m_id: Option<MId>) {
        let mut state = self.state();
        let Some(call) = state.calls.get_mut(&id) else { return };
        call.storing = false;
        call.m_id = m_id;
        if call.reached.is_some() {
            state.due(id);
            drop(state);
            self.work.notify_one();
            self.changed.notify_waiters();
        }
    }

    /// Records the fate of each response in the store, until [`Self::close`]; then all that are left.
    pub(in crate::http) async fn run(&self) {
        let mut tries_at_stop = 0;
        loop {
            let next = self.state().written.front().map(|(at, _)| *at);
            let again = (!self.state().settled.is_empty()).then(|| Instant::now() + AGAIN);
            tokio::select! {
                () = self.work.notified() => {}
                () = at(next) => {}
                () = at(again) => {}
            }
            if !self.state().closed {
                tokio::select! {
                    () = sleep(BATCH) => {}
                    () = self.hurry.notified() => {}
                }
            }
            let closed = self.mature(Instant::now());
            self.record().await;
            if closed && (self.state().settled.is_empty() || tries_at_stop >= TRIES_AT_STOP) {
                return;
            }
            tries_at_stop += u32::from(closed);
        }
    }

    /// Registers that the listener is closed: responses that were written count as received.
    pub(in crate::http) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
    }

    /// Settles what was written long enough ago, or all of it if the listener is closed. Returns whether it is closed.
    fn mature(&self, now: Instant) -> bool {
        let (mut due, closed) = (Vec::new(), self.state().closed);
        let mut state = self.state();
        while let Some((_, id)) = state.written.pop_front_if(|(at, _)| closed || *at <= now) {
            if let Some(call) = state.calls.get(&id).filter(|call| call.reached.is_none()) {
                due.push((id, call.conn.clone()));
            }
        }
        drop(state);
        // A connection that is over reports the fate of its response itself: its task has not run yet.
        due.retain(|(_, conn)| !is_over(conn.as_ref()) || closed);
        let mut state = self.state();
        for (id, _) in due {
            state.settle(id, true);
        }
        closed
    }

    /// Records the settled responses, but for those of which another transaction has the row: they stay settled, for the
    /// next time.
    async fn record(&self) {
        let batch = self.state().batch();
        if batch.is_empty() {
            return;
        }
        let recorded: Vec<(MId, bool)> = batch.iter().map(|(_, m_id, reached)| (m_id.clone(), *reached)).collect();
        let mut tries = 0;
        let left = loop {
            let error = match self.store.record_responses(recorded.clone()).await {
                Ok(left) => break left,
                Err(error) => error,
            };
            if tries == 0 {
                tracing::warn!(
                    answers = recorded.len(),
                    error = &error as &dyn std::error::Error,
                    "could not keep which answers reached their callers; will try again"
                );
            }
            tries += 1;
            if matches!(error, StoreError::Closed) || (tries >= TRIES_AT_STOP && self.state().closed) {
                break Vec::new();
            }
            sleep(AGAIN).await;
        };
        let mut state = self.state();
        for (id, m_id, reached) in batch {
            if left.contains(&(m_id, reached)) {
                state.settled.push_back(id);
            } else {
                state.remove(id);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A poisoned lock holds plain maps that are consistent, so it is used on.
    fn state(&self) -> MutexGuard<'_, TrackedCalls> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrackedCalls {
    fn settle(&mut self, id: u64, reached: bool) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.reached.is_none()) else { return };
        call.reached = Some(reached);
        if !call.storing {
            self.due(id);
        }
    }

    /// Its response is settled and its accept has ended: queues it for recording, if there is a message.
    fn due(&mut self, id: u64) {
        match self.calls.get(&id) {
            Some(TrackedCall { m_id: Some(_), .. }) => self.settled.push_back(id),
            Some(_) => self.remove(id),
            None => {}
        }
    }

    fn batch(&mut self) -> Vec<(u64, MId, bool)> {
        let due = std::mem::take(&mut self.settled);
        let what = |id: u64| {
            let call = self.calls.get(&id)?;
            Some((id, call.m_id.clone()?, call.reached?))
        };
        due.into_iter().filter_map(what).collect()
    }

    fn remove(&mut self, id: u64) {
        let Some(fingerprint) = self.calls.remove(&id).and_then(|call| call.fingerprint) else { return };
        if let Some(equal) = self.equal.get_mut(&fingerprint) {
            equal.retain(|other| *other != id);
            if equal.is_empty() {
                self.equal.remove(&fingerprint);
            }
        }
    }
}

/// Returns whether the connection is over.
fn is_over(conn: Option<&Weak<dyn CallerConnection>>) -> bool {
    conn.and_then(Weak::upgrade).is_some_and(|conn| conn.is_over())
}

/// Waits until `time`; forever if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A call without a response yet. If dropped, its response counts as lost.
pub(in crate::http) struct PendingResponse {
    tracker: Arc<ResponseTracker>,
    id: u64,
    over: bool,
}

impl PendingResponse {
    /// Stores the message. The caller may go away meanwhile; the outcome is registered all the same, before a call that
    /// waits for this response continues.
    pub(in crate::http) async fn store(&self, message: NewOutbound) -> Result<Accepted, StoreError> {
        let (tracker, id, fresh) = (Arc::clone(&self.tracker), self.id, message.m_id.clone());
        if let Some(call) = tracker.state().calls.get_mut(&id) {
            call.storing = true;
        }
        let kept = tokio::spawn(async move {
            let accepted = tracker.store.accept(message).await;
            let m_id = accepted.as_ref().ok().and_then(|accepted| match &accepted.outcome {
                AcceptOutcome::New => Some(fresh),
                AcceptOutcome::RepeatOf(first) => Some(first.clone()),
                AcceptOutcome::KeyTaken | AcceptOutcome::Drained | AcceptOutcome::EqualPending => None,
            });
            tracker.stored(id, m_id);
            accepted
        });
        kept.await.map_err(|_| StoreError::Closed)?
    }

    /// Hands the response over to this connection, to be written next. Without a connection (in tests) it counts as
    /// received.
    pub(in crate::http) fn goes_out_on(mut self, conn: Option<&dyn CallerConnection>) {
        self.over = true;
        match conn {
            Some(conn) => conn.hand_over(self.id),
            None => self.tracker.settle(self.id, true),
        }
    }

    /// Settles the response as received: a repeat of this call is not deduplicated against it.
    pub(in crate::http) fn reached(mut self) {
        self.over = true;
        self.tracker.settle(self.id, true);
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if !self.over {
            self.tracker.settle(self.id, false);
        }
    }
}
