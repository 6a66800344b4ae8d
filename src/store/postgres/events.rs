//! Events on their way to the webhook.

use super::db::{Count, Db, args, corrupt, decode};
use super::sql as engine_sql;
use crate::domain::{ChannelName, Event};
use crate::store::{DueEvent, FailureStreak, Publication, StoreError, sql};

/// Queues events, last of their conversation, not to be published before `due_ms`. Timestamps never go back. The
/// conversation is locked.
pub(super) async fn add_events(
    db: &mut Db,
    conversation: i64,
    events: &[Event],
    due_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let newest_ms: i64 = db.one(sql::EVENT_MS, args![conversation]).await?;
    // No timestamp is later than now (bonychat.md A10) or earlier than the one before it: after the clock was set back,
    // the conversation's time stands still until the clock has caught up.
    let (mut at_ms, wall_ms) = (newest_ms, crate::domain::clock::wall_ms());
    for event in events {
        at_ms = at_ms.max(event.timestamp_ms.min(wall_ms));
        let json = serde_json::to_string(&Event { timestamp_ms: at_ms, ..event.clone() })
            .map_err(|e| corrupt("events")(Box::new(e)))?;
        let values = args![conversation, event.m_id.as_str(), event.body.kind(), json, due_ms, now_ms];
        db.execute(sql::ADD_EVENT, values).await?;
    }
    if at_ms != newest_ms {
        db.change(sql::SET_EVENT_MS, args![at_ms, conversation]).await?;
    }
    db.change(sql::SET_EVENT_LANE, args![conversation]).await
}

/// Returns the events that are due, and the rows that do not decode, for [`mark_dead`].
pub(super) async fn due_events(
    db: &mut Db,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<(Vec<DueEvent>, Vec<Unreadable>), StoreError> {
    let lanes: Vec<(i64, String, Option<i64>)> =
        db.rows(sql::DUE_EVENTS, args![channel.as_str(), now_ms, limit]).await?;
    let (mut due, mut unreadable) = (Vec::with_capacity(lanes.len()), Vec::new());
    let heads: Vec<i64> = lanes.iter().filter_map(|(_, _, head)| *head).collect();
    if heads.is_empty() {
        return Ok((due, unreadable));
    }
    let held: Vec<(i64,)> = db.rows(engine_sql::HELD, args![heads]).await?;
    for (conversation, contact, head) in lanes {
        let Some(event_id) = head.filter(|head| !held.contains(&(*head,))) else { continue };
        match event(db, channel, conversation, &contact, event_id).await {
            Ok(Some(event)) => due.push(event),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => unreadable.push(Unreadable { event_id, conversation, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((due, unreadable))
}

pub(super) async fn event_behind(db: &mut Db, before: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
    let DueEvent { channel, contact, event_id, conversation, .. } = before;
    let next: Option<(i64,)> = db.optional(sql::EVENT_BEHIND, args![conversation, event_id, now_ms]).await?;
    let Some((next,)) = next else { return Ok(None) };
    let held: Vec<(i64,)> = db.rows(engine_sql::HELD, args![vec![next]]).await?;
    if !held.is_empty() {
        return Ok(None);
    }
    event(db, channel, *conversation, contact.as_str(), next).await
}

/// An event that does not decode.
pub(super) struct Unreadable {
    event_id: i64,
    conversation: i64,
    error: StoreError,
}

/// Marks unreadable events as dead, so that their conversations continue.
pub(super) async fn mark_dead(db: &mut Db, unreadable: &[Unreadable], now_ms: i64) -> Result<(), StoreError> {
    for Unreadable { event_id, conversation, error } in unreadable {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "an event cannot be read from the store; it is kept as a dead letter and its conversation goes on"
        );
        db.lock(*conversation).await?;
        db.execute(sql::EVENT_ENDED, args!["dead", now_ms, "unreadable_row", event_id]).await?;
        db.change(sql::SET_EVENT_LANE, args![conversation]).await?;
    }
    Ok(())
}

async fn event(
    db: &mut Db,
    channel: &ChannelName,
    conversation: i64,
    contact: &str,
    event_id: i64,
) -> Result<Option<DueEvent>, StoreError> {
    type Row = (Option<String>, Count, i64, Option<String>, Count);
    let found: Option<Row> = db.optional(sql::EVENT, args![event_id]).await?;
    let Some((event, Count(attempts), recorded_ms, fault, Count(count))) = found else { return Ok(None) };
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

pub(super) async fn next_ms(db: &mut Db, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_EVENT_MS, args![channel.as_str(), now_ms]).await
}

pub(super) async fn published(
    db: &mut Db,
    event: &DueEvent,
    publication: &Publication,
    now_ms: i64,
) -> Result<(), StoreError> {
    db.lock(event.conversation).await?;
    match publication {
        Publication::Done => {
            db.change(sql::EVENT_ENDED, args!["done", now_ms, None::<&str>, event.event_id]).await?;
        }
        Publication::Dead { fault } => {
            db.change(sql::EVENT_ENDED, args!["dead", now_ms, fault.code(), event.event_id]).await?;
        }
        Publication::Queued { due_ms, fault } => {
            db.change(sql::EVENT_AGAIN, args![due_ms, fault.code(), event.event_id]).await?;
        }
    }
    db.change(sql::SET_EVENT_LANE, args![event.conversation]).await
}
