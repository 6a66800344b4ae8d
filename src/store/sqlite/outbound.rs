//! Outbound messages: queued, sending, settled. Each function runs inside one operation of the writer, or on a reader.

use rusqlite::{Connection, OptionalExtension, params};

use super::db::SqliteTx;
use super::{change, one, rows, unavailable};
use crate::domain::matching::SentForm;
use crate::domain::{ChannelName, Content, Fault, Wording, Wordings};
use crate::store::ops::{events, matches, pending_question};
use crate::store::tx::{at_once, corrupt, decode};
use crate::store::{Attempt, Epoch, FailureStreak, NewOutbound, Settlement, StoreError, sent_forms, sql};

/// Adds a message, last of its conversation. Returns whether others are queued before it.
pub(super) fn add(db: &Connection, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError> {
    let outbound_id: i64 = one(
        db,
        sql::ADD_OUTBOUND,
        params![conversation, new.m_id.as_str(), new.content.kind(), content, new.accepted_ms, new.request_id],
    )?;
    let ahead: bool = one(db, sql::AHEAD, params![conversation, outbound_id])?;
    if !ahead {
        follow_head(db, conversation)?;
    }
    Ok(ahead)
}

pub(super) fn take_ownership(db: &Connection, channel: &ChannelName) -> Result<Epoch, StoreError> {
    one(db, sql::TAKE_OWNERSHIP, params![channel.as_str()]).map(Epoch)
}

/// A lane that is due, and the head of its queue.
struct Lane {
    conversation: i64,
    contact: String,
    destination: String,
    head: Option<i64>,
}

pub(super) fn begin(
    db: &Connection,
    channel: &ChannelName,
    epoch: Epoch,
    now_ms: i64,
    live_since_ms: i64,
    limit: u32,
    wordings: &Wordings,
) -> Result<Vec<Attempt>, StoreError> {
    check_epoch(db, channel, epoch)?;
    let mut lanes = due(db, sql::DUE_LIVE, params![channel.as_str(), live_since_ms, now_ms, limit])?;
    if lanes.len() < limit as usize {
        for lane in due(db, sql::DUE_ANY, params![channel.as_str(), now_ms, limit])? {
            if lanes.len() < limit as usize && lanes.iter().all(|known| known.conversation != lane.conversation) {
                lanes.push(lane);
            }
        }
    }
    let mut attempts = Vec::with_capacity(lanes.len());
    for lane in lanes {
        match lane.head.map(|head| start(db, channel, epoch, head, &lane, now_ms, wordings)) {
            Some(Ok(Some(attempt))) => {
                at_once(pending_question::ask(&mut SqliteTx(db), &attempt, now_ms))?;
                attempts.push(attempt);
            }
            Some(Err(error @ StoreError::Corrupt { .. })) => mark_unreadable(db, lane.head, &error, now_ms)?,
            Some(Err(error)) => return Err(error),
            Some(Ok(None)) | None => {} // a lane without a head is repaired below
        }
        follow_head(db, lane.conversation)?;
    }
    Ok(attempts)
}

/// Marks the head of a lane `sending` and returns it.
fn start(
    db: &Connection,
    channel: &ChannelName,
    epoch: Epoch,
    head: i64,
    lane: &Lane,
    now_ms: i64,
    wordings: &Wordings,
) -> Result<Option<Attempt>, StoreError> {
    type Row = (String, Option<String>, u32, u32, i64, String, Option<String>, u32, i64, Option<i64>, Option<String>);
    let Wordings { of_locations, of_others } = wordings;
    let found: Option<Row> = db
        .prepare_cached(sql::BEGIN)
        .and_then(|mut s| {
            s.query_row(params![epoch.0, now_ms, of_locations.as_str(), of_others.as_str(), head], |r| {
                Ok((
                    r.get(0)?,
                    r.get(1)?,
                    r.get(2)?,
                    r.get(3)?,
                    r.get(4)?,
                    r.get(5)?,
                    r.get(6)?,
                    r.get(7)?,
                    r.get(8)?,
                    r.get(9)?,
                    r.get(10)?,
                ))
            })
            .optional()
        })
        .map_err(unavailable)?;
    let Some((m_id, content, part, number, accepted_ms, request_id, fault, count, since_ms, unknown_ms, wording)) =
        found
    else {
        return Ok(None);
    };
    let content: Content = serde_json::from_str(content.as_deref().unwrap_or_default())
        .map_err(|error| corrupt("outbound")(Box::new(error)))?;
    Ok(Some(Attempt {
        outbound_id: head,
        conversation: lane.conversation,
        m_id: decode("outbound", &m_id)?,
        channel: channel.clone(),
        contact: decode("conversations", &lane.contact)?,
        destination: decode("conversations", &lane.destination)?,
        content,
        wording: wording.map(Wording::new),
        part,
        number,
        epoch,
        accepted_ms,
        since_ms,
        request_id,
        maybe_sent: unknown_ms.is_some(),
        awaited: false,
        before: FailureStreak { fault, count },
    }))
}

/// Marks a message that does not decode as failed: it is not sent, and its conversation continues.
fn mark_unreadable(db: &Connection, head: Option<i64>, error: &StoreError, now_ms: i64) -> Result<(), StoreError> {
    let m_id: String = one(db, sql::MARK_UNREADABLE, params![now_ms, "unreadable_row", head])?;
    tracing::error!(
        message_id = m_id,
        error = error as &dyn std::error::Error,
        "message `{m_id}` cannot be read from the store; it is set aside as failed, and was not sent"
    );
    Ok(())
}

pub(super) fn note_sent_form(db: &Connection, attempt: &Attempt, form: &SentForm) -> Result<(), StoreError> {
    let stored: Option<String> = one(db, sql::SENT_FORMS, params![attempt.outbound_id])?;
    let forms = sent_forms::with(stored.as_deref(), attempt, form)?;
    let Attempt { outbound_id, part, number, epoch, .. } = attempt;
    change(db, sql::NOTE_SENT_FORMS, params![forms, outbound_id, part, number, epoch.0])
}

/// Settles an attempt that is in state `from`. Returns whether it queued a notice for the agent.
pub(super) fn settle(
    db: &Connection,
    attempt: &Attempt,
    settlement: &Settlement,
    from: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let Attempt { outbound_id, conversation, m_id, part, number, epoch, .. } = attempt;
    let epoch = epoch.0;
    let ended = |state: &str, done_ms: Option<i64>, fault: &Fault| {
        change(db, sql::ENDED, params![state, done_ms, fault.code(), outbound_id, from, part, number, epoch])
    };
    let sentence = match settlement {
        Settlement::Sent { afilnet_id, more: false } => {
            change(db, sql::SENT, params![now_ms, afilnet_id, outbound_id, from, part, number, epoch])?;
            None
        }
        Settlement::Sent { more: true, .. } => {
            change(db, sql::PART_SENT, params![outbound_id, from, part, number, epoch])?;
            None
        }
        Settlement::Queued { due_ms, fault } => {
            change(db, sql::REQUEUE, params![due_ms, fault.code(), outbound_id, from, part, number, epoch])?;
            None
        }
        Settlement::Failed { fault, notice } => {
            ended("failed", Some(now_ms), fault)?;
            notice.as_deref()
        }
        Settlement::Unknown { fault, look_ms } => {
            // A poll may have recorded its row before the call timed out.
            let found = at_once(matches::is_matched(&mut SqliteTx(db), *conversation, m_id.as_str(), *part))?;
            let look_ms = if found { now_ms } else { *look_ms };
            change(
                db,
                sql::SET_UNKNOWN,
                params![fault.code(), now_ms, look_ms, outbound_id, from, part, number, epoch],
            )?;
            None
        }
        Settlement::Unconfirmed { fault, notice, held } => {
            let (state, done_ms) = if *held { ("held", None) } else { ("unconfirmed", Some(now_ms)) };
            ended(state, done_ms, fault)?;
            Some(notice.as_str())
        }
    };
    at_once(pending_question::settle(&mut SqliteTx(db), attempt, settlement))?;
    follow_head(db, *conversation)?;
    if let Some(sentence) = sentence {
        at_once(events::notice(&mut SqliteTx(db), *conversation, m_id, sentence, now_ms))?;
    }
    Ok(sentence.is_some())
}

pub(super) fn next_ms(db: &Connection, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    one(db, sql::NEXT_OUTBOUND_MS, params![channel.as_str()])
}

pub(super) fn follow_head(db: &Connection, conversation: i64) -> Result<(), StoreError> {
    change(db, sql::SET_OUTBOUND_LANE, params![conversation])
}

pub(super) fn check_epoch(db: &Connection, channel: &ChannelName, epoch: Epoch) -> Result<(), StoreError> {
    let newest: i64 = one(db, sql::EPOCH, params![channel.as_str()])?;
    if newest == epoch.0 { Ok(()) } else { Err(StoreError::Stale) }
}

fn due(db: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Lane>, StoreError> {
    rows(db, sql, params, |r| {
        Ok(Lane { conversation: r.get(0)?, contact: r.get(1)?, destination: r.get(2)?, head: r.get(3)? })
    })
}
