//! Which answers to `POST /message` reach their callers. BonyChat gives its calls no name, so a call that it makes again
//! because the answer was lost looks like a second message; only whether the first answer was written in full tells them
//! apart (bonychat.md A29). `conn` watches the connections; here is kept what they came to, until the store has it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::domain::ids::fingerprint;
use crate::domain::{ChannelName, ContactId, Content, MId};
use crate::store::{AcceptOutcome, Accepted, NewOutbound, Store, StoreError};

use super::standstill::StandstillDetector;

/// An answer whose connection stays open for so long after it was written counts as read: by then the caller's system has
/// acknowledged it, or the connection would have been ended.
pub(in crate::http) const SETTLE: Duration = Duration::from_secs(2);
/// What is settled within this time is told to the store together.
const BATCH: Duration = Duration::from_millis(25);
/// So long an equal call waits to learn what became of the answer before it: a caller that lost its connection may be
/// back before the loss is noticed here.
const EQUAL_WAITS: Duration = Duration::from_millis(50);
/// So long it waits for the store to know of an answer that was lost, and for a connection that is over to say whether one
/// was. The call before it may be waiting itself, for another process.
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// A store that could not take it is told again after.
const AGAIN: Duration = Duration::from_millis(500);
/// Calls that later ones are compared with, at most: many seconds' worth.
const MOST: usize = 50_000;

/// The connection that a call came on, and that its response goes out on.
pub(in crate::http) trait CallerConnection: Send + Sync {
    /// The response of this call is written next.
    fn hand_over(&self, id: u64);

    /// Returns whether the other side has ended the connection, by what the kernel knows now: the connection's own task
    /// may not have noticed yet. A caller that waits for its response keeps its side open.
    fn is_over(&self) -> bool;
}

/// Answers that are not known to have reached anyone, or to be lost, or of which the store does not know yet.
pub(crate) struct ResponseTracker {
    store: Arc<dyn Store>,
    book: Mutex<TrackedCalls>,
    /// Something is written or settled.
    work: Notify,
    /// Somebody waits for the store to be told.
    hurry: Notify,
    /// Something is settled, or the store was told.
    news: Notify,
    pub(in crate::http) pulse: StandstillDetector,
}

#[derive(Default)]
struct TrackedCalls {
    last: u64,
    calls: HashMap<u64, Call>,
    /// Calls that say the same to the same contact, by the fingerprint of that.
    equal: HashMap<String, Vec<u64>>,
    /// Written in full and when that settles them, in that order.
    written: VecDeque<(Instant, u64)>,
    /// Settled, in that order; of which the store is to be told.
    settled: VecDeque<u64>,
    closed: bool,
}

struct Call {
    /// `None` where it is not compared.
    fingerprint: Option<String>,
    /// Where it came, and where its answer goes.
    conn: Option<Weak<dyn CallerConnection>>,
    /// The message it was answered with, or will be.
    m_id: Option<MId>,
    /// The store was asked to keep it and has not said what came of that.
    storing: bool,
    /// Whether the answer reached the caller, once that is settled.
    reached: Option<bool>,
}

