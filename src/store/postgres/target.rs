//! The database that a store is copied into: one transaction from the schema to the last count, so that a copy which breaks
//! off leaves nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::db::{Db, args};
use super::open::{self, OpenError};
use super::reach;
use super::sql;
use crate::store::StoreError;
use crate::store::copy_rows::{Column, Kind, LEFT_OUT, LEFT_OUT_OF, Piece, Table, quoted};

/// Longest time without a reply of the server. A commit of a large copy may take long on a slow disk.
const REPLY_TIMEOUT: Duration = Duration::from_mins(2);

/// Tables about the schema, which are not copied.
const BOOKS: &[&str] = &["bridge_steps", "bridge_copies"];

/// An open transaction in a database whose schema is that of this version.
pub(in crate::store) struct Target {
    db: Db,
    place: String,
}

/// The copy that a database holds.
pub(in crate::store) struct Former {
    pub(in crate::store) digest: String,
    pub(in crate::store) source: String,
    pub(in crate::store) at: String,
}

/// The server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL said nothing for {REPLY_TIMEOUT:?}")]
struct Silent;

impl Target {
    /// Begins the transaction, and creates or migrates the schema in it.
    pub(in crate::store) async fn open(url: &str) -> Result<Self, OpenError> {
        let (options, _) = open::options(url)?;
        let place = reach::place(&options);
        // Nothing stays prepared; one transaction stays on one server process, also through a pooler.
        let mut db = Db::new(open::connect(&options, &place).await?, false, "".into());
        let engine = |source| OpenError::Engine { place: place.clone(), source };
        db.run(sql::BEGIN_COPY).await.map_err(engine)?;
        open::prepare(&mut db, &place, true).await?;
        db.execute(sql::COMMIT_FOR_GOOD, args![]).await.map_err(engine)?;
        let schema: String = db.one(sql::SCHEMA, args![]).await.map_err(engine)?;
        let place = format!("{place}, schema `{schema}`");
        Ok(Self { db, place })
    }

    /// Returns the database and schema for messages, without its password.
    pub(in crate::store) fn place(&self) -> &str {
        &self.place
    }

