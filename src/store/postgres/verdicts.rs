//! Verdicts of one process on messages whose callers wait at another.

use super::db::{Db, args, decode};
use super::sql as own;
use crate::domain::{Fault, MId};
use crate::store::{Answer, StoreError, sql};

/// That there is a verdict on a message.
pub(super) struct Found {
    pub(super) m_id: MId,
    conversation: i64,
    /// Code of its fault, where it has failed.
    pub(super) failed: Option<String>,
}

pub(super) async fn find(db: &mut Db, m_ids: &[String]) -> Result<Vec<Found>, StoreError> {
    let found: Vec<(String, i64, String, Option<String>)> = db.rows(own::VERDICTS, args![m_ids.to_vec()]).await?;
    let verdict = |(m_id, conversation, state, fault): (String, i64, String, Option<String>)| {
        let failed = (state == "failed").then(|| fault.unwrap_or_default());
        Ok(Found { m_id: decode("outbound", &m_id)?, conversation, failed })
    };
    found.into_iter().map(verdict).collect()
}

/// What the caller of a message that has failed is to hear. Taken from the agent, who is not told any more; where that is
/// too late, the agent is told, and the caller only that it was accepted.
pub(super) async fn take(db: &mut Db, verdict: &Found) -> Result<Answer, StoreError> {
    db.lock(verdict.conversation).await?;
    let taken = db.execute(own::TAKE_NOTICE, args![verdict.conversation, verdict.m_id.as_str()]).await?;
    if taken == 0 {
        return Ok(Answer::Accepted);
    }
    db.change(sql::SET_EVENT_LANE, args![verdict.conversation]).await?;
    Ok(Answer::Refused(Fault::from_code(verdict.failed.as_deref().unwrap_or_default())))
}
