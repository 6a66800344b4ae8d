//! Guessing tokens: limited per client address, without a way to lock others out.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::{CHANNEL, House, SOON, TOKEN, contact, until};

/// The status of a call from `address` with `token`, and whatever other headers.
fn call(base: &str, address: Ipv4Addr, token: &str, headers: &str) -> u16 {
    let to: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::from((address, 0)))).unwrap();
    socket.connect(&SockAddr::from(to)).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    let message = json!({"type": "text", "text": "hello"});
    let body = json!({"channelId": CHANNEL, "contactId": contact(1), "message": message}).to_string();
    let head = format!("POST /message HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");
    let length = body.len();
    stream.write_all(format!("{head}{headers}content-length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    if answer.starts_with("HTTP/1.1 429") {
        assert!(answer.to_ascii_lowercase().contains("retry-after: 60"), "{answer}");
        assert!(answer.contains("{\"error\":{\"message\":\""), "{answer}");
    }
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_limited_by_address_and_a_valid_one_is_always_taken() {
    let mut house = House::new().set("ADMIN__TOKEN", "token-of-the-operators");
    let bridge = house.start().await;
    let base = bridge.url();
    for n in 0..100 {
        // A forgeable address changes nothing.
        let header = format!("x-forwarded-for: 198.51.100.{n}\r\n");
        assert_eq!(call(&base, ONE, "wrong", &header), if n < 20 { 401 } else { 429 }, "{n}");
        if n % 10 == 0 {
            assert_eq!(call(&base, ONE, TOKEN, ""), 200, "{n}");
        }
    }
    assert_eq!(call(&base, OTHER, "wrong", ""), 401, "another address has a limit of its own");
    let lines = |words: &str| bridge.log().iter().filter(|line| line.contains(words)).count();
    let times = |status: u16| lines(&format!("\"http_status\":{status}"));
    until("they are in the log", || times(401) >= 5 && times(429) >= 7).await;
    assert!(times(401) <= 5 && times(429) <= 7, "{} and {} lines of 101", times(401), times(429));
    assert_eq!(lines("\"client\":\"127.0.0.1\""), times(401) + times(429));
    // The operators' listener keeps a count of its own.
    for n in 0..30 {
        assert_eq!(call(&bridge.admin_url(), ONE, "wrong", ""), if n < 20 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(call(&bridge.admin_url(), ONE, "token-of-the-operators", ""), 404);
    let text = metrics(&bridge.admin_url());
    for counted in ["why=\"unauthorized\"} 41", "why=\"too_many_wrong_tokens\"} 90"] {
        assert!(text.contains(&format!("bridge_refused_total{{{counted}\n")), "{counted}: {text}");
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_the_address_that_it_tells_counts() {
    let mut house = House::new().set("SERVER__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8");
    let bridge = house.start().await;
    let base = bridge.url();
    let through = |forwarded: &str| call(&base, ONE, "wrong", &format!("x-forwarded-for: {forwarded}\r\n"));
    for n in 0..25 {
        let expected = if n < 20 { 401 } else { 429 };
        // Addresses left of the last one that is not a proxy's may be forged.
        assert_eq!(through(&format!("192.0.2.{n}, 198.51.100.1, 10.1.2.3")), expected, "{n}");
    }
    assert_eq!(through("198.51.100.2"), 401, "another caller behind the same proxy");
    assert_eq!(call(&base, ONE, TOKEN, "x-forwarded-for: 198.51.100.1\r\n"), 200);
    assert_eq!(call(&base, OTHER, "wrong", "x-forwarded-for: 198.51.100.1\r\n"), 401, "OTHER is no proxy");
    house.check();
}

/// Returns the metrics of the admin listener.
fn metrics(base: &str) -> String {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let token = "authorization: Bearer token-of-the-operators";
    stream
        .write_all(format!("GET /metrics HTTP/1.1\r\nhost: b\r\n{token}\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
