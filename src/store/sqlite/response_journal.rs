//! Journal of written responses beside the store: one line each, at once, in a file that is not synced. It survives a
//! kill of the process before the next commit, and so distinguishes a call that was answered just before the kill from
//! one that was not. After a power cut it may be missing: then a response that no commit has recorded counts as lost.
//!
//! Its first line is the stamp of the last commit, rewritten after each: what was acknowledged must be in the store at
//! the next start ([`super::guard`]).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use super::files::beside;
use super::open_error::OpenError;
use super::stamp::{self, Stamp};
use crate::domain::MId;
use crate::store::sql;

/// Suffix of its name after that of the store's file.
pub(super) const ENDING: &str = ".answers";

/// Rewritten above this size: nearly all of it has long been committed.
const MOST_BYTES: u64 = 1 << 20;

/// Length of the first line, always the same, so that it is rewritten in place: stamp, blank, word, end of line.
const HEADER: usize = stamp::LENGTH + 6;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the last commit that was acknowledged.
    pub(super) stamp: Stamp,
    /// Whether the store was in use; false after a stop that left everything in its one file.
    pub(super) open: bool,
}

impl Header {
    /// Returns the first line of a journal, `None` where there is none: the journal is missing, of an older version, or
    /// was not synced before a power cut.
    pub(super) fn read(path: &Path) -> std::io::Result<Option<Self>> {
        let mut line = [0; HEADER];
        match File::open(path).and_then(|mut file| file.read_exact(&mut line)) {
            Ok(()) => Ok(Self::parse(&line)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let (stamp, word) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        let open = match word {
            "open\n" => true,
            "done\n" => false,
            _ => return None,
        };
        Some(Self { stamp: stamp.parse().ok()?, open })
    }

    fn line(&self) -> String {
        format!("{} {}\n", self.stamp, if self.open { "open" } else { "done" })
    }
}

/// The file, and its entries that no commit has recorded yet.
pub(super) struct ResponseJournal(Mutex<JournalState>);

struct JournalState {
    path: PathBuf,
    file: File,
    header: Header,
    bytes: u64,
    unrecorded: HashMap<MId, bool>,
}

impl ResponseJournal {
    /// Opens the journal beside `store`, records in the store what a former process journaled, and starts a new one.
    pub(super) fn open(store: &Path, db: &mut Connection) -> Result<Self, OpenError> {
        let path = path(store);
        let trouble = |source| OpenError::Files { path: path.clone(), source };
        let engine = |source| OpenError::Engine { file: store.to_owned(), source };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut file = options.open(&path).map_err(trouble)?;
        let mut noted = Vec::new();
        file.read_to_end(&mut noted).map_err(trouble)?;
        take_over(db, &noted).map_err(engine)?;
        let stamp = stamp::read(db).map_err(engine)?.ok_or_else(|| OpenError::Foreign(store.to_owned()))?;
        let header = Header { stamp, open: true };
        file.write_all_at(header.line().as_bytes(), 0).map_err(trouble)?;
        file.set_len(HEADER as u64).map_err(trouble)?;
        Ok(Self(Mutex::new(JournalState { path, file, header, bytes: HEADER as u64, unrecorded: HashMap::new() })))
    }

    /// Journals that a response was written in full, or that it was lost after all. If that fails, the commit that
    /// follows still records it.
    pub(super) fn note(&self, m_id: &MId, reached: bool) {
        let mut state = self.state();
        let line = line(m_id, reached);
        let _ = state.file.write_all_at(line.as_bytes(), state.bytes);
        state.bytes += line.len() as u64;
        state.unrecorded.insert(m_id.clone(), reached);
    }

    /// Removes the entries that a commit has recorded; all others stay.
    pub(super) fn recorded(&self, responses: &[(MId, bool)]) {
        let mut state = self.state();
        for (m_id, _) in responses {
            state.unrecorded.remove(m_id);
        }
        if state.bytes > MOST_BYTES {
            let _ = state.write_anew(); // if that fails, it grows on
        }
    }

    /// Journals that this commit is durable and about to be acknowledged. If that fails, the next start expects fewer
    /// commits.
    pub(super) fn committed(&self, stamp: Stamp) {
        let mut state = self.state();
        state.header.stamp = stamp;
        let _ = state.file.write_all_at(state.header.line().as_bytes(), 0);
    }

    /// Creates the file again if it was deleted or replaced: all of its content is in memory.
    pub(super) fn restore(&self) {
        let mut state = self.state();
        let id = |there: std::fs::Metadata| (there.dev(), there.ino());
        let (ours, there) = (state.file.metadata().map(id).ok(), std::fs::metadata(&state.path).map(id).ok());
        if ours != there && state.write_anew().is_ok() {
            tracing::warn!(file = %state.path.display(), "the journal of responses was deleted or replaced; it is made again");
        }
    }

    /// Closes it; `whole`: the store's one file holds everything.
    pub(super) fn close(&self, whole: bool) {
        let mut state = self.state();
        state.header.open = !whole;
        let _ = state.write_anew().and_then(|()| state.file.sync_all());
    }

    fn state(&self) -> MutexGuard<'_, JournalState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalState {
    /// Rewrites the file by an atomic rename, so that a kill leaves one complete file.
    fn write_anew(&mut self) -> std::io::Result<()> {
        let mut lines = self.header.line();
        self.unrecorded.iter().for_each(|(m_id, reached)| lines.push_str(&line(m_id, *reached)));
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all_at(lines.as_bytes(), 0)?;
        std::fs::rename(&path, &self.path)?;
        self.bytes = lines.len() as u64;
        self.file = file;
        Ok(())
    }
}

fn line(m_id: &MId, reached: bool) -> String {
    format!("{}{m_id}\n", if reached { '+' } else { '-' })
}

/// Returns the file's name, beside that of the store.
pub(super) fn path(store: &Path) -> PathBuf {
    beside(store, ENDING)
}

/// Records the last entry of each message; a line that is not an entry, such as one cut off in the middle, is ignored.
fn take_over(db: &mut Connection, noted: &[u8]) -> rusqlite::Result<()> {
    let lines = String::from_utf8_lossy(noted);
    let words = lines.split_inclusive('\n').filter_map(|line| {
        let (m_id, reached) = match line.strip_suffix('\n')? {
            line if line.starts_with('+') => (&line[1..], true),
            line if line.starts_with('-') => (&line[1..], false),
            _ => return None,
        };
        Some((m_id, reached))
    });
    let last: HashMap<&str, bool> = words.collect();
    let step = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for (m_id, reached) in last {
        step.execute(sql::ANSWER_NOTED, params![if reached { 1 } else { 2 }, m_id])?;
    }
    step.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_what_is_cut_off_says_nothing() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE outbound (m_id TEXT, answered BIGINT)").unwrap();
        for (m_id, answered) in [("a", 0), ("b", 0), ("c", 0), ("d", 2), ("e", 1)] {
            db.execute("INSERT INTO outbound VALUES ($1, $2)", params![m_id, answered]).unwrap();
        }
        take_over(&mut db, b"+a\n+b\nnonsense\n\xFF\n\n-b\n+d\n-e\n+c").unwrap();
        let mut all = db.prepare("SELECT answered FROM outbound ORDER BY m_id").unwrap();
        let all: Vec<i64> = all.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(all, [1, 2, 0, 2, 1], "a and b by their last word; c is cut off; d and e were committed before");
    }

    #[test]
    fn a_file_that_has_grown_keeps_what_no_commit_tells_of() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.db");
        let mut db = Connection::open_in_memory().unwrap();
        stamp::make(&mut db).unwrap();
        let response_journal = ResponseJournal::open(&store, &mut db).unwrap();
        let (recorded, unrecorded, lost) = (MId::fresh(), MId::fresh(), MId::fresh());
        while std::fs::metadata(path(&store)).unwrap().len() <= MOST_BYTES {
            response_journal.note(&recorded, true);
        }
        response_journal.note(&unrecorded, true);
        response_journal.note(&lost, true);
        response_journal.note(&lost, false);
        response_journal.recorded(&[(recorded, true)]);
        response_journal.note(&unrecorded, false);
        let text = std::fs::read_to_string(path(&store)).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some(format!("-{unrecorded}").as_str()));
        let header = Header { stamp: stamp::read(&db).unwrap().unwrap(), open: true };
        assert_eq!(format!("{}\n", lines.remove(0)), header.line());
        lines.sort_unstable();
        assert_eq!(lines, [format!("+{unrecorded}"), format!("-{lost}")]);
    }

    #[test]
    fn the_first_line_follows_the_commits_and_the_file_comes_back_where_it_was_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.db");
        let mut db = Connection::open_in_memory().unwrap();
        stamp::make(&mut db).unwrap();
        let response_journal = ResponseJournal::open(&store, &mut db).unwrap();
        let here = || Header::read(&path(&store)).unwrap();
        let first = stamp::read(&db).unwrap().unwrap();
        assert_eq!(here(), Some(Header { stamp: first.clone(), open: true }));
        let answered = MId::fresh();
        response_journal.note(&answered, true);
        let next = Stamp { commits: 17, ..first };
        response_journal.committed(next.clone());
        std::fs::remove_file(path(&store)).unwrap();
        assert_eq!(here(), None);
        response_journal.restore();
        assert_eq!(here(), Some(Header { stamp: next.clone(), open: true }));
        assert!(std::fs::read_to_string(path(&store)).unwrap().ends_with(&format!("\n+{answered}\n")));
        response_journal.close(true);
        assert_eq!(here(), Some(Header { stamp: next, open: false }));
        for strange in ["", "+0190\n", &"0".repeat(HEADER), &"\0".repeat(HEADER)] {
            std::fs::write(path(&store), strange).unwrap();
            assert_eq!(here(), None, "{strange:?}");
        }
    }
}
