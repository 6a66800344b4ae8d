//! Examines the server for an operator.

use std::time::Instant;

use super::db::Db;
use crate::store::StoreError;
use crate::store::examination::{DataCheck, DatabaseServer, Examination};
use crate::store::tx::{Tx, values};

const SERVER: &str = "SELECT current_setting('server_version'), current_setting('server_version_num')::bigint, \
     current_setting('server_encoding'), \
     current_setting('max_connections')::bigint - (SELECT COUNT(*) FROM pg_stat_activity WHERE datid IS NOT NULL), \
     (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";

/// `unverified` and `pooler`: how the server is reached.
pub(super) async fn examine(db: &mut Db, unverified: bool, pooler: bool) -> Result<Examination, StoreError> {
    let _: Option<(i64,)> = Tx::optional(db, "SELECT 1::bigint", values![]).await?; // connects, where there is no connection yet
    let asked = Instant::now();
    let _: Option<(i64,)> = Tx::optional(db, "SELECT 1::bigint", values![]).await?;
    let round_trip = asked.elapsed();
    let found: Option<(String, i64, String, i64, i64)> = Tx::optional(db, SERVER, values![]).await?;
    let (words, version, encoding, connections_left, clock_ms) = found.unwrap_or_default();
    let server = DatabaseServer { version, encoding, connections_left, round_trip, unverified, pooler, clock_ms };
    Ok(Examination { engine: format!("PostgreSQL {words}"), data: DataCheck::Sound, server: Some(server) })
}
