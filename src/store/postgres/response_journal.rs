//! Journal of written responses, sent to the server at once, in commits that do not wait for its disk. It survives a
//! kill of the process before the commit that records the outcome, and so distinguishes a call that was answered just
//! before the kill from one that was not.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::db::{Db, args};
use super::pool::Pool;
use super::sql;
use crate::domain::MId;
use crate::store::StoreError;

/// Most tries for a row that another transaction is changing; after that the outcome of its response is recorded soon
/// anyway.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(10);

/// Most entries that wait for the server; beyond that they are dropped.
const MOST: usize = 10_000;

/// Whether a response was written, or was lost after all; and how often that could not be stored.
struct Entry {
    reached: bool,
    tries: u32,
}

/// Entries that are not stored yet.
#[derive(Default)]
pub(super) struct ResponseJournal {
    /// The last entry of each message.
    entries: Mutex<HashMap<MId, bool>>,
    added: Notify,
}

impl ResponseJournal {
    pub(super) fn note(&self, m_id: &MId, reached: bool) {
        let mut entries = self.entries();
        if entries.len() < MOST {
            entries.insert(m_id.clone(), reached);
        }
        drop(entries);
        self.added.notify_one();
    }

    /// Stores the entries, in an endless loop.
    pub(super) async fn run(self: Arc<Self>, pool: Arc<Pool>) {
        let mut entries = HashMap::new();
        loop {
            if entries.is_empty() {
                self.added.notified().await;
            } else {
                sleep(AGAIN).await;
            }
            entries.extend(self.entries().drain().map(|(m_id, reached)| (m_id, Entry { reached, tries: 0 })));
            if entries.is_empty() {
                continue;
            }
            let stored = pool.write("journal_responses", &entries, &|db, entries| Box::pin(store(db, entries))).await;
            let stored = stored.unwrap_or_default();
            entries.retain(|m_id, entry| {
                entry.tries += 1;
                entry.tries < TRIES && !stored.contains(m_id.as_str())
            });
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<MId, bool>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores the entries without waiting for locked rows, so that it never blocks another transaction. Returns which were
/// stored.
async fn store(db: &mut Db, entries: &HashMap<MId, Entry>) -> Result<HashSet<String>, StoreError> {
    db.run(sql::IN_MEMORY).await?;
    let me = db.me();
    let mut stored = HashSet::with_capacity(entries.len());
    for (reached, statement) in [(true, sql::NOTE_WRITTEN), (false, sql::NOTE_LOST)] {
        let of = entries.iter().filter(|(_, entry)| entry.reached == reached);
        let m_ids: Vec<String> = of.map(|(m_id, _)| m_id.as_str().to_owned()).collect();
        if !m_ids.is_empty() {
            let rows: Vec<(String,)> = db.rows(statement, args![m_ids, me]).await?;
            stored.extend(rows.into_iter().map(|(m_id,)| m_id));
        }
    }
    Ok(stored)
}
