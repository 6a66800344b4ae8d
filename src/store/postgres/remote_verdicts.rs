//! Verdicts of one process on messages whose callers wait at another.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::db::{Db, args, decode};
use super::pool::Pool;
use super::sql as own;
use crate::domain::{Fault, MId};
use crate::store::{FirstVerdict, StoreError, sql};

/// Wait before the server is asked again what came of a commit, and how long that is worth while.
const AGAIN: Duration = Duration::from_millis(250);
const TAKE_WITHIN: Duration = Duration::from_mins(1);

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
/// too late, the agent is told, and the caller only that it was accepted. `again`: a commit that took it may stand, as
/// its answer was lost.
pub(super) async fn take(db: &mut Db, verdict: &Found, again: bool) -> Result<FirstVerdict, StoreError> {
    let me = db.me();
    let (conversation, m_id) = (verdict.conversation, verdict.m_id.as_str());
    db.lock(conversation).await?;
    let taken = db.execute(own::TAKE_NOTICE, args![conversation, m_id, me]).await?;
    if taken == 0 {
        let before = again && db.one::<i64>(own::NOTICE_TAKEN, args![conversation, m_id, me]).await? != 0;
        if !before {
            return Ok(FirstVerdict::Accepted);
        }
    } else {
        db.change(sql::SET_EVENT_LANE, args![conversation]).await?;
    }
    Ok(FirstVerdict::Refused(Fault::from_code(verdict.failed.as_deref().unwrap_or_default())))
}

/// As [`take`], asked again until the server says what came of it: a commit whose answer was lost may have taken from the
/// agent what only the caller can be told then.
pub(super) async fn taken(pool: &Pool, verdict: Found) -> FirstVerdict {
    let since = Instant::now();
    let mut again = false;
    loop {
        let asked = (&verdict, again);
        let take = pool.write("take_verdict", &asked, &|db, (verdict, again)| Box::pin(take(db, verdict, *again)));
        match take.await {
            Ok(answer) => return answer,
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
