//! Inbound rows: positions, seen rows, and events on their way to the webhook.

use std::borrow::Cow;

use super::db::{Count, Db, args, corrupt, decode};
use super::{account_traits, erase, matches, pending_question, sql as own};
use crate::domain::ids::fingerprint;
use crate::domain::{ChannelName, ContactId, Event};
use crate::store::{
    ConversationRead, DueEvent, FailureStreak, Position, Publication, Recorded, SeenRow, SeenRows, StoreError, sql,
};

pub(super) async fn baseline_ms(db: &mut Db, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    let row: Option<(Option<i64>,)> = db.optional(sql::BASELINE_MS, args![channel.as_str()]).await?;
    Ok(row.and_then(|(ms,)| ms))
}

pub(super) async fn take_baseline(
    db: &mut Db,
    channel: &ChannelName,
    conversations: &[Position],
    now_ms: i64,
) -> Result<(), StoreError> {
    db.execute(own::CHANNEL_LOCKED, args![channel.as_str()]).await?;
    let mut conversations: Vec<&Position> = conversations.iter().collect();
    conversations.sort_unstable_by_key(|there| there.contact.as_str()); // locks are taken in one order
    for there in conversations {
        let values = args![channel.as_str(), there.contact.as_str(), there.destination.as_str(), there.baseline];
        db.execute(sql::ADD_BASELINE, values).await?;
    }
    db.change(sql::SET_BASELINE_MS, args![now_ms, channel.as_str()]).await
}

pub(super) async fn note_unread(
    db: &mut Db,
    channel: &ChannelName,
    contact: &ContactId,
    unread: &str,
) -> Result<(), StoreError> {
    let erased = contact.erased(channel);
    db.change(sql::NOTE_UNREAD, args![unread, channel.as_str(), contact.as_str(), erased.as_str()]).await
}

pub(super) async fn position(
    db: &mut Db,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<Option<Position>, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>);
    let values = args![channel.as_str(), contact.as_str(), contact.erased(channel).as_str()];
    let found: Option<Row> = db.optional(sql::POSITION, values).await?;
    let Some((destination, read_to, baseline, unread)) = found else { return Ok(None) };
    let destination = decode("conversations", &destination)?;
    Ok(Some(Position { contact: contact.clone(), destination, read_to, baseline, unread }))
}

/// Those that can be read; one that cannot is as if it had never been read, and is said.
pub(super) async fn positions(db: &mut Db, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>, Option<String>);
    let found: Vec<Row> = db.rows(sql::POSITIONS, args![channel.as_str()]).await?;
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
pub(super) async fn seen(db: &mut Db, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError> {
    type Row = (String, i64, Option<String>, Option<String>);
    let erased = contact.erased(channel);
    let (channel, contact, erased) = (channel.as_str(), contact.as_str(), erased.as_str());
    let rows: Vec<Row> = db.rows(sql::SEEN, args![channel, contact, erased]).await?;
    let row = |(identity, seen_ms, mark, matched): Row| {
        let matched = matched.as_deref().and_then(matches::parse);
        SeenRow { identity, seen_ms, mark, matched }
    };
    let page: Option<(Option<String>,)> = db.optional(sql::PAGE, args![channel, contact, erased]).await?;
    let page = page.and_then(|(page,)| serde_json::from_str(&page?).ok()).unwrap_or_default();
    Ok(SeenRows { rows: rows.into_iter().map(row).collect(), page })
}

/// Returns what it recorded, and whether a row shows a send that was in doubt.
pub(super) async fn record(db: &mut Db, reading: &ConversationRead) -> Result<(Recorded, bool), StoreError> {
    let (channel, now_ms) = (reading.channel.as_str(), reading.now_ms);
    let conversation = erase::meet(db, reading).await?;
    let (mut events, mut heard, mut any_matched, mut shown) = (0, false, false, 0);
    for row in &reading.rows {
        let matched = matches::free(db, conversation, row).await?;
        let seen = args![conversation, indexed(&row.identity).as_ref(), now_ms, matched, row.mark];
        if db.execute(sql::ADD_SEEN, seen).await? == 1 {
            add_events(db, conversation, &row.events, now_ms, now_ms).await?;
            events += row.events.len();
            heard |= row.from_customer && !row.events.is_empty();
            if let (Some(_), Some(matched)) = (&matched, &row.matched) {
                any_matched = true;
                account_traits::from_row(db, channel, conversation, matched, reading.read_before_ms).await?;
                let values = args![now_ms, matched.m_id.as_str(), matched.part, i64::from(matched.last)];
                shown += db.execute(sql::SHOWN, values).await?;
            }
        }
    }
    for receipt in &reading.receipts {
        events += usize::from(account_traits::tell(db, conversation, receipt, now_ms).await?);
    }
    if let Some(m_id) = &reading.answered {
        pending_question::close(db, conversation, m_id).await?;
    }
    for identity in &reading.forget {
        db.execute(sql::FORGET, args![conversation, indexed(identity).as_ref()]).await?;
    }
    if heard {
        db.change(sql::HEARD, args![now_ms, conversation]).await?;
    }
    if let Some(newest) = &reading.newest {
        db.change(sql::SET_NEWEST, args![newest, conversation]).await?;
    }
    if let Some(page) = &reading.page {
        let page = serde_json::to_string(page).map_err(|e| corrupt("conversations")(Box::new(e)))?;
        db.change(sql::SET_PAGE, args![page, conversation]).await?;
    }
    if let Some(position) = &reading.position {
        db.change(sql::SET_READ_TO, args![position, conversation]).await?;
    }
    if shown > 0 {
        super::outbound::follow_head(db, conversation).await?; // what was to go again waits for the look
    }
    let account_traits = if any_matched { Some(account_traits::account_traits(db, channel).await?) } else { None };
    Ok((Recorded { events, account_traits }, shown > 0))
}

/// What an index takes: PostgreSQL's refuse texts beyond a third of a page, and far sides choose their ids.
fn indexed(identity: &str) -> Cow<'_, str> {
    const LONGEST: usize = 1000;
    if identity.len() <= LONGEST {
        return identity.into();
    }
    format!("{}…{}", identity.chars().take(100).collect::<String>(), fingerprint(&[identity])).into()
}

