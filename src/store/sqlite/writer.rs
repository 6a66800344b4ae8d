//! The one writer: a thread of its own that groups what waits into one transaction, each operation in its savepoint.
//! A commit costs one fsync, about 3 ms on ordinary disks; operations that arrive while one runs share the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::files::Files;
use super::response_journal::ResponseJournal;
use super::stamp::{self, Stamp};
use super::{open, unavailable};
use crate::crashpoint;
use crate::store::StoreError;
use crate::telemetry::metrics;

/// Most operations that wait for the writer; later callers wait until there is room.
const QUEUE: usize = 4096;

/// One operation: runs inside the transaction, replies after the commit.
trait Operation: Send {
    /// Its name among the crash points.
    fn name(&self) -> &'static str;
    /// Runs it. An error undoes this operation alone.
    fn run(&mut self, db: &Connection) -> Result<(), StoreError>;
    /// Replies to the caller.
    fn finish(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Op<T, F, N> {
    name: &'static str,
    work: Option<F>,
    notify: N,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F, N> Operation for Op<T, F, N>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    N: FnOnce(&T) + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, db: &Connection) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let outcome = work(db);
        let result = outcome.as_ref().map(|_| ()).map_err(StoreError::clone);
        self.outcome = Some(outcome);
        result
    }

    fn finish(self: Box<Self>, committed: &Result<(), StoreError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)) | None, Err(error)) => Err(error.clone()),
            (Some(Err(error)), _) => Err(error),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        if let Ok(value) = &outcome {
            (self.notify)(value);
        }
        let _ = self.reply.send(outcome); // the caller may have gone away; the commit stands
    }
}

/// What the thread can do.
enum Task {
    Run(Box<dyn Operation>),
    /// Write the WAL into the file; before that rewrite all pages if `anew`. Replies whether all of the WAL was
    /// written.
    Fold {
        anew: bool,
        reply: oneshot::Sender<bool>,
    },
}

/// What every commit is checked and journaled with.
pub(super) struct Keep {
    /// The store counts its commits.
    pub(super) stamped: bool,
    /// Where the owner journals what is durable.
    pub(super) response_journal: Option<Arc<ResponseJournal>>,
    /// The owner's files; `None` for commands.
    pub(super) files: Option<Arc<Files>>,
}

/// Handle of the writer's thread.
#[derive(Clone)]
pub(super) struct Writer {
    tasks: mpsc::Sender<Task>,
    healthy: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread, which returns the connection when it ends. `most` operations share a commit; 1 switches
    /// grouping off, for measuring.
    pub(super) fn start(
        db: Connection,
        most: usize,
        keep: Keep,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<Connection>)> {
        let (tasks, waiting) = mpsc::channel(QUEUE);
        let healthy = Arc::new(AtomicBool::new(true));
        let seen_by_thread = Arc::clone(&healthy);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            write_all(&db, waiting, most.max(1), &seen_by_thread, &keep);
            db
        })?;
        Ok((Self { tasks, healthy }, thread))
    }

    /// Runs `work` in the next commit and returns once it is durable.
    pub(super) async fn run<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.run_and_notify(name, work, |_| ()).await
    }

    /// Like [`Self::run`]; calls `notify` after the commit, also where the caller has gone away meanwhile.
    pub(super) async fn run_and_notify<T, F, N>(&self, name: &'static str, work: F, notify: N) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        N: FnOnce(&T) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let operation = Box::new(Op { name, work: Some(work), notify, outcome: None, reply });
        self.tasks.send(Task::Run(operation)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes the WAL into the file and cuts it to nothing. If `anew`, all pages are rewritten before, to remove copies
    /// of rows that SQLite has left in gaps of pages. Returns false if another program prevents it.
    pub(super) async fn fold(&self, anew: bool) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.tasks.send(Task::Fold { anew, reply }).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }

    /// Returns whether operations wait.
    pub(super) fn is_busy(&self) -> bool {
        self.tasks.capacity() < self.tasks.max_capacity()
    }

    /// Returns whether the last commit succeeded.
    pub(super) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }
}

