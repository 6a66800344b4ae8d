//! Placeholders that AnnA fills in (anna.md sections 8 and 9): whatever AnnA does, each message arrives once, in order, with a
//! personal link or with its fallback, and the link stands nowhere but at Afilnet.

#![expect(clippy::float_cmp, reason = "metrics that count")]

mod faults;
mod operators;

use std::net::{Ipv4Addr, SocketAddr};

use bridge::sim::anna::{Anna, Options};
use serde_json::{Value, json};

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::transports::{TRANSPORTS, over};
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, contact, until};

const FALLBACK: &str = "https://help.example.com/?from=wa&lang=es";

const LINK: &str = "Siga su caso: {{anna.chat_url}}";

fn anna(options: Options) -> Anna {
    Anna::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).unwrap()
}

/// A house whose channel fills in placeholders; without haste, since the machine is shared.
fn house(anna: &Anna) -> House {
    configured(House::new(), anna).set("CHANNELS__SUPPORT__ANNA", "true")
}

/// `[anna]` alone.
fn configured(house: House, anna: &Anna) -> House {
    let company = Options::default();
    house
        .set("ANNA__BASE_URL", &anna.url())
        .set("ANNA__COMPANY_HASH", &company.company_hash)
        .set("ANNA__USER", &company.user)
        .set("ANNA__PASSWORD", &company.password)
        .set("ANNA__FALLBACK_URL", FALLBACK)
        .set("ANNA__BUDGET", "10s")
        .set("ANNA__MAX_PARALLEL", "64")
        .set("OUTBOUND__ANSWER_WITHIN", "20s")
}

/// Links to the chat that were given out, in order.
fn chat_links(anna: &Anna) -> Vec<String> {
    anna.links().into_iter().filter(|link| link.contains("/chat.aspx")).collect()
}

/// Sends words, and waits until the call that brought them is answered.
async fn say(house: &House, bridge: &Bridge, who: usize, text: &str) {
    let outcome = house.agent(bridge, &contact(who), text).await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
}

/// What arrived for a contact, once there are so many.
async fn arrived(house: &House, who: usize, count: usize) -> Vec<String> {
    until("all arrived", || house.afilnet.texts(&contact(who)[1..]).len() >= count).await;
    house.afilnet.texts(&contact(who)[1..])
}

/// So many rounds in which nothing may be published.
async fn rounds(house: &House, more: u64) {
    let round = house.afilnet.calls("getchats");
    until("some rounds", || house.afilnet.calls("getchats") >= round + more).await;
}

