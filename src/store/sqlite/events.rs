//! Events on their way to the webhook. Each function runs inside one operation of the writer, or on a reader.

use rusqlite::{Connection, OptionalExtension, params};

use super::{change, corrupt, decode, execute, one, rows, unavailable};
use crate::domain::{ChannelName, Event};
use crate::store::{DueEvent, FailureStreak, Publication, StoreError, sql};

/// Queues events, last of their conversation, not to be published before `due_ms`. Timestamps never go back.
pub(super) fn add_events(
    db: &Connection,
    conversation: i64,
    events: &[Event],
    due_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let newest_ms: i64 = one(db, sql::EVENT_MS, params![conversation])?;
    // No timestamp is later than now (bonychat.md A10) or earlier than the one before it: after the clock was set back,
    // the conversation's time stands still until the clock has caught up.
    let (mut at_ms, wall_ms) = (newest_ms, crate::domain::clock::wall_ms());
    for event in events {
        at_ms = at_ms.max(event.timestamp_ms.min(wall_ms));
        let json = serde_json::to_string(&Event { timestamp_ms: at_ms, ..event.clone() })
            .map_err(|e| corrupt("events")(Box::new(e)))?;
        let kind = event.body.kind();
        execute(db, sql::ADD_EVENT, params![conversation, event.m_id.as_str(), kind, json, due_ms, now_ms])?;
    }
    if at_ms != newest_ms {
        change(db, sql::SET_EVENT_MS, params![at_ms, conversation])?;
    }
    change(db, sql::SET_EVENT_LANE, params![conversation])
}

/// Returns the events that are due, and the rows that do not decode, for [`mark_dead`].
pub(super) fn due_events(
    db: &Connection,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<(Vec<DueEvent>, Vec<Unreadable>), StoreError> {
    let lanes: Vec<(i64, String, Option<i64>)> =
        rows(db, sql::DUE_EVENTS, params![channel.as_str(), now_ms, limit], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let (mut due, mut unreadable) = (Vec::with_capacity(lanes.len()), Vec::new());
    for (conversation, contact, head) in lanes {
        let Some(event_id) = head else { continue };
        match event(db, channel, conversation, &contact, event_id) {
            Ok(Some(event)) => due.push(event),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => unreadable.push(Unreadable { event_id, conversation, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((due, unreadable))
}

pub(super) fn event_behind(db: &Connection, before: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
    let DueEvent { channel, contact, event_id, conversation, .. } = before;
    let next: Option<i64> = db
        .prepare_cached(sql::EVENT_BEHIND)
        .and_then(|mut s| s.query_row(params![conversation, event_id, now_ms], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    next.map_or(Ok(None), |event_id| event(db, channel, *conversation, contact.as_str(), event_id))
}

/// An event that does not decode.
pub(super) struct Unreadable {
    event_id: i64,
    conversation: i64,
    error: StoreError,
}

/// Marks unreadable events as dead, so that their conversations continue.
pub(super) fn mark_dead(db: &Connection, unreadable: &[Unreadable], now_ms: i64) -> Result<(), StoreError> {
    for Unreadable { event_id, conversation, error } in unreadable {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "an event cannot be read from the store; it is kept as a dead letter and its conversation goes on"
        );
        execute(db, sql::EVENT_ENDED, params!["dead", now_ms, "unreadable_row", event_id])?;
        change(db, sql::SET_EVENT_LANE, params![conversation])?;
    }
    Ok(())
}

fn event(
    db: &Connection,
    channel: &ChannelName,
    conversation: i64,
    contact: &str,
    event_id: i64,
) -> Result<Option<DueEvent>, StoreError> {
    type Row = (Option<String>, u32, i64, Option<String>, u32);
    let found: Option<Row> = db
        .prepare_cached(sql::EVENT)
        .and_then(|mut s| {
            s.query_row(params![event_id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))).optional()
        })
        .map_err(unavailable)?;
    let Some((event, attempts, recorded_ms, fault, count)) = found else { return Ok(None) };
    Ok(Some(DueEvent {
        channel: channel.clone(),
        contact: decode("conversations", contact)?,
        event_id,
        conversation,
        event: serde_json::from_str(event.as_deref().unwrap_or_default())
            .map_err(|e| corrupt("events")(Box::new(e)))?,
        attempts,
        before: FailureStreak { fault, count },
        recorded_ms,
    }))
}

pub(super) fn next_ms(db: &Connection, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
    one(db, sql::NEXT_EVENT_MS, params![channel.as_str(), now_ms])
}

pub(super) fn published(
    db: &Connection,
    event: &DueEvent,
    publication: &Publication,
    now_ms: i64,
) -> Result<(), StoreError> {
    match publication {
        Publication::Done => {
            let fault: Option<String> = None;
            change(db, sql::EVENT_ENDED, params!["done", now_ms, fault, event.event_id])?;
        }
        Publication::Dead { fault } => {
            change(db, sql::EVENT_ENDED, params!["dead", now_ms, fault.code(), event.event_id])?;
        }
        Publication::Queued { due_ms, fault } => {
            change(db, sql::EVENT_AGAIN, params![due_ms, fault.code(), event.event_id])?;
        }
    }
    change(db, sql::SET_EVENT_LANE, params![event.conversation])
}
