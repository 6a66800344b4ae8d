//! A store that is read whole, to be copied to another engine, and the mark that it was. While it is open, nothing else
//! writes to it: the owner's lock keeps other bridges out, and its transaction all other programs.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::open;
use super::open_error::{OpenError, sort};
use super::response_journal::ResponseJournal;
use crate::store::copy_rows::{Column, Kind, LEFT_OUT, Table, Value, put_row, quoted};

const MARK: &str = "CREATE TABLE moved (place TEXT NOT NULL, at_ms BIGINT NOT NULL)";
const MARKED: &str = "INSERT INTO moved (place, at_ms) VALUES ($1, $2)";
const UNMARK: &str = "DROP TABLE moved";

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
     AND name NOT IN ('moved', 'store_stamp') ORDER BY name";
const COLUMNS: &str = "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid";

/// Approximate bytes of rows that are passed on together.
const BATCH: usize = 256 * 1024;

/// Why a table could not be read.
pub(in crate::store) enum ReadError {
    Source(OpenError),
    /// A value that is neither text nor a number; `row` counts from 1.
    Unreadable {
        table: String,
        row: u64,
        column: String,
    },
}

/// A store that no bridge serves.
pub(in crate::store) struct Source {
    db: Connection,
    file: PathBuf,
    /// Where it was copied to before.
    moved: Option<String>,
    _lock: File,
}

impl Source {
    /// Opens a store: migrates it and records its response journal, as its next owner would; one that was copied away
    /// is left as it is.
    pub(in crate::store) fn open(file: &Path) -> Result<Self, OpenError> {
        if !file.exists() {
            return Err(OpenError::Missing(file.to_owned()));
        }
        let (db, moved, lock) = match open::writer(file) {
            Ok((mut db, lock)) => {
                drop(ResponseJournal::open(file, &mut db)?);
                (db, None, lock)
            }
            Err(OpenError::Moved { place, .. }) => {
                let (db, lock) = open::retired(file)?;
                (db, Some(place), lock)
            }
            Err(error) => return Err(error),
        };
        db.execute_batch("BEGIN IMMEDIATE").map_err(|source| sort(file, source))?;
        Ok(Self { db, file: file.to_owned(), moved, _lock: lock })
    }

    /// Returns where it was copied to before.
    pub(in crate::store) fn moved(&self) -> Option<&str> {
        self.moved.as_deref()
    }

    /// Returns the absolute path of the file.
    pub(in crate::store) fn name(&self) -> String {
        self.file.canonicalize().unwrap_or_else(|_| self.file.clone()).display().to_string()
    }

    /// Returns the tables to copy, by name.
    pub(in crate::store) fn tables(&self) -> Result<Vec<Table>, OpenError> {
        self.schema().map_err(|source| sort(&self.file, source))
    }

    fn schema(&self) -> rusqlite::Result<Vec<Table>> {
        let names: Vec<String> = self.db.prepare(TABLES)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut tables = Vec::new();
        for name in names.into_iter().filter(|name| !LEFT_OUT.contains(&name.as_str())) {
            let mut columns = Vec::new();
            let mut key: Vec<(i64, String)> = Vec::new();
            let mut statement = self.db.prepare_cached(COLUMNS)?;
            let mut rows = statement.query([&name])?;
            while let Some(row) = rows.next()? {
                let (column, kind, place): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                if place > 0 {
                    key.push((place, column.clone()));
                }
                let kind = match kind.as_str() {
                    "TEXT" => Kind::Text,
                    "INTEGER" | "BIGINT" => Kind::Whole,
                    other => Kind::Other(other.to_owned()),
                };
                columns.push(Column { name: column, kind });
            }
            key.sort();
            tables.push(Table { name, columns, key: key.into_iter().map(|(_, column)| column).collect() });
        }
        Ok(tables)
    }

    /// Reads a table in the order of its key and passes its rows on in batches, until `take` returns false. Returns the
    /// number of rows. What was read goes into `digest`, which depends on the content alone.
    pub(in crate::store) fn read(
        &self,
        table: &Table,
        digest: &mut Sha256,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<u64, ReadError> {
        let trouble = |source| ReadError::Source(sort(&self.file, source));
        let unreadable = |count, column: &Column| ReadError::Unreadable {
            table: table.name.clone(),
            row: count + 1,
            column: column.name.clone(),
        };
        digest.update(table.columns_listed());
        let order = table.key.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let order = if order.is_empty() { order } else { format!(" ORDER BY {order}") };
        let select = format!("SELECT {} FROM {}{order}", table.columns_listed(), quoted(&table.name));
        let mut statement = self.db.prepare(&select).map_err(trouble)?;
        let mut rows = statement.query([]).map_err(trouble)?;
        let (mut batch, mut count) = (Vec::with_capacity(BATCH + BATCH / 4), 0);
        while let Some(row) = rows.next().map_err(trouble)? {
            let mut values = Vec::with_capacity(table.columns.len());
            for (at, column) in table.columns.iter().enumerate() {
                values.push(match (row.get_ref(at).map_err(trouble)?, &column.kind) {
                    (ValueRef::Null, _) => Value::Null,
                    (ValueRef::Integer(number), Kind::Whole) => Value::Whole(number),
                    (ValueRef::Text(text), Kind::Text) => {
                        Value::Text(std::str::from_utf8(text).map_err(|_| unreadable(count, column))?)
                    }
                    _ => return Err(unreadable(count, column)),
                });
            }
            put_row(&mut batch, &values);
            count += 1;
            if batch.len() >= BATCH {
                digest.update(&batch);
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH + BATCH / 4));
                if !take(full) {
                    return Ok(count);
                }
            }
        }
        digest.update(&batch);
        if !batch.is_empty() {
            take(batch);
        }
        Ok(count)
    }

    /// Marks it as copied to `place`, so that it is not served any more. Durable on return.
    pub(in crate::store) fn mark_moved(self, place: &str, at_ms: i64) -> Result<(), OpenError> {
        self.end(|db, step| {
            db.execute(MARK, [])?;
            db.execute(MARKED, params![place, at_ms])?;
            db.pragma_update(None, "user_version", step + open::MOVED)
        })
    }

    /// Removes the mark.
    pub(in crate::store) fn unmark_moved(self) -> Result<(), OpenError> {
        self.end(|db, step| {
            db.execute(UNMARK, [])?;
            db.pragma_update(None, "user_version", step - open::MOVED)
        })
    }

    /// Makes the last change of the open transaction, and commits it.
    fn end(self, change: impl FnOnce(&Connection, u32) -> rusqlite::Result<()>) -> Result<(), OpenError> {
        let step = self.db.pragma_query_value(None, "user_version", |row| row.get(0));
        step.and_then(|step| change(&self.db, step))
            .and_then(|()| self.db.execute_batch("COMMIT"))
            .map_err(|source| sort(&self.file, source))
    }
}
