//! Who owns which channel, where several processes share a store.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::StoreError;
use crate::domain::ChannelName;

/// Generation of a channel's owner. Only the newest may begin and settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(pub(crate) i64);

/// A channel's owner, as one process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This process.
    Me,
    /// Another one; `prompt`: it expects to give verdicts soon.
    Other { prompt: bool },
}

/// Who is there, and who owns what.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterView {
    /// Processes that are alive, this one included.
    pub(crate) processes: usize,
    /// Channels that somebody owns.
    pub(crate) owners: HashMap<ChannelName, Owner>,
    /// Time until the first lease of another process runs out, should it not be renewed.
    pub(crate) runs_out: Option<Duration>,
}

/// Leases of a shared store. An owner that does not renew its lease in time is taken to be gone, and its channels are
/// anyone's; what it does in the store from then on is `Stale`.
#[async_trait]
pub(crate) trait Leases: Send + Sync {
    /// This process takes channels from the next beat on, also where it has left before.
    fn join(&self) {}

    /// Says that this process lives, renews the leases that it holds of `held`, and tells who owns what. With each of
    /// `held` comes whether verdicts on its messages can be expected soon.
    async fn heartbeat(&self, lease: Duration, held: Vec<(ChannelName, bool)>) -> Result<ClusterView, StoreError>;

    /// Takes all of these channels, or none where somebody else owns one of them. In the order given.
    async fn acquire(&self, lease: Duration, channels: Vec<ChannelName>) -> Result<Option<Vec<Epoch>>, StoreError>;

    /// Gives back what this process owns of these.
    async fn release(&self, channels: Vec<ChannelName>) -> Result<(), StoreError>;

    /// This process takes no more channels: the others share what there is.
    async fn deregister(&self) -> Result<(), StoreError>;

    /// Rings when leases were given back, or a process has come or left.
    fn changes(&self) -> &Notify;
}
