//! The engine's parts: the connections, and what was begun without anyone being told.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::bells::Bells;
use super::db::Db;
use super::links::{Links, Work};
use super::open::{self, OpenError};
use super::outbound;
use super::unsure::Unsure;
use crate::domain::ChannelName;
use crate::store::{Epoch, Signals, StoreError};

/// Rows of one channel that may have been begun without anyone having been told.
pub(super) type Adrift = Arc<tokio::sync::Mutex<Vec<i64>>>;

/// The store over one PostgreSQL database.
pub(crate) struct PostgresStore {
    pub(super) links: Arc<Links>,
    pub(super) signals: Arc<Signals>,
    pub(super) bells: Arc<Bells>,
    pub(super) unsure: Arc<Unsure>,
    adrift: Mutex<HashMap<ChannelName, Adrift>>,
    /// The next beat says that this process takes channels.
    pub(super) joins: AtomicBool,
    /// The epochs under which this process came to own channels; of those it has lost, too.
    epochs: Mutex<HashMap<ChannelName, Epoch>>,
}

/// A commit whose answer was lost may stand all the same: whom it concerns is rung then too.
pub(super) fn may_stand<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Ok(_) | Err(StoreError::Unavailable(_)))
}

impl PostgresStore {
    /// Opens the database for a process that owns channels; makes the schema or brings it forward.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator: out of reach, not a store, made by a newer bridge.
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

    /// Whether `url` can be understood, without asking anyone.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator.
    pub(crate) fn verify(url: &str) -> Result<(), OpenError> {
        open::verify(url)
    }

    fn over(links: Links) -> Self {
        let (links, signals) = (Arc::new(links), Arc::<Signals>::default());
        let bells = Bells::new(Arc::clone(&links), Arc::clone(&signals));
        Self {
            links,
            signals,
            bells,
            unsure: Arc::default(),
            adrift: Mutex::default(),
            joins: AtomicBool::default(),
            epochs: Mutex::default(),
        }
    }

    /// The process owns the channel under this epoch, until somebody takes it over.
    pub(super) fn owns(&self, channel: &ChannelName, epoch: Epoch) {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner).insert(channel.clone(), epoch);
    }

    /// As [`Self::write`], for what the channel's owner alone does: `Stale` where another process has taken it over.
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
                    outbound::check_epoch(db, channel, *epoch).await?;
                }
                work(db, args).await
            })
        })
        .await
    }

    /// Runs `work` in a transaction and returns once it is durable. `name` names it among the crash points. In a task of
    /// its own: a caller that goes away stops nothing halfway.
    pub(super) async fn write<A, T, F>(&self, name: &'static str, args: A, work: F) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        let links = Arc::clone(&self.links);
        tokio::spawn(async move { links.write(name, &args, &work).await }).await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn read<A, T, F>(&self, args: A, work: F) -> Result<T, StoreError>
    where
        A: Send + Sync,
        T: Send,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync,
    {
        self.links.read(&args, &work).await
    }

    pub(super) fn adrift(&self, channel: &ChannelName) -> Adrift {
        let mut all = self.adrift.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(channel.clone()).or_default())
    }
}
