//! A broadcast to many while agents and customers talk: live conversations go first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{CHANNEL, House, SOON, contact, until_within};

/// Live conversations meanwhile.
const LIVE: usize = 20;

/// 95th percentile of the time until a reply is sent, at most.
const WITHIN: Duration = Duration::from_secs(2);

/// A broadcast to `many` at `rate` requests a second while agents answer customers.
async fn broadcast(many: usize, rate: u32) {
    let mut house = House::new()
        .set("AFILNET__REQUESTS_PER_SECOND", &rate.to_string())
        .set("OUTBOUND__ANSWER_WITHIN", "0s")
        .set("CHANNELS__SUPPORT__POLL_ACTIVE", "500ms")
        .set("CHANNELS__SUPPORT__POLL_IDLE", "1s");
    let bridge = house.start().await;
    let live = |n: usize| contact(900_000 + n);
    for n in 0..LIVE {
        house.customer(&live(n), "a question");
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= LIVE).await);
    let started = Instant::now();
    let writers = (0..8).map(|writer| {
        let (bonychat, base) = (house.bonychat.clone(), bridge.url());
        tokio::spawn(async move {
            for n in (writer..many).step_by(8) {
                let outcome = bonychat.text(&base, CHANNEL, &contact(n), "a broadcast").await;
                assert_eq!(outcome.status, 200, "{}", outcome.body);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let over = Arc::new(AtomicBool::new(false));
    let agents = (0..LIVE).map(|n| {
        let (bonychat, base, over) = (house.bonychat.clone(), bridge.url(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut written = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let text = format!("reply {}", written.len());
                let at = jiff::Timestamp::now().as_millisecond();
                let outcome = bonychat.text(&base, CHANNEL, &live(n), &text).await;
                assert_eq!(outcome.status, 200, "{}", outcome.body);
                written.push((text, at));
                tokio::time::sleep(Duration::from_millis(700)).await; // the agent's own pace
            }
            (n, written)
        })
    });
    let agents: Vec<_> = agents.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = |house: &House| house.afilnet.sent_count() >= many;
    let limit = Duration::from_secs(30 + 3 * many as u64 / u64::from(rate));
    until_within(limit, "the broadcast is through", || all(&house)).await;
    over.store(true, Ordering::Relaxed);
    let took = started.elapsed();
    let mut written = HashMap::new();
    for agent in agents {
        let (n, replies) = agent.await.unwrap();
        written.insert(live(n), replies);
    }
    house.settled().await;
    let mut delays: Vec<i64> = Vec::new();
    for (to, replies) in &written {
        let sent = house.afilnet.sent(&to[1..]);
        let texts: Vec<&str> = sent.iter().map(|call| call.message.as_str()).collect();
        assert_eq!(texts, replies.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>());
        delays.extend(sent.iter().zip(replies).map(|(call, (_, at))| call.at_ms - at));
    }
    delays.sort_unstable();
    let at = |percent: usize| Duration::from_millis(delays[delays.len() * percent / 100].max(0).unsigned_abs());
    let (p50, p95) = (at(50), at(95));
    println!(
        "broadcast of {many} at {rate} requests/s through in {took:.0?}; {} replies of {LIVE} live conversations left after \
         p50 {p50:?}, p95 {p95:?}; the account's busiest second had {} calls",
        delays.len(),
        house.afilnet.busiest_second()
    );
    assert!(p95 <= WITHIN, "p95 {p95:?}");
    assert!((0..many).all(|n| house.afilnet.texts(&contact(n)[1..]) == ["a broadcast"]));
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_delays_no_reply() {
    broadcast(1000, 200).await;
}

/// `cargo test --features crashpoints --test campaigns -- --ignored --nocapture twenty_thousand` (about four minutes).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn twenty_thousand_messages_delay_no_reply() {
    broadcast(20_000, 200).await;
}
