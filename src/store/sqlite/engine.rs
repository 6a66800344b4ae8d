//! The engine's parts: the writer, the readers, and the lock of its owner.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::files::Files;
use super::open;
use super::open_error::{OpenError, sort};
use super::readers::Readers;
use super::{response_journal, stamp, writer};
use crate::store::{StoreError, Wakeups};

/// Operations that share one commit, at most.
const GROUP: usize = 1000;

/// How often retention tries to write the WAL into the file, and the time between two tries.
const FOLD_TRIES: u32 = 5;
const FOLD_PAUSE: Duration = Duration::from_secs(1);

/// The store over one SQLite file.
pub(crate) struct SqliteStore {
    pub(super) writer: Mutex<Option<writer::Writer>>,
    pub(super) thread: Mutex<Option<std::thread::JoinHandle<Connection>>>,
    pub(super) readers: Arc<Readers>,
    pub(super) wakeups: Arc<Wakeups>,
    /// Responses that were written and are not recorded in a commit yet; `None` for commands.
    pub(super) response_journal: Option<Arc<response_journal::ResponseJournal>>,
    /// The files as they were opened; `None` for commands.
    pub(super) files: Option<Arc<Files>>,
    /// Held as long as this process owns the channels; `None` for commands.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens (or makes) the file for the process that owns its channels.
    ///
    /// # Errors
    /// [`OpenError`], for the operator: held by another process, not a store, damaged, made by a newer bridge.
    pub(crate) fn open(file: &Path) -> Result<Self, OpenError> {
        Self::owned(file, GROUP)
    }

    /// As [`Self::open`], with one commit per operation: the reference that group commit is measured against.
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
        let db = open::visitor(file)?;
        let stamped = stamp::exists(&db).map_err(|source| sort(file, source))?;
        Self::over(db, writer::Keep { stamped, response_journal: None, files: None }, None, file, GROUP)
    }

    fn owned(file: &Path, most: usize) -> Result<Self, OpenError> {
        let (mut db, lock) = open::writer(file)?;
        let response_journal = Arc::new(response_journal::ResponseJournal::open(file, &mut db)?);
        let files = Files::opened(file).map_err(|source| OpenError::Files { path: file.to_owned(), source })?;
        let keep =
            writer::Keep { stamped: true, response_journal: Some(response_journal), files: Some(Arc::new(files)) };
        Self::over(db, keep, Some(lock), file, most)
    }

    fn over(
        db: Connection,
        keep: writer::Keep,
        lock: Option<std::fs::File>,
        file: &Path,
        most: usize,
    ) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::of(file));
        let (response_journal, files) = (keep.response_journal.clone(), keep.files.clone());
        let (writer, thread) = writer::Writer::start(db, most, keep).map_err(OpenError::Thread)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(thread)),
            readers,
            wakeups: Arc::default(),
            response_journal,
            files,
            _lock: lock,
        })
    }

    /// Writes the WAL into the file, so that erased texts are in neither. Retries while a reader prevents it; the next
    /// purge tries again too.
    pub(super) async fn fold(&self) -> Result<(), StoreError> {
        for _ in 0..FOLD_TRIES {
            if self.writer()?.fold(false).await? {
                return Ok(());
            }
            tokio::time::sleep(FOLD_PAUSE).await;
        }
        tracing::warn!(
            "the WAL could not be written into the store's file: another program reads it all the time, or there is no \
             room. Until it can, the WAL grows and holds texts that are wiped by now"
        );
        Ok(())
    }

    /// Ends reads, then writes: the last connection to close writes the WAL into the file, and a read-only one cannot.
    pub(super) async fn end(&self) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.readers.close().await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(thread), response_journal) = (thread, self.response_journal.clone()) else { return };
        let close = move || {
            let (Ok(db), Some(response_journal)) = (thread.join(), response_journal) else { return };
            let whole = open::fold(&db) || open::fold(&db); // each try waits for readers of other programs
            drop(db);
            response_journal.close(whole);
            if !whole {
                tracing::warn!(
                    "another program reads the store: not all is in its one file, so keep the -wal beside it"
                );
            }
        };
        let _ = tokio::task::spawn_blocking(close).await;
    }

    pub(super) fn writer(&self) -> Result<writer::Writer, StoreError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)
    }

    /// Runs `work` in the next commit. `name` is its name as a crash point.
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
