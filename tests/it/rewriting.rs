//! What is shown otherwise than it was written: found and not sent twice, never echoed, never published twice, never lost.

use std::time::Duration;

use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, contact, side_by_side, until};

/// Longest wait of a row for evidence, in these tests.
const DECIDE_WITHIN: Duration = Duration::from_secs(2);

async fn house(switches: &[(&str, &str)]) -> (House, Bridge) {
    let mut house = House::new().set("INBOUND__DECIDE_WITHIN", "2s").set("AFILNET__TIMEOUT", "1s");
    for (switch, value) in switches {
        house.afilnet.set_switch(switch, value).unwrap();
    }
    let bridge = house.start().await;
    (house, bridge)
}

/// The events of a contact, without statuses: `+` the customer's, `=` echoes, then the words or the link.
fn shown(house: &House, who: &str) -> Vec<String> {
    let events = house.bonychat.unique_events(who);
    let sign = |kind: &str| if kind == "message_echo" { "=" } else { "+" };
    let said = |event: &bridge::sim::bonychat::EventRecord| match event.content["attachment"]["url"].as_str() {
        Some(url) => url.split('?').next().unwrap_or_default().to_owned(),
        None => event.text().to_owned(),
    };
    let events = events.iter().filter(|event| event.kind != "message_status");
    events.map(|event| format!("{}{}", sign(&event.kind), said(event))).collect()
}

fn operator(house: &House, who: &str, text: &str) {
    house.afilnet.operator_says(PLATFORM_ID, &who[1..], text).unwrap();
}

/// So many rounds in which nothing more may come.
async fn rounds(house: &House, more: u64) {
    let round = house.afilnet.calls("getchats");
    until("some rounds", || house.afilnet.calls("getchats") >= round + more).await;
}

/// The longest time in which a postponed decision is made, and then some.
async fn decided(house: &House) {
    tokio::time::sleep(DECIDE_WITHIN).await; // the bound itself, not a wait for a state
    rounds(house, 5).await;
}

async fn agent(house: &House, bridge: &Bridge, who: &str, text: &str) -> String {
    let outcome = house.agent(bridge, who, text).await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
    outcome.m_id.unwrap()
}

