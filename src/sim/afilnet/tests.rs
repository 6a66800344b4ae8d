//! The API over HTTP: methods, order of checks, transports, every switch.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const USER: [(&str, &str); 2] = [("user", "user"), ("password", "password")];
const CHANNEL: [(&str, &str); 2] = [("platform", "whatsapp"), ("platformid", "100")];

fn start() -> Afilnet {
    Afilnet::start(LOOPBACK, Options { drip: Duration::from_millis(1), ..Options::default() }).unwrap()
}

/// No connection is kept: each test has a runtime of its own, the client is shared to build it once.
fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let build = || {
        let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        builder.pool_max_idle_per_host(0).timeout(Duration::from_secs(5)).build().unwrap()
    };
    CLIENT.get_or_init(build).clone()
}

fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Status, content type and body of a POST of these parameters.
async fn raw(
    http: &reqwest::Client,
    afilnet: &Afilnet,
    pairs: &[(&str, &str)],
) -> reqwest::Result<(u16, String, String)> {
    let request = http.post(afilnet.url()).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(encode(pairs)).send().await?;
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    Ok((status, kind, answer.text().await?))
}

/// The envelope of one call of `class=chat` with the right credentials and channel.
async fn call(afilnet: &Afilnet, method: &str, pairs: &[(&str, &str)]) -> Value {
    let all = [&USER[..], &[("class", "chat"), ("method", method)], &CHANNEL[..], pairs].concat();
    serde_json::from_str(&raw(&client(), afilnet, &all).await.unwrap().2).unwrap()
}

