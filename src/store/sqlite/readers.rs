//! The connections beside the writer.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{open, unavailable};
use crate::store::StoreError;

/// Reads side by side, at most; each needs a thread and a connection.
const READERS: usize = 4;

/// Connections that only read; each is used by one blocking task at a time.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    file: PathBuf,
    pub(super) turns: Semaphore,
}

impl Readers {
    pub(super) fn new(file: &Path) -> Self {
        Self { idle: Mutex::default(), file: file.to_owned(), turns: Semaphore::new(READERS) }
    }

    /// Lets go of the connections that nobody uses.
    pub(super) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = idle().pop();
        let db = match ready {
            Some(db) => db,
            None => open::reader(&self.file).map_err(unavailable)?,
        };
        let outcome = work(&db);
        // A connection that met trouble is not used again.
        if !matches!(outcome, Err(StoreError::Unavailable(_))) {
            idle().push(db);
        }
        outcome
    }
}
