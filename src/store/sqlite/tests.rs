//! What only this engine can show: two operations in an order that no caller can force.

use super::*;
use crate::domain::journey::Means;
use crate::store::many_rows::{INTO_BLOCKS, LATE_MS};

#[tokio::test]
async fn a_block_of_which_a_text_was_erased_while_it_was_read_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.db");
    let store = SqliteStore::open(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch(&INTO_BLOCKS.join(";")).unwrap();
    let read = || {
        store.read(|db| {
            let due = at_once(ops::text_index::due(&mut SqliteTx(db), LATE_MS))?;
            due.map(|due| at_once(ops::text_index::read(&mut SqliteTx(db), &due))).transpose()
        })
    };
    let keep = |read| store.write("index_texts", move |db| at_once(ops::text_index::store(&mut SqliteTx(db), &read)));
    let before = read().await.unwrap().unwrap();
    let notices = DiscardNotices { not_sent: String::new(), perhaps_sent: String::new() };
    let by = Operator::new("ana", Means::Cli, None);
    store.discard("00000000000000000000000000000007".to_owned().into(), notices, by, 1).await.unwrap();
    assert!(!keep(before).await.unwrap(), "it holds what was erased meanwhile");
    let again = read().await.unwrap().unwrap();
    let late = read().await.unwrap().unwrap();
    assert!(keep(again).await.unwrap());
    assert!(!keep(late).await.unwrap(), "another process has stored it");
    store.close().await;
}
