//! One channel while this process runs: its settings, its ports, and the state that its loops share. Each loop takes
//! the parts that it may touch.

use std::sync::Arc;
use std::time::Duration;

use super::inbound::initial_snapshot::SnapshotGate;
use super::inbound::receipts::Receipts;
use super::limits::call_permit::{Account, AfilnetCalls};
use crate::config::{DirectionBy, FirstRun, OnUnconfirmed};
use crate::domain::clock::millis;
use crate::domain::{
    ChannelName, IdType, Language, LeaseDeadline, Messenger, PlaceholderResolver, RetryPolicy, Webhook,
};
use crate::store::{ChannelWakeups, Store};

/// The settings of a channel. Read only.
#[derive(Debug, Clone)]
pub(super) struct ChannelSettings {
    pub(super) name: ChannelName,
    pub(super) id_type: IdType,
    /// Language of the texts for agents.
    pub(super) language: Language,
    pub(super) retry: RetryPolicy,
    /// How long a conversation is live after the customer's last message.
    pub(super) live_for: Duration,
    /// Messages that waited for longer fail before they go out.
    pub(super) stale_after: Option<Duration>,
    /// Waits before each lookup of a message in doubt.
    pub(super) look_after: Vec<Duration>,
    /// What happens to a message in doubt that the lookups could not settle.
    pub(super) on_unconfirmed: OnUnconfirmed,
    /// Questions are sent numbered, and number answers are translated back.
    pub(super) number_quick_replies: bool,
    pub(super) poll_active: Duration,
    pub(super) poll_idle: Duration,
    pub(super) sweep_every: Duration,
    pub(super) first_run: FirstRun,
    pub(super) direction: DirectionBy,
    pub(super) html_entities: bool,
    /// Rows that were written in Afilnet's own panel are published too.
    pub(super) echoes: bool,
    /// Longest wait of a row that cannot be attributed yet.
    pub(super) decide_within: Duration,
    pub(super) keep_rows: Duration,
    pub(super) publish_per_second: u32,
}

/// What a channel's loops call, and the deadline of calls.
#[derive(Clone)]
pub(super) struct ChannelPorts {
    pub(super) store: Arc<dyn Store>,
    pub(super) messenger: Arc<dyn Messenger>,
    pub(super) webhook: Arc<dyn Webhook>,
    /// `None`: the channel fills in no placeholders.
    pub(super) placeholders: Option<Arc<dyn PlaceholderResolver>>,
    pub(super) deadline: LeaseDeadline,
}

/// What a channel's loops share; it outlives them if the lease comes back.
pub(super) struct ChannelState {
    pub(super) wakeups: Arc<ChannelWakeups>,
    pub(super) calls: Arc<AfilnetCalls>,
    pub(super) snapshot: Arc<SnapshotGate>,
    pub(super) receipts: Arc<Receipts>,
}

/// One channel.
pub(super) struct Channel {
    pub(super) settings: Arc<ChannelSettings>,
    pub(super) ports: ChannelPorts,
    pub(super) state: ChannelState,
}

impl ChannelSettings {
    /// Returns when the first lookup is due for an outcome that is unknown since `now_ms`.
    pub(super) fn first_look_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.look_after.first().map_or(0, |wait| millis(*wait)))
    }
}

impl Channel {
    /// Returns a channel of `account`, registered with the store's wakeups as `wakeups`.
    pub(super) fn new(
        settings: ChannelSettings,
        ports: ChannelPorts,
        account: &Arc<Account>,
        wakeups: Arc<ChannelWakeups>,
        receipts: Receipts,
    ) -> Arc<Self> {
        let (messenger, deadline) = (Arc::clone(&ports.messenger), ports.deadline.clone());
        let calls = AfilnetCalls::new(settings.name.clone(), settings.retry, messenger, deadline, Arc::clone(account));
        Arc::new(Self {
            settings: Arc::new(settings),
            ports,
            state: ChannelState {
                wakeups,
                calls: Arc::new(calls),
                snapshot: Arc::new(SnapshotGate::new()),
                receipts: Arc::new(receipts),
            },
        })
    }

    pub(super) fn name(&self) -> &ChannelName {
        &self.settings.name
    }
}
