//! Examines the file for an operator.

use std::time::{Duration, Instant};

use super::db::{SqliteTx, lift_limit};
use crate::store::StoreError;
use crate::store::examination::{DataCheck, Examination};
use crate::store::tx::{Tx as _, values};

const VERSION: &str = "SELECT sqlite_version()";
/// Reads every page and stops at the first fault.
const CHECK: &str = "PRAGMA quick_check(1)";

/// Ends the check of the data after `within`: while it reads, the write-ahead log cannot be reset and grows.
pub(super) async fn examine(mut db: SqliteTx<'_>, within: Duration) -> Result<Examination, StoreError> {
    let version: String = db.one(VERSION, values![]).await?;
    let until = Instant::now() + within;
    db.limit_statements(within).await?;
    let found: Result<String, StoreError> = db.one(CHECK, values![]).await;
    lift_limit(db.0);
    let data = match found {
        Ok(found) if found == "ok" => DataCheck::Sound,
        Ok(found) => DataCheck::Damaged(found),
        Err(StoreError::Unavailable(_)) if Instant::now() >= until => DataCheck::NotFinished,
        Err(error) => return Err(error),
    };
    Ok(Examination { engine: format!("SQLite {version}"), data, server: None })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::tx::at_once;

    #[test]
    fn a_check_of_the_data_that_takes_too_long_is_ended_and_is_no_fault() {
        let db = Connection::open_in_memory().unwrap();
        let rows = "CREATE TABLE rows (x NOT NULL); WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT \
                    100000) INSERT INTO rows SELECT x FROM n";
        db.execute_batch(rows).unwrap();
        let examined = |within| at_once(examine(SqliteTx(&db), within)).unwrap().data;
        assert_eq!(examined(Duration::ZERO), DataCheck::NotFinished);
        let count: i64 = db.query_row("SELECT SUM(x > 0) FROM rows", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 100_000, "other statements are not limited");
        assert_eq!(examined(Duration::from_mins(1)), DataCheck::Sound);
    }
}
