//! Outbound messages: begun, settled. Each function runs inside one transaction, and locks the channel, then its
//! conversations, then rows.

use super::journey::{self, Subject};
use super::{account_traits, events, matches, pending_question, stale, unreadable};
use crate::domain::matching::SentForm;
use crate::domain::{ChannelName, Content, Fault, Wording, Wordings};
use crate::store::tx::{Lane, Tx, corrupt, decode, values};
use crate::store::{Attempt, Begun, Epoch, FailureStreak, Settlement, StaleRule, StoreError, sent_forms, sql};

/// Which messages to begin.
pub(in crate::store) struct BeginRequest {
    pub(in crate::store) channel: ChannelName,
    pub(in crate::store) epoch: Epoch,
    pub(in crate::store) now_ms: i64,
    pub(in crate::store) live_since_ms: i64,
    pub(in crate::store) limit: u32,
    pub(in crate::store) wordings: Wordings,
    pub(in crate::store) stale: Option<StaleRule>,
}

/// Messages that fail in one `begin` because they are stale, about.
const STALE_AT_ONCE: usize = 200;

/// Marks the heads of due lanes `sending` and returns them, live lanes first, with when the next is due; those that are stale fail instead.
/// Calls `note` with each that is begun before it goes on. The channel's epoch is checked.
pub(in crate::store) async fn begin(
    db: &mut impl Tx,
    request: &BeginRequest,
    note: impl Fn(i64),
) -> Result<Begun, StoreError> {
    let BeginRequest { channel, now_ms, live_since_ms, limit, stale: rule, .. } = request;
    let (mut attempts, mut stale) = (Vec::new(), Vec::new());
    loop {
        let (room, before) = (limit.saturating_sub(u32::try_from(attempts.len()).unwrap_or(*limit)), stale.len());
        for lane in db.due_lanes(channel.as_str(), *live_since_ms, *now_ms, room).await? {
            let failed = match (rule, lane.head) {
                (Some(rule), Some(head)) => {
                    stale::fail_one(db, rule, lane.conversation, &lane.contact, head, *now_ms).await
                }
                _ => Ok(None),
            };
            let begun = match (lane.head, failed) {
                (Some(head), Ok(None)) => start(db, request, head, &lane, &note).await,
                (_, failed) => failed.map(|failed| {
                    stale.extend(failed);
                    None
                }),
            };
            match begun {
                Ok(Some(attempt)) => {
                    pending_question::ask(db, &attempt, *now_ms).await?;
                    attempts.push(attempt);
                    db.change(sql::CLOSE_OUTBOUND_LANE, values![lane.conversation]).await?;
                    continue;
                }
                Err(error @ StoreError::Corrupt { .. }) => unreadable::mark(db, lane.head, &error, *now_ms).await?,
                Err(error) => return Err(error),
                Ok(None) => {} // a lane without a head is repaired below
            }
            follow_head(db, lane.conversation).await?;
        }
        // What was stale has left room for others, also of its conversation.
        if stale.len() == before || stale.len() >= STALE_AT_ONCE || attempts.len() >= *limit as usize {
            break;
        }
    }
    let outbound_ids: Vec<i64> = attempts.iter().map(|attempt| attempt.outbound_id).collect();
    let awaited = db.awaited(&outbound_ids).await?;
    for attempt in &mut attempts {
        attempt.awaited = awaited.iter().any(|(outbound_id, _)| *outbound_id == attempt.outbound_id);
    }
    Ok(Begun { attempts, stale, next_ms: next_ms(db, channel).await? })
}

/// Marks the head of a lane `sending` and returns it.
async fn start(
    db: &mut impl Tx,
    request: &BeginRequest,
    head: i64,
    lane: &Lane,
    note: &impl Fn(i64),
) -> Result<Option<Attempt>, StoreError> {
    type Row = (String, Option<String>, u32, u32, i64, String, Option<String>, u32, i64, Option<i64>, Option<String>);
    let Wordings { of_locations, of_others } = &request.wordings;
    let values = values![
        request.epoch.0,
        request.now_ms,
        of_locations.as_str(),
        of_others.as_str(),
        head,
        request.channel.as_str()
    ];
    let found: Option<Row> = db.optional(sql::BEGIN, values).await?;
    let Some((m_id, content, part, number, accepted_ms, request_id, fault, count, since_ms, unknown_ms, wording)) =
        found
    else {
        return Ok(None);
    };
    note(head);
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
        note: None,
    }))
}

