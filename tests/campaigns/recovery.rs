//! PostgreSQL stopped in mid-run and started again: no 200 for a message that is not stored, and the bridge recovers by
//! itself.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::support::postgres::{Server, Stop};

use crate::support::workload::{Workload, number};
use crate::support::{House, contact, get, until, until_within};

/// Both ways under load, the server stopped for `away`, started again, then the count.
async fn stopped(how: Stop, away: Duration, load: Workload) {
    let Some(mut server) = Server::start().await else { return };
    let mut house = Workload::settings(House::new()).set("STORE__URL", &server.url());
    let bridge = house.start().await;
    let running = load.start(&house, &bridge.url());
    let answers = Arc::clone(&running.answers);
    let taken = || answers.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
    until("messages flow both ways", || {
        taken().len() > 3 * load.contacts && house.bonychat.all_events().len() > 3 * load.contacts
    })
    .await;
    let before = answers.unavailable.load(Ordering::Relaxed); // on a busy machine some wait too long
    server.stop(how).unwrap();
    let gone = Instant::now();
    until_within(Duration::from_secs(5), "it is not ready", || get(&bridge.url(), "/readyz").0 == 503).await;
    let noticed = gone.elapsed();
    tokio::time::sleep(away.saturating_sub(gone.elapsed())).await; // the length of the outage, not a wait for a state
    assert_eq!((get(&bridge.url(), "/readyz").0, get(&bridge.url(), "/healthz").0), (503, 200));
    // What was stored before is answered within `answer_within`, which is 500 ms here.
    let outage = taken().into_iter().filter(|(at, _)| *at > gone + Duration::from_secs(1)).count();
    assert_eq!(outage, 0, "answered 200 while there was no database");
    let unavailable = answers.unavailable.load(Ordering::Relaxed);
    assert!(unavailable > before);
    server.start_again().unwrap();
    let back = Instant::now();
    until("it is ready again", || get(&bridge.url(), "/readyz").0 == 200).await;
    let ready = back.elapsed();
    until("everybody has written everything", || running.is_over()).await;
    let written = back.elapsed();
    let unconfirmed = running.conserved(&house, 0).await;
    let settled = back.elapsed();
    let first = taken().into_iter().map(|(at, _)| at).filter(|at| *at > back).min().unwrap() - back;
    let list = String::from_utf8(house.run(&["messages", "list", "--limit", "1000000"]).stdout).unwrap();
    let stored: HashSet<&str> = list.lines().filter_map(|line| line.split('\t').next()).collect();
    let missing = taken().iter().filter(|(_, m_id)| !stored.contains(m_id.as_str())).count();
    assert_eq!(missing, 0, "answered 200 and not in the table");
    assert_eq!(taken().len(), load.total() / 2);
    println!(
        "PostgreSQL stopped ({how:?}) for {away:.0?} in {} messages both ways over {} contacts: lost 0, doubled 0, out of \
         order 0, unconfirmed {unconfirmed}; {} answered 200, of which 0 are missing from the table; {} answered 503, {before} of them before; not \
         ready after {noticed:.1?}; from its start on: first 200 after {first:.1?}, ready after {ready:.1?}, \
         everything written after {written:.1?} and settled after {settled:.1?}",
        load.total(),
        load.contacts,
        taken().len(),
        answers.unavailable.load(Ordering::Relaxed)
    );
    assert_eq!(get(&bridge.url(), "/healthz").0, 200);
    assert_eq!(house.agent(&bridge, &contact(999), "after all").await.status, 200);
    drop(bridge);
    house.check();
}

/// Long enough to be running when the server stops and when it starts.
fn load() -> Workload {
    Workload { contacts: 15, each: 20, pause: Duration::from_millis(200), equal_words: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_and_recovers_in_mid_run_loses_doubles_and_disorders_nothing() {
    stopped(Stop::Immediate, Duration::from_secs(5), load()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restarted_in_mid_run_loses_doubles_and_disorders_nothing() {
    stopped(Stop::Fast, Duration::from_secs(5), load()).await;
}

/// `BRIDGE_AWAY=20 cargo test --features crashpoints --test campaigns -- --ignored --nocapture as_long_as_asked_for`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn a_database_that_is_away_as_long_as_asked_for_loses_doubles_and_disorders_nothing() {
    for how in [Stop::Immediate, Stop::Fast] {
        stopped(how, Duration::from_secs(number("BRIDGE_AWAY", 20)), load()).await;
    }
}
