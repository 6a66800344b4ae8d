//! What an operator does with messages and events that were given up, by a command beside a running bridge or without
//! one.

use rusqlite::{Connection, OptionalExtension, params};

use super::{change, decode, execute, one, outbound, pending_question, rows, unavailable};
use crate::domain::MId;
use crate::store::{DiscardNotices, GivenUp, ManualOutcome, StoreError, sql};

/// One outbound message, as far as a decision on it needs.
struct ManualTarget {
    outbound_id: i64,
    conversation: i64,
    state: String,
    part: u32,
    has_text: bool,
    told: bool,
}

fn find(db: &Connection, m_id: &str) -> Result<Option<ManualTarget>, StoreError> {
    db.prepare_cached(sql::BY_HAND)
        .and_then(|mut s| {
            let read = |r: &rusqlite::Row<'_>| {
                Ok(ManualTarget {
                    outbound_id: r.get(0)?,
                    conversation: r.get(1)?,
                    state: r.get(2)?,
                    part: r.get(3)?,
                    has_text: r.get(4)?,
                    told: r.get(5)?,
                })
            };
            s.query_row(params![m_id], read).optional()
        })
        .map_err(unavailable)
}

/// Returns the dead events of this id: id, conversation, and whether the text is still there.
fn dead_events(db: &Connection, m_id: &str) -> Result<Vec<(i64, i64, bool)>, StoreError> {
    rows(db, sql::DEAD_EVENTS, params![m_id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
}

/// Requeues a message or an event that was given up in its old place, to be tried at once, with attempts counted from
/// zero. Its due time is its old one, which is in the past by every clock; its age counts from `now_ms`.
pub(super) fn retry(db: &Connection, m_id: &str, now_ms: i64) -> Result<ManualOutcome, StoreError> {
    let found = find(db, m_id)?;
    match found {
        Some(there) if there.state == "failed" && there.has_text => {
            change(db, sql::RETRY_OUTBOUND, params![now_ms, there.outbound_id])?;
            follow_head(db, there.conversation)?;
            return Ok(ManualOutcome::Message);
        }
        Some(_) | None => {}
    }
    let dead = dead_events(db, m_id)?;
    let mut again = 0;
    for (event_id, conversation, _) in dead.iter().filter(|(_, _, has_text)| *has_text) {
        change(db, sql::RETRY_EVENT, params![now_ms, event_id])?;
        change(db, sql::SET_EVENT_LANE, params![conversation])?;
        again += 1;
    }
    Ok(match found {
        _ if again > 0 => ManualOutcome::Events(again),
        Some(there) if there.state == "failed" => ManualOutcome::Wiped,
        Some(there) => ManualOutcome::Not(there.state),
        None if dead.is_empty() => ManualOutcome::Missing,
        None => ManualOutcome::Wiped,
    })
}

pub(super) fn given_up(db: &Connection, channel: Option<&str>, since_ms: i64) -> Result<Vec<GivenUp>, StoreError> {
    rows(db, sql::GIVEN_UP, params![channel, since_ms], |r| {
        let count: i64 = r.get(2)?;
        Ok(GivenUp { channel: r.get(0)?, fault: r.get(1)?, events: u64::try_from(count).unwrap_or(0) })
    })
}

pub(super) fn retry_given_up(
    db: &Connection,
    channel: Option<&str>,
    since_ms: i64,
    limit: u32,
    now_ms: i64,
) -> Result<usize, StoreError> {
    let dead: Vec<(i64, i64)> =
        rows(db, sql::GIVEN_UP_ROWS, params![channel, since_ms, limit], |r| Ok((r.get(0)?, r.get(1)?)))?;
    for (event_id, conversation) in &dead {
        change(db, sql::RETRY_EVENT, params![now_ms, event_id])?;
        change(db, sql::SET_EVENT_LANE, params![conversation])?;
    }
    Ok(dead.len())
}

/// Discards a message or an event and erases its text. The agent of a message that was still queued is notified.
pub(super) fn discard(
    db: &Connection,
    m_id: &str,
    notices: &DiscardNotices,
    now_ms: i64,
) -> Result<ManualOutcome, StoreError> {
    let found = find(db, m_id)?;
    if let Some(there) =
        found.as_ref().filter(|there| matches!(&*there.state, "queued" | "failed" | "unconfirmed" | "held"))
    {
        let m_id: MId = decode("outbound", m_id)?;
        change(db, sql::DISCARD_OUTBOUND, params![now_ms, there.outbound_id])?;
        pending_question::close(db, there.conversation, &m_id)?;
        let notice = match there.state.as_str() {
            "queued" if there.part == 0 => Some(&notices.not_sent),
            "queued" => Some(&notices.perhaps_sent),
            "held" if !there.told => Some(&notices.perhaps_sent),
            _ => None, // its agent was notified before
        };
        if let Some(notice) = notice {
            outbound::notice(db, there.conversation, &m_id, notice, now_ms)?;
        }
        follow_head(db, there.conversation)?;
        return Ok(ManualOutcome::Message);
    }
    let dead = dead_events(db, m_id)?;
    for (event_id, ..) in &dead {
        change(db, sql::DISCARD_EVENT, params![event_id])?;
    }
    Ok(match found {
        _ if !dead.is_empty() => ManualOutcome::Events(dead.len()),
        Some(there) => ManualOutcome::Not(there.state),
        None => ManualOutcome::Missing,
    })
}

/// Sets the lane, which stays closed while any message of the conversation is under way: a requeued message stands
/// before that one and must not overtake it.
fn follow_head(db: &Connection, conversation: i64) -> Result<(), StoreError> {
    let busy: bool = one(db, sql::UNDER_WAY, params![conversation])?;
    if busy {
        return execute(db, sql::CLOSE_OUTBOUND_LANE, params![conversation]).map(drop);
    }
    change(db, sql::SET_OUTBOUND_LANE, params![conversation])
}
