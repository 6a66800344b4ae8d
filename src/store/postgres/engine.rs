//! The engine's parts: the connections, and what was begun without anyone being told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::db::Db;
use super::links::{Links, Work};
use super::open::{self, OpenError};
use super::unsure::Unsure;
use crate::domain::ChannelName;
use crate::store::{Signals, StoreError};

/// Rows of one channel that may have been begun without anyone having been told.
pub(super) type Adrift = Arc<tokio::sync::Mutex<Vec<i64>>>;

/// The store over one PostgreSQL database.
pub(crate) struct PostgresStore {
    pub(super) links: Arc<Links>,
    pub(super) signals: Arc<Signals>,
    pub(super) unsure: Arc<Unsure>,
    adrift: Mutex<HashMap<ChannelName, Adrift>>,
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
        Self { links: Arc::new(links), signals: Arc::default(), unsure: Arc::default(), adrift: Mutex::default() }
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
