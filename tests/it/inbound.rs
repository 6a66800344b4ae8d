//! Afilnet to BonyChat.

use crate::support::metrics::{get, value};
use crate::support::{House, PLATFORM_ID, SOON, contact, side_by_side, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_customers_write_reaches_bonychat_once_and_in_order() {
    let mut house = House::new();
    let _bridge = house.start().await;
    for n in 0..30 {
        for who in 0..5 {
            house.customer(&contact(who), &format!("message {n}"));
        }
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 150).await);
    let expected: Vec<String> = (0..30).map(|n| format!("message {n}")).collect();
    for who in 0..5 {
        assert_eq!(house.bonychat.texts(&contact(who)), expected);
    }
    assert_eq!(house.bonychat.repeats(), 0);
    let event = &house.bonychat.unique_events(&contact(0))[0];
    let contact = event.contact.as_ref().unwrap();
    assert_eq!((contact["phone"].as_str(), contact["countryCode"].as_str()), (Some("+34600000000"), Some("ES")));
    assert!((event.at_ms - event.timestamp_ms).abs() < 60_000, "the row's local time became {}", event.timestamp_ms);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_messages_of_one_second_are_all_published() {
    for ids in ["string_digits", "missing"] {
        let mut house = House::new();
        house.afilnet.set_switch("id_type", ids).unwrap();
        let _bridge = house.start().await;
        for _ in 0..10 {
            house.customer(&contact(1), "ok");
        }
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 10).await, "{ids}");
        assert_eq!(house.bonychat.texts(&contact(1)), ["ok"; 10]);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_publishes_what_the_rule_says_and_then_all_that_comes() {
    for (rule, expected) in
        [("unread", vec!["unread", "new"]), ("skip", vec!["new"]), ("all", vec!["read", "unread", "new"])]
    {
        let mut house = House::new().set("INBOUND__FIRST_RUN", rule);
        house.customer(&contact(1), "read");
        house.afilnet.mark_read(PLATFORM_ID, &contact(1)[1..]);
        house.customer(&contact(1), "unread");
        let bridge = house.start().await;
        until("the initial snapshot is taken", || {
            bridge.log().iter().any(|line| line.contains("stored the initial snapshot"))
        })
        .await;
        house.customer(&contact(1), "new");
        assert!(
            house.bonychat.until(SOON, |world| world.texts(&contact(1)).last().is_some_and(|t| t == "new")).await,
            "{rule}"
        );
        assert_eq!(house.bonychat.texts(&contact(1)), expected, "{rule}");
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_bridge_was_down_is_published_after() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.customer(&contact(1), "before");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    bridge.kill();
    for n in 0..60 {
        house.customer(&contact(1), &format!("meanwhile {n}"));
        house.customer(&contact(2), &format!("new customer {n}"));
    }
    for who in 1..=2 {
        house.afilnet.mark_read(PLATFORM_ID, &contact(who)[1..]); // in Afilnet's own panel
    }
    let _bridge = house.start().await;
    // By content, not by count: a kill between the webhook's 200 and its record repeats an event.
    let there = |who: usize| house.bonychat.texts(&contact(who)).len();
    until("all of it is published", || (there(1), there(2)) == (61, 60)).await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_reads_only_what_changed() {
    let mut house = House::new();
    for n in 0..100 {
        house.customer(&contact(n), "hello");
    }
    let _bridge = house.start().await;
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 100).await);
    let rounds = |house: &House| house.afilnet.calls("getchats");
    // Reading marks rows as read, which is a change of its own: wait until three rounds in a row read nothing.
    let (mut reads, mut since) = (house.afilnet.calls("getmessages"), rounds(&house));
    until("three quiet rounds", || {
        if house.afilnet.calls("getmessages") != reads {
            (reads, since) = (house.afilnet.calls("getmessages"), rounds(&house));
        }
        rounds(&house) >= since + 3
    })
    .await;
    let round = rounds(&house);
    house.customer(&contact(7), "changed");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 101).await);
    until("some quiet rounds", || rounds(&house) >= round + 5).await;
    assert_eq!(house.afilnet.calls("getmessages") - reads, 1);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_in_trouble_loses_and_disorders_nothing() {
    let mut house = House::new();
    let _bridge = house.start().await;
    for fault in
        ["http_500", "http_503", "http_429", "reset", "reset_stored", "truncated", "hang", "refused", "http_401"]
    {
        house.bonychat.clear_faults();
        house.bonychat.fault(&format!("message:{fault}:1-3")).unwrap();
        for n in 0..5 {
            for who in 0..3 {
                house.customer(&contact(who), &format!("{fault} {n}"));
            }
        }
        if fault == "hang" {
            // Each lasts until the bridge's timeout; other conversations continue meanwhile.
            house.bonychat.clear_faults();
        }
        let last = format!("{fault} 4");
        assert!(
            house
                .bonychat
                .until(SOON, |world| (0..3).all(|who| world.texts(&contact(who)).last() == Some(&last)))
                .await,
            "{fault}"
        );
    }
    for who in 0..3 {
        assert_eq!(house.bonychat.texts(&contact(who)).len(), 45, "each once, by its id");
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_marked_dead_and_its_conversation_goes_on() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.bonychat.set_poison(Some("POISON"));
    for text in ["before", "POISON", "after"] {
        house.customer(&contact(1), text);
    }
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).contains(&"after".to_owned())).await);
    assert_eq!(house.bonychat.texts(&contact(1)), ["before", "after"]);
    until("it is given up", || bridge.log().iter().any(|line| line.contains("dead letter"))).await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_in_trouble_lose_and_double_nothing() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "1s");
    let _bridge = house.start().await;
    let mut count = 0;
    for method in ["getchats", "getmessages"] {
        for fault in [
            "http_500",
            "reset",
            "truncated",
            "html_200",
            "garbage",
            "empty",
            "unknown_code",
            "hang",
            "redirect",
            "drip",
        ] {
            house.afilnet.fault(&format!("{method}:{fault}:1-2")).unwrap();
            house.customer(&contact(1), &format!("{method} {fault}"));
            count += 1;
            assert!(house.bonychat.until(SOON, |world| world.event_count() == count).await, "{method}:{fault}");
            house.afilnet.clear_faults();
        }
    }
    assert_eq!(house.bonychat.texts(&contact(1)).len(), count);
    assert_eq!(house.bonychat.repeats(), 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridge_sent_does_not_come_back_as_the_customers() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.customer(&contact(1), "question");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    assert_eq!(house.agent(&bridge, &contact(1), "answer").await.status, 200);
    house.customer(&contact(1), "thanks");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 2).await);
    assert_eq!(house.bonychat.texts(&contact(1)), ["question", "thanks"]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whom_a_list_of_fifty_does_not_show_is_found_by_the_full_resync_and_the_cut_list_is_reported_once() {
    side_by_side([false, true], |restarts| async move {
        let mut house = House::new().set("INBOUND__SWEEP_EVERY", "4s");
        house.afilnet.set_switch("chats_listed", "newest_50").unwrap();
        let (who, mut bridge) = (contact(1), house.start().await);
        house.customer(&who, "hola");
        assert!(house.bonychat.until(SOON, |world| world.texts(&who) == ["hola"]).await);
        // She writes, and a campaign goes to sixty others: no round comes in between.
        house.afilnet.down();
        house.customer(&who, "sigo esperando");
        for n in 100..160 {
            house.afilnet.operator_says(PLATFORM_ID, &contact(n)[1..], "Rebajas desde hoy").unwrap();
        }
        if restarts {
            bridge.kill();
            house.afilnet.up().unwrap();
            bridge = house.start().await;
        } else {
            house.afilnet.up().unwrap();
        }
        assert!(house.bonychat.until(SOON, |world| world.texts(&who).len() > 1).await, "restarts: {restarts}");
        let unlisted = || {
            value(&get(&bridge.admin_url(), "/metrics", None).1, "bridge_unlisted_conversations{channel=\"support\"}")
        };
        let told = |words: &str| bridge.log().iter().filter(|line| line.contains(words)).count();
        let cut =
            "Afilnet's list of conversations is cut: it shows 50, as many as in the rounds before, and not 1 active";
        until("the cut list is told", || told(cut) == 1).await;
        assert!((unlisted() - 1.0).abs() < 0.1);
        let before = house.afilnet.calls("getmessages");
        until("some resyncs", || house.afilnet.calls("getmessages") > before + 60).await;
        assert_eq!(house.bonychat.texts(&who), ["hola", "sigo esperando"], "once, in order, without a notice");
        // She comes up in the list, and goes on as if nothing had been.
        house.customer(&who, "gracias");
        assert!(house.bonychat.until(SOON, |world| world.texts(&who).len() > 2).await);
        assert_eq!(house.bonychat.texts(&who), ["hola", "sigo esperando", "gracias"]);
        house.afilnet.set_switch("chats_listed", "all").unwrap();
        until("the whole list is told", || told("list of conversations shows all active ones again") == 1).await;
        assert!(unlisted() < 0.1);
        assert_eq!(told("list of conversations is cut"), 1, "once");
        house.check();
    })
    .await;
}
