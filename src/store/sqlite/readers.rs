//! Connections that only read, beside the writer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{open, unavailable};
use crate::store::StoreError;

/// Reads side by side, at most; each needs a thread and a connection.
const READERS: usize = 4;

/// Connections that only read; each is used by one blocking task at a time.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    file: std::path::PathBuf,
    turns: Semaphore,
}

impl Readers {
    pub(super) fn of(file: &Path) -> Self {
        Self { idle: Mutex::default(), file: file.to_owned(), turns: Semaphore::new(READERS) }
    }

    /// Runs `work` on a thread that may block.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let _turn = self.turns.acquire().await.map_err(|_| StoreError::Closed)?;
        tokio::task::spawn_blocking(move || readers.with(work)).await.map_err(|_| StoreError::Closed)?
    }

    pub(super) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
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
