//! Events on their way to the webhook.

use super::journey::{self, Subject};
use crate::domain::clock::wall_ms;
use crate::domain::{ChannelName, Event, EventBody, MId, StatusValue};
use crate::store::tx::{Tx, corrupt, decode, values};
use crate::store::{DueEvent, FailureStreak, Publication, StoreError, rules, sql};

/// Queues events, last of their conversation, not to be published before `due_ms`. Timestamps never go back. The
/// conversation is locked.
pub(in crate::store) async fn add_events(
    db: &mut impl Tx,
    conversation: i64,
    events: &[Event],
    due_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let newest_ms: i64 = db.one(sql::EVENT_MS, values![conversation]).await?;
    // No timestamp is later than now (bonychat.md A10) or earlier than the one before it: after the clock was set back,
    // the conversation's time stands still until the clock has caught up.
    let (mut at_ms, wall_ms) = (newest_ms, wall_ms());
    for event in events {
        at_ms = at_ms.max(event.timestamp_ms.min(wall_ms));
        let json = serde_json::to_string(&Event { timestamp_ms: at_ms, ..event.clone() })
            .map_err(|e| corrupt("events")(Box::new(e)))?;
        let values = values![conversation, event.m_id.as_str(), event.body.kind(), json, due_ms, now_ms];
        db.execute(sql::ADD_EVENT, values).await?;
    }
    if at_ms != newest_ms {
        db.change(sql::SET_EVENT_MS, values![at_ms, conversation]).await?;
    }
    db.change(sql::SET_EVENT_LANE, values![conversation]).await
}

/// Queues the agent's `message_status` failed. The conversation is locked.
pub(in crate::store) async fn notice(
    db: &mut impl Tx,
    conversation: i64,
    m_id: &MId,
    sentence: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let body = EventBody::MessageStatus { value: StatusValue::Failed, message: sentence.to_owned() };
    let event = Event { m_id: m_id.clone(), timestamp_ms: wall_ms(), body };
    add_events(db, conversation, std::slice::from_ref(&event), now_ms + rules::STATUS_AFTER_MS, now_ms).await
}

/// Returns the events that are due, and the rows that do not decode, for [`mark_dead`].
pub(in crate::store) async fn due_events(
    db: &mut impl Tx,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<(Vec<DueEvent>, Vec<Unreadable>), StoreError> {
    let lanes: Vec<(i64, String, Option<i64>)> =
        db.rows(sql::DUE_EVENTS, values![channel.as_str(), now_ms, limit]).await?;
    let (mut due, mut unreadable) = (Vec::with_capacity(lanes.len()), Vec::new());
    let heads: Vec<i64> = lanes.iter().filter_map(|(_, _, head)| *head).collect();
    if heads.is_empty() {
        return Ok((due, unreadable));
    }
    let held = db.held_events(&heads).await?;
    for (conversation, contact, head) in lanes {
        let Some(event_id) = head.filter(|head| !held.contains(head)) else { continue };
        match event(db, channel, (conversation, &contact), event_id, now_ms).await {
            Ok(Some(event)) => due.push(event),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => unreadable.push(Unreadable { event_id, conversation, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((due, unreadable))
}

pub(in crate::store) async fn event_behind(
    db: &mut impl Tx,
    before: &DueEvent,
    now_ms: i64,
) -> Result<Option<DueEvent>, StoreError> {
    let DueEvent { channel, contact, event_id, conversation, .. } = before;
    let next: Option<(i64,)> =
        db.optional(sql::EVENT_BEHIND, values![conversation, event_id, now_ms, channel.as_str()]).await?;
    let Some((next,)) = next else { return Ok(None) };
    if !db.held_events(&[next]).await?.is_empty() {
        return Ok(None);
    }
    event(db, channel, (*conversation, contact.as_str()), next, now_ms).await
}

/// An event that does not decode.
pub(in crate::store) struct Unreadable {
    event_id: i64,
    conversation: i64,
    error: StoreError,
}

/// Marks unreadable events as dead, so that their conversations continue.
pub(in crate::store) async fn mark_dead(
    db: &mut impl Tx,
    unreadable: &[Unreadable],
    now_ms: i64,
) -> Result<(), StoreError> {
    for Unreadable { event_id, conversation, error } in unreadable {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "an event cannot be read from the store; it is kept as a dead letter and its conversation goes on"
        );
        db.lock(*conversation).await?;
        db.execute(sql::EVENT_ENDED, values!["dead", now_ms, "unreadable_row", event_id]).await?;
        db.change(sql::SET_EVENT_LANE, values![conversation]).await?;
    }
    Ok(())
}

/// Returns an event of a conversation, which is named by its id and contact. The time of pauses by hand does not count in its age.
async fn event(
    db: &mut impl Tx,
    channel: &ChannelName,
    (conversation, contact): (i64, &str),
    event_id: i64,
    now_ms: i64,
) -> Result<Option<DueEvent>, StoreError> {
    type Row = (Option<String>, u32, i64, Option<String>, u32);
    let found: Option<Row> = db.optional(sql::EVENT, values![now_ms, channel.as_str(), event_id]).await?;
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
        note: None,
    }))
}

pub(in crate::store) async fn next_ms(
    db: &mut impl Tx,
    channel: &ChannelName,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_EVENT_MS, values![channel.as_str(), now_ms]).await
}

pub(in crate::store) async fn published(
    db: &mut impl Tx,
    event: &DueEvent,
    publication: &Publication,
    now_ms: i64,
) -> Result<(), StoreError> {
    db.lock(event.conversation).await?;
    match publication {
        Publication::Done => {
            db.change(sql::EVENT_ENDED, values!["done", now_ms, None::<&str>, event.event_id]).await?;
        }
        Publication::Dead { fault } => {
            db.change(sql::EVENT_ENDED, values!["dead", now_ms, fault.code(), event.event_id]).await?;
        }
        Publication::Queued { due_ms, fault } => {
            db.change(sql::EVENT_AGAIN, values![due_ms, fault.code(), event.event_id]).await?;
        }
    }
    if let Some(note) = &event.note {
        journey::record(db, Subject::Event(event.event_id), note, now_ms).await?;
    }
    db.change(sql::SET_EVENT_LANE, values![event.conversation]).await
}
