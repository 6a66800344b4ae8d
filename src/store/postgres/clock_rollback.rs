//! Stored times after the machine's clock was set back.

use super::db::{Db, args};
use super::sql as engine_sql;
use crate::store::{StoreError, rules, sql};

/// Moves due times back by as much as the newest rows are later than now, and those rows to now, so that the next start
/// finds nothing to do. Returns by how much.
pub(super) async fn follow(db: &mut Db, now_ms: i64) -> Result<i64, StoreError> {
    let me = db.me();
    let others: i64 = db.one(engine_sql::OTHERS, args![me]).await?;
    if others > 0 {
        return Ok(0); // other processes share the queue, and their clocks are right
    }
    let outbound = ahead(db, engine_sql::AHEAD_OUTBOUND, now_ms).await?;
    let events = ahead(db, engine_sql::AHEAD_EVENTS, now_ms).await?;
    let newest_ms = outbound.iter().chain(&events).map(|(_, newest_ms)| *newest_ms).max().unwrap_or(i64::MIN);
    let by_ms = newest_ms.saturating_sub(now_ms);
    if by_ms < rules::ROLLBACK_FROM_MS {
        return Ok(0);
    }
    for shift in [
        sql::SHIFT_OUTBOUND,
        sql::SHIFT_EVENTS,
        sql::SHIFT_OUTBOUND_LANES,
        sql::SHIFT_EVENT_LANES,
        sql::SHIFT_POSTPONED,
    ] {
        db.execute(shift, args![by_ms]).await?;
    }
    for (statement, ahead) in [(sql::NOT_AHEAD_OUTBOUND, outbound), (sql::NOT_AHEAD_EVENTS, events)] {
        if let Some((first, _)) = ahead {
            db.execute(statement, args![now_ms, first]).await?;
        }
    }
    Ok(by_ms)
}

/// Returns the first of the rows that are later than now, and the newest time.
async fn ahead(db: &mut Db, statement: &'static str, now_ms: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let found: Option<(Option<i64>, Option<i64>)> = db.optional(statement, args![now_ms]).await?;
    Ok(found.and_then(|(first, newest_ms)| first.zip(newest_ms)))
}