impl ResponseTracker {
    pub(crate) fn new(store: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            book: Mutex::default(),
            work: Notify::new(),
            hurry: Notify::new(),
            news: Notify::new(),
            pulse: StandstillDetector::default(),
        })
    }

    /// A call has come. Tells the equal calls before it whose answers are not settled. Until it is answered it counts
    /// as lost when [`PendingResponse`] is dropped: the caller hung up.
    pub(in crate::http) fn open(
        self: &Arc<Self>,
        channel: &ChannelName,
        contact: &ContactId,
        content: &Content,
        conn: Option<Weak<dyn CallerConnection>>,
    ) -> (PendingResponse, Vec<u64>) {
        // Content that cannot be written as JSON is refused by the store.
        let content = serde_json::to_string(content).unwrap_or_default();
        let fingerprint = fingerprint(&[channel.as_str(), contact.as_str(), &content]);
        let mut book = self.book();
        book.last += 1;
        let id = book.last;
        let compared = book.calls.len() < MOST;
        let mut earlier = Vec::new();
        if compared {
            let equal = book.equal.entry(fingerprint.clone()).or_default();
            earlier.clone_from(equal);
            equal.push(id);
        }
        let fingerprint = compared.then_some(fingerprint);
        book.calls.insert(id, Call { fingerprint, conn, m_id: None, storing: false, reached: None });
        drop(book);
        (PendingResponse { answers: Arc::clone(self), id, over: false }, earlier)
    }

    /// Waits until it is known what became of the answers to these calls, and the store knows which were lost; not long.
    pub(in crate::http) async fn settled(&self, calls: Vec<u64>) {
        if calls.is_empty() {
            return;
        }
        let (known_by, told_by) = (Instant::now() + EQUAL_WAITS, Instant::now() + TOLD_WITHIN);
        let mut looks = 5; // where the machine is busy, what there was to notice may come up after the time is over
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            let (unsettled, unreported_sends) = self.unsettled(&calls);
            let by = match (unreported_sends, unsettled) {
                (true, _) => told_by,
                (false, true) => known_by,
                (false, false) => return,
            };
            if unreported_sends {
                self.hurry.notify_one();
            }
            if timeout_at(by, news).await.is_err() {
                looks -= 1;
                if unreported_sends || looks == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Returns whether any of these is not settled, and whether any was lost and the store does not know yet, or may be:
    /// its connection is over, and its task is about to say how.
    fn unsettled(&self, calls: &[u64]) -> (bool, bool) {
        let over = |id: &&u64| {
            let conn =
                self.book().calls.get(*id).filter(|call| call.reached.is_none()).and_then(|call| call.conn.clone());
            is_over(conn.as_ref())
        };
        let any_over = calls.iter().filter(over).count() > 0;
        let book = self.book();
        let any = |reached| calls.iter().filter_map(|id| book.calls.get(id)).any(|call| call.reached == reached);
        let unsettled = any(None);
        (unsettled, any(Some(false)) || (any_over && unsettled))
    }

    /// Whether it is still open what becomes of this answer.
    pub(in crate::http) fn is_open(&self, id: u64) -> bool {
        self.book().calls.get(&id).is_some_and(|call| call.reached.is_none())
    }

    /// The answer was written in full, and its connection is open.
    pub(in crate::http) fn written(&self, id: u64) {
        let mut book = self.book();
        if let Some(m_id) = book.calls.get(&id).and_then(|call| call.m_id.as_ref()) {
            self.store.journal_response(m_id, true);
        }
        book.written.push_back((Instant::now() + SETTLE, id));
        if book.written.len() == 1 {
            self.work.notify_one();
        }
    }

    /// It is known whether the answer reached its caller. The first word counts.
    pub(in crate::http) fn settle(&self, id: u64, reached: bool) {
        let mut book = self.book();
        if let Some(Call { m_id: Some(m_id), reached: None, .. }) = book.calls.get(&id).filter(|_| !reached) {
            self.store.journal_response(m_id, false);
        }
        book.settle(id, reached);
        drop(book);
        self.work.notify_one();
        self.news.notify_waiters();
    }

    /// What the store made of the call.
    fn stored(&self, id: u64, m_id: Option<MId>) {
        let mut book = self.book();
        let Some(call) = book.calls.get_mut(&id) else { return };
        call.storing = false;
        call.m_id = m_id;
        if call.reached.is_some() {
            book.due(id);
            drop(book);
            self.work.notify_one();
            self.news.notify_waiters();
        }
    }

    /// Tells the store what became of each answer, until [`Self::close`]; then of all that are left.
    pub(in crate::http) async fn keep(&self) {
        loop {
            let next = self.book().written.front().map(|(at, _)| *at);
            tokio::select! {
                () = self.work.notified() => {}
                () = at(next) => {}
            }
            if !self.book().closed {
                tokio::select! {
                    () = sleep(BATCH) => {}
                    () = self.hurry.notified() => {}
                }
            }
            let closed = self.mature(Instant::now());
            self.tell().await;
            if closed {
                return;
            }
        }
    }

    /// The door is shut: what was written has reached its callers as far as can be known.
    pub(in crate::http) fn close(&self) {
        self.book().closed = true;
        self.work.notify_one();
    }

    /// Settles what was written long enough ago; all of it where the door is shut. Returns whether that is so.
    fn mature(&self, now: Instant) -> bool {
        let (mut due, closed) = (Vec::new(), self.book().closed);
        let mut book = self.book();
        while let Some((_, id)) = book.written.pop_front_if(|(at, _)| closed || *at <= now) {
            if let Some(call) = book.calls.get(&id).filter(|call| call.reached.is_none()) {
                due.push((id, call.conn.clone()));
            }
        }
        drop(book);
        // A connection that is over says itself what became of its answer: only its task has not come to it yet.
        due.retain(|(_, conn)| !is_over(conn.as_ref()) || closed);
        let mut book = self.book();
        for (id, _) in due {
            book.settle(id, true);
        }
        closed
    }

    async fn tell(&self) {
        let batch = self.book().batch();
        if batch.is_empty() {
            return;
        }
        let told: Vec<(MId, bool)> = batch.iter().map(|(_, m_id, reached)| (m_id.clone(), *reached)).collect();
        let mut tries = 0;
        while let Err(error) = self.store.record_responses(told.clone()).await {
            if tries == 0 {
                tracing::warn!(
                    answers = told.len(),
                    error = &error as &dyn std::error::Error,
                    "could not keep which answers reached their callers; will try again"
                );
            }
            tries += 1;
            if matches!(error, StoreError::Closed) || self.book().closed {
                break;
            }
            sleep(AGAIN).await;
        }
        let mut book = self.book();
        for (id, ..) in batch {
            book.remove(id);
        }
        drop(book);
        self.news.notify_waiters();
    }

    /// A poisoned lock holds plain maps that are whole: go on.
    fn book(&self) -> MutexGuard<'_, TrackedCalls> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// It is settled, and the store has said what it made of it: what is left is to tell the store, where there is what
    /// to tell.
    fn due(&mut self, id: u64) {
        match self.calls.get(&id) {
            Some(Call { m_id: Some(_), .. }) => self.settled.push_back(id),
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

/// Returns whether a connection is over whose end is not settled yet.
fn is_over(conn: Option<&Weak<dyn CallerConnection>>) -> bool {
    conn.and_then(Weak::upgrade).is_some_and(|conn| conn.is_over())
}

/// Until `time`; for ever where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A call that is not answered yet. Dropped, its answer counts as lost.
pub(in crate::http) struct PendingResponse {
    answers: Arc<ResponseTracker>,
    id: u64,
    over: bool,
}

impl PendingResponse {
    /// Has the store keep the message. The caller may go away meanwhile; what came of it is noted all the same, before
    /// anyone who waits for this answer to be settled goes on.
    pub(in crate::http) async fn store(&self, message: NewOutbound) -> Result<Accepted, StoreError> {
        let (answers, id, fresh) = (Arc::clone(&self.answers), self.id, message.m_id.clone());
        if let Some(call) = answers.book().calls.get_mut(&id) {
            call.storing = true;
        }
        let kept = tokio::spawn(async move {
            let accepted = answers.store.accept(message).await;
            let m_id = accepted.as_ref().ok().and_then(|accepted| match &accepted.kept {
                AcceptOutcome::New => Some(fresh),
                AcceptOutcome::RepeatOf(first) => Some(first.clone()),
                AcceptOutcome::KeyTaken => None,
            });
            answers.stored(id, m_id);
            accepted
        });
        kept.await.map_err(|_| StoreError::Closed)?
    }

    /// The answer goes out on this connection, next of all that does. Without one (in tests) it arrives.
    pub(in crate::http) fn goes_out_on(mut self, conn: Option<&dyn CallerConnection>) {
        self.over = true;
        match conn {
            Some(conn) => conn.hand_over(self.id),
            None => self.answers.settle(self.id, true),
        }
    }

    /// Nothing of this call is to be repeated.
    pub(in crate::http) fn reached(mut self) {
        self.over = true;
        self.answers.settle(self.id, true);
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if !self.over {
            self.answers.settle(self.id, false);
        }
    }
}
