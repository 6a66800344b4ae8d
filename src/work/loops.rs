//! The loops of a channel that this process owns.

use std::sync::Arc;

use super::channel::Channel;
use super::inbound::poller::Poller;
use super::inbound::reader::Reader;
use super::outbound::reconciler::Reconciler;
use super::outbound::sender::Sender;
use super::outbound::stale::StaleMessages;
use super::webhook::Publisher;
use crate::domain::clock::now_ms;
use crate::lifecycle::TaskGroup;
use crate::store::{Epoch, StoreError};
use crate::telemetry::metrics;

/// Starts the channel's loops.
pub(super) fn start(channel: &Channel, epoch: Epoch, tasks: &TaskGroup) {
    let name = channel.name();
    let reader = Arc::new(Reader::new(channel));
    tasks.spawn(format!("sender of {name}"), Arc::new(Sender::new(channel, epoch)).run(tasks.stopping()));
    if let Some(stale) = StaleMessages::new(channel, epoch) {
        tasks.spawn(format!("stale messages of {name}"), stale.run(tasks.stopping()));
    }
    let reconciler = Arc::new(Reconciler::new(channel, Arc::clone(&reader), epoch));
    tasks.spawn(format!("reconciler of {name}"), reconciler.run(tasks.stopping()));
    tasks.spawn(format!("poller of {name}"), Poller::new(channel, reader).run(tasks.stopping()));
    tasks.spawn(format!("publisher of {name}"), Arc::new(Publisher::new(channel)).run(tasks.stopping()));
}

/// Marks the sends that a former owner left unfinished as in doubt: the reconciler looks them up from now on.
pub(super) async fn account_for_left(channel: &Channel, epoch: Epoch) -> Result<(), StoreError> {
    let (settings, store, now_ms) = (&channel.settings, &channel.ports.store, now_ms());
    for left in store.interrupted(&settings.name, epoch, settings.first_look_ms(now_ms), now_ms).await? {
        metrics::unknown(&settings.name);
        tracing::warn!(
            channel_name = %settings.name,
            message_id = %left.m_id,
            contact = %crate::telemetry::contact(&left.contact),
            "message `{}` was being sent when the process ended: it may have been delivered; its conversation waits \
             until it is looked up at Afilnet",
            left.m_id
        );
    }
    Ok(())
}
