//! Retention: deletes message texts and rows that are older than the configuration keeps them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::clock::{millis, now_ms};
use crate::store::Store;

/// Time between two purges, and before the first: the start has other things to do.
const EVERY: Duration = Duration::from_mins(1);
const FIRST: Duration = Duration::from_secs(5);

/// Rows changed by one transaction, at most: sends never wait long for it.
const AT_ONCE: u32 = 500;

/// Runs until the stop.
pub(super) async fn run(
    store: Arc<dyn Store>,
    keep_text: Duration,
    keep_rows: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut wait = FIRST;
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = EVERY;
        loop {
            let now_ms = now_ms();
            let before = (now_ms - millis(keep_text), now_ms - millis(keep_rows));
            match store.purge(before.0, before.1, AT_ONCE).await {
                Ok(touched) if touched >= AT_ONCE as usize && !stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not purge old texts; trying again");
                    break;
                }
            }
        }
    }
    Ok(())
}
