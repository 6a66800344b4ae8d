//! Pauses by hand: begun and ended by a person, for one channel each. What begins sends and reads due events heeds them
//! in its own statement (`sql_pauses.rs`), so that a pause holds from its commit on, in whichever process owns the channel.

use super::audit::{self, Deed};
use crate::domain::ChannelName;
use crate::domain::journey::{Operator, PastPause, PauseCause};
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::store::sql_pauses as sql;
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Tx, values};
use crate::store::{Paused, StoreError};

impl FromRow for OperatorPause {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let kind = String::read(row, 1)?;
        Ok(Self {
            channel: Cell::read(row, 0)?,
            kind: kind.parse()?,
            since_ms: Cell::read(row, 2)?,
            who: Cell::read(row, 3)?,
            why: Cell::read(row, 4)?,
        })
    }
}

/// Begins a pause, unless one lasts. A transaction that began sends before it has ended by then, so that none is handed out after the
/// commit.
pub(in crate::store) async fn pause(
    db: &mut impl Tx,
    channel: &ChannelName,
    kind: PauseKind,
    by: &Operator,
    now_ms: i64,
) -> Result<Paused, StoreError> {
    let why = by.why().unwrap_or_default();
    if kind == PauseKind::Out {
        db.lock_owner(channel.as_str()).await?;
    }
    // One that another person ends between the two statements is in the way of the first and not found by the second.
    while db.execute(sql::ADD_PAUSE, values![channel.as_str(), kind.name(), now_ms, by.who(), why]).await? == 0 {
        if let Some(lasting) = lasting_of(db, channel.as_str(), kind).await? {
            return Ok(Paused::Already(lasting));
        }
    }
    record(db, &format!("pause {}", kind.name()), channel, by, now_ms).await?;
    Ok(Paused::Now)
}

/// Ends a pause and returns it; `None` if none lasts.
pub(in crate::store) async fn resume(
    db: &mut impl Tx,
    channel: &ChannelName,
    kind: PauseKind,
    by: &Operator,
    now_ms: i64,
) -> Result<Option<OperatorPause>, StoreError> {
    let lasting = lasting_of(db, channel.as_str(), kind).await?;
    if lasting.is_none() || db.execute(sql::END_PAUSE, values![now_ms, channel.as_str(), kind.name()]).await? == 0 {
        return Ok(None);
    }
    record(db, &format!("resume {}", kind.name()), channel, by, now_ms).await?;
    Ok(lasting)
}

/// Returns the pauses that last, by channel.
pub(in crate::store) async fn lasting(db: &mut impl Tx) -> Result<Vec<OperatorPause>, StoreError> {
    db.rows(sql::LASTING_PAUSES, values![]).await
}

/// Returns the pause of this kind that lasts for a channel.
pub(in crate::store) async fn lasting_of(
    db: &mut impl Tx,
    channel: &str,
    kind: PauseKind,
) -> Result<Option<OperatorPause>, StoreError> {
    db.optional(sql::LASTING_PAUSE, values![channel, kind.name()]).await
}

/// A pause that a fault ended and began again within this time is one.
const SAME_PAUSE_MS: i64 = 60_000;

/// Records that a fault pauses a channel since `now_ms`, unless it does already, or that none does any more.
pub(in crate::store) async fn by_fault(
    db: &mut impl Tx,
    channel: &str,
    fault: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    db.execute(sql::END_FAULT, values![now_ms, channel, fault]).await?;
    let Some(fault) = fault else { return Ok(()) };
    let again = db.execute(sql::FAULT_AGAIN, values![channel, fault, now_ms.saturating_sub(SAME_PAUSE_MS)]).await?;
    if again == 0 {
        db.execute(sql::ADD_FAULT, values![channel, fault, now_ms]).await?;
    }
    Ok(())
}

impl FromRow for PastPause {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let (who, why, fault): (Option<String>, Option<String>, Option<String>) =
            (Cell::read(row, 2)?, Cell::read(row, 3)?, Cell::read(row, 4)?);
        let cause = match (who, why, fault) {
            (_, _, Some(fault)) => PauseCause::Fault { fault },
            (who, why, None) => PauseCause::Person { who: who.unwrap_or_default(), why: why.unwrap_or_default() },
        };
        Ok(Self { since_ms: Cell::read(row, 0)?, ended_ms: Cell::read(row, 1)?, cause })
    }
}

/// Returns the pauses of sends of a channel that lasted within a time, the first of the last 20 first.
pub(in crate::store) async fn within(
    db: &mut impl Tx,
    channel: &str,
    from_ms: i64,
    until_ms: i64,
) -> Result<Vec<PastPause>, StoreError> {
    let mut found: Vec<PastPause> = db.rows(sql::PAUSES_WITHIN, values![channel, from_ms, until_ms]).await?;
    found.reverse();
    Ok(found)
}

async fn record(
    db: &mut impl Tx,
    what: &str,
    channel: &ChannelName,
    by: &Operator,
    now_ms: i64,
) -> Result<(), StoreError> {
    let detail = by.why().map(|why| serde_json::json!({ "why": why }).to_string());
    let deed = Deed { by, what, target: channel.as_str(), detail: detail.as_deref(), once: None };
    audit::record(db, &deed, now_ms).await.map(drop)
}