fn metrics(bridge: &Bridge) -> String {
    get(&bridge.admin_url(), "/metrics", None).1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_01_without_anna_nothing_is_called_and_placeholders_go_as_they_were_typed() {
    let anna = anna(Options::default());
    let texts = [LINK, "{{anna.pending}} {{anna.messenger_link|x}}", "sin nada"];
    let question = json!({"type": "quick_reply", "title": "{{anna.chat_url}}", "replies": ["Sí"]});
    for opted_out in [House::new(), configured(House::new(), &anna)] {
        let mut house = opted_out.set("OUTBOUND__NUMBER_QUICK_REPLIES", "false");
        let bridge = house.start().await;
        for text in texts {
            say(&house, &bridge, 1, text).await;
        }
        assert_eq!(house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), question.clone()).await.status, 200);
        let expected: Vec<&str> = texts.into_iter().chain(["{{anna.chat_url}}\nSí"]).collect();
        assert_eq!(arrived(&house, 1, 4).await, expected);
        house.check();
    }
    assert_eq!(anna.all_calls(), []);
    let house = House::new();
    let mut house = house;
    let bridge = house.start().await;
    assert!(!metrics(&bridge).contains("anna"), "nothing is counted of what is off");
    assert!(!bridge.log().iter().any(|line| line.contains("anna") || line.contains("AnnA")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_02_a_link_arrives_as_anna_gave_it() {
    for transport in TRANSPORTS {
        let anna = anna(Options::default());
        let mut house = over(house(&anna), transport);
        let bridge = house.start().await;
        say(&house, &bridge, 1, LINK).await;
        let link = chat_links(&anna).remove(0);
        assert!(["&", "?", "+", "%2B"].iter().all(|sign| link.contains(sign)), "{link}");
        assert_eq!(arrived(&house, 1, 1).await, [format!("Siga su caso: {link}")], "{transport}");
        let image = json!({"type": "image", "url": "https://x.example.com/a.jpg?{{anna.pending}}", "description": "{{anna.messenger_link}}"});
        let image = json!({"type": "attachment", "attachment": image});
        let sent = house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), image).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        let arrived = arrived(&house, 1, 2).await;
        assert_eq!(arrived[1], *anna.links().last().unwrap());
        let call = anna.all_calls().into_iter().find(|call| call.endpoint == "UserHash").unwrap();
        assert_eq!(call.body, json!({"hash": "company-hash-c0ffee", "userId": &contact(1)[1..], "startService": ""}));
        assert_eq!(
            (call.content_type.as_str(), call.accept.as_str()),
            ("application/json; charset=utf-8", "application/json")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_04_a_link_that_stands_twice_is_asked_for_once() {
    let anna = anna(Options::default());
    let mut house = house(&anna);
    let bridge = house.start().await;
    say(&house, &bridge, 1, "{{anna.chat_url}} o {{anna.chat_url|otro}}; {{anna.chat_url:alta}}").await;
    assert_eq!(anna.calls("UserHash"), 2, "one without an alias, one with it");
    let aliases = anna.all_calls().into_iter().filter(|call| call.endpoint == "UserHash");
    let mut aliases: Vec<String> = aliases.map(|call| call.body["startService"].as_str().unwrap().to_owned()).collect();
    aliases.sort();
    assert_eq!(aliases, ["", "alta"]);
    let texts = arrived(&house, 1, 1).await;
    let words: Vec<&str> = texts[0].split([' ', ';']).filter(|word| word.starts_with("https://")).collect();
    assert!(words.len() == 3 && words[0] == words[1] && words[1] != words[2], "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_07_an_inactive_user_is_never_forced_and_a_name_never_written_over() {
    let anna = anna(Options { everybody: false, ..Options::default() });
    let mut house = house(&anna).set("ANNA__CREATE_USERS", "true").set("ANNA__USER_ID", "wa-{digits}");
    let id = |who: usize| format!("wa-{}", &contact(who)[1..]);
    anna.set_user(&id(1), "Ana", false);
    anna.set_user(&id(2), "Bea", true);
    let bridge = house.start().await;
    say(&house, &bridge, 1, LINK).await;
    assert_eq!(arrived(&house, 1, 1).await, [format!("Siga su caso: {FALLBACK}")]);
    for (who, kind) in [(4, "inactive_es"), (5, "inactive_en"), (6, "inactive_pt")] {
        anna.fault(&format!("UserHash:{kind}")).unwrap();
        say(&house, &bridge, who, LINK).await;
        assert_eq!(arrived(&house, who, 1).await, [format!("Siga su caso: {FALLBACK}")], "{kind}");
    }
    assert_eq!(anna.calls("UserHashForced"), 0);
    say(&house, &bridge, 2, LINK).await;
    say(&house, &bridge, 3, LINK).await;
    assert_eq!(anna.calls("UserHashForced"), 1);
    assert_eq!((anna.user(&id(1)).unwrap().active, anna.user(&id(2)).unwrap().name.as_str()), (false, "Bea"));
    assert_eq!(anna.user(&id(3)).unwrap().name, id(3));
    // A failure of the server says nothing of the user, and an alias that AnnA does not know neither.
    anna.fault("UserHash:server_refused").unwrap();
    say(&house, &bridge, 2, "{{anna.chat_url|nada}}").await;
    say(&house, &bridge, 7, "{{anna.chat_url:alta|nada}}").await;
    assert_eq!(arrived(&house, 7, 1).await, ["nada"]);
    assert_eq!(arrived(&house, 2, 2).await[1], "nada");
    assert_eq!((anna.calls("UserHashForced"), anna.user(&id(7))), (1, None));
    assert_eq!(anna.user(&id(2)).unwrap().name, "Bea");
    let links = chat_links(&anna);
    assert_eq!(arrived(&house, 2, 2).await[0], format!("Siga su caso: {}", links[0]));
    assert_eq!(arrived(&house, 3, 1).await, [format!("Siga su caso: {}", links[1])]);
    // Who was refused is not asked about again for a minute.
    let calls = anna.calls("UserHash");
    say(&house, &bridge, 1, LINK).await;
    assert_eq!(anna.calls("UserHash"), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_08_seven_thousand_characters_with_two_placeholders_arrive_in_parts_each_once() {
    for outage in [false, true] {
        let anna = anna(Options::default());
        let mut house = house(&anna).set("INBOUND__SWEEP_EVERY", "1s");
        let bridge = house.start().await;
        house.customer(&contact(1), "hola");
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
        let filler = |chars: usize| "una frase de relleno. ".repeat(400)[..chars].to_owned();
        let text = format!("{}{{{{anna.chat_url}}}} y {}{{{{anna.messenger_link|aquí}}}}", filler(3500), filler(3450));
        let text = format!("{text}{}", "x".repeat(7000 - text.chars().count()));
        assert_eq!(text.chars().count(), 7000);
        if outage {
            // AnnA goes away between two parts: what a later part says does not move the cut of an earlier one.
            house.afilnet.fault("sendmessage:http_429:2").unwrap();
            anna.fault("*:http_500:3-99").unwrap();
        }
        say(&house, &bridge, 1, &text).await;
        house.settled().await;
        let parts = arrived(&house, 1, 2).await;
        assert!(
            parts.iter().all(|part| part.chars().count() <= 4096),
            "{:?}",
            parts.iter().map(String::len).collect::<Vec<_>>()
        );
        let chat = if outage { FALLBACK.to_owned() } else { chat_links(&anna).remove(0) };
        let messenger = anna.links().into_iter().find(|link| link.contains("/messenger.aspx"));
        let messenger = messenger.unwrap_or_else(|| "aquí".to_owned());
        assert_eq!(messenger == "aquí", outage);
        let expected = text.replace("{{anna.chat_url}}", &chat).replace("{{anna.messenger_link|aquí}}", &messenger);
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(bare(&parts.concat()), bare(&expected), "outage: {outage}");
        assert_eq!(house.afilnet.counters().duplicate_sends, 0);
        rounds(&house, 6).await;
        assert_eq!(house.bonychat.event_count(), 1, "no part is echoed");
        // Refused with 400, by its length as it was typed.
        assert_eq!(house.agent(&bridge, &contact(1), &format!("{text}x")).await.status, 400);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_10_what_was_filled_in_is_known_again_and_never_echoed() {
    for (switch, value) in [("escape", "html_entities"), ("id_type", "missing"), ("id_stable_across_methods", "never")]
    {
        let anna = anna(Options::default());
        let mut house = house(&anna).set("INBOUND__SWEEP_EVERY", "1s").set("INBOUND__STATUS_MAP__2", "delivered");
        house.afilnet.set_switch(switch, value).unwrap();
        let bridge = house.start().await;
        house.customer(&contact(1), "hola");
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
        say(&house, &bridge, 1, LINK).await;
        say(&house, &bridge, 1, "{{anna.chat_url}}").await;
        // Interrupted, and stored: found by looking, not sent again.
        house.afilnet.fault("sendmessage:reset_stored").unwrap();
        say(&house, &bridge, 1, "Otra: {{anna.chat_url}}").await;
        house.settled().await;
        let texts = arrived(&house, 1, 3).await;
        let links = chat_links(&anna);
        assert_eq!(texts, [format!("Siga su caso: {}", links[0]), links[1].clone(), format!("Otra: {}", links[2])]);
        assert_eq!(links.len(), 3, "nothing was filled in twice");
        // Interrupted, and not stored: sent again, with a link of its own.
        house.afilnet.fault("sendmessage:reset").unwrap();
        say(&house, &bridge, 1, "Y otra: {{anna.chat_url}}").await;
        house.settled().await;
        assert_eq!(arrived(&house, 1, 4).await[3], format!("Y otra: {}", chat_links(&anna)[4]));
        rounds(&house, 6).await;
        // The process is killed, and reads everything anew.
        bridge.kill();
        let bridge = house.start().await;
        rounds(&house, 6).await;
        house.customer(&contact(1), "adiós");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() == 2).await);
        let echoes = house.bonychat.all_events().into_iter().filter(|event| event.kind == "message_echo");
        assert_eq!(echoes.count(), 0, "{switch}={value}");
        // What somebody types in the panel is still echoed.
        house.afilnet.operator_says(PLATFORM_ID, &contact(1)[1..], "desde el panel").unwrap();
        until("the echo", || house.bonychat.all_events().iter().any(|event| event.kind == "message_echo")).await;
        // Statuses find their messages.
        house.afilnet.set_status(PLATFORM_ID, &contact(1)[1..], bridge::sim::afilnet::RowStatus::Delivered);
        let delivered =
            || house.bonychat.all_events().into_iter().filter(|event| event.status() == "delivered").count();
        until("the statuses", || delivered() == 4).await;
        assert_eq!(house.messages("sent").len(), 4);
        assert_eq!(house.afilnet.sent_count(), 4);
        house.check();
        drop(bridge);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_11_a_base_url_may_have_a_path_with_or_without_a_final_slash() {
    let anna = anna(Options::default());
    let (root, path) = (anna.url(), anna.url_with_path());
    for base in [root.trim_end_matches('/').to_owned(), root.clone(), path.clone(), format!("{path}/")] {
        let mut house = house(&anna).set("ANNA__BASE_URL", &base);
        let bridge = house.start().await;
        say(&house, &bridge, 1, LINK).await;
        let link = chat_links(&anna).pop().unwrap();
        assert_eq!(arrived(&house, 1, 1).await, [format!("Siga su caso: {link}")], "{base}");
        let last = anna.all_calls().pop().unwrap().path;
        assert_eq!(last.starts_with("/w5/anna/REST/"), base.contains("/w5/anna"), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_12_a_placeholder_in_a_customers_words_or_name_stays_text() {
    let anna = anna(Options::default());
    let mut house = house(&anna).set("INBOUND__SWEEP_EVERY", "1s").set("OUTBOUND__NUMBER_QUICK_REPLIES", "false");
    let bridge = house.start().await;
    for text in ["{{anna.chat_url}}", "me llamo {{anna.messenger_link|x}}"] {
        house.customer(&contact(1), text);
    }
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() == 2).await);
    assert_eq!(house.bonychat.texts(&contact(1)), ["{{anna.chat_url}}", "me llamo {{anna.messenger_link|x}}"]);
    // In replies, links and file names; and what only looks like one.
    let question =
        json!({"type": "quick_reply", "title": "¿Eres {anna.chat_url}?", "replies": ["{{anna.chat_url}}", "No"]});
    assert_eq!(house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), question).await.status, 200);
    let odd =
        ["{{anna.nombre}}", "{{anna.chat_url:a b}}", "{{anna.pending|a\nb}}", "{{ anna.pending }}", "\u{fdd0}\u{301}"];
    for text in odd {
        say(&house, &bridge, 1, text).await;
    }
    let place = json!({"type": "location", "latitude": 1.0, "longitude": 2.0, "address": "{{anna.chat_url}}"});
    assert_eq!(house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), place).await.status, 200);
    let texts = arrived(&house, 1, 7).await;
    assert_eq!(texts[0], "¿Eres {anna.chat_url}?\n{{anna.chat_url}}\nNo");
    assert_eq!(texts[1..6], odd);
    assert!(texts[6].starts_with("{{anna.chat_url}}\n1,2"), "{}", texts[6]);
    assert_eq!(anna.all_calls(), [], "AnnA hears of no contact before a placeholder goes out");
    // A link goes only to the contact that it was made for.
    say(&house, &bridge, 2, "Hola {{anna.chat_url}}, {{anna.chat_url}}").await;
    let asked: Vec<Value> =
        anna.all_calls().into_iter().filter(|call| call.endpoint == "UserHash").map(|call| call.body).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["userId"], contact(2)[1..]);
    rounds(&house, 3).await;
    assert!(house.bonychat.all_events().iter().all(|event| event.kind == "message"), "nothing is echoed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_makes_a_url_too_long_gives_way_to_its_fallback() {
    let anna = anna(Options::default());
    let mut house = over(house(&anna), "get").set("ANNA__FALLBACK_URL", "https://h.io/");
    let bridge = house.start().await;
    let (mut filled, mut fallbacks, mut refused) = (0, 0, 0);
    for length in (2300..2900).step_by(20) {
        let text = format!("{} {{{{anna.chat_url}}}}", "x".repeat(length));
        let outcome = house.agent(&bridge, &contact(1), &text).await;
        let texts = house.afilnet.texts(&contact(1)[1..]);
        if outcome.status == 400 {
            refused += 1;
            assert_eq!(texts.len(), filled + fallbacks, "nothing arrived");
            continue;
        }
        assert_eq!((outcome.status, refused), (200, 0), "{length}: {}", outcome.body);
        let link = texts[filled + fallbacks].rsplit_once(' ').unwrap().1.to_owned();
        if link == "https://h.io/" {
            fallbacks += 1;
        } else {
            assert_eq!((Some(&link), fallbacks), (chat_links(&anna).last(), 0), "{length}");
            filled += 1;
        }
    }
    assert!(filled > 0 && fallbacks > 0 && refused > 0, "{filled} links, {fallbacks} fallbacks, {refused} refused");
    let counted = "bridge_anna_fallbacks_total{channel=\"support\",placeholder=\"chat_url\",reason=\"too_long\"}";
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let expected = fallbacks as f64;
    assert_eq!(value(&metrics(&bridge), counted), expected);
    assert_eq!(house.bonychat.violations(), []);
}
