//! Steps of messages and events: recorded within the transaction of what follows from them, and read as a journey. Nothing
//! is recorded of what goes well.

use super::audit::{self, Deed};
use super::{matches, pauses};
use crate::domain::journey::{
    Action, Behind, ChannelFault, EventJourney, EventKind, EventState, Journey, KeptWaiting, LONG_WAIT_MS,
    MessageJourney, MessageState, Operator, PastStep, ResponseReceipt, Step, StepRecord, Wait,
};
use crate::domain::operator_pause::PauseKind;
use crate::domain::{ChannelName, Event, EventBody};
use crate::store::StoreError;
use crate::store::sql_journey as sql;
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Tx, corrupt, decode, values};

/// Steps of one message or event, at most; decisions of persons are recorded beyond it.
const MOST_STEPS: i64 = 200;

/// A failed attempt of the channel explains a message that waits if it was no longer before it than this.
const RECENT_MS: i64 = 60 * 60 * 1000;

/// The stored form of what a step is of.
pub(in crate::store) const OF_MESSAGE: &str = "o";
pub(in crate::store) const OF_EVENT: &str = "e";

/// What a step is of, with its id.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Subject {
    Message(i64),
    Event(i64),
}

impl Subject {
    fn stored(self) -> (&'static str, i64) {
        match self {
            Self::Message(id) => (OF_MESSAGE, id),
            Self::Event(id) => (OF_EVENT, id),
        }
    }
}

/// Records a step, as one more of the one before it where it repeats that.
pub(in crate::store) async fn record(
    db: &mut impl Tx,
    subject: Subject,
    StepRecord { step, excerpt }: &StepRecord,
    now_ms: i64,
) -> Result<(), StoreError> {
    let detail = serde_json::to_string(step).map_err(|error| corrupt("steps")(Box::new(error)))?;
    let (of, id) = subject.stored();
    // A part that was taken repeats nothing, and there are no more of them than parts.
    let newest: Option<(i64, String)> = match step {
        Step::Part { .. } => None,
        _ => db.optional(sql::NEWEST_STEP, values![of, id]).await?,
    };
    let before = newest.as_ref().and_then(|(id, detail)| Some((*id, serde_json::from_str::<Step>(detail).ok()?)));
    let recorded = if let Some((before, _)) = before.filter(|(_, before)| step.repeats(before)) {
        // Where an erasure has just deleted it there is nothing to add to, and no reason to fail.
        if db.execute(sql::STEP_AGAIN, values![detail, now_ms, before]).await? == 0 {
            return Ok(());
        }
        before
    } else {
        if newest.is_some() && !matches!(step, Step::Decision { .. }) {
            let count: i64 = db.one(sql::COUNT_STEPS, values![of, id]).await?;
            if count >= MOST_STEPS {
                return Ok(());
            }
        }
        db.one(sql::ADD_STEP, values![of, id, now_ms, step.kind(), detail]).await?
    };
    if let Some(excerpt) = excerpt {
        db.execute(sql::SET_EXCERPT, values![recorded, excerpt.as_str()]).await?;
    }
    Ok(())
}

/// Records that a call repeated the one with this message.
pub(in crate::store) async fn repeated(db: &mut impl Tx, m_id: &str, now_ms: i64) -> Result<(), StoreError> {
    let message: Option<(i64,)> = db.optional(sql::MESSAGE_NAMED, values![m_id]).await?;
    let Some((message,)) = message else { return Ok(()) };
    record(db, Subject::Message(message), &Step::Repeat.into(), now_ms).await
}

/// Records what a person did to messages or events of one mId: a step of each, and one row of the audit.
pub(in crate::store) async fn decided(
    db: &mut impl Tx,
    m_id: &str,
    subjects: &[Subject],
    by: &Operator,
    action: Action,
    now_ms: i64,
) -> Result<(), StoreError> {
    for subject in subjects {
        record(db, *subject, &by.decided(action).into(), now_ms).await?;
    }
    let detail = by.why().map(|why| serde_json::json!({ "why": why }).to_string());
    let deed = Deed { by, what: action.name(), target: m_id, detail: detail.as_deref(), once: None };
    audit::record(db, &deed, now_ms).await.map(drop)
}

