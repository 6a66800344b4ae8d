//! In-doubt commits: the connection broke during COMMIT, the client got 503, and the row may exist. The mId is
//! remembered here and its response recorded as lost, by the next accept of the same conversation, in its own
//! transaction, before it looks for equal messages; or by a background retry, since the client may call again at
//! another process. So the client's retry is deduplicated.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pool::Pool;
use super::responses::{self, Conversation};
use crate::domain::MId;
use crate::domain::clock::millis;
use crate::store::rules::REPEAT_WITHIN_MS;
use crate::store::{Accepted, NewOutbound, StoreError};

/// Wait before the next background retry.
const AGAIN: Duration = Duration::from_millis(250);

/// Lost responses that the server may not know of, by conversation.
#[derive(Default)]
pub(super) struct InDoubtCommits(Mutex<HashMap<Conversation, Vec<Open>>>);

struct Open {
    m_id: MId,
    /// When its call was accepted.
    at_ms: i64,
    /// Later calls under way that record the loss themselves.
    carried: u32,
}

/// A call that is being accepted.
pub(super) struct Call {
    pub(super) message: NewOutbound,
    /// Lost responses of the same conversation before it.
    pub(super) lost: Vec<MId>,
    /// The message of its response, if the commit stands.
    kept: Mutex<Option<MId>>,
    in_doubt_commits: Arc<InDoubtCommits>,
    started: Instant,
    /// When this process last worked on it.
    seen_to: Mutex<Instant>,
    /// It may wait for another process that is about to learn whether the response to an equal message was received.
    patient: AtomicBool,
}

/// A lost response that the server may not know of.
pub(super) struct Lost {
    of: Conversation,
    m_id: MId,
    in_doubt_commits: Arc<InDoubtCommits>,
}

impl Lost {
    /// Retries to record the loss until the server has it, or until no repeat can be accepted any more.
    pub(super) async fn tell(self, pool: Arc<Pool>) {
        let since = Instant::now();
        let said = (self.of, self.m_id);
        while millis(since.elapsed()) < REPEAT_WITHIN_MS {
            tokio::time::sleep(AGAIN).await;
            let call = (&said, &self.in_doubt_commits);
            let told = pool.write("record_responses", &call, &|db, ((of, m_id), in_doubt_commits)| {
                Box::pin(async move {
                    responses::lock(db, of).await?;
                    // Checked under the lock: a later call waits for the lock and finds what is recorded here. A call
                    // under way records it itself, and its own response is the one that counts.
                    let carried = in_doubt_commits.carried(of, m_id);
                    if carried == Some(0) {
                        responses::lose(db, m_id).await?;
                    }
                    Ok(carried)
                })
            });
            match told.await {
                Ok(Some(0)) => break,
                Ok(None) | Err(StoreError::Closed) => return,
                Ok(Some(_)) | Err(_) => {}
            }
        }
        self.in_doubt_commits.forget(&said.0, std::slice::from_ref(&said.1));
    }
}

impl InDoubtCommits {
    pub(super) fn call(self: &Arc<Self>, message: NewOutbound) -> Call {
        let of = (message.channel.clone(), message.contact.clone());
        let carry = |open: &mut Open| {
            open.carried += 1;
            open.m_id.clone()
        };
        let lost = self.all().get_mut(&of).map(|lost| lost.iter_mut().map(carry).collect());
        let started = Instant::now();
        Call {
            message,
            lost: lost.unwrap_or_default(),
            kept: Mutex::default(),
            in_doubt_commits: Arc::clone(self),
            started,
            seen_to: started.into(),
            patient: AtomicBool::new(true),
        }
    }

    /// Returns how many calls under way record that this response is lost; `None` if one has done so.
    fn carried(&self, of: &Conversation, m_id: &MId) -> Option<u32> {
        let all = self.all();
        all.get(of)?.iter().find(|open| open.m_id == *m_id).map(|open| open.carried)
    }

    fn forget(&self, of: &Conversation, told: &[MId]) {
        let mut all = self.all();
        if let Some(lost) = all.get_mut(of) {
            lost.retain(|open| !told.contains(&open.m_id));
        }
        all.retain(|_, lost| !lost.is_empty());
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Conversation, Vec<Open>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Sets the message of its response, if the commit stands.
    pub(super) fn keeps(&self, m_id: &MId) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(m_id.clone());
    }

    /// Returns the time since this process last worked on it, which it does now.
    pub(super) fn since_seen_to(&self) -> Duration {
        let mut seen_to = self.seen_to.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen_to, Instant::now()).elapsed()
    }

    /// Sets whether it may still wait for another process: until `limit` after its start.
    pub(super) fn wait_for_equal(&self, limit: Duration) {
        self.patient.store(self.started.elapsed() < limit, Ordering::Relaxed);
    }

    pub(super) fn is_patient(&self) -> bool {
        self.patient.load(Ordering::Relaxed)
    }

    /// Ends the call. Returns the loss to record if its outcome is in doubt. To be called before the client gets its
    /// response: it may call again at once.
    pub(super) fn over(&self, outcome: &Result<Accepted, StoreError>) -> Option<Lost> {
        let of = (self.message.channel.clone(), self.message.contact.clone());
        if outcome.is_ok() && !self.lost.is_empty() {
            self.in_doubt_commits.forget(&of, &self.lost);
        }
        for open in
            self.in_doubt_commits.all().get_mut(&of).into_iter().flatten().filter(|open| self.lost.contains(&open.m_id))
        {
            open.carried = open.carried.saturating_sub(1);
        }
        let m_id = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        outcome.as_ref().err().filter(|error| error.may_be_committed())?;
        let mut all = self.in_doubt_commits.all();
        let since_ms = self.message.accepted_ms - REPEAT_WITHIN_MS;
        all.values_mut().for_each(|lost| lost.retain(|open| open.at_ms >= since_ms));
        all.retain(|_, lost| !lost.is_empty());
        let open = Open { m_id: m_id.clone(), at_ms: self.message.accepted_ms, carried: 0 };
        let lost = all.entry(of.clone()).or_default();
        if lost.iter().all(|known| known.m_id != open.m_id) {
            lost.push(open);
        }
        drop(all);
        Some(Lost { of, m_id, in_doubt_commits: Arc::clone(&self.in_doubt_commits) })
    }
}
