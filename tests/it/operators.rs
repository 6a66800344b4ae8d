//! What operators ask, by the command line and by the API of the admin listener: the same answers, to nobody without the token,
//! and nothing of persons but what they ask for.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::process::Bridge;
use crate::support::{House, SOON, blocking, contact, until};

/// As `admin.token` must be at least.
const ADMIN: &str = "OROPENDOLA-0123456789";
/// Every path that is read.
const PATHS: [&str; 7] = ["/channels", "/messages", "/failed", "/settings", "/audit", "/jobs", "/openapi.json"];
/// Paths of orders on many messages and on channels.
const MANY: [&str; 6] = [
    "/plans",
    "/plans/{plan}/run",
    "/jobs/{id}/cancel",
    "/jobs/{id}/resume",
    "/channels/{name}/pause",
    "/channels/{name}/resume",
];

/// A call of the API: status, head and body.
fn call(bridge: &Bridge, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String, String) {
    let bearer = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let answer = blocking(|| {
        let mut stream = TcpStream::connect(bridge.admin_url().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\n{bearer}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// What a path answers to who has the token.
fn read(bridge: &Bridge, path: &str) -> Value {
    let (status, head, body) = call(bridge, "GET", path, Some(ADMIN), "");
    assert_eq!(status, 200, "{path}: {body}");
    let head = head.to_lowercase();
    assert!(head.contains("cache-control: no-store") && head.contains("x-content-type-options: nosniff"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// The words of a refusal.
fn refusal(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    body["error"]["message"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// What a command prints: one JSON value a line.
fn lines(house: &House, arguments: &[&str]) -> Vec<Value> {
    let output = house.run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A message that failed, one of which nobody can tell, an event that was given up, and the mIds of the first two and the third.
async fn trouble(house: &House, bridge: &Bridge) -> [String; 3] {
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    let failed = house.agent(bridge, &contact(1), "canario FALLIDO").await;
    house.afilnet.clear_faults();
    assert_eq!(failed.status, 400);
    house.afilnet.fault("sendmessage:reset").unwrap();
    let doubtful = house.agent(bridge, &contact(2), "canario DUDOSO").await;
    until("the call was made", || house.afilnet.calls("sendmessage") > 1).await;
    house.afilnet.clear_faults();
    assert_eq!(doubtful.status, 200);
    house.bonychat.set_poison(Some("VENENO"));
    for text in ["canario VENENO", "canario LUEGO"] {
        house.customer(&contact(3), text);
    }
    until("an event is given up", || house.messages("dead").len() == 1).await;
    house.settled().await;
    let one = |state: &str| {
        let found = house.messages(state);
        assert_eq!(found.len(), 1, "{state}");
        found[0].clone()
    };
    [one("failed"), one("unconfirmed"), one("dead")]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_api_is_told_without_the_token() {
    let mut house = House::new().set("ADMIN__TOKEN", ADMIN);
    let bridge = house.start().await;
    let m_id = "0".repeat(32);
    let posts = ["settle", "retry", "discard"].map(|verb| format!("/messages/{m_id}/{verb}"));
    let posts =
        posts.into_iter().chain(MANY.map(|path| {
            path.replace("{plan}", "retry-failed-1-2-3-4").replace("{id}", "7").replace("{name}", "support")
        }));
    let reads = PATHS.map(str::to_owned).into_iter().chain([format!("/messages/{m_id}"), "/nothing".to_owned()]);
    let calls = reads.map(|path| ("GET", path)).chain(posts.into_iter().map(|path| ("POST", path)));
    let wrong = [None, Some("OROPENDOLA"), Some("token-of-channel-1"), Some("oropendola-0123456789"), Some("")];
    for (number, (method, path)) in calls.enumerate() {
        // One address may give few wrong tokens within a minute.
        let token = wrong[number % wrong.len()];
        let order = match path.rsplit('/').next() {
            Some("settle") => r#"{"as":"delivered"}"#,
            Some("plans" | "run") => r#"{"action":"retry","state":"failed"}"#,
            Some("pause" | "resume") if path.contains("channels") => r#"{"what":"out","why":"migration"}"#,
            _ => "",
        };
        let (status, head, body) = call(&bridge, method, &path, token, order);
        assert_eq!(status, 401, "{method} {path} {token:?}: {body}");
        let head = head.to_lowercase();
        assert!(head.contains("www-authenticate: bearer"), "{head}");
        assert!(head.contains("cache-control: no-store") && head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(refusal(&body).contains("admin.token"), "{body}");
        let (status, _, body) = call(&bridge, method, &path, Some(ADMIN), order);
        let is_missing = path.contains(&m_id) || path == "/nothing" || path.contains("/7/");
        let expected = if path.ends_with("/run") {
            409
        } else if is_missing {
            404
        } else {
            200
        };
        assert_eq!(status, expected, "{method} {path}: {body}");
        if path.contains(&m_id) && method == "GET" {
            assert!(refusal(&body).contains("there is no message and no event"), "{body}");
        }
    }
    for (method, path, body, status, words) in [
        ("POST", "/channels".to_owned(), "", 405, "openapi.json"),
        ("POST", "/calls".to_owned(), "", 400, "seconds takes"),
        ("POST", "/calls?seconds=601".to_owned(), "", 400, "from 1 to 600"),
        ("GET", "/messages?limit=x".to_owned(), "", 400, "limit takes"),
        ("GET", "/messages?colour=red".to_owned(), "", 400, "use q, direction"),
        ("GET", "/messages?channel=nobody".to_owned(), "", 400, "use one of support"),
        ("GET", "/messages?state=gone".to_owned(), "", 400, "queued"),
        ("GET", "/audit?before=x".to_owned(), "", 400, "a number"),
        ("POST", format!("/messages/{m_id}/settle"), "", 400, "nothing was changed"),
        ("POST", format!("/messages/{m_id}/settle"), r#"{"as":"600111222"}"#, 400, "nothing was changed"),
        ("POST", format!("/messages/{m_id}/retry"), "{", 400, "nothing was changed"),
        ("GET", "/messages/600111222".to_owned(), "", 404, "there is no message"),
    ] {
        let (found, _, answer) = call(&bridge, method, &path, Some(ADMIN), body);
        assert!(found == status && refusal(&answer).contains(words), "{method} {path} {found} {answer}");
        assert!(!answer.contains("600111222"), "a call is not repeated: {answer}");
    }
    drop(bridge);
    let mut house = house.unset("ADMIN__TOKEN");
    let bridge = house.start().await;
    let (status, _, body) = call(&bridge, "GET", "/channels", None, "");
    assert!(status == 403 && refusal(&body).contains("admin.token is not set"), "{status} {body}");
}

/// Settings and document are the same by both ways.
fn settings_and_document(house: &House, bridge: &Bridge) {
    let settings = read(bridge, "/settings")["settings"].clone();
    let theirs = lines(house, &["config", "--effective", "--json"]);
    let without = |settings: &[Value]| -> Vec<Value> {
        settings.iter().filter(|setting| setting["key"] != "server.listen").cloned().collect() // the bridge's own
    };
    assert_eq!(without(settings.as_array().unwrap()), without(&theirs));
    let one =
        |key: &str| theirs.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("{key}")).clone();
    assert_eq!(one("admin.token")["value"], format!("set, {} characters", ADMIN.len()));
    assert_eq!(one("admin.token")["source"], "environment BRIDGE__ADMIN__TOKEN");
    assert_eq!(
        (&one("retry.give_up_after")["from"], &one("afilnet.password")["value"]),
        (&json!("default"), &json!("set, 8 characters"))
    );

    let document = read(bridge, "/openapi.json");
    let printed = house.run(&["openapi", "--admin"]);
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), document);
    let documented: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let verbs = [
        "/messages/{mId}",
        "/messages/{mId}/settle",
        "/messages/{mId}/retry",
        "/messages/{mId}/discard",
        "/jobs/{id}",
        "/calls",
    ];
    let served: Vec<String> = PATHS.iter().chain(&verbs).chain(&MANY).map(|path| format!("/api/v1{path}")).collect();
    let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
    assert_eq!(documented, served);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_and_the_command_line_answer_alike_and_nothing_of_persons_is_told() {
    let mut house = House::new().set("ADMIN__TOKEN", ADMIN);
    let bridge = house.start().await;
    let calm = lines(&house, &["overview", "--json"]).remove(0);
    assert_eq!((&calm["needs_you"], &calm["channels"][0]["word"]), (&json!([]), &json!("works")), "{calm}");
    let words = String::from_utf8(house.run(&["overview"]).stdout).unwrap();
    assert!(words.starts_with("nothing needs you, as far as the store tells\n"), "{words}");
    assert!(words.contains("support: nothing waits."), "who delivers it is not known from the store: {words}");
    let [failed, doubtful, dead] = trouble(&house, &bridge).await;

    // The bridge knows of its own pauses, which end within seconds.
    until("both tell the same", || read(&bridge, "/channels") == lines(&house, &["overview", "--json"])[0]).await;
    let overview = read(&bridge, "/channels");
    let channel = &overview["channels"][0];
    assert_eq!(
        (&channel["channel"], &channel["dead"], &channel["waits_out"]),
        (&json!("support"), &json!(1), &json!(0))
    );
    assert!(
        overview["needs_you"].to_string().contains("bridge messages list --state dead --channel support"),
        "{overview}"
    );
    let words = String::from_utf8(house.run(&["overview"]).stdout).unwrap();
    assert!(words.contains("need you:") && words.contains("given up: 1"), "{words}");

    for (query, arguments) in [
        ("", &["messages", "find", "", "--json"][..]),
        ("?q=canario&direction=out", &["messages", "find", "canario", "--direction", "out", "--json"]),
        (
            "?state=failed&channel=support",
            &["messages", "find", "", "--state", "failed", "--channel", "support", "--json"],
        ),
        ("?contacts=full", &["messages", "find", "", "--contacts", "--json"]),
    ] {
        let found = read(&bridge, &format!("/messages{query}"));
        assert_eq!(found["messages"].as_array().unwrap(), &lines(&house, arguments), "{query}");
    }
    let page = read(&bridge, "/messages?limit=2");
    let next = read(&bridge, &format!("/messages?limit=500&before={}", page["next"].as_str().unwrap()));
    let all = read(&bridge, "/messages");
    let pages = [page["messages"].as_array().unwrap().as_slice(), next["messages"].as_array().unwrap()].concat();
    assert_eq!(&pages, all["messages"].as_array().unwrap());

    for m_id in [&failed, &dead] {
        for language in ["en", "es"] {
            let told = read(&bridge, &format!("/messages/{m_id}?language={language}"));
            let text =
                String::from_utf8(house.run(&["messages", "journey", m_id, "--language", language]).stdout).unwrap();
            let (verdict, rest) = text.split_once("\n\n").unwrap();
            assert_eq!(told["verdict"], verdict);
            let lines: Vec<&str> = rest.lines().skip(1).collect();
            assert_eq!(told["lines"], json!(lines), "{language}");
            assert_eq!(&told["journey"]["m_id"], &json!(m_id));
        }
    }
    let groups = read(&bridge, "/failed")["groups"].clone();
    let kinds: Vec<_> = groups.as_array().unwrap().iter().map(|group| (&group["direction"], &group["count"])).collect();
    assert_eq!(kinds.len(), 2, "{groups}");
    assert!(kinds.contains(&(&json!("out"), &json!(1))) && kinds.contains(&(&json!("in"), &json!(1))), "{groups}");

    settings_and_document(&house, &bridge);

    // A text, a number and a token, through every path, masked.
    house.run(&["messages", "retry", "nothing", "--why", "call 600 111 222 77"]);
    let paths = PATHS.map(str::to_owned).into_iter().chain([
        "/messages?q=canario".to_owned(),
        format!("/messages?q={}", &contact(1)[1..]),
        format!("/messages/{failed}"),
        format!("/messages/{dead}"),
        format!("/messages/{doubtful}"),
    ]);
    let mut answers: Vec<String> = paths.map(|path| call(&bridge, "GET", &path, Some(ADMIN), "").2).collect();
    let why = json!({"why": format!("the customer of {} called", contact(1))}).to_string();
    answers.push(call(&bridge, "POST", &format!("/messages/{failed}/retry"), Some(ADMIN), &why).2);
    until("it is sent", || house.messages("failed").is_empty()).await;
    answers.push(call(&bridge, "POST", &format!("/messages/{dead}/discard"), Some(ADMIN), "").2);
    answers.push(call(&bridge, "GET", "/audit", Some(ADMIN), "").2);
    for answer in &answers {
        for canary in
            ["canario", "FALLIDO", "DUDOSO", "VENENO", ADMIN, "token-of-channel-1", &contact(1)[4..], &contact(3)[4..]]
        {
            assert!(!answer.contains(canary), "{canary} in {answer}");
        }
    }
    let shown = read(&bridge, "/messages?contacts=full").to_string();
    assert!(shown.contains(&contact(1)), "allowed where it is asked for: {shown}");
    let audit = read(&bridge, "/audit");
    assert_eq!(audit["deeds"].as_array().unwrap(), &lines(&house, &["messages", "audit", "--json"]));
    let deeds: Vec<_> =
        audit["deeds"].as_array().unwrap().iter().map(|deed| (deed["means"].clone(), deed["what"].clone())).collect();
    assert_eq!(deeds[..2], [(json!("api"), json!("discard")), (json!("api"), json!("retry"))], "{audit}");
    assert!(audit["deeds"][1]["detail"]["why"].as_str().unwrap().starts_with("the customer of +***"), "{audit}");
    let (status, _, body) = call(&bridge, "POST", &format!("/messages/{dead}/retry"), Some(ADMIN), "");
    assert!([404, 409].contains(&status) && !refusal(&body).is_empty(), "{status} {body}");
    house.bonychat.set_poison(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_tell_of_is_settled_by_the_api() {
    let mut house = House::new().set("ADMIN__TOKEN", ADMIN);
    let bridge = house.start().await;
    let [_, doubtful, _] = trouble(&house, &bridge).await;
    assert_eq!(read(&bridge, &format!("/messages?q={doubtful}"))["messages"][0]["noted_ms"], Value::Null);
    let settle = |body: &str| call(&bridge, "POST", &format!("/messages/{doubtful}/settle"), Some(ADMIN), body);
    for (expected, words) in [(200, "noted: it may have been delivered"), (409, "is noted already")] {
        let (status, _, body) = settle(r#"{"as":"noted"}"#);
        assert!(status == expected && body.contains(words), "{status} {body}");
    }
    let listed = |state: &str| read(&bridge, &format!("/messages?state={state}"))["messages"].clone();
    assert_eq!((listed("unconfirmed"), &listed("noted")[0]["m_id"]), (json!([]), &json!(doubtful)));
    assert!(listed("noted")[0]["noted_ms"].is_i64(), "{}", listed("noted"));
    let (status, _, body) = settle(r#"{"as":"delivered","why":"the customer says so"}"#);
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["done"].as_str().unwrap().starts_with("settled as delivered"), "{body}");
    let (status, _, body) = settle(r#"{"as":"failed"}"#);
    assert!(status == 409 && refusal(&body).contains("is sent"), "{status} {body}");
    assert!(house.messages("unconfirmed").is_empty());
    house.bonychat.set_poison(None);
}

/// What the page shows of the one channel: its word and the number of needs; and that each of these leads to a page.
fn of_page(bridge: &Bridge, language: &str) -> (String, usize) {
    let send = |method: &str, path: &str, head: &str, body: &str| {
        blocking(|| {
            let mut stream = TcpStream::connect(bridge.admin_url().trim_start_matches("http://")).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
    };
    let form = "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\n";
    let signed_in = send("POST", "/login", form, &format!("token={ADMIN}&next="));
    let cookie = signed_in.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let head = format!("cookie: {cookie}; bridge_language={language}\r\n");
    let page = send("GET", "/", &head, "");
    let shown =
        page.split("class=\"state ").nth(1).unwrap_or_else(|| panic!("{page}")).split("</span>").nth(1).unwrap();
    let needs = page.split("class=\"needs\"").nth(1).map_or("", |needs| needs.split("</ul>").next().unwrap());
    let needs: Vec<&str> = needs.split("<li>").skip(1).collect();
    for need in &needs {
        let link = need.split("href=\"").nth(1).unwrap_or_else(|| panic!("{need}")).split('"').next().unwrap();
        let found = send("GET", &format!("/{}", link.replace("&amp;", "&").replace("&#38;", "&")), &head, "");
        assert!(found.starts_with("HTTP/1.1 200") && found.contains("support"), "{link}: {found}");
    }
    (shown.trim().to_owned(), needs.len())
}

/// Waits until page, API and command line tell the same of the one channel, and that is as expected.
async fn alike(house: &House, bridge: &Bridge, word: &str, [english, spanish]: [&str; 2], needs: usize) {
    until(&format!("all tell `{word}` and {needs} need(s)"), || {
        let of = |found: &Value| {
            let channel = &found["channels"][0];
            (channel["word"].as_str().unwrap().to_owned(), found["needs_you"].as_array().unwrap().len())
        };
        let (api, told) = (read(bridge, "/channels"), lines(house, &["overview", "--json"]).remove(0));
        for need in api["needs_you"].as_array().unwrap().iter().chain(told["needs_you"].as_array().unwrap()) {
            let link = need["link"].as_str().unwrap();
            assert!(link.starts_with("messages?channel=support") || link == "unconfirmed?channel=support", "{need}");
        }
        let expected = (word.to_owned(), needs);
        of(&api) == expected
            && of(&told) == expected
            && of_page(bridge, "en") == (english.to_owned(), needs)
            && of_page(bridge, "es") == (spanish.to_owned(), needs)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_api_and_command_line_tell_the_same_of_a_channel() {
    let mut house = House::new().set("ADMIN__TOKEN", ADMIN);
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap(); // what is in doubt stays so
    let bridge = house.start().await;
    let works = ["works", "funciona"];
    alike(&house, &bridge, "works", works, 0).await;
    house.afilnet.fault("sendmessage:NO_CREDITS:1-1000000").unwrap();
    house.agent(&bridge, &contact(4), "without credit").await;
    alike(&house, &bridge, "paused", ["paused", "en pausa"], 1).await;

    assert!(house.run(&["channels", "pause", "support", "out", "--why", "migration"]).status.success());
    alike(&house, &bridge, "paused_by_hand", ["paused by hand", "en pausa a mano"], 0).await;
    let pauses = read(&bridge, "/channels")["channels"][0]["pauses"].clone();
    assert_eq!((&pauses[0]["kind"], &pauses[0]["why"]), (&json!("out"), &json!("migration")), "{pauses}");
    let told = String::from_utf8(house.run(&["overview"]).stdout).unwrap();
    assert!(told.starts_with("nothing needs you, as far as the store tells; 1 pause by hand lasts\n"), "{told}");
    assert_eq!(told.matches("`bridge channels resume support out` ends it").count(), 1, "{told}");

    house.afilnet.clear_faults();
    assert!(house.run(&["channels", "resume", "support", "out"]).status.success());
    house.settled().await;
    alike(&house, &bridge, "works", works, 0).await;
    trouble(&house, &bridge).await;
    alike(&house, &bridge, "works", works, 2).await;
    house.bonychat.set_poison(None);
}

/// An order of the API: its status, and what it answers.
fn order(bridge: &Bridge, path: &str, body: &Value) -> (u16, Value) {
    let (status, _, body) = call(bridge, "POST", path, Some(ADMIN), &body.to_string());
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

fn words_of(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_decided_by_the_api_as_the_plan_said() {
    let mut house = House::new().set("ADMIN__TOKEN", ADMIN);
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:INCORRECT_FILETYPE:1-1000").unwrap();
    for who in 0..3 {
        assert_eq!(house.agent(&bridge, &contact(who), "canario FALLIDO").await.status, 400);
    }
    house.afilnet.clear_faults();
    assert_eq!(house.agent(&bridge, &contact(2), "a newer one").await.status, 200);
    house.settled().await;
    let set = json!({"action": "retry", "state": "failed", "kind": "text", "text": "fallido"});
    let (status, plan) = order(&bridge, "/plans", &set);
    assert_eq!(
        (status, &plan["count"], &plan["moved_on"], &plan["refused"]),
        (200, &json!(2), &json!(1), &Value::Null),
        "{plan}"
    );
    let named = plan["moved_on_contacts"][0].as_str().unwrap();
    assert!(named.starts_with("+***") && plan["moved_on_contacts"].as_array().unwrap().len() == 1, "{plan}");
    assert!(!plan.to_string().contains("FALLIDO") && !plan.to_string().contains(&contact(0)[4..]), "{plan}");
    let dry =
        String::from_utf8(house.run(&["messages", "retry", "--state", "failed", "--kind", "text"]).stdout).unwrap();
    assert!(dry.contains(&format!("the first 1 of these conversations: {named}\n")), "{dry}");
    assert_eq!(house.messages("failed").len(), 3, "a plan changes nothing");
    let none = String::from_utf8(house.run(&["messages", "discard", "--state", "failed", "--kind", "location"]).stdout)
        .unwrap();
    assert!(none.ends_with("nothing to do\n"), "{none}");

    let run = format!("/plans/{}/run", plan["plan"].as_str().unwrap());
    for (path, body, status, words) in [
        ("/plans", json!({"action": "retry", "state": "unconfirmed"}), 400, "not decided by many"),
        ("/plans", json!({"action": "retry", "state": "failed", "kind": "video"}), 400, "kind takes text"),
        ("/plans", json!({"action": "retry", "state": "dead", "kind": "text"}), 400, "kind is of messages"),
        ("/plans", json!({"action": "send", "state": "failed"}), 400, "action takes"),
        ("/plans", json!({"action": "retry", "state": "failed", "colour": "red"}), 400, "nothing was changed"),
        ("/plans/7/run", set.clone(), 400, "this is no plan"),
        (&run, json!({"action": "discard", "state": "failed"}), 409, "the plan is to retry-failed"),
        (
            &run,
            json!({"action": "retry", "state": "failed", "channel": "support", "moved_on": true, "text": "nothing"}),
            409,
            "of which there are now 0",
        ),
        ("/channels/nobody/pause", json!({"what": "out", "why": "x"}), 404, "use one of support"),
        ("/channels/support/pause", json!({"what": "out"}), 400, "say why"),
        ("/channels/support/pause", json!({"what": "all", "why": "x"}), 400, "nothing was changed"),
        ("/channels/support/resume", json!({"what": "in"}), 409, "is not paused by hand"),
        ("/jobs/77/cancel", json!({}), 404, "no job"),
    ] {
        let (found, answer) = order(&bridge, path, &body);
        assert!(found == status && words_of(&answer).contains(words), "{path} {body}: {found} {answer}");
    }

    let paused = json!({"what": "out", "why": "migration"});
    let (status, done) = order(&bridge, "/channels/support/pause", &paused);
    assert!(status == 200 && done["done"].as_str().unwrap().contains("nothing more of it is sent"), "{status} {done}");
    let (status, again) = order(&bridge, "/channels/support/pause", &paused);
    assert!(
        status == 409 && words_of(&again).contains("paused already") && words_of(&again).contains("migration"),
        "{again}"
    );
    assert_eq!(read(&bridge, "/channels")["channels"][0]["pauses"][0]["why"], "migration");
    let (status, refused) = order(&bridge, &run, &set);
    assert!(status == 409 && words_of(&refused).contains("paused by hand"), "{status} {refused}");
    assert_eq!(order(&bridge, "/channels/support/resume", &json!({"what": "out"})).0, 200);

    let mut with_why = set.clone();
    with_why["why"] = json!("the files are there again");
    let (status, begun) = order(&bridge, &run, &with_why);
    assert_eq!((status, &begun["count"]), (200, &json!(2)), "{begun}");
    let job = begun["job"].as_i64().unwrap();
    until("the job is over", || !read(&bridge, &format!("/jobs/{job}"))["job"]["ended_ms"].is_null()).await;
    let job_now = read(&bridge, &format!("/jobs/{job}"));
    assert_eq!((&job_now["job"]["done"], &job_now["job"]["why"]), (&json!(2), &json!("the files are there again")));
    assert!(job_now["told"].as_str().unwrap().contains("ended at"), "{job_now}");
    assert_eq!(read(&bridge, "/jobs")["jobs"].as_array().unwrap(), &lines(&house, &["messages", "jobs", "--json"]));
    house.settled().await;
    assert_eq!((house.afilnet.texts(&contact(0)[1..]).len(), house.messages("failed").len()), (1, 1));
    for (verb, words) in [("cancel", "is over already"), ("resume", "is over already")] {
        let (status, answer) = order(&bridge, &format!("/jobs/{job}/{verb}"), &json!({}));
        assert!(status == 409 && words_of(&answer).contains(words), "{verb}: {status} {answer}");
    }
    let (status, stale) = order(&bridge, &run, &set);
    assert!(status == 409 && words_of(&stale).contains("Make a new plan"), "a plan is run once: {status} {stale}");

    let audit = read(&bridge, "/audit");
    let deeds: Vec<_> =
        audit["deeds"].as_array().unwrap().iter().map(|deed| (&deed["who"], &deed["means"], &deed["what"])).collect();
    let of = |what: &'static str| json!(what);
    for what in ["pause out", "resume out", "retry of many"] {
        assert!(deeds.contains(&(&json!("admin"), &json!("api"), &of(what))), "{what}: {audit}");
    }
    assert!(audit.to_string().contains("the files are there again"), "{audit}");
}
