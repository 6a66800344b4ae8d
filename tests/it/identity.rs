//! Rows are distinguished and recognised, whatever their ids, times and marks are worth.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{House, PLATFORM_ID, SOON, contact, side_by_side, until};

/// What an account may do with the ids of rows.
const IDS: [(&str, &str); 3] =
    [("id_type", "string_digits"), ("id_type", "missing"), ("id_stable_across_methods", "never")];

fn machine_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Fifty texts of which ten are the same, far from each other and side by side.
fn fifty() -> Vec<String> {
    let same = |n: usize| n.is_multiple_of(6) || n == 25;
    let texts: Vec<String> = (0..50).map(|n| if same(n) { "ok".to_owned() } else { format!("text {n}") }).collect();
    assert_eq!(texts.iter().filter(|text| *text == "ok").count(), 10);
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_messages_of_one_second_of_which_ten_are_equal_come_once_and_in_order_through_a_window_of_twenty() {
    for (switch, value) in IDS {
        let mut house = House::new();
        house.afilnet.set_switch(switch, value).unwrap();
        house.afilnet.set_switch("window", "last_20").unwrap();
        let _bridge = house.start().await;
        let second_ms = machine_ms() / 1000 * 1000;
        for (turn, texts) in fifty().chunks(7).enumerate() {
            for text in texts {
                house.afilnet.set_clock_offset_ms(second_ms + 10 - machine_ms());
                house.customer(&contact(1), text);
            }
            let so_far = 7 * turn + texts.len();
            assert!(
                house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() >= so_far).await,
                "{switch}={value}: {so_far}"
            );
        }
        let round = house.afilnet.calls("getchats");
        until("some quiet rounds", || house.afilnet.calls("getchats") >= round + 5).await;
        assert_eq!(house.bonychat.texts(&contact(1)), fifty(), "{switch}={value}");
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_ids_or_with_others_at_every_read_come_once_across_restarts_too() {
    side_by_side(IDS, |(switch, value)| async move {
        let mut house = House::new().set("INBOUND__SWEEP_EVERY", "1s");
        house.afilnet.set_switch(switch, value).unwrap();
        let mut written = Vec::new();
        for tasks in 0..3 {
            let bridge = house.start().await;
            for n in 0..4 {
                let text = if n % 2 == 0 { "ok".to_owned() } else { format!("text {tasks} {n}") };
                house.customer(&contact(1), &text);
                written.push(text);
                assert!(
                    house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() >= written.len()).await,
                    "{switch}={value}"
                );
            }
            bridge.kill();
            house.customer(&contact(1), "while it was down");
            written.push("while it was down".to_owned());
        }
        let _bridge = house.start().await;
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() >= written.len()).await);
        let reads = house.afilnet.calls("getmessages");
        until("a full resync", || house.afilnet.calls("getmessages") >= reads + 2).await;
        assert_eq!(house.bonychat.texts(&contact(1)), written, "{switch}={value}");
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_of_unread_messages_lose_no_message() {
    let mut house = House::new();
    house.afilnet.set_switch("unread_marks_read", "yes").unwrap();
    house.afilnet.set_switch("getmessages_marks_read", "yes").unwrap();
    let bridge = house.start().await;
    until("the initial snapshot is taken", || {
        bridge.log().iter().any(|line| line.contains("stored the initial snapshot"))
    })
    .await;
    house.afilnet.fault("getunreadmessages:reset_stored:1-1000000").unwrap();
    house.afilnet.fault("getmessages:reset_stored:0.3").unwrap();
    for n in 0..40 {
        house.customer(&contact(n % 4), &format!("message {n}"));
        house.afilnet.mark_read(PLATFORM_ID, &contact(n % 4)[1..]);
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 40).await);
    for who in 0..4 {
        let expected: Vec<String> = (0..10).map(|n| format!("message {}", 4 * n + who)).collect();
        assert_eq!(house.bonychat.texts(&contact(who)), expected);
    }
    assert_eq!(house.bonychat.repeats(), 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_window_shows_a_notice_once_and_what_is_left_once_and_in_order() {
    side_by_side(IDS, |(switch, value)| async move {
        let mut house = House::new().set("INBOUND__SWEEP_EVERY", "1s");
        house.afilnet.set_switch(switch, value).unwrap();
        house.afilnet.set_switch("window", "last_20").unwrap();
        let bridge = house.start().await;
        house.customer(&contact(1), "before");
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
        bridge.kill();
        for n in 0..60 {
            house.customer(&contact(1), &format!("burst {n}"));
        }
        for _ in 0..2 {
            let bridge = house.start().await;
            assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() >= 22).await, "{switch}={value}");
            let reads = house.afilnet.calls("getmessages");
            until("a full resync", || house.afilnet.calls("getmessages") >= reads + 2).await;
            let texts = house.bonychat.texts(&contact(1));
            let burst: Vec<String> = (40..60).map(|n| format!("burst {n}")).collect();
            assert_eq!((texts[0].as_str(), &texts[2..]), ("before", &burst[..]), "{switch}={value}");
            assert!(texts[1].starts_with("[Messages written before this one could not be read"), "{}", texts[1]);
            bridge.kill();
        }
        let stamps: Vec<i64> =
            house.bonychat.unique_events(&contact(1)).iter().map(|event| event.timestamp_ms).collect();
        assert!(stamps.is_sorted(), "{stamps:?}");
        house.check();
    })
    .await;
}
