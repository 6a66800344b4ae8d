//! Why the store could not do what was asked.

use std::sync::Arc;

use super::sqlite::FileGone;

/// Why the store could not do what was asked. Variants differ by what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// Later, perhaps: disk full, locked, gone. Nothing was stored, or nobody knows ([`Self::may_be_committed`]); the door
    /// answers 503.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A row does not decode; someone must look.
    #[error("a row in table `{table}` does not decode")]
    Corrupt {
        table: &'static str,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The attempt or the channel belongs to another owner by now, or the caller of a message may be another process's:
    /// it is gone, or has waited so long that it may have called again there. Drop the result.
    #[error("another owner has taken over")]
    Stale,
    /// The store is closed: the process is ending.
    #[error("the store is closed")]
    Closed,
}

/// A commit whose answer did not come: what it held may be stored or not.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a commit was lost")]
pub(crate) struct CommitLost(#[source] pub(crate) Arc<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Whether what failed may be stored all the same.
    pub(crate) fn may_be_committed(&self) -> bool {
        matches!(self, Self::Unavailable(source) if source.downcast_ref::<CommitLost>().is_some())
    }

    /// The error for whoever asks whether the bridge is ready, with its cause where an operator must act on that.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unavailable(source) => match source.downcast_ref::<FileGone>() {
                Some(gone) => format!("{self}: {gone}"),
                None => self.to_string(),
            },
            Self::Corrupt { .. } | Self::Stale | Self::Closed => self.to_string(),
        }
    }
}