/// Queues events, last of their conversation, not to be published before `due_ms`. None has an earlier timestamp than
/// one before it. The conversation is locked.
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
    // No event is told as later than it is now (bonychat.md A10), and none as earlier than the one before it: where the clock was set
    // back, its conversation's time stands still until the clock has caught up.
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

/// What is due, and the rows that cannot be read: those are to be set aside.
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
    let held: Vec<(i64,)> = db.rows(own::HELD, args![heads]).await?;
    for (conversation, contact, head) in lanes {
        let Some(row) = head.filter(|head| !held.contains(&(*head,))) else { continue };
        match event(db, channel, conversation, &contact, row).await {
            Ok(Some(event)) => due.push(event),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => unreadable.push(Unreadable { row, conversation, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((due, unreadable))
}

pub(super) async fn event_behind(db: &mut Db, before: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
    let DueEvent { channel, contact, row, conversation, .. } = before;
    let next: Option<(i64,)> = db.optional(sql::EVENT_BEHIND, args![conversation, row, now_ms]).await?;
    let Some((next,)) = next else { return Ok(None) };
    let held: Vec<(i64,)> = db.rows(own::HELD, args![vec![next]]).await?;
    if !held.is_empty() {
        return Ok(None);
    }
    event(db, channel, *conversation, contact.as_str(), next).await
}

/// An event that does not decode.
pub(super) struct Unreadable {
    row: i64,
    conversation: i64,
    error: StoreError,
}

/// Sets unreadable events aside as dead letters, so that their conversations go on.
pub(super) async fn mark_dead(db: &mut Db, unreadable: &[Unreadable], now_ms: i64) -> Result<(), StoreError> {
    for Unreadable { row, conversation, error } in unreadable {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "an event cannot be read from the store; it is kept as a dead letter and its conversation goes on"
        );
        db.lock(*conversation).await?;
        db.execute(sql::EVENT_ENDED, args!["dead", now_ms, "unreadable_row", row]).await?;
        db.change(sql::SET_EVENT_LANE, args![conversation]).await?;
    }
    Ok(())
}

async fn event(
    db: &mut Db,
    channel: &ChannelName,
    conversation: i64,
    contact: &str,
    row: i64,
) -> Result<Option<DueEvent>, StoreError> {
    type Row = (Option<String>, Count, i64, Option<String>, Count);
    let found: Option<Row> = db.optional(sql::EVENT, args![row]).await?;
    let Some((event, Count(attempts), recorded_ms, fault, Count(clock_rollback))) = found else { return Ok(None) };
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
            db.change(sql::EVENT_ENDED, args!["done", now_ms, None::<&str>, event.row]).await?;
        }
        Publication::Dead { fault } => {
            db.change(sql::EVENT_ENDED, args!["dead", now_ms, fault.code(), event.row]).await?;
        }
        Publication::Queued { due_ms, fault } => {
            db.change(sql::EVENT_AGAIN, args![due_ms, fault.code(), event.row]).await?;
        }
    }
    db.change(sql::SET_EVENT_LANE, args![event.conversation]).await
}
