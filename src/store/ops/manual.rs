//! What an operator does with messages and events that were given up, by a command beside a running bridge or without
//! one.

use super::audit::{self, Deed};
use super::journey::{self, OF_EVENT, OF_MESSAGE, Subject};
use super::{admin, events, pending_question, text_index};
use crate::domain::MId;
use crate::domain::find::Side;
use crate::domain::journey::{Action, Operator};
use crate::store::tx::{Tx, decode, values};
use crate::store::{DecisionTarget, DiscardNotices, GivenUp, ManualOutcome, StoreError, sql};

/// One outbound message, as far as a decision on it needs.
pub(super) struct ManualTarget {
    pub(super) outbound_id: i64,
    pub(super) conversation: i64,
    pub(super) state: String,
    part: u32,
    pub(super) has_text: bool,
    told: bool,
    maybe_sent: bool,
}

/// Finds the message and reads it under the lock of its conversation.
pub(super) async fn find(db: &mut impl Tx, m_id: &str) -> Result<Option<ManualTarget>, StoreError> {
    type Row = (i64, i64, String, u32, bool, bool, bool);
    let there: Option<Row> = db.optional(sql::BY_HAND, values![m_id]).await?;
    let Some((_, conversation, ..)) = there else { return Ok(None) };
    db.lock(conversation).await?;
    let found: Option<Row> = db.optional(sql::BY_HAND, values![m_id]).await?;
    let found = found.map(|(outbound_id, conversation, state, part, has_text, told, maybe_sent)| ManualTarget {
        outbound_id,
        conversation,
        state,
        part,
        has_text,
        told,
        maybe_sent,
    });
    Ok(found)
}

/// Returns the dead events of this id, under the lock of their conversations: id, conversation, and whether the text is
/// still there.
pub(super) async fn dead_events(db: &mut impl Tx, m_id: &str) -> Result<Vec<(i64, i64, bool)>, StoreError> {
    let there: Vec<(i64, i64, bool)> = db.rows(sql::DEAD_EVENTS, values![m_id]).await?;
    let mut conversations: Vec<i64> = there.into_iter().map(|(_, conversation, _)| conversation).collect();
    conversations.sort_unstable();
    for conversation in conversations {
        db.lock(conversation).await?;
    }
    db.rows(sql::DEAD_EVENTS, values![m_id]).await
}

/// Returns `Stale` where what is decided on is no longer as it was seen. Called under the locks of the decision.
pub(super) async fn as_seen(
    db: &mut impl Tx,
    DecisionTarget { m_id, seen }: &DecisionTarget,
) -> Result<(), StoreError> {
    let Some(seen) = seen else { return Ok(()) };
    match admin::show(db, m_id).await? {
        Some(message) if message.seen() != *seen => Err(StoreError::Stale),
        _ => Ok(()),
    }
}

/// Requeues a message or an event that was given up in its old place, to be tried at once, with attempts counted from
/// zero. Its due time is its old one, which is in the past by every clock; its age counts from `now_ms`.
pub(in crate::store) async fn retry(
    db: &mut impl Tx,
    target: &DecisionTarget,
    by: &Operator,
    now_ms: i64,
) -> Result<ManualOutcome, StoreError> {
    let m_id = &target.m_id;
    let (found, dead) = (find(db, m_id).await?, dead_events(db, m_id).await?);
    as_seen(db, target).await?;
    match found {
        Some(there) if there.state == "failed" && there.has_text => {
            let subjects = [Subject::Message(there.outbound_id)];
            journey::decided(db, m_id, &subjects, by, Action::Retried, now_ms).await?;
            requeue_message(db, &there, now_ms).await?;
            return Ok(ManualOutcome::Message);
        }
        Some(_) | None => {}
    }
    let mut again = Vec::new();
    for (event_id, conversation, _) in dead.iter().filter(|(_, _, has_text)| *has_text) {
        requeue_event(db, *event_id, *conversation, now_ms).await?;
        again.push(Subject::Event(*event_id));
    }
    if !again.is_empty() {
        journey::decided(db, m_id, &again, by, Action::Retried, now_ms).await?;
    }
    Ok(match found {
        _ if !again.is_empty() => ManualOutcome::Events(again.len()),
        Some(there) if there.state == "failed" => ManualOutcome::Wiped,
        Some(there) => ManualOutcome::Not(there.state),
        None if dead.is_empty() => ManualOutcome::Missing,
        None => ManualOutcome::Wiped,
    })
}

pub(in crate::store) async fn given_up(
    db: &mut impl Tx,
    channel: Option<&str>,
    since_ms: i64,
) -> Result<Vec<GivenUp>, StoreError> {
    let found: Vec<(String, String, i64)> = db.rows(sql::GIVEN_UP, values![channel, since_ms]).await?;
    let given_up = |(channel, fault, count)| GivenUp { channel, fault, events: u64::try_from(count).unwrap_or(0) };
    Ok(found.into_iter().map(given_up).collect())
}

