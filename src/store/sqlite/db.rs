//! Helpers of this engine's operations for a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::domain::MId;
use crate::store::sql_bulk::{self, BulkByIds};
use crate::store::sql_find::{self, ByIds};
use crate::store::tx::{BoxError, Columns, FromRow, Lane, Retention, Tx, Value, corrupt, table, values};
use crate::store::{NewOutbound, StoreError, sql, sql_journey};

/// Steps of SQLite's virtual machine between two looks at the clock: about a tenth of a millisecond.
const STEPS: i32 = 10_000;

/// Lifts what [`Tx::limit_statements`] set.
pub(super) fn lift_limit(db: &Connection) {
    let _ = db.progress_handler(0, None::<fn() -> bool>); // the connection is this process's own
}

/// The connection inside an operation of the writer, or on a reader. There is one writer, so nothing is locked, and one
/// process, so no event waits for another.
pub(super) struct SqliteTx<'c>(pub(super) &'c Connection);

impl Tx for SqliteTx<'_> {
    const RETENTION: Retention = Retention {
        wipe_outbound: sql::WIPE_OUTBOUND,
        wipe_events: sql::WIPE_EVENTS,
        wipe_choices: sql::WIPE_CHOICES,
        drop_outbound: sql::DROP_OUTBOUND,
        drop_events: sql::DROP_EVENTS,
    };
    const FIND_CONVERSATION: &'static str = sql::CONVERSATION;
    const ADD_CONVERSATION: &'static str = sql::ADD_CONVERSATION;
    const EPOCH: &'static str = sql::EPOCH;
    const BY_IDS: ByIds = sql_find::SQLITE;
    const BULK_BY_IDS: BulkByIds = sql_bulk::SQLITE;

    async fn limit_statements(&mut self, within: Duration) -> Result<(), StoreError> {
        let until = Instant::now() + within;
        self.0.progress_handler(STEPS, Some(move || Instant::now() >= until)).map_err(unavailable)
    }

    async fn execute(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<u64, StoreError> {
        let changed = self.0.prepare_cached(statement).and_then(|mut s| s.execute(params_from_iter(args)));
        Ok(changed.map_err(unavailable)? as u64)
    }

    async fn rows<R: FromRow>(&mut self, statement: &'static str, args: &[Value<'_>]) -> Result<Vec<R>, StoreError> {
        let mut prepared = self.0.prepare_cached(statement).map_err(unavailable)?;
        let mut rows = prepared.query(params_from_iter(args)).map_err(unavailable)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(unavailable)? {
            found.push(R::from_row(row).map_err(corrupt(table(statement)))?);
        }
        Ok(found)
    }

    async fn lock(&mut self, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock_channel(&mut self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn held_events(&mut self, _: &[i64]) -> Result<Vec<i64>, StoreError> {
        Ok(Vec::new())
    }

    async fn due_lanes(
        &mut self,
        channel: &str,
        live_since_ms: i64,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Lane>, StoreError> {
        let most = limit as usize;
        let mut lanes: Vec<Lane> = self.rows(sql::DUE_LIVE, values![channel, live_since_ms, now_ms, limit]).await?;
        if lanes.len() < most {
            for lane in self.rows::<Lane>(sql::DUE_ANY, values![channel, now_ms, limit]).await? {
                if lanes.len() < most && lanes.iter().all(|known| known.conversation != lane.conversation) {
                    lanes.push(lane);
                }
            }
        }
        Ok(lanes)
    }

    async fn awaited(&mut self, _: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
        Ok(Vec::new())
    }

    async fn hold_event(&mut self, _: i64, _: i64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn add_outbound(&mut self, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError> {
        let (m_id, kind, at_ms) = (new.m_id.as_str(), new.content.kind(), new.accepted_ms);
        let opened = Tx::execute(self, sql::OPEN_OUTBOUND_LANE, values![at_ms, conversation]).await?;
        let values = values![conversation, m_id, kind, content, at_ms, new.request_id.as_str()];
        Tx::execute(self, sql::ADD_OUTBOUND, values).await?;
        Ok(opened == 0)
    }

    async fn respond_again(&mut self, m_id: &MId) -> Result<(), StoreError> {
        Tx::execute(self, sql::ANSWER_AGAIN, values![m_id.as_str()]).await.map(drop)
    }

    async fn lose_response(&mut self, m_id: &MId) -> Result<(), StoreError> {
        Tx::execute(self, sql::ANSWER_LOST, values![m_id.as_str()]).await.map(drop)
    }

    async fn lock_responses(&mut self, _: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn lock_owner(&mut self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn other_processes(&mut self) -> Result<i64, StoreError> {
        Ok(0)
    }

    async fn known_contacts(&mut self, channel: &str, contacts: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut known = Vec::new();
        for contact in contacts {
            let found: Vec<(String,)> = Tx::rows(self, sql::IS_KNOWN, values![channel, &contact]).await?;
            known.extend((!found.is_empty()).then_some(contact));
        }
        Ok(known)
    }

    async fn wipe_excerpts(&mut self, subject: &'static str, ids: &[i64]) -> Result<(), StoreError> {
        for id in ids {
            Tx::execute(self, sql_journey::WIPE_EXCERPTS, values![subject, id]).await?;
        }
        Ok(())
    }

    async fn delete_steps(&mut self, subject: &'static str, ids: &[i64]) -> Result<(), StoreError> {
        for id in ids {
            Tx::execute(self, sql_journey::DELETE_STEPS, values![subject, id]).await?;
        }
        Ok(())
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) => ToSqlOutput::from(*value),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::NoInt | Self::NoText => ToSqlOutput::Borrowed(ValueRef::Null),
        })
    }
}

impl Columns for Row<'_> {
    fn int(&self, at: usize) -> Result<Option<i64>, BoxError> {
        match self.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(FromSqlError::InvalidType.into()),
        }
    }

    fn text(&self, at: usize) -> Result<Option<String>, BoxError> {
        match self.get_ref(at)? {
            ValueRef::Null => Ok(None),
            value => Ok(Some(value.as_str()?.to_owned())),
        }
    }
}

/// The engine could not do it; may work later.
pub(super) fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(Arc::new(error))
}

/// Makes a write that changes nothing, to detect that there is room again.
pub(super) fn probe(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch("CREATE TABLE probe (x BLOB); INSERT INTO probe VALUES (zeroblob(8192)); DROP TABLE probe;")
        .map_err(unavailable)
}
