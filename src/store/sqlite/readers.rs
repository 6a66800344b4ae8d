//! Connections that only read, beside the writer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{open, unavailable};
use crate::store::StoreError;

/// Reads side by side, at most; each needs a thread and a connection.
const READERS: u32 = 4;

/// Connections that only read; each is used by one blocking task at a time.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    file: std::path::PathBuf,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn of(file: &Path) -> Self {
        Self { idle: Mutex::default(), file: file.to_owned(), turns: Arc::new(Semaphore::new(READERS as usize)) }
    }

    /// Runs `work` on a thread that may block.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let read = move || {
            let _turn = turn; // held until the connection is back, also if the caller has gone away
            readers.with(work)
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for the reads under way and closes the connections; no read follows.
    pub(super) async fn close(&self) {
        let all = self.turns.acquire_many(READERS).await;
        self.turns.close();
        drop(all);
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
        // A connection that failed is not used again.
        if !matches!(outcome, Err(StoreError::Unavailable(_))) {
            idle().push(db);
        }
        outcome
    }
}