/// See [`crate::store::Store::journey`].
pub(in crate::store) async fn read(db: &mut impl Tx, m_id: &str, now_ms: i64) -> Result<Option<Journey>, StoreError> {
    let mut journey = Journey {
        m_id: m_id.to_owned(),
        channel: String::new(),
        contact: String::new(),
        message: None,
        events: Vec::new(),
    };
    let message: Option<StoredMessage> = db.optional(sql::MESSAGE, values![m_id]).await?;
    if let Some(stored) = message {
        (journey.channel, journey.contact) = (stored.channel.clone(), stored.contact.clone());
        journey.message = Some(of_message(db, m_id, stored, now_ms).await?);
    }
    let events: Vec<EventRow> = db.rows(sql::EVENTS_NAMED, values![m_id]).await?;
    for row in events {
        (journey.channel, journey.contact) = (row.1.clone(), row.2.clone());
        journey.events.push(of_event(db, row).await?);
    }
    Ok((journey.message.is_some() || !journey.events.is_empty()).then_some(journey))
}

/// A row of `MESSAGE`.
struct StoredMessage {
    id: i64,
    conversation: i64,
    channel: String,
    contact: String,
    state: String,
    answered: i64,
    /// Since when it waits, or waited.
    since_ms: i64,
    message: MessageJourney,
}

impl FromRow for StoredMessage {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let message = MessageJourney {
            kind: Cell::read(row, 4)?,
            state: MessageState::Queued, // parsed from the text below
            part: Cell::read(row, 6)?,
            attempt: Cell::read(row, 7)?,
            accepted_ms: Cell::read(row, 8)?,
            began_ms: Cell::read(row, 9)?,
            done_ms: Cell::read(row, 10)?,
            due_ms: Cell::read(row, 11)?,
            unknown_ms: Cell::read(row, 12)?,
            look_ms: Cell::read(row, 13)?,
            fault: Cell::read(row, 14)?,
            request_id: Cell::read(row, 15)?,
            answer: ResponseReceipt::Unknown,
            has_text: Cell::read(row, 17)?,
            shown_ms: None,
            behind: None,
            channel_fault: None,
            pause: None,
            wait: None,
            kept_waiting: None,
            steps: Vec::new(),
        };
        Ok(Self {
            id: Cell::read(row, 0)?,
            conversation: Cell::read(row, 1)?,
            channel: Cell::read(row, 2)?,
            contact: Cell::read(row, 3)?,
            state: Cell::read(row, 5)?,
            answered: Cell::read(row, 16)?,
            since_ms: Cell::read(row, 18)?,
            message,
        })
    }
}

async fn of_message(
    db: &mut impl Tx,
    m_id: &str,
    stored: StoredMessage,
    now_ms: i64,
) -> Result<MessageJourney, StoreError> {
    let StoredMessage { id, conversation, channel, state, answered, since_ms, message, .. } = stored;
    let state: MessageState = decode("outbound", &state)?;
    let keys = matches::match_keys(m_id, message.part);
    let shown_ms: Option<i64> = db.one(sql::SHOWN_MS, values![conversation, &keys[0], &keys[1]]).await?;
    let waits = state == MessageState::Queued;
    let looks = state == MessageState::Unknown;
    let behind = if waits { behind(db, conversation, id).await? } else { None };
    let channel_fault = if waits || looks {
        let since_ms = message.accepted_ms.min(now_ms).saturating_sub(RECENT_MS);
        let is_first = waits && behind.is_none() && message.fault.is_none();
        channel_fault(db, &channel, since_ms).await?.filter(|fault| fault.lasts || is_first)
    } else {
        None
    };
    let pause = if waits { pauses::lasting_of(db, &channel, PauseKind::Out).await? } else { None };
    let answer = match answered {
        1 | 3 => ResponseReceipt::Read, // 3: written in full, as far as a process of several knows
        2 => ResponseReceipt::Lost,
        _ => ResponseReceipt::Unknown,
    };
    let steps = steps(db, Subject::Message(id)).await?;
    let until_ms = match message.done_ms {
        _ if waits => now_ms,
        Some(done_ms) if message.began_ms < since_ms => done_ms, // it ended without an attempt
        _ => message.began_ms,
    };
    let wait = if until_ms.saturating_sub(since_ms) < LONG_WAIT_MS {
        None
    } else {
        let pauses = pauses::within(db, &channel, since_ms, until_ms).await?;
        let ahead = db.one(sql::WAITED_FOR, values![conversation, id, since_ms, until_ms]).await?;
        Some(Wait { since_ms, until_ms, ahead, pauses })
    };
    let was_in_doubt = steps.iter().any(|past| past.step.as_ref().is_some_and(Step::leaves_in_doubt));
    let kept_waiting = match message.done_ms {
        Some(done_ms) if was_in_doubt => kept_waiting(db, conversation, id, done_ms).await?,
        _ => None,
    };
    Ok(MessageJourney { state, answer, shown_ms, behind, channel_fault, pause, wait, kept_waiting, steps, ..message })
}

