//! The page of messages that may have been delivered: the conversation beside each, and what is decided there.

use crate::page::{Answer, FORM, SAME, call, field, get, house, post, sign_in};
use crate::support::process::Bridge;
use crate::support::{House, contact, until};

/// A message that nobody can tell of, after one of its customer.
async fn doubtful(house: &House, bridge: &Bridge, n: usize) -> String {
    let before = house.messages("unconfirmed").len();
    house.customer(&contact(n), &format!("has it left? {n}"));
    until("BonyChat has it", || !house.bonychat.texts(&contact(n)).is_empty()).await;
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    house.afilnet.fault("sendmessage:reset").unwrap();
    let m_id = house.agent(bridge, &contact(n), "one that nobody can tell of").await.m_id.unwrap();
    until("looking could not decide", || house.messages("unconfirmed").len() == before + 1).await;
    house.afilnet.clear_faults();
    m_id
}

/// The fields of the form of a page, with what is decided.
fn form(page: &str, verdict: &str) -> String {
    let mut names = vec!["token", "m_id", "of", "once"];
    names.extend(["read", "seen"].into_iter().filter(|name| page.contains(&format!("name=\"{name}\""))));
    let fields = names.iter().map(|name| format!("{name}={}", field(page, name))).collect::<Vec<_>>().join("&");
    format!("{fields}&verdict={verdict}&why=seen+there")
}

