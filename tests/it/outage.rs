//! BonyChat asks to wait, or refuses one event alone.

use std::time::{Duration, Instant};

use crate::support::{House, SOON, contact, took_at_most, until};

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
    took_at_most(Duration::from_secs(5), "the next event", started);
    // Refused, the next accepted, refused again; once more if the next came later.
    until("it is given up", || house.messages("dead").len() == 1).await;
    assert!(house.bonychat.requests() <= 4, "{} calls", house.bonychat.requests());
    house.check();
}
