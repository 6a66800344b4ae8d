//! Queries of operators.

use std::collections::BTreeMap;

use crate::store::admin::ListedRow;
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Tx, values};
use crate::store::{ListedMessage, QueueDepth, StoreError, Waiting, sql};

/// A row of `SHOW` or `SHOW_EVENT`.
impl FromRow for ListedMessage {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let (next_ms, part, began_ms) = (Cell::read(row, 12)?, Cell::read(row, 10)?, Cell::read(row, 11)?);
        Ok(Self { next_ms, part, began_ms, ..ListedRow::from_row(row)?.into() })
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
