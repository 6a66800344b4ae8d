//! A damaged file: refused with a reason, or served as far as it can be read; never a panic, never a new store.

use std::path::Path;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::store::open::SqliteStore;

/// Places that are damaged, one at a time; the header and the first page, which say what the file is, are hit most.
const PLACES: u32 = 200;
const HEADER: usize = 108;
const FIRST_PAGE: usize = 4096;

/// A store with messages in every state, in both directions.
async fn filled(file: &Path) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(file).unwrap());
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in 0..120 {
        store.accept(message(n % 30, &format!("words {n} ").repeat(20), 10)).await.unwrap();
        store.record(reading(n % 40, &[(&format!("r{n}"), &format!("in {n}"))])).await.unwrap();
    }
    for (n, attempt) in take(&store, epoch, 100).await.iter().enumerate() {
        let settlement = match n % 3 {
            0 => continue,
            1 => Settlement::Sent { afilnet_id: None, more: false },
            _ => Settlement::Failed { fault: Fault::FileUrl, notice: Some("failed".into()) },
        };
        store.settle(attempt, settlement, 100).await.unwrap();
    }
    for (n, due) in store.due_events(&channel(), 2000, 20).await.unwrap().iter().enumerate() {
        let dead = Publication::Dead { fault: Fault::Http(400) };
        store.published(due, if n % 2 == 0 { Publication::Done } else { dead }, 2000).await.unwrap();
    }
    store.close().await;
    drop(store);
    // Writes the WAL into the file.
    rusqlite::Connection::open(file).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

/// Does everything that a start and the loops do. What the engine cannot read is an error; no thread ends.
async fn use_it(store: &Arc<dyn Store>) -> Vec<StoreError> {
    let mut errors = Vec::new();
    let mut note = |error: Option<StoreError>| errors.extend(error);
    note(store.correct_clock_rollback(50).await.err());
    let epoch = store.take_ownership(&channel()).await;
    if let Ok(epoch) = epoch {
        note(store.interrupted(&channel(), epoch, 4000, 3000).await.err());
        note(store.begin(&channel(), epoch, 3000, 0, 100, &Wordings::default()).await.err());
    }
    note(epoch.err());
    note(store.accept(message(999, "new", 3000)).await.err());
    note(store.record(reading(3, &[("new", "new")])).await.err());
    note(store.waiting().await.err());
    note(store.depths().await.err());
    note(store.positions(&channel()).await.err());
    note(store.seen(&channel(), &contact(3)).await.err());
    note(store.own_sends(&channel(), &contact(3), 100).await.err());
    note(store.due_events(&channel(), 9000, 100).await.err());
    for state in [None, Some("failed"), Some("dead")] {
        let filter = Filter { state: state.map(str::to_owned), limit: 1000, ..Filter::default() };
        note(store.list(filter).await.err());
    }
    note(store.purge(9000, 8000, 100).await.err());
    note(store.check().await.err());
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_anywhere_is_refused_in_words_or_served_around_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.db");
    filled(&whole).await;
    let bytes = std::fs::read(&whole).unwrap();
    let mut rng = StdRng::seed_from_u64(20_261_122);
    let (mut refused, mut troubled) = (0, 0);
    for n in 0..PLACES {
        let within = [HEADER, FIRST_PAGE, bytes.len(), bytes.len()][n as usize % 4];
        let place = rng.random_range(0..within);
        let mut damaged = bytes.clone();
        for byte in &mut damaged[place..(place + 8).min(bytes.len())] {
            *byte ^= rng.random_range(1..=u8::MAX);
        }
        let file = folder.path().join(format!("{n}.db"));
        std::fs::write(&file, &damaged).unwrap();
        let opened = tokio::task::spawn_blocking({
            let file = file.clone();
            move || SqliteStore::open(&file)
        });
        match opened.await.unwrap_or_else(|_| panic!("place {place}: opening panicked")) {
            Err(error) => {
                refused += 1;
                let words = error.to_string();
                let advice = ["keep the file", "run that version again", "use the `bridge` that serves"];
                assert!(advice.iter().any(|next| words.contains(next)), "place {place}: {words}");
                assert_eq!(std::fs::read(&file).unwrap(), damaged, "place {place}: changed, and refused: {error}");
            }
            Ok(store) => {
                let store: Arc<dyn Store> = Arc::new(store);
                let errors = use_it(&store).await;
                let ended = errors.iter().any(|error| matches!(error, StoreError::Closed));
                assert!(!ended, "place {place}: a thread ended: {errors:?}");
                troubled += u32::from(!errors.is_empty());
                store.close().await;
                assert!(std::fs::metadata(&file).unwrap().len() >= bytes.len() as u64, "place {place}: made anew");
            }
        }
        std::fs::remove_file(&file).unwrap();
    }
    assert!(refused >= 20 && troubled >= 5, "{refused} refused, {troubled} met errors in use: was anything damaged?");
}
