//! Messages of unknown outcome: found, looked up, settled by an operator.

use rusqlite::{Connection, OptionalExtension, params};

use super::db::SqliteTx;
use super::outbound::follow_head;
use super::{change, execute, one, rows, unavailable};
use crate::domain::reconcile::numbering_area;
use crate::domain::{ChannelName, Fault, Wording};
use crate::store::ops::{events, matches};
use crate::store::tx::{at_once, corrupt, decode};
use crate::store::{
    Attempt, Decision, Epoch, Evidence, FailureStreak, InDoubtSend, Interrupted, LookupResult, StoreError, rules, sql,
};

pub(super) fn interrupted(
    db: &Connection,
    channel: &ChannelName,
    epoch: Epoch,
    look_ms: i64,
    now_ms: i64,
) -> Result<Vec<Interrupted>, StoreError> {
    type Row = (i64, i64, String, String, u32);
    let left: Vec<Row> = rows(db, sql::LEFT_SENDING, params![channel.as_str(), epoch.0], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
    })?;
    let mut found = Vec::with_capacity(left.len());
    for (outbound_id, conversation, m_id, contact, part) in left {
        let shown = at_once(matches::is_matched(&mut SqliteTx(db), conversation, &m_id, part))?;
        let look_ms = if shown { now_ms } else { look_ms };
        change(db, sql::MARK_UNKNOWN, params![Fault::Interrupted.code(), now_ms, look_ms, outbound_id])?;
        follow_head(db, conversation)?;
        found.push(Interrupted { m_id: decode("outbound", &m_id)?, contact: decode("conversations", &contact)? });
    }
    Ok(found)
}

