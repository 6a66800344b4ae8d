//! Guards: what keeps one failure from causing others, seen from outside.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{CHANNEL, House, SOON, TOKEN, contact, get, until, until_within};

/// Returns how often each text was sent to `who`.
fn times(house: &House, who: usize) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for text in house.afilnet.texts(&contact(who)[1..]) {
        *times.entry(text).or_default() += 1;
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_whose_reads_fail_hold_up_no_other_and_lose_nothing() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "20s");
    let _bridge = house.start().await;
    let round = house.afilnet.calls("getchats");
    until("the first round", || house.afilnet.calls("getchats") > round).await;
    house.afilnet.fault("getmessages:hang:1-3").unwrap();
    house.afilnet.fault("getmessages:http_500:0.5").unwrap();
    for n in 0..3 {
        for who in 0..60 {
            house.customer(&contact(who), &format!("message {n}"));
        }
    }
    let whole = |who: usize| house.bonychat.texts(&contact(who)).len() == 3;
    // Before the first of those that hang is given up.
    let most = || (0..60).filter(|who| whole(*who)).count() >= 45;
    until_within(Duration::from_secs(18), "most arrive while reads still fail", most).await;
    house.afilnet.clear_faults();
    until("all arrive", || (0..60).all(whole)).await;
    let expected: Vec<String> = (0..3).map(|n| format!("message {n}")).collect();
    assert!((0..60).all(|who| house.bonychat.texts(&contact(who)) == expected));
    assert_eq!(house.bonychat.repeats(), 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_unread_at_first_run_is_published_though_the_next_read_fails() {
    let mut house = House::new();
    house.afilnet.set_switch("unread_marks_read", "yes").unwrap();
    house.customer(&contact(1), "unread 1");
    house.customer(&contact(1), "unread 2");
    house.afilnet.fault("getmessages:http_500:1-3").unwrap();
    let _bridge = house.start().await;
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 2).await);
    assert_eq!(house.bonychat.texts(&contact(1)), ["unread 1", "unread 2"]);
    assert!(house.afilnet.calls("getmessages") >= 4, "the reads after it did fail");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_unread_at_first_run_is_published_though_the_process_is_killed_before_the_next_read() {
    let mut house = House::new();
    house.afilnet.set_switch("unread_marks_read", "yes").unwrap();
    house.customer(&contact(1), "unread 1");
    house.customer(&contact(1), "unread 2");
    house.afilnet.fault("getmessages:hang").unwrap();
    let bridge = house.start().await;
    until("the read hangs", || house.afilnet.calls("getmessages") == 1).await;
    bridge.kill();
    let asked = house.afilnet.calls("getunreadmessages");
    assert_eq!(asked, 1, "the mark is cleared by now");
    let _bridge = house.start().await;
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 2).await);
    assert_eq!(house.bonychat.texts(&contact(1)), ["unread 1", "unread 2"]);
    assert_eq!(house.afilnet.calls("getunreadmessages"), asked);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_makes_a_handful_unknown_and_the_rest_wait_for_its_end() {
    let mut house =
        House::new().set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__MAX_IN_FLIGHT", "8").set("RETRY__MAX", "2s");
    let bridge = house.start().await;
    house.afilnet.fault("*:http_502:1-1000000").unwrap();
    for who in 0..100 {
        assert_eq!(house.agent(&bridge, &contact(who), "through the outage").await.status, 200);
    }
    until("the log says so", || bridge.log().iter().any(|line| line.contains("is paused"))).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // the length of the outage, not a wait for a state
    let tried = house.afilnet.calls("sendmessage");
    assert!((1..=3 + 8).contains(&tried), "{tried} of 100 became unknown");
    assert_eq!(house.messages("unknown").len() as u64, tried, "none is settled while nobody can look");
    house.afilnet.clear_faults();
    house.settled().await;
    assert_eq!(house.afilnet.sent_count() + house.messages("unconfirmed").len(), 100);
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_alone_out_of_order_make_a_handful_unknown_though_other_calls_succeed() {
    let mut house =
        House::new().set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__MAX_IN_FLIGHT", "8").set("RETRY__MAX", "1s");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:http_502:1-1000000").unwrap();
    let began = Instant::now();
    for who in 0..100 {
        assert_eq!(house.agent(&bridge, &contact(who), "through the outage").await.status, 200);
    }
    until("the log says so", || bridge.log().iter().any(|line| line.contains("paused"))).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // the length of the outage, not a wait for a state
    let (tried, lasted) = (house.afilnet.calls("sendmessage"), began.elapsed());
    house.afilnet.clear_faults();
    house.settled().await;
    // Those in flight, and one per probe, which come half a second apart at least: only a send shows whether sends work again.
    let probes = 2 * lasted.as_secs() + 2;
    assert!((1..=3 + 8 + probes).contains(&tried), "{tried} sends were tried in {lasted:?}");
    assert_eq!(house.afilnet.sent_count() + house.messages("unconfirmed").len(), 100);
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_does_not_let_us_in_is_called_by_probes_alone_and_gets_all_in_order_after() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.bonychat.fault("*:http_401:1-1000000").unwrap();
    for n in 0..3 {
        for who in 0..10 {
            house.customer(&contact(who), &format!("message {n}"));
        }
    }
    until("the log says so", || bridge.log().iter().any(|line| line.contains("does not take its events"))).await;
    let first = house.bonychat.requests();
    until("probes are at their slow pace", || house.bonychat.requests() >= first + 6).await;
    let before = house.bonychat.requests();
    tokio::time::sleep(Duration::from_secs(2)).await; // a window to count probes in, not a wait for a state
    let probes = house.bonychat.requests() - before;
    assert!(probes <= 8, "{probes} calls within two seconds, while a probe may pass every 500 ms");
    assert_eq!(house.bonychat.event_count(), 0);
    house.bonychat.clear_faults();
    until("all is published", || (0..10).all(|who| house.bonychat.texts(&contact(who)).len() == 3)).await;
    let expected: Vec<String> = (0..3).map(|n| format!("message {n}")).collect();
    assert!((0..10).all(|who| house.bonychat.texts(&contact(who)) == expected));
    assert!(!bridge.log().iter().any(|line| line.contains("dead letter")), "nothing is given up for it");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_what_was_answered_200_is_delivered() {
    let mut house = House::new().on_a_file().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start_with_files_up_to(2048, &[]).await;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for n in 0..5000 {
        let text = format!("message {n}");
        let outcome = house.agent(&bridge, &contact(n % 50), &text).await;
        match outcome.status {
            200 => taken.push((n % 50, text, outcome.m_id.unwrap())),
            503 => {
                assert!(outcome.body["error"]["message"].as_str().is_some_and(|m| m.contains("was not sent")));
                refused.push((n % 50, text));
            }
            status => panic!("answered {status} {}", outcome.body),
        }
        if refused.len() == 20 {
            break;
        }
    }
    assert_eq!(refused.len(), 20, "the store never got full");
    // What still fits may have been committed since: readiness follows the last commit.
    let deadline = std::time::Instant::now() + SOON;
    let body = loop {
        let (status, body) = get(&bridge.url(), "/readyz");
        if status == 503 {
            break body;
        }
        assert!(std::time::Instant::now() < deadline, "answered {status} {body}");
        let text = format!("fits, or does not {}", "x".repeat(2000));
        assert_eq!(house.agent(&bridge, &contact(60), &text).await.status, 503);
    };
    let reason = body["error"]["message"].as_str().unwrap_or_default();
    assert!(reason.contains("the store is unavailable: its disk"), "{body}");
    assert!(!reason.contains(".db"), "a public page names no file: {body}");
    let logged = bridge.log();
    let line = logged.iter().find(|line| line.contains("store: could not commit")).expect("it is logged");
    for words in ["bridge.db: its disk", "Free some room", "nothing that was answered 200 is lost", "goes on by itself"]
    {
        assert!(line.contains(words), "{words}: {line}");
    }
    // Without further calls, only a trial write shows that there is still no room.
    until("it stays unready", || (0..20).all(|_| get(&bridge.url(), "/readyz").0 == 503)).await;
    assert_eq!(get(&bridge.url(), "/healthz").0, 200);
    bridge.kill();
    let _bridge = house.start().await;
    house.settled().await;
    let unknown = house.messages("unconfirmed");
    for (who, text, m_id) in &taken {
        let sent = times(&house, *who).get(text).copied().unwrap_or(0);
        let may_miss = unknown.contains(m_id);
        assert!(sent == 1 || (sent == 0 && may_miss), "{text}, answered 200, was sent {sent} times");
    }
    for (who, text) in &refused {
        assert_eq!(times(&house, *who).get(text), None, "{text}, answered 503, was sent");
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_hang_up_before_the_answer_get_their_message_sent_at_most_once() {
    let mut house = House::new();
    house.afilnet.set_latency("50ms".parse().unwrap());
    let bridge = house.start().await;
    let address = bridge.url().trim_start_matches("http://").to_owned();
    for who in 0..40 {
        let body = json!({"contactId": contact(who), "message": {"type": "text", "text": "cut"}}).to_string();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "POST /message HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        if who % 2 == 0 {
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }
    for who in 40..50 {
        assert_eq!(house.agent(&bridge, &contact(who), "whole").await.status, 200);
    }
    house.settled().await;
    assert!((0..40).all(|who| times(&house, who).values().all(|times| *times == 1)));
    assert!((40..50).all(|who| house.afilnet.texts(&contact(who)[1..]) == ["whole"]));
    assert_eq!(house.messages("unconfirmed"), [] as [String; 0]);
    // What was accepted was sent: nothing in the store is left unprocessed.
    assert_eq!(house.messages("sent").len(), house.afilnet.sent_count());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_comes_back_as_the_words_of_its_reply_across_a_restart_too() {
    for restart in [false, true] {
        let mut house = House::new();
        let mut bridge = house.start().await;
        let replies = ["Monday, 9:00", "Tuesday — ‘late’", "Neither"];
        let question = json!({"type": "quick_reply", "title": "Which day?", "replies": replies});
        let outcome = house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), question).await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
        assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
        house.settled().await;
        if restart {
            bridge.kill();
            bridge = house.start().await;
        }
        house.customer(&contact(1), "2");
        house.customer(&contact(1), "2");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() == 2).await, "{restart}");
        assert_eq!(house.bonychat.texts(&contact(1)), [replies[1], "2"], "answered once; restart: {restart}");
        drop(bridge);
        house.check();
    }
}
