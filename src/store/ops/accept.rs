//! What both engines do alike with a call that is accepted. Each function runs inside one transaction that holds the lock
//! of the conversation, or of the key.

use super::journey;
use crate::domain::ids::fingerprint;
use crate::domain::{IdempotencyKey, MId};
use crate::store::tx::{Tx, corrupt, decode, values};
use crate::store::{AcceptOutcome, NewOutbound, StoreError, sql};

/// Returns the stored form of a message's content, by which equal calls are recognised.
pub(in crate::store) fn content(new: &NewOutbound) -> Result<String, StoreError> {
    serde_json::to_string(&new.content).map_err(|e| corrupt("outbound")(Box::new(e)))
}

/// Returns the outcome for a key that was used before. A message that was certainly not sent releases its key.
pub(in crate::store) async fn named(
    db: &mut impl Tx,
    new: &NewOutbound,
    key: &IdempotencyKey,
    content: &str,
) -> Result<Option<AcceptOutcome>, StoreError> {
    let known: Option<(String, String, Option<String>)> =
        db.optional(sql::KEY, values![new.channel.as_str(), key.as_str()]).await?;
    match known {
        None => Ok(None),
        Some((known, ..)) if known != digest(new, content) => Ok(Some(AcceptOutcome::KeyTaken)),
        Some((_, _, state)) if state.as_deref() == Some("failed") => Ok(None),
        Some((_, m_id, _)) => repeat(db, decode("idempotency", &m_id)?, new.accepted_ms).await.map(Some),
    }
}

/// Its response is the one that counts from now on: a later equal call is a repeat only if this response is lost too.
pub(in crate::store) async fn repeat(db: &mut impl Tx, first: MId, now_ms: i64) -> Result<AcceptOutcome, StoreError> {
    db.respond_again(&first).await?;
    journey::repeated(db, first.as_str(), now_ms).await?;
    Ok(AcceptOutcome::RepeatOf(first))
}

/// Adds a new message, last of its conversation, with its key. Returns whether others are queued before it.
pub(in crate::store) async fn add(
    db: &mut impl Tx,
    conversation: i64,
    new: &NewOutbound,
    content: &str,
) -> Result<bool, StoreError> {
    let ahead = db.add_outbound(conversation, new, content).await?;
    if let Some(key) = &new.key {
        let (channel, digest) = (new.channel.as_str(), digest(new, content));
        db.execute(sql::SET_KEY, values![channel, key.as_str(), digest, new.m_id.as_str(), new.accepted_ms]).await?;
    }
    Ok(ahead)
}

fn digest(new: &NewOutbound, content: &str) -> String {
    fingerprint(&[new.contact.as_str(), content])
}
