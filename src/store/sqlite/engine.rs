//! The engine's parts: the writer, the readers, and the lock of its owner.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::open::{self, OpenError};
use super::readers::Readers;
use super::{notes, writer};
use crate::store::{Signals, StoreError};

/// Operations that share one commit, at most.
const GROUP: usize = 1000;

/// The store over one SQLite file.
pub(crate) struct SqliteStore {
    pub(super) writer: Mutex<Option<writer::Writer>>,
    pub(super) thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    pub(super) readers: Arc<Readers>,
    pub(super) signals: Arc<Signals>,
    /// Answers that were written and whose settlement is not committed yet; `None` for commands that only look.
    pub(super) notes: Option<notes::Notes>,
    /// Held as long as this process owns the channels; `None` for commands that only look.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens (or makes) the file for the process that owns its channels.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator: held by another process, not a store, damaged, made by a newer bridge.
    pub(crate) fn open(file: &Path) -> Result<Self, OpenError> {
        Self::owned(file, GROUP)
    }

    /// As [`Self::open`], every operation with a commit of its own: what grouping is measured against.
    pub(crate) fn open_ungrouped(file: &Path) -> Result<Self, OpenError> {
        Self::owned(file, 1)
    }

    /// Opens an existing file beside a running process, for commands. Nothing is migrated.
    ///
    /// # Errors
    /// [`OpenError`], also where a bridge of this version has not served the file yet.
    pub(crate) fn visit(file: &Path) -> Result<Self, OpenError> {
        if !file.exists() {
            return Err(OpenError::Missing(file.to_owned()));
        }
        Self::over(open::visitor(file)?, None, file, GROUP)
    }

    fn owned(file: &Path, most: usize) -> Result<Self, OpenError> {
        let (mut db, lock) = open::writer(file)?;
        let notes = notes::Notes::open(file, &mut db)?;
        Self::over(db, Some((lock, notes)), file, most)
    }

    fn over(
        db: Connection,
        owned: Option<(std::fs::File, notes::Notes)>,
        file: &Path,
        most: usize,
    ) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::of(file));
        let (lock, notes) = owned.unzip();
        let (writer, thread) = writer::Writer::start(db, most).map_err(OpenError::Thread)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(thread)),
            readers,
            signals: Arc::default(),
            notes,
            _lock: lock,
        })
    }

    pub(super) fn writer(&self) -> Result<writer::Writer, StoreError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)
    }

    /// Runs `work` in the next commit. `name` names it among the crash points.
    pub(super) async fn write<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer()?.run(name, work).await
    }

    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.readers.read(work).await
    }
}
