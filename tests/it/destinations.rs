//! One person, one conversation: a number that Afilnet files under another spelling than the one written to, and one that it
//! keeps under several.

use crate::support::process::Bridge;
use crate::support::{House, PLATFORM_ID, contact, side_by_side, until};

/// Each with the spelling under which the simulated Afilnet files what is sent to it.
const FILED: [(&str, &str); 3] =
    [("+5491155551234", "541155551234"), ("+5215512345678", "525512345678"), ("+5511987654321", "551187654321")];

/// A number, and the second spelling of its conversation.
const WHO: &str = "+34600111222";
const BARE: &str = "34600111222";
const PLUS: &str = "+34600111222";

fn house() -> House {
    House::new().set("INBOUND__FIRST_RUN", "skip").set("INBOUND__DECIDE_WITHIN", "2s").set("AFILNET__TIMEOUT", "1s")
}

/// The events of a contact, without statuses: `+` the customer's, `=` echoes.
fn shown(house: &House, who: &str) -> Vec<String> {
    let events = house.bonychat.unique_events(who);
    let events = events.iter().filter(|event| event.kind != "message_status");
    let sign = |kind: &str| if kind == "message_echo" { "=" } else { "+" };
    events.map(|event| format!("{}{}", sign(&event.kind), event.text())).collect()
}

fn customer(house: &House, destination: &str, text: &str) {
    house.afilnet.receive(PLATFORM_ID, destination, text).unwrap();
}

async fn rounds(house: &House, more: u64) {
    let round = house.afilnet.calls("getchats");
    until("some rounds", || house.afilnet.calls("getchats") >= round + more).await;
}

async fn agent(house: &House, bridge: &Bridge, who: &str, text: &str) -> String {
    let outcome = house.agent(bridge, who, text).await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
    outcome.m_id.unwrap()
}

/// Everything that was sent, as destination and words.
fn sent(house: &House) -> Vec<(String, String)> {
    house.afilnet.all_sent().into_iter().map(|call| (call.destination, call.message)).collect()
}