pub(super) fn due(
    db: &Connection,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<InDoubtSend>, StoreError> {
    let found: Vec<Result<InDoubtSend, StoreError>> =
        rows(db, sql::DUE_LOOKS, params![channel.as_str(), now_ms, limit], |r| {
            let texts: (String, String, String, Option<String>) = (r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?);
            let attempt = AttemptOf {
                outbound_id: r.get(0)?,
                conversation: r.get(1)?,
                part: r.get(6)?,
                number: r.get(7)?,
                epoch: r.get(8)?,
                accepted_ms: r.get(9)?,
                request_id: r.get(10)?,
                before: FailureStreak { fault: r.get(11)?, count: r.get(12)? },
                since_ms: r.get(13)?,
                wording: r.get(22)?,
            };
            let (unknown_ms, lookups, absences, absent_ms) = (r.get(14)?, r.get(15)?, r.get(16)?, r.get(17)?);
            let (anchor, shows, settle_lag_ms): (_, i64, _) = (r.get(18)?, r.get(19)?, r.get(20)?);
            let began_ms = r.get(21)?;
            Ok(attempt.read(channel, &texts).map(|attempt| InDoubtSend {
                attempt,
                unknown_ms,
                lookups,
                absences,
                absent_ms,
                anchor,
                shows: shows != 0,
                settle_lag_ms,
                began_ms,
                evidence: None,
            }))
        })?;
    // A message that does not decode was marked unreadable before it was sent, so each of these decodes.
    found.into_iter().collect()
}

/// Columns of an attempt, besides its texts.
struct AttemptOf {
    outbound_id: i64,
    conversation: i64,
    part: u32,
    number: u32,
    epoch: i64,
    accepted_ms: i64,
    request_id: String,
    before: FailureStreak,
    since_ms: i64,
    wording: Option<String>,
}

impl AttemptOf {
    fn read(
        self,
        channel: &ChannelName,
        (contact, destination, m_id, content): &(String, String, String, Option<String>),
    ) -> Result<Attempt, StoreError> {
        let content = serde_json::from_str(content.as_deref().unwrap_or_default());
        Ok(Attempt {
            outbound_id: self.outbound_id,
            conversation: self.conversation,
            m_id: decode("outbound", m_id)?,
            channel: channel.clone(),
            contact: decode("conversations", contact)?,
            destination: decode("conversations", destination)?,
            content: content.map_err(|error| corrupt("outbound")(Box::new(error)))?,
            wording: self.wording.map(Wording::new),
            part: self.part,
            number: self.number,
            epoch: Epoch(self.epoch),
            accepted_ms: self.accepted_ms,
            since_ms: self.since_ms,
            request_id: self.request_id,
            maybe_sent: true,
            awaited: false,
            before: self.before,
        })
    }
}

pub(super) fn next_ms(db: &Connection, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    one(db, sql::NEXT_LOOK_MS, params![channel.as_str()])
}

pub(super) fn evidence(db: &Connection, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError> {
    let Attempt { outbound_id, conversation, m_id, part, channel, destination, .. } = &in_doubt.attempt;
    let areas: String = one(db, sql::NEW_DESTINATIONS, params![channel.as_str()])?;
    let before: Option<(String, u32)> = if *part > 0 {
        Some((m_id.as_str().to_owned(), part - 1))
    } else {
        db.prepare_cached(sql::SENT_BEFORE)
            .and_then(|mut s| {
                s.query_row(params![conversation, outbound_id], |r| Ok((r.get(0)?, r.get(1)?))).optional()
            })
            .map_err(unavailable)?
    };
    let shown =
        |(m_id, part): (String, u32)| at_once(matches::is_matched(&mut SqliteTx(db), *conversation, &m_id, part));
    Ok(Evidence {
        found: at_once(matches::is_matched(&mut SqliteTx(db), *conversation, m_id.as_str(), *part))?,
        before_shown: before.map(shown).transpose()?,
        doubtful: one(db, sql::MAYBE_SHOWN_SINCE, params![conversation, outbound_id])?,
        new_shown: areas.split(' ').any(|area| area == numbering_area(destination)),
    })
}

pub(super) fn record_lookup(
    db: &Connection,
    in_doubt: &InDoubtSend,
    result: LookupResult,
    look_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let (lookups, absences) = match result {
        LookupResult::Failed => (0, 0),
        LookupResult::Inconclusive => (1, 0),
        LookupResult::Absent => (1, 1),
    };
    let Attempt { outbound_id, part, number, .. } = &in_doubt.attempt;
    note_evidence(db, in_doubt)?;
    change(db, sql::LOOKED, params![look_ms, lookups, absences, now_ms, outbound_id, part, number])
}

/// Stores the evidence of this lookup with the message.
pub(super) fn note_evidence(db: &Connection, in_doubt: &InDoubtSend) -> Result<(), StoreError> {
    if let Some(evidence) = &in_doubt.evidence {
        execute(db, sql::NOTE_EVIDENCE, params!["\n", evidence, in_doubt.attempt.outbound_id])?;
    }
    Ok(())
}

pub(super) fn decide(
    db: &Connection,
    m_id: &str,
    decision: Decision,
    sentence: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    type Row = (i64, i64, String, i64);
    let found: Option<Row> = db
        .prepare_cached(sql::STATE_OF)
        .and_then(|mut s| s.query_row(params![m_id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).optional())
        .map_err(unavailable)?;
    let Some((outbound_id, conversation, state, told)) = found else { return Ok(None) };
    if !matches!(state.as_str(), "unknown" | "held" | "unconfirmed") {
        return Ok(Some(state));
    }
    match decision {
        Decision::Delivered => {
            change(db, sql::DECIDED, params!["sent", now_ms, rules::SETTLED_BY_HAND, told, outbound_id])?;
        }
        Decision::Failed => {
            change(db, sql::DECIDED, params!["failed", now_ms, rules::SETTLED_BY_HAND, 2, outbound_id])?;
            if told < 2 {
                let m_id = decode("outbound", m_id)?;
                at_once(events::notice(&mut SqliteTx(db), conversation, &m_id, sentence, now_ms))?;
            }
        }
        Decision::SendAgain => {
            if execute(db, sql::SENT_AGAIN, params![now_ms, outbound_id])? == 0 {
                return Ok(Some("wiped".into()));
            }
        }
    }
    follow_head(db, conversation)?;
    Ok(Some(state))
}
