//! Which answers were written, noted beside the store the moment they were: one line each in a file that is not synced. It
//! outlives a kill of the process, which the next commit may not, and so tells a call that was answered just before the
//! kill from one that was not. After a power cut it may be missing: then an answer that no commit tells of counts as lost.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::open::OpenError;
use crate::domain::MId;
use crate::store::sql;

/// Emptied above this size: what is older has long been committed.
const MOST_BYTES: u64 = 1 << 20;

/// The file.
pub(super) struct Notes(Mutex<File>);

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
        Ok(Self(Mutex::new(file)))
    }

    /// Notes that an answer was written in full, or that it was lost after all. Where that fails, the commit that follows
    /// still tells.
    pub(super) fn note(&self, m_id: &MId, reached: bool) {
        let line = format!("{}{m_id}\n", if reached { '+' } else { '-' });
        let _ = self.file().write_all(line.as_bytes());
    }

    /// Called after a commit that tells what was noted.
    pub(super) fn shrink(&self) {
        let file = self.file();
        if file.metadata().is_ok_and(|about| about.len() > MOST_BYTES) {
            let _ = file.set_len(0);
        }
    }

    fn file(&self) -> std::sync::MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
}
