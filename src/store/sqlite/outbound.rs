//! Outbound rows: queued, sending, and what becomes of them. Each function runs inside one operation of the writer, or
//! on a reader.

use rusqlite::{Connection, OptionalExtension, params};

use super::{corrupt, decode, inbound, unavailable};
use crate::domain::{ChannelName, ContactId, Destination, Event, EventBody, Fault, MId, StatusValue};
use crate::store::{Accepted, Attempt, Epoch, Interrupted, NewOutbound, Settlement, StoreError, sql};

/// A `message_status` waits this long, so that the answer to `/message` with its mId goes out before (bonychat.md A16).
const NOTICE_AFTER_MS: i64 = 500;

pub(super) fn accept(db: &Connection, new: &NewOutbound) -> Result<Accepted, StoreError> {
    let (channel, contact) = (new.channel.as_str(), new.contact.as_str());
    let content = serde_json::to_string(&new.content).map_err(|e| corrupt("outbound")(Box::new(e)))?;
    let seq: i64 = one(db, sql::NEXT_OUTBOUND, params![channel, contact, new.destination.as_str()])?;
    db.prepare_cached(sql::ADD_OUTBOUND)
        .and_then(|mut s| {
            s.execute(params![
                new.m_id.as_str(),
                channel,
                contact,
                seq,
                new.content.kind(),
                content,
                new.accepted_ms,
                new.request_id
            ])
        })
        .map_err(unavailable)?;
    let head = head(db, channel, contact)?;
    let ahead = head.as_ref().is_some_and(|head| head.seq != seq);
    if !ahead {
        set_lane(db, channel, contact, head.as_ref())?;
    }
    Ok(Accepted { ahead })
}

pub(super) fn own(db: &Connection, channel: &ChannelName) -> Result<Epoch, StoreError> {
    one(db, sql::OWN, params![channel.as_str()]).map(Epoch)
}

