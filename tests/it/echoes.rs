//! Messages of the business from elsewhere, and statuses of those from BonyChat.

use std::collections::HashMap;

use bridge::sim::afilnet::RowStatus;
use serde_json::json;

use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, contact, side_by_side, until};

/// Texts of a contact's events with their kinds: `+` the customer's, `=` echoes.
fn shown(house: &House, who: usize) -> Vec<String> {
    let sign = |kind: &str| if kind == "message_echo" { "=" } else { "+" };
    let events = house.bonychat.unique_events(&contact(who));
    let texts = events.iter().filter(|event| event.kind != "message_status");
    texts.map(|event| format!("{}{}", sign(&event.kind), event.text())).collect()
}

fn operator(house: &House, who: usize, text: &str) {
    house.afilnet.operator_says(PLATFORM_ID, &contact(who)[1..], text).unwrap();
}

/// Waits for this number of rounds, in which nothing more may come.
async fn rounds(house: &House, more: u64) {
    let round = house.afilnet.calls("getchats");
    until("some rounds", || house.afilnet.calls("getchats") >= round + more).await;
}

/// One message of each kind through the bridge.
async fn every_kind(house: &House, bridge: &Bridge, who: usize) {
    let long = "una frase bastante larga ".repeat(30);
    for text in ["hola", long.trim(), "hola"] {
        assert_eq!(house.agent(bridge, &contact(who), text).await.status, 200);
    }
    for (kind, file) in [("file", "factura.pdf"), ("image", "foto.jpg")] {
        let url = format!("https://files.example.com/a/{file}?v=1&w=2");
        let sent = house.bonychat.attachment(&bridge.url(), CHANNEL, &contact(who), kind, &url).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    let question = json!({"type": "quick_reply", "title": "¿Qué día?", "replies": ["Lunes", "Martes"]});
    let sent = house.bonychat.send(&bridge.url(), CHANNEL, &contact(who), question).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_in_the_panel_is_echoed_once_and_what_the_bridge_sent_never() {
    side_by_side(
        [
            ("file_in_message", "url"),
            ("file_in_message", "caption_only"),
            ("file_in_message", "empty"),
            ("file_in_message", "html_anchor"),
            ("id_type", "missing"),
            ("id_stable_across_methods", "never"),
            ("escape", "html_entities"),
        ],
        |(switch, value)| async move {
            let mut house = House::new().set("CHANNELS__SUPPORT__TEXT_LIMIT", "100").set("INBOUND__SWEEP_EVERY", "1s");
            house.afilnet.set_switch(switch, value).unwrap();
            let bridge = house.start().await;
            house.customer(&contact(1), "hi");
            assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
            every_kind(&house, &bridge, 1).await;
            // Until rows of each kind have been matched, nothing of the business is echoed while an own row is missing.
            house.settled().await;
            rounds(&house, 4).await;
            operator(&house, 1, "from the panel");
            operator(&house, 1, "from the panel");
            until("the echoes", || shown(&house, 1).len() >= 3).await;
            every_kind(&house, &bridge, 1).await;
            bridge.kill();
            operator(&house, 1, "while it was down");
            let bridge = house.start().await;
            until("the echo after the kill", || shown(&house, 1).len() >= 4).await;
            house.customer(&contact(1), "bye");
            until("the last word", || shown(&house, 1).len() >= 5).await;
            let reads = house.afilnet.calls("getmessages");
            until("a full resync", || house.afilnet.calls("getmessages") >= reads + 2).await;
            let expected = ["+hi", "=from the panel", "=from the panel", "=while it was down", "+bye"];
            assert_eq!(shown(&house, 1), expected, "{switch}={value}");
            house.check();
            drop(bridge);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn echoes_can_be_turned_off_and_history_is_none() {
    let mut house = House::new();
    house.customer(&contact(1), "old");
    operator(&house, 1, "old answer");
    operator(&house, 2, "old first word");
    let bridge = house.start().await;
    until("the initial snapshot is taken", || {
        bridge.log().iter().any(|line| line.contains("stored the initial snapshot"))
    })
    .await;
    operator(&house, 1, "new answer");
    until("the echo", || shown(&house, 1).len() >= 2).await;
    assert_eq!((shown(&house, 1), shown(&house, 2)), (vec!["+old".to_owned(), "=new answer".to_owned()], vec![]));
    bridge.kill();
    house = house.set("INBOUND__ECHOES", "false");
    let _bridge = house.start().await;
    operator(&house, 1, "quiet");
    house.customer(&contact(1), "loud");
    until("the customer's word", || shown(&house, 1).len() >= 3).await;
    rounds(&house, 3).await;
    assert_eq!(shown(&house, 1), ["+old", "=new answer", "+loud"]);
    house.check();
}

/// Returns the published statuses of each message, in order.
fn statuses(house: &House) -> HashMap<String, Vec<String>> {
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for event in house.bonychat.all_events().into_iter().filter(|event| event.kind == "message_status" && !event.repeat)
    {
        assert!(!event.content["message"].as_str().unwrap_or_default().is_empty(), "{event:?}");
        told.entry(event.m_id.clone()).or_default().push(event.status().to_owned());
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_go_forward_only_and_each_is_told_once_across_a_restart_too() {
    let mut house = House::new()
        .set("CHANNELS__SUPPORT__TEXT_LIMIT", "100")
        .set("INBOUND__STATUS_MAP__2", "delivered")
        .set("INBOUND__STATUS_MAP__3", "read")
        .set("INBOUND__STATUS_MAP__4", "failed");
    let mut bridge = house.start().await;
    let mut sent: Vec<Vec<String>> = Vec::new();
    for who in 0..3 {
        house.customer(&contact(who), "hi");
        let mut of = Vec::new();
        for text in ["one", &"long ".repeat(60)] {
            of.extend(house.agent(&bridge, &contact(who), text).await.m_id);
        }
        sent.push(of);
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 3).await);
    // The response is given after the first part of a long text.
    until("all parts are sent", || house.messages("sent").len() == 6).await;
    let becomes = |house: &House, who: usize, status| house.afilnet.set_status(PLATFORM_ID, &contact(who)[1..], status);
    let has = |house: &House, who: usize, expected: &[&str]| {
        let told = statuses(house);
        sent[who].iter().all(|m_id| told.get(m_id).is_some_and(|told| told == expected))
    };
    // Up and down, with a kill in between; the third one fails.
    becomes(&house, 0, RowStatus::Delivered);
    becomes(&house, 1, RowStatus::Read);
    becomes(&house, 2, RowStatus::Delivered);
    until("the first statuses", || {
        has(&house, 0, &["delivered"]) && has(&house, 1, &["read"]) && has(&house, 2, &["delivered"])
    })
    .await;
    bridge.kill();
    bridge = house.start().await;
    for status in [RowStatus::Sent, RowStatus::Delivered, RowStatus::Sent] {
        (0..3).for_each(|who| becomes(&house, who, status));
        rounds(&house, 3).await;
    }
    becomes(&house, 0, RowStatus::Read);
    becomes(&house, 2, RowStatus::Failed);
    until("the last statuses", || has(&house, 0, &["delivered", "read"]) && has(&house, 2, &["delivered", "failed"]))
        .await;
    for status in [RowStatus::Failed, RowStatus::Read, RowStatus::Delivered] {
        (0..3).for_each(|who| becomes(&house, who, status));
        rounds(&house, 3).await;
    }
    assert!(has(&house, 0, &["delivered", "read"]) && has(&house, 1, &["read"]), "{:?}", statuses(&house));
    assert!(has(&house, 2, &["delivered", "failed"]), "{:?}", statuses(&house));
    assert_eq!((statuses(&house).len(), house.bonychat.unknown_statuses().len()), (6, 0));
    house.check();
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_the_list_of_conversations_does_not_show_is_found_and_an_unknown_one_is_said_once() {
    let mut house = House::new().set("INBOUND__STATUS_MAP__2", "delivered");
    let bridge = house.start().await;
    let m_id = house.agent(&bridge, &contact(1), "hello").await.m_id.unwrap();
    rounds(&house, 3).await;
    house.customer(&contact(1), "the last row");
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() == 1).await);
    house.afilnet.set_status(PLATFORM_ID, &contact(1)[1..], RowStatus::Delivered);
    until("the status", || statuses(&house).get(&m_id).is_some_and(|told| told == &["delivered"])).await;
    let said = bridge.log().iter().filter(|line| line.contains("map it with inbound.status_map")).count();
    assert_eq!(said, 1, "the status `1` of a row that was sent has no meaning");
    house.check();
}