/// Runs the writer thread until every handle is dropped.
fn write_all(db: &Connection, mut waiting: mpsc::Receiver<Task>, most: usize, healthy: &AtomicBool, keep: &Keep) {
    let mut group = Vec::with_capacity(most.min(QUEUE));
    while let Some(first) = waiting.blocking_recv() {
        let (mut next, mut fold) = (Some(first), None);
        while let Some(task) = next.take() {
            match task {
                Task::Run(operation) => group.push(operation),
                Task::Fold { anew, reply } => fold = Some((anew, reply)),
            }
            if group.len() < most && fold.is_none() {
                next = waiting.try_recv().ok();
            }
        }
        if !group.is_empty() {
            write_group(db, &mut group, healthy, keep);
        }
        if let Some((anew, reply)) = fold {
            let ready = keep.check().is_ok() && (!anew || db.execute_batch("VACUUM").is_ok());
            let _ = reply.send(ready && open::fold(db)); // the caller may have gone away
        }
    }
}

fn write_group(db: &Connection, group: &mut Vec<Box<dyn Operation>>, healthy: &AtomicBool, keep: &Keep) {
    for operation in group.iter() {
        crashpoint::hit(operation.name(), crashpoint::BEFORE_COMMIT);
    }
    let started = Instant::now();
    let (committed, trouble) = commit(db, group, keep);
    metrics::committed(started.elapsed());
    for operation in group.iter() {
        crashpoint::hit(operation.name(), crashpoint::AFTER_COMMIT);
    }
    note_health(db, healthy, trouble.as_ref(), group.len());
    for operation in group.drain(..) {
        operation.finish(&committed);
    }
}

impl Keep {
    /// Checks that what is committed now will still exist at the next start.
    fn check(&self) -> Result<(), StoreError> {
        let checked = self.files.as_ref().map_or(Ok(()), |files| files.check());
        checked.map_err(|gone| StoreError::Unavailable(Arc::new(gone)))
    }
}

/// Logs each change of health once, not each failed operation.
fn note_health(db: &Connection, healthy: &AtomicBool, trouble: Option<&StoreError>, operations: usize) {
    match (healthy.swap(trouble.is_none(), Ordering::Relaxed), trouble) {
        (true, Some(error)) => {
            let file = db.path().unwrap_or_default();
            let cause = error.disk_fault().map_or_else(String::new, |fault| {
                format!(
                    ": {}. {}; nothing that was answered 200 is lost, and it goes on by itself",
                    fault.cause(),
                    fault.remedy()
                )
            });
            tracing::error!(
                operations,
                file,
                error = error as &dyn std::error::Error,
                "store: could not commit to {file}{cause}; nothing that failed was acknowledged; will try with every further \
                 operation"
            );
        }
        (false, None) => tracing::info!("store: commits succeed again"),
        (true, None) | (false, Some(_)) => {}
    }
}

/// Runs a group in one transaction. Returns the result of the commit, and the first error of the store itself.
fn commit(
    db: &Connection,
    group: &mut [Box<dyn Operation>],
    keep: &Keep,
) -> (Result<(), StoreError>, Option<StoreError>) {
    let mut trouble = None;
    let committed = transaction(db, group, keep, &mut trouble);
    if committed.is_err() && !db.is_autocommit() {
        // If even this fails, the next BEGIN fails too and its callers get the error.
        let _ = db.execute_batch("ROLLBACK");
    }
    if let (Ok(Some(stamp)), Some(response_journal)) = (&committed, &keep.response_journal) {
        response_journal.committed(stamp.clone());
    }
    let trouble = committed.as_ref().err().cloned().or(trouble);
    (committed.map(drop), trouble)
}

/// Returns the new stamp, `None` if nothing was changed.
fn transaction(
    db: &Connection,
    group: &mut [Box<dyn Operation>],
    keep: &Keep,
    trouble: &mut Option<StoreError>,
) -> Result<Option<Stamp>, StoreError> {
    let statement = |sql| db.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(unavailable);
    keep.check()?;
    statement("BEGIN IMMEDIATE")?;
    let before = db.total_changes();
    for operation in group.iter_mut() {
        statement("SAVEPOINT operation")?;
        if let Err(error) = operation.run(db) {
            if matches!(error, StoreError::Unavailable(_)) {
                trouble.get_or_insert(error);
            }
            statement("ROLLBACK TO operation")?;
        }
        statement("RELEASE operation")?;
    }
    let changed = keep.stamped && db.total_changes() != before;
    let stamp = if changed { stamp::next(db).map_err(unavailable)? } else { None };
    statement("COMMIT")?;
    Ok(stamp)
}
