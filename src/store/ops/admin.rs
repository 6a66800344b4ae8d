//! Queries of operators, and retention.

use std::collections::BTreeMap;

use super::journey::{OF_EVENT, OF_MESSAGE};
use super::text_index;
use super::{audit, bulk};
use crate::domain::clock::now_ms;
use crate::domain::find::Side;
use crate::store::admin::ListedRow;
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Retention, Tx, values};
use crate::store::{ListedMessage, QueueDepth, StoreError, Waiting, sql, sql_pauses};

/// A row of `SHOW` or `SHOW_EVENT`.
impl FromRow for ListedMessage {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let (part, began_ms) = (Cell::read(row, 10)?, Cell::read(row, 11)?);
        Ok(Self { part, began_ms, ..ListedRow::from_row(row)?.into() })
    }
}

pub(in crate::store) async fn show(db: &mut impl Tx, m_id: &str) -> Result<Option<ListedMessage>, StoreError> {
    let message: Option<ListedMessage> = db.optional(sql::SHOW, values![m_id]).await?;
    let Some(message) = message else { return db.optional(sql::SHOW_EVENT, values![m_id]).await };
    let evidence: Option<(String,)> = db.optional(sql::EVIDENCE, values![m_id]).await?;
    let looks = evidence.iter().flat_map(|(text,)| text.lines()).map(str::to_owned).collect();
    Ok(Some(ListedMessage { looks, ..message }))
}

pub(in crate::store) async fn channel_names(db: &mut impl Tx) -> Result<Vec<String>, StoreError> {
    let names: Vec<(String,)> = db.rows(sql::CHANNEL_NAMES, values![]).await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

pub(in crate::store) async fn waiting(db: &mut impl Tx) -> Result<Vec<Waiting>, StoreError> {
    let messages: Vec<(String, i64)> = db.rows(sql::WAITING, values![]).await?;
    let conversations: Vec<(String, i64)> = db.rows(sql::WAITING_EVENTS, values![]).await?;
    let mut channels: BTreeMap<String, Waiting> = BTreeMap::new();
    let mut of = |channel: String, outbound: i64, events: i64| {
        let there = channels.entry(channel.clone()).or_insert(Waiting { channel, outbound: 0, events: 0 });
        there.outbound += u64::try_from(outbound).unwrap_or(0);
        there.events += u64::try_from(events).unwrap_or(0);
    };
    for (channel, count) in messages {
        of(channel, count, 0);
    }
    for (channel, count) in conversations {
        of(channel, 0, count);
    }
    Ok(channels.into_values().collect())
}

pub(in crate::store) async fn depths(db: &mut impl Tx) -> Result<Vec<QueueDepth>, StoreError> {
    let number = |counted: i64| u64::try_from(counted).unwrap_or(0);
    let mut channels: BTreeMap<String, QueueDepth> = BTreeMap::new();
    let waiting: Vec<(String, i64, Option<i64>)> = db.rows(sql::DEPTH_OUTBOUND, values![]).await?;
    for (channel, outbound, oldest) in waiting {
        let since: Option<(i64,)> = match oldest {
            Some(oldest) => db.optional(sql::SINCE_MS, values![oldest]).await?,
            None => None,
        };
        let there = channels.entry(channel).or_default();
        there.outbound = number(outbound);
        there.oldest_ms = since.map(|(ms,)| ms);
    }
    for (channel, events) in db.rows::<(String, i64)>(sql::DEPTH_EVENTS, values![]).await? {
        channels.entry(channel).or_default().events = number(events);
    }
    for (channel, unconfirmed) in db.rows::<(String, i64)>(sql::DEPTH_UNCONFIRMED, values![]).await? {
        channels.entry(channel).or_default().unconfirmed = number(unconfirmed);
    }
    for (channel, dead) in db.rows::<(String, i64)>(sql::DEPTH_DEAD, values![]).await? {
        channels.entry(channel).or_default().dead_events = number(dead);
    }
    Ok(channels.into_iter().map(|(channel, there)| QueueDepth { channel, ..there }).collect())
}

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
