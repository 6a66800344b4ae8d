//! Verdicts of one process on messages of callers that wait at another.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::db::{Db, args};
use super::pool::Pool;
use super::sql as engine_sql;
use crate::domain::{Fault, MId};
use crate::store::tx::{Tx as _, decode};
use crate::store::{FirstVerdict, StoreError, sql};

/// Wait between two tries after a commit in doubt, and how long to try.
const AGAIN: Duration = Duration::from_millis(250);
const TAKE_WITHIN: Duration = Duration::from_mins(1);

/// A message that has a verdict.
pub(super) struct RemoteVerdict {
    pub(super) m_id: MId,
    conversation: i64,
    /// Code of its fault, where it has failed.
    pub(super) failed: Option<String>,
}

pub(super) async fn find(db: &mut Db, m_ids: &[String]) -> Result<Vec<RemoteVerdict>, StoreError> {
    let found: Vec<(String, i64, String, Option<String>)> =
        db.rows(engine_sql::VERDICTS, args![m_ids.to_vec()]).await?;
    let verdict = |(m_id, conversation, state, fault): (String, i64, String, Option<String>)| {
        let failed = (state == "failed").then(|| fault.unwrap_or_default());
        Ok(RemoteVerdict { m_id: decode("outbound", &m_id)?, conversation, failed })
    };
    found.into_iter().map(verdict).collect()
}

/// Returns the verdict for the caller of a message. Takes a failure's notice from the agent's queue; if that is too
/// late, the agent keeps it and the caller gets "accepted". `again`: an earlier commit that took it may stand, since
/// its reply was lost.
pub(super) async fn take(db: &mut Db, verdict: &RemoteVerdict, again: bool) -> Result<FirstVerdict, StoreError> {
    let me = db.me();
    let (conversation, m_id) = (verdict.conversation, verdict.m_id.as_str());
    db.lock(conversation).await?;
    let taken = db.execute(engine_sql::TAKE_NOTICE, args![conversation, m_id, me]).await?;
    if taken == 0 {
        let before = again && db.one::<i64>(engine_sql::NOTICE_TAKEN, args![conversation, m_id, me]).await? != 0;
        if !before {
            return Ok(FirstVerdict::Accepted);
        }
    } else {
        db.change(sql::SET_EVENT_LANE, args![conversation]).await?;
    }
    Ok(FirstVerdict::Refused(Fault::from_code(verdict.failed.as_deref().unwrap_or_default())))
}

/// As [`take`], retried until the outcome is known: a commit in doubt may have taken the notice from the agent, so that
/// only the caller can get it.
pub(super) async fn taken(pool: &Pool, verdict: RemoteVerdict) -> FirstVerdict {
    let since = Instant::now();
    let mut again = false;
    loop {
        let asked = (&verdict, again);
        let take = pool.write("take_verdict", &asked, &|db, (verdict, again)| Box::pin(take(db, verdict, *again)));
        match take.await {
            Ok(verdict) => return verdict,
            Err(error) if (again || error.may_be_committed()) && since.elapsed() < TAKE_WITHIN => again = true,
            Err(error) => {
                if again {
                    tracing::error!(
                        message_id = %verdict.m_id,
                        error = &error as &dyn std::error::Error,
                        "message `{}` failed and it could not be found out whether its agent is told",
                        verdict.m_id
                    );
                }
                return FirstVerdict::Accepted;
            }
        }
        sleep(AGAIN).await;
    }
}
