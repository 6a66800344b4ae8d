//! What an error of SQLite or of the system says about the disk, in words for the operator. No text holds a path, since
//! `/readyz` is public.

use std::io::ErrorKind;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Why the disk does not take what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskFault {
    Full,
    ReadOnly,
    Denied,
    /// SQLite does not pass on which error the system gave: a limit, a quota, a disk that became read-only or fails.
    Refused,
    /// Another program holds the file.
    Held,
}

impl DiskFault {
    /// Returns what the error means, `None` if it is not about the disk.
    pub(crate) fn of(error: &rusqlite::Error) -> Option<Self> {
        match error.sqlite_error_code()? {
            ErrorCode::DiskFull => Some(Self::Full),
            // Its index in shared memory could not be made as large as needed.
            _ if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) => {
                Some(Self::Full)
            }
            ErrorCode::ReadOnly => Some(Self::ReadOnly),
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Some(Self::Denied),
            ErrorCode::SystemIoFailure => Some(Self::Refused),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Self::Held),
            _ => None,
        }
    }

    /// Returns what an error of the system means.
    pub(super) fn of_system(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Self::Full),
            ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            ErrorKind::PermissionDenied => Some(Self::Denied),
            _ => None,
        }
    }

    /// Returns the cause.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Full => "its disk is full, or its tmpfs or quota has no room left",
            Self::ReadOnly => "its file system is read-only, or this user may not write the file",
            Self::Denied => "this user may not write there",
            Self::Refused => {
                "its disk does not take what is written: a quota or the largest size of a file is reached, or the disk has \
                 become read-only or fails"
            }
            Self::Held => "another program holds the file",
        }
    }

    /// Returns what to do while the bridge runs.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Full => "Free some room",
            Self::ReadOnly => "Mount it for writing, and check the owner and the mode of the file and its folder",
            Self::Denied => "Check the owner and the mode of the folder and the file",
            Self::Refused => {
                "Free some room or raise the limit (ulimit -f, LimitFSIZE); if there is room, look at what the system says \
                 of the disk (its log, `dmesg`)"
            }
            Self::Held => "End that program",
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_full_file_a_read_only_one_and_one_that_is_held_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let db = Connection::open(&file).unwrap();
        db.execute_batch("CREATE TABLE rows (x BLOB); PRAGMA max_page_count = 3").unwrap();
        let of = |db: &Connection, sql: &str| DiskFault::of(&db.execute_batch(sql).unwrap_err());
        assert_eq!(of(&db, "INSERT INTO rows VALUES (zeroblob(100000))"), Some(DiskFault::Full));
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        let other = Connection::open(&file).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert_eq!(of(&other, "DELETE FROM rows"), Some(DiskFault::Held));
        db.execute_batch("ROLLBACK; PRAGMA query_only = 1").unwrap();
        assert_eq!(of(&db, "DELETE FROM rows"), Some(DiskFault::ReadOnly));
        assert_eq!(of(&db, "DELETE FROM no_such_table"), None);
        let missing = Connection::open(folder.path().join("no/such.db")).unwrap_err();
        assert_eq!(DiskFault::of(&missing), Some(DiskFault::Denied));
        let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert_eq!(DiskFault::of(&failed(rusqlite::ffi::SQLITE_IOERR_WRITE)), Some(DiskFault::Refused));
        assert_eq!(DiskFault::of(&failed(SQLITE_IOERR_SHMSIZE)), Some(DiskFault::Full));
    }
}
