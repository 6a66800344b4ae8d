//! Gauges: what is paused, and how deep the queues are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Line;
use crate::domain::clock::{now_ms, since};
use crate::store::{Depth, Store};
use crate::telemetry::metrics::{self, Part};

/// Time between two updates.
const EVERY: Duration = Duration::from_secs(1);

/// Time between two counts of the queues, at least, and the share of the time that counting may take.
const COUNT_EVERY: Duration = Duration::from_secs(5);
const COUNT_SHARE: u32 = 50;

/// Runs until the stop.
pub(super) async fn run(lines: Vec<Arc<Line>>, store: Arc<dyn Store>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut next = Instant::now();
    loop {
        let (here, elsewhere): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.signals.is_here());
        for line in elsewhere {
            metrics::elsewhere(&line.name);
        }
        for line in here {
            metrics::paused(&line.name, Part::Account, line.account.breaker.is_open());
            metrics::paused(&line.name, Part::Sends, line.account.send_breaker.is_open());
            metrics::paused(&line.name, Part::Channel, line.breaker.is_open());
        }
        if Instant::now() >= next {
            metrics::fold();
            let started = Instant::now();
            match store.depths().await {
                Ok(depths) => show(&lines, &depths),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "could not count what waits"),
            }
            next = Instant::now() + (started.elapsed() * COUNT_SHARE).max(COUNT_EVERY);
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return Ok(());
        }
    }
}

/// Shows the depth of each channel that is delivered here; nothing where nothing waits.
fn show(lines: &[Arc<Line>], depths: &[Depth]) {
    let now_ms = now_ms();
    let by_name: std::collections::HashMap<&str, &Depth> = depths.iter().map(|d| (d.channel.as_str(), d)).collect();
    for line in lines.iter().filter(|line| line.signals.is_here()) {
        let there = by_name.get(line.name.as_str()).map_or_else(metrics::Depth::default, |there| metrics::Depth {
            outbound: there.outbound,
            oldest: there.oldest_ms.map_or(Duration::ZERO, |then_ms| since(then_ms, now_ms)),
            events: there.events,
            unconfirmed: there.unconfirmed,
        });
        metrics::depth(&line.name, there);
    }
}
