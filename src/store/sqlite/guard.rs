//! Whether the files of a store belong together and hold everything that was acknowledged, looked at before any of them
//! is changed. A process that was killed leaves files that do, and so does a power cut; a file that is missing,
//! emptied, damaged, older than the others or another store's does not.

use std::path::Path;

use rusqlite::Connection;

use super::files::beside;
use super::open_error::{OpenError, sort};
use super::response_journal::{self, Header};
use super::stamp::{self, Stamp};

/// Beside the store: its WAL, and the journal of responses.
const LOG: &str = "-wal";

/// What the files hold before they are opened.
#[derive(Debug)]
pub(super) struct Survey {
    /// Of the file alone.
    base: Option<Stamp>,
    /// Of the WAL, in the order of its frames.
    log: Vec<Stamp>,
    /// Of the journal of responses.
    noted: Option<Header>,
}

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The file with this ending is another store's.
    Foreign(&'static str),
    /// The file is older than the state that its WAL was begun on.
    OldFile,
    /// Commits that were durable come after a place of the WAL that cannot be read.
    DamagedLog { lost: u64 },
    /// The WAL is older than the file.
    OldLog,
    /// Commits that were acknowledged are in no file.
    Behind { lost: u64 },
}

/// Refuses a file of another program. Changes and creates nothing; what cannot be decided yet is left to the opening.
pub(super) fn foreign(file: &Path, application_id: i32) -> Result<(), OpenError> {
    if size(file) == 0 {
        return Ok(());
    }
    let look = || {
        let db = stamp::alone(file)?;
        let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables: i64 = db.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(id != application_id && tables > 0)
    };
    match look() {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::Foreign(file.to_owned())),
        Err(error) => match sort(file, error) {
            error @ OpenError::Foreign(_) => Err(error),
            _ => Ok(()),
        },
    }
}

/// Reads the stamps of the files before they are opened.
///
/// # Errors
/// [`OpenError::Remains`] if the store's file is missing but its companions exist.
pub(super) fn survey(file: &Path) -> Result<Survey, OpenError> {
    let noted = response_journal::path(file);
    if size(file) == 0 {
        let remains: Vec<String> = [beside(file, LOG), noted.clone()]
            .iter()
            .filter(|path| size(path) > 0)
            .map(|path| path.display().to_string())
            .collect();
        if !remains.is_empty() {
            return Err(OpenError::Remains { file: file.to_owned(), remains: remains.join(" and ") });
        }
    }
    let files = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Files { path, source }
    };
    let noted = Header::read(&noted).map_err(files(&noted))?;
    if size(file) == 0 {
        return Ok(Survey { base: None, log: Vec::new(), noted });
    }
    let alone = || {
        let db = stamp::alone(file)?;
        Ok((stamp::read(&db)?, db.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?))
    };
    let (base, page_size) = alone().map_err(|source| sort(file, source))?;
    let log = beside(file, LOG);
    let log = stamp::of_log(&log, page_size.into()).map_err(files(&log))?;
    Ok(Survey { base, log, noted })
}

impl Survey {
    /// Returns whether the file has a stamp without its WAL.
    pub(super) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Judges the files by what a connection sees through the WAL. `db` must not fold the WAL into the file before.
    ///
    /// # Errors
    /// [`OpenError`], for the operator. Nothing was changed.
    pub(super) fn judge(&self, file: &Path, db: &Connection) -> Result<(), OpenError> {
        let seen = stamp::read(db).map_err(|source| sort(file, source))?;
        let file = file.to_owned();
        match self.trouble(seen.as_ref()) {
            None => {}
            Some(Trouble::Foreign(ending)) => {
                let other = beside(&file, ending).display().to_string();
                return Err(OpenError::Mixed { file, other, detail: "they are of two stores" });
            }
            Some(Trouble::OldFile) => {
                let other = beside(&file, LOG).display().to_string();
                return Err(OpenError::Mixed { file, other, detail: "the first is an older copy" });
            }
            Some(Trouble::OldLog) => {
                let other = beside(&file, LOG).display().to_string();
                return Err(OpenError::Mixed { file, other, detail: "the second is an older copy, or is damaged" });
            }
            Some(Trouble::DamagedLog { lost }) => {
                let detail =
                    format!("{} cannot be read to its end: {lost} commits come after", beside(&file, LOG).display());
                return Err(OpenError::Damaged { file, detail });
            }
            Some(Trouble::Behind { lost }) => return Err(OpenError::Behind { file, lost }),
        }
        let commits = seen.map_or(0, |seen| seen.commits);
        if let Some(noted) = self.noted.as_ref().filter(|noted| noted.stamp.commits > commits) {
            tracing::warn!(
                store = %file.display(),
                commits = noted.stamp.commits - commits,
                "the store is an older copy: what was accepted, sent and read since it was made is not in it. What waited \
                 then is sent again; customers may get it twice"
            );
        }
        Ok(())
    }

