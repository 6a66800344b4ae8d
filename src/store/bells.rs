//! Who is rung for what, after a commit: the same for every engine.

use super::{Settlement, Signals};
use crate::domain::ChannelName;

impl Signals {
    /// `more_waiting` more outbound messages wait, or one may go now.
    pub(super) fn ring_outbound(&self, channel: &ChannelName, more_waiting: i64) {
        if let Some(signals) = self.channel(channel) {
            signals.add_waiting(more_waiting);
            signals.outbound.notify_one();
        }
    }

    /// Something is in doubt, or may be settled now.
    pub(super) fn ring_looks(&self, channel: &ChannelName) {
        if let Some(signals) = self.channel(channel) {
            signals.looks.notify_one();
        }
    }

    /// An event was recorded, or may go now.
    pub(super) fn ring_events(&self, channel: &ChannelName) {
        if let Some(signals) = self.channel(channel) {
            signals.events.notify_one();
        }
    }

    /// Rings after a settlement for whom it concerns.
    pub(super) fn ring_settled(&self, channel: &ChannelName, settlement: &Settlement, noticed: bool) {
        let requeued = match settlement {
            Settlement::Queued { .. } | Settlement::Sent { more: true, .. } => 1,
            Settlement::Sent { .. }
            | Settlement::Failed { .. }
            | Settlement::Unknown { .. }
            | Settlement::Unconfirmed { .. } => 0,
        };
        self.ring_outbound(channel, requeued);
        if matches!(settlement, Settlement::Unknown { .. }) {
            self.ring_looks(channel);
        }
        if noticed {
            self.ring_events(channel);
        }
    }
}
