//! The connections: bounded, made when needed, and never used again after anything went wrong in them. sqlx's own pool
//! is not used: a connection with an abandoned transaction can return to it with that transaction open, a server that
//! stops responding costs it slots for good, and it pings the server before and after every use. Here a connection
//! belongs to one task until its transaction has ended; one that is dropped is closed, and the server undoes what was
//! open.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::db::{Db, args};
use super::reach::Unreachable;
use super::sql;
use crate::crashpoint;
use crate::domain::MId;
use crate::store::{CommitLost, StoreError};
use crate::telemetry::metrics;

/// Connections of one process, at most. Commits that come together share a flush of the server's log.
const LINKS: u32 = 16;

/// Extra connections, for leases: a busy store must not lose them.
const FIRST: usize = 2;
const FIRST_OF_ALL: &[&str] = &["heartbeat", "acquire", "deregister", "release"];

/// Longest wait for a connection to be free, or to be made.
const WAIT: Duration = Duration::from_secs(2);

/// Longest time for one transaction. Beyond it the server counts as gone.
const TRANSACTION: Duration = Duration::from_secs(10);

/// Most tries of a transaction that the server undid because of another, and the longest time for all of them.
const TRIES: u32 = 5;
const TRYING: Duration = Duration::from_secs(8);

pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// Why there was no reply.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("no connection to PostgreSQL was free or could be made within {WAIT:?}")]
    Connecting,
    #[error("PostgreSQL did not end a transaction within {TRANSACTION:?}")]
    Working,
}

/// All connections to one database.
pub(super) struct Pool {
    options: PgConnectOptions,
    /// Statements may stay prepared: there is no pooler that may give each transaction another server process.
    prepared: bool,
    /// The server is elsewhere and need not prove its identity.
    unverified: bool,
    /// Name of this process among those that share the store, and the schema they share.
    me: Arc<str>,
    schema: String,
    idle: Mutex<Vec<Db>>,
    turns: Semaphore,
    /// For operations that must not wait behind others.
    first: Semaphore,
    /// Returns whether the last write succeeded.
    healthy: AtomicBool,
}

impl Pool {
    pub(super) fn new(options: PgConnectOptions, prepared: bool, unverified: bool, schema: &str) -> Self {
        let me: Arc<str> = MId::fresh().as_str().into();
        Self {
            options: named(options, &me),
            prepared,
            unverified,
            me,
            schema: schema.to_owned(),
            idle: Mutex::default(),
            turns: Semaphore::new(LINKS as usize),
            first: Semaphore::new(FIRST),
            healthy: AtomicBool::new(true),
        }
    }

    /// Returns whether the server need not prove its identity, and is not on this machine.
    pub(super) fn is_unverified(&self) -> bool {
        self.unverified
    }

    /// Returns whether a pooler may give each transaction another server process.
    pub(super) fn is_behind_pooler(&self) -> bool {
        !self.prepared
    }

