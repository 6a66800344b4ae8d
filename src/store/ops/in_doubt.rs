//! Messages of unknown outcome: found, looked up, settled by an operator.

use super::journey::{self, Subject};
use super::outbound::{self, follow_head};
use super::{events, manual, matches};
use crate::domain::journey::{Action, AttemptOutcome, Operator, Step};
use crate::domain::reconcile::numbering_area;
use crate::domain::{ChannelName, Fault, Wording};
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Tx, corrupt, decode, values};
use crate::store::{
    Attempt, Decision, DecisionTarget, Epoch, Evidence, FailureStreak, InDoubtSend, Interrupted, LookupResult,
    Settlement, StoreError, rules, sql,
};

pub(in crate::store) async fn interrupted(
    db: &mut impl Tx,
    channel: &ChannelName,
    epoch: Epoch,
    look_ms: i64,
    now_ms: i64,
) -> Result<Vec<Interrupted>, StoreError> {
    type Row = (i64, i64, String, String, u32, u32);
    let mut left: Vec<Row> = db.rows(sql::LEFT_SENDING, values![channel.as_str(), epoch.0]).await?;
    left.sort_unstable_by_key(|(outbound_id, conversation, ..)| (*conversation, *outbound_id)); // one order of locks, against deadlocks
    let mut found = Vec::with_capacity(left.len());
    for (outbound_id, conversation, m_id, contact, part, attempt) in left {
        db.lock(conversation).await?;
        let shown = matches::is_matched(db, conversation, &m_id, part).await?;
        let look_ms = if shown { now_ms } else { look_ms };
        let fault = Fault::Interrupted.code();
        if db.execute(sql::MARK_UNKNOWN, values![&fault, now_ms, look_ms, outbound_id]).await? == 0 {
            continue; // its former owner has settled it meanwhile
        }
        let step = Step::Attempt { attempt, part, outcome: AttemptOutcome::Unknown, fault, took_ms: None, http: None };
        journey::record(db, Subject::Message(outbound_id), &step.into(), now_ms).await?;
        follow_head(db, conversation).await?;
        found.push(Interrupted { m_id: decode("outbound", &m_id)?, contact: decode("conversations", &contact)? });
    }
    Ok(found)
}

pub(in crate::store) async fn due(
    db: &mut impl Tx,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<InDoubtSend>, StoreError> {
    let found: Vec<DueLookup> = db.rows(sql::DUE_LOOKS, values![now_ms, channel.as_str(), limit]).await?;
    // A message that does not decode was marked unreadable before it was sent, so each of these decodes.
    found.into_iter().map(|due| due.parse(channel)).collect()
}

/// A row of `DUE_LOOKS`, with its texts as they are stored.
struct DueLookup {
    conversation: i64,
    contact: String,
    destination: String,
    m_id: String,
    content: Option<String>,
    wording: Option<String>,
    attempt: StoredAttempt,
    lookup: StoredLookup,
}

struct StoredAttempt {
    outbound_id: i64,
    part: u32,
    number: u32,
    epoch: i64,
    accepted_ms: i64,
    request_id: String,
    before: FailureStreak,
    since_ms: i64,
}

struct StoredLookup {
    unknown_ms: i64,
    lookups: u32,
    absences: u32,
    absent_ms: Option<i64>,
    anchor: Option<String>,
    shows: bool,
    settle_lag_ms: i64,
    began_ms: i64,
}

impl FromRow for DueLookup {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        Ok(Self {
            conversation: Cell::read(row, 1)?,
            contact: Cell::read(row, 2)?,
            destination: Cell::read(row, 3)?,
            m_id: Cell::read(row, 4)?,
            content: Cell::read(row, 5)?,
            wording: Cell::read(row, 22)?,
            attempt: StoredAttempt {
                outbound_id: Cell::read(row, 0)?,
                part: Cell::read(row, 6)?,
                number: Cell::read(row, 7)?,
                epoch: Cell::read(row, 8)?,
                accepted_ms: Cell::read(row, 9)?,
                request_id: Cell::read(row, 10)?,
                before: FailureStreak { fault: Cell::read(row, 11)?, count: Cell::read(row, 12)? },
                since_ms: Cell::read(row, 13)?,
            },
            lookup: StoredLookup {
                unknown_ms: Cell::read(row, 14)?,
                lookups: Cell::read(row, 15)?,
                absences: Cell::read(row, 16)?,
                absent_ms: Cell::read(row, 17)?,
                anchor: Cell::read(row, 18)?,
                shows: Cell::read(row, 19)?,
                settle_lag_ms: Cell::read(row, 20)?,
                began_ms: Cell::read(row, 21)?,
            },
        })
    }
}

impl DueLookup {
    fn parse(self, channel: &ChannelName) -> Result<InDoubtSend, StoreError> {
        let Self { conversation, contact, destination, m_id, content, wording, attempt, lookup } = self;
        let StoredAttempt { outbound_id, part, number, epoch, accepted_ms, request_id, before, since_ms } = attempt;
        let StoredLookup { unknown_ms, lookups, absences, absent_ms, anchor, shows, settle_lag_ms, began_ms } = lookup;
        let content = serde_json::from_str(content.as_deref().unwrap_or_default());
        let attempt = Attempt {
            outbound_id,
            conversation,
            m_id: decode("outbound", &m_id)?,
            channel: channel.clone(),
            contact: decode("conversations", &contact)?,
            destination: decode("conversations", &destination)?,
            content: content.map_err(|error| corrupt("outbound")(Box::new(error)))?,
            wording: wording.map(Wording::new),
            part,
            number,
            epoch: Epoch(epoch),
            accepted_ms,
            since_ms,
            request_id,
            maybe_sent: true,
            awaited: false,
            before,
            note: None,
        };
        Ok(InDoubtSend {
            attempt,
            unknown_ms,
            lookups,
            absences,
            absent_ms,
            anchor,
            shows,
            settle_lag_ms,
            began_ms,
            evidence: None,
        })
    }
}

