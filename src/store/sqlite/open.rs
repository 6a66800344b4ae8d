//! Opens the file: created with mode 0600, locked for its owner, migrated forward, refused with a reason if it must not
//! be used.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::guard::{self, Survey};
use super::lock::{self, Lock};
use super::open_error::{OpenError, sort};
use super::stamp;

/// "BAfB", written into the file's header, so that another program's database is not taken for a store.
const APPLICATION_ID: i32 = 0x4241_6642;

/// Forward only: number, name and statements of each step.
const MIGRATIONS: &[(u32, &str, &str)] = &[
    (1, "0001_start", include_str!("../migrations/sqlite/0001_start.sql")),
    (2, "0002_once", include_str!("../migrations/sqlite/0002_once.sql")),
    (4, "0004_sent_forms", include_str!("../migrations/sqlite/0004_sent_forms.sql")),
    (5, "0005_rewriting", include_str!("../migrations/sqlite/0005_rewriting.sql")),
    (6, "0006_destinations", include_str!("../migrations/sqlite/0006_destinations.sql")),
    (7, "0007_heard", include_str!("../migrations/sqlite/0007_heard.sql")),
    (8, "0008_wording", include_str!("../migrations/sqlite/0008_wording.sql")),
    (9, "0009_journey", include_str!("../migrations/sqlite/0009_journey.sql")),
    (10, "0010_finder", include_str!("../migrations/sqlite/0010_finder.sql")),
    (11, "0011_bulk", include_str!("../migrations/sqlite/0011_bulk.sql")),
    (12, "0012_operator_pauses", include_str!("../migrations/sqlite/0012_operator_pauses.sql")),
    (13, "0013_job_filling", include_str!("../migrations/sqlite/0013_job_filling.sql")),
    (14, "0014_paused_by", include_str!("../migrations/sqlite/0014_paused_by.sql")),
    (15, "0015_early_lesson", include_str!("../migrations/sqlite/0015_early_lesson.sql")),
    (16, "0016_channel_pauses", include_str!("../migrations/sqlite/0016_channel_pauses.sql")),
];

/// Added to the number of the last step in a store that was copied to another engine. Versions that know nothing of
/// copies take it for a newer one, and refuse it too.
pub(super) const MOVED: u32 = 1_000_000;

/// Where the store was copied to, and when.
const MOVED_TO: &str = "SELECT place, at_ms FROM moved";

/// Returns the connection that writes, and the lock that keeps a second owner out.
pub(super) fn writer(file: &Path) -> Result<(Connection, File), OpenError> {
    let files = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Files { path, source }
    };
    if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(files(folder))?;
    }
    guard::foreign(file, APPLICATION_ID)?;
    let lock = lock::take(file)?;
    let survey = guard::survey(file)?;
    // SQLite gives its -wal and -shm the mode of the file, so the file is made here first.
    OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(files(file))?;
    let engine = |source| sort(file, source);
    let mut db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(engine)?;
    settings(&db).map_err(engine)?;
    judge(&survey, file, &db)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(engine)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(engine)?;
    // Pages of the WAL before it is written into the file, which costs syncs of its own: 16 MiB in place of 4.
    db.pragma_update(None, "wal_autocheckpoint", 4000).map_err(engine)?;
    migrate(file, &mut db)?;
    stamp::make(&mut db).map_err(engine)?;
    if !survey.has_base() && !fold(&db) {
        return Err(OpenError::InUse(file.to_owned())); // without a stamp, an older file could not be recognised
    }
    quick_check(file, &db)?;
    db.busy_timeout(OWNER_TIMEOUT).map_err(engine)?;
    Ok((db, lock))
}

/// Writes the whole WAL into the file and cuts it to nothing. Returns false if another program reads the file.
pub(super) fn fold(db: &Connection) -> bool {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).is_ok_and(|busy| busy == 0)
}

/// Judges the files as they were surveyed. Until then closing the last connection must not write the WAL into a file
/// that it does not belong to.
fn judge(survey: &Survey, file: &Path, db: &Connection) -> Result<(), OpenError> {
    let engine = |source| sort(file, source);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(engine)?;
    survey.judge(file, db)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop).map_err(engine)
}

