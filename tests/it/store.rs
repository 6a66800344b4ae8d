//! Failures of the store: damaged, and locked by another program.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::support::{CHANNEL, House, SOON, contact, get, took_at_most, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_refused_with_exit_code_1_in_words_and_left_as_it_is() {
    let mut house = House::new().on_a_file();
    let bridge = house.start().await;
    for n in 0..20 {
        house.agent(&bridge, &contact(n), "kept").await;
    }
    bridge.kill();
    // Writes the WAL into the file; the last connection to close removes it.
    Connection::open(house.database()).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = std::fs::read(house.database()).unwrap();
    bytes[100..4096].fill(0xA5); // the schema
    std::fs::write(house.database(), &bytes).unwrap();
    let (code, words) = house.refused_start().await;
    assert_eq!(code, Some(1));
    assert!(words.contains("is damaged") && words.contains(".recover") && words.contains("no new one"), "{words}");
    assert!(!words.contains("panicked"), "{words}");
    assert_eq!(std::fs::read(house.database()).unwrap(), bytes, "left as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_locked_by_another_program_is_answered_503_soon_and_recovers_by_itself() {
    let mut house = House::new().on_a_file().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(0), "before").await.status, 200);
    let other = Connection::open(house.database()).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for round in 0..3 {
        let asked = Instant::now();
        // Concurrently: calls that arrive while the writer waits must not each wait in turn.
        let mut together = JoinSet::new();
        for n in 0..8 {
            let (bonychat, url) = (house.bonychat.clone(), bridge.url());
            together.spawn(async move { bonychat.text(&url, CHANNEL, &contact(n), "while it is locked").await.status });
        }
        assert_eq!(together.join_all().await, [503; 8], "round {round}");
        took_at_most(Duration::from_secs(3), "eight refusals", asked);
        assert_eq!(get(&bridge.url(), "/readyz").0, 503);
    }
    other.execute_batch("ROLLBACK").unwrap();
    until("it is ready again", || get(&bridge.url(), "/readyz").0 == 200).await;
    assert_eq!(house.agent(&bridge, &contact(0), "after").await.status, 200);
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(0)[1..]) == ["before", "after"]).await);
    assert!((1..8).all(|n| house.afilnet.texts(&contact(n)[1..]).is_empty()), "what was answered 503 was not sent");
    assert_eq!(get(&bridge.url(), "/healthz").0, 200);
    house.check();
}
