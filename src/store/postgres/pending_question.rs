//! The pending question of a conversation: opened by the attempt that may show it, closed by its answer or its failure.

use super::db::{Args, Db, args, corrupt};
use crate::domain::clock::wall_of;
use crate::domain::{Content, MId, PendingQuestion};
use crate::store::{Attempt, Settlement, StoreError, sql};

/// Opens the question that `attempt` asks, where it begins one.
pub(super) async fn ask(db: &mut Db, attempt: &Attempt, now_ms: i64) -> Result<(), StoreError> {
    let Attempt { m_id, content: Content::QuickReply(question), part: 0, .. } = attempt else {
        return Ok(());
    };
    let pending_question =
        PendingQuestion { m_id: m_id.clone(), replies: question.replies().to_vec(), asked_ms: wall_of(now_ms) };
    let json = serde_json::to_string(&pending_question).map_err(|e| corrupt("conversations")(Box::new(e)))?;
    db.change(sql::OPEN_QUESTION, args![json, now_ms, attempt.conversation]).await
}

/// Closes the question of `attempt` if it was certainly not sent, or failed.
pub(super) async fn settle(db: &mut Db, attempt: &Attempt, settlement: &Settlement) -> Result<(), StoreError> {
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
pub(super) async fn close(db: &mut Db, conversation: i64, m_id: &MId) -> Result<(), StoreError> {
    let Some(stored) = stored(db, sql::CHOICE_OF, args![conversation]).await? else { return Ok(()) };
    // A question that does not decode is left alone: a later one replaces it, or its age ends it.
    if serde_json::from_str::<PendingQuestion>(&stored).is_ok_and(|pending_question| pending_question.m_id == *m_id) {
        db.execute(sql::CLOSE_CHOICE, args![conversation, stored]).await?;
    }
    Ok(())
}

pub(super) async fn open(db: &mut Db, channel: &str, contact: &str) -> Result<Option<PendingQuestion>, StoreError> {
    let stored = stored(db, sql::CHOICE, args![channel, contact]).await?;
    stored.map(|json| serde_json::from_str(&json).map_err(|e| corrupt("conversations")(Box::new(e)))).transpose()
}

async fn stored(db: &mut Db, statement: &'static str, of: Args) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = db.optional(statement, of).await?;
    Ok(row.and_then(|(json,)| json))
}
