//! Which calls got their answers, and what that makes of an equal call: a message of its own, or a repeat.

use std::sync::Arc;
use std::time::Duration;

use super::db::{Db, args, corrupt, decode};
use super::in_doubt_commits::{Call, Conversation};
use super::{outbound, sql as own};
use crate::domain::ids::fingerprint;
use crate::domain::{ChannelName, IdempotencyKey, MId};
use crate::store::{AcceptOutcome, Accepted, Epoch, NewOutbound, StoreError, sql};

/// An equal call later than this after the first is a message of its own, whatever became of the first one's answer:
/// people do write the same again.
pub(super) const REPEAT_WITHIN_MS: i64 = 10 * 60 * 1000;

/// A call that takes longer from one look at the store to the next was in a process that stood still: its caller may have
/// gone away and called again elsewhere, so that it is not kept any more. Longer than a busy store needs.
const TOO_LATE: Duration = Duration::from_secs(5);

/// See [`TOO_LATE`].
#[derive(Debug, thiserror::Error)]
#[error("the process stood still for longer than {TOO_LATE:?} while it took the call")]
struct TooLate;

/// An equal message before this one.
enum Equal {
    None,
    /// Its answer was lost: this is its repeat.
    Lost(MId),
    /// Another process is about to learn what became of its answer.
    Open,
}

/// Nothing yet where the call may wait and another process is about to learn what became of an equal message's answer: to
/// be asked again soon.
pub(super) async fn accept(db: &mut Db, call: &Call) -> Result<Option<Accepted>, StoreError> {
    let new = &call.message;
    still_in_time(call)?;
    let content = serde_json::to_string(&new.content).map_err(|e| corrupt("outbound")(Box::new(e)))?;
    let known = match &new.key {
        Some(key) => {
            db.execute(own::LOCK_KEY, args![format!("{} {}", new.channel.as_str(), key.as_str())]).await?;
            named(db, new, key, &content).await?
        }
        None => None,
    };
    if let Some(kept) = known {
        return Ok(Some(Accepted { ahead: false, kept }));
    }
    // Locked before the row gets its id: ids of one conversation are in the order of its commits.
    let conversation = db.conversation(&new.channel, &new.contact, &new.destination).await?;
    // A commit that was under way on the server has ended by now, as it held the lock too.
    for m_id in &call.lost {
        lose(db, m_id).await?;
    }
    // Asked under the lock: a caller that is there has not called again yet, and where it does so later, that call waits
    // for the lock and finds what is stored here. One that is gone may be answered at another process already.
    if new.caller.is_gone() {
        return Err(StoreError::Stale);
    }
    // Calls with keys say themselves which of them are one.
    if new.key.is_none() {
        match unanswered(db, conversation, &content, new.accepted_ms - REPEAT_WITHIN_MS).await? {
            Equal::Lost(first) => {
                call.keeps(&first);
                return repeat(db, first).await.map(|kept| Some(Accepted { ahead: false, kept }));
            }
            Equal::Open if call.is_patient() => return Ok(None),
            Equal::Open | Equal::None => {}
        }
        if let Some(since_ms) = new.caller.old_since_ms()
            && taken_elsewhere(db, conversation, &content, since_ms).await?
        {
            return Err(StoreError::Stale);
        }
    }
    call.keeps(&new.m_id);
    let ahead = outbound::add(db, conversation, new, &content).await?;
    if let Some(key) = &new.key {
        let (channel, digest) = (new.channel.as_str(), digest(new, &content));
        db.execute(sql::SET_KEY, args![channel, key.as_str(), digest, new.m_id.as_str(), new.accepted_ms]).await?;
    }
    still_in_time(call)?; // locks may have been waited for
    Ok(Some(Accepted { ahead, kept: AcceptOutcome::New }))
}

