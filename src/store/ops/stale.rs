//! Messages that waited for longer than they are worth sending: they fail before they go out.

use super::{events, pending_question};
use crate::domain::MId;
use crate::store::tx::{Tx, decode, values};
use crate::store::{StaleMessage, StaleRule, StaleSweep, StoreError, sql, sql_stale};

/// The head of a queue: its conversation, the contact, and its id.
pub(in crate::store) type Head = (i64, String, i64);

/// Returns the heads of queues that the rule applies to, `limit` at most, without those that are to be tried again later: `begin` looks
/// at each when its time has come.
pub(in crate::store) async fn heads(db: &mut impl Tx, sweep: &StaleSweep, limit: u32) -> Result<Vec<Head>, StoreError> {
    db.rows(sql_stale::STALE_HEADS, values![sweep.channel.as_str(), sweep.rule.before_ms, limit]).await
}

/// Fails those of `heads` that the rule still applies to. The caller has checked the epoch.
pub(in crate::store) async fn fail(
    db: &mut impl Tx,
    sweep: &StaleSweep,
    heads: &[Head],
    now_ms: i64,
) -> Result<Vec<StaleMessage>, StoreError> {
    let mut heads: Vec<&Head> = heads.iter().collect();
    heads.sort_unstable_by_key(|(conversation, ..)| *conversation); // one order of locks, against deadlocks
    let mut failed = Vec::with_capacity(heads.len());
    for (conversation, contact, outbound_id) in heads {
        db.lock(*conversation).await?;
        failed.extend(fail_one(db, &sweep.rule, *conversation, contact, *outbound_id, now_ms).await?);
        db.change(sql::SET_OUTBOUND_LANE, values![*conversation]).await?;
    }
    Ok(failed)
}

/// Fails a message that the rule applies to, and tells its agent; `None` where it does not apply. The conversation is locked, and its
/// lane is set by the caller.
pub(in crate::store) async fn fail_one(
    db: &mut impl Tx,
    rule: &StaleRule,
    conversation: i64,
    contact: &str,
    outbound_id: i64,
    now_ms: i64,
) -> Result<Option<StaleMessage>, StoreError> {
    let ended: Option<(String, i64)> =
        db.optional(sql_stale::FAIL_STALE, values![now_ms, outbound_id, rule.before_ms]).await?;
    let Some((m_id, accepted_ms)) = ended else { return Ok(None) };
    let m_id: MId = decode("outbound", &m_id)?;
    pending_question::close(db, conversation, &m_id).await?;
    events::notice(db, conversation, &m_id, &rule.notice, now_ms).await?;
    Ok(Some(StaleMessage { m_id, contact: decode("conversations", contact)?, accepted_ms }))
}