    /// Runs `work` in a transaction of its own and returns once it is durable. Runs it again if the server undid it
    /// because of another.
    pub(super) async fn write<A, T, F>(&self, name: &str, args: &A, work: &F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T>,
    {
        let (mut tries, started) = (1, Instant::now());
        loop {
            let turns = if FIRST_OF_ALL.contains(&name) { &self.first } else { &self.turns };
            let committing = AtomicBool::new(false);
            let outcome = self.bounded(turns, self.transaction(name, args, work, &committing)).await;
            match outcome.map_err(|error| if committing.load(Ordering::Relaxed) { lost(error) } else { error }) {
                Err(error) if tries < TRIES && started.elapsed() < TRYING && met_another(&error) => {
                    tokio::time::sleep(Duration::from_millis(rand::random_range(1..10 * u64::from(tries)))).await;
                    tries += 1;
                }
                outcome => {
                    note_health(&self.healthy, outcome.as_ref().err());
                    return outcome;
                }
            }
        }
    }

    /// Returns the schema, which distinguishes the stores of a database.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns how to reach the server, if a connection stays on one server process, so that LISTEN works.
    pub(super) fn direct(&self) -> Option<&PgConnectOptions> {
        self.prepared.then_some(&self.options)
    }

    /// Returns whether the last write succeeded.
    pub(super) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Runs `work`, which only reads.
    pub(super) async fn read<A, T, F>(&self, args: &A, work: &F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T>,
    {
        if !self.prepared {
            // Behind a pooler only a transaction stays on one server process from parsing a statement to its rows.
            return self.write("read", args, work).await;
        }
        self.bounded(&self.turns, async {
            if let Some(mut db) = self.pop() {
                match work(&mut db, args).await {
                    // It may have been cut off while it was idle, and the other idle ones too.
                    Err(StoreError::Unavailable(_)) => self.forget_idle(),
                    outcome => {
                        self.push(db);
                        return outcome;
                    }
                }
            }
            let mut db = self.connect().await?;
            let outcome = work(&mut db, args).await;
            if !matches!(outcome, Err(StoreError::Unavailable(_))) {
                self.push(db);
            }
            outcome
        })
        .await
    }

    /// Runs `work`, which only reads, in a transaction of its own: limits that it sets end with that.
    pub(super) async fn read_limited<A, T, F>(&self, args: &A, work: &F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T>,
    {
        self.bounded(&self.turns, async {
            let mut db = self.begin().await?;
            let outcome = work(&mut db, args).await;
            // Where a statement met its limit, the transaction can only be undone, and COMMIT does that.
            db.run("COMMIT").await?;
            self.push(db);
            outcome
        })
        .await
    }

    /// Returns whether transactions are under way.
    pub(super) fn is_busy(&self) -> bool {
        self.turns.available_permits() < LINKS as usize
    }

    /// Waits for the transactions under way, then closes.
    pub(super) async fn close(&self) {
        let all = self.turns.acquire_many(LINKS).await;
        self.turns.close();
        self.first.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle());
        for db in idle {
            db.close().await;
        }
    }

    async fn bounded<T>(
        &self,
        turns: &Semaphore,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Ok(turn) = timeout(WAIT, turns.acquire()).await else { return Err(silent(Silent::Connecting)) };
        let _turn = turn.map_err(|_| StoreError::Closed)?;
        timeout(TRANSACTION, work).await.unwrap_or_else(|_| {
            self.forget_idle(); // the other idle ones would not reply either
            Err(silent(Silent::Working))
        })
    }

    /// `committing` is set while it is unknown whether the commit stands.
    async fn transaction<A, T, F>(
        &self,
        name: &str,
        args: &A,
        work: &F,
        committing: &AtomicBool,
    ) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T>,
    {
        let mut db = self.begin().await?;
        let outcome = match work(&mut db, args).await {
            Ok(value) => {
                crashpoint::hit(name, crashpoint::BEFORE_COMMIT);
                let started = Instant::now();
                committing.store(true, Ordering::Relaxed);
                let committed = db.run("COMMIT").await;
                if committed.as_ref().err().is_none_or(undone) {
                    committing.store(false, Ordering::Relaxed);
                }
                committed?;
                metrics::committed(started.elapsed());
                crashpoint::hit(name, crashpoint::AFTER_COMMIT);
                Ok(value)
            }
            Err(error) => match db.run("ROLLBACK").await {
                Ok(()) => Err(error),
                Err(_) => return Err(error), // and the connection is not used again
            },
        };
        self.push(db);
        outcome
    }

    /// Returns a connection in a transaction. BEGIN doubles as the health check of an idle one.
    async fn begin(&self) -> Result<Db, StoreError> {
        if let Some(mut db) = self.pop() {
            if let Ok(Ok(())) = timeout(WAIT, db.run(sql::BEGIN)).await {
                return Ok(db);
            }
            self.forget_idle();
        }
        let mut db = self.connect().await?;
        db.run(sql::BEGIN).await?;
        Ok(db)
    }

    async fn connect(&self) -> Result<Db, StoreError> {
        let made = timeout(WAIT, PgConnection::connect_with(&self.options)).await;
        let unreachable = |error| StoreError::Unavailable(Arc::new(Unreachable::new(&self.options, error)));
        let link = made.map_err(|_| silent(Silent::Connecting))?.map_err(unreachable)?;
        Ok(Db::new(link, self.prepared, Arc::clone(&self.me)))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Db>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Db> {
        self.idle().pop()
    }

    fn push(&self, db: Db) {
        self.idle().push(db);
    }

    /// The server is gone, or was: drops all idle connections.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }
}

/// Adds the process's name to the operator's application name.
fn named(options: PgConnectOptions, me: &str) -> PgConnectOptions {
    let given: String =
        options.get_application_name().unwrap_or_default().chars().filter(|c| *c != '/').take(24).collect();
    options.application_name(&format!("{given}/{me}"))
}

fn silent(how: Silent) -> StoreError {
    StoreError::Unavailable(Arc::new(how))
}

fn lost(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(source) => StoreError::Unavailable(Arc::new(CommitLost(source))),
        other @ (StoreError::Corrupt { .. } | StoreError::Stale | StoreError::Closed) => other,
    }
}

/// Returns whether the server reports that the commit was undone, and not only that it shuts down or fails.
fn undone(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else { return false };
    let Some(sqlx::Error::Database(error)) = source.downcast_ref::<sqlx::Error>() else { return false };
    error.code().is_some_and(|code| !["08", "57", "58", "XX"].iter().any(|class| code.starts_with(class)))
}

/// Returns whether a transaction was undone because of another (a conflict, a deadlock, a lock that was not free in time),
/// so that a retry may succeed.
fn met_another(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else { return false };
    let Some(sqlx::Error::Database(error)) = source.downcast_ref::<sqlx::Error>() else { return false };
    matches!(error.code().as_deref(), Some("40001" | "40P01" | "55P03"))
}

/// Logs each change of health once, not each failed operation.
fn note_health(healthy: &AtomicBool, error: Option<&StoreError>) {
    let trouble = error.filter(|error| matches!(error, StoreError::Unavailable(_)));
    match (healthy.swap(trouble.is_none(), Ordering::Relaxed), trouble) {
        (true, Some(error)) => tracing::error!(
            error = error as &dyn std::error::Error,
            "store: could not commit; nothing that failed was acknowledged; will try with every further operation"
        ),
        (false, None) => tracing::info!("store: commits succeed again"),
        (true, None) | (false, Some(_)) => {}
    }
}

/// Makes a write that changes nothing, to detect that writes work again.
pub(super) async fn probe(db: &mut Db) -> Result<(), StoreError> {
    db.execute(sql::PROBE, args![]).await.map(drop)
}

/// Fails if the server is read-only: a replica that was not promoted, or a database that was made read-only when full.
pub(super) async fn writable(db: &mut Db) -> Result<(), StoreError> {
    db.one::<i64>(sql::WRITABLE, args![]).await.map(drop)
}
