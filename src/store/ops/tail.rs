//! See [`crate::store::Store::tail`].

use crate::domain::find::Side;
use crate::store::sql_tail as sql;
use crate::store::tx::{Tx, values};
use crate::store::{StoreError, TailEntry, TailFrom, TailStep, Tailed};

/// Of the newest steps so many are looked at: those that repeat themselves keep their ids.
pub(in crate::store) const MOST_STEPS: u32 = 500;

/// Where more than is looked at happened, each kind of it is counted up to this.
const MOST_COUNTED: i64 = 100_000;

/// A row of what was stored, and of what ended.
type Stored = (i64, i64, String, String, String, String);
type Ended = (i64, i64, String, String, String, String, Option<String>);
/// A row of what took a step.
type StepRow = (i64, i64, Option<String>, Option<String>, Option<String>, String, u32, String);

pub(in crate::store) async fn tail(db: &mut impl Tx, from: TailFrom) -> Result<Tailed, StoreError> {
    let newest: Option<(i64, i64)> = db.optional(sql::NEWEST, values![]).await?;
    let (newest_outbound_id, newest_event_id) = newest.unwrap_or_default();
    let mut tailed = Tailed { newest_outbound_id, newest_event_id, ..Tailed::default() };
    for (side, statement, after) in
        [(Side::Out, sql::ACCEPTED, from.outbound_id), (Side::In, sql::RECORDED, from.event_id)]
    {
        let found: Vec<Stored> = db.rows(statement, values![after, from.most]).await?;
        tailed.cut |= found.len() >= from.most as usize;
        tailed.all.extend(found.into_iter().map(|(id, at_ms, channel, contact, m_id, kind)| TailEntry {
            side,
            id,
            at_ms,
            channel,
            contact,
            m_id,
            what: TailStep::Stored { kind },
        }));
    }
    for (side, statement) in [(Side::Out, sql::ENDED), (Side::Out, sql::ENDED_WIPED), (Side::In, sql::PUBLISHED)] {
        let found: Vec<Ended> = db.rows(statement, values![from.since_ms, from.most]).await?;
        tailed.cut |= found.len() >= from.most as usize;
        tailed.all.extend(found.into_iter().map(|(id, at_ms, channel, contact, m_id, state, fault)| TailEntry {
            side,
            id,
            at_ms,
            channel,
            contact,
            m_id,
            what: TailStep::Ended { state, fault },
        }));
    }
    let found: Vec<StepRow> = db.rows(sql::STEPPED, values![MOST_STEPS, from.since_ms]).await?;
    tailed.cut |= found.len() >= MOST_STEPS as usize;
    tailed.all.extend(found.into_iter().filter_map(|(id, at_ms, channel, contact, m_id, subject, times, detail)| {
        Some(TailEntry {
            side: if subject == super::journey::OF_MESSAGE { Side::Out } else { Side::In },
            id,
            at_ms,
            channel: channel?,
            contact: contact?,
            m_id: m_id?,
            what: TailStep::Step { step: serde_json::from_str(&detail).ok(), times },
        })
    }));
    if tailed.cut {
        let since = values![from.outbound_id, MOST_COUNTED, from.event_id, from.since_ms];
        let counted: Option<(i64,)> = db.optional(sql::HAPPENED, since).await?;
        tailed.happened = counted.and_then(|(counted,)| u64::try_from(counted).ok()).unwrap_or_default();
    }
    tailed.all.sort_by_key(|entry| (entry.at_ms, entry.id));
    Ok(tailed)
}
