//! The engine's parts: the connections, and messages that a lost commit may have begun.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::db::Db;
use super::in_doubt_commits::InDoubtCommits;
use super::notifier::Notifier;
use super::open::{self, OpenError};
use super::pool::{Pool, Work};
use crate::domain::ChannelName;
use crate::store::ops;
use crate::store::{Epoch, StoreError, Wakeups};

/// Messages of one channel that a commit may have begun without its reply having arrived.
pub(super) type MaybeClaimed = Arc<tokio::sync::Mutex<Vec<i64>>>;

/// The store over one PostgreSQL database.
pub(crate) struct PostgresStore {
    pub(super) pool: Arc<Pool>,
    pub(super) wakeups: Arc<Wakeups>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) in_doubt_commits: Arc<InDoubtCommits>,
    maybe_claimed: Mutex<HashMap<ChannelName, MaybeClaimed>>,
    /// The next heartbeat announces that this process takes channels.
    pub(super) joins: AtomicBool,
    /// The epochs under which this process took channels, including those that it has lost.
    epochs: Mutex<HashMap<ChannelName, Epoch>>,
}

/// Returns whether a commit may stand, also where its reply was lost: then the loops are notified too.
pub(super) fn may_be_committed<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Ok(_) | Err(StoreError::Unavailable(_)))
}

impl PostgresStore {
    /// Opens the database for a process that owns channels; creates or migrates the schema.
    ///
    /// # Errors
    /// [`OpenError`], for the operator: out of reach, not a store, made by a newer bridge.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self::over(open::owner(url).await?))
    }

    /// Opens an existing store beside a running process, for commands. Nothing is migrated.
    ///
    /// # Errors
    /// [`OpenError`], also where a bridge of this version has not served the database yet.
    pub(crate) async fn visit(url: &str) -> Result<Self, OpenError> {
        Ok(Self::over(open::visitor(url).await?))
    }

    /// Checks that `url` can be understood, without connecting.
    ///
    /// # Errors
    /// [`OpenError`], for the operator.
    pub(crate) fn verify(url: &str) -> Result<(), OpenError> {
        open::verify(url)
    }

    fn over(pool: Pool) -> Self {
        let (pool, wakeups) = (Arc::new(pool), Arc::<Wakeups>::default());
        let notifier = Notifier::new(Arc::clone(&pool), Arc::clone(&wakeups));
        Self {
            pool,
            wakeups,
            notifier,
            in_doubt_commits: Arc::default(),
            maybe_claimed: Mutex::default(),
            joins: AtomicBool::default(),
            epochs: Mutex::default(),
        }
    }

    /// Records that this process owns the channel under this epoch, until another takes it over.
    pub(super) fn owns(&self, channel: &ChannelName, epoch: Epoch) {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner).insert(channel.clone(), epoch);
    }

    /// As [`Self::write`], for operations of the channel's owner: `Stale` if another process has taken it over.
    pub(super) async fn write_owned<A, T, F>(
        &self,
        name: &'static str,
        channel: &ChannelName,
        args: A,
        work: F,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        let epoch = self.epochs.lock().unwrap_or_else(PoisonError::into_inner).get(channel).copied();
        self.write(name, (channel.clone(), epoch, args, work), |db, (channel, epoch, args, work)| {
            Box::pin(async move {
                if let Some(epoch) = epoch {
                    ops::outbound::check_epoch(db, channel, *epoch).await?;
                }
                work(db, args).await
            })
        })
        .await
    }

    /// Runs `work` in a transaction and returns once it is durable. `name` is its name as a crash point. Runs in a task
    /// of its own, so that a caller that goes away does not stop it halfway.
    pub(super) async fn write<A, T, F>(&self, name: &'static str, args: A, work: F) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        let pool = Arc::clone(&self.pool);
        tokio::spawn(async move { pool.write(name, &args, &work).await }).await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn read<A, T, F>(&self, args: A, work: F) -> Result<T, StoreError>
    where
        A: Send + Sync,
        T: Send,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync,
    {
        self.pool.read(&args, &work).await
    }

    pub(super) fn maybe_claimed(&self, channel: &ChannelName) -> MaybeClaimed {
        let mut all = self.maybe_claimed.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(channel.clone()).or_default())
    }
}
