//! Three of ten calls to Afilnet fail, in every way.

use std::time::{Duration, Instant};

use crate::support::workload::Workload;
use crate::support::{House, until};

/// Each as likely as the others; together they hit three of ten calls.
const KINDS: [&str; 17] = [
    "reset",
    "reset_stored",
    "hang",
    "hang_stored",
    "truncated",
    "drip",
    "html_200",
    "html_200_stored",
    "garbage",
    "garbage_stored",
    "empty_stored",
    "http_429",
    "http_500",
    "http_500_stored",
    "http_502_stored",
    "http_503",
    "unknown_code",
];

/// `load` while calls of every method go wrong, then without; all is to be delivered, and at most one message in a
/// thousand may be unconfirmed.
async fn endure(load: Workload, seed: u64) {
    let started = Instant::now();
    let mut house =
        Workload::settings(House::seeded(seed)).set("AFILNET__TIMEOUT", "500ms").set("RETRY__INITIAL", "20ms");
    let bridge = house.start().await;
    for kind in KINDS {
        house.afilnet.fault(&format!("*:{kind}:0.021")).unwrap();
    }
    let running = load.start(&house, &bridge.url());
    let half = load.total() / 4;
    until("half of it is through", || house.afilnet.sent_count() >= half || running.is_over()).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // faults go on for a while
    house.afilnet.clear_faults();
    let unconfirmed = running.conserved(&house, load.total() / 2000).await;
    let calls: u64 = house.afilnet.counters().calls.values().sum();
    println!(
        "three faults in ten calls of {} kinds, seed {seed}, {} messages both ways, {calls} calls: lost 0, doubled 0, out of \
         order 0, unconfirmed {unconfirmed}, all delivered {:.0?} after the start",
        KINDS.len(),
        load.total(),
        started.elapsed()
    );
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_faults_in_ten_calls_lose_double_and_disorder_nothing() {
    let load = Workload { contacts: 50, each: 20, pause: Duration::from_millis(50), equal_words: true };
    endure(load, crate::support::workload::number("BRIDGE_FAULT_SEED", rand::random::<u32>().into())).await;
}

/// `cargo test --features crashpoints --test campaigns -- --ignored --nocapture ten_thousand_messages_through_faults` (some minutes).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn ten_thousand_messages_through_faults() {
    let first = crate::support::workload::number("BRIDGE_FAULT_SEED", 1);
    for seed in first..first + crate::support::workload::number("BRIDGE_FAULT_SEEDS", 1) {
        endure(Workload { contacts: 200, each: 25, pause: Duration::from_millis(50), equal_words: true }, seed).await;
    }
}