async fn kept_waiting(
    db: &mut impl Tx,
    conversation: i64,
    id: i64,
    done_ms: i64,
) -> Result<Option<KeptWaiting>, StoreError> {
    let halves: Vec<(u32, Option<i64>)> = db.rows(sql::KEPT_WAITING, values![conversation, id, done_ms]).await?;
    let count = halves.iter().map(|(count, _)| count).sum();
    let first_ms = halves.iter().filter_map(|(_, first_ms)| *first_ms).min();
    Ok(first_ms.map(|first_ms| KeptWaiting { count, longest_ms: done_ms.saturating_sub(first_ms) }))
}

/// Records by which fault each of these channels is paused since `now_ms`; `None`: by none.
pub(in crate::store) async fn set_paused_by(
    db: &mut impl Tx,
    channels: &[(ChannelName, Option<String>)],
    now_ms: i64,
) -> Result<(), StoreError> {
    for (channel, fault) in channels {
        let since_ms = fault.as_ref().map(|_| now_ms);
        db.execute(sql::SET_PAUSED_BY, values![fault.as_deref(), since_ms, channel.as_str()]).await?;
        pauses::by_fault(db, channel.as_str(), fault.as_deref(), now_ms).await?;
    }
    Ok(())
}

/// Returns what pauses a channel; else its last attempt that failed since then.
pub(super) async fn channel_fault(
    db: &mut impl Tx,
    channel: &str,
    since_ms: i64,
) -> Result<Option<ChannelFault>, StoreError> {
    let pauses: Option<(i64, String)> = db.optional(sql::PAUSED_BY, values![channel]).await?;
    if let Some((at_ms, fault)) = pauses {
        return Ok(Some(ChannelFault { at_ms, fault, lasts: true }));
    }
    let found: Option<(i64, String)> = db.optional(sql::CHANNEL_FAULT, values![channel, since_ms]).await?;
    Ok(found.and_then(|(at_ms, detail)| match serde_json::from_str(&detail) {
        Ok(Step::Attempt { fault, .. }) => Some(ChannelFault { at_ms, fault, lasts: false }),
        Ok(_) | Err(_) => None,
    }))
}

async fn behind(db: &mut impl Tx, conversation: i64, id: i64) -> Result<Option<Behind>, StoreError> {
    let before: Option<(u32, Option<i64>)> = db.optional(sql::BEFORE, values![conversation, id]).await?;
    let Some((count, Some(head))) = before else { return Ok(None) };
    let head: Option<(String, String, Option<String>)> = db.optional(sql::HEAD, values![head]).await?;
    let Some((head, state, fault)) = head else { return Ok(None) };
    Ok(Some(Behind { count, head, state: decode("outbound", &state)?, fault }))
}

/// A row of `EVENTS_NAMED`.
type EventRow = (i64, String, String, String, String, i64, i64, Option<i64>, u32, Option<String>, Option<String>);

async fn of_event(db: &mut impl Tx, row: EventRow) -> Result<EventJourney, StoreError> {
    let (id, channel, _, kind, state, recorded_ms, due_ms, done_ms, attempt, fault, event) = row;
    let state: EventState = decode("events", &state)?;
    let kind = match kind.as_str() {
        "message" => EventKind::Message,
        "message_echo" => EventKind::Echo,
        _ => EventKind::Status(event.as_deref().and_then(status)),
    };
    let steps = steps(db, Subject::Event(id)).await?;
    let has_text = event.is_some();
    let waits = state == EventState::Queued;
    let pause = if waits { pauses::lasting_of(db, &channel, PauseKind::In).await? } else { None };
    Ok(EventJourney { kind, state, recorded_ms, due_ms, done_ms, attempt, fault, has_text, pause, steps })
}

/// Returns the status that an event tells; `None` for one that does not decode.
fn status(event: &str) -> Option<crate::domain::StatusValue> {
    match serde_json::from_str::<Event>(event).ok()?.body {
        EventBody::MessageStatus { value, .. } => Some(value),
        EventBody::Message { .. } | EventBody::MessageEcho { .. } => None,
    }
}

async fn steps(db: &mut impl Tx, subject: Subject) -> Result<Vec<PastStep>, StoreError> {
    let (of, id) = subject.stored();
    let found: Vec<(i64, i64, u32, String, Option<String>)> = db.rows(sql::STEPS, values![of, id]).await?;
    let past = |(at_ms, until_ms, times, detail, excerpt): (i64, i64, u32, String, Option<String>)| PastStep {
        at_ms,
        until_ms,
        times,
        step: serde_json::from_str(&detail).ok(),
        excerpt,
    };
    Ok(found.into_iter().map(past).collect())
}