fn send(base: &str, cookie: &str, form: &str) -> Answer {
    call(base, "POST", "/unconfirmed", &[("cookie", cookie), FORM, SAME], form)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_decided_beside_its_conversation_as_afilnet_shows_it_now() {
    let mut house =
        house().set("ADMIN__PEOPLE__BEA__TOKEN", "token-of-bea-0123456").set("ADMIN__PEOPLE__BEA__MAY", "read");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    assert!(get(&base, "/unconfirmed", &cookie).body.contains("No message is unconfirmed."));
    let first = doubtful(&house, &bridge, 1).await;
    let second = doubtful(&house, &bridge, 2).await;
    // What was typed in Afilnet's panel since shows too.
    let page = get(&base, &format!("/unconfirmed?m={first}"), &cookie).body;
    assert!(page.contains("has it left? 1") && !page.contains("has it left? 2"), "{page}");
    assert_eq!(field(&page, "m_id"), first);
    for (verdict, key) in [("delivered", "d"), ("failed", "f"), ("send-again", "s"), ("noted", "n")] {
        assert!(
            page.contains(&format!("name=\"verdict\" value=\"{verdict}\" data-key=\"{key}\"")),
            "{verdict}: {page}"
        );
    }
    assert!(page.contains(&format!("unconfirmed?m={second}")), "a link to the other: {page}");
    let spanish = call(&base, "GET", "/unconfirmed", &[("cookie", &cookie), ("accept-language", "es")], "").body;
    assert!(spanish.contains("La conversación tal como Afilnet la muestra ahora"), "{spanish}");
    // Who may read sees no text and no button.
    let bea = call(&base, "POST", "/login", &[FORM, SAME], "token=token-of-bea-0123456&next=").cookie();
    let read = get(&base, "/unconfirmed", &bea).body;
    assert!(
        read.contains("people who may act") && !read.contains("has it left?") && !read.contains("data-key"),
        "{read}"
    );

    let (delivered, late) = (form(&page, "delivered"), form(&page, "noted"));
    let done = send(&base, &cookie, &delivered);
    assert!(done.status == 200 && done.body.contains("Settled as delivered"), "{}", done.body);
    assert_eq!(field(&done.body, "m_id"), second, "the next one");
    let twice = send(&base, &cookie, &delivered);
    assert!(twice.status == 200 && twice.body.contains("Settled as delivered"), "once, and told again: {}", twice.body);
    let late = late.replace("&once=", "&once=x");
    let late = send(&base, &cookie, &late);
    assert!(late.status == 409 && late.body.contains("no longer as the page showed it; now it: sent"), "{}", late.body);
    assert_eq!(house.messages("unconfirmed"), std::slice::from_ref(&second), "the other is untouched");
    assert_eq!(house.afilnet.calls("sendmessage"), 2, "nothing is sent");
    let audit = call(&base, "GET", "/api/v1/audit", &[("authorization", "Bearer token-of-bea-0123456")], "").body;
    assert!(audit.contains("\"seen there\"") && audit.matches("settle as delivered").count() == 1, "{audit}");
    // Who was shown a text is in it, each time; who was shown none is not.
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    let deeds = audit["deeds"].as_array().unwrap();
    let looked = |who: &str, m_id: &str| {
        let is = |deed: &&serde_json::Value| {
            deed["who"] == who && deed["what"] == "look at conversation" && deed["target"] == m_id
        };
        deeds.iter().filter(is).count()
    };
    assert_eq!((looked("admin", &first), looked("bea", &first) + looked("bea", &second)), (1, 0), "{audit}");
    assert!(looked("admin", &second) > 1, "in Spanish, after the decision, and after each refusal: {audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_again_by_one_who_has_seen_that_it_is_not_there_and_by_no_other() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let m_id = doubtful(&house, &bridge, 1).await;
    let page = get(&base, "/unconfirmed", &cookie).body;
    // The conversation goes on before the click.
    house.customer(&contact(1), "ah, here it is");
    until("BonyChat has it", || house.bonychat.texts(&contact(1)).len() == 2).await;
    let refused = send(&base, &cookie, &form(&page, "send-again"));
    assert!(refused.status == 409 && refused.body.contains("perhaps the message has turned up"), "{}", refused.body);
    assert!(refused.body.contains("ah, here it is"), "it is shown anew: {}", refused.body);
    // A conversation that was shown too long ago, or never.
    for (read, seen) in [("1000", "x"), ("", "")] {
        let fields = form(&refused.body, "send-again");
        let (at, digest) = (field(&refused.body, "read"), field(&refused.body, "seen"));
        let fields = fields.replace(&format!("read={at}"), &format!("read={read}"));
        let fields = if seen.is_empty() { fields.replace(&digest, "") } else { fields };
        let refused = send(&base, &cookie, &fields);
        assert!(refused.status == 409 && refused.body.contains("more than a minute ago"), "{}", refused.body);
    }
    assert_eq!((house.afilnet.calls("sendmessage"), house.messages("unconfirmed")), (1, vec![m_id.clone()]));
    // Where the conversation cannot be read, it is not offered.
    house.afilnet.fault("getmessages:http_500:1-1000").unwrap();
    let blind = get(&base, "/unconfirmed", &cookie).body;
    assert!(
        blind.contains("Afilnet does not show the conversation") && !blind.contains("value=\"send-again\""),
        "{blind}"
    );
    assert!(blind.contains("value=\"noted\""), "{blind}");
    house.afilnet.clear_faults();
    house.afilnet.set_switch("sent_row_visible_after", "0s").unwrap();
    let mut again = get(&base, "/unconfirmed", &cookie).body;
    until("the conversation can be read again", || {
        again = get(&base, "/unconfirmed", &cookie).body;
        again.contains("value=\"send-again\"")
    })
    .await;
    let fields = form(&again, "send-again");
    let done = send(&base, &cookie, &fields);
    assert!(done.status == 200 && done.body.contains("It is sent again now"), "{}", done.body);
    until("it is sent", || house.messages("sent").contains(&m_id)).await;
    let twice = send(&base, &cookie, &fields);
    assert!(twice.status == 200 && twice.body.contains("It is sent again now"), "told again: {}", twice.body);
    assert_eq!(house.afilnet.calls("sendmessage"), 2, "once more, as was decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_message_leads_to_its_conversation_and_sends_nothing_again_around_it() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let other = doubtful(&house, &bridge, 2).await;
    let m_id = doubtful(&house, &bridge, 1).await;
    let (path, beside) = (format!("/messages/{m_id}"), format!("/unconfirmed?m={m_id}"));
    let linked = |page: &str| {
        assert!(page.contains(&format!("href=\"..{beside}\">Send it again<")), "{page}");
        assert!(!page.contains("verdict=send-again"), "{page}");
    };
    linked(&get(&base, &path, &cookie).body);
    // A page that asks is left for the conversation, and the form of another verdict is none for this one.
    let of = field(&get(&base, &beside, &cookie).body, "of");
    let asks = get(&base, &format!("{path}/decide?verdict=send-again&of={of}"), &cookie);
    assert_eq!((asks.status, asks.one("location")), (303, &*format!("../..{beside}")), "{}", asks.body);
    let asks = get(&base, &format!("{path}/decide?verdict=delivered&of={of}"), &cookie).body;
    let fields = ["token", "of", "once"].map(|name| format!("{name}={}", field(&asks, name))).join("&");
    let around = post(&base, &format!("{path}/decide"), &cookie, &format!("{fields}&verdict=send-again"));
    assert!(around.status == 409 && around.body.contains("or not at all"), "{}", around.body);
    assert!(around.body.contains(&beside), "a link to it: {}", around.body);
    // One that is noted is sent again from there too.
    assert_eq!(send(&base, &cookie, &form(&get(&base, &beside, &cookie).body, "noted")).status, 200);
    linked(&get(&base, &path, &cookie).body);
    let noted = get(&base, &beside, &cookie).body;
    assert!(field(&noted, "m_id") == m_id && noted.contains("value=\"send-again\""), "{noted}");
    assert!(!noted.contains("value=\"noted\""), "{noted}");
    assert_eq!(house.afilnet.calls("sendmessage"), 2, "nothing is sent");
    house.afilnet.set_switch("sent_row_visible_after", "0s").unwrap();
    let done = send(&base, &cookie, &form(&noted, "send-again"));
    assert!(done.status == 200 && done.body.contains("It is sent again now"), "{}", done.body);
    until("it is sent", || house.messages("sent").contains(&m_id)).await;
    assert_eq!(house.messages("unconfirmed"), [other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_one_doubt_is_not_taken_for_the_next_doubt_of_the_same_message() {
    let mut house = house().set("OUTBOUND__ON_UNCONFIRMED", "hold");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let m_id = doubtful(&house, &bridge, 1).await;
    let old = get(&base, &format!("/unconfirmed?m={m_id}"), &cookie).body;
    assert!(house.run(&["messages", "settle", &m_id, "--as", "failed"]).status.success());
    house.afilnet.fault("sendmessage:reset").unwrap();
    assert!(house.run(&["messages", "retry", &m_id]).status.success());
    until("it is in doubt again", || house.messages("unconfirmed") == [m_id.clone()]).await;
    for verdict in ["delivered", "failed", "send-again", "noted"] {
        let late = send(&base, &cookie, &form(&old, verdict));
        assert!(late.status == 409 && late.body.contains("no longer as the page showed it; now it"), "{}", late.body);
    }
    assert_eq!(house.messages("unconfirmed"), std::slice::from_ref(&m_id), "nothing is changed");
    let now = form(&get(&base, &format!("/unconfirmed?m={m_id}"), &cookie).body, "delivered");
    assert_eq!(send(&base, &cookie, &now).status, 200);
    assert_eq!(house.messages("sent"), [m_id]);
}
