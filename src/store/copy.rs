//! `bridge store copy`: a whole store from SQLite to PostgreSQL, as it stands, in one transaction there. The copy is
//! committed first, then the source is marked, so that no bridge serves both; a process that ends in between leaves a
//! copy that knows its source, and the next run completes the work.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::StoreError;
use super::copy_rows::{Piece, Table};
use super::postgres::{PostgresStore, Target, TargetError};
use super::sqlite::{ReadError, Source, SourceError};
use crate::crashpoint;
use crate::domain::clock::wall_ms;

/// Batches of rows between reader and writer, at most.
const AHEAD: usize = 4;

/// Result of a copy.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Rows by table.
    pub(crate) tables: Vec<(String, u64)>,
    /// The database, without its password.
    pub(crate) place: String,
    /// It was complete before this run.
    pub(crate) before: bool,
}

/// Why nothing was copied, or what is left to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("the store cannot be copied from; nothing was copied")]
    Source(#[source] SourceError),
    #[error("the store cannot be copied to; nothing was copied")]
    Target(#[source] TargetError),
    #[error(
        "{place} holds a store with rows already ({tables}): name an empty database or schema, or empty this one if nobody \
         needs what it holds (DROP SCHEMA … CASCADE, CREATE SCHEMA …); nothing was copied"
    )]
    NotEmpty { place: String, tables: String },
    #[error(
        "{place} holds the copy of {source_file} that was made at {at}, and {file} is another store or has changed since. If \
         that copy has been served, it is the one to go on with, and {file} must not be served. If it never was, empty it \
         (DROP SCHEMA … CASCADE, CREATE SCHEMA …) and copy again; nothing was changed"
    )]
    Other { place: String, source_file: String, at: String, file: String },
    #[error(
        "{file} was copied to {moved} already, and {place} does not hold that copy: set store.url to the copy. Only where \
         nothing was ever served from it, `bridge store reopen --from sqlite:{file} --copy-never-served` puts the file back \
         in use, and then it can be copied again; nothing was changed"
    )]
    Moved { file: String, moved: String, place: String },
    #[error("{file} was not copied away: there is nothing to put back in use, serve it as it is")]
    NotMoved { file: String },
    #[error(
        "table `{table}` is not the same on both sides ({detail}): use the same version of bridge for the source and the \
         target; nothing was copied"
    )]
    Differs { table: String, detail: String },
    #[error(
        "row {row} of table `{table}` holds something in `{column}` that is neither text nor a number: keep the file and look \
         at it with `sqlite3`; nothing was copied"
    )]
    Unreadable { table: String, row: u64, column: String },
    #[error("table `{table}` has {there} rows in the copy and {here} in the source: nothing was copied")]
    Count { table: String, here: u64, there: i64 },
    #[error(
        "the copy to {place} broke off and was undone whole; {file} is as it was. Put the cause right and copy again"
    )]
    BrokeOff {
        place: String,
        file: String,
        #[source]
        source: StoreError,
    },
    #[error(
        "{place} did not say whether it has committed the copy. Serve neither of the two: run the same command again, it \
         finds out and ends the work"
    )]
    Uncertain {
        place: String,
        #[source]
        source: StoreError,
    },
    #[error(
        "the copy in {place} is complete, but {file} could not be marked as copied. Do not serve {file}; put the cause right \
         and run the same command again"
    )]
    Unmarked {
        place: String,
        file: String,
        #[source]
        source: Box<SourceError>,
    },
    #[error("the copy broke off inside; nothing was copied")]
    Inside,
}

