//! Ownership of channels, where several processes share a store.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::StoreError;
use crate::domain::ChannelName;

/// Number of a channel's ownership. Only the newest may begin and settle.
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

/// Live processes, and the owner of each channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterView {
    /// Processes that are alive, this one included.
    pub(crate) processes: usize,
    /// Channels that have an owner.
    pub(crate) owners: HashMap<ChannelName, Owner>,
    /// Time until the first lease of another process expires if it is not renewed.
    pub(crate) runs_out: Option<Duration>,
}

/// Leases of a shared store. An owner that does not renew its lease in time counts as dead, and its channels are free;
/// its operations are `Stale` from then on.
#[async_trait]
pub(crate) trait Leases: Send + Sync {
    /// This process takes channels from the next heartbeat on, also after [`Self::deregister`].
    fn join(&self) {}

    /// Marks this process as alive, renews its leases of `held`, and returns who owns what. The flag of each channel in
    /// `held`: verdicts on its messages can be expected soon.
    async fn heartbeat(&self, lease: Duration, held: Vec<(ChannelName, bool)>) -> Result<ClusterView, StoreError>;

    /// Takes all of these channels, or none if another process owns one of them. Returns the epochs in the order given.
    async fn acquire(&self, lease: Duration, channels: Vec<ChannelName>) -> Result<Option<Vec<Epoch>>, StoreError>;

    /// Gives back the leases that this process has of these channels.
    async fn release(&self, channels: Vec<ChannelName>) -> Result<(), StoreError>;

    /// This process takes no more channels: the others share them.
    async fn deregister(&self) -> Result<(), StoreError>;

    /// Notified when leases were given back, or a process has joined or left.
    fn changes(&self) -> &Notify;
}
