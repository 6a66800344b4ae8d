//! Retention.

use super::journey::{OF_EVENT, OF_MESSAGE};
use super::{audit, bulk, text_index};
use crate::domain::clock::now_ms;
use crate::domain::find::Side;
use crate::store::tx::{Retention, Tx, values};
use crate::store::{StoreError, sql, sql_pauses};

/// Texts are erased before rows are deleted, so that the limit bounds each step, whichever of the two has the longer
/// retention.
pub(in crate::store) async fn purge<T: Tx>(
    db: &mut T,
    text_before_ms: i64,
    rows_before_ms: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let Retention { wipe_outbound, wipe_events, wipe_choices, drop_outbound, drop_events } = T::RETENTION;
    let text_before_ms = text_before_ms.max(rows_before_ms);
    let now_ms = now_ms();
    // First, as where a job decides its messages: neither waits for a job while it holds a message.
    let mut most = bulk::purge(db, text_before_ms, rows_before_ms, limit, now_ms).await?;
    let mut wiped = Vec::new();
    for (statement, before_ms, side, deletes) in [
        (wipe_outbound, text_before_ms, Side::Out, false),
        (wipe_events, text_before_ms, Side::In, false),
        (drop_outbound, rows_before_ms, Side::Out, true),
        (drop_events, rows_before_ms, Side::In, true),
    ] {
        let ids = db.ids(statement, values![before_ms, limit]).await?;
        most = most.max(ids.len() as u64);
        if ids.is_empty() {
            continue;
        }
        let subject = if side == Side::Out { OF_MESSAGE } else { OF_EVENT };
        db.wipe_excerpts(subject, &ids).await?;
        if deletes {
            db.delete_steps(subject, &ids).await?;
        }
        // What was deleted too: SQLite may give its ids to new rows.
        wiped.push((side, ids));
    }
    for (statement, before_ms) in [
        (wipe_choices, text_before_ms),
        (sql::DROP_KEYS, rows_before_ms),
        (sql::DROP_POSTPONED, text_before_ms),
        (sql_pauses::DROP_PAUSES, rows_before_ms),
        (sql_pauses::DROP_FAULTS, rows_before_ms),
    ] {
        most = most.max(db.execute(statement, values![before_ms, limit]).await?);
    }
    most = most.max(audit::purge(db, now_ms, limit).await?);
    // Last, as in every transaction that erases texts: none waits for a row while it holds the index.
    for (side, ids) in wiped {
        text_index::forget(db, side, &ids).await?;
    }
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}