pub(super) fn interrupted(
    db: &Connection,
    channel: &ChannelName,
    epoch: Epoch,
    sentence: &str,
    now_ms: i64,
) -> Result<Vec<Interrupted>, StoreError> {
    let rows: Vec<(String, String)> = db
        .prepare_cached(sql::LEFT_SENDING)
        .and_then(|mut s| s.query_map(params![channel.as_str(), epoch.0], |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
        .map_err(unavailable)?;
    let mut found = Vec::with_capacity(rows.len());
    for (m_id, contact) in rows {
        let row = Interrupted { m_id: decode("outbound", &m_id)?, contact: decode("outbound", &contact)? };
        change(db, sql::MARK_UNKNOWN, params![now_ms, Fault::Interrupted.code(), m_id])?;
        refresh_lane(db, channel.as_str(), &contact)?;
        notice(db, channel, &row.contact, &row.m_id, sentence, now_ms)?;
        found.push(row);
    }
    Ok(found)
}

pub(super) fn begin(
    db: &Connection,
    channel: &ChannelName,
    epoch: Epoch,
    now_ms: i64,
    live_since_ms: i64,
    limit: u32,
) -> Result<Vec<Attempt>, StoreError> {
    check_epoch(db, channel, epoch)?;
    let mut lanes = due(db, sql::DUE_LIVE, params![channel.as_str(), live_since_ms, now_ms, limit])?;
    if lanes.len() < limit as usize {
        for lane in due(db, sql::DUE_ANY, params![channel.as_str(), now_ms, limit])? {
            if lanes.len() < limit as usize && !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
    }
    let mut attempts = Vec::with_capacity(lanes.len());
    for (contact, destination) in lanes {
        let Some(head) = head(db, channel.as_str(), &contact)?.filter(|head| head.queued) else {
            refresh_lane(db, channel.as_str(), &contact)?; // a lane never outlives its head; mend it and go on
            continue;
        };
        match start(db, channel, epoch, &head.m_id, &contact, &destination) {
            Ok(attempt) => attempts.push(attempt),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(
                    message.id = head.m_id,
                    error = &error as &dyn std::error::Error,
                    "message `{}` cannot be read from the store; it is set aside as failed, and was not sent",
                    head.m_id
                );
                change(db, sql::SET_ASIDE, params![now_ms, "unreadable_row", head.m_id])?;
                refresh_lane(db, channel.as_str(), &contact)?;
                continue;
            }
            Err(error) => return Err(error),
        }
        set_lane(db, channel.as_str(), &contact, None)?;
    }
    Ok(attempts)
}

/// Marks the head of a lane `sending` and hands it out.
fn start(
    db: &Connection,
    channel: &ChannelName,
    epoch: Epoch,
    m_id: &str,
    contact: &str,
    destination: &str,
) -> Result<Attempt, StoreError> {
    let (content, part, number, accepted_ms, request_id): (String, u32, u32, i64, String) = db
        .prepare_cached(sql::BEGIN)
        .and_then(|mut s| {
            s.query_row(params![epoch.0, m_id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
        })
        .map_err(unavailable)?;
    Ok(Attempt {
        m_id: decode("outbound", m_id)?,
        channel: channel.clone(),
        contact: decode::<ContactId>("outbound", contact)?,
        destination: decode::<Destination>("conversations", destination)?,
        content: serde_json::from_str(&content).map_err(|e| corrupt("outbound")(Box::new(e)))?,
        part,
        number,
        epoch,
        accepted_ms,
        request_id,
    })
}

/// Tells whether it left a notice for the agent.
pub(super) fn settle(
    db: &Connection,
    attempt: &Attempt,
    settlement: &Settlement,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let Attempt { m_id, channel, contact, part, number, epoch, .. } = attempt;
    let (id, epoch) = (m_id.as_str(), epoch.0);
    let ended = |state: &str, fault: &Fault| {
        change(db, sql::ENDED, params![state, now_ms, fault.code(), id, part, number, epoch])
    };
    let sentence = match settlement {
        Settlement::Sent { afilnet_id, more: false } => {
            change(db, sql::SENT, params![now_ms, afilnet_id, id, part, number, epoch])?;
            None
        }
        Settlement::Sent { more: true, .. } => {
            change(db, sql::PART_SENT, params![now_ms, id, part, number, epoch])?;
            None
        }
        Settlement::Queued { due_ms, fault } => {
            change(db, sql::REQUEUE, params![due_ms, fault.code(), id, part, number, epoch])?;
            None
        }
        Settlement::Failed { fault, notice } => {
            ended("failed", fault)?;
            notice.as_deref()
        }
        Settlement::Unknown { fault, notice } => {
            ended("unknown", fault)?;
            notice.as_deref()
        }
    };
    refresh_lane(db, channel.as_str(), contact.as_str())?;
    if let Some(sentence) = sentence {
        notice(db, channel, contact, m_id, sentence, now_ms)?;
    }
    Ok(sentence.is_some())
}

/// Queues the `message_status` failed that tells the agent.
pub(super) fn notice(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    m_id: &MId,
    sentence: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let body = EventBody::MessageStatus { value: StatusValue::Failed, message: sentence.to_owned() };
    let event = Event { m_id: m_id.clone(), timestamp_ms: now_ms, body };
    let due_ms = now_ms + NOTICE_AFTER_MS;
    inbound::add_events(db, channel.as_str(), contact.as_str(), std::slice::from_ref(&event), due_ms, now_ms)
}

pub(super) fn next_ms(db: &Connection, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    one(db, sql::NEXT_OUTBOUND_MS, params![channel.as_str()])
}

pub(super) fn waiting(db: &Connection, channel: &ChannelName) -> Result<u64, StoreError> {
    let count: i64 = one(db, sql::WAITING, params![channel.as_str()])?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// First message of a conversation that is neither done nor set aside.
struct Head {
    m_id: String,
    seq: i64,
    queued: bool,
    due_ms: i64,
}

fn head(db: &Connection, channel: &str, contact: &str) -> Result<Option<Head>, StoreError> {
    db.prepare_cached(sql::OUTBOUND_HEAD)
        .and_then(|mut s| {
            s.query_row(params![channel, contact], |r| {
                let state: String = r.get(2)?;
                Ok(Head { m_id: r.get(0)?, seq: r.get(1)?, queued: state == "queued", due_ms: r.get(3)? })
            })
            .optional()
        })
        .map_err(unavailable)
}

/// The lane follows the head: open at its due time while it is queued, closed otherwise.
fn set_lane(db: &Connection, channel: &str, contact: &str, head: Option<&Head>) -> Result<(), StoreError> {
    let due_ms = head.filter(|head| head.queued).map(|head| head.due_ms);
    change(db, sql::SET_OUTBOUND_LANE, params![due_ms, channel, contact])
}

fn refresh_lane(db: &Connection, channel: &str, contact: &str) -> Result<(), StoreError> {
    let head = head(db, channel, contact)?;
    set_lane(db, channel, contact, head.as_ref())
}

fn check_epoch(db: &Connection, channel: &ChannelName, epoch: Epoch) -> Result<(), StoreError> {
    let newest: i64 = one(db, sql::EPOCH, params![channel.as_str()])?;
    if newest == epoch.0 { Ok(()) } else { Err(StoreError::Stale) }
}

fn due(db: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<(String, String)>, StoreError> {
    db.prepare_cached(sql)
        .and_then(|mut s| s.query_map(params, |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
        .map_err(unavailable)
}

/// The one value of a statement that always has one.
pub(super) fn one<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Result<T, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.query_row(params, |r| r.get(0))).map_err(unavailable)
}

/// Changes exactly one row; `Stale` where it is no longer as expected.
pub(super) fn change(db: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
    let rows = db.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(unavailable)?;
    if rows == 1 { Ok(()) } else { Err(StoreError::Stale) }
}
