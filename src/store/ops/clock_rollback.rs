//! Stored times after the machine's clock was set back.

use crate::store::tx::{Tx, values};
use crate::store::{StoreError, rules, sql, sql_bulk, sql_pauses};

/// Moves due times back by as much as the newest rows are later than now, and those rows to now, so that the next start
/// finds nothing to do. Returns by how much.
pub(in crate::store) async fn correct(db: &mut impl Tx, now_ms: i64) -> Result<i64, StoreError> {
    if db.other_processes().await? > 0 {
        return Ok(0); // they share the queue, and their clocks are right
    }
    let outbound = ahead(db, sql::AHEAD_OUTBOUND, now_ms).await?;
    let events = ahead(db, sql::AHEAD_EVENTS, now_ms).await?;
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
        sql_pauses::SHIFT_PAUSES,
        sql_pauses::SHIFT_FAULTS,
        sql_bulk::SHIFT_JOBS,
    ] {
        db.execute(shift, values![by_ms]).await?;
    }
    for (statement, ahead) in [(sql::NOT_AHEAD_OUTBOUND, outbound), (sql::NOT_AHEAD_EVENTS, events)] {
        if let Some((first, _)) = ahead {
            db.execute(statement, values![now_ms, first]).await?;
        }
    }
    Ok(by_ms)
}

/// Returns the first of the rows that are later than now, and the newest time.
async fn ahead(db: &mut impl Tx, statement: &'static str, now_ms: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let found: Option<(Option<i64>, Option<i64>)> = db.optional(statement, values![now_ms]).await?;
    Ok(found.and_then(|(first, newest_ms)| first.zip(newest_ms)))
}
