//! An outage of BonyChat: queued events are not tried in vain, nothing is given up, and all continues at once after it.

use std::time::{Duration, Instant};

use crate::support::{House, SOON, contact, until};

const CONVERSATIONS: usize = 50;

/// Posts under way when the first of them fails, at most.
const SIDE_BY_SIDE: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_out_of_order_is_called_once_a_second_and_gets_all_in_order_and_fast_after() {
    let mut house = House::new().set("BONYCHAT__TIMEOUT", "1s").set("RETRY__MAX", "1m");
    let bridge = house.start().await;
    let said = |words: &str| bridge.log().iter().filter(|line| line.contains(words)).count();
    let kinds = ["http_500", "http_503", "http_429", "reset", "hang"];
    for (n, kind) in kinds.into_iter().enumerate() {
        let before = house.bonychat.requests();
        house.bonychat.fault(&format!("message:{kind}:1-1000000")).unwrap();
        for part in ["first", "second"] {
            for who in 0..CONVERSATIONS {
                house.customer(&contact(who), &format!("{kind} {part}"));
            }
        }
        until("the way closes", || said("is out of order") > n).await;
        let closed = house.bonychat.requests() - before;
        assert!(closed <= 3 + SIDE_BY_SIDE, "{closed} calls before the way closed, {kind}");
        // Those that were under way when it closed may come after its line in the log; no call takes longer than a second.
        tokio::time::sleep(Duration::from_secs(2)).await; // part of the outage, not a wait for a state
        let (alone, at) = (house.bonychat.requests(), Instant::now());
        assert!(alone - before <= 3 + SIDE_BY_SIDE + 3, "{} calls until two seconds after, {kind}", alone - before);
        tokio::time::sleep(Duration::from_secs(4)).await; // the length of the outage, not a wait for a state
        let probes = house.bonychat.requests() - alone;
        assert!((1..=at.elapsed().as_secs() + 1).contains(&probes), "{probes} probes in {:?}, {kind}", at.elapsed());
        house.bonychat.clear_faults();
        let open = Instant::now();
        let all = 2 * CONVERSATIONS * (n + 1);
        assert!(house.bonychat.until(SOON, |world| world.event_count() == all).await, "{kind}");
        assert!(open.elapsed() < Duration::from_secs(10), "drained in {:?}, {kind}", open.elapsed());
    }
    let expected: Vec<String> =
        kinds.iter().flat_map(|kind| [format!("{kind} first"), format!("{kind} second")]).collect();
    assert!((0..CONVERSATIONS).all(|who| house.bonychat.texts(&contact(who)) == expected));
    assert_eq!(house.bonychat.repeats(), 0);
    assert_eq!((said("is out of order"), said("takes its events again")), (kinds.len(), kinds.len()));
    assert_eq!(said("dead letter"), 0, "nothing is given up for it");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bonychat_asks_to_wait_for_is_waited_for() {
    let mut house = House::new();
    let bridge = house.start().await;
    // Each 429 asks for a second.
    house.bonychat.fault("message:http_429:1-6").unwrap();
    let started = Instant::now();
    house.customer(&contact(1), "after the wait");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    assert!(started.elapsed() >= Duration::from_secs(6), "six waits of a second, in {:?}", started.elapsed());
    assert_eq!(house.bonychat.requests(), 7);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_tried_a_few_times_and_the_next_goes_within_seconds() {
    let mut house = House::new().set("RETRY__INITIAL", "10s").set("RETRY__MAX", "1m");
    let _bridge = house.start().await;
    house.bonychat.set_poison(Some("POISON"));
    house.customer(&contact(1), "POISON");
    house.customer(&contact(1), "after");
    let started = Instant::now();
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["after"]).await);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Refused, the next accepted, refused again; once more if the next came later.
    until("it is given up", || house.messages("dead").len() == 1).await;
    assert!(house.bonychat.requests() <= 4, "{} calls", house.bonychat.requests());
    house.check();
}
