//! Messages of unknown outcome: found, looked up, settled by an operator.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::db::{Count, Db, args, failed};
use super::outbound::follow_head;
use crate::domain::reconcile::numbering_area;
use crate::domain::{ChannelName, Fault, Wording};
use crate::store::ops::{events, matches};
use crate::store::tx::{Tx as _, corrupt, decode};
use crate::store::{
    Attempt, Decision, Epoch, Evidence, FailureStreak, InDoubtSend, Interrupted, LookupResult, StoreError, rules, sql,
};

pub(super) async fn interrupted(
    db: &mut Db,
    channel: &ChannelName,
    epoch: Epoch,
    look_ms: i64,
    now_ms: i64,
) -> Result<Vec<Interrupted>, StoreError> {
    type Row = (i64, i64, String, String, Count);
    let mut left: Vec<Row> = db.rows(sql::LEFT_SENDING, args![channel.as_str(), epoch.0]).await?;
    left.sort_unstable_by_key(|(outbound_id, conversation, ..)| (*conversation, *outbound_id)); // one order of locks, against deadlocks
    let mut found = Vec::with_capacity(left.len());
    for (outbound_id, conversation, m_id, contact, Count(part)) in left {
        db.lock(conversation).await?;
        let shown = matches::is_matched(db, conversation, &m_id, part).await?;
        let look_ms = if shown { now_ms } else { look_ms };
        if db.execute(sql::MARK_UNKNOWN, args![Fault::Interrupted.code(), now_ms, look_ms, outbound_id]).await? == 0 {
            continue; // its former owner has settled it meanwhile
        }
        follow_head(db, conversation).await?;
        found.push(Interrupted { m_id: decode("outbound", &m_id)?, contact: decode("conversations", &contact)? });
    }
    Ok(found)
}

pub(super) async fn due(
    db: &mut Db,
    channel: &ChannelName,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<InDoubtSend>, StoreError> {
    let found = db.fetch(sql::DUE_LOOKS, args![channel.as_str(), now_ms, limit]).await?;
    // A message that does not decode was marked unreadable before it was sent, so each of these decodes.
    found.iter().map(|row| in_doubt(channel, row)).collect()
}

fn in_doubt(channel: &ChannelName, r: &PgRow) -> Result<InDoubtSend, StoreError> {
    let bad = failed(sql::DUE_LOOKS);
    let text = |at: usize| r.try_get::<String, _>(at).map_err(&bad);
    let time = |at: usize| r.try_get::<i64, _>(at).map_err(&bad);
    let count = |at: usize| r.try_get::<Count, _>(at).map(|Count(n)| n).map_err(&bad);
    let content: Option<String> = r.try_get(5).map_err(&bad)?;
    let content = serde_json::from_str(content.as_deref().unwrap_or_default());
    let attempt = Attempt {
        outbound_id: time(0)?,
        conversation: time(1)?,
        contact: decode("conversations", &text(2)?)?,
        destination: decode("conversations", &text(3)?)?,
        m_id: decode("outbound", &text(4)?)?,
        channel: channel.clone(),
        content: content.map_err(|error| corrupt("outbound")(Box::new(error)))?,
        wording: r.try_get::<Option<String>, _>(22).map_err(&bad)?.map(Wording::new),
        part: count(6)?,
        number: count(7)?,
        epoch: Epoch(time(8)?),
        accepted_ms: time(9)?,
        request_id: text(10)?,
        maybe_sent: true,
        awaited: false,
        before: FailureStreak { fault: r.try_get(11).map_err(&bad)?, count: count(12)? },
        since_ms: time(13)?,
    };
    Ok(InDoubtSend {
        attempt,
        unknown_ms: time(14)?,
        lookups: count(15)?,
        absences: count(16)?,
        absent_ms: r.try_get(17).map_err(&bad)?,
        anchor: r.try_get(18).map_err(&bad)?,
        shows: time(19)? != 0,
        settle_lag_ms: time(20)?,
        began_ms: time(21)?,
        evidence: None,
    })
}

pub(super) async fn next_ms(db: &mut Db, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    db.one(sql::NEXT_LOOK_MS, args![channel.as_str()]).await
}

pub(super) async fn evidence(db: &mut Db, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError> {
    let Attempt { outbound_id, conversation, m_id, part, channel, destination, .. } = &in_doubt.attempt;
    let areas: String = db.one(sql::NEW_DESTINATIONS, args![channel.as_str()]).await?;
    let before: Option<(String, u32)> = if *part > 0 {
        Some((m_id.as_str().to_owned(), part - 1))
    } else {
        let sent: Option<(String, Count)> = db.optional(sql::SENT_BEFORE, args![conversation, outbound_id]).await?;
        sent.map(|(m_id, Count(part))| (m_id, part))
    };
    let before_shown = match before {
        Some((m_id, part)) => Some(matches::is_matched(db, *conversation, &m_id, part).await?),
        None => None,
    };
    Ok(Evidence {
        found: matches::is_matched(db, *conversation, m_id.as_str(), *part).await?,
        before_shown,
        doubtful: db.one(sql::MAYBE_SHOWN_SINCE, args![conversation, outbound_id]).await?,
        new_shown: areas.split(' ').any(|area| area == numbering_area(destination)),
    })
}

pub(super) async fn record_lookup(
    db: &mut Db,
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
    db.change(sql::LOOKED, args![look_ms, lookups, absences, now_ms, outbound_id, part, number]).await
}

/// Keeps what the look in hand showed.
pub(super) async fn note_evidence(db: &mut Db, in_doubt: &InDoubtSend) -> Result<(), StoreError> {
    if let Some(evidence) = &in_doubt.evidence {
        db.execute(sql::NOTE_EVIDENCE, args!["\n", evidence, in_doubt.attempt.outbound_id]).await?;
    }
    Ok(())
}

pub(super) async fn decide(
    db: &mut Db,
    m_id: &str,
    decision: Decision,
    sentence: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    type Row = (i64, i64, String, i64);
    let there: Option<Row> = db.optional(sql::STATE_OF, args![m_id]).await?;
    let Some((_, conversation, ..)) = there else { return Ok(None) };
    db.lock(conversation).await?;
    let found: Option<Row> = db.optional(sql::STATE_OF, args![m_id]).await?; // read again under the lock
    let Some((outbound_id, conversation, state, told)) = found else { return Ok(None) };
    if !matches!(state.as_str(), "unknown" | "held" | "unconfirmed") {
        return Ok(Some(state));
    }
    match decision {
        Decision::Delivered => {
            db.change(sql::DECIDED, args!["sent", now_ms, rules::SETTLED_BY_HAND, told, outbound_id]).await?;
        }
        Decision::Failed => {
            db.change(sql::DECIDED, args!["failed", now_ms, rules::SETTLED_BY_HAND, 2_i64, outbound_id]).await?;
            if told < 2 {
                events::notice(db, conversation, &decode("outbound", m_id)?, sentence, now_ms).await?;
            }
        }
        Decision::SendAgain => {
            if db.execute(sql::SENT_AGAIN, args![now_ms, outbound_id]).await? == 0 {
                return Ok(Some("wiped".into()));
            }
        }
    }
    follow_head(db, conversation).await?;
    Ok(Some(state))
}
