//! The audit: what persons did. Rows are added within the transaction of what was done, and are
//! not changed, except that the reason goes with an erased person (`ops/erase.rs`).

use crate::domain::journey::Operator;
use crate::store::StoreError;
use crate::store::sql_journey as sql;
use crate::store::tx::{Tx, values};

/// How long rows are kept.
const KEPT_MS: i64 = 400 * 24 * 60 * 60 * 1000;

/// One deed.
pub(in crate::store) struct Deed<'a> {
    pub(in crate::store) by: &'a Operator,
    /// A verb, `retry`.
    pub(in crate::store) what: &'a str,
    /// An mId, the name of a channel, the id of a job; never a contact.
    pub(in crate::store) target: &'a str,
    /// JSON of what else matters.
    pub(in crate::store) detail: Option<&'a str>,
    /// Names the request, where the same one must not be carried out twice.
    pub(in crate::store) once: Option<&'a str>,
}

/// Adds a row. Returns false, and adds none, if there is one for the same `once`: the caller changes nothing then.
pub(in crate::store) async fn record(db: &mut impl Tx, deed: &Deed<'_>, now_ms: i64) -> Result<bool, StoreError> {
    let Deed { by, what, target, detail, once } = deed;
    let values = values![now_ms, by.who(), by.means.name(), *what, *target, *detail, *once];
    Ok(db.execute(sql::ADD_AUDIT, values).await? == 1)
}

/// Deletes rows that are older than they are kept, `limit` at most. Returns their number.
pub(in crate::store) async fn purge(db: &mut impl Tx, now_ms: i64, limit: u32) -> Result<u64, StoreError> {
    db.execute(sql::DROP_AUDIT, values![now_ms.saturating_sub(KEPT_MS), limit]).await
}
