//! The lock beside the file that keeps a second owner out.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::beside;
use super::open_error::OpenError;

/// How long an owner waits for a command that checks whether there is an owner.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);

/// Takes the advisory lock beside the file: one owner per file; the kernel releases it however the process ends.
pub(super) fn take(file: &Path) -> Result<File, OpenError> {
    let path = path(file);
    let files = |source| OpenError::Files { path: path.clone(), source };
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(files)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_TIMEOUT / 10),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(file.to_owned())),
            Err(TryLockError::Error(source)) => return Err(files(source)),
        }
    }
}

/// The owner's lock, for a command.
pub(super) enum Lock {
    Taken,
    /// Held by the command now, where the file exists.
    Free(Option<File>),
}

/// Checks whether there is an owner; creates nothing.
pub(super) fn of_owner(file: &Path) -> Result<Lock, OpenError> {
    let path = path(file);
    let files = |source| OpenError::Files { path: path.clone(), source };
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::Free(None)),
        Err(error) => return Err(files(error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Lock::Free(Some(lock))),
        Err(TryLockError::WouldBlock) => Ok(Lock::Taken),
        Err(TryLockError::Error(source)) => Err(files(source)),
    }
}

fn path(file: &Path) -> PathBuf {
    beside(file, ".lock")
}