/// What equal messages since `since_ms` make of this one. The answer that a process did not give before it died is lost;
/// one that it is known to have written has reached its caller.
async fn unanswered(db: &mut Db, conversation: i64, content: &str, since_ms: i64) -> Result<Equal, StoreError> {
    let me = db.me();
    let equal: Vec<(String, i64, i64, i64)> =
        db.rows(own::UNANSWERED, args![conversation, since_ms, content, me]).await?;
    let mut found = Equal::None;
    for (m_id, answered, mine, lives) in equal {
        match (answered, mine != 0, lives != 0) {
            (2, ..) | (0, false, false) => return decode("outbound", &m_id).map(Equal::Lost),
            (0 | 3, false, true) => found = Equal::Open,
            _ => {}
        }
    }
    Ok(found)
}

/// Returns whether another process took an equal message since `since_ms`: that may be this very call, made again.
async fn taken_elsewhere(db: &mut Db, conversation: i64, content: &str, since_ms: i64) -> Result<bool, StoreError> {
    let me = db.me();
    let taken: i64 = db.one(own::TAKEN_ELSEWHERE, args![conversation, since_ms, content, me]).await?;
    Ok(taken != 0)
}

/// What a key comes to that was used before. A message that surely was not sent leaves its key to the next.
async fn named(
    db: &mut Db,
    new: &NewOutbound,
    key: &IdempotencyKey,
    content: &str,
) -> Result<Option<AcceptOutcome>, StoreError> {
    let known: Option<(String, String, Option<String>)> =
        db.optional(sql::KEY, args![new.channel.as_str(), key.as_str()]).await?;
    match known {
        None => Ok(None),
        Some((known, ..)) if known != digest(new, content) => Ok(Some(AcceptOutcome::KeyTaken)),
        Some((_, _, state)) if state.as_deref() == Some("failed") => Ok(None),
        Some((_, m_id, _)) => repeat(db, decode("idempotency", &m_id)?).await.map(Some),
    }
}

/// Its answer is the one that counts from now on: an equal call after it is a repeat only if this one is lost too.
async fn repeat(db: &mut Db, first: MId) -> Result<AcceptOutcome, StoreError> {
    let me = db.me();
    db.execute(own::ANSWER_AGAIN, args![first.as_str(), me]).await?;
    Ok(AcceptOutcome::RepeatOf(first))
}

fn digest(new: &NewOutbound, content: &str) -> String {
    fingerprint(&[new.contact.as_str(), content])
}

/// A message may be gone by now, or be answered already under a key: then nothing changes.
pub(super) async fn settle(db: &mut Db, accept: &[(MId, bool)]) -> Result<(), StoreError> {
    let mut accept: Vec<&(MId, bool)> = accept.iter().collect();
    accept.sort_by_key(|(m_id, _)| m_id.as_str()); // locks are taken in one order
    for (m_id, reached) in accept {
        if *reached {
            db.execute(sql::ANSWERED, args![m_id.as_str()]).await?;
        } else {
            lose(db, m_id).await?;
        }
    }
    Ok(())
}

/// An answer is lost that this process was to give.
pub(super) async fn lose(db: &mut Db, m_id: &MId) -> Result<(), StoreError> {
    let me = db.me();
    db.execute(own::ANSWER_LOST, args![m_id.as_str(), me]).await.map(drop)
}

/// Locks a conversation, where there is one. A commit that was under way on the server has ended by then, as it holds the
/// lock.
pub(super) async fn lock(db: &mut Db, of: &Conversation) -> Result<(), StoreError> {
    let _: Option<(i64,)> = db.optional(own::CONVERSATION_LOCKED, args![of.0.as_str(), of.1.as_str()]).await?;
    Ok(())
}

fn still_in_time(call: &Call) -> Result<(), StoreError> {
    if call.since_seen_to() > TOO_LATE {
        return Err(StoreError::Unavailable(Arc::new(TooLate)));
    }
    Ok(())
}

/// Takes a channel over. Whoever had it died before it knew what became of these answers.
pub(super) async fn take_ownership(db: &mut Db, channel: &ChannelName) -> Result<Epoch, StoreError> {
    let epoch = outbound::take_ownership(db, channel).await?; // locks the channel, which comes before its rows
    db.execute(sql::ANSWERS_LOST, args![channel.as_str()]).await?;
    Ok(epoch)
}
