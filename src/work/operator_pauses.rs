//! Pauses by hand, as this process knows them: `/message` answers 503 during a drain, and waits for no verdict while sends
//! are paused. The sender and the publisher are notified of the end alone: the store returns nothing to them before.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::channel::Channel;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::store::{Store, StoreError};

/// Time between two polls of the store. A command beside the process notifies it over PostgreSQL alone.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until the stop.
pub(super) async fn run(
    channels: Vec<Arc<Channel>>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let notified = tokio::time::timeout(EVERY, store.wakeups().pauses.notified());
        if stop.run_until_cancelled(notified).await.is_none() {
            return Ok(());
        }
        if let Err(error) = follow(&channels, store.as_ref()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "pauses by hand could not be read; they stay");
        }
    }
}

/// Reads which pauses last, and logs what has changed since the last time.
pub(super) async fn follow(channels: &[Arc<Channel>], store: &dyn Store) -> Result<(), StoreError> {
    let all = store.operator_pauses().await?;
    for channel in channels {
        let wakeups = &channel.state.wakeups;
        let name = channel.name();
        let now: Vec<OperatorPause> = all.iter().filter(|pause| pause.channel == name.as_str()).cloned().collect();
        let before = wakeups.set_pauses(now.clone());
        // Of a channel that another process delivers, only a drain does something here.
        let here = |pause: &&OperatorPause| wakeups.is_local() || pause.kind == PauseKind::Drain;
        for begun in now.iter().filter(|pause| !before.contains(pause)).filter(here) {
            tracing::warn!(
                channel_name = %name,
                what = begun.kind.name(),
                who = begun.who,
                why = begun.why,
                "{}",
                begun.in_words(&TimeZone::UTC)
            );
        }
        let mut ended = before.iter().filter(|pause| !now.contains(pause)).peekable();
        if ended.peek().is_some() {
            wakeups.notify_outbound(0);
            wakeups.events.notify_one();
        }
        for ended in ended.filter(here) {
            tracing::info!(
                channel_name = %name,
                what = ended.kind.name(),
                who = ended.who,
                "channel `{name}`: the pause by hand (`{}`) has ended, going on",
                ended.kind.name()
            );
        }
    }
    Ok(())
}