/// Returns the connection of a command, which neither creates nor migrates the file. It may write only because reading
/// beside a WAL writes its index.
pub(super) fn visitor(file: &Path) -> Result<Connection, OpenError> {
    let engine = |source| sort(file, source);
    // Where a bridge runs, it has judged the files, and they change all the time.
    let (survey, _lock) = match lock::of_owner(file)? {
        Lock::Taken => (None, None),
        Lock::Free(lock) => (Some(guard::survey(file)?), lock),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).map_err(engine)?;
    settings(&db).map_err(engine)?;
    if let Some(survey) = survey {
        judge(&survey, file, &db)?;
    }
    let (found, known) = step(file, &db)?;
    if found < known {
        return Err(OpenError::Older { file: file.to_owned(), found, known });
    }
    Ok(db)
}

/// Returns a connection that only reads.
pub(super) fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    settings(&db)?;
    Ok(db)
}

/// How long the owner waits for another program that writes to the file. Calls to `/message` wait behind it, those of
/// the commit under way and those of the next: they get their 503 within about a second.
const OWNER_TIMEOUT: Duration = Duration::from_millis(500);

fn settings(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    // Otherwise a statement with a parameter that a partial index's condition could imply (`state = $4`) is compiled anew
    // each time that parameter is bound.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(128);
    db.pragma_update(None, "cache_size", -8192)?; // KiB
    // Erased content is overwritten in its place, and free pages are.
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "temp_store", "MEMORY")
}

/// Returns the connection of a command that handles a store which was copied away, as it is, and the lock that keeps
/// others out.
pub(super) fn retired(file: &Path) -> Result<(Connection, File), OpenError> {
    let lock = lock::take(file)?;
    let engine = |source| sort(file, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).map_err(engine)?;
    settings(&db).map_err(engine)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(engine)?;
    Ok((db, lock))
}

/// Returns the last migration step that the file has been through, and the last that this version knows.
fn step(file: &Path, db: &Connection) -> Result<(u32, u32), OpenError> {
    let engine = |source| sort(file, source);
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(engine)?;
    let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(engine)?;
    let tables: i64 = db.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(engine)?;
    if id != APPLICATION_ID && tables > 0 {
        return Err(OpenError::Foreign(file.to_owned()));
    }
    if found >= MOVED {
        let moved = db.query_row(MOVED_TO, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(engine)?;
        let (place, at_ms): (String, i64) = moved;
        let at = jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.0}"));
        return Err(OpenError::Moved { file: file.to_owned(), place, at });
    }
    let known = MIGRATIONS.last().map_or(0, |(number, ..)| *number);
    if found > known {
        return Err(OpenError::Newer { file: file.to_owned(), found, known });
    }
    Ok((found, known))
}

fn migrate(file: &Path, db: &mut Connection) -> Result<(), OpenError> {
    let engine = |source| sort(file, source);
    let (found, _) = step(file, db)?;
    for (number, name, sql) in MIGRATIONS.iter().filter(|(number, ..)| *number > found) {
        let step = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(engine)?;
        let now: u32 = step.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(engine)?;
        if now >= *number {
            continue; // another process has done it
        }
        step.execute_batch(sql).map_err(engine)?;
        step.pragma_update(None, "application_id", APPLICATION_ID).map_err(engine)?;
        step.pragma_update(None, "user_version", number).map_err(engine)?;
        step.commit().map_err(engine)?;
        tracing::info!(step = name, "store: migrated");
    }
    Ok(())
}

