//! Inbound rows: positions, seen rows, and events on their way to the webhook.

use rusqlite::{Connection, OptionalExtension, params};

use super::outbound::{change, one};
use super::{corrupt, decode, unavailable};
use crate::domain::{ChannelName, ContactId, Event};
use crate::store::{DueEvent, Position, Publication, Reading, StoreError, sql};

pub(super) fn baseline_ms(db: &Connection, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    let row: Option<Option<i64>> = db
        .prepare_cached(sql::BASELINE_MS)
        .and_then(|mut s| s.query_row(params![channel.as_str()], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    Ok(row.flatten())
}

pub(super) fn take_baseline(
    db: &Connection,
    channel: &ChannelName,
    conversations: &[Position],
    now_ms: i64,
) -> Result<(), StoreError> {
    for there in conversations {
        let destination = there.destination.as_str();
        execute(db, sql::ADD_BASELINE, params![channel.as_str(), there.contact.as_str(), destination, there.baseline])?;
    }
    change(db, sql::SET_BASELINE_MS, params![now_ms, channel.as_str()])
}

pub(super) fn positions(db: &Connection, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>);
    let rows: Vec<Row> = db
        .prepare_cached(sql::POSITIONS)
        .and_then(|mut s| {
            s.query_map(params![channel.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect()
        })
        .map_err(unavailable)?;
    rows.into_iter()
        .map(|(contact, destination, read_to, baseline)| {
            Ok(Position {
                contact: decode("conversations", &contact)?,
                destination: decode("conversations", &destination)?,
                read_to,
                baseline,
            })
        })
        .collect()
}

pub(super) fn seen(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<Vec<(String, i64)>, StoreError> {
    db.prepare_cached(sql::SEEN)
        .and_then(|mut s| {
            s.query_map(params![channel.as_str(), contact.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        })
        .map_err(unavailable)
}

/// Tells how many events it made.
pub(super) fn record(db: &Connection, reading: &Reading) -> Result<usize, StoreError> {
    let (channel, contact, now_ms) = (reading.channel.as_str(), reading.contact.as_str(), reading.now_ms);
    execute(db, sql::MEET, params![channel, contact, reading.destination.as_str()])?;
    let mut made = 0;
    let mut heard = false;
    for row in &reading.rows {
        if execute(db, sql::ADD_SEEN, params![channel, contact, row.identity, now_ms])? == 1 {
            add_events(db, channel, contact, &row.events, now_ms, now_ms)?;
            made += row.events.len();
            heard |= row.from_customer && !row.events.is_empty();
        }
    }
    for identity in &reading.forget {
        execute(db, sql::FORGET, params![channel, contact, identity])?;
    }
    if heard {
        change(db, sql::HEARD, params![now_ms, channel, contact])?;
    }
    if let Some(position) = &reading.position {
        change(db, sql::SET_POSITION, params![position, channel, contact])?;
    }
    Ok(made)
}

/// Queues events, last of their conversation, not to be published before `due_ms`.
pub(super) fn add_events(
    db: &Connection,
    channel: &str,
    contact: &str,
    events: &[Event],
    due_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    for event in events {
        let seq: i64 = one(db, sql::NEXT_EVENT, params![channel, contact])?;
        let json = serde_json::to_string(event).map_err(|e| corrupt("events")(Box::new(e)))?;
        let kind = event.body.kind();
        execute(db, sql::ADD_EVENT, params![channel, contact, seq, event.m_id.as_str(), kind, json, due_ms, now_ms])?;
    }
    refresh_lane(db, channel, contact)
}

pub(super) fn due_events(
    db: &Connection,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<DueEvent>, StoreError> {
    let contacts: Vec<String> = db
        .prepare_cached(sql::DUE_EVENTS)
        .and_then(|mut s| s.query_map(params![channel.as_str(), now_ms, limit], |r| r.get(0))?.collect())
        .map_err(unavailable)?;
    let mut due = Vec::with_capacity(contacts.len());
    for contact in contacts {
        let row: Option<(i64, String, u32, i64)> = db
            .prepare_cached(sql::EVENT)
            .and_then(|mut s| {
                s.query_row(params![channel.as_str(), contact], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
                    .optional()
            })
            .map_err(unavailable)?;
        let Some((seq, event, attempts, recorded_ms)) = row else { continue };
        due.push(DueEvent {
            channel: channel.clone(),
            contact: decode("events", &contact)?,
            seq,
            event: serde_json::from_str(&event).map_err(|e| corrupt("events")(Box::new(e)))?,
            attempts,
            recorded_ms,
        });
    }
    Ok(due)
}

pub(super) fn next_ms(db: &Connection, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    one(db, sql::NEXT_EVENT_MS, params![channel.as_str()])
}

pub(super) fn published(
    db: &Connection,
    event: &DueEvent,
    publication: &Publication,
    now_ms: i64,
) -> Result<(), StoreError> {
    let (channel, contact) = (event.channel.as_str(), event.contact.as_str());
    match publication {
        Publication::Done => {
            let fault: Option<String> = None;
            change(db, sql::EVENT_ENDED, params!["done", now_ms, fault, channel, contact, event.seq])?;
        }
        Publication::Dead { fault } => {
            change(db, sql::EVENT_ENDED, params!["dead", now_ms, fault.code(), channel, contact, event.seq])?;
        }
        Publication::Queued { due_ms, fault } => {
            change(db, sql::EVENT_AGAIN, params![due_ms, fault.code(), channel, contact, event.seq])?;
        }
    }
    refresh_lane(db, channel, contact)
}

/// The lane follows the head of the conversation's events.
fn refresh_lane(db: &Connection, channel: &str, contact: &str) -> Result<(), StoreError> {
    let due_ms: Option<i64> = db
        .prepare_cached(sql::EVENT_HEAD)
        .and_then(|mut s| s.query_row(params![channel, contact], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    change(db, sql::SET_EVENT_LANE, params![due_ms, channel, contact])
}

/// Tells how many rows it changed.
pub(super) fn execute(db: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<usize, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(unavailable)
}