    fn trouble(&self, seen: Option<&Stamp>) -> Option<Trouble> {
        let commits = |stamp: Option<&Stamp>| stamp.map_or(0, |stamp| stamp.commits);
        let (base, seen_commits) = (commits(self.base.as_ref()), commits(seen));
        let first = self.log.first();
        let id = self.base.as_ref().or(first).map(|stamp| &stamp.id);
        if first.is_some_and(|first| Some(&first.id) != id) {
            return Some(Trouble::Foreign(LOG));
        }
        if self.noted.as_ref().is_some_and(|noted| id.is_some_and(|id| noted.stamp.id != *id)) {
            return Some(Trouble::Foreign(response_journal::ENDING));
        }
        // The first commit after the last one that is read may be the tail of a power cut: written out of order, never
        // synced, never acknowledged. A second one was begun only after the first was synced.
        let newest =
            self.log.iter().filter(|stamp| Some(&stamp.id) == id).map(|stamp| stamp.commits).max().unwrap_or(0);
        if newest > seen_commits + 1 {
            return Some(Trouble::DamagedLog { lost: newest - seen_commits });
        }
        if commits(first) > base + 1 {
            return Some(Trouble::OldFile);
        }
        if seen_commits < base {
            return Some(Trouble::OldLog);
        }
        let noted = self.noted.as_ref().filter(|noted| noted.open)?;
        let lost = noted.stamp.commits.saturating_sub(seen_commits);
        (lost > 0).then_some(Trouble::Behind { lost })
    }
}

/// Returns the bytes of a file; 0 where there is none.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |there| there.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(id: char, commits: u64) -> Stamp {
        Stamp { id: id.to_string().repeat(32), commits }
    }

    /// Returns what is wrong with a file, its WAL and its journal, by the numbers of their commits; `seen`: the newest
    /// commit as read through the WAL.
    fn said(base: u64, log: &[u64], seen: u64, noted: Option<(u64, bool)>) -> Option<Trouble> {
        let some = |commits| Some(stamp('a', commits)).filter(|stamp| stamp.commits > 0);
        let noted = noted.map(|(commits, open)| Header { stamp: stamp('a', commits), open });
        let log = log.iter().map(|commits| stamp('a', *commits)).collect();
        Survey { base: some(base), log, noted }.trouble(some(seen).as_ref())
    }

    #[test]
    fn what_a_kill_or_a_power_cut_leaves_is_whole() {
        for (case, base, log, seen, noted) in [
            ("nothing yet", 0, &[][..], 0, None),
            ("killed in the first start", 0, &[1], 1, None),
            ("a store of an older version", 0, &[], 0, None),
            ("stopped", 9, &[], 9, Some((9, false))),
            ("killed", 9, &[10, 11, 12], 12, Some((12, true))),
            ("killed between a commit and its note", 9, &[10, 11, 12], 12, Some((11, true))),
            ("killed in a commit", 9, &[10, 11, 12], 11, Some((11, true))),
            ("killed after a part of the log was folded in", 11, &[10, 11, 12], 12, Some((12, true))),
            ("killed after all of it was", 12, &[10, 11, 12], 12, Some((12, true))),
            ("killed after the log began anew, older frames behind", 12, &[13, 11, 12], 13, Some((13, true))),
            ("killed with the log begun anew, and nothing in it", 12, &[10, 11, 12], 12, Some((12, true))),
            ("killed after it was cut to nothing", 12, &[], 12, Some((12, true))),
            ("written on by commands", 9, &[10, 11], 11, Some((9, false))),
            ("a power cut that kept an older note", 9, &[10, 11, 12], 12, Some((3, true))),
            ("a power cut that left the last commit's pages out of order", 9, &[10, 11, 12], 11, Some((11, true))),
            ("a journal that is lost", 9, &[10, 11], 11, None),
            ("an older copy of the file alone, after a stop", 5, &[], 5, Some((9, false))),
            ("a copy of the same generation of the log", 9, &[8, 9, 10, 11], 11, Some((11, true))),
        ] {
            assert_eq!(said(base, log, seen, noted), None, "{case}");
        }
    }

    #[test]
    fn what_lacks_a_commit_that_was_acknowledged_is_not() {
        for (case, base, log, seen, noted, is) in [
            ("no log", 9, &[][..], 9, Some((12, true)), Trouble::Behind { lost: 3 }),
            ("its last frame cut off", 9, &[10, 11], 11, Some((12, true)), Trouble::Behind { lost: 1 }),
            ("an older log of the same generation", 9, &[10], 10, Some((12, true)), Trouble::Behind { lost: 2 }),
            ("a log from before", 9, &[3, 4, 5], 5, Some((9, false)), Trouble::OldLog),
            ("an older file", 5, &[10, 11], 11, Some((11, true)), Trouble::OldFile),
            ("a file of an older version", 0, &[10, 11], 11, Some((11, true)), Trouble::OldFile),
            ("a bad frame", 9, &[10, 11, 12, 13], 10, None, Trouble::DamagedLog { lost: 3 }),
            ("a bad header", 9, &[10, 11, 12, 13], 9, Some((13, true)), Trouble::DamagedLog { lost: 4 }),
            ("a bad frame in what is folded in", 12, &[10, 11, 12], 10, None, Trouble::DamagedLog { lost: 2 }),
        ] {
            assert_eq!(said(base, log, seen, noted), Some(is), "{case}");
        }
    }

    #[test]
    fn the_files_of_two_stores_are_told_apart() {
        let of = |log: Option<char>, noted: Option<char>| {
            let log = log.map(|id| stamp(id, 10)).into_iter().collect();
            let noted = noted.map(|id| Header { stamp: stamp(id, 10), open: true });
            Survey { base: Some(stamp('a', 9)), log, noted }.trouble(Some(&stamp('a', 10)))
        };
        assert_eq!(of(Some('a'), Some('a')), None);
        assert_eq!(of(Some('b'), Some('a')), Some(Trouble::Foreign(LOG)));
        assert_eq!(of(Some('a'), Some('b')), Some(Trouble::Foreign(response_journal::ENDING)));
        assert_eq!(of(None, Some('b')), Some(Trouble::Foreign(response_journal::ENDING)));
    }
}
