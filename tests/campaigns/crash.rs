//! kill -9 at random moments of thousands of messages both ways, with a caller that repeats calls without a response.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::support::House;
use crate::support::workload::{Workload, number};

/// One campaign: kills at random moments, a restart after each, then the count.
async fn campaign(kills: usize, load: Workload, seed: u64) {
    let started = Instant::now();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut house = Workload::settings(House::new());
    let mut bridge = house.start().await;
    let running = load.start(&house, &bridge.url());
    let mut killed = 0;
    while killed < kills && !running.is_over() {
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await; // the moment of the kill
        bridge.kill();
        killed += 1;
        bridge = house.start().await;
    }
    assert_eq!(killed, kills, "the workload was over before the last kill: make it longer");
    let repeated = std::sync::Arc::clone(&running.repeated);
    let unconfirmed = running.conserved(&house, 0).await;
    println!(
        "{killed} kills in {} messages both ways over {} contacts, seed {seed}: lost 0, doubled 0, out of order 0, \
         unconfirmed {unconfirmed}; {} calls were cut off and repeated, {} events posted again under the same id; {:.0?}",
        load.total(),
        load.contacts,
        repeated.load(Ordering::Relaxed),
        house.bonychat.repeats(),
        started.elapsed()
    );
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_double_and_disorder_nothing() {
    let load = Workload { contacts: 50, each: 20, pause: Duration::from_millis(500), equal_words: false };
    campaign(20, load, number("BRIDGE_KILL_SEED", rand::random::<u32>().into())).await;
}

/// `BRIDGE_KILLS=200 cargo test --features crashpoints --test campaigns -- --ignored --nocapture as_many_kills` (about five minutes).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn as_many_kills_as_asked_for_lose_double_and_disorder_nothing() {
    let kills = usize::try_from(number("BRIDGE_KILLS", 200)).unwrap();
    let pause = Duration::from_millis(60 * u64::try_from(kills).unwrap());
    let load = Workload { contacts: 500, each: 10, pause, equal_words: false };
    campaign(kills, load, number("BRIDGE_KILL_SEED", rand::random::<u32>().into())).await;
}
