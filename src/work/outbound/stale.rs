//! What waited for longer than `outbound.stale_after` fails: in place of being begun, and while sends are paused, so that agents are
//! told in time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::agent_text::stale;
use crate::domain::clock::{millis, now_ms};
use crate::domain::{ChannelName, LeaseDeadline};
use crate::store::{Epoch, StaleMessage, StaleQuery, StaleRule, Store, StoreError};
use crate::telemetry::metrics;
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::wait::{STORE_PAUSE, may_call};

/// Messages of one transaction.
const AT_ONCE: u32 = 200;

/// Agents get their notice at most this share of the time after the message became stale, within these bounds.
const SHARE: u32 = 20;
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(30);

/// The rule of one channel, where it has one.
pub(in crate::work) struct StaleMessages {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    deadline: LeaseDeadline,
    epoch: Epoch,
    stale_after: Duration,
    notice: String,
}

impl StaleMessages {
    /// Of a channel that this process owns since `epoch`; `None`: messages wait for as long as it takes.
    pub(in crate::work) fn new(channel: &Channel, epoch: Epoch) -> Option<Self> {
        let (settings, ports) = (Arc::clone(&channel.settings), &channel.ports);
        let stale_after = settings.stale_after?;
        let notice = stale(stale_after, settings.language);
        let (store, deadline) = (Arc::clone(&ports.store), ports.deadline.clone());
        Some(Self { settings, store, deadline, epoch, stale_after, notice })
    }

    /// Runs until the stop: fails what is stale whether anything can be sent or not.
    pub(in crate::work) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let pause = (self.stale_after / SHARE).clamp(SOONEST, LATEST);
        while may_call(&self.deadline, &stop).await {
            let pause = match self.fail_all().await {
                Ok(()) => pause,
                Err(StoreError::Closed | StoreError::Stale) => break, // its owner is another, or the process ends
                Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt { .. })) => {
                    tracing::error!(
                        channel_name = %self.settings.name,
                        error = &error as &dyn std::error::Error,
                        "channel `{}`: cannot look for messages that waited for too long; trying again",
                        self.settings.name
                    );
                    STORE_PAUSE.max(pause)
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        stop.cancelled().await;
        Ok(())
    }

    /// Returns what applies to messages that are begun at `now_ms`.
    pub(in crate::work) fn rule(&self, now_ms: i64) -> StaleRule {
        StaleRule { before_ms: now_ms.saturating_sub(millis(self.stale_after)), notice: self.notice.clone() }
    }

    /// Fails all that is stale by now, in transactions of a bounded size.
    async fn fail_all(&self) -> Result<(), StoreError> {
        loop {
            let now_ms = now_ms();
            let (channel, epoch, rule) = (self.settings.name.clone(), self.epoch, self.rule(now_ms));
            let failed = self.store.fail_stale(StaleQuery { channel, epoch, rule }, AT_ONCE, now_ms).await?;
            report(&self.settings.name, &failed, now_ms);
            if failed.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Counts messages that failed because they were stale; one log line each.
pub(super) fn report(channel: &ChannelName, failed: &[StaleMessage], now_ms: i64) {
    for StaleMessage { m_id, contact, accepted_ms } in failed {
        metrics::failed_stale(channel);
        tracing::warn!(
            channel_name = %channel,
            message_id = %m_id,
            contact = %crate::telemetry::contact(contact),
            fault = "stale",
            age_ms = now_ms.saturating_sub(*accepted_ms),
            "message `{m_id}` is given up, its agent is told: it waited for longer than outbound.stale_after"
        );
    }
}
