//! Messages that waited for longer than they are worth sending: they fail before they go out.

use super::{events, pending_question, unreadable};
use crate::domain::{ContactId, MId};
use crate::store::tx::{Tx, decode, values};
use crate::store::{StaleMessage, StaleQuery, StaleRule, StoreError, sql, sql_stale};

/// The head of a queue: its conversation, the contact, and its id.
pub(in crate::store) type Head = (i64, String, i64);

/// Returns the heads of queues that the rule applies to, `limit` at most, without those that are to be tried again later: `begin` looks
/// at each when its time has come.
pub(in crate::store) async fn heads(
    db: &mut impl Tx,
    query: &StaleQuery,
    limit: u32,
    now_ms: i64,
) -> Result<Vec<Head>, StoreError> {
    db.rows(sql_stale::STALE_HEADS, values![query.channel.as_str(), now_ms, query.rule.before_ms, limit]).await
}

/// Fails those of `heads` that the rule still applies to; one that does not decode is set aside. The caller has checked the epoch.
pub(in crate::store) async fn fail(
    db: &mut impl Tx,
    query: &StaleQuery,
    heads: &[Head],
    now_ms: i64,
) -> Result<Vec<StaleMessage>, StoreError> {
    let mut heads: Vec<&Head> = heads.iter().collect();
    heads.sort_unstable_by_key(|(conversation, ..)| *conversation); // one order of locks, against deadlocks
    let mut failed = Vec::with_capacity(heads.len());
    for (conversation, contact, outbound_id) in heads {
        db.lock(*conversation).await?;
        match fail_one(db, &query.rule, *conversation, contact, *outbound_id, now_ms).await {
            Ok(stale) => failed.extend(stale),
            Err(error @ StoreError::Corrupt { .. }) => {
                unreadable::mark(db, Some(*outbound_id), &error, now_ms).await?;
            }
            Err(error) => return Err(error),
        }
        db.change(sql::SET_OUTBOUND_LANE, values![*conversation]).await?;
    }
    Ok(failed)
}

/// Fails a message that the rule applies to, and tells its agent; `None` where it does not apply. The conversation is locked, and its
/// lane is set by the caller. `Corrupt` if the message does not decode; then nothing was changed.
pub(in crate::store) async fn fail_one(
    db: &mut impl Tx,
    rule: &StaleRule,
    conversation: i64,
    contact: &str,
    outbound_id: i64,
    now_ms: i64,
) -> Result<Option<StaleMessage>, StoreError> {
    let stale: Option<(String, i64)> = db.optional(sql_stale::STALE, values![outbound_id, rule.before_ms]).await?;
    let Some((m_id, accepted_ms)) = stale else { return Ok(None) };
    let m_id: MId = decode("outbound", &m_id)?;
    let contact: ContactId = decode("conversations", contact)?;
    if db.execute(sql_stale::FAIL_STALE, values![now_ms, outbound_id]).await? == 0 {
        return Ok(None);
    }
    pending_question::close(db, conversation, &m_id).await?;
    events::notice(db, conversation, &m_id, &rule.notice, now_ms).await?;
    Ok(Some(StaleMessage { m_id, contact, accepted_ms }))
}
