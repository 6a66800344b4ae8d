//! BonyChat to Afilnet.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::support::{CHANNEL, House, SOON, contact, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_writes_reaches_afilnet_once_and_in_order() {
    let mut house = House::new();
    let bridge = house.start().await;
    for n in 0..20 {
        let outcome = house.agent(&bridge, &contact(1), &format!("message {n}")).await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
        assert!(
            outcome
                .m_id
                .is_some_and(|id| (1..=50).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 20).await);
    let expected: Vec<String> = (0..20).map(|n| format!("message {n}")).collect();
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), expected);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_arrives_as_it_was_written() {
    let mut house = House::new();
    let bridge = house.start().await;
    let texts = [
        "a&method=getchats&destination=1",
        "100% + 20 = 120 %26 %00",
        "línea 1\nlínea 2\r\nñandú 🇪🇸👩‍👩‍👧‍👦",
        "a[]=b;c=d#e?f",
        "\u{202e}right to left\u{200d}",
        "'; DROP TABLE outbound; --",
        "<b>bold</b> &amp; \"quoted\" \\ back",
    ];
    for text in texts {
        assert_eq!(house.agent(&bridge, &contact(1), text).await.status, 200);
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == texts.len()).await);
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), texts);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_unicode_arrives_as_exactly_one_parameter_byte_for_byte() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut runner = TestRunner::deterministic();
    let parts = prop_oneof![
        any::<char>().prop_map(String::from),
        "[&=%+;#?\\[\\]\\\\\"'<> \\t\\r\\n]{1,8}",
        "%[0-9A-Fa-f]{2}",
        "(&|%26)(method|message|destination|user|password)(=|%3D)\\PC{0,5}",
        "\\PC{1,20}",
        "[\\u{1F468}\\u{200D}\\u{1F469}\\u{FE0F}\\u{0301}\\u{202E}\\u{FEFF}]{1,6}",
    ];
    let texts = proptest::collection::vec(parts, 1..12).prop_map(|parts| parts.concat());
    // U+0000 is left out of every text on its way in; a text that shows nothing is refused.
    let shows = |c: char| !c.is_whitespace() && !c.is_control() && !"\u{200d}\u{202e}\u{fe0f}\u{feff}".contains(c);
    let texts = texts.prop_filter("shows something", move |text| !text.contains('\0') && text.chars().any(shows));
    let written: Vec<String> = (0..500).map(|_| texts.new_tree(&mut runner).unwrap().current()).collect();
    for text in &written {
        let outcome = house.agent(&bridge, &contact(1), text).await;
        assert_eq!(outcome.status, 200, "{text:?}: {}", outcome.body);
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == written.len()).await);
    for (arrived, text) in house.afilnet.texts(&contact(1)[1..]).iter().zip(&written) {
        assert_eq!(arrived, text);
    }
    assert_eq!(house.afilnet.calls("sendmessage"), 500, "nothing in a text became a call of its own");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_becomes_its_call() {
    let mut house = House::new();
    let bridge = house.start().await;
    let to = contact(1);
    house.customer(&to, "hello"); // a file needs an open conversation
    for message in [
        json!({"type": "attachment", "attachment": {"type": "image", "url": "https://x.example/a.jpg", "description": "look"}}),
        json!({"type": "attachment", "attachment": {"type": "file", "url": "https://x.example/a.pdf", "fileName": "a.pdf"}}),
        json!({"type": "location", "latitude": 3.139, "longitude": 101.6869, "address": "Kuala Lumpur"}),
        json!({"type": "quick_reply", "title": "Which day?", "replies": ["Monday", "Tuesday"]}),
    ] {
        let outcome = house.bonychat.send(&bridge.url(), CHANNEL, &to, message).await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 4).await);
    let sent = house.afilnet.sent(&to[1..]);
    let kinds: Vec<_> = sent.iter().map(|call| (call.method, call.kind.as_deref(), call.fileurl.as_deref())).collect();
    assert_eq!(
        kinds,
        [
            ("sendfile", Some("image"), Some("https://x.example/a.jpg")),
            ("sendfile", Some("document"), Some("https://x.example/a.pdf")),
            ("sendmessage", None, None),
            ("sendmessage", None, None),
        ]
    );
    assert_eq!(sent[0].message, "look");
    assert!(sent[2].message.starts_with("Kuala Lumpur\n3.139,101.6869\nhttps://"));
    assert!(sent[3].message.contains("1. Monday\n2. Tuesday"));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_goes_in_parts_in_order_before_what_follows() {
    let mut house = House::new().set("CHANNELS__SUPPORT__TEXT_LIMIT", "100");
    let bridge = house.start().await;
    let long = (0..120).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
    assert_eq!(house.agent(&bridge, &contact(1), &long).await.status, 200);
    assert_eq!(house.agent(&bridge, &contact(1), "after it").await.status, 200);
    assert!(
        house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]).last().is_some_and(|t| t == "after it")).await
    );
    let mut parts = house.afilnet.texts(&contact(1)[1..]);
    parts.pop();
    assert!(parts.len() > 1 && parts.iter().all(|part| part.chars().count() <= 100));
    assert_eq!(parts.join(" "), long);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_afilnet_refuses_for_good_is_told_at_once_and_holds_up_nobody() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    let refused = house.agent(&bridge, &contact(1), "refused").await;
    assert_eq!(refused.status, 400);
    let reason = refused.body["error"]["message"].as_str().unwrap();
    assert!(reason.contains("did not get this message"), "{reason}");
    assert_eq!(house.agent(&bridge, &contact(1), "next").await.status, 200);
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["next"]);
    // A message_status would come before what the customer writes later.
    house.customer(&contact(1), "hello");
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["hello"]).await);
    assert_eq!(house.bonychat.event_count(), 1, "what the caller was told needs no message_status");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_the_answer_comes_as_a_status() {
    let mut house = House::new();
    let bridge = house.start().await;
    // The first attempt is retried later, so the caller gets 200; the second is refused for good.
    house.afilnet.fault("sendmessage:http_429:1").unwrap();
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM:2").unwrap();
    let outcome = house.agent(&bridge, &contact(1), "late refusal").await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    let event = &house.bonychat.all_events()[0];
    assert_eq!(
        (event.kind.as_str(), Some(&event.m_id), event.status()),
        ("message_status", outcome.m_id.as_ref(), "failed")
    );
    assert!(house.afilnet.all_sent().is_empty());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn surely_not_sent_is_tried_again_until_it_is_and_stays_in_order() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut expected = Vec::new();
    for fault in ["http_429", "NO_ROUTE_AVAILABLE", "unknown_code", "down"] {
        if fault == "down" {
            house.afilnet.down();
        } else {
            house.afilnet.fault(&format!("sendmessage:{fault}")).unwrap();
        }
        for n in 0..3 {
            let text = format!("{fault} {n}");
            let outcome = house.agent(&bridge, &contact(1), &text).await;
            assert_eq!(outcome.status, 200, "{fault}: {}", outcome.body);
            expected.push(text);
        }
        if fault == "down" {
            until("it was tried", || bridge.log().iter().any(|line| line.contains("unreachable"))).await;
            house.afilnet.up().unwrap();
        }
        assert!(house.afilnet.until(SOON, |world| world.sent_count() == expected.len()).await, "{fault}");
    }
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), expected);
    assert!(house.messages("unconfirmed").is_empty());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_conversation_holds_up_no_other() {
    // The others are waited for for less than the stuck one takes.
    let mut house = House::new().set("AFILNET__TIMEOUT", "2m").set("OUTBOUND__ANSWER_WITHIN", "1s");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:hang").unwrap();
    let to = contact(1);
    let stuck = house.agent(&bridge, &to, "stuck");
    let others = async {
        until("the stuck call is under way", || house.afilnet.calls("sendmessage") == 1).await;
        for n in 2..30 {
            assert_eq!(house.agent(&bridge, &contact(n), "free").await.status, 200);
        }
        assert!(house.afilnet.until(SOON, |world| world.sent_count() == 28).await);
    };
    let (stuck, ()) = tokio::join!(stuck, others);
    assert_eq!(stuck.status, 200, "answered after answer_within");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_pauses_the_account_keeps_the_queue_and_heals() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.afilnet.add_account("user", "changed");
    for n in 0..5 {
        assert_eq!(house.agent(&bridge, &contact(n), "kept").await.status, 200);
    }
    until("the log says so", || bridge.log().iter().any(|line| line.contains("is paused"))).await;
    let before = house.afilnet.counters().requests;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await; // a window to count probes in, not a wait for a state
    let probes = house.afilnet.counters().requests - before;
    assert!(probes <= 6, "{probes} calls within a second, while a probe may pass every 500 ms");
    assert!(house.afilnet.all_sent().is_empty());
    house.afilnet.add_account("user", "password");
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 5).await);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credit_sends_pause_and_heal_while_customers_are_still_heard() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:NO_CREDITS:1-4").unwrap();
    for n in 0..5 {
        assert_eq!(house.agent(&bridge, &contact(n), "kept").await.status, 200);
    }
    until("the log says so", || bridge.log().iter().any(|line| line.contains("sends are paused"))).await;
    house.customer(&contact(9), "hello");
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(9)) == ["hello"]).await);
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 5).await);
    assert_eq!(house.afilnet.calls("sendmessage"), 9, "each refused call was made once");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_afilnet_does_not_know_pauses_alone_and_heals() {
    let mut house = House::new()
        .set("CHANNELS__SALES__CHANNEL_ID", "channel2")
        .set("CHANNELS__SALES__API_TOKEN", "token-of-channel-2")
        .set("CHANNELS__SALES__ID_TYPE", "phone")
        .set("CHANNELS__SALES__PLATFORM", "telegram")
        .set("CHANNELS__SALES__PLATFORM_ID", "7");
    let bridge = house.start().await;
    let sales =
        serde_json::json!({"contactId": contact(1), "message": {"type": "text", "text": "to sales"}}).to_string();
    assert_eq!(house.bonychat.post(&bridge.url(), "token-of-channel-2", sales).await.status, 200);
    until("the log says so", || bridge.log().iter().any(|line| line.contains("the channel is paused"))).await;
    assert_eq!(house.agent(&bridge, &contact(1), "the other goes on").await.status, 200);
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
    house.afilnet.add_channel("telegram", "7", "Sales");
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 2).await);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_rate_is_kept() {
    let mut house = House::new().set("AFILNET__REQUESTS_PER_SECOND", "20").set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    for n in 0..50 {
        assert_eq!(house.agent(&bridge, &contact(n), "steady").await.status, 200);
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 50).await);
    // Two whole windows lie between the first start and the 41st; less on the way only where the first was late.
    let sent = house.afilnet.all_sent();
    assert!(sent[45].at_ms - sent[0].at_ms >= 1000, "{} ms", sent[45].at_ms - sent[0].at_ms);
    house.check();
}
