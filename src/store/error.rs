//! Why the store could not do what was asked.

use std::sync::Arc;

use super::postgres::Unreachable;
use super::sqlite::{DiskFault, FileGone};

/// Why the store could not do what was asked. The variants differ by what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// May work later: disk full, locked, out of reach. Nothing was stored, or that is unknown
    /// ([`Self::may_be_committed`]); the HTTP response is 503.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A row does not decode; needs an operator.
    #[error("a row in table `{table}` does not decode")]
    Corrupt {
        table: &'static str,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The attempt or the channel belongs to another owner by now; or the caller of a message has gone, or has waited
    /// so long that it may have called again at another process. Drop the result.
    #[error("another owner has taken over")]
    Stale,
    /// The store is closed: the process is ending.
    #[error("the store is closed")]
    Closed,
}

/// The reply to a commit was lost: what it held may be stored or not.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a commit was lost")]
pub(crate) struct CommitLost(#[source] pub(crate) Arc<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Returns whether what failed may be stored all the same.
    pub(crate) fn may_be_committed(&self) -> bool {
        matches!(self, Self::Unavailable(source) if source.downcast_ref::<CommitLost>().is_some())
    }

    /// Returns what is wrong with the disk of a store in a file, if that is the cause.
    pub(super) fn disk_fault(&self) -> Option<DiskFault> {
        let Self::Unavailable(source) = self else { return None };
        source.downcast_ref().and_then(DiskFault::of)
    }

    /// Returns the text for a readiness probe, with the cause where an operator must act on it.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unavailable(source) => {
                if let Some(gone) = source.downcast_ref::<FileGone>() {
                    format!("{self}: {gone}")
                } else if let Some(unreachable) = source.downcast_ref::<Unreachable>() {
                    format!("{self}: PostgreSQL cannot be reached: {}", unreachable.cause())
                } else if let Some(fault) = self.disk_fault() {
                    format!("{self}: {}", fault.cause())
                } else {
                    self.to_string()
                }
            }
            Self::Corrupt { .. } | Self::Stale | Self::Closed => self.to_string(),
        }
    }
}
