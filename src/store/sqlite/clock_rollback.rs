//! Stored times after the machine's clock was set back.

use rusqlite::{Connection, params};

use super::{execute, unavailable};
use crate::store::{StoreError, rules, sql};

/// Moves due times back by as much as the newest rows are later than now, and those rows to now, so that the next start
/// finds nothing to do. Returns by how much.
pub(super) fn follow(db: &Connection, now_ms: i64) -> Result<i64, StoreError> {
    let outbound = Ahead::of(db, sql::NEWEST_OUTBOUND, now_ms)?;
    let events = Ahead::of(db, sql::NEWEST_EVENTS, now_ms)?;
    let by_ms = outbound.newest_ms.max(events.newest_ms).saturating_sub(now_ms);
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
        execute(db, shift, params![by_ms])?;
    }
    for (statement, ahead) in [(sql::NOT_AHEAD_OUTBOUND, outbound), (sql::NOT_AHEAD_EVENTS, events)] {
        if let Some(first) = ahead.first {
            execute(db, statement, params![now_ms, first])?;
        }
    }
    Ok(by_ms)
}

/// The rows at the end of a table that are later than now.
struct Ahead {
    newest_ms: i64,
    /// Id of the first of them.
    first: Option<i64>,
}

impl Ahead {
    /// Times rise with ids, so this stops at the first row that is not later than now.
    fn of(db: &Connection, newest_first: &str, now_ms: i64) -> Result<Self, StoreError> {
        let mut found = Self { newest_ms: i64::MIN, first: None };
        let mut look = || -> rusqlite::Result<()> {
            let mut statement = db.prepare_cached(newest_first)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (id, at_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
                if at_ms <= now_ms {
                    break;
                }
                found.newest_ms = found.newest_ms.max(at_ms);
                found.first = Some(id);
            }
            Ok(())
        };
        look().map_err(unavailable)?;
        Ok(found)
    }
}