async fn rows(afilnet: &Afilnet, method: &str, destination: &str) -> Vec<Value> {
    let envelope = call(afilnet, method, &[("destination", destination)]).await;
    envelope["result"]["list"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_conversation_is_sent_received_and_read() {
    let afilnet = start();
    afilnet.receive("100", "346", "Hola, ¿qué tal?").unwrap();
    afilnet.receive("100", "347", "another").unwrap();
    let sent = call(&afilnet, "sendmessage", &[("destination", "346"), ("message", "Muy bien\n😀")]).await;
    assert_eq!(sent, json!({"status": "SUCCESS", "result": []}));
    let file = [("destination", "346"), ("type", "image"), ("fileurl", "https://x.eu/a.jpg"), ("message", "Foto")];
    assert_eq!(call(&afilnet, "sendfile", &file).await["status"], "SUCCESS");
    afilnet.operator_says("100", "346", "From the panel").unwrap();

    let messages = rows(&afilnet, "getmessages", "346").await;
    let seen: Vec<_> = messages.iter().map(|r| (r["sent"].as_str().unwrap(), r["message"].as_str().unwrap())).collect();
    let expected =
        [("0", "Hola, ¿qué tal?"), ("1", "Muy bien\n😀"), ("1", "https://x.eu/a.jpg"), ("1", "From the panel")];
    assert_eq!(seen, expected);
    let unread = rows(&afilnet, "getunreadmessages", "346").await;
    assert_eq!(unread.len(), 1);
    assert_eq!(unread[0]["issent"], "0");
    assert_eq!(unread[0]["messageid"], messages[0]["messageid"]);
    assert!(rows(&afilnet, "getunreadmessages", "346").await.is_empty(), "reading unread marks as read");
    let chats = rows(&afilnet, "getchats", "").await;
    let last: Vec<_> = chats.iter().map(|r| r["message"].as_str().unwrap()).collect();
    assert_eq!(last, ["another", "From the panel"]);

    assert_eq!(afilnet.texts("346"), ["Muy bien\n😀", "Foto"]);
    let sent = &afilnet.sent("346")[1];
    assert_eq!((sent.method, sent.kind.as_deref()), ("sendfile", Some("image")));
    assert_eq!(afilnet.calls("sendmessage"), 1);
    assert_eq!((afilnet.all_sent().len(), afilnet.sent_count(), afilnet.secrets_in_url()), (2, 2, 0));
    assert!(afilnet.busiest_second() >= 2);
    assert!(!afilnet.dump().to_string().contains("\"password\""));
    afilnet.reset();
    assert_eq!((afilnet.sent_count(), rows(&afilnet, "getchats", "").await.len()), (0, 0));
}

#[tokio::test]
async fn equal_sends_are_two_rows() {
    let afilnet = start();
    for _ in 0..2 {
        call(&afilnet, "sendmessage", &[("destination", "346"), ("message", "twice")]).await;
    }
    assert_eq!(afilnet.sent("346").len(), 2);
    assert_eq!(rows(&afilnet, "getmessages", "346").await.len(), 2);
    assert_eq!(afilnet.counters().duplicate_sends, 1);
}

#[tokio::test]
async fn errors_come_in_the_documented_order() {
    let afilnet = start();
    afilnet.receive("100", "346", "Hola").unwrap();
    // Each step corrects what the step before was refused for.
    let steps = [
        ("MISSING_USER", vec![("class", "nope")]),
        ("MISSING_PASSWORD", vec![("user", "other")]),
        ("MISSING_CLASS", vec![("password", "wrong"), ("class", "")]),
        ("MISSING_METHOD", vec![("class", "nope")]),
        ("INCORRECT_USER_PASSWORD", vec![("method", "nope")]),
        ("INCORRECT_USER_PASSWORD", vec![("user", "user")]),
        ("INCORRECT_CLASS", vec![("password", "password")]),
        ("INCORRECT_METHOD", vec![("class", "chat")]),
        ("MISSING_COMPULSORY_PARAM", vec![("method", "sendfile"), ("platform", "telegram")]),
        ("MISSING_COMPULSORY_PARAM", vec![("platformid", "100"), ("destination", "999"), ("type", "vidéo")]),
        ("CHANNEL_NOT_FOUND", vec![("fileurl", "ftp://x.eu/a"), ("thumburl", "x")]),
        ("CHAT_NOT_FOUND", vec![("platform", "whatsapp")]),
        ("INCORRECT_FILETYPE", vec![("destination", "346")]),
        ("INCORRECT_FILEURL", vec![("type", "video")]),
        ("INCORRECT_THUMBURL", vec![("fileurl", "https://x.eu/a")]),
    ];
    let mut params = BTreeMap::new();
    for (code, repair) in steps {
        params.extend(repair);
        let pairs: Vec<_> = params.iter().map(|(k, v)| (*k, *v)).collect();
        let (status, _, body) = raw(&client(), &afilnet, &pairs).await.unwrap();
        assert_eq!((status, body), (200, format!("{{\"status\":\"ERROR\",\"error\":\"{code}\"}}")));
    }
    assert_eq!(afilnet.sent_count(), 0);
    params.remove("thumburl");
    let pairs: Vec<_> = params.iter().map(|(k, v)| (*k, *v)).collect();
    assert_eq!(raw(&client(), &afilnet, &pairs).await.unwrap().2, r#"{"status":"SUCCESS","result":[]}"#);
}

#[tokio::test]
async fn each_method_has_its_compulsory_parameters() {
    let afilnet = start();
    let cases: [(&str, &[&str]); 5] = [
        ("sendmessage", &["platform", "platformid", "destination", "message"]),
        ("sendfile", &["platform", "platformid", "destination", "type", "fileurl"]),
        ("getchats", &["platform", "platformid"]),
        ("getmessages", &["platform", "platformid", "destination"]),
        ("getunreadmessages", &["platform", "platformid", "destination"]),
    ];
    let good = BTreeMap::from([
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "346"),
        ("message", "text"),
        ("type", "image"),
        ("fileurl", "https://x.eu/a"),
    ]);
    for (method, names) in cases {
        for left_out in names {
            let given = names.iter().filter(|name| *name != left_out).map(|name| (*name, good[name]));
            let mut pairs = vec![USER[0], USER[1], ("class", "chat"), ("method", method)];
            pairs.extend(given);
            let body = raw(&client(), &afilnet, &pairs).await.unwrap().2;
            assert!(body.contains("MISSING_COMPULSORY_PARAM"), "{method} without {left_out}: {body}");
        }
    }
}

#[tokio::test]
async fn every_transport_is_read() {
    let afilnet = start();
    let http = client();
    let common = "class=chat&method=getchatchannels&extra=1";
    let listed = json!({"status": "SUCCESS", "result": {"list": [
        {"platformid": "100", "platform": "whatsapp", "name": "Ventas"}]}});
    let get = format!("{}?{common}&user=user&password=password", afilnet.url());
    let basic = afilnet.basic_url();
    let header = "Basic dXNlcjpwYXNzd29yZA==";
    let parts = [("class", "chat"), ("method", "getchatchannels"), USER[0], USER[1]]
        .map(|(k, v)| format!("--B\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n"));
    let form = "application/x-www-form-urlencoded";
    let requests = [
        http.get(get),
        http.get(format!("{basic}?{common}")).header("authorization", header),
        http.post(basic).header("authorization", header).header("content-type", form).body(common),
        http.post(afilnet.url())
            .header("content-type", "multipart/form-data; boundary=B")
            .body(parts.concat() + "--B--\r\n"),
    ];
    for request in requests {
        let body = request.send().await.unwrap().bytes().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), listed);
    }
    assert_eq!(afilnet.secrets_in_url(), 1);
    let grant = "grant_type=client_credentials";
    let token = http.post(afilnet.token_url()).header("content-type", form).body(grant);
    assert_eq!(token.try_clone().unwrap().send().await.unwrap().status(), 401);
    let token = token.basic_auth("client", Some("client-secret")).send().await.unwrap().bytes().await.unwrap();
    let token = serde_json::from_slice::<Value>(&token).unwrap()["access_token"].as_str().unwrap().to_owned();
    let json = http.post(afilnet.json_url()).bearer_auth(token).header("content-type", "application/json");
    let json = json.body(r#"{"class":"chat","method":"getchatchannels"}"#).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), listed);
    let call = "<call><class>chat</class><method>getchatchannels</method><user>user</user><password>password</password></call>";
    let soap = http.post(afilnet.soap_url()).header("content-type", "text/xml").header("soapaction", "\"\"");
    let soap = soap.body(format!("<E><B>{call}</B></E>")).send().await.unwrap().text().await.unwrap();
    assert!(soap.contains("<return>{&quot;status&quot;:&quot;SUCCESS&quot;"), "{soap}");
    let balance = [&USER[..], &[("class", "user"), ("method", "getbalance")]].concat();
    assert_eq!(raw(&client(), &afilnet, &balance).await.unwrap().2, r#"{"status":"SUCCESS","result":"100.00"}"#);
}

#[tokio::test]
async fn what_is_no_call_has_its_http_status() {
    let afilnet = start();
    let http = client();
    let url = afilnet.url();
    let long = format!("{url}?class=chat&user=user&message={}", "x".repeat(4000));
    let (json, soap) = (afilnet.json_url(), afilnet.soap_url());
    let cases = [
        (414, http.get(long)),
        (415, http.post(&json)),
        (401, http.post(json).header("content-type", "application/json")),
        (415, http.post(soap)),
        (405, http.put(&url)),
        (404, http.get(url.replace("/api/http/", "/"))),
    ];
    for (status, request) in cases {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    }
    assert!(Afilnet::start("0.0.0.0:0".parse().unwrap(), Options::default()).is_err());
}

/// Noon of a summer's day in Madrid, in milliseconds ahead of now.
fn to_noon_ms() -> i64 {
    let noon: jiff::Timestamp = "2024-07-01T10:00:00Z".parse().unwrap();
    noon.as_millisecond() - machine_ms()
}

/// Everything that a client can see of one scene under one switch, without minutes and seconds.
async fn scene(http: &reqwest::Client, switch: &str, value: &str) -> Vec<String> {
    let afilnet = start();
    let offset_ms = to_noon_ms();
    afilnet.set_clock_offset_ms(offset_ms);
    afilnet.set_switch(switch, value).unwrap();
    for n in 0..105 {
        afilnet.receive("100", "346", &format!("row {n}")).unwrap();
    }
    for n in 0..50 {
        afilnet.receive("100", &format!("35{n}"), "one of many").unwrap();
    }
    afilnet.receive("100", "347", "<b>\"ñ\" & co</b>").unwrap();
    afilnet.receive_file("100", "348", "https://x.eu/a.jpg", "caption").unwrap();
    let chat = |destination| [&CHANNEL[..], &[("destination", destination)]].concat();
    let text = |destination| [chat(destination), vec![("message", "hi")]].concat();
    let rich = [chat("999"), vec![("message", "\u{bf}Hola \u{1f44b}?\nen https://x.eu/1 hoy")]].concat();
    let file = [chat("346"), vec![("type", "image"), ("fileurl", "https://x.eu/b.jpg")]].concat();
    let calls = [
        ("password", "sendmessage", text("346")),
        ("password", "sendmessage", rich),
        ("password", "sendfile", file),
        ("password", "sendmessage", text("5491155551234")),
        ("password", "getchats", CHANNEL.to_vec()),
        ("password", "getmessages", chat("346")),
        ("password", "getunreadmessages", chat("346")),
        ("password", "getunreadmessages", chat("346")),
        ("password", "getmessages", chat("347")),
        ("password", "getunreadmessages", chat("347")),
        ("password", "getmessages", chat("348")),
        ("password", "getmessages", chat("541155551234")),
        ("password", "getmessages", chat("0")),
        ("wrong", "getmessages", chat("0")),
        ("password", "getmessages", chat("999")),
    ];
    let mut seen = Vec::new();
    for (turn, (password, method, params)) in (1..).zip(calls) {
        let own = [("user", "user"), ("password", password), ("class", "chat"), ("method", method)];
        let answer = raw(http, &afilnet, &[&own[..], &params].concat()).await;
        let answer = answer.unwrap_or_else(|_| (0, String::new(), "no answer".into()));
        seen.push(without_minutes(&format!("{answer:?}")));
        afilnet.set_clock_offset_ms(offset_ms + turn * 500);
    }
    seen
}

/// `HH:MM:SS` becomes `HH`.
fn without_minutes(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_time =
        |w: &[char]| w.iter().enumerate().all(|(n, c)| if n % 3 == 0 { *c == ':' } else { c.is_ascii_digit() });
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        if at + 6 <= chars.len() && is_time(&chars[at..at + 6]) {
            at += 6;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

#[tokio::test]
async fn every_value_of_every_switch_shows() {
    let http = client();
    let default = scene(&http, "order", "asc").await;
    let mut scenes: BTreeMap<&str, Vec<(&str, Vec<String>)>> = BTreeMap::new();
    for (switch, value) in Switches::all() {
        let scene = scene(&http, switch, value).await;
        let values = scenes.entry(switch).or_default();
        if values.is_empty() {
            let differs = scene.iter().zip(&default).find(|(here, there)| here != there);
            assert_eq!(differs, None, "{switch}: {value} is the default");
        }
        for (other, scene_of_other) in &*values {
            assert!(scene != *scene_of_other, "{switch}: {value} looks like {other}");
        }
        values.push((value, scene));
    }
}

#[tokio::test]
async fn times_and_ids_follow_their_switches() {
    let afilnet = start();
    afilnet.set_clock_offset_ms(to_noon_ms() + 700);
    afilnet.receive("100", "346", "Hola").unwrap();
    let cases = [
        ("time_zone=UTC", json!("2024-07-01 10:00:0")),
        ("time_zone=Europe/Madrid", json!("2024-07-01 12:00:0")),
        ("time_zone=account_offset", json!("2024-07-01 07:00:0")),
        ("datetime_format=rfc3339", json!("2024-07-01T12:00:0")),
    ];
    for (pair, start) in cases {
        afilnet.set_switches(pair.parse().unwrap());
        let shown = rows(&afilnet, "getmessages", "346").await[0]["datetime"].as_str().unwrap().to_owned();
        assert!(shown.starts_with(start.as_str().unwrap()), "{pair}: {shown}");
    }
    afilnet.set_switches("datetime_format=epoch".parse().unwrap());
    let epoch = rows(&afilnet, "getmessages", "346").await[0]["datetime"].as_i64().unwrap();
    assert!((1_719_828_000..1_719_828_060).contains(&epoch), "{epoch}");
    afilnet.set_switches("id_stable_across_methods=no".parse().unwrap());
    let mut ids = Vec::new();
    for method in ["getchats", "getmessages", "getunreadmessages"] {
        ids.push(rows(&afilnet, method, "346").await[0]["messageid"].clone());
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    afilnet.set_switches("order=desc".parse().unwrap());
    afilnet.receive("100", "346", "second").unwrap();
    assert_eq!(rows(&afilnet, "getmessages", "346").await[0]["message"], "second");
}

#[tokio::test]
async fn row_statuses_change_as_they_are_told() {
    let afilnet = start();
    afilnet.set_switch("row_status", "words").unwrap();
    afilnet.receive("100", "346", "Hola").unwrap();
    call(&afilnet, "sendmessage", &[("destination", "346"), ("message", "hi")]).await;
    let mut seen = Vec::new();
    for status in [RowStatus::Sent, RowStatus::Delivered, RowStatus::Read, RowStatus::Failed] {
        afilnet.set_status("100", "346", status);
        seen.push(rows(&afilnet, "getmessages", "346").await[1]["status"].clone());
    }
    assert_eq!(seen, ["sent", "delivered", "read", "failed"]);
    assert_eq!(rows(&afilnet, "getmessages", "346").await[0]["status"], "unread");
    afilnet.mark_read("100", "346");
    assert_eq!(rows(&afilnet, "getmessages", "346").await[0]["status"], "read");
    assert!(rows(&afilnet, "getunreadmessages", "346").await.is_empty());
    let options = Options { delivered_after: Some(Duration::ZERO), ..Options::default() };
    let prompt = Afilnet::start(LOOPBACK, options).unwrap();
    call(&prompt, "sendmessage", &[("destination", "346"), ("message", "hi")]).await;
    assert_eq!(rows(&prompt, "getmessages", "346").await[0]["status"], "2");
}
