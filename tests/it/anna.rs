//! Placeholders that AnnA fills in (anna.md sections 8 and 9): whatever AnnA does, each message arrives once, in order, with a
//! personal link or with its fallback, and the link stands nowhere but at Afilnet.

#![expect(clippy::float_cmp, reason = "metrics that count")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge::sim::anna::{Anna, Oddity, Options, TokenForm};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::transports::{TRANSPORTS, over};
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, channel_of, contact, platform_of, token_of, until};

const FALLBACK: &str = "https://help.example.com/?from=wa&lang=es";
const LINK: &str = "Siga su caso: {{anna.chat_url}}";
/// What the fault table allows beyond the budget.
const BEYOND: Duration = Duration::from_millis(300);
/// Cases of the fault table at the same time.
const SIDE_BY_SIDE: usize = 3;

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

/// One row of the fault table: the endpoint that goes wrong, how, and what the message says then.
async fn row(endpoint: &'static str, kind: &'static str) -> Result<Duration, String> {
    let budget = Duration::from_millis(700);
    let anna = anna(Options { slow: Duration::from_secs(4), ..Options::default() });
    let mut house = house(&anna).set("ANNA__BUDGET", "700ms");
    let bridge = house.start().await;
    say(&house, &bridge, 1, "calienta").await; // the first message opens connections
    anna.fault(&format!("{endpoint}:{kind}:1-50")).unwrap();
    let (text, fallback) = match endpoint {
        "AlertCounter" => ("Tiene {{anna.pending}}", "Tiene -".to_owned()),
        "Link" => ("Su caso: {{anna.messenger_link}}", format!("Su caso: {FALLBACK}")),
        _ => (LINK, format!("Siga su caso: {FALLBACK}")),
    };
    let outcome = house.agent(&bridge, &contact(1), text).await;
    say(&house, &bridge, 1, "después").await;
    let texts = arrived(&house, 1, 3).await;
    let expected = match kind {
        "other_case" | "count_as_text" if endpoint == "AlertCounter" => "Tiene 2".to_owned(),
        "other_case" if endpoint == "Link" => {
            format!("Su caso: {}", anna.links().first().ok_or("no link was given")?)
        }
        "other_case" => format!("Siga su caso: {}", chat_links(&anna).first().ok_or("no link was given")?),
        _ => fallback,
    };
    if texts != ["calienta", &expected, "después"] {
        return Err(format!("{endpoint}:{kind}: {texts:?}"));
    }
    rounds(&house, 3).await;
    if house.afilnet.sent_count() != 3 || house.bonychat.event_count() != 0 || anna.redirects_followed() != 0 {
        return Err(format!("{endpoint}:{kind}: something came twice, was echoed or followed"));
    }
    let calls = anna.calls(endpoint);
    let most = match kind {
        "token_expired" | "http_401" | "http_403" if endpoint != "GetToken" => 2,
        _ => 1,
    };
    if calls > most {
        return Err(format!("{endpoint}:{kind}: {calls} calls"));
    }
    house.check();
    if outcome.elapsed > budget + BEYOND {
        return Err(format!("late {endpoint}:{kind}: {:?}", outcome.elapsed));
    }
    Ok(outcome.elapsed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_03_whatever_goes_wrong_the_message_arrives_once_in_order_within_the_budget() {
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let of_link = |kind: &&&str| kind.starts_with("link_");
    let mut cases: Vec<(&str, &str)> = Vec::new();
    for kind in Oddity::names() {
        if *kind != "count_as_text" {
            cases.extend([("UserHash", *kind), ("Link", *kind)]);
        }
    }
    cases.extend(
        Oddity::names()
            .iter()
            .filter(|kind| !of_link(kind) && **kind != "count_as_text")
            .map(|kind| ("GetToken", *kind)),
    );
    for kind in ["other_case", "count_as_text", "no_payload", "refused_es", "hang", "http_500"] {
        cases.push(("AlertCounter", kind));
    }
    let tried = cases.len();
    let running: Vec<_> = cases
        .into_iter()
        .map(|(endpoint, kind)| {
            let room = Arc::clone(&room);
            let task = tokio::spawn(async move {
                let _turn = room.acquire().await;
                // Other programs on the machine make a run late, and never early.
                let mut outcome = row(endpoint, kind).await;
                for _ in 0..2 {
                    if outcome.as_ref().is_err_and(|why| why.starts_with("late")) {
                        outcome = row(endpoint, kind).await;
                    }
                }
                outcome
            });
            (endpoint, kind, task)
        })
        .collect();
    let mut failed = Vec::new();
    for (endpoint, kind, task) in running {
        match task.await.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(elapsed) => println!("{endpoint:12} {kind:13} once, in order, answered after {elapsed:.0?}"),
            Err(why) => failed.push(why),
        }
    }
    println!("{} of {tried} faults of AnnA: delivered once, in order, in time", tried - failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
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
async fn a_05_fifty_messages_at_once_log_in_once() {
    for form in [TokenForm::Jwt(3600), TokenForm::Opaque("nonsense".into()), TokenForm::Opaque(String::new())] {
        let anna = anna(Options { tokens: form.clone(), ..Options::default() });
        // An attempt whose lease ends before its call is made again with a link of its own: 50 links are 50 attempts, which
        // on a shared machine need more than the second that other tests take.
        let mut house = house(&anna).set("STORE__LEASE", "10s");
        let bridge = house.start().await;
        let sends: Vec<_> = (0..50)
            .map(|who| {
                let (bonychat, base) = (house.bonychat.clone(), bridge.url());
                tokio::spawn(async move { bonychat.text(&base, CHANNEL, &contact(who), LINK).await.status })
            })
            .collect();
        for send in sends {
            assert_eq!(send.await.unwrap(), 200);
        }
        let links = chat_links(&anna);
        let mut texts: Vec<String> = house.afilnet.all_sent().into_iter().map(|sent| sent.message).collect();
        let mut expected: Vec<String> = links.iter().map(|link| format!("Siga su caso: {link}")).collect();
        texts.sort();
        expected.sort();
        assert_eq!(texts, expected, "{form:?}");
        assert_eq!((texts.len(), anna.calls("GetToken"), anna.calls("UserHash")), (50, 1, 50), "{form:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_06_a_token_that_is_not_accepted_any_more_is_renewed_once_and_the_call_made_again_once() {
    let anna = anna(Options::default());
    let mut house = house(&anna);
    let bridge = house.start().await;
    say(&house, &bridge, 1, LINK).await;
    anna.expire_tokens();
    say(&house, &bridge, 1, LINK).await;
    assert_eq!((anna.calls("GetToken"), anna.calls("UserHash")), (2, 3));
    let links = chat_links(&anna);
    let expected: Vec<String> = links.iter().map(|link| format!("Siga su caso: {link}")).collect();
    assert_eq!(arrived(&house, 1, 2).await, expected);
    // A login that is refused is not tried with every message: it would lock the account.
    anna.expire_tokens();
    anna.set_password("another");
    for _ in 0..3 {
        say(&house, &bridge, 1, LINK).await;
    }
    assert_eq!(anna.calls("GetToken"), 3);
    assert_eq!(arrived(&house, 1, 5).await[2..], [(); 3].map(|()| format!("Siga su caso: {FALLBACK}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_though_its_token_is_new_costs_no_more_logins_and_blames_no_login() {
    for known in [false, true] {
        let anna = anna(Options::default());
        let mut house = house(&anna).set("ANNA__CREATE_USERS", "true");
        let bridge = house.start().await;
        if known {
            say(&house, &bridge, 9, LINK).await;
        }
        anna.fault("UserHash:token_expired:1-50").unwrap();
        for who in [1, 2, 3, 1] {
            say(&house, &bridge, who, LINK).await;
            assert!(arrived(&house, who, 1).await.iter().all(|text| text.ends_with(FALLBACK)), "{known}");
        }
        let logins = 1 + usize::from(known);
        assert_eq!((anna.calls("GetToken"), anna.calls("UserHash")), (logins, 3 + 2 * usize::from(known)), "{known}");
        assert_eq!(anna.calls("UserHashForced"), 0, "{known}: it is no unknown user");
        // The token stays.
        anna.clear_faults();
        say(&house, &bridge, 4, LINK).await;
        assert_eq!(arrived(&house, 4, 1).await, [format!("Siga su caso: {}", chat_links(&anna).pop().unwrap())]);
        assert_eq!(anna.calls("GetToken"), logins, "{known}");
        let text = metrics(&bridge);
        let refused = "bridge_anna_fallbacks_total{channel=\"support\",placeholder=\"chat_url\",reason=\"api\"}";
        assert_eq!(value(&text, refused), 4.0, "{known}");
        let log = bridge.log();
        assert!(!log.iter().any(|line| line.contains("check anna.company_hash")), "{known}");
        assert!(log.iter().any(|line| line.contains("El token *** ha expirado., though the token is new")), "{known}");
        for secret in anna.secrets() {
            assert!(!log.iter().any(|line| line.contains(&secret)), "{known}: {secret}");
        }
    }
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
async fn a_09_what_signs_somebody_in_stands_nowhere_but_at_afilnet() {
    let anna = anna(Options { everybody: false, ..Options::default() });
    let mut house = house(&anna).on_a_file().set("LOG__LEVEL", "trace").set("LOG__CONTACTS", "full");
    for who in 1..5 {
        anna.set_user(&contact(who)[1..], "Ana", who != 4);
    }
    let bridge = house.start().await;
    house.customer(&contact(1), "hola");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    let all = format!("{LINK} {{{{anna.messenger_link}}}} {{{{anna.pending}}}}");
    let mut m_ids = Vec::new();
    for (who, fault) in [
        (1, None),
        (2, Some("sendmessage:reset_stored")),
        (3, Some("sendmessage:reset")),
        (4, None),
        (5, None),
        (1, Some("sendmessage:http_429")),
        (1, Some("sendmessage:MISSING_COMPULSORY_PARAM")),
    ] {
        if let Some(fault) = fault {
            house.afilnet.fault(fault).unwrap();
        }
        m_ids.extend(house.agent(&bridge, &contact(who), &all).await.m_id);
    }
    anna.expire_tokens();
    say(&house, &bridge, 2, &all).await;
    // A refused login: AnnA quotes it.
    anna.set_password("another");
    anna.expire_tokens();
    say(&house, &bridge, 2, &all).await;
    house.settled().await;
    rounds(&house, 4).await;
    let mut seen = vec![("metrics", metrics(&bridge).into_bytes())];
    for name in ["bridge.db", "bridge.db-wal", "bridge.db-shm", "bridge.db.answers"] {
        seen.push((name, std::fs::read(house.folder.path().join(name)).unwrap_or_default()));
    }
    for m_id in &m_ids {
        let shown = house.run(&["messages", "show", m_id]);
        seen.push(("messages show", [shown.stdout, shown.stderr].concat()));
    }
    for state in ["dead", "failed", "sent", "unconfirmed"] {
        let listed = house.run(&["messages", "list", "--state", state]);
        seen.push(("messages list", [listed.stdout, listed.stderr].concat()));
    }
    let events = format!("{:?}", house.bonychat.all_events());
    seen.push(("BonyChat", events.into_bytes()));
    let log = bridge.kill();
    assert!(log.iter().any(|line| line.contains("\"DEBUG\"") || line.contains("\"debug\"")), "the log is not loud");
    assert!(
        log.iter().any(|line| line.contains("***@***")),
        "AnnA's own words are in the log, without what is private"
    );
    assert!(log.iter().any(|line| line.contains("Usuario *** o ")), "those of the refused login too");
    seen.push(("log", log.join("\n").into_bytes()));
    let secrets = anna.secrets();
    assert!(secrets.len() > 20 && anna.links().len() > 6, "{}", secrets.len());
    for (place, bytes) in &seen {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{place} holds {secret}");
        }
    }
    let written = b"{{anna.chat_url}}";
    // In the write-ahead log, or in the database after a checkpoint.
    let mut store = seen.iter().filter(|(place, _)| place.starts_with("bridge.db"));
    let holds = store.any(|(_, bytes)| bytes.windows(written.len()).any(|window| window == written));
    assert!(holds, "the store keeps what the agent wrote");
    // Half of a hash would be as bad as the whole.
    for link in anna.links() {
        let hash = link.split(['=', '&']).nth(1).unwrap();
        let half = &hash[..20];
        for (place, bytes) in &seen {
            assert!(!bytes.windows(half.len()).any(|window| window == half.as_bytes()), "{place} holds {half}");
        }
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
async fn a_13_anna_is_left_alone_while_it_fails_and_asked_again_after() {
    let anna = anna(Options::default());
    let mut house = house(&anna);
    let bridge = house.start().await;
    say(&house, &bridge, 1, LINK).await;
    anna.fault("UserHash:http_500:1-3").unwrap();
    for who in 1..5 {
        say(&house, &bridge, who, LINK).await;
    }
    assert_eq!(anna.calls("UserHash"), 4, "after three failures in a row it is not asked");
    let text = metrics(&bridge);
    assert_eq!(value(&text, "bridge_anna_paused"), 1.0);
    assert_eq!(value(&text, "bridge_anna_calls_total{endpoint=\"UserHash\",outcome=\"protocol\"}"), 3.0);
    let fallbacks = |reason: &str| {
        format!("bridge_anna_fallbacks_total{{channel=\"support\",placeholder=\"chat_url\",reason=\"{reason}\"}}")
    };
    assert_eq!((value(&text, &fallbacks("protocol")), value(&text, &fallbacks("open"))), (3.0, 1.0));
    assert_eq!(get(&bridge.url(), "/readyz", None).0, 200, "AnnA decides nothing of readiness");
    let opened = Instant::now();
    let mut sent = 0;
    while anna.calls("UserHash") == 4 {
        assert!(opened.elapsed() < Duration::from_secs(90), "it is not asked again");
        tokio::time::sleep(Duration::from_secs(2)).await; // a message now and then
        say(&house, &bridge, 9, LINK).await;
        sent += 1;
    }
    assert!(opened.elapsed() > Duration::from_secs(50), "{:?}", opened.elapsed());
    let texts = arrived(&house, 9, sent).await;
    let link = chat_links(&anna).pop().unwrap();
    assert_eq!(texts.last(), Some(&format!("Siga su caso: {link}")));
    assert!(texts[..sent - 1].iter().all(|text| text.ends_with(FALLBACK)));
    assert_eq!(value(&metrics(&bridge), "bridge_anna_paused"), 0.0);
    // A pause that AnnA asks for is kept.
    anna.fault("UserHash:http_429").unwrap();
    say(&house, &bridge, 1, LINK).await;
    let calls = anna.calls("UserHash");
    let paused = Instant::now();
    while anna.calls("UserHash") == calls {
        assert!(paused.elapsed() < SOON, "it is not asked again");
        tokio::time::sleep(Duration::from_millis(200)).await; // a message now and then
        say(&house, &bridge, 10, LINK).await;
    }
    assert!(paused.elapsed() > Duration::from_millis(800), "{:?}", paused.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_no_links_count_as_failures() {
    for kind in ["link_empty", "link_http"] {
        let anna = anna(Options::default());
        let mut house = house(&anna);
        let bridge = house.start().await;
        anna.fault(&format!("UserHash:{kind}:1-3")).unwrap();
        for who in 1..5 {
            say(&house, &bridge, who, LINK).await;
            assert_eq!(arrived(&house, who, 1).await, [format!("Siga su caso: {FALLBACK}")], "{kind}");
        }
        assert_eq!(anna.calls("UserHash"), 3, "{kind}: after three in a row it is not asked");
        let text = metrics(&bridge);
        assert_eq!(value(&text, "bridge_anna_paused"), 1.0, "{kind}");
        let failed = "bridge_anna_calls_total{endpoint=\"UserHash\",outcome=\"protocol\"}";
        assert_eq!(value(&text, failed), 3.0, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anna_decides_nothing_of_the_start_and_check_asks_it_only_when_told() {
    let anna = anna(Options::default());
    let mut house = house(&anna);
    anna.down();
    let bridge = house.start().await;
    say(&house, &bridge, 1, LINK).await;
    assert_eq!(arrived(&house, 1, 1).await, [format!("Siga su caso: {FALLBACK}")]);
    let live = house.run(&["check", "--live"]);
    let words = String::from_utf8_lossy(&live.stdout);
    assert!(live.status.success() && words.contains("warning: anna: degraded(transport)"), "{words}");
    let token = house.run(&["anna", "token"]);
    assert_eq!(token.status.code(), Some(3), "{}", String::from_utf8_lossy(&token.stderr));
    anna.up().unwrap();
    let calls = anna.all_calls().len();
    assert!(house.run(&["check"]).status.success());
    assert_eq!(anna.all_calls().len(), calls, "check alone makes no call");
    let live = house.run(&["check", "--live"]);
    assert!(String::from_utf8_lossy(&live.stdout).contains("anna: ok"));
    anna.set_password("another");
    let live = house.run(&["check", "--live"]);
    let words = String::from_utf8_lossy(&live.stdout);
    assert!(live.status.success() && words.contains("degraded(auth)"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_can_be_asked_by_hand_and_secrets_are_masked() {
    let anna = anna(Options { everybody: false, ..Options::default() });
    let house = house(&anna);
    anna.set_user("WSGIU5555", "Ana", true);
    let asked = |arguments: &[&str]| {
        let ran = house.run(&[&["anna"], arguments].concat());
        let words = [String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap()];
        (ran.status.code(), words.concat())
    };
    for (arguments, word) in [
        (&["token"][..], "\"lifetime_seconds\": 3600"),
        (&["user-hash", "WSGIU5555"], "\"Expires\": \"20991231235959\""),
        (&["user-hash-forced", "WSGIU5555", "--name", "Ana María"], "\"ChatURL\": \"***\""),
        (&["structure"], "\"CompaniesName\": \"Empresa\""),
        (&["alerts", "WSGIU5555", "--from", "2024-01-01", "--to", "2024-12-31"], "\"alerts\": 2"),
        (&["requests", "WSGIU5555", "--status", "open", "--pending", "yes"], "\"Protocol\": \"2026-1\""),
        (&["link", "--doc-type", "CPF", "--doc-value", "WSGIU5555"], "\"link\": \"***\""),
    ] {
        let (code, words) = asked(arguments);
        assert!(code == Some(0) && words.contains(word), "{arguments:?}: {words}");
        assert!(anna.secrets().iter().all(|secret| !words.contains(secret.as_str())), "{words}");
    }
    let filters = anna.all_calls().into_iter().find(|call| call.endpoint == "AlertCounter").unwrap().body;
    assert_eq!(filters["messengerFilters"]["dataIni"], "01/01/2024");
    assert_eq!(filters["messengerFilters"]["dataFim"], "31/12/2024");
    assert_eq!(anna.user("WSGIU5555").unwrap().name, "Ana María");
    let (_, words) = asked(&["link", "WSGIU5555", "--show-secrets"]);
    assert!(words.contains(anna.links().last().unwrap().as_str()), "{words}");
    for (arguments, code) in [
        (&["user-hash", "nobody"][..], 1),
        (&["inactivate", "WSGIU5555"], 2),
        (&["user-hash", "a@b"], 2),
        (&["alerts", "WSGIU5555", "--from", "01/01/2024"], 2),
        (&["inactivate", "WSGIU5555", "--yes"], 0),
        (&["user-hash", "WSGIU5555"], 1),
    ] {
        let (exit, words) = asked(arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {words}");
        assert!(!words.contains("company-hash-c0ffee"), "{words}");
    }
    let off = House::new().run(&["anna", "token"]);
    assert_eq!(off.status.code(), Some(2));
}

/// The process ends around the commit that keeps what is known of the words: sent once, with one link, and never echoed.
#[cfg(feature = "crashpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_while_it_keeps_what_it_fills_in_sends_it_once() {
    use bridge::crashpoint::{AFTER_CALL, AFTER_COMMIT, BEFORE_CALL, BEFORE_COMMIT};
    let points = [
        ("prepare_call", BEFORE_COMMIT, 1),
        ("prepare_call", AFTER_COMMIT, 1),
        ("sendmessage", BEFORE_CALL, 2),
        ("sendmessage", AFTER_CALL, 2),
    ];
    for (name, when, nth) in points {
        let anna = anna(Options::default());
        let mut house = house(&anna).set("INBOUND__SWEEP_EVERY", "1s").set("OUTBOUND__ANSWER_WITHIN", "0s");
        house.customer(&contact(1), "hola");
        let mut bridge = house.start_with(&[("BRIDGE_CRASHPOINT", &format!("{name}, {when}:{nth}"))]).await;
        // Where no row has ever shown, nobody could tell that one does not.
        say(&house, &bridge, 1, "se ve").await;
        arrived(&house, 1, 1).await;
        until("its row is matched", || value(&metrics(&bridge), "bridge_correlated_total{channel=\"support\"}") >= 1.0)
            .await;
        say(&house, &bridge, 1, LINK).await;
        bridge.ended().await;
        let bridge = house.start().await;
        say(&house, &bridge, 1, "después").await;
        let texts = arrived(&house, 1, 3).await;
        let link = chat_links(&anna).into_iter().find(|link| texts[1].contains(link.as_str()));
        assert_eq!(texts, ["se ve", &format!("Siga su caso: {}", link.unwrap()), "después"], "{name}, {when}");
        house.settled().await;
        rounds(&house, 4).await;
        assert_eq!(house.afilnet.sent_count(), 3, "{name}, {when}");
        assert!(house.bonychat.all_events().iter().all(|event| event.kind == "message"), "{name}, {when}");
        house.check();
        drop(bridge);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_anna_hangs_the_other_channels_of_the_account_send() {
    let anna = anna(Options::default());
    let house = configured(House::with_channels(2), &anna).set("AFILNET__MAX_IN_FLIGHT", "1");
    let mut house = house.set("CHANNELS__SUPPORT__ANNA", "true");
    for (key, value) in [
        ("CHANNEL_ID", channel_of(1, 2)),
        ("API_TOKEN", token_of(1, 2)),
        ("ID_TYPE", "phone".into()),
        ("PLATFORM", "whatsapp".into()),
        ("PLATFORM_ID", platform_of(1, 2)),
    ] {
        house = house.set(&format!("CHANNELS__OTHER__{key}"), &value);
    }
    let bridge = house.start().await;
    anna.fault("UserHash:hang:1-9").unwrap();
    let (with_link, other) = tokio::join!(say(&house, &bridge, 0, LINK), async {
        until("AnnA is asked", || anna.calls("UserHash") == 1).await;
        let other = house.bonychat.text(&bridge.url(), &channel_of(1, 2), &contact(1), "otro canal").await;
        (other, house.afilnet.texts(&contact(0)[1..]))
    });
    let () = with_link;
    let (other, arrived_before) = other;
    assert_eq!((other.status, arrived_before), (200, vec![]), "it went out while AnnA hung");
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["otro canal"]);
    assert_eq!(arrived(&house, 0, 1).await, [format!("Siga su caso: {FALLBACK}")]);
    house.check();
}

/// Nothing is in doubt of what only waits for AnnA when the process ends, or when its configuration is read again.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_anna_at_a_stop_or_a_reload_goes_out_once_and_is_never_in_doubt() {
    for signal in ["TERM", "HUP"] {
        let anna = anna(Options::default());
        let mut house = house(&anna).set("ANNA__BUDGET", "1500ms").set("OUTBOUND__ANSWER_WITHIN", "0s");
        let mut bridge = house.start().await;
        anna.fault("UserHash:hang:1").unwrap();
        say(&house, &bridge, 1, LINK).await;
        say(&house, &bridge, 1, "después").await;
        until("AnnA is asked", || anna.calls("UserHash") == 1).await;
        bridge.signal(signal);
        if signal == "TERM" {
            assert!(bridge.ended().await.success());
            assert_eq!((house.messages("unknown").len(), house.messages("sending").len()), (0, 0));
            assert_eq!(house.messages("queued").len(), 2);
            bridge = house.start().await;
        }
        let texts = arrived(&house, 1, 2).await;
        let link = chat_links(&anna).remove(0);
        assert_eq!(texts, [format!("Siga su caso: {link}").as_str(), "después"], "{signal}: filled in anew");
        house.settled().await;
        rounds(&house, 3).await;
        assert!(!bridge.log().iter().any(|line| line.contains("may or may not") || line.contains("was being sent")));
        assert_eq!((house.afilnet.sent_count(), house.bonychat.event_count()), (2, 0), "{signal}");
        house.check();
    }
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
