//! Examines the file for an operator.

use super::db::SqliteTx;
use crate::store::StoreError;
use crate::store::examination::Examination;
use crate::store::tx::{Tx as _, values};

const VERSION: &str = "SELECT sqlite_version()";
/// Reads every page and stops at the first fault.
const CHECK: &str = "PRAGMA quick_check(1)";

pub(super) async fn examine(mut db: SqliteTx<'_>) -> Result<Examination, StoreError> {
    let version: String = db.one(VERSION, values![]).await?;
    let found: String = db.one(CHECK, values![]).await?;
    let damage = (found != "ok").then_some(found);
    Ok(Examination { engine: format!("SQLite {version}"), damage, server: None })
}
