//! `POST /message` on a connection that the test holds itself, byte by byte where it wants to.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

/// A whole exchange on a connection of its own, that may be dropped: the caller has received exactly what its own reads
/// returned. HTTP libraries read in tasks of their own: there, a response can have been read in full from the connection by
/// the time at which the call is given up, and the bridge must count it as received.
pub async fn exchange_alone(
    base: &str,
    token: &str,
    channel: &str,
    contact: &str,
    text: &str,
) -> io::Result<(u16, String)> {
    let mut stream = tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await?;
    let message = json!({"type": "text", "text": text});
    let body = json!({"channelId": channel, "contactId": contact, "message": message}).to_string();
    let head = format!("POST /message HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let response = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = response.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        if body.len() == length {
            return Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()));
        }
    }
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
