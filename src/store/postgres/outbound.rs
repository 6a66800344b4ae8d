//! Outbound rows: queued, sending, and what becomes of them. Each function runs inside one transaction, and locks the
//! channel, then its conversations, then rows.

use super::db::{Count, Db, args, corrupt, decode};
use super::{inbound, matches, pending_question, sql as own};
use crate::domain::clock::{millis, wall_ms};
use crate::domain::matching::SentForm;
use crate::domain::{ChannelName, Content, Event, EventBody, Fault, MId, StatusValue};
use crate::store::{Attempt, Epoch, FailureStreak, NewOutbound, Settlement, StoreError, sent_forms, sql};

/// A `message_status` waits this long, so that the answer to `/message` with its mId goes out before (bonychat.md A16).
const NOTICE_AFTER_MS: i64 = 500;

/// Adds a message, last of its conversation, which is locked. Tells whether others wait before it.
pub(super) async fn add(db: &mut Db, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError> {
    let (me, waits_ms) = (db.me(), millis(new.waits));
    let (m_id, kind, at_ms) = (new.m_id.as_str(), new.content.kind(), new.accepted_ms);
    let values = args![conversation, m_id, kind, content, at_ms, new.request_id, me, waits_ms];
    db.one(own::ADD_OUTBOUND, values).await
}

pub(super) async fn take_ownership(db: &mut Db, channel: &ChannelName) -> Result<Epoch, StoreError> {
    db.execute(own::CHANNEL_TAKEN, args![channel.as_str()]).await?;
    db.one(sql::OWN, args![channel.as_str()]).await.map(Epoch)
}

/// What `begin` is asked for.
pub(super) struct Turn {
    pub(super) channel: ChannelName,
    pub(super) epoch: Epoch,
    pub(super) now_ms: i64,
    pub(super) live_since_ms: i64,
    pub(super) limit: u32,
    /// Rows that former calls may have begun without telling anyone.
    pub(super) maybe_claimed: Vec<i64>,
    /// Rows that this call has begun so far, should nobody be told.
    pub(super) begun: std::sync::Mutex<Vec<i64>>,
}

/// A lane that is due, and is locked.
struct Lane {
    conversation: i64,
    contact: String,
    destination: String,
    head: Option<i64>,
}

pub(super) async fn begin(db: &mut Db, turn: &Turn) -> Result<Vec<Attempt>, StoreError> {
    check_epoch(db, &turn.channel, turn.epoch).await?;
    requeue(db, turn).await?;
    let mut attempts = Vec::new();
    for lane in lanes(db, turn).await? {
        let begun = match lane.head {
            Some(head) => start(db, turn, head, &lane).await,
            None => Ok(None),
        };
        match begun {
            Ok(Some(attempt)) => {
                pending_question::ask(db, &attempt, turn.now_ms).await?;
                attempts.push(attempt);
            }
            Err(error @ StoreError::Corrupt { .. }) => mark_unreadable(db, lane.head, &error, turn.now_ms).await?,
            Err(error) => return Err(error),
            Ok(None) => {} // a lane never outlives its head; mended below
        }
        follow_head(db, lane.conversation).await?;
    }
    let rows: Vec<i64> = attempts.iter().map(|attempt| attempt.row).collect();
    let awaited = awaited(db, &rows).await?;
    for attempt in &mut attempts {
        attempt.awaited = awaited.iter().any(|(row, _)| *row == attempt.row);
    }
    Ok(attempts)
}

/// Of these messages, those whose callers wait for the verdict at another process, and how many milliseconds yet.
async fn awaited(db: &mut Db, rows: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let me = db.me();
    db.rows(own::AWAITED, args![rows.to_vec(), me]).await
}

/// Queues again what was begun and never handed out.
async fn requeue(db: &mut Db, turn: &Turn) -> Result<(), StoreError> {
    if turn.maybe_claimed.is_empty() {
        return Ok(());
    }
    let conversations: Vec<(i64,)> = db.rows(own::CONVERSATIONS_OF, args![turn.maybe_claimed]).await?;
    for (conversation,) in &conversations {
        db.lock(*conversation).await?;
    }
    db.execute(own::PUT_BACK, args![turn.maybe_claimed, turn.epoch.0]).await?;
    for (conversation,) in conversations {
        follow_head(db, conversation).await?;
    }
    Ok(())
}

/// Live lanes first, then any, each with its head as it is under the lock.
async fn lanes(db: &mut Db, turn: &Turn) -> Result<Vec<Lane>, StoreError> {
    type Due = (i64, String, String);
    let channel = turn.channel.as_str();
    let live = args![channel, turn.live_since_ms, turn.now_ms, turn.limit];
    let mut due: Vec<Due> = db.rows(own::LANES_LIVE, live).await?;
    let more = turn.limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
    if more > 0 {
        let taken: Vec<i64> = due.iter().map(|(lane, ..)| *lane).collect();
        due.extend(db.rows::<Due>(own::LANES_ANY, args![channel, turn.now_ms, taken, more]).await?);
    }
    let all: Vec<i64> = due.iter().map(|(lane, ..)| *lane).collect();
    let heads: Vec<(i64, Option<i64>)> =
        if all.is_empty() { Vec::new() } else { db.rows(own::HEADS, args![all]).await? };
    let head = |lane| heads.iter().find(|(known, _)| *known == lane).and_then(|(_, head)| *head);
    let lane =
        |(conversation, contact, destination)| Lane { conversation, contact, destination, head: head(conversation) };
    Ok(due.into_iter().map(lane).collect())
}

/// Marks the head of a lane `sending` and hands it out.
async fn start(db: &mut Db, turn: &Turn, head: i64, lane: &Lane) -> Result<Option<Attempt>, StoreError> {
    type Row = (String, Option<String>, Count, Count, i64, String, Option<String>, Count, i64, Option<i64>);
    let row: Option<Row> = db.optional(sql::BEGIN, args![turn.epoch.0, turn.now_ms, head]).await?;
    let Some((
        m_id,
        content,
        Count(part),
        Count(number),
        accepted_ms,
        request_id,
        fault,
        Count(clock_rollback),
        since_ms,
        unknown_ms,
    )) = row
    else {
        return Ok(None);
    };
    turn.begun.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(head);
    let content: Content = serde_json::from_str(content.as_deref().unwrap_or_default())
        .map_err(|error| corrupt("outbound")(Box::new(error)))?;
    Ok(Some(Attempt {
        row: head,
        conversation: lane.conversation,
        m_id: decode("outbound", &m_id)?,
        channel: turn.channel.clone(),
        contact: decode("conversations", &lane.contact)?,
        destination: decode("conversations", &lane.destination)?,
        content,
        part,
        number,
        epoch: turn.epoch,
        accepted_ms,
        since_ms,
        request_id,
        doubted: unknown_ms.is_some(),
        awaited: false,
        before: FailureStreak { fault, clock_rollback },
    }))
}

/// A message that cannot be read is not sent, and holds up nobody.
async fn mark_unreadable(db: &mut Db, head: Option<i64>, error: &StoreError, now_ms: i64) -> Result<(), StoreError> {
    let m_id: String = db.one(sql::SET_ASIDE, args![now_ms, "unreadable_row", head]).await?;
    tracing::error!(
        message_id = m_id,
        error = error as &dyn std::error::Error,
        "message `{m_id}` cannot be read from the store; it is set aside as failed, and was not sent"
    );
    Ok(())
}

pub(super) async fn note_sent_form(db: &mut Db, attempt: &Attempt, form: &SentForm) -> Result<(), StoreError> {
    let Attempt { row, conversation, part, number, epoch, .. } = attempt;
    db.lock(*conversation).await?;
    let stored: Option<String> = db.one(sql::SENT_FORMS, args![row]).await?;
    let forms = sent_forms::with(stored.as_deref(), attempt, form.clone())?;
    db.change(sql::NOTE_SENT_FORMS, args![forms, row, part, number, epoch.0]).await
}

/// Settles an attempt that is in state `from`. Tells whether it left a notice for the agent.
pub(super) async fn settle(
    db: &mut Db,
    attempt: &Attempt,
    settlement: &Settlement,
    from: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let Attempt { row, conversation, m_id, part, number, epoch, .. } = attempt;
    let epoch = epoch.0;
    db.lock(*conversation).await?;
    let ended = |state: &str, done_ms: Option<i64>, fault: &Fault| {
        args![state, done_ms, fault.code(), row, from, part, number, epoch]
    };
    let sentence = match settlement {
        Settlement::Sent { afilnet_id, more: false } => {
            db.change(sql::SENT, args![now_ms, afilnet_id, row, from, part, number, epoch]).await?;
            None
        }
        Settlement::Sent { more: true, .. } => {
            db.change(sql::PART_SENT, args![row, from, part, number, epoch]).await?;
            None
        }
        Settlement::Queued { due_ms, fault } => {
            db.change(sql::REQUEUE, args![due_ms, fault.code(), row, from, part, number, epoch]).await?;
            None
        }
        Settlement::Failed { fault, notice } => {
            db.change(sql::ENDED, ended("failed", Some(now_ms), fault)).await?;
            notice.as_deref()
        }
        Settlement::Unknown { fault, look_ms } => {
            // A poll may have found its row before the answer that never came was given up.
            let found = matches::is_claimed(db, *conversation, m_id.as_str(), *part).await?;
            let look_ms = if found { now_ms } else { *look_ms };
            let values = args![fault.code(), now_ms, look_ms, row, from, part, number, epoch];
            db.change(sql::DOUBTED, values).await?;
            None
        }
        Settlement::Unconfirmed { fault, notice, held } => {
            let (state, done_ms) = if *held { ("held", None) } else { ("unconfirmed", Some(now_ms)) };
            db.change(sql::ENDED, ended(state, done_ms, fault)).await?;
            Some(notice.as_str())
        }
    };
    pending_question::settle(db, attempt, settlement).await?;
    follow_head(db, *conversation).await?;
    if let Some(sentence) = sentence {
        notice(db, *conversation, m_id, sentence, now_ms).await?;
        // A caller at another process may take it as its answer; where none does, the agent gets it as any other.
        if attempt.awaited
            && let Some((_, left_ms)) = awaited(db, &[*row]).await?.first()
        {
            db.change(own::HOLD_EVENT, args![conversation, left_ms]).await?;
            db.change(sql::SET_EVENT_LANE, args![conversation]).await?;
        }
    }
    Ok(sentence.is_some())
}

/// Queues the `message_status` failed that tells the agent. The conversation is locked.
pub(super) async fn notice(
    db: &mut Db,
    conversation: i64,
    m_id: &MId,
    sentence: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let body = EventBody::MessageStatus { value: StatusValue::Failed, message: sentence.to_owned() };
    let event = Event { m_id: m_id.clone(), timestamp_ms: wall_ms(), body };
    inbound::add_events(db, conversation, std::slice::from_ref(&event), now_ms + NOTICE_AFTER_MS, now_ms).await
}

pub(super) async fn next_ms(db: &mut Db, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_OUTBOUND_MS, args![channel.as_str()]).await
}

pub(super) async fn follow_head(db: &mut Db, conversation: i64) -> Result<(), StoreError> {
    db.change(sql::SET_OUTBOUND_LANE, args![conversation]).await
}

/// `Stale` where the channel has another owner; until the transaction ends it gets none.
pub(super) async fn check_epoch(db: &mut Db, channel: &ChannelName, epoch: Epoch) -> Result<(), StoreError> {
    let newest: Option<(i64,)> = db.optional(own::EPOCH_HELD, args![channel.as_str()]).await?;
    if newest == Some((epoch.0,)) { Ok(()) } else { Err(StoreError::Stale) }
}