pub(in crate::store) async fn next_ms(db: &mut impl Tx, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_LOOK_MS, values![channel.as_str()]).await
}

pub(in crate::store) async fn evidence(db: &mut impl Tx, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError> {
    let Attempt { outbound_id, conversation, m_id, part, channel, destination, .. } = &in_doubt.attempt;
    let areas: String = db.one(sql::NEW_DESTINATIONS, values![channel.as_str()]).await?;
    let before: Option<(String, u32)> = if *part > 0 {
        Some((m_id.as_str().to_owned(), part - 1))
    } else {
        db.optional(sql::SENT_BEFORE, values![conversation, outbound_id]).await?
    };
    let before_shown = match before {
        Some((m_id, part)) => Some(matches::is_matched(db, *conversation, &m_id, part).await?),
        None => None,
    };
    Ok(Evidence {
        found: matches::is_matched(db, *conversation, m_id.as_str(), *part).await?,
        before_shown,
        doubtful: db.one(sql::MAYBE_SHOWN_SINCE, values![conversation, outbound_id]).await?,
        new_shown: areas.split(' ').any(|area| area == numbering_area(destination)),
    })
}

pub(in crate::store) async fn record_lookup(
    db: &mut impl Tx,
    in_doubt: &InDoubtSend,
    result: LookupResult,
    look_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let (lookups, absences): (u32, u32) = match result {
        LookupResult::Failed => (0, 0),
        LookupResult::Inconclusive => (1, 0),
        LookupResult::Absent => (1, 1),
    };
    let Attempt { outbound_id, part, number, .. } = &in_doubt.attempt;
    note_evidence(db, in_doubt).await?;
    if let Some(note) = &in_doubt.attempt.note {
        journey::record(db, Subject::Message(*outbound_id), note, now_ms).await?;
    }
    db.change(sql::LOOKED, values![look_ms, lookups, absences, now_ms, outbound_id, part, number]).await
}

/// Settles a message of unknown outcome. Returns whether it queued a notice for the agent.
pub(in crate::store) async fn resolve(
    db: &mut impl Tx,
    in_doubt: &InDoubtSend,
    epoch: Epoch,
    settlement: &Settlement,
    now_ms: i64,
) -> Result<bool, StoreError> {
    outbound::check_epoch(db, &in_doubt.attempt.channel, epoch).await?;
    note_evidence(db, in_doubt).await?;
    outbound::settle(db, &in_doubt.attempt, settlement, "unknown", now_ms).await
}

/// Stores the evidence of this lookup with the message.
async fn note_evidence(db: &mut impl Tx, in_doubt: &InDoubtSend) -> Result<(), StoreError> {
    if let Some(evidence) = &in_doubt.evidence {
        db.execute(sql::NOTE_EVIDENCE, values!["\n", evidence, in_doubt.attempt.outbound_id]).await?;
    }
    Ok(())
}

pub(in crate::store) async fn decide(
    db: &mut impl Tx,
    target: &DecisionTarget,
    decision: Decision,
    sentence: &str,
    by: &Operator,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    type Row = (i64, i64, String, i64);
    let m_id = &target.m_id;
    let there: Option<Row> = db.optional(sql::STATE_OF, values![m_id]).await?;
    let Some((_, conversation, ..)) = there else { return Ok(None) };
    db.lock(conversation).await?;
    let found: Option<Row> = db.optional(sql::STATE_OF, values![m_id]).await?; // read again under the lock
    let Some((outbound_id, conversation, state, told)) = found else { return Ok(None) };
    manual::as_seen(db, target).await?;
    let decidable = match decision {
        Decision::Noted => matches!(state.as_str(), "held" | "unconfirmed"),
        Decision::Delivered | Decision::Failed | Decision::SendAgain => {
            matches!(state.as_str(), "unknown" | "held" | "unconfirmed")
        }
    };
    if !decidable {
        return Ok(Some(state));
    }
    let action = match decision {
        Decision::Delivered => Action::SettledDelivered,
        Decision::Failed => Action::SettledFailed,
        Decision::SendAgain => Action::SentAgain,
        Decision::Noted => Action::Noted,
    };
    match decision {
        Decision::Delivered => {
            db.change(sql::DECIDED, values!["sent", now_ms, rules::SETTLED_BY_HAND, told, outbound_id]).await?;
        }
        Decision::Failed => {
            db.change(sql::DECIDED, values!["failed", now_ms, rules::SETTLED_BY_HAND, 2_i64, outbound_id]).await?;
            if told < 2 {
                events::notice(db, conversation, &decode("outbound", m_id)?, sentence, now_ms).await?;
            }
        }
        Decision::SendAgain => {
            if db.execute(sql::SENT_AGAIN, values![now_ms, outbound_id]).await? == 0 {
                return Ok(Some("wiped".into()));
            }
        }
        Decision::Noted => {
            if db.execute(sql::NOTED, values![now_ms, outbound_id]).await? == 0 {
                return Ok(Some("noted".into()));
            }
        }
    }
    journey::decided(db, m_id, &[Subject::Message(outbound_id)], by, action, now_ms).await?;
    follow_head(db, conversation).await?;
    Ok(Some(state))
}
