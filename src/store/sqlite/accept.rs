//! Accepts a call as a new message or as a repeat, by whether the responses to equal calls were received.

use rusqlite::Connection;

use super::db::SqliteTx;
use crate::domain::MId;
use crate::store::ops::{accept, conversations};
use crate::store::tx::{Tx as _, at_once, decode, values};
use crate::store::{AcceptOutcome, Accepted, NewOutbound, StoreError, rules, sql};

pub(super) fn take(db: &Connection, new: &NewOutbound) -> Result<Accepted, StoreError> {
    if new.caller.is_gone() {
        return Err(StoreError::Stale);
    }
    let content = accept::content(new)?;
    let mut tx = SqliteTx(db);
    let known = match &new.key {
        Some(key) => at_once(accept::named(&mut tx, new, key, &content))?,
        None => None,
    };
    if let Some(outcome) = known {
        return Ok(Accepted { ahead: false, outcome });
    }
    let (other, first) = (new.other_spelling.as_ref(), &new.destination);
    if new.is_drained && at_once(conversations::known(&mut tx, &new.channel, &new.contact, other))?.is_none() {
        // The call is no repeat, and leaves nothing behind.
        return Ok(Accepted { ahead: false, outcome: AcceptOutcome::Drained });
    }
    let conversation = at_once(conversations::conversation(&mut tx, &new.channel, &new.contact, other, first))?;
    // With a key, the key alone decides.
    if new.key.is_none()
        && let Some(first) = equal_message(&mut tx, conversation, &content, new.accepted_ms - rules::REPEAT_WITHIN_MS)?
    {
        return at_once(accept::repeat(&mut tx, first, new.accepted_ms))
            .map(|outcome| Accepted { ahead: false, outcome });
    }
    if new.is_drained {
        return Ok(Accepted { ahead: false, outcome: AcceptOutcome::Drained });
    }
    let ahead = at_once(accept::add(&mut tx, conversation, new, &content))?;
    Ok(Accepted { ahead, outcome: AcceptOutcome::New })
}

/// Returns the oldest equal message since `since_ms` of which the response was lost.
fn equal_message(
    tx: &mut SqliteTx<'_>,
    conversation: i64,
    content: &str,
    since_ms: i64,
) -> Result<Option<MId>, StoreError> {
    let first: Option<(String,)> = at_once(tx.optional(sql::UNANSWERED, values![conversation, since_ms, content]))?;
    first.map(|(m_id,)| decode("outbound", &m_id)).transpose()
}