/// Copies the store in `file` into the empty database at `url`, and marks `file` so that it is not served again. If an
/// earlier run ended between the two, only the mark is made.
///
/// # Errors
/// [`CopyError`], for the operator: nothing was copied, or what to do to complete the work.
pub(crate) async fn copy(file: &Path, url: &str) -> Result<Copied, CopyError> {
    PostgresStore::verify(url).map_err(CopyError::Target)?;
    let source = hold(file).await?;
    let mut target = Target::open(url).await.map_err(CopyError::Target)?;
    let (name, place) = (source.name(), target.place().to_owned());
    let broke_off = |source| CopyError::BrokeOff { place: place.clone(), file: name.clone(), source };
    let tables = source.tables().map_err(CopyError::Source)?;
    same(&tables, &target.tables().await.map_err(broke_off)?)?;
    if let Some(former) = target.former().await.map_err(broke_off)? {
        let (source, rows, digest) = blocking(move || whole(source, &tables, |_| true)).await??;
        if digest != former.digest {
            return Err(CopyError::Other { place, source_file: former.source, at: former.at, file: name });
        }
        target.abandon().await;
        return mark_moved(source, rows, place, true).await;
    }
    if let Some(moved) = source.moved() {
        return Err(CopyError::Moved { file: name, moved: moved.to_owned(), place });
    }
    target.lock(&tables).await.map_err(broke_off)?;
    let taken = target.with_rows(&tables).await.map_err(broke_off)?;
    if !taken.is_empty() {
        return Err(CopyError::NotEmpty { place, tables: taken.join(", ") });
    }
    let (hand_on, mut handed) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking({
        let tables = tables.clone();
        move || whole(source, &tables, |piece| hand_on.blocking_send(piece).is_ok())
    });
    let written = target.fill(&tables, &mut handed).await;
    drop(handed);
    let read = reader.await.map_err(|_| CopyError::Inside)?;
    // If both failed, the writer's error is the cause: when the reader fails, the writer ends without one.
    written.map_err(broke_off)?;
    let (source, rows, digest) = read?;
    for (table, here) in &rows {
        let there = target.count(table).await.map_err(broke_off)?;
        if u64::try_from(there) != Ok(*here) {
            return Err(CopyError::Count { table: table.clone(), here: *here, there });
        }
    }
    target.complete(&name, &digest, wall_ms()).await.map_err(broke_off)?;
    crashpoint::hit("copy", crashpoint::BEFORE_COMMIT);
    target.commit().await.map_err(|source| CopyError::Uncertain { place: place.clone(), source })?;
    crashpoint::hit("copy", crashpoint::AFTER_COMMIT);
    mark_moved(source, rows, place, false).await
}

/// Puts a store back in use that was copied away.
///
/// # Errors
/// [`CopyError`], for the operator.
pub(crate) async fn reopen(file: &Path) -> Result<(), CopyError> {
    let source = hold(file).await?;
    if source.moved().is_none() {
        return Err(CopyError::NotMoved { file: source.name() });
    }
    blocking(move || source.unmark_moved()).await?.map_err(CopyError::Source)
}

async fn hold(file: &Path) -> Result<Source, CopyError> {
    let file = file.to_owned();
    blocking(move || Source::open(&file)).await?.map_err(CopyError::Source)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CopyError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CopyError::Inside)
}

/// The source is marked last: from then on it is not served.
async fn mark_moved(
    source: Source,
    tables: Vec<(String, u64)>,
    place: String,
    before: bool,
) -> Result<Copied, CopyError> {
    if source.moved().is_none() {
        let (file, to) = (source.name(), place.clone());
        let marked = blocking(move || source.mark_moved(&to, wall_ms())).await?;
        marked.map_err(|source| CopyError::Unmarked { place: place.clone(), file, source: Box::new(source) })?;
        crashpoint::hit("mark", crashpoint::AFTER_COMMIT);
    }
    Ok(Copied { tables, place, before })
}

impl From<ReadError> for CopyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Source(source) => Self::Source(source),
            ReadError::Unreadable { table, row, column } => Self::Unreadable { table, row, column },
        }
    }
}

type Whole = (Source, Vec<(String, u64)>, String);

/// Reads all tables in turn. Returns the number of rows of each, and a digest of all.
fn whole(source: Source, tables: &[Table], take: impl Fn(Piece) -> bool) -> Result<Whole, CopyError> {
    let mut digest = Sha256::new();
    let mut rows = Vec::with_capacity(tables.len());
    for table in tables {
        digest.update(format!("{}\n", table.name));
        rows.push((table.name.clone(), source.read(table, &mut digest, |batch| take(Piece::Rows(batch)))?));
        take(Piece::End);
    }
    let hex = digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok((source, rows, hex))
}

/// Checks that both sides have the same tables with the same columns, so that nothing is left behind unnoticed.
fn same(here: &[Table], there: &[Table]) -> Result<(), CopyError> {
    let differs = |table: &Table, detail: String| Err(CopyError::Differs { table: table.name.clone(), detail });
    for table in here {
        match there.iter().find(|other| other.name == table.name) {
            None => return differs(table, "the target has no such table".into()),
            Some(other) => {
                if let Some(detail) = table.difference(other) {
                    return differs(table, detail);
                }
            }
        }
    }
    match there.iter().find(|table| !here.iter().any(|other| other.name == table.name)) {
        Some(table) => differs(table, "the source has no such table".into()),
        None => Ok(()),
    }
}
