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
struct Word {
    reached: bool,
    tries: u32,
}

/// Entries that are not stored yet.
#[derive(Default)]
pub(super) struct ResponseJournal {
    /// The last entry of each message.
    words: Mutex<HashMap<MId, bool>>,
    news: Notify,
}

impl ResponseJournal {
    pub(super) fn note(&self, m_id: &MId, reached: bool) {
        let mut words = self.words();
        if words.len() < MOST {
            words.insert(m_id.clone(), reached);
        }
        drop(words);
        self.news.notify_one();
    }

    /// Stores the entries, in an endless loop.
    pub(super) async fn keep(self: Arc<Self>, pool: Arc<Pool>) {
        let mut words = HashMap::new();
        loop {
            if words.is_empty() {
                self.news.notified().await;
            } else {
                sleep(AGAIN).await;
            }
            words.extend(self.words().drain().map(|(m_id, reached)| (m_id, Word { reached, tries: 0 })));
            if words.is_empty() {
                continue;
            }
            let said = pool.write("journal_responses", &words, &|db, words| Box::pin(say(db, words))).await;
            let said = said.unwrap_or_default();
            words.retain(|m_id, word| {
                word.tries += 1;
                word.tries < TRIES && !said.contains(m_id.as_str())
            });
        }
    }

    fn words(&self) -> MutexGuard<'_, HashMap<MId, bool>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores the entries without waiting for locked rows, so that it never blocks another transaction. Returns which were
/// stored.
async fn say(db: &mut Db, words: &HashMap<MId, Word>) -> Result<HashSet<String>, StoreError> {
    db.run(sql::IN_MEMORY).await?;
    let me = db.me();
    let mut said = HashSet::with_capacity(words.len());
    for (reached, statement) in [(true, sql::NOTE_WRITTEN), (false, sql::NOTE_LOST)] {
        let of = words.iter().filter(|(_, word)| word.reached == reached);
        let m_ids: Vec<String> = of.map(|(m_id, _)| m_id.as_str().to_owned()).collect();
        if !m_ids.is_empty() {
            let rows: Vec<(String,)> = db.rows(statement, args![m_ids, me]).await?;
            said.extend(rows.into_iter().map(|(m_id,)| m_id));
        }
    }
    Ok(said)
}
