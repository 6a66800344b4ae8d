//! Queries of operators, retention, and the health probe.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{execute, rows, unavailable};
use crate::store::{Filter, ListedMessage, QueueDepth, StoreError, Waiting, sql};

pub(super) fn list(db: &Connection, filter: &Filter) -> Result<Vec<ListedMessage>, StoreError> {
    let statement = match filter.state.as_deref() {
        Some("failed" | "unknown" | "unconfirmed") => sql::LIST_TROUBLE,
        Some("sending") => sql::LIST_SENDING,
        Some("dead") => sql::LIST_DEAD,
        Some(_) | None => sql::LIST,
    };
    rows(db, statement, params![filter.state, filter.channel, filter.limit], listed)
}

pub(super) fn show(db: &Connection, m_id: &str) -> Result<Option<ListedMessage>, StoreError> {
    let one = |statement| {
        db.prepare_cached(statement)
            .and_then(|mut s| s.query_row(params![m_id], listed).optional())
            .map_err(unavailable)
    };
    let evidence: Vec<String> = rows(db, sql::EVIDENCE, params![m_id], |r| r.get(0))?;
    let looks = || evidence.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    let message = one(sql::SHOW)?.map(|message| ListedMessage { looks: looks(), ..message });
    Ok(message.or(one(sql::SHOW_DEAD)?))
}

fn listed(r: &Row<'_>) -> rusqlite::Result<ListedMessage> {
    Ok(ListedMessage {
        m_id: r.get(0)?,
        channel: r.get(1)?,
        contact: r.get(2)?,
        // A held one differs from an unconfirmed one by having no end time.
        state: r.get::<_, String>(3).map(|state| if state == "held" { "unconfirmed".into() } else { state })?,
        kind: r.get(4)?,
        attempt: r.get(5)?,
        accepted_ms: r.get(6)?,
        done_ms: r.get(7)?,
        fault: r.get(8)?,
        looks: Vec::new(),
    })
}

pub(super) fn channel_names(db: &Connection) -> Result<Vec<String>, StoreError> {
    rows(db, sql::CHANNEL_NAMES, params![], |r| r.get(0))
}

pub(super) fn waiting(db: &Connection) -> Result<Vec<Waiting>, StoreError> {
    let count =
        |sql| -> Result<Vec<(String, i64)>, StoreError> { rows(db, sql, params![], |r| Ok((r.get(0)?, r.get(1)?))) };
    let mut channels: BTreeMap<String, Waiting> = BTreeMap::new();
    let mut of = |channel: String, outbound: i64, events: i64| {
        let there = channels.entry(channel.clone()).or_insert(Waiting { channel, outbound: 0, events: 0 });
        there.outbound += u64::try_from(outbound).unwrap_or(0);
        there.events += u64::try_from(events).unwrap_or(0);
    };
    for (channel, messages) in count(sql::WAITING)? {
        of(channel, messages, 0);
    }
    for (channel, conversations) in count(sql::WAITING_EVENTS)? {
        of(channel, 0, conversations);
    }
    Ok(channels.into_values().collect())
}

pub(super) fn depths(db: &Connection) -> Result<Vec<QueueDepth>, StoreError> {
    let count =
        |sql| -> Result<Vec<(String, i64)>, StoreError> { rows(db, sql, params![], |r| Ok((r.get(0)?, r.get(1)?))) };
    let number = |counted: i64| u64::try_from(counted).unwrap_or(0);
    let mut channels: BTreeMap<String, QueueDepth> = BTreeMap::new();
    let waiting: Vec<(String, i64, i64)> =
        rows(db, sql::DEPTH_OUTBOUND, params![], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    for (channel, outbound, oldest) in waiting {
        let there = channels.entry(channel).or_default();
        there.outbound = number(outbound);
        there.oldest_ms = rows(db, sql::SINCE_MS, params![oldest], |r| r.get(0))?.first().copied();
    }
    for (channel, events) in count(sql::DEPTH_EVENTS)? {
        channels.entry(channel).or_default().events = number(events);
    }
    for (channel, unconfirmed) in count(sql::DEPTH_UNCONFIRMED)? {
        channels.entry(channel).or_default().unconfirmed = number(unconfirmed);
    }
    Ok(channels.into_iter().map(|(channel, there)| QueueDepth { channel, ..there }).collect())
}

/// Texts are erased before rows are deleted, so that the limit bounds each step, whichever of the two has the longer
/// retention.
pub(super) fn purge(
    db: &Connection,
    text_before_ms: i64,
    rows_before_ms: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let text_before_ms = text_before_ms.max(rows_before_ms);
    let mut most = 0;
    for (statement, before_ms) in [
        (sql::WIPE_OUTBOUND, text_before_ms),
        (sql::WIPE_EVENTS, text_before_ms),
        (sql::WIPE_CHOICES, text_before_ms),
        (sql::DROP_OUTBOUND, rows_before_ms),
        (sql::DROP_EVENTS, rows_before_ms),
        (sql::DROP_KEYS, rows_before_ms),
        (sql::DROP_POSTPONED, text_before_ms),
    ] {
        most = most.max(execute(db, statement, params![before_ms, limit])?);
    }
    Ok(most)
}

/// Makes a write that changes nothing, to detect that there is room again.
pub(super) fn probe(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch("CREATE TABLE probe (x BLOB); INSERT INTO probe VALUES (zeroblob(8192)); DROP TABLE probe;")
        .map_err(unavailable)
}
