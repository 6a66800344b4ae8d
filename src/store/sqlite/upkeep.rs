//! What operators and housekeeping ask of the store.

use rusqlite::{Connection, params};

use super::inbound::execute;
use super::unavailable;
use crate::store::{Filter, Listed, StoreError, sql};

pub(super) fn list(db: &Connection, filter: &Filter) -> Result<Vec<Listed>, StoreError> {
    db.prepare_cached(sql::LIST)
        .and_then(|mut s| {
            s.query_map(params![filter.state, filter.channel, filter.m_id, filter.limit], |r| {
                Ok(Listed {
                    m_id: r.get(0)?,
                    channel: r.get(1)?,
                    contact: r.get(2)?,
                    state: r.get(3)?,
                    kind: r.get(4)?,
                    attempt: r.get(5)?,
                    accepted_ms: r.get(6)?,
                    done_ms: r.get(7)?,
                    fault: r.get(8)?,
                })
            })?
            .collect()
        })
        .map_err(unavailable)
}

pub(super) fn sweep(
    db: &Connection,
    text_before_ms: i64,
    rows_before_ms: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let mut touched = 0;
    for (statement, before_ms) in [
        (sql::WIPE_OUTBOUND, text_before_ms),
        (sql::WIPE_EVENTS, text_before_ms),
        (sql::DROP_OUTBOUND, rows_before_ms),
        (sql::DROP_EVENTS, rows_before_ms),
    ] {
        touched += execute(db, statement, params![before_ms, limit])?;
    }
    Ok(touched)
}

/// Writes something that changes nothing, to learn whether there is room again.
pub(super) fn probe(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch("CREATE TABLE probe (x BLOB); INSERT INTO probe VALUES (zeroblob(8192)); DROP TABLE probe;")
        .map_err(unavailable)
}
