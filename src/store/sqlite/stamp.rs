//! The stamp of a store: its id and the number of its commits, in a table of its own. Every commit writes it, so each
//! generation of the WAL and the file below it show whether they belong together, and the journal of responses shows
//! which commits were acknowledged.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::str::FromStr;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::domain::MId;

const ID: usize = 32;
const DIGITS: usize = 20;
/// Length of the stored form: `id:number`, always the same, so that it is rewritten in place.
pub(super) const LENGTH: usize = ID + 1 + DIGITS;

/// Created by the engine and not by a migration: it is about files, which the other engine does not have.
const MAKE: &str = "CREATE TABLE IF NOT EXISTS store_stamp (stamp TEXT NOT NULL)";
const ADD: &str = "INSERT INTO store_stamp (stamp) VALUES ($1)";
const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'store_stamp')";
const READ: &str = "SELECT stamp FROM store_stamp";
const NEXT: &str = "UPDATE store_stamp SET stamp = substr(stamp, 1, 33) || printf('%020d', substr(stamp, 34) + 1) \
     RETURNING stamp";

/// Bytes of a WAL's header, and of the header of each of its frames (<https://sqlite.org/fileformat2.html>, section 4).
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// Which store a file belongs to, and how many commits it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) id: String,
    pub(super) commits: u64,
}

/// A text that is not a stamp.
#[derive(Debug, thiserror::Error)]
#[error("not a stamp")]
pub(super) struct NoStamp;

impl FromStr for Stamp {
    type Err = NoStamp;
    fn from_str(text: &str) -> Result<Self, NoStamp> {
        let (id, commits) = text.split_once(':').ok_or(NoStamp)?;
        let digits = |text: &str, most: usize, radix| text.len() == most && text.chars().all(|c| c.is_digit(radix));
        if !digits(id, ID, 16) || !digits(commits, DIGITS, 10) {
            return Err(NoStamp);
        }
        Ok(Self { id: id.to_owned(), commits: commits.parse().map_err(|_| NoStamp)? })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:020}", self.id, self.commits)
    }
}

impl Stamp {
    /// Returns the stamp on a page that holds the table, `None` for every other page. The whole form of the page is
    /// compared (a leaf with one cell of one text), so that no text of a customer is taken for a stamp.
    fn on_page(page: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
        if *page.first()? != 0x0D || word(3)? != 1 {
            return None;
        }
        let cell = page.get(word(5)?..)?;
        // Length of the payload, rowid, length of the record's header, type of a text of that length.
        let (record, serial) = (u8::try_from(LENGTH + 2).ok()?, u8::try_from(13 + 2 * LENGTH).ok()?);
        if cell.len() != LENGTH + 4 || (cell[0], cell[2], cell[3]) != (record, 2, serial) {
            return None;
        }
        std::str::from_utf8(&cell[4..]).ok()?.parse().ok()
    }
}

/// Creates the table if it is missing. Returns whether it was.
pub(super) fn make(db: &mut Connection) -> rusqlite::Result<bool> {
    let step = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    step.execute(MAKE, [])?;
    if read(&step)?.is_some() {
        return Ok(false);
    }
    let first = Stamp { id: MId::fresh().to_string(), commits: 1 };
    step.execute(ADD, [first.to_string()])?;
    step.commit()?;
    Ok(true)
}

/// Returns whether the store has a stamp: one of an older version gets it when it is served.
pub(super) fn exists(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row(EXISTS, [], |row| row.get(0))
}

/// Counts the commit of the open transaction. Returns the new stamp.
pub(super) fn next(db: &Connection) -> rusqlite::Result<Option<Stamp>> {
    let next: Option<String> = db.prepare_cached(NEXT)?.query_row([], |row| row.get(0)).optional()?;
    next.map(|text| parse(&text)).transpose()
}

/// Returns the stamp as the connection sees it, `None` where the store has none.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Stamp>> {
    if !exists(db)? {
        return Ok(None);
    }
    let stamp: Option<String> = db.query_row(READ, [], |row| row.get(0)).optional()?;
    stamp.map(|text| parse(&text)).transpose()
}

/// Returns a connection that sees the file alone, as if it had no WAL.
pub(super) fn alone(file: &Path) -> rusqlite::Result<Connection> {
    // These three are special in a URI.
    let name = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

/// Returns the stamps of a WAL in the order of its frames, whether they are valid or not. Those of former generations
/// come last and are lower.
pub(super) fn of_log(log: &Path, page_size: u64) -> std::io::Result<Vec<Stamp>> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let mut page = vec![0; usize::try_from(page_size).unwrap_or(0)];
    let (mut at, mut stamps) = (LOG_HEADER + FRAME_HEADER, Vec::new());
    while at + page_size <= size {
        // Most pages hold many cells and are known by the first bytes.
        file.read_exact_at(&mut page[..8], at)?;
        if page[0] == 0x0D && page[3..5] == [0, 1] {
            file.read_exact_at(&mut page, at)?;
            stamps.extend(Stamp::on_page(&page));
        }
        at += page_size + FRAME_HEADER;
    }
    Ok(stamps)
}

fn parse(text: &str) -> rusqlite::Result<Stamp> {
    text.parse().map_err(|error: NoStamp| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, std::path::PathBuf, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a # of % 100? .db");
        let mut db = Connection::open(&file).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        assert!(make(&mut db).unwrap() && !make(&mut db).unwrap(), "made once");
        (folder, file, db)
    }

    #[test]
    fn the_file_and_its_log_show_how_far_each_of_them_is() {
        let (_folder, file, db) = place();
        let of_file = || read(&alone(&file).unwrap()).unwrap();
        assert_eq!(of_file(), None, "all is in the log");
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        for _ in 0..120 {
            next(&db).unwrap();
        }
        let here = read(&db).unwrap().unwrap();
        assert_eq!((here.commits, of_file().map(|stamp| stamp.commits)), (121, Some(1)));
        let log = of_log(&file.with_file_name("a # of % 100? .db-wal"), 4096).unwrap();
        assert_eq!(log.iter().map(|stamp| stamp.commits).collect::<Vec<_>>(), (2..=121).collect::<Vec<_>>());
        assert!(log.iter().all(|stamp| stamp.id == here.id));
    }

    #[test]
    fn words_that_look_like_a_stamp_are_none() {
        let (_folder, file, db) = place();
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE t (a BIGINT, b TEXT)").unwrap();
        let forged = Stamp { id: "f".repeat(32), commits: 9_999 }.to_string();
        db.execute("INSERT INTO t VALUES (1, $1)", [&forged]).unwrap();
        db.execute("INSERT INTO t VALUES (NULL, $1)", [forged.repeat(70)]).unwrap();
        assert_eq!(of_log(&file.with_file_name("a # of % 100? .db-wal"), 4096).unwrap(), []);
        for wrong in ["", ":", "zz:1", &forged[1..], &format!("{forged}0"), &forged.replace('9', "x")] {
            assert!(wrong.parse::<Stamp>().is_err(), "{wrong}");
        }
        assert_eq!(forged.parse::<Stamp>().unwrap().to_string(), forged);
    }
}
