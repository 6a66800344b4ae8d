//! Outbound messages: queued, sending, settled. Each function runs inside one transaction, and locks the channel, then
//! its conversations, then rows.

use super::db::{Count, Db, args};
use super::sql as engine_sql;
use crate::domain::clock::millis;
use crate::domain::matching::SentForm;
use crate::domain::{ChannelName, Content, Fault, Wording, Wordings};
use crate::store::ops::{events, matches, pending_question};
use crate::store::tx::{Tx as _, corrupt, decode};
use crate::store::{Attempt, Epoch, FailureStreak, NewOutbound, Settlement, StoreError, sent_forms, sql};

/// Adds a message, last of its conversation, which is locked. Returns whether others are queued before it.
pub(super) async fn add(db: &mut Db, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError> {
    let (me, waits_ms) = (db.me(), millis(new.waits));
    let (m_id, kind, at_ms) = (new.m_id.as_str(), new.content.kind(), new.accepted_ms);
    let values = args![conversation, m_id, kind, content, at_ms, new.request_id, me, waits_ms];
    db.one(engine_sql::ADD_OUTBOUND, values).await
}

pub(super) async fn take_ownership(db: &mut Db, channel: &ChannelName) -> Result<Epoch, StoreError> {
    db.execute(engine_sql::CHANNEL_TAKEN, args![channel.as_str()]).await?;
    db.one(sql::TAKE_OWNERSHIP, args![channel.as_str()]).await.map(Epoch)
}

/// Arguments of `begin`.
pub(super) struct BeginRequest {
    pub(super) channel: ChannelName,
    pub(super) epoch: Epoch,
    pub(super) now_ms: i64,
    pub(super) live_since_ms: i64,
    pub(super) limit: u32,
    pub(super) wordings: Wordings,
    /// Messages that earlier calls may have begun without their reply having arrived.
    pub(super) maybe_claimed: Vec<i64>,
    /// Messages that this call has begun so far, in case the reply to its commit is lost.
    pub(super) begun: std::sync::Mutex<Vec<i64>>,
}

/// A lane that is due, and is locked.
struct Lane {
    conversation: i64,
    contact: String,
    destination: String,
    head: Option<i64>,
}

pub(super) async fn begin(db: &mut Db, request: &BeginRequest) -> Result<Vec<Attempt>, StoreError> {
    check_epoch(db, &request.channel, request.epoch).await?;
    requeue(db, request).await?;
    let mut attempts = Vec::new();
    for lane in lanes(db, request).await? {
        let begun = match lane.head {
            Some(head) => start(db, request, head, &lane).await,
            None => Ok(None),
        };
        match begun {
            Ok(Some(attempt)) => {
                pending_question::ask(db, &attempt, request.now_ms).await?;
                attempts.push(attempt);
            }
            Err(error @ StoreError::Corrupt { .. }) => mark_unreadable(db, lane.head, &error, request.now_ms).await?,
            Err(error) => return Err(error),
            Ok(None) => {} // a lane without a head is repaired below
        }
        follow_head(db, lane.conversation).await?;
    }
    let outbound_ids: Vec<i64> = attempts.iter().map(|attempt| attempt.outbound_id).collect();
    let awaited = awaited(db, &outbound_ids).await?;
    for attempt in &mut attempts {
        attempt.awaited = awaited.iter().any(|(outbound_id, _)| *outbound_id == attempt.outbound_id);
    }
    Ok(attempts)
}

/// Returns those of these messages for which a caller waits at another process, and for how many more milliseconds.
async fn awaited(db: &mut Db, outbound_ids: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
    if outbound_ids.is_empty() {
        return Ok(Vec::new());
    }
    let me = db.me();
    db.rows(engine_sql::AWAITED, args![outbound_ids.to_vec(), me]).await
}

/// Requeues what was begun and never handed out.
async fn requeue(db: &mut Db, request: &BeginRequest) -> Result<(), StoreError> {
    if request.maybe_claimed.is_empty() {
        return Ok(());
    }
    let conversations: Vec<(i64,)> = db.rows(engine_sql::CONVERSATIONS_OF, args![request.maybe_claimed]).await?;
    for (conversation,) in &conversations {
        db.lock(*conversation).await?;
    }
    db.execute(engine_sql::REQUEUE_BEGUN, args![request.maybe_claimed, request.epoch.0]).await?;
    for (conversation,) in conversations {
        follow_head(db, conversation).await?;
    }
    Ok(())
}

/// Live lanes first, then any, each with its head as it is under the lock.
async fn lanes(db: &mut Db, request: &BeginRequest) -> Result<Vec<Lane>, StoreError> {
    type Due = (i64, String, String);
    let channel = request.channel.as_str();
    let live = args![channel, request.live_since_ms, request.now_ms, request.limit];
    let mut due: Vec<Due> = db.rows(engine_sql::LANES_LIVE, live).await?;
    let more = request.limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
    if more > 0 {
        let taken: Vec<i64> = due.iter().map(|(lane, ..)| *lane).collect();
        due.extend(db.rows::<Due>(engine_sql::LANES_ANY, args![channel, request.now_ms, taken, more]).await?);
    }
    let all: Vec<i64> = due.iter().map(|(lane, ..)| *lane).collect();
    let heads: Vec<(i64, Option<i64>)> =
        if all.is_empty() { Vec::new() } else { db.rows(engine_sql::HEADS, args![all]).await? };
    let head = |lane| heads.iter().find(|(known, _)| *known == lane).and_then(|(_, head)| *head);
    let lane =
        |(conversation, contact, destination)| Lane { conversation, contact, destination, head: head(conversation) };
    Ok(due.into_iter().map(lane).collect())
}

/// Marks the head of a lane `sending` and returns it.
async fn start(db: &mut Db, request: &BeginRequest, head: i64, lane: &Lane) -> Result<Option<Attempt>, StoreError> {
    type Row =
        (String, Option<String>, Count, Count, i64, String, Option<String>, Count, i64, Option<i64>, Option<String>);
    let Wordings { of_locations, of_others } = &request.wordings;
    let values = args![request.epoch.0, request.now_ms, of_locations.as_str(), of_others.as_str(), head];
    let found: Option<Row> = db.optional(sql::BEGIN, values).await?;
    let Some((
        m_id,
        content,
        Count(part),
        Count(number),
        accepted_ms,
        request_id,
        fault,
        Count(count),
        since_ms,
        unknown_ms,
        wording,
    )) = found
    else {
        return Ok(None);
    };
    request.begun.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(head);
    let content: Content = serde_json::from_str(content.as_deref().unwrap_or_default())
        .map_err(|error| corrupt("outbound")(Box::new(error)))?;
    Ok(Some(Attempt {
        outbound_id: head,
        conversation: lane.conversation,
        m_id: decode("outbound", &m_id)?,
        channel: request.channel.clone(),
        contact: decode("conversations", &lane.contact)?,
        destination: decode("conversations", &lane.destination)?,
        content,
        wording: wording.map(Wording::new),
        part,
        number,
        epoch: request.epoch,
        accepted_ms,
        since_ms,
        request_id,
        maybe_sent: unknown_ms.is_some(),
        awaited: false,
        before: FailureStreak { fault, count },
    }))
}

/// Marks a message that does not decode as failed: it is not sent, and its conversation continues.
async fn mark_unreadable(db: &mut Db, head: Option<i64>, error: &StoreError, now_ms: i64) -> Result<(), StoreError> {
    let m_id: String = db.one(sql::MARK_UNREADABLE, args![now_ms, "unreadable_row", head]).await?;
    tracing::error!(
        message_id = m_id,
        error = error as &dyn std::error::Error,
        "message `{m_id}` cannot be read from the store; it is set aside as failed, and was not sent"
    );
    Ok(())
}

pub(super) async fn note_sent_form(db: &mut Db, attempt: &Attempt, form: &SentForm) -> Result<(), StoreError> {
    let Attempt { outbound_id, conversation, part, number, epoch, .. } = attempt;
    db.lock(*conversation).await?;
    let stored: Option<String> = db.one(sql::SENT_FORMS, args![outbound_id]).await?;
    let forms = sent_forms::with(stored.as_deref(), attempt, form)?;
    db.change(sql::NOTE_SENT_FORMS, args![forms, outbound_id, part, number, epoch.0]).await
}

/// Settles an attempt that is in state `from`. Returns whether it queued a notice for the agent.
pub(super) async fn settle(
    db: &mut Db,
    attempt: &Attempt,
    settlement: &Settlement,
    from: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let Attempt { outbound_id, conversation, m_id, part, number, epoch, .. } = attempt;
    let epoch = epoch.0;
    db.lock(*conversation).await?;
    let ended = |state: &str, done_ms: Option<i64>, fault: &Fault| {
        args![state, done_ms, fault.code(), outbound_id, from, part, number, epoch]
    };
    let sentence = match settlement {
        Settlement::Sent { afilnet_id, more: false } => {
            db.change(sql::SENT, args![now_ms, afilnet_id, outbound_id, from, part, number, epoch]).await?;
            None
        }
        Settlement::Sent { more: true, .. } => {
            db.change(sql::PART_SENT, args![outbound_id, from, part, number, epoch]).await?;
            None
        }
        Settlement::Queued { due_ms, fault } => {
            db.change(sql::REQUEUE, args![due_ms, fault.code(), outbound_id, from, part, number, epoch]).await?;
            None
        }
        Settlement::Failed { fault, notice } => {
            db.change(sql::ENDED, ended("failed", Some(now_ms), fault)).await?;
            notice.as_deref()
        }
        Settlement::Unknown { fault, look_ms } => {
            // A poll may have recorded its row before the call timed out.
            let found = matches::is_matched(db, *conversation, m_id.as_str(), *part).await?;
            let look_ms = if found { now_ms } else { *look_ms };
            let values = args![fault.code(), now_ms, look_ms, outbound_id, from, part, number, epoch];
            db.change(sql::SET_UNKNOWN, values).await?;
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
        events::notice(db, *conversation, m_id, sentence, now_ms).await?;
        // A caller at another process may take the notice as its response; otherwise the agent gets it as usual.
        if attempt.awaited
            && let Some((_, left_ms)) = awaited(db, &[*outbound_id]).await?.first()
        {
            db.change(engine_sql::HOLD_EVENT, args![conversation, left_ms]).await?;
            db.change(sql::SET_EVENT_LANE, args![conversation]).await?;
        }
    }
    Ok(sentence.is_some())
}

pub(super) async fn next_ms(db: &mut Db, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_OUTBOUND_MS, args![channel.as_str()]).await
}

pub(super) async fn follow_head(db: &mut Db, conversation: i64) -> Result<(), StoreError> {
    db.change(sql::SET_OUTBOUND_LANE, args![conversation]).await
}

/// `Stale` if the channel has another owner; it cannot be taken over before the transaction ends.
pub(super) async fn check_epoch(db: &mut Db, channel: &ChannelName, epoch: Epoch) -> Result<(), StoreError> {
    let newest: Option<(i64,)> = db.optional(engine_sql::EPOCH_HELD, args![channel.as_str()]).await?;
    if newest == Some((epoch.0,)) { Ok(()) } else { Err(StoreError::Stale) }
}
