//! Which calls got their answers, and what that makes of an equal call: a message of its own, or a repeat.

use std::sync::Arc;
use std::time::Duration;

use super::db::{Db, args, corrupt, decode};
use super::in_doubt_commits::Call;
use super::pool::Pool;
use super::{outbound, responses, sql as own};
use crate::domain::ids::fingerprint;
use crate::domain::{IdempotencyKey, MId};
use crate::store::rules::REPEAT_WITHIN_MS;
use crate::store::{AcceptOutcome, Accepted, NewOutbound, StoreError, sql};

/// A call that takes longer from one look at the store to the next was in a process that stood still: its caller may have
/// gone away and called again elsewhere, so that it is not kept any more. Longer than a busy store needs.
const TOO_LATE: Duration = Duration::from_secs(5);

/// Longest wait for another process that is about to learn whether the response to an equal message was received: this
/// much longer than a dead process counts as alive. And the time between two looks.
const EQUAL_WAITS: Duration = Duration::from_secs(2);
const EQUAL_LOOKS: Duration = Duration::from_millis(100);

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

/// Stores the message of a call. Where another process is about to learn whether the response to an equal message was
/// received, waits for that: until that process has stored it, or counts as dead, as it does after the time of a `lease`.
pub(super) async fn store(call: &Call, pool: &Pool, lease: Duration) -> Result<Accepted, StoreError> {
    loop {
        call.wait_for_equal(lease + EQUAL_WAITS);
        let accepted = pool.write("accept", call, &|db, call| Box::pin(accept(db, call)));
        if let Some(accepted) = accepted.await? {
            return Ok(accepted);
        }
        tokio::time::sleep(EQUAL_LOOKS).await;
    }
}

/// Nothing yet where the call may wait and another process is about to learn what became of an equal message's answer: to
/// be asked again soon.
async fn accept(db: &mut Db, call: &Call) -> Result<Option<Accepted>, StoreError> {
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
        responses::lose(db, m_id).await?;
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

fn still_in_time(call: &Call) -> Result<(), StoreError> {
    if call.since_seen_to() > TOO_LATE {
        return Err(StoreError::Unavailable(Arc::new(TooLate)));
    }
    Ok(())
}
