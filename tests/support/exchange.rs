//! `POST /message` on a connection that the test holds itself, byte by byte where it wants to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{CHANNEL, SOON, TOKEN, contact};

/// One connection to the bridge.
pub fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Writes a call of plain words and waits for nothing.
pub fn call(stream: &mut TcpStream, who: usize, text: &str, headers: &[&str]) {
    let message = json!({"type": "text", "text": text});
    let body = json!({"channelId": CHANNEL, "contactId": contact(who), "message": message}).to_string();
    let mut head = format!("POST /message HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer {TOKEN}\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
}

/// Reads one whole answer: its length, its status and its body.
pub fn answer(stream: &mut TcpStream) -> (usize, u16, Value) {
    let (mut bytes, mut one) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut one).unwrap();
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes.clone()).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (bytes.len() + length, status, serde_json::from_slice(&body).unwrap())
}

/// A whole exchange on a connection of its own.
pub fn exchange(base: &str, who: usize, text: &str, headers: &[&str]) -> (u16, Value) {
    let mut stream = connect(base);
    call(&mut stream, who, text, headers);
    let (_, status, body) = answer(&mut stream);
    (status, body)
}

/// As [`exchange`]: the mId of a call that is answered 200.
pub fn m_id(base: &str, who: usize, text: &str, headers: &[&str]) -> String {
    let (status, body) = exchange(base, who, text, headers);
    assert_eq!(status, 200, "{body}");
    body["mId"].as_str().unwrap().to_owned()
}
