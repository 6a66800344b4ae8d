//! Requests that are not HTTP, or too large: responded to in the form of every error, and logged a few times.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{CHANNEL, House, SOON, TOKEN, contact, until};

/// Status and message of the answer to `bytes`.
fn refused(base: &str, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let _ = stream.write_all(bytes); // it may be refused before its end
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    let message = body["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), message.to_owned())
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_answered_in_words_and_logged_a_few_times() {
    let mut house = House::new();
    let bridge = house.start().await;
    let folded = b"GET / HTTP/1.1\r\nhost: b\r\nx: a\r\n b\r\n\r\n";
    let cases: [(u16, &str, Vec<u8>); 12] = [
        (400, "no HTTP", b"BAD\r\n\r\n".to_vec()),
        (400, "another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        (400, "another version", b"GET / HTTP/3.0\r\nhost: b\r\n\r\n".to_vec()),
        (400, "a NUL in a header", get("/", "x: a\0b\r\n")),
        (400, "a folded header", folded.to_vec()),
        (400, "a space before the colon", get("/", "x : a\r\n")),
        (400, "two lengths", get("/", "content-length: 1\r\ncontent-length: 2\r\n")),
        (400, "a length that is no number", get("/", "content-length: one\r\n")),
        (400, "chunked, and then not", get("/", "transfer-encoding: chunked, identity\r\n")),
        (431, "many headers", get("/", &"x: a\r\n".repeat(200))),
        (431, "a large header", get("/", &format!("x: {}\r\n", "a".repeat(17_000)))),
        (431, "a request line beyond all measure", get(&format!("/{}", "a".repeat(70_000)), "")),
    ];
    for (expected, what, bytes) in &cases {
        for at in [bridge.url(), bridge.admin_url()] {
            let (status, message) = refused(&at, bytes);
            assert_eq!(status, *expected, "{what}: {message}");
            assert!(message.contains("nothing was sent"), "{what}: {message}");
        }
    }
    // Behind a request of the same connection that was answered.
    let second = [b"GET /healthz HTTP/1.1\r\nhost: b\r\n\r\n".to_vec(), b"BAD\r\n\r\n".to_vec()].concat();
    let mut stream = TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&second).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("HTTP/1.1 200 OK") && answers.ends_with("\"}}"), "{answers}");
    for _ in 0..100 {
        refused(&bridge.url(), b"BAD\r\n\r\n");
    }
    let lines = || bridge.log().iter().filter(|line| line.contains("is not a request of HTTP/1.1")).count();
    until("they are in the log", || lines() >= 7).await;
    assert!(lines() <= 8, "{} lines of 125", lines());
    assert_eq!(house.agent(&bridge, &contact(1), "served after all that").await.status, 200);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_an_address_and_a_body_have_their_measure() {
    let mut house = House::new();
    let bridge = house.start().await;
    let base = bridge.url();
    let found = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(found(&get("/healthz", &format!("x: {}\r\n", "a".repeat(15_000)))), 200);
    let query = |length: usize| format!("/healthz?{}", "a".repeat(length - "/healthz?".len()));
    assert_eq!(found(&get(&query(4096), "")), 200);
    let (status, message) = refused(&base, &get(&query(4097), ""));
    assert_eq!(status, 414);
    assert!(message.contains("too long"), "{message}");
    let call = |depth: usize| {
        // The body and its message are two.
        let nested: Value = (2..depth).fold(json!(1), |inner, _| json!([inner]));
        let message = json!({"type": "text", "text": "hello", "x": nested});
        let body = json!({"channelId": CHANNEL, "contactId": contact(1), "message": message}).to_string();
        let length = body.len();
        let head =
            format!("POST /message HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n");
        format!("{head}content-length: {length}\r\n\r\n{body}").into_bytes()
    };
    assert_eq!(found(&call(32)), 200);
    for depth in [33, 100, 1000] {
        let (status, message) = refused(&base, &call(depth));
        assert_eq!(status, 400);
        assert!(message.contains("must not nest objects and lists more than 32 deep"), "{message}");
    }
    house.check();
}