fn pair(destination: &str, words: &str) -> (String, String) {
    (destination.to_owned(), words.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_filed_under_another_spelling_of_the_number_is_found_and_answered_in_one_conversation() {
    side_by_side(FILED, |(who, filed)| async move {
        let mut house = house();
        house.afilnet.set_switch("filed_under", "without_mobile_digits").unwrap();
        let bridge = house.start().await;
        house.afilnet.fault("sendmessage:reset_stored").unwrap();
        let m_id = agent(&house, &bridge, who, "Su pedido sale hoy").await;
        house.settled().await;
        assert!(house.messages("sent").contains(&m_id), "{who}: its row shows it, under {filed}");
        customer(&house, filed, "gracias");
        until("the answer", || !shown(&house, who).is_empty()).await;
        agent(&house, &bridge, who, "De nada").await;
        house.settled().await;
        rounds(&house, 30).await;
        assert_eq!(shown(&house, who), ["+gracias"], "{who}");
        assert_eq!(shown(&house, &format!("+{filed}")), [""; 0], "{who}");
        assert_eq!(sent(&house), [pair(&who[1..], "Su pedido sale hoy"), pair(filed, "De nada")]);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_can_be_read_under_any_spelling_of_its_number_is_published_once() {
    side_by_side(FILED, |(who, filed)| async move {
        let mut house = house().set("INBOUND__SWEEP_EVERY", "300ms");
        house.afilnet.set_switch("read_under", "any_spelling").unwrap();
        let bridge = house.start().await;
        until("the initial snapshot is taken", || {
            bridge.log().iter().any(|line| line.contains("stored the initial snapshot"))
        })
        .await;
        customer(&house, &who[1..], "buenas");
        agent(&house, &bridge, who, "Buenos días").await;
        rounds(&house, 10).await;
        // Looks read both spellings, and both show all rows.
        house.afilnet.fault("sendmessage:reset").unwrap();
        agent(&house, &bridge, who, "Su pedido sale hoy").await;
        customer(&house, &who[1..], "gracias");
        until("it is sent again", || sent(&house).len() == 2).await;
        house.settled().await;
        customer(&house, &who[1..], "adiós");
        house.afilnet.operator_says(PLATFORM_ID, &who[1..], "desde el panel").unwrap();
        until("all of it", || shown(&house, who).len() >= 4).await;
        rounds(&house, 30).await;
        assert_eq!(shown(&house, who), ["+buenas", "+gracias", "+adiós", "=desde el panel"], "{who}");
        assert_eq!(shown(&house, &format!("+{filed}")), [""; 0], "{who}");
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_the_other_spelling_of_a_known_number_is_in_its_conversation() {
    side_by_side(FILED, |(long, short)| async move {
        let mut house = house();
        house.afilnet.set_switch("filed_under", "without_mobile_digits").unwrap();
        let bridge = house.start().await;
        let who = format!("+{short}");
        rounds(&house, 3).await; // the initial snapshot is taken
        customer(&house, short, "hola");
        until("the customer's word", || shown(&house, &who) == ["+hola"]).await;
        agent(&house, &bridge, long, "buenas").await;
        house.settled().await;
        customer(&house, short, "gracias");
        until("the answer", || shown(&house, &who).len() > 1).await;
        rounds(&house, 20).await;
        assert_eq!(shown(&house, &who), ["+hola", "+gracias"]);
        assert_eq!(shown(&house, long), [""; 0]);
        assert_eq!(sent(&house), [pair(short, "buenas")]);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_was_filed_under_the_other_spelling_is_found_after_a_kill() {
    let (who, _) = FILED[0];
    let mut house = house().set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__TIMEOUT", "20s");
    house.afilnet.set_switch("filed_under", "without_mobile_digits").unwrap();
    let mut bridge = house.start().await;
    house.afilnet.fault("sendmessage:hang_stored").unwrap();
    let m_id = agent(&house, &bridge, who, "Su pedido sale hoy").await;
    until("it is sent", || house.afilnet.sent_count() == 1).await;
    bridge.kill();
    // The look finds it, not the list.
    house.afilnet.fault("getchats:http_500:1-1000000").unwrap();
    bridge = house.start().await;
    until("it is found", || house.messages("sent").contains(&m_id)).await;
    rounds(&house, 20).await;
    assert_eq!(sent(&house), [pair(&who[1..], "Su pedido sale hoy")]);
    assert_eq!(house.bonychat.all_events(), []);
    house.check();
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_goes_again_where_the_number_has_shown_under_its_other_spelling() {
    let (who, filed) = FILED[0];
    let mut house = house();
    house.afilnet.set_switch("filed_under", "without_mobile_digits").unwrap();
    let bridge = house.start().await;
    agent(&house, &bridge, who, "hola").await;
    house.settled().await;
    rounds(&house, 5).await;
    house.afilnet.fault("sendmessage:reset").unwrap();
    agent(&house, &bridge, who, "Su pedido sale hoy").await;
    until("it goes again", || house.afilnet.sent_count() == 2).await;
    house.settled().await;
    rounds(&house, 10).await;
    assert_eq!(house.messages("unconfirmed"), [""; 0]);
    assert_eq!(sent(&house), [pair(&who[1..], "hola"), pair(&who[1..], "Su pedido sale hoy")]);
    assert_eq!((shown(&house, who), shown(&house, &format!("+{filed}"))), (Vec::new(), Vec::new()));
    house.check();
}

/// A house whose Afilnet keeps one number under two spellings: six old rows under `+`, one of an hour ago without.
fn two_spellings(order: &str) -> House {
    const DAY: i64 = 24 * 3_600_000;
    let house = house();
    house.afilnet.set_switch("order", order).unwrap();
    house.afilnet.set_clock_offset_ms(-40 * DAY);
    for n in 0..3 {
        customer(&house, PLUS, &format!("viejo {n}"));
        house.afilnet.operator_says(PLATFORM_ID, PLUS, &format!("respuesta {n}")).unwrap();
    }
    house.afilnet.set_clock_offset_ms(-3_600_000);
    customer(&house, BARE, "de hace una hora");
    house.afilnet.set_clock_offset_ms(0);
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_in_two_spellings_is_one_conversation_and_its_history_is_no_news() {
    for order in ["desc", "asc"] {
        let mut house = two_spellings(order);
        let bridge = house.start().await;
        rounds(&house, 5).await;
        let mut expected = Vec::new();
        for (destination, words) in [(BARE, "nuevo A"), (PLUS, "nuevo B"), (BARE, "nuevo A2")] {
            customer(&house, destination, words);
            expected.push(format!("+{words}"));
            until("the customer's word", || shown(&house, WHO).len() >= expected.len()).await;
            assert_eq!(shown(&house, WHO), expected, "{order}");
            agent(&house, &bridge, WHO, &format!("a {words}")).await;
            house.settled().await;
        }
        rounds(&house, 30).await;
        assert_eq!(shown(&house, WHO), expected, "{order}");
        let replies = [pair(BARE, "a nuevo A"), pair(PLUS, "a nuevo B"), pair(BARE, "a nuevo A2")];
        assert_eq!(sent(&house), replies, "{order}: to the spelling heard from last");
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spelling_that_is_listed_second_is_read_too() {
    for order in ["desc", "asc"] {
        let mut house = two_spellings(order);
        let bridge = house.start().await;
        rounds(&house, 5).await;
        customer(&house, PLUS, "nuevo B");
        until("the customer's word", || !shown(&house, WHO).is_empty()).await;
        rounds(&house, 20).await;
        assert_eq!(shown(&house, WHO), ["+nuevo B"], "{order}");
        house.check();
        drop(bridge);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_under_two_spellings_that_one_round_brings_come_in_the_order_in_which_they_were_written() {
    let mut house = two_spellings("asc");
    let bridge = house.start().await;
    rounds(&house, 5).await;
    house.afilnet.fault("getchats:http_500:1-1000000").unwrap();
    rounds(&house, 1).await;
    for (at, (destination, words)) in
        (0i64..).zip([(BARE, "A"), (PLUS, "B"), (BARE, "A2"), (PLUS, "B2"), (PLUS, "B3"), (BARE, "A3")])
    {
        house.afilnet.set_clock_offset_ms((at - 10) * 1000);
        customer(&house, destination, words);
    }
    house.afilnet.set_clock_offset_ms(0);
    house.afilnet.clear_faults();
    until("all of them", || shown(&house, WHO).len() >= 6).await;
    rounds(&house, 20).await;
    assert_eq!(shown(&house, WHO), ["+A", "+B", "+A2", "+B2", "+B3", "+A3"]);
    house.check();
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_spelling_that_appears_later_brings_its_new_words_and_none_of_its_old_ones() {
    const DAY: i64 = 24 * 3_600_000;
    let mut house = house();
    let mut bridge = house.start().await;
    rounds(&house, 3).await;
    customer(&house, BARE, "hola");
    until("the customer's word", || shown(&house, WHO) == ["+hola"]).await;
    house.afilnet.set_clock_offset_ms(-40 * DAY);
    for n in 0..3 {
        customer(&house, PLUS, &format!("viejo {n}"));
        house.afilnet.operator_says(PLATFORM_ID, PLUS, &format!("respuesta {n}")).unwrap();
    }
    house.afilnet.set_clock_offset_ms(0);
    rounds(&house, 20).await;
    assert_eq!(shown(&house, WHO), ["+hola"]);
    customer(&house, PLUS, "nuevo");
    until("the new word", || shown(&house, WHO).len() > 1).await;
    // What is known of each outlives a kill.
    bridge.kill();
    bridge = house.start().await;
    customer(&house, BARE, "y esto");
    customer(&house, PLUS, "y esto otro");
    until("the next words", || shown(&house, WHO).len() > 3).await;
    rounds(&house, 20).await;
    let mut told = shown(&house, WHO);
    told[2..].sort();
    assert_eq!(told, ["+hola", "+nuevo", "+y esto", "+y esto otro"]);
    assert!(!bridge.log().iter().any(|line| line.contains("does not reach back")));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_with_one_destination_is_read_as_often_as_before() {
    let mut house = house();
    let bridge = house.start().await;
    rounds(&house, 3).await;
    for who in [contact(1), FILED[0].0.to_owned()] {
        house.customer(&who, "hola");
        until("the customer's word", || shown(&house, &who) == ["+hola"]).await;
        rounds(&house, 3).await;
        let reads = house.afilnet.calls("getmessages");
        house.customer(&who, "otra");
        until("the next word", || shown(&house, &who).len() == 2).await;
        rounds(&house, 20).await;
        assert_eq!(house.afilnet.calls("getmessages"), reads + 1, "{who}: one read for one change");
    }
    house.check();
    drop(bridge);
}
