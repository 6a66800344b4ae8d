//! Accepts a call as a new message or as a repeat, by whether the responses to equal calls were received.

use std::sync::Arc;
use std::time::Duration;

use super::db::{Db, args};
use super::in_doubt_commits::PendingAccept;
use super::pool::Pool;
use super::sql as engine_sql;
use crate::domain::MId;
use crate::store::ops::{accept, conversations};
use crate::store::rules::REPEAT_WITHIN_MS;
use crate::store::tx::{Tx as _, decode};
use crate::store::{AcceptOutcome, Accepted, StoreError};

/// A call that takes longer between two checks was in a process that stood still: its caller may have called again at
/// another process, so it is not stored any more. Longer than a busy store needs.
const TOO_LATE: Duration = Duration::from_secs(5);

/// Longest wait for another process that is about to learn whether the response to an equal message was received: this
/// much longer than a dead process counts as alive.
const EQUAL_WAITS: Duration = Duration::from_secs(2);
/// Longest wait in any case: callers do not wait for the end of a long lease.
const EQUAL_WAITS_AT_MOST: Duration = Duration::from_secs(15);
/// Wait between the first two looks, and the longest one: each is twice that before it, so that many calls that wait do
/// not keep the other process from the database.
const EQUAL_LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// See [`TOO_LATE`].
#[derive(Debug, thiserror::Error)]
#[error("the process stood still for longer than {TOO_LATE:?} while it took the call")]
struct TooLate;

/// What equal messages make of this call.
enum Equal {
    None,
    /// The response to this one was lost: the call is its repeat.
    ResponseLost(MId),
    /// Another process is about to learn whether the response to one was received.
    Pending,
}

/// Stores the message of a call. Where another process is about to learn whether the response to an equal message was
/// received, waits for that: until that process has stored it, or counts as dead, as it does after the time of a `lease`.
/// Where it is not known by then, the call is refused, since both answers may be wrong.
pub(super) async fn store(call: &PendingAccept, pool: &Pool, lease: Duration) -> Result<Accepted, StoreError> {
    let (mut wait, longest) = EQUAL_LOOKS;
    loop {
        call.wait_for_equal((lease + EQUAL_WAITS).min(EQUAL_WAITS_AT_MOST));
        let accepted = pool.write("accept", call, &|db, call| Box::pin(take(db, call)));
        if let Some(accepted) = accepted.await? {
            return Ok(accepted);
        }
        tokio::time::sleep(wait).await;
        wait = longest.min(2 * wait);
    }
}

/// Returns `None` if the call may wait and another process is about to learn whether the response to an equal message
/// was received: to be called again soon.
async fn take(db: &mut Db, call: &PendingAccept) -> Result<Option<Accepted>, StoreError> {
    let new = &call.message;
    still_in_time(call)?;
    let content = accept::content(new)?;
    let known = match &new.key {
        Some(key) => {
            db.execute(engine_sql::LOCK_KEY, args![format!("{} {}", new.channel.as_str(), key.as_str())]).await?;
            accept::named(db, new, key, &content).await?
        }
        None => None,
    };
    if let Some(outcome) = known {
        return Ok(Some(Accepted { ahead: false, outcome }));
    }
    // Locked before the row gets its id, so that ids of one conversation are in the order of its commits.
    let other_spelling = new.other_spelling.as_ref();
    // A conversation that a refused call adds is undone. It is added even so: that waits for an equal message which is stored meanwhile.
    let undone = new.is_drained && call.lost.is_empty();
    if undone {
        db.execute(engine_sql::SAVEPOINT, args![]).await?;
    }
    let conversation =
        conversations::conversation(db, &new.channel, &new.contact, other_spelling, &new.destination).await?;
    // An in-doubt commit has ended on the server by now, since it held this lock.
    for m_id in &call.lost {
        db.lose_response(m_id).await?;
    }
    // Checked under the lock: a caller that is still connected has not called again yet; if it does so later, that call
    // waits for the lock and finds what is stored here. One that is gone may have been answered by another process
    // already.
    if new.caller.is_gone() {
        return Err(StoreError::Stale);
    }
    // With a key, the key alone decides.
    if new.key.is_none() {
        match equal_messages(db, conversation, &content, new.accepted_ms - REPEAT_WITHIN_MS).await? {
            Equal::ResponseLost(first) => {
                call.respond_with(&first);
                return accept::repeat(db, first, new.accepted_ms)
                    .await
                    .map(|outcome| Some(Accepted { ahead: false, outcome }));
            }
            Equal::Pending if call.may_wait() => return Ok(None),
            Equal::Pending => return Ok(Some(Accepted { ahead: false, outcome: AcceptOutcome::EqualPending })),
            Equal::None => {}
        }
        if let Some(since_ms) = new.caller.old_since_ms()
            && taken_elsewhere(db, conversation, &content, since_ms).await?
        {
            return Err(StoreError::Stale);
        }
    }
    if new.is_drained {
        if undone {
            db.execute(engine_sql::UNDO, args![]).await?;
        }
        return Ok(Some(Accepted { ahead: false, outcome: AcceptOutcome::Drained }));
    }
    call.respond_with(&new.m_id);
    let ahead = accept::add(db, conversation, new, &content).await?;
    still_in_time(call)?; // waiting for locks takes time
    Ok(Some(Accepted { ahead, outcome: AcceptOutcome::New }))
}

/// Returns what equal messages since `since_ms` make of this call. A response that a process had not written before it
/// died is lost; one that it is known to have written was received.
async fn equal_messages(db: &mut Db, conversation: i64, content: &str, since_ms: i64) -> Result<Equal, StoreError> {
    let me = db.me();
    let equal: Vec<(String, i64, i64, i64)> =
        db.rows(engine_sql::UNANSWERED, args![conversation, since_ms, content, me]).await?;
    let mut found = Equal::None;
    for (m_id, answered, mine, lives) in equal {
        match (answered, mine != 0, lives != 0) {
            (2, ..) | (0, false, false) => return decode("outbound", &m_id).map(Equal::ResponseLost),
            (0 | 3, false, true) => found = Equal::Pending,
            _ => {}
        }
    }
    Ok(found)
}

/// Returns whether another process accepted an equal message since `since_ms`: that may be this same call, made again.
async fn taken_elsewhere(db: &mut Db, conversation: i64, content: &str, since_ms: i64) -> Result<bool, StoreError> {
    let me = db.me();
    let taken: i64 = db.one(engine_sql::TAKEN_ELSEWHERE, args![conversation, since_ms, content, me]).await?;
    Ok(taken != 0)
}

fn still_in_time(call: &PendingAccept) -> Result<(), StoreError> {
    if call.since_last_step() > TOO_LATE {
        return Err(StoreError::Unavailable(Arc::new(TooLate)));
    }
    Ok(())
}