    /// Returns the tables to fill.
    pub(in crate::store) async fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let found: Vec<(String, String, String)> = self.db.rows(sql::COLUMNS, args![]).await?;
        let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        for (table, name, kind) in found {
            if LEFT_OUT_OF.contains(&(table.as_str(), name.as_str())) {
                continue;
            }
            let kind = match kind.as_str() {
                "text" => Kind::Text,
                "bigint" => Kind::Whole,
                _ => Kind::Other(kind),
            };
            tables.entry(table).or_default().push(Column { name, kind });
        }
        let of_a_business = |name: &str| !BOOKS.contains(&name) && !LEFT_OUT.contains(&name);
        let tables = tables.into_iter().filter(|(name, _)| of_a_business(name));
        Ok(tables.map(|(name, columns)| Table { name, columns, key: Vec::new() }).collect())
    }

    /// Locks these tables against other writers until the end of the transaction.
    pub(in crate::store) async fn lock(&mut self, tables: &[Table]) -> Result<(), StoreError> {
        let all: Vec<String> = tables.iter().map(|table| quoted(&table.name)).collect();
        self.run(format!("LOCK TABLE {} IN EXCLUSIVE MODE", all.join(", "))).await
    }

    /// Returns the copy that the database holds.
    pub(in crate::store) async fn former(&mut self) -> Result<Option<Former>, StoreError> {
        self.db.run(sql::MAKE_COPIES).await?;
        let found: Option<(String, String, i64)> = self.db.optional(sql::FORMER_COPY, args![]).await?;
        Ok(found.map(|(digest, source, at_ms)| {
            let at =
                jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.0}"));
            Former { digest, source, at }
        }))
    }

    /// Returns those of these tables that hold rows.
    pub(in crate::store) async fn with_rows(&mut self, tables: &[Table]) -> Result<Vec<String>, StoreError> {
        let mut taken = Vec::new();
        for table in tables {
            let first = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {} LIMIT 1) AS first", quoted(&table.name));
            if self.number(first).await? != Some(0) {
                taken.push(table.name.clone());
            }
        }
        Ok(taken)
    }

    /// Writes the rows from the reader, table by table.
    pub(in crate::store) async fn fill(
        &mut self,
        tables: &[Table],
        pieces: &mut mpsc::Receiver<Piece>,
    ) -> Result<(), StoreError> {
        for table in tables {
            let copy = format!("COPY {} ({}) FROM STDIN", quoted(&table.name), table.columns_listed());
            let mut writing = soon(self.db.link().copy_in_raw(&copy)).await?;
            loop {
                match pieces.recv().await {
                    Some(Piece::Rows(rows)) => soon(writing.send(rows)).await.map(drop)?,
                    Some(Piece::End) => break,
                    // The reader has failed, and returns its error.
                    None => return soon(writing.abort("the source could not be read")).await,
                }
            }
            soon(writing.finish()).await?;
        }
        Ok(())
    }

    pub(in crate::store) async fn count(&mut self, table: &str) -> Result<i64, StoreError> {
        let count = self.number(format!("SELECT COUNT(*) FROM {}", quoted(table))).await?;
        Ok(count.unwrap_or_default())
    }

    /// Completes the copy after its rows: sets the next ids, analyses the tables, and stores the source of the copy.
    pub(in crate::store) async fn complete(
        &mut self,
        source: &str,
        digest: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let counters: Vec<(String, String)> = self.db.rows(sql::COUNTERS, args![]).await?;
        for (table, column) in counters {
            let (table, column) = (quoted(&table), quoted(&column));
            let last = self.number(format!("SELECT MAX({column}) FROM {table}")).await?.unwrap_or(0);
            // RESTART ends with the transaction where that does; setval would stay.
            let next = last.max(0).saturating_add(1);
            self.run(format!("ALTER TABLE {table} ALTER COLUMN {column} RESTART WITH {next}")).await?;
        }
        for table in self.tables().await? {
            self.run(format!("ANALYZE {}", quoted(&table.name))).await?;
        }
        self.db.execute(sql::ADD_COPY, args![digest, source, now_ms]).await.map(drop)
    }

    /// After an error the outcome is unknown.
    pub(in crate::store) async fn commit(mut self) -> Result<(), StoreError> {
        silent(timeout(REPLY_TIMEOUT, self.db.run("COMMIT")).await)?;
        self.db.close().await;
        Ok(())
    }

    /// Rolls back.
    pub(in crate::store) async fn abandon(mut self) {
        let _ = timeout(REPLY_TIMEOUT, self.db.run("ROLLBACK")).await;
        self.db.close().await;
    }

    /// Runs a statement that contains quoted names.
    async fn run(&mut self, statement: String) -> Result<(), StoreError> {
        soon(sqlx::raw_sql(AssertSqlSafe(statement)).execute(self.db.link())).await.map(drop)
    }

    /// Returns the number of a statement that contains quoted names.
    async fn number(&mut self, statement: String) -> Result<Option<i64>, StoreError> {
        let query = sqlx::query_scalar(AssertSqlSafe(statement)).persistent(false);
        soon(query.fetch_one(self.db.link())).await
    }
}

/// Waits for a reply of the server, for at most [`REPLY_TIMEOUT`].
async fn soon<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    silent(
        timeout(REPLY_TIMEOUT, asked)
            .await
            .map(|reply| reply.map_err(|error| StoreError::Unavailable(Arc::new(error)))),
    )
}

fn silent<T>(said: Result<Result<T, StoreError>, tokio::time::error::Elapsed>) -> Result<T, StoreError> {
    said.unwrap_or_else(|_| Err(StoreError::Unavailable(Arc::new(Silent))))
}
