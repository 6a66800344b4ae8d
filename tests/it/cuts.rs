//! Long texts are cut as they were when their first part was begun, whatever the configuration says by then.

use std::fmt::Write as _;
use std::fs;

use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, SOON, contact, until};
use serde_json::json;

/// Words of five letters, each different, so that one that is lost or doubled shows.
fn words(count: usize) -> String {
    (0..count).map(|n| format!("w{n:04}")).collect::<Vec<_>>().join(" ")
}

/// What arrived for the contact, as one text.
fn arrived(house: &House) -> String {
    house.afilnet.texts(&contact(1)[1..]).join(" ")
}

fn write(house: &House, settings: &str) {
    let (channel, outbound) = settings.split_once(';').unwrap_or((settings, ""));
    let text = format!("[outbound]\n{outbound}\n[channels.support]\n{channel}\n");
    fs::write(house.folder.path().join("bridge.toml"), text).unwrap();
}

/// A house over each store, its configuration in a file, and a customer who has written.
async fn houses(settings: &str) -> Vec<House> {
    let mut houses = vec![House::new()];
    houses.extend(House::shared(1).await);
    let on_a_file = |house: House| {
        let file = house.folder.path().join("bridge.toml");
        let house = house.set_plain("BRIDGE_CONFIG", &file.display().to_string()).set("INBOUND__SWEEP_EVERY", "1s");
        write(&house, settings);
        house.customer(&contact(1), "hola");
        house
    };
    houses.into_iter().map(on_a_file).collect()
}

/// Gives a running bridge, or the next one, another configuration.
async fn change(house: &mut House, bridge: Bridge, settings: &str, restart: bool) -> Bridge {
    write(house, settings);
    if restart {
        bridge.kill();
        return house.start().await;
    }
    let reloaded = |bridge: &Bridge| bridge.log().iter().any(|line| line.contains("\"message\":\"reloaded\""));
    bridge.signal("HUP");
    until("it is reloaded", || reloaded(&bridge)).await;
    bridge
}

async fn settled_without_an_echo(house: &House) {
    house.settled().await;
    let round = house.afilnet.calls("getchats");
    until("some rounds", || house.afilnet.calls("getchats") >= round + 4).await;
    let kinds: Vec<String> = house.bonychat.all_events().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["message"], "only what the customer wrote");
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_changes_between_two_parts_moves_no_cut() {
    let text = words(60); // 359 characters
    for (settings, restart) in [
        ("text_limit = 37", false),
        ("text_limit = 4096", false),
        ("text_limit = 37", true),
        ("text_limit = 4096", true),
    ] {
        for mut house in houses("text_limit = 100").await {
            let bridge = house.start().await;
            assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
            // The second part is refused for now, until the configuration has changed.
            house.afilnet.fault("sendmessage:http_429:2-1000000").unwrap();
            assert_eq!(house.agent(&bridge, &contact(1), &text).await.status, 200);
            until("the second part waits", || house.afilnet.calls("sendmessage") >= 2).await;
            assert_eq!(house.afilnet.sent_count(), 1);
            let bridge = change(&mut house, bridge, settings, restart).await;
            house.afilnet.clear_faults();
            settled_without_an_echo(&house).await;
            assert_eq!(arrived(&house), text, "{settings}, restart: {restart}");
            assert_eq!(house.afilnet.sent_count(), 4);
            // What comes after it is cut as it says now. In other words: a call with equal ones could be taken for a repeat
            // where the process was killed.
            let other = text.replace('w', "v");
            assert_eq!(house.agent(&bridge, &contact(1), &other).await.status, 200);
            settled_without_an_echo(&house).await;
            let parts = if settings.ends_with("37") { 10 } else { 1 };
            assert_eq!(house.afilnet.sent_count(), 4 + parts);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_cut_keeps_its_words_though_replies_are_not_numbered_any_more() {
    let replies: Vec<String> = (0..6).map(|n| format!("reply number {n}")).collect();
    let question = json!({"type": "quick_reply", "title": "What do you want?", "replies": replies});
    let mut expected = "What do you want?".to_owned();
    for (n, reply) in replies.iter().enumerate() {
        write!(expected, " {}. {reply}", n + 1).unwrap();
    }
    expected.push_str(" Reply with the number");
    for mut house in houses("text_limit = 60; number_quick_replies = true").await {
        let bridge = house.start().await;
        house.afilnet.fault("sendmessage:http_429:2-1000000").unwrap();
        assert_eq!(house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), question.clone()).await.status, 200);
        until("the second part waits", || house.afilnet.calls("sendmessage") >= 2).await;
        let _bridge = change(&mut house, bridge, "text_limit = 45; number_quick_replies = false", false).await;
        house.afilnet.clear_faults();
        settled_without_an_echo(&house).await;
        assert_eq!(arrived(&house).split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }
}

/// The outcome of the first part is unknown, the process is killed, and the next one has another configuration: the part is
/// found by the words that were sent, of one part or of several.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_in_doubt_is_looked_for_in_the_words_that_it_was_sent_in() {
    for count in [16, 60] {
        let text = words(count);
        for settings in ["text_limit = 37", "text_limit = 4096"] {
            for mut house in houses("text_limit = 100").await {
                let bridge = house.start().await;
                assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
                house.afilnet.fault("getmessages:http_503:1-1000000").unwrap();
                house.afilnet.fault("sendmessage:reset_stored").unwrap();
                assert_eq!(house.agent(&bridge, &contact(1), &text).await.status, 200);
                until("it is in doubt", || house.messages("unknown").len() == 1).await;
                let _bridge = change(&mut house, bridge, settings, true).await;
                house.afilnet.clear_faults();
                settled_without_an_echo(&house).await;
                assert_eq!(arrived(&house), text, "{settings}");
                assert_eq!(house.messages("sent").len(), 1);
            }
        }
    }
}
