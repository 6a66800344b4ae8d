//! The HTTP listener: authentication, requests that are accepted, and those that are refused.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{CHANNEL, House, TOKEN, contact, until};

/// Sends bytes on a new connection and returns the whole response.
fn raw(base: &str, request: impl AsRef<[u8]>) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // a reset after the answer is the server's right
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: bridge\r\nconnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn good_body() -> Vec<u8> {
    json!({"channelId": CHANNEL, "contactId": contact(1), "message": {"type": "text", "text": "hello"}})
        .to_string()
        .into()
}

fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}")
}

/// Refused with `status`, whole and in the contract's shape.
fn refused(base: &str, status: u16, what: &str, bytes: impl AsRef<[u8]>) {
    let (found, head, body) = raw(base, bytes);
    assert_eq!(found, status, "{what}: {head}");
    assert!(body["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{what}: {head}\n{body}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{what}: {head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_and_goes_no_further() {
    let mut house = House::new().set("SERVER__BODY_LIMIT", "4 KiB");
    let bridge = house.start().await;
    let (base, token, good) = (bridge.url(), bearer(), good_body());
    for (what, header) in [
        ("none", "x-nothing: 1".to_owned()),
        ("empty", "authorization: ".into()),
        ("scheme alone", "authorization: Bearer".into()),
        ("scheme and space", "authorization: Bearer ".into()),
        ("no scheme", format!("authorization: {TOKEN}")),
        ("basic", format!("authorization: Basic {TOKEN}")),
        ("prefix", format!("authorization: Bearer {}", &TOKEN[..TOKEN.len() - 1])),
        ("suffix", format!("authorization: Bearer {TOKEN}x")),
        ("upper case", format!("authorization: Bearer {}", TOKEN.to_uppercase())),
        ("list", format!("authorization: Bearer {TOKEN}, Bearer other")),
        ("two headers", format!("authorization: Bearer {TOKEN}\r\nauthorization: Bearer other")),
        ("quoted", format!("authorization: Bearer \"{TOKEN}\"")),
        ("high bytes", "authorization: Bearer tökén".into()),
    ] {
        refused(&base, 401, what, request("POST", "/message", &[&header], &good));
    }
    refused(&base, 401, "token in the query", request("POST", &format!("/message?access_token={TOKEN}"), &[], &good));
    for (path, method) in [
        ("/nothing", "POST"),
        ("/message/x", "POST"),
        ("//nothing", "POST"),
        ("//message//x", "POST"),
        ("/message%2f", "POST"),
        ("/nothing", "GET"),
    ] {
        refused(&base, 404, path, request(method, path, &[&token], &good));
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        refused(&base, 405, method, request(method, "/message", &[&token], b""));
    }
    refused(&base, 405, "POST /healthz", request("POST", "/healthz", &[], b""));
    refused(&base, 413, "too long", request("POST", "/message", &[&token], &vec![b' '; 5000]));
    let announced = request("POST", "/message", &[&token, "content-length: 5000"], b"");
    refused(&base, 413, "announced too long, none of it sent", announced);
    let chunked = [
        request("POST", "/message", &[&token, "transfer-encoding: chunked"], b""),
        b"1388\r\n".to_vec(),
        vec![b' '; 5000],
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    refused(&base, 413, "too long in chunks", chunked);
    refused(&base, 415, "xml", request("POST", "/message", &[&token, "content-type: application/xml"], b"<a/>"));
    refused(
        &base,
        415,
        "form",
        request("POST", "/message", &[&token, "content-type: application/x-www-form-urlencoded"], b"a=b"),
    );
    for coding in ["gzip", "br", "deflate, identity"] {
        let header = format!("content-encoding: {coding}");
        refused(&base, 415, coding, request("POST", "/message", &[&token, &header], &good));
    }
    for (what, body) in [
        ("no body", &b""[..]),
        ("not JSON", b"{\"channelId\":"),
        ("not an object", b"[]"),
        ("null", b"null"),
        ("nothing in it", b"{}"),
        ("blank text", br#"{"contactId":"+34600000001","message":{"type":"text","text":" "}}"#),
        ("no contact", br#"{"message":{"type":"text","text":"a"}}"#),
        ("bad contact", br#"{"contactId":"abc","message":{"type":"text","text":"a"}}"#),
        ("unknown type", br#"{"contactId":"+34600000001","message":{"type":"dance"}}"#),
        ("invalid UTF-8", b"{\"contactId\":\"\xff\xfe\"}"),
        ("deep", "[".repeat(2000).as_bytes()),
    ] {
        refused(&base, 400, what, request("POST", "/message", &[&token, "content-type: application/json"], body));
    }
    assert!(house.afilnet.all_sent().is_empty());
    assert_eq!(house.afilnet.calls("sendmessage"), 0);
    assert!(house.run(&["messages", "list"]).stdout.is_empty(), "nothing of it reached the store");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_address_and_of_the_call_comes_in() {
    let mut house = House::new().set("SERVER__PATH_PREFIX", "/t/acme");
    let bridge = house.start().await;
    let (base, token, good) = (bridge.url(), bearer(), good_body());
    let mut expected = 0;
    for path in [
        "/message",
        "/message/",
        "/mensaje",
        "/mensaje/",
        "",
        "/",
        "/message/message",
        "/message/message/",
        "//message",
        "//message//",
        "///message?a=b",
        "//",
    ] {
        let (status, head, _) = raw(&base, request("POST", &format!("/t/acme{path}"), &[&token], &good));
        assert_eq!(status, 200, "{path}: {head}");
        expected += 1;
    }
    let (status, head, _) = raw(&base, request("POST", "//t//acme//message", &[&token], &good));
    assert_eq!(status, 200, "slashes everywhere: {head}");
    let (status, head, _) = raw(&base, request("POST", "http://bridge//t/acme//message", &[&token], &good));
    assert_eq!(status, 200, "in the absolute form: {head}");
    expected += 2;
    refused(&base, 401, "without a token", request("POST", "/t/acme//message", &[], &good));
    for (what, headers) in [
        ("no coding", vec![token.clone(), "content-encoding: identity".into()]),
        ("no coding, in capitals", vec![token.clone(), "content-encoding: Identity".into()]),
        ("an empty coding", vec![token.clone(), "content-encoding:".into()]),
        ("lower case scheme", vec![format!("authorization: bearer {TOKEN}")]),
        ("spaces", vec![format!("authorization:   BEARER   {TOKEN}  ")]),
        ("plain text", vec![token.clone(), "content-type: text/plain".into()]),
        ("json with charset", vec![token.clone(), "content-type: application/json; charset=utf-8".into()]),
        ("form, as curl says", vec![token.clone(), "content-type: application/x-www-form-urlencoded".into()]),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let (status, head, body) = raw(&base, request("POST", "/t/acme/message", &headers, &good));
        assert_eq!(status, 200, "{what}: {head}");
        assert!(body["mId"].is_string());
        expected += 1;
    }
    for (what, channel) in [("missing", Value::Null), ("a number", json!(398_213)), ("unknown", json!("elsewhere"))] {
        let body = json!({"channelId": channel, "contactId": contact(1), "message": {"type": "text", "text": "hello"}});
        let (status, head, _) = raw(&base, request("POST", "/t/acme/message", &[&token], body.to_string().as_bytes()));
        assert_eq!(status, 200, "{what}: {head}");
        expected += 1;
    }
    for (path, status) in [("/t/acme", 200), ("/t/acme/", 200), ("/healthz", 200), ("/readyz", 200)] {
        assert_eq!(raw(&base, request("GET", path, &[], b"")).0, status, "{path}");
    }
    refused(&base, 404, "outside the prefix", request("POST", "/message", &[&token], &good));
    assert_eq!(house.afilnet.all_sent().len(), expected);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_decides_the_channel() {
    let mut house = House::new()
        .set("CHANNELS__SALES__CHANNEL_ID", "channel2")
        .set("CHANNELS__SALES__API_TOKEN", "token-of-channel-2")
        .set("CHANNELS__SALES__PREVIOUS_API_TOKEN", "token-before")
        .set("CHANNELS__SALES__ID_TYPE", "custom")
        .set("CHANNELS__SALES__PLATFORM", "webchat")
        .set("CHANNELS__SALES__PLATFORM_ID", "7");
    house.afilnet.add_channel("webchat", "7", "Sales");
    let bridge = house.start().await;
    let body = |channel: &str, contact: &str| {
        json!({"channelId": channel, "contactId": contact, "message": {"type": "text", "text": "hello"}}).to_string()
    };
    for (token, channel, contact) in [
        (TOKEN, CHANNEL, "+34600000001"),
        ("token-of-channel-2", "channel2", "visitor=2D7"),
        ("token-before", "channel2", "visitor=2D7"),
    ] {
        let outcome = house.bonychat.post(&bridge.url(), token, body(channel, contact)).await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
    }
    let crossed = house.bonychat.post(&bridge.url(), TOKEN, body("channel2", "+34600000001")).await;
    assert_eq!(crossed.status, 400, "{}", crossed.body);
    assert_eq!(house.bonychat.post(&bridge.url(), "token-of-channel-3", body("channel2", "a")).await.status, 401);
    let sent: Vec<_> = house.afilnet.all_sent().into_iter().map(|call| (call.platform, call.destination)).collect();
    let expected = [("whatsapp", "34600000001"), ("webchat", "visitor-7"), ("webchat", "visitor-7")];
    assert_eq!(sent, expected.map(|(platform, to)| (platform.to_owned(), to.to_owned())));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained_by_one_line_of_the_log() {
    let mut house = House::new();
    let bridge = house.start().await;
    let (base, token) = (bridge.url(), bearer());
    let send = |body: Value| raw(&base, request("POST", "/message", &[&token], body.to_string().as_bytes())).0;
    assert_eq!(
        send(json!({"channelId": CHANNEL, "contactId": "sesame", "message": {"type": "text", "text": ""}})),
        400
    );
    for _ in 0..3 {
        let message = json!({"type": "text", "text": "hello"});
        assert_eq!(send(json!({"channelId": "strange", "contactId": contact(1), "message": message})), 200);
    }
    assert_eq!(raw(&base, request("POST", "/nothing", &[&token], b"")).0, 404);
    let has = |words: &str| bridge.log().iter().filter(|line| line.contains(words)).count();
    until("the last line is there", || has("refused a request") > 0).await;
    assert_eq!(has("refused a request"), 1);
    assert_eq!(has("\"rules\":\"contactId: must be a phone number"), 1);
    assert_eq!(has("message.text: must not be empty"), 1);
    assert_eq!(has("unknown channelId"), 1);
    assert_eq!(has("sesame"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_in_the_agents_language() {
    let mut house = House::new()
        .set("BONYCHAT__LANGUAGE", "es")
        .set("CHANNELS__OTHER__CHANNEL_ID", "channel2")
        .set("CHANNELS__OTHER__API_TOKEN", "token-of-channel-2")
        .set("CHANNELS__OTHER__ID_TYPE", "custom")
        .set("CHANNELS__OTHER__PLATFORM", "webchat")
        .set("CHANNELS__OTHER__PLATFORM_ID", "200");
    let bridge = house.start().await;
    let (base, other) = (bridge.url(), "authorization: Bearer token-of-channel-2".to_owned());
    let call = |channel: &str, contact: &str| {
        json!({"channelId": channel, "contactId": contact, "message": {"type": "text", "text": "hola"}}).to_string()
    };
    for (token, path, body, words) in [
        (&other, "/message", call(CHANNEL, "ana"), "El mensaje no se ha enviado. channelId: pertenece a"),
        (&bearer(), "/message", call(CHANNEL, "ana"), "El mensaje no se ha enviado. contactId: debe ser"),
        (&other, "/message", call("channel2", "=00"), "El mensaje no se ha enviado. contactId: no es un identificador"),
        (
            &other,
            "/message",
            call("channel2", "=20a"),
            "El mensaje no se ha enviado. contactId: no es un identificador",
        ),
        (&"x-nothing: 1".to_owned(), "/message", call(CHANNEL, "ana"), "El token de API falta o es incorrecto"),
        (&other, "/nothing", call(CHANNEL, "ana"), "No hay nada en esta dirección"),
    ] {
        let (_, head, answer) = raw(&base, request("POST", path, &[token], body.as_bytes()));
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(said.starts_with(words), "{head}\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_texts_and_contacts_stay_out_of_the_log() {
    let mut house = House::new().set("LOG__LEVEL", "trace");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:http_429").unwrap();
    assert_eq!(house.agent(&bridge, &contact(123_456), "canary-text-out").await.status, 200);
    house.customer(&contact(123_456), "canary-text-in");
    assert!(house.bonychat.until(crate::support::SOON, |world| world.event_count() == 1).await);
    assert!(house.afilnet.until(crate::support::SOON, |world| world.sent_count() == 1).await);
    let bad = format!("{{\"contactId\":\"{}\",\"message\":{{\"type\":\"text\",\"text\":\"\"}}}}", contact(123_456));
    house.bonychat.post(&bridge.url(), TOKEN, bad).await;
    let log = bridge.kill().join("\n");
    assert!(log.len() > 1000);
    for canary in ["canary-text", TOKEN, "34600123456", "password\""] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
    assert!(log.contains("+********456"), "contacts are masked, not left out");
    house.check();
}
