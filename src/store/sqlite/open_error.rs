//! Why a store cannot be opened, for the operator, and what the engine's errors mean at that moment.

use std::path::{Path, PathBuf};

use super::disk::DiskFault;

/// Why the file cannot be used, and what to do. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("there is no store at {0}: check store.url, or start `bridge serve` once to make it")]
    Missing(PathBuf),
    #[error("another bridge process uses the store {0}: stop it first, or give this one another store.url")]
    InUse(PathBuf),
    #[error(
        "{0} is not a bridge store: check store.url. If it was one, its beginning is damaged: keep the file and restore the \
         last good copy; nothing was changed"
    )]
    Foreign(PathBuf),
    #[error(
        "the store {file} was made by a newer bridge (step {found}, this one knows {known}): \
         run that version again, or restore the copy made before it; nothing was changed"
    )]
    Newer { file: PathBuf, found: u32, known: u32 },
    #[error(
        "the store {file} was made by an older bridge (step {found}, this one knows {known}): use the `bridge` that serves \
         it, or let `bridge serve` of this version bring it forward; nothing was changed"
    )]
    Older { file: PathBuf, found: u32, known: u32 },
    #[error(
        "the store {file} was copied to {place} at {at} and is not used any more: set store.url to that one. Served from both, \
         messages would go out twice. Only where nothing was ever served from the copy, `bridge store reopen --from \
         sqlite:{file} --copy-never-served` puts this one back in use; nothing was changed"
    )]
    Moved { file: PathBuf, place: String, at: String },
    #[error(
        "the store {file} is damaged ({detail}): stop here, keep the file, restore the last good copy or recover it with \
         `sqlite3 {file} .recover`; starting without it would lose what it holds, so no new one was made"
    )]
    Damaged { file: PathBuf, detail: String },
    #[error(
        "there is no store in {file} (it is missing or empty), but {remains} beside it holds what a store left there. Put the \
         file back, or restore a copy of it. Only where a new store without the old one's messages is wanted, move \
         {remains} away; nothing was changed"
    )]
    Remains { file: PathBuf, remains: String },
    #[error(
        "{file} and {other} do not belong together: {detail}. Put back the two that do. To go on with {file} as it is, without \
         what the other file holds, move {file}-wal and {file}.answers away; nothing was changed"
    )]
    Mixed { file: PathBuf, other: String, detail: &'static str },
    #[error(
        "the last {lost} commits that were acknowledged are missing from the store {file}: {file}-wal, which held them, is \
         missing, cut or damaged, or {file} is an older copy. Put the files back as they were when the bridge ended. To go on \
         without the messages in them, move {file}.answers away; nothing was changed"
    )]
    Behind { file: PathBuf, lost: u64 },
    #[error("cannot make or open {path}: {}", advice(source))]
    Files {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("another program holds the store {file}: end it, then start again; nothing was changed")]
    Held {
        file: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "no room to open the store {file}: its disk is full, or its tmpfs or quota has none left. Free some, then start again; \
         what it holds is safe"
    )]
    NoRoom {
        file: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "the store {file} cannot be written to: check that its file system is not read-only, and that this user may write \
         the file and its folder; nothing was changed"
    )]
    ReadOnly {
        file: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "cannot open the store {file}: keep the file, and look at what the system says of its disk (its log, `dmesg`); \
         nothing was changed"
    )]
    Engine {
        file: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("cannot start the store's thread")]
    Thread(#[source] std::io::Error),
}

/// Returns the error for a failed opening: damage, a foreign file, or another.
pub(super) fn sort(file: &Path, source: rusqlite::Error) -> OpenError {
    let file = file.to_owned();
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign(file),
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => OpenError::Damaged { file, detail: source.to_string() },
        None if matches!(source, rusqlite::Error::FromSqlConversionFailure(..)) => {
            OpenError::Damaged { file, detail: source.to_string() }
        }
        _ => match DiskFault::of(&source) {
            Some(DiskFault::Held) => OpenError::Held { file, source },
            Some(DiskFault::Full) => OpenError::NoRoom { file, source },
            Some(DiskFault::ReadOnly | DiskFault::Denied) => OpenError::ReadOnly { file, source },
            Some(DiskFault::Refused) | None => OpenError::Engine { file, source },
        },
    }
}

/// Returns what to do about a file or folder that the system refuses.
fn advice(error: &std::io::Error) -> String {
    match DiskFault::of_system(error.kind()) {
        Some(fault) => format!("{}. {}, then start again; what is stored is safe", fault.cause(), fault.remedy()),
        None => "check that the folder exists and that this user may write there".to_owned(),
    }
}
