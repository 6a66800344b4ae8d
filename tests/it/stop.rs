//! The end of a process after a stop signal, and its next start.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::support::{House, SOON, TOKEN, contact, until};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_what_is_in_flight_finish_and_loses_nothing() {
    let mut house = House::new().set("AFILNET__MAX_IN_FLIGHT", "4").set("OUTBOUND__ANSWER_WITHIN", "0s");
    house.afilnet.set_latency("300ms".parse().unwrap());
    let mut bridge = house.start().await;
    for n in 0..40 {
        assert_eq!(house.agent(&bridge, &contact(n), "drained").await.status, 200);
    }
    let started = Instant::now();
    bridge.signal("TERM");
    let status = bridge.ended().await;
    assert!(status.success(), "{status}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(house.afilnet.sent_count() < 40, "the stop begins nothing new");
    house.afilnet.set_latency("0ms".parse().unwrap());
    let bridge = house.start().await;
    assert!(
        !bridge.log().iter().any(|line| line.contains("when the process ended")),
        "what was in flight has finished"
    );
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 40).await);
    assert!(house.messages("unconfirmed").is_empty());
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_does_not_hold_up_the_stop() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "60s").set("OUTBOUND__ANSWER_WITHIN", "0s");
    let mut bridge = house.start().await;
    house.afilnet.fault("sendmessage:hang").unwrap();
    let outcome = house.agent(&bridge, &contact(1), "hangs").await;
    until("the call is under way", || house.afilnet.calls("sendmessage") == 1).await;
    let started = Instant::now();
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(13), "{:?}", started.elapsed());
    house.afilnet.clear_faults();
    let _bridge = house.start().await;
    until("it is accounted for", || house.messages("unconfirmed") == [outcome.m_id.clone().unwrap()]).await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bridge_on_the_same_file_is_refused() {
    let mut house = House::new().on_a_file();
    let _bridge = house.start().await;
    let (code, words) = house.refused_start().await;
    assert_eq!(code, Some(1));
    assert!(words.contains("another bridge process uses the store"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_left_while_the_process_stood_still_are_not_taken_for_ones_that_wait() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "before").await.status, 200);
    bridge.signal("STOP");
    for n in 0..20 {
        let body = format!(r#"{{"contactId":"{}","message":{{"type":"text","text":"gone {n}"}}}}"#, contact(1));
        let mut caller = tokio::net::TcpStream::connect(bridge.url().trim_start_matches("http://")).await.unwrap();
        let head = format!("POST /message HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {TOKEN}\r\n");
        caller.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        if n % 2 == 0 {
            caller.set_zero_linger().unwrap(); // leaves by a reset
        }
    }
    bridge.signal("CONT");
    assert_eq!(house.agent(&bridge, &contact(1), "after").await.status, 200);
    house.settled().await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["before", "after"]);
    house.check();
}
