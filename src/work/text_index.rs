//! The index of words: adds what is stored to it, behind everything else. A search reads what is not in it yet row by row.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::clock::now_ms;
use crate::store::{Indexing, Store};

/// Time between two turns: where all is indexed, after one that indexed something, and while messages are being stored.
const IDLE: Duration = Duration::from_secs(5);
const NEXT: Duration = Duration::from_millis(50);
const BUSY: Duration = Duration::from_millis(250);
/// After a block that was indexed again: retention erases texts of the same one every minute.
const AGAIN: Duration = Duration::from_mins(2);

/// Runs until the stop.
pub(super) async fn run(store: Arc<dyn Store>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut wait = IDLE;
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = match store.index_texts(now_ms()).await {
            Ok(Indexing::More) => NEXT,
            Ok(Indexing::Again) => AGAIN,
            Ok(Indexing::Busy) => BUSY,
            Ok(Indexing::Done) => IDLE,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not add to the index of words; messages go on, and searches take longer; trying again"
                );
                IDLE
            }
        };
    }
    Ok(())
}