/// Checks the pages that every start needs: the schema and the roots of the tables, not those of an index that could
/// answer for its table. A full check reads the whole file and is left to a command.
fn quick_check(file: &Path, db: &Connection) -> Result<(), OpenError> {
    for table in ["channels", "conversations", "outbound", "events", "seen"] {
        db.prepare(&format!("SELECT 1 FROM {table} NOT INDEXED LIMIT 1"))
            .and_then(|mut s| s.exists([]))
            .map_err(|source| sort(file, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/bridge.db");
        (folder, file)
    }

    #[test]
    fn the_file_and_its_log_are_the_owners_alone() {
        let (_folder, file) = place();
        let (db, _lock) = writer(&file).unwrap();
        db.execute("INSERT INTO channels (channel) VALUES ('a')", []).unwrap();
        for name in ["bridge.db", "bridge.db-wal", "bridge.db-shm", "bridge.db.lock"] {
            let mode = std::fs::metadata(file.with_file_name(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let synchronous: i64 = db.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(synchronous, 2, "FULL");
    }

    #[test]
    fn a_second_owner_is_refused_and_a_visitor_is_not() {
        let (_folder, file) = place();
        let _first = writer(&file).unwrap();
        assert!(matches!(writer(&file), Err(OpenError::InUse(_))));
        assert!(visitor(&file).is_ok());
    }

    #[test]
    fn a_visitor_makes_and_migrates_nothing() {
        let (_folder, file) = place();
        assert!(visitor(&file).is_err());
        assert!(!file.parent().unwrap().exists());
        drop(writer(&file).unwrap());
        std::fs::remove_file(file.with_file_name("bridge.db.lock")).unwrap();
        drop(visitor(&file).unwrap());
        let names = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["bridge.db"]);
        let older = MIGRATIONS.last().unwrap().0 - 1;
        Connection::open(&file).unwrap().pragma_update(None, "user_version", older).unwrap();
        assert!(matches!(visitor(&file), Err(OpenError::Older { found, .. }) if found == older));
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 999).unwrap();
        assert!(matches!(visitor(&file), Err(OpenError::Newer { found: 999, .. })));
    }

    #[test]
    fn a_store_of_the_step_before_is_brought_forward_with_its_rows() {
        let (_folder, file) = place();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let old = Connection::open(&file).unwrap();
        for (number, _, sql) in MIGRATIONS.iter().rev().skip(1).rev() {
            old.execute_batch(sql).unwrap();
            old.pragma_update(None, "user_version", number).unwrap();
        }
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        let row = "INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms) \
                   VALUES (1, 'm', 'unknown', 'text', '{}', 5, 5, 5)";
        old.execute(row, []).unwrap();
        old.execute("INSERT INTO conversations (channel, contact, destination) VALUES ('c', '+1', '1')", []).unwrap();
        drop(old);
        let (db, _lock) = writer(&file).unwrap();
        let kept: (String, Option<String>) =
            db.query_row("SELECT m_id, wording FROM outbound", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(kept, ("m".to_owned(), None));
    }

    #[test]
    fn a_newer_store_is_refused_unchanged() {
        let (_folder, file) = place();
        drop(writer(&file).unwrap());
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 999).unwrap();
        let error = writer(&file).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
        assert!(error.to_string().contains("newer bridge"));
    }

    #[test]
    fn a_file_of_another_program_is_refused_unchanged() {
        let (_folder, file) = place();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "not a database, but somebody's notes, long enough to be read as a header".repeat(9))
            .unwrap();
        let before = std::fs::read(&file).unwrap();
        assert!(matches!(writer(&file), Err(OpenError::Foreign(_))));
        assert_eq!(std::fs::read(&file).unwrap(), before);
        std::fs::remove_file(&file).unwrap();
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(writer(&file), Err(OpenError::Foreign(_))));
    }

    #[test]
    fn damage_at_the_root_of_any_table_is_found_at_the_start() {
        for table in ["channels", "conversations", "outbound", "events", "seen"] {
            let (_folder, file) = place();
            let (db, lock) = writer(&file).unwrap();
            let root = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1";
            let root: u32 = db.query_row(root, [table], |row| row.get(0)).unwrap();
            let size: u32 = db.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
            db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            drop((db, lock));
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[((root - 1) * size) as usize..(root * size) as usize].fill(0xA5);
            std::fs::write(&file, &bytes).unwrap();
            assert!(matches!(writer(&file), Err(OpenError::Damaged { .. })), "{table}");
        }
    }

    #[test]
    fn a_damaged_store_is_refused_and_kept() {
        let (_folder, file) = place();
        let (db, lock) = writer(&file).unwrap();
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop((db, lock));
        let mut bytes = std::fs::read(&file).unwrap();
        for byte in &mut bytes[100..] {
            *byte = 0xA5;
        }
        std::fs::write(&file, &bytes).unwrap();
        let error = writer(&file).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}
