//! Queries of operators, retention, and the health probe.

use std::collections::BTreeMap;

use super::db::{Db, args};
use crate::store::{Filter, ListedMessage, QueueDepth, StoreError, Waiting, sql};

type Row = (String, String, String, String, String, i64, i64, Option<i64>, Option<String>);

pub(super) async fn list(db: &mut Db, filter: &Filter) -> Result<Vec<ListedMessage>, StoreError> {
    let statement = match filter.state.as_deref() {
        Some("failed" | "unknown" | "unconfirmed") => sql::LIST_TROUBLE,
        Some("sending") => sql::LIST_SENDING,
        Some("dead") => sql::LIST_DEAD,
        Some(_) | None => sql::LIST,
    };
    let found: Vec<Row> = db.rows(statement, args![filter.state, filter.channel, filter.limit]).await?;
    Ok(found.into_iter().map(listed).collect())
}

pub(super) async fn show(db: &mut Db, m_id: &str) -> Result<Option<ListedMessage>, StoreError> {
    let message: Option<Row> = db.optional(sql::SHOW, args![m_id]).await?;
    let Some(message) = message else { return Ok(db.optional(sql::SHOW_DEAD, args![m_id]).await?.map(listed)) };
    let evidence: Option<(String,)> = db.optional(sql::EVIDENCE, args![m_id]).await?;
    let looks = evidence.iter().flat_map(|(text,)| text.lines()).map(str::to_owned).collect();
    Ok(Some(ListedMessage { looks, ..listed(message) }))
}

fn listed((m_id, channel, contact, state, kind, attempt, accepted_ms, done_ms, fault): Row) -> ListedMessage {
    // A held one differs from an unconfirmed one by having no end time.
    let state = if state == "held" { "unconfirmed".into() } else { state };
    ListedMessage { m_id, channel, contact, state, kind, attempt, accepted_ms, done_ms, fault, looks: Vec::new() }
}

pub(super) async fn channel_names(db: &mut Db) -> Result<Vec<String>, StoreError> {
    let names: Vec<(String,)> = db.rows(sql::CHANNEL_NAMES, args![]).await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

pub(super) async fn waiting(db: &mut Db) -> Result<Vec<Waiting>, StoreError> {
    let messages: Vec<(String, i64)> = db.rows(sql::WAITING, args![]).await?;
    let conversations: Vec<(String, i64)> = db.rows(sql::WAITING_EVENTS, args![]).await?;
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

pub(super) async fn depths(db: &mut Db) -> Result<Vec<QueueDepth>, StoreError> {
    let number = |counted: i64| u64::try_from(counted).unwrap_or(0);
    let mut channels: BTreeMap<String, QueueDepth> = BTreeMap::new();
    let waiting: Vec<(String, i64, i64)> = db.rows(sql::DEPTH_OUTBOUND, args![]).await?;
    for (channel, outbound, oldest) in waiting {
        let since: Option<(i64,)> = db.optional(sql::SINCE_MS, args![oldest]).await?;
        let there = channels.entry(channel).or_default();
        there.outbound = number(outbound);
        there.oldest_ms = since.map(|(ms,)| ms);
    }
    for (channel, events) in db.rows::<(String, i64)>(sql::DEPTH_EVENTS, args![]).await? {
        channels.entry(channel).or_default().events = number(events);
    }
    for (channel, unconfirmed) in db.rows::<(String, i64)>(sql::DEPTH_UNCONFIRMED, args![]).await? {
        channels.entry(channel).or_default().unconfirmed = number(unconfirmed);
    }
    Ok(channels.into_iter().map(|(channel, there)| QueueDepth { channel, ..there }).collect())
}

/// Texts are erased before rows are deleted, so that the limit bounds each step, whichever of the two has the longer
/// retention.
pub(super) async fn purge(
    db: &mut Db,
    text_before_ms: i64,
    rows_before_ms: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    use super::sql as engine_sql;
    let text_before_ms = text_before_ms.max(rows_before_ms);
    let mut most = 0;
    for (statement, before_ms) in [
        (engine_sql::WIPE_OUTBOUND, text_before_ms),
        (engine_sql::WIPE_EVENTS, text_before_ms),
        (engine_sql::WIPE_CHOICES, text_before_ms),
        (engine_sql::DROP_OUTBOUND, rows_before_ms),
        (engine_sql::DROP_EVENTS, rows_before_ms),
        (sql::DROP_KEYS, rows_before_ms),
        (sql::DROP_POSTPONED, text_before_ms),
    ] {
        most = most.max(db.execute(statement, args![before_ms, limit]).await?);
    }
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// Makes a write that changes nothing, to detect that writes work again.
pub(super) async fn probe(db: &mut Db) -> Result<(), StoreError> {
    db.execute(super::sql::PROBE, args![]).await.map(drop)
}

/// Fails if the server is read-only: a replica that was not promoted, or a database that was made read-only when full.
pub(super) async fn writable(db: &mut Db) -> Result<(), StoreError> {
    db.one::<i64>(super::sql::WRITABLE, args![]).await.map(drop)
}