pub(in crate::store) async fn prepare_call(
    db: &mut impl Tx,
    attempt: &Attempt,
    form: Option<&SentForm>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Attempt { outbound_id, conversation, part, number, epoch, .. } = attempt;
    db.lock(*conversation).await?;
    let stored: Option<String> = db.one(sql::SENT_FORMS, values![outbound_id]).await?;
    let forms = match form {
        Some(form) => Some(sent_forms::with(stored.as_deref(), attempt, form)?),
        None => stored,
    };
    db.change(sql::NOTE_SENT_FORMS, values![forms, outbound_id, part, number, epoch.0]).await?;
    pending_question::ask_filled_in(db, attempt, now_ms).await
}

/// Settles an attempt that is in state `from`. Returns whether it queued a notice for the agent.
pub(in crate::store) async fn settle(
    db: &mut impl Tx,
    attempt: &Attempt,
    settlement: &Settlement,
    from: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let Attempt { outbound_id, conversation, m_id, part, number, epoch, .. } = attempt;
    let epoch = epoch.0;
    db.lock(*conversation).await?;
    let ended = (outbound_id, from, part, number, epoch);
    let sentence = match settlement {
        Settlement::Sent { afilnet_id, more } => {
            let early: Option<(Option<String>,)> = if *more {
                db.optional(sql::PART_SENT, values![outbound_id, from, part, number, epoch]).await?
            } else {
                let values = values![now_ms, afilnet_id, outbound_id, from, part, number, epoch];
                db.optional(sql::SENT, values).await?
            };
            let (early,) = early.ok_or(StoreError::Stale)?;
            // One that a lookup found is not known to be taken by anything but that row.
            if let Some(early) = early.filter(|_| from == "sending") {
                account_traits::from_early_row(db, attempt.channel.as_str(), &early).await?;
            }
            None
        }
        Settlement::Queued { due_ms, fault } => {
            db.change(sql::REQUEUE, values![due_ms, fault.code(), outbound_id, from, part, number, epoch]).await?;
            None
        }
        Settlement::Failed { fault, notice } => {
            end(db, ended, "failed", Some(now_ms), fault).await?;
            notice.as_deref()
        }
        Settlement::Unknown { fault, look_ms } => {
            // A poll may have recorded its row before the call timed out.
            let found = matches::is_matched(db, *conversation, m_id.as_str(), *part).await?;
            let look_ms = if found { now_ms } else { *look_ms };
            let values = values![fault.code(), now_ms, look_ms, outbound_id, from, part, number, epoch];
            db.change(sql::SET_UNKNOWN, values).await?;
            None
        }
        Settlement::Unconfirmed { fault, notice, held } => {
            let (state, done_ms) = if *held { ("held", None) } else { ("unconfirmed", Some(now_ms)) };
            end(db, ended, state, done_ms, fault).await?;
            Some(notice.as_str())
        }
    };
    if let Some(note) = &attempt.note {
        journey::record(db, Subject::Message(*outbound_id), note, now_ms).await?;
    }
    pending_question::settle(db, attempt, settlement).await?;
    follow_head(db, *conversation).await?;
    if let Some(sentence) = sentence {
        events::notice(db, *conversation, m_id, sentence, now_ms).await?;
        // A caller at another process may take the notice as its response; otherwise the agent gets it as usual.
        if attempt.awaited
            && let Some((_, left_ms)) = db.awaited(&[*outbound_id]).await?.first()
        {
            db.hold_event(*conversation, *left_ms).await?;
            db.change(sql::SET_EVENT_LANE, values![conversation]).await?;
        }
    }
    Ok(sentence.is_some())
}

/// Ends an attempt in `state`: its message, the state that it is in, its part, its number and its epoch.
async fn end(
    db: &mut impl Tx,
    (outbound_id, from, part, number, epoch): (&i64, &str, &u32, &u32, i64),
    state: &str,
    done_ms: Option<i64>,
    fault: &Fault,
) -> Result<(), StoreError> {
    db.change(sql::ENDED, values![state, done_ms, fault.code(), outbound_id, from, part, number, epoch]).await
}

pub(in crate::store) async fn next_ms(db: &mut impl Tx, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_OUTBOUND_MS, values![channel.as_str()]).await
}

pub(in crate::store) async fn follow_head(db: &mut impl Tx, conversation: i64) -> Result<(), StoreError> {
    db.change(sql::SET_OUTBOUND_LANE, values![conversation]).await
}

/// `Stale` if the channel has another owner; it cannot be taken over before the transaction ends.
pub(in crate::store) async fn check_epoch<T: Tx>(
    db: &mut T,
    channel: &ChannelName,
    epoch: Epoch,
) -> Result<(), StoreError> {
    let newest: Option<(i64,)> = db.optional(T::EPOCH, values![channel.as_str()]).await?;
    if newest == Some((epoch.0,)) { Ok(()) } else { Err(StoreError::Stale) }
}
