//! Opens the engine that `store.url` names.

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::Store;
use crate::config::StoreUrl;

pub(crate) use super::postgres::PostgresStore;
pub(crate) use super::sqlite::SqliteStore;

/// Opens the store for a process that owns channels, and makes or migrates its schema. Without `group_commit` each
/// operation has a commit of its own, where the engine groups commits.
///
/// # Errors
/// For the operator: out of reach, held by another process, not a store, damaged, made by a newer bridge.
pub(crate) async fn owner(url: &StoreUrl, group_commit: bool) -> anyhow::Result<Arc<dyn Store>> {
    match url {
        StoreUrl::Sqlite(file) => {
            let file = file.clone();
            let open = move || if group_commit { SqliteStore::open(&file) } else { SqliteStore::open_ungrouped(&file) };
            let store = tokio::task::spawn_blocking(open).await.context("opening the store broke off")??;
            Ok(Arc::new(store))
        }
        StoreUrl::Postgres(url) => Ok(Arc::new(PostgresStore::open(url.expose_secret()).await?)),
    }
}

/// Opens an existing store for a command, beside a running bridge or without one. Nothing is migrated.
///
/// # Errors
/// As [`owner`]; also where a bridge of this version has not served the store yet.
pub(crate) async fn visitor(url: &StoreUrl) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match url {
        StoreUrl::Sqlite(file) => Arc::new(SqliteStore::visit(file)?),
        StoreUrl::Postgres(url) => Arc::new(PostgresStore::visit(url.expose_secret()).await?),
    })
}

/// Checks that `url` can be understood, without connecting.
///
/// # Errors
/// For the operator: what is wrong with it.
pub(crate) fn verify(url: &StoreUrl) -> anyhow::Result<()> {
    if let StoreUrl::Postgres(url) = url {
        PostgresStore::verify(url.expose_secret())?;
    }
    Ok(())
}