/// A message that may have been carried out, and was.
async fn send_in_doubt(house: &House, bridge: &Bridge, who: &str, text: &str) -> String {
    house.afilnet.fault("sendmessage:reset_stored").unwrap();
    agent(house, bridge, who, text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_in_a_damaged_character_set_is_found_and_not_echoed() {
    let (house, bridge) = house(&[("own_words", "latin_1")]).await;
    let who = contact(1);
    agent(&house, &bridge, &who, "ok").await;
    let m_id = send_in_doubt(&house, &bridge, &who, "\u{bf}Qu\u{e9} tal?").await;
    house.settled().await;
    agent(&house, &bridge, &who, "Ma\u{f1}ana s\u{ed}").await;
    house.settled().await;
    decided(&house).await;
    assert_eq!(house.afilnet.texts(&who[1..]), ["ok", "\u{bf}Qu\u{e9} tal?", "Ma\u{f1}ana s\u{ed}"]);
    assert!(house.messages("sent").contains(&m_id));
    assert_eq!(shown(&house, &who), [""; 0]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_rewritten_in_part_is_neither_sent_twice_nor_echoed_and_the_looks_say_why() {
    side_by_side(
        [
            ("links_replaced", "Siga su pedido en https://tienda.example/p/12345?utm=wa hoy"),
            ("emoji_names", "Hola \u{1f44b} Ana, su pedido sale hoy"),
            ("signature", "Su pedido sale hoy"),
        ],
        |(switch, text)| async move {
            let (house, bridge) = house(&[]).await;
            let who = contact(1);
            agent(&house, &bridge, &who, "ok").await;
            house.settled().await;
            rounds(&house, 5).await; // its row is read as it was written
            house.afilnet.set_switch("own_words", switch).unwrap();
            let m_id = send_in_doubt(&house, &bridge, &who, text).await;
            until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
            agent(&house, &bridge, &who, text).await;
            decided(&house).await;
            assert_eq!(house.afilnet.texts(&who[1..]), ["ok", text, text], "{switch}");
            assert_eq!(shown(&house, &who), [""; 0], "{switch}");
            let looks = house.run(&["messages", "show", &m_id]);
            let looks = String::from_utf8_lossy(&looks.stdout).into_owned();
            assert!(looks.contains("look 3: rows since: 1, ours for certain: 0"), "{looks}");
            assert!(looks.contains("unexplained: 1"), "{looks}");
            // What somebody types then is echoed, once.
            operator(&house, &who, "Le llamo en cinco minutos");
            until("the echo", || !shown(&house, &who).is_empty()).await;
            decided(&house).await;
            assert_eq!(shown(&house, &who), ["=Le llamo en cinco minutos"], "{switch}");
            house.check();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_under_a_link_of_afilnets_own_is_not_echoed_and_what_is_typed_in_the_panel_is() {
    let (house, bridge) = house(&[("file_links", "elsewhere")]).await;
    let who = contact(1);
    agent(&house, &bridge, &who, "hola").await;
    for file in ["IMG_2041.jpg", "factura.pdf"] {
        let url = format!("https://cdn.bony.example/u/77/{file}");
        let sent = house.bonychat.attachment(&bridge.url(), CHANNEL, &who, "file", &url).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    house.settled().await;
    operator(&house, &who, "Le llamo en cinco minutos");
    operator(&house, &who, "https://mapas.example/centro.html");
    until("the echoes", || shown(&house, &who).len() >= 2).await;
    decided(&house).await;
    assert_eq!(shown(&house, &who), ["=Le llamo en cinco minutos", "=https://mapas.example/centro.html"]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_the_customers_flag_at_first_and_was_just_sent_is_never_published_as_the_customers() {
    let (house, bridge) = house(&[("own_flag_after", "1 s")]).await;
    let who = contact(1);
    house.customer(&who, "hola");
    until("the customer's word", || shown(&house, &who).len() == 1).await;
    agent(&house, &bridge, &who, "Buenos d\u{ed}as, le atiende Ana").await;
    house.customer(&who, "gracias");
    until("the customer's next word", || shown(&house, &who).len() >= 2).await;
    decided(&house).await;
    assert_eq!(shown(&house, &who), ["+hola", "+gracias"]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_after_its_row_is_told_once_behind_its_placeholder() {
    side_by_side(["string_digits", "missing"], |ids| async move {
        let (house, bridge) = house(&[("file_visible_after", "2 s"), ("id_type", ids)]).await;
        let who = contact(1);
        house.customer(&who, "mire");
        until("the first word", || shown(&house, &who).len() == 1).await;
        house.afilnet.receive_file(PLATFORM_ID, &who[1..], "https://media.afilnet.example/c/9f2/foto.jpg", "").unwrap();
        until("the file", || shown(&house, &who).len() >= 3).await;
        rounds(&house, 5).await;
        let expected = ["+mire", "+[unsupported message]", "+https://media.afilnet.example/c/9f2/foto.jpg"];
        assert_eq!(shown(&house, &who), expected, "{ids}");
        house.check();
        drop(bridge);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_signed_anew_at_every_read_come_once_and_are_read_once() {
    side_by_side(["string_digits", "missing"], |ids| async move {
        let (house, bridge) = house(&[("file_links", "signed_at_every_read"), ("id_type", ids)]).await;
        let who = contact(1);
        house.customer(&who, "mire");
        until("the first word", || shown(&house, &who).len() == 1).await;
        for file in ["1", "2", "3"] {
            let url = format!("https://media.afilnet.example/a/{file}.jpg");
            house.afilnet.receive_file(PLATFORM_ID, &who[1..], &url, "").unwrap();
        }
        until("the files", || shown(&house, &who).len() >= 4).await;
        rounds(&house, 5).await;
        let reads = house.afilnet.calls("getmessages");
        rounds(&house, 30).await;
        assert!(house.afilnet.calls("getmessages") <= reads + 1, "{ids}: read with every round");
        let link = |n: usize| format!("+https://media.afilnet.example/a/{n}.jpg");
        assert_eq!(shown(&house, &who), ["+mire".to_owned(), link(1), link(2), link(3)], "{ids}");
        house.check();
        drop(bridge);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_conversation_proves_nothing_where_no_message_to_a_new_number_has_shown() {
    let who = "+33612345678";
    let (house, bridge) = house(&[]).await;
    // Another country's numbers are kept as they are written, and were seen to be.
    agent(&house, &bridge, &contact(1), "hola").await;
    house.settled().await;
    rounds(&house, 3).await;
    // As if it were filed under a spelling that nobody knows: neither listed nor read.
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    let m_id = send_in_doubt(&house, &bridge, who, "Su pedido sale hoy").await;
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    assert_eq!(house.afilnet.texts(&who[1..]), ["Su pedido sale hoy"]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_to_a_new_number_goes_again_where_such_messages_have_shown() {
    let (house, bridge) = house(&[]).await;
    agent(&house, &bridge, &contact(1), "hola").await;
    house.settled().await;
    rounds(&house, 3).await;
    house.afilnet.fault("sendmessage:reset").unwrap();
    agent(&house, &bridge, &contact(2), "Su pedido sale hoy").await;
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(2)[1..]).len() == 1).await);
    house.settled().await;
    assert_eq!(house.messages("unconfirmed"), [""; 0]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_in_the_panel_while_the_bridges_own_rows_are_not_shown_yet_is_echoed_once() {
    let (mut house, mut bridge) = house(&[("sent_row_visible_after", "4 s")]).await;
    let who = contact(1);
    house.customer(&who, "hola");
    until("the customer's word", || shown(&house, &who).len() == 1).await;
    agent(&house, &bridge, &who, "Su pedido sale hoy").await;
    operator(&house, &who, "Le llamo en cinco minutos");
    rounds(&house, 3).await;
    // The decision is postponed, and outlives a kill.
    assert_eq!(shown(&house, &who), ["+hola"]);
    bridge.kill();
    bridge = house.start().await;
    until("the echo", || shown(&house, &who).len() >= 2).await;
    until("its own row shows", || house.afilnet.calls("getmessages") > 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // until the row of the bridge shows, which must bring nothing
    decided(&house).await;
    assert_eq!(shown(&house, &who), ["+hola", "=Le llamo en cinco minutos"]);
    house.check();
    drop(bridge);
}