pub(in crate::store) async fn retry_given_up(
    db: &mut impl Tx,
    channel: Option<&str>,
    since_ms: i64,
    limit: u32,
    by: &Operator,
    now_ms: i64,
) -> Result<usize, StoreError> {
    let dead: Vec<(i64, i64)> = db.rows(sql::GIVEN_UP_ROWS, values![channel, since_ms, limit]).await?;
    for (event_id, conversation) in &dead {
        requeue_event(db, *event_id, *conversation, now_ms).await?;
        journey::record(db, Subject::Event(*event_id), &by.decided(Action::Retried).into(), now_ms).await?;
    }
    if !dead.is_empty() {
        let detail = serde_json::json!({ "events": dead.len(), "since_ms": since_ms, "why": by.why() }).to_string();
        let (what, target) = ("retry of dead events", channel.unwrap_or("all channels"));
        audit::record(db, &Deed { by, what, target, detail: Some(&detail), once: None }, now_ms).await?;
    }
    Ok(dead.len())
}

/// Discards a message or an event and erases its text. The agent of a message that was still queued is notified, unless that
/// agent was told that it failed, before a person retried it.
pub(in crate::store) async fn discard(
    db: &mut impl Tx,
    target: &DecisionTarget,
    notices: &DiscardNotices,
    by: &Operator,
    now_ms: i64,
) -> Result<ManualOutcome, StoreError> {
    let m_id = &target.m_id;
    let (found, dead) = (find(db, m_id).await?, dead_events(db, m_id).await?);
    as_seen(db, target).await?;
    if let Some(there) =
        found.as_ref().filter(|there| matches!(&*there.state, "queued" | "failed" | "unconfirmed" | "held"))
    {
        let subjects = [Subject::Message(there.outbound_id)];
        journey::decided(db, m_id, &subjects, by, Action::Discarded, now_ms).await?;
        db.wipe_excerpts(OF_MESSAGE, &[there.outbound_id]).await?;
        discard_message(db, m_id, there, notices, now_ms).await?;
        text_index::forget(db, Side::Out, &[there.outbound_id]).await?;
        return Ok(ManualOutcome::Message);
    }
    for (event_id, ..) in &dead {
        discard_event(db, *event_id).await?;
        text_index::forget(db, Side::In, &[*event_id]).await?;
    }
    if !dead.is_empty() {
        let subjects: Vec<Subject> = dead.iter().map(|(event_id, ..)| Subject::Event(*event_id)).collect();
        journey::decided(db, m_id, &subjects, by, Action::Discarded, now_ms).await?;
        let event_ids: Vec<i64> = dead.iter().map(|(event_id, ..)| *event_id).collect();
        db.wipe_excerpts(OF_EVENT, &event_ids).await?;
    }
    Ok(match found {
        _ if !dead.is_empty() => ManualOutcome::Events(dead.len()),
        Some(there) => ManualOutcome::Not(there.state),
        None => ManualOutcome::Missing,
    })
}

/// Puts a failed message back into its old place.
pub(super) async fn requeue_message(db: &mut impl Tx, there: &ManualTarget, now_ms: i64) -> Result<(), StoreError> {
    db.change(sql::RETRY_OUTBOUND, values![now_ms, there.outbound_id]).await?;
    follow_head(db, there.conversation).await
}

/// Puts a dead event back into its old place.
pub(super) async fn requeue_event(
    db: &mut impl Tx,
    event_id: i64,
    conversation: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    db.change(sql::RETRY_EVENT, values![now_ms, event_id]).await?;
    db.change(sql::SET_EVENT_LANE, values![conversation]).await
}

/// Erases the text of a message and gives it up; its agent is told unless that is no news. What the index of words has of it is
/// forgotten by the caller.
pub(super) async fn discard_message(
    db: &mut impl Tx,
    m_id: &str,
    there: &ManualTarget,
    notices: &DiscardNotices,
    now_ms: i64,
) -> Result<(), StoreError> {
    let m_id: MId = decode("outbound", m_id)?;
    db.change(sql::DISCARD_OUTBOUND, values![now_ms, there.outbound_id]).await?;
    pending_question::close(db, there.conversation, &m_id).await?;
    let notice = match there.state.as_str() {
        // Once a person has retried it, its agent knows that it failed, and nothing else since.
        "queued" if there.part == 0 && !there.maybe_sent => (!there.told).then_some(&notices.not_sent),
        "queued" => Some(&notices.perhaps_sent),
        "held" if !there.told => Some(&notices.perhaps_sent),
        _ => None, // its agent was notified before
    };
    if let Some(notice) = notice {
        events::notice(db, there.conversation, &m_id, notice, now_ms).await?;
    }
    follow_head(db, there.conversation).await
}

/// Erases the text of a dead event. What the index of words has of it is forgotten by the caller.
pub(super) async fn discard_event(db: &mut impl Tx, event_id: i64) -> Result<(), StoreError> {
    db.change(sql::DISCARD_EVENT, values![event_id]).await
}

/// Sets the lane, which stays closed while any message of the conversation is under way: a requeued message stands
/// before that one and must not overtake it.
async fn follow_head(db: &mut impl Tx, conversation: i64) -> Result<(), StoreError> {
    let busy: bool = db.one(sql::UNDER_WAY, values![conversation]).await?;
    if busy {
        return db.execute(sql::CLOSE_OUTBOUND_LANE, values![conversation]).await.map(drop);
    }
    db.change(sql::SET_OUTBOUND_LANE, values![conversation]).await
}
