//! Which answers were written, noted beside the store the moment they were: one line each in a file that is not synced. It
//! outlives a kill of the process, which the next commit may not, and so tells a call that was answered just before the
//! kill from one that was not. After a power cut it may be missing: then an answer that no commit tells of counts as lost.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use super::open::OpenError;
use crate::domain::MId;
use crate::store::sql;

/// Written anew above this size: nearly all of it has long been committed.
const MOST_BYTES: u64 = 1 << 20;

/// The file, and what of it no commit tells of yet.
pub(super) struct Notes(Mutex<Book>);

struct Book {
    path: PathBuf,
    file: File,
    bytes: u64,
    untold: HashMap<MId, bool>,
}

impl Notes {
    /// Opens the notes beside `store`, brings what a former process noted into it, and starts anew.
    pub(super) fn open(store: &Path, db: &mut Connection) -> Result<Self, OpenError> {
        let path = path(store);
        let trouble = |source| OpenError::Files { path: path.clone(), source };
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path).map_err(trouble)?;
        let mut noted = Vec::new();
        file.read_to_end(&mut noted).map_err(trouble)?;
        take_over(db, &noted).map_err(|source| OpenError::Engine { file: store.to_owned(), source })?;
        file.set_len(0).map_err(trouble)?;
        Ok(Self(Mutex::new(Book { path, file, bytes: 0, untold: HashMap::new() })))
    }

    /// Notes that an answer was written in full, or that it was lost after all. Where that fails, the commit that follows
    /// still tells.
    pub(super) fn note(&self, m_id: &MId, reached: bool) {
        let mut book = self.book();
        let line = line(m_id, reached);
        let _ = book.file.write_all(line.as_bytes());
        book.bytes += line.len() as u64;
        book.untold.insert(m_id.clone(), reached);
    }

    /// A commit tells of these. What it does not tell of stays noted.
    pub(super) fn told(&self, answers: &[(MId, bool)]) {
        let mut book = self.book();
        for (m_id, _) in answers {
            book.untold.remove(m_id);
        }
        if book.bytes > MOST_BYTES {
            let _ = book.write_anew(); // or it grows on
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Another file takes the place of this one in one step, so that a kill finds one of them whole.
    fn write_anew(&mut self) -> std::io::Result<()> {
        let lines: String = self.untold.iter().map(|(m_id, reached)| line(m_id, *reached)).collect();
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(lines.as_bytes())?;
        std::fs::rename(&path, &self.path)?;
        self.bytes = lines.len() as u64;
        self.file = file;
        Ok(())
    }
}

fn line(m_id: &MId, reached: bool) -> String {
    format!("{}{m_id}\n", if reached { '+' } else { '-' })
}

fn path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".answers");
    name.into()
}

/// The last word on each message counts; what is no line of ours, such as one cut off in the middle, says nothing.
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
        let notes = Notes::open(&store, &mut db).unwrap();
        let (told, untold, lost) = (MId::fresh(), MId::fresh(), MId::fresh());
        while std::fs::metadata(path(&store)).unwrap().len() <= MOST_BYTES {
            notes.note(&told, true);
        }
        notes.note(&untold, true);
        notes.note(&lost, true);
        notes.note(&lost, false);
        notes.told(&[(told, true)]);
        notes.note(&untold, false);
        let text = std::fs::read_to_string(path(&store)).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some(format!("-{untold}").as_str()));
        lines.sort_unstable();
        assert_eq!(lines, [format!("+{untold}"), format!("-{lost}")]);
    }
}
