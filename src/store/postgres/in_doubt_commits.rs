//! Calls whose commit was not answered: each was answered 503, so its answer is lost, but its message may be stored. Nobody
//! can ask the server then and there; the next call to the same contact says so in its own transaction, before it looks
//! whether it is a repeat. That call may come to another process: it is said as soon as the server can be asked, too.

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

/// Wait before the server is asked again.
const AGAIN: Duration = Duration::from_millis(250);

/// Answers that are lost and that the server may not know of, by conversation.
#[derive(Default)]
pub(super) struct InDoubtCommits(Mutex<HashMap<Conversation, Vec<Open>>>);

struct Open {
    m_id: MId,
    /// When its call came.
    at_ms: i64,
    /// Later calls that are under way and say so themselves.
    carried: u32,
}

/// A call to be kept.
pub(super) struct Call {
    pub(super) message: NewOutbound,
    /// Answers lost before it, in the same conversation.
    pub(super) lost: Vec<MId>,
    /// The message that it is answered with.
    kept: Mutex<Option<MId>>,
    in_doubt_commits: Arc<InDoubtCommits>,
    started: Instant,
    /// When this process last saw to it.
    seen_to: Mutex<Instant>,
    /// It may wait for another process, which is about to learn what became of an equal message's answer.
    patient: AtomicBool,
}

/// An answer that is lost and that the server may not know of.
pub(super) struct Lost {
    of: Conversation,
    m_id: MId,
    in_doubt_commits: Arc<InDoubtCommits>,
}

impl Lost {
    /// Says so, until the server has heard it or it concerns nobody any more.
    pub(super) async fn tell(self, pool: Arc<Pool>) {
        let since = Instant::now();
        let said = (self.of, self.m_id);
        while millis(since.elapsed()) < REPEAT_WITHIN_MS {
            tokio::time::sleep(AGAIN).await;
            let call = (&said, &self.in_doubt_commits);
            let told = pool.write("record_responses", &call, &|db, ((of, m_id), in_doubt_commits)| {
                Box::pin(async move {
                    responses::lock(db, of).await?;
                    // Asked under the lock: a call that comes from now on waits for it, and finds what is said here. One
                    // that is under way says so itself, and its own answer is the one that counts.
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

    /// How many calls under way say that this answer is lost; `None` where one has said so.
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
    /// The message that it is answered with, should the commit stand.
    pub(super) fn keeps(&self, m_id: &MId) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(m_id.clone());
    }

    /// Time since this process last saw to it, which it does now.
    pub(super) fn since_seen_to(&self) -> Duration {
        let mut seen_to = self.seen_to.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen_to, Instant::now()).elapsed()
    }

    /// Whether it may still wait for another process: no longer than `limit` after its start.
    pub(super) fn wait_for_equal(&self, limit: Duration) {
        self.patient.store(self.started.elapsed() < limit, Ordering::Relaxed);
    }

    pub(super) fn is_patient(&self) -> bool {
        self.patient.load(Ordering::Relaxed)
    }

    /// What came of it; and what the server is to be told, where that is not clear. Before the caller is told: it may call
    /// again at once.
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
