//! Inbound rows: positions, seen rows, and events on their way to the webhook.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    account_traits, change, corrupt, decode, erase, execute, matches, one, pending_question, rows, unavailable,
};
use crate::domain::{ChannelName, ContactId, Event};
use crate::store::{
    ConversationRead, DueEvent, FailureStreak, Position, Publication, Recorded, SeenRow, SeenRows, StoreError, sql,
};

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
        let (contact, destination) = (there.contact.as_str(), there.destination.as_str());
        execute(db, sql::ADD_BASELINE, params![channel.as_str(), contact, destination, there.baseline])?;
    }
    change(db, sql::SET_BASELINE_MS, params![now_ms, channel.as_str()])
}

pub(super) fn note_unread(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    unread: &str,
) -> Result<(), StoreError> {
    change(db, sql::NOTE_UNREAD, params![unread, channel.as_str(), contact.as_str(), contact.erased(channel).as_str()])
}

pub(super) fn position(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<Option<Position>, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>);
    let found: Option<Row> = db
        .prepare_cached(sql::POSITION)
        .and_then(|mut s| {
            let read = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?));
            s.query_row(params![channel.as_str(), contact.as_str(), contact.erased(channel).as_str()], read).optional()
        })
        .map_err(unavailable)?;
    let Some((destination, read_to, baseline, unread)) = found else { return Ok(None) };
    let destination = decode("conversations", &destination)?;
    Ok(Some(Position { contact: contact.clone(), destination, read_to, baseline, unread }))
}

/// Those that can be read; one that cannot is as if it had never been read, and is said.
pub(super) fn positions(db: &Connection, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>, Option<String>);
    let found: Vec<Row> = rows(db, sql::POSITIONS, params![channel.as_str()], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
    })?;
    let mut positions = Vec::with_capacity(found.len());
    for (contact, destination, read_to, baseline, unread) in found {
        match (decode("conversations", &contact), decode("conversations", &destination)) {
            (Ok(contact), Ok(destination)) => {
                positions.push(Position { contact, destination, read_to, baseline, unread });
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a conversation cannot be read from the store"
                );
            }
        }
    }
    Ok(positions)
}

