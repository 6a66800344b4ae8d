//! Accepts a call as a new message or as a repeat, by whether the responses to equal calls were received.

use rusqlite::{Connection, OptionalExtension, params};

use super::db::SqliteTx;
use super::{execute, outbound, unavailable};
use crate::domain::ids::fingerprint;
use crate::domain::{IdempotencyKey, MId};
use crate::store::ops::{conversations, journey};
use crate::store::tx::{at_once, corrupt, decode};
use crate::store::{AcceptOutcome, Accepted, NewOutbound, StoreError, rules, sql};

pub(super) fn accept(db: &Connection, new: &NewOutbound) -> Result<Accepted, StoreError> {
    if new.caller.is_gone() {
        return Err(StoreError::Stale);
    }
    let content = serde_json::to_string(&new.content).map_err(|e| corrupt("outbound")(Box::new(e)))?;
    let known = match &new.key {
        Some(key) => named(db, new, key, &content)?,
        None => None,
    };
    if let Some(outcome) = known {
        return Ok(Accepted { ahead: false, outcome });
    }
    let (other, first) = (new.other_spelling.as_ref(), &new.destination);
    let mut tx = SqliteTx(db);
    let conversation = at_once(conversations::conversation(&mut tx, &new.channel, &new.contact, other, first))?;
    // With a key, the key alone decides.
    if new.key.is_none()
        && let Some(first) = unanswered(db, conversation, &content, new.accepted_ms - rules::REPEAT_WITHIN_MS)?
    {
        return repeat(db, first, new.accepted_ms).map(|outcome| Accepted { ahead: false, outcome });
    }
    let ahead = outbound::add(db, conversation, new, &content)?;
    if let Some(key) = &new.key {
        let (channel, digest) = (new.channel.as_str(), digest(new, &content));
        execute(db, sql::SET_KEY, params![channel, key.as_str(), digest, new.m_id.as_str(), new.accepted_ms])?;
    }
    Ok(Accepted { ahead, outcome: AcceptOutcome::New })
}

/// Returns the oldest equal message since `since_ms` of which the response was lost.
fn unanswered(db: &Connection, conversation: i64, content: &str, since_ms: i64) -> Result<Option<MId>, StoreError> {
    let first: Option<String> = db
        .prepare_cached(sql::UNANSWERED)
        .and_then(|mut s| s.query_row(params![conversation, since_ms, content], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    first.map(|m_id| decode("outbound", &m_id)).transpose()
}

/// Returns the outcome for a key that was used before. A message that was certainly not sent releases its key.
fn named(
    db: &Connection,
    new: &NewOutbound,
    key: &IdempotencyKey,
    content: &str,
) -> Result<Option<AcceptOutcome>, StoreError> {
    let known: Option<(String, String, Option<String>)> = db
        .prepare_cached(sql::KEY)
        .and_then(|mut s| {
            s.query_row(params![new.channel.as_str(), key.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .optional()
        })
        .map_err(unavailable)?;
    match known {
        None => Ok(None),
        Some((known, ..)) if known != digest(new, content) => Ok(Some(AcceptOutcome::KeyTaken)),
        Some((_, _, state)) if state.as_deref() == Some("failed") => Ok(None),
        Some((_, m_id, _)) => repeat(db, decode("idempotency", &m_id)?, new.accepted_ms).map(Some),
    }
}

/// Its response is the one that counts from now on: a later equal call is a repeat only if this response is lost too.
fn repeat(db: &Connection, first: MId, now_ms: i64) -> Result<AcceptOutcome, StoreError> {
    execute(db, sql::ANSWER_AGAIN, params![first.as_str()])?;
    at_once(journey::repeated(&mut SqliteTx(db), first.as_str(), now_ms))?;
    Ok(AcceptOutcome::RepeatOf(first))
}

fn digest(new: &NewOutbound, content: &str) -> String {
    fingerprint(&[new.contact.as_str(), content])
}
