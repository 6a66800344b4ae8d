//! In-doubt commits: the connection broke during COMMIT, the client got 503, and the row may exist. The mId is
//! remembered here and its response recorded as lost, by the next accept of the same conversation, in its own
//! transaction, before it looks for equal messages; or by a background retry, since the client may call again at
//! another process. So the client's retry is deduplicated.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::db::{Db, args};
use super::pool::Pool;
use super::sql;
use crate::domain::clock::millis;
use crate::domain::{ChannelName, ContactId, MId};
use crate::store::rules::REPEAT_WITHIN_MS;
use crate::store::tx::Tx as _;
use crate::store::{Accepted, NewOutbound, StoreError};

/// Wait before the next background retry.
const AGAIN: Duration = Duration::from_millis(250);

type Conversation = (ChannelName, ContactId);

/// Lost responses that the server may not know of, by conversation.
#[derive(Default)]
pub(super) struct InDoubtCommits(Mutex<HashMap<Conversation, Vec<UnrecordedLoss>>>);

struct UnrecordedLoss {
    m_id: MId,
    /// When its call was accepted.
    at_ms: i64,
    /// Later calls under way that record the loss themselves.
    recording: u32,
}

/// A call that is being accepted.
pub(super) struct PendingAccept {
    pub(super) message: NewOutbound,
    /// Lost responses of the same conversation before it.
    pub(super) lost: Vec<MId>,
    /// The message of its response, if the commit stands.
    answered_with: Mutex<Option<MId>>,
    in_doubt_commits: Arc<InDoubtCommits>,
    started: Instant,
    /// When this process last worked on it.
    last_step: Mutex<Instant>,
    /// It may wait for another process that is about to learn whether the response to an equal message was received.
    may_wait: AtomicBool,
}

/// Locks a conversation, if it exists. An in-doubt commit has ended on the server by then, since it holds this lock.
async fn lock(db: &mut Db, of: &Conversation) -> Result<(), StoreError> {
    let _: Option<(i64,)> = db.optional(sql::CONVERSATION_LOCKED, args![of.0.as_str(), of.1.as_str()]).await?;
    Ok(())
}

/// A lost response that the server may not know of.
pub(super) struct LostResponse {
    of: Conversation,
    m_id: MId,
    in_doubt_commits: Arc<InDoubtCommits>,
}

impl LostResponse {
    /// Retries to record the loss until the server has it, or until no repeat can be accepted any more.
    pub(super) async fn record(self, pool: Arc<Pool>) {
        let since = Instant::now();
        let key = (self.of, self.m_id);
        while millis(since.elapsed()) < REPEAT_WITHIN_MS {
            tokio::time::sleep(AGAIN).await;
            let call = (&key, &self.in_doubt_commits);
            let recorded = pool.write("record_responses", &call, &|db, ((of, m_id), in_doubt_commits)| {
                Box::pin(async move {
                    lock(db, of).await?;
                    // Checked under the lock: a later call waits for the lock and finds what is recorded here. A call
                    // under way records it itself, and its own response is the one that counts.
                    let recording = in_doubt_commits.recording(of, m_id);
                    if recording == Some(0) {
                        db.lose_response(m_id).await?;
                    }
                    Ok(recording)
                })
            });
            match recorded.await {
                Ok(Some(0)) => break,
                Ok(None) | Err(StoreError::Closed) => return,
                Ok(Some(_)) | Err(_) => {}
            }
        }
        self.in_doubt_commits.forget(&key.0, std::slice::from_ref(&key.1));
    }
}

impl InDoubtCommits {
    pub(super) fn begin(self: &Arc<Self>, message: NewOutbound) -> PendingAccept {
        let of = (message.channel.clone(), message.contact.clone());
        let record_in = |loss: &mut UnrecordedLoss| {
            loss.recording += 1;
            loss.m_id.clone()
        };
        let lost = self.all().get_mut(&of).map(|lost| lost.iter_mut().map(record_in).collect());
        let started = Instant::now();
        PendingAccept {
            message,
            lost: lost.unwrap_or_default(),
            answered_with: Mutex::default(),
            in_doubt_commits: Arc::clone(self),
            started,
            last_step: started.into(),
            may_wait: AtomicBool::new(true),
        }
    }

    /// Returns how many calls under way record that this response is lost; `None` if one has done so.
    fn recording(&self, of: &Conversation, m_id: &MId) -> Option<u32> {
        let all = self.all();
        all.get(of)?.iter().find(|loss| loss.m_id == *m_id).map(|loss| loss.recording)
    }

    fn forget(&self, of: &Conversation, recorded: &[MId]) {
        let mut all = self.all();
        if let Some(lost) = all.get_mut(of) {
            lost.retain(|loss| !recorded.contains(&loss.m_id));
        }
        all.retain(|_, lost| !lost.is_empty());
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Conversation, Vec<UnrecordedLoss>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingAccept {
    /// Sets the message of its response, if the commit stands.
    pub(super) fn respond_with(&self, m_id: &MId) {
        *self.answered_with.lock().unwrap_or_else(PoisonError::into_inner) = Some(m_id.clone());
    }

    /// Returns the time since this process last worked on it, which it does now.
    pub(super) fn since_last_step(&self) -> Duration {
        let mut last_step = self.last_step.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last_step, Instant::now()).elapsed()
    }

    /// Sets whether it may still wait for another process: until `limit` after its start.
    pub(super) fn wait_for_equal(&self, limit: Duration) {
        self.may_wait.store(self.started.elapsed() < limit, Ordering::Relaxed);
    }

    pub(super) fn may_wait(&self) -> bool {
        self.may_wait.load(Ordering::Relaxed)
    }

    /// Ends the call. Returns the loss to record if its outcome is in doubt. To be called before the client gets its
    /// response: it may call again at once.
    pub(super) fn finish(&self, outcome: &Result<Accepted, StoreError>) -> Option<LostResponse> {
        let of = (self.message.channel.clone(), self.message.contact.clone());
        if outcome.is_ok() && !self.lost.is_empty() {
            self.in_doubt_commits.forget(&of, &self.lost);
        }
        for loss in
            self.in_doubt_commits.all().get_mut(&of).into_iter().flatten().filter(|loss| self.lost.contains(&loss.m_id))
        {
            loss.recording = loss.recording.saturating_sub(1);
        }
        let m_id = self.answered_with.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        outcome.as_ref().err().filter(|error| error.may_be_committed())?;
        let mut all = self.in_doubt_commits.all();
        let since_ms = self.message.accepted_ms - REPEAT_WITHIN_MS;
        all.values_mut().for_each(|lost| lost.retain(|loss| loss.at_ms >= since_ms));
        all.retain(|_, lost| !lost.is_empty());
        let loss = UnrecordedLoss { m_id: m_id.clone(), at_ms: self.message.accepted_ms, recording: 0 };
        let unrecorded = all.entry(of.clone()).or_default();
        if unrecorded.iter().all(|known| known.m_id != loss.m_id) {
            unrecorded.push(loss);
        }
        drop(all);
        Some(LostResponse { of, m_id, in_doubt_commits: Arc::clone(&self.in_doubt_commits) })
    }
}
