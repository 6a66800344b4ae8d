//! A response before the whole call was read reaches a caller that is still writing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{House, TOKEN};

/// The bytes of a call with a body of `length`, and the head alone.
fn call(method: &str, path: &str, headers: &[&str], length: usize) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: bridge\r\ncontent-length: {length}\r\n");
    let mut bytes = headers.iter().fold(head, |head, header| head + header + "\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n");
    bytes.resize(bytes.len() + length, b' ');
    bytes
}

/// Writes everything before it reads anything, as nginx and most clients do. Returns the status, whether the response
/// announces the end of the connection, and the body. Fails if the connection breaks.
fn status(base: &str, bytes: &[u8]) -> std::io::Result<(u16, bool, String)> {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    for part in bytes.chunks(16 * 1024) {
        stream.write_all(part)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let closes = head.to_ascii_lowercase().contains("connection: close");
    Ok((status.ok_or(ErrorKind::UnexpectedEof)?, closes, body.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_reaches_a_caller_that_is_still_writing() {
    let mut house = House::new();
    let bridge = house.start().await;
    let token = format!("authorization: Bearer {TOKEN}");
    let wrong = "authorization: Bearer wrong";
    let large = 400 * 1024;
    let chunked = {
        let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
        let head = format!("POST /message HTTP/1.1\r\nhost: b\r\n{token}\r\ntransfer-encoding: chunked\r\n\r\n");
        [head.into_bytes(), chunk.repeat(8), b"0\r\n\r\n".to_vec()].concat()
    };
    let header = format!("x: {}", "a".repeat(400 * 1024));
    for (expected, what, bytes) in [
        (413, "too large", call("POST", "/message", &[&token], large)),
        (413, "too large, in chunks", chunked),
        (401, "no token", call("POST", "/message", &[], large)),
        (404, "another path", call("POST", "/nothing", &[&token], large)),
        (405, "another method", call("PUT", "/message", &[&token], large)),
        (405, "a method of reading", call("GET", "/message", &[&token], large)),
        (415, "compressed", call("POST", "/message", &[&token, "content-encoding: gzip"], large)),
        (431, "a header too large", call("POST", "/message", &[&token, &header], large)),
        (400, "no HTTP", [b"BAD\r\n\r\n".to_vec(), vec![b'a'; large]].concat()),
        // From here on wrong tokens are over their limit.
        (401, "a wrong token", call("POST", "/message", &[wrong], large)),
    ] {
        for n in 0..if expected == 401 { 10 } else { 20 } {
            let (status, closes, body) =
                status(&bridge.url(), &bytes).unwrap_or_else(|error| panic!("{what}, {n}: {error}"));
            assert_eq!(status, expected, "{what}, {n}: {body}");
            assert!(closes, "{what}, {n}: the next call on this connection would be lost");
            assert!(body.starts_with("{\"error\":{\"message\":\""), "{what}, {n}: {body}");
        }
    }
    let (status, _, body) = status(&bridge.url(), &call("POST", "/message", &[wrong], large)).unwrap();
    assert_eq!(status, 429, "{body}");
    assert!(house.run(&["messages", "list"]).stdout.is_empty(), "nothing of it reached the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_never_stops_writing_is_cut_off() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut stream = TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let started = Instant::now();
    let head = format!("POST /message HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {TOKEN}\r\n");
    stream.write_all(format!("{head}content-length: 1000000000\r\n\r\n").as_bytes()).unwrap();
    let mut written = 0;
    let error = loop {
        match stream.write(&[b' '; 4096]) {
            Ok(bytes) => written += bytes,
            Err(error) => break error,
        }
        assert!(written < 64 * 1024 * 1024 && started.elapsed() < Duration::from_secs(30), "{written} bytes");
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}
