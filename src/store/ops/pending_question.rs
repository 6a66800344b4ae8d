//! The pending question of a conversation: opened by the attempt that may show it, closed by its answer or its failure.

use crate::domain::clock::wall_of;
use crate::domain::{Content, MId, PendingQuestion};
use crate::store::tx::{Tx, Value, corrupt, values};
use crate::store::{Attempt, Settlement, StoreError, sql};

/// Opens the question that `attempt` asks, where it begins one, as the attempt is begun. One with placeholders is opened
/// by [`ask_filled_in`]: until its words are known and its call may be made, which can take half a minute, its customer
/// answers the question before it.
pub(in crate::store) async fn ask(db: &mut impl Tx, attempt: &Attempt, now_ms: i64) -> Result<(), StoreError> {
    if attempt.asks_when_filled_in() { Ok(()) } else { open_of(db, attempt, now_ms).await }
}

/// Opens the question of an attempt whose words are filled in by now.
pub(in crate::store) async fn ask_filled_in(
    db: &mut impl Tx,
    attempt: &Attempt,
    now_ms: i64,
) -> Result<(), StoreError> {
    if attempt.asks_when_filled_in() { open_of(db, attempt, now_ms).await } else { Ok(()) }
}

async fn open_of(db: &mut impl Tx, attempt: &Attempt, now_ms: i64) -> Result<(), StoreError> {
    let Attempt { m_id, content: Content::QuickReply(question), part: 0, .. } = attempt else {
        return Ok(());
    };
    let pending_question =
        PendingQuestion { m_id: m_id.clone(), replies: question.replies().to_vec(), asked_ms: wall_of(now_ms) };
    let json = serde_json::to_string(&pending_question).map_err(|e| corrupt("conversations")(Box::new(e)))?;
    db.change(sql::OPEN_QUESTION, values![json, now_ms, attempt.conversation]).await
}

/// Closes the question of `attempt` if it was certainly not sent, or failed.
pub(in crate::store) async fn settle(
    db: &mut impl Tx,
    attempt: &Attempt,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let over = match settlement {
        Settlement::Failed { .. } => true,
        Settlement::Queued { .. } => attempt.part == 0,
        Settlement::Sent { .. } | Settlement::Unknown { .. } | Settlement::Unconfirmed { .. } => false,
    };
    if over && matches!(attempt.content, Content::QuickReply(_)) {
        close(db, attempt.conversation, &attempt.m_id).await?;
    }
    Ok(())
}

/// Closes the open question if it is the one that `m_id` asked.
pub(in crate::store) async fn close(db: &mut impl Tx, conversation: i64, m_id: &MId) -> Result<(), StoreError> {
    let Some(stored) = stored(db, sql::CHOICE_OF, values![conversation]).await? else { return Ok(()) };
    // A question that does not decode is left alone: a later one replaces it, or its age ends it.
    if serde_json::from_str::<PendingQuestion>(&stored).is_ok_and(|pending_question| pending_question.m_id == *m_id) {
        db.execute(sql::CLOSE_CHOICE, values![conversation, stored]).await?;
    }
    Ok(())
}

pub(in crate::store) async fn open(
    db: &mut impl Tx,
    channel: &str,
    contact: &str,
) -> Result<Option<PendingQuestion>, StoreError> {
    let stored = stored(db, sql::CHOICE, values![channel, contact]).await?;
    stored.map(|json| serde_json::from_str(&json).map_err(|e| corrupt("conversations")(Box::new(e)))).transpose()
}

async fn stored(db: &mut impl Tx, statement: &'static str, of: &[Value<'_>]) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = db.optional(statement, of).await?;
    Ok(row.and_then(|(json,)| json))
}