/// A claim or a tail that does not decode is as if there were none.
pub(super) fn seen(db: &Connection, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError> {
    let erased = contact.erased(channel);
    let (channel, contact, erased) = (channel.as_str(), contact.as_str(), erased.as_str());
    let rows = rows(db, sql::SEEN, params![channel, contact, erased], |r| {
        let matched: Option<String> = r.get(3)?;
        let matched = matched.as_deref().and_then(matches::parse);
        Ok(SeenRow { identity: r.get(0)?, seen_ms: r.get(1)?, mark: r.get(2)?, matched })
    })?;
    let page: Option<Option<String>> = db
        .prepare_cached(sql::PAGE)
        .and_then(|mut s| s.query_row(params![channel, contact, erased], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    let page = page.flatten().and_then(|page| serde_json::from_str(&page).ok()).unwrap_or_default();
    Ok(SeenRows { rows, page })
}

/// Returns what it recorded, and whether a row shows a send that was in doubt.
pub(super) fn record(db: &Connection, reading: &ConversationRead) -> Result<(Recorded, bool), StoreError> {
    let (channel, now_ms) = (reading.channel.as_str(), reading.now_ms);
    let conversation = erase::meet(db, reading)?;
    let (mut events, mut heard, mut any_matched, mut shown) = (0, false, false, 0);
    for row in &reading.rows {
        let matched = matches::free(db, conversation, row)?;
        if execute(db, sql::ADD_SEEN, params![conversation, row.identity, now_ms, matched, row.mark])? == 1 {
            add_events(db, conversation, &row.events, now_ms, now_ms)?;
            events += row.events.len();
            heard |= row.from_customer && !row.events.is_empty();
            if let (Some(_), Some(matched)) = (&matched, &row.matched) {
                any_matched = true;
                account_traits::from_row(db, channel, conversation, matched, reading.read_before_ms)?;
                let whole = i64::from(matched.last);
                shown += execute(db, sql::SHOWN, params![now_ms, matched.m_id.as_str(), matched.part, whole])?;
            }
        }
    }
    for receipt in &reading.receipts {
        events += usize::from(account_traits::tell(db, conversation, receipt, now_ms)?);
    }
    if let Some(m_id) = &reading.answered {
        pending_question::close(db, conversation, m_id)?;
    }
    for identity in &reading.forget {
        execute(db, sql::FORGET, params![conversation, identity])?;
    }
    if heard {
        change(db, sql::HEARD, params![now_ms, conversation])?;
    }
    if let Some(newest) = &reading.newest {
        change(db, sql::SET_NEWEST, params![newest, conversation])?;
    }
    if let Some(page) = &reading.page {
        let page = serde_json::to_string(page).map_err(|e| corrupt("conversations")(Box::new(e)))?;
        change(db, sql::SET_PAGE, params![page, conversation])?;
    }
    if let Some(position) = &reading.position {
        change(db, sql::SET_READ_TO, params![position, conversation])?;
    }
    if shown > 0 {
        super::outbound::follow_head(db, conversation)?; // what was to go again waits for the look
    }
    let account_traits = if any_matched { Some(account_traits::account_traits(db, channel)?) } else { None };
    Ok((Recorded { events, account_traits }, shown > 0))
}

/// Queues events, last of their conversation, not to be published before `due_ms`. None has an earlier timestamp than
/// one before it.
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
    // No event is told as later than it is now (bonychat.md A10), and none as earlier than the one before it: where the clock was set
    // back, its conversation's time stands still until the clock has caught up.
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

/// What is due, and the rows that cannot be read: those are to be set aside.
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
        let Some(row) = head else { continue };
        match event(db, channel, conversation, &contact, row) {
            Ok(Some(event)) => due.push(event),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => unreadable.push(Unreadable { row, conversation, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((due, unreadable))
}

pub(super) fn event_behind(db: &Connection, before: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
    let DueEvent { channel, contact, row, conversation, .. } = before;
    let next: Option<i64> = db
        .prepare_cached(sql::EVENT_BEHIND)
        .and_then(|mut s| s.query_row(params![conversation, row, now_ms], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    next.map_or(Ok(None), |row| event(db, channel, *conversation, contact.as_str(), row))
}

/// An event that does not decode.
pub(super) struct Unreadable {
    row: i64,
    conversation: i64,
    error: StoreError,
}

/// Sets unreadable events aside as dead letters, so that their conversations go on.
pub(super) fn mark_dead(db: &Connection, unreadable: &[Unreadable], now_ms: i64) -> Result<(), StoreError> {
    for Unreadable { row, conversation, error } in unreadable {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "an event cannot be read from the store; it is kept as a dead letter and its conversation goes on"
        );
        execute(db, sql::EVENT_ENDED, params!["dead", now_ms, "unreadable_row", row])?;
        change(db, sql::SET_EVENT_LANE, params![conversation])?;
    }
    Ok(())
}

fn event(
    db: &Connection,
    channel: &ChannelName,
    conversation: i64,
    contact: &str,
    row: i64,
) -> Result<Option<DueEvent>, StoreError> {
    type Row = (Option<String>, u32, i64, Option<String>, u32);
    let found: Option<Row> = db
        .prepare_cached(sql::EVENT)
        .and_then(|mut s| {
            s.query_row(params![row], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))).optional()
        })
        .map_err(unavailable)?;
    let Some((event, attempts, recorded_ms, fault, clock_rollback)) = found else { return Ok(None) };
    Ok(Some(DueEvent {
        channel: channel.clone(),
        contact: decode("conversations", contact)?,
        row,
        conversation,
        event: serde_json::from_str(event.as_deref().unwrap_or_default())
            .map_err(|e| corrupt("events")(Box::new(e)))?,
        attempts,
        before: FailureStreak { fault, clock_rollback },
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
            change(db, sql::EVENT_ENDED, params!["done", now_ms, fault, event.row])?;
        }
        Publication::Dead { fault } => {
            change(db, sql::EVENT_ENDED, params!["dead", now_ms, fault.code(), event.row])?;
        }
        Publication::Queued { due_ms, fault } => {
            change(db, sql::EVENT_AGAIN, params![due_ms, fault.code(), event.row])?;
        }
    }
    change(db, sql::SET_EVENT_LANE, params![event.conversation])
}
