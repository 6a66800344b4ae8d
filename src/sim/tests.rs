//! What the sockets do: keep-alive, broken requests, every fault as a client sees it, the port that closes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::afilnet::{Afilnet, Options};
use super::{Fault, Latency};

const SEND: &str = "class=chat&method=sendmessage&user=user&password=password&platform=whatsapp&platformid=100\
                    &destination=346&message=hi";
const SUCCESS: &str = r#"{"status":"SUCCESS","result":[]}"#;

fn start() -> Afilnet {
    let down_for = Duration::from_millis(500);
    let options = Options { drip: Duration::from_millis(1), down_for, ..Options::default() };
    Afilnet::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).unwrap()
}

fn connect(afilnet: &Afilnet) -> std::io::Result<TcpStream> {
    let host = afilnet.url().trim_start_matches("http://").trim_end_matches("/api/http/").to_owned();
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_millis(700)))?;
    Ok(stream)
}

fn post(body: &str) -> String {
    let form = "content-type: application/x-www-form-urlencoded";
    format!("POST /api/http/ HTTP/1.1\r\nhost: x\r\n{form}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Head and body of the next answer on this connection.
fn answer(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("content-length: ").nth(1).map_or("0", |rest| rest.split("\r\n").next().unwrap());
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body)?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

/// Returns the result of one call on a new connection: a word or the status.
fn outcome(afilnet: &Afilnet, body: &str) -> String {
    let mut stream = match connect(afilnet) {
        Ok(stream) => stream,
        Err(e) => return format!("{:?}", e.kind()),
    };
    if let Err(e) = stream.write_all(post(body).as_bytes()) {
        return format!("{:?}", e.kind());
    }
    match answer(&mut stream) {
        Ok((head, body)) if body == SUCCESS => head[9..12].to_owned() + " in full",
        Ok((head, _)) => head[9..12].to_owned(),
        Err(e) if e.kind() == ErrorKind::WouldBlock => "TimedOut".into(),
        Err(e) => format!("{:?}", e.kind()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_carries_many_calls_in_every_form() {
    let afilnet = start();
    let mut stream = connect(&afilnet).unwrap();
    for _ in 0..3 {
        stream.write_all(post(SEND).as_bytes()).unwrap();
        assert_eq!(answer(&mut stream).unwrap().1, SUCCESS);
    }
    // Two at once, then one in pieces, then one in chunks.
    stream.write_all((post(SEND) + &post(SEND)).as_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(answer(&mut stream).unwrap().1, SUCCESS);
    }
    for piece in post(SEND).as_bytes().chunks(40) {
        stream.write_all(piece).unwrap();
        stream.flush().unwrap();
    }
    assert_eq!(answer(&mut stream).unwrap().1, SUCCESS);
    let (left, right) = SEND.split_at(50);
    let head = post("").replace("content-length: 0", "Transfer-Encoding: chunked\r\nExpect: 100-continue");
    let chunks =
        format!("{:x}\r\n{left}\r\n{:X};note=1\r\n{right}\r\n0\r\nTrailer: 1\r\n\r\n", left.len(), right.len());
    stream.write_all((head + &chunks).as_bytes()).unwrap();
    assert!(answer(&mut stream).unwrap().0.starts_with("HTTP/1.1 100"));
    assert_eq!(answer(&mut stream).unwrap().1, SUCCESS);
    assert_eq!(afilnet.sent_count(), 7);
    let last = post(SEND).replacen("host", "connection: close\r\nhost", 1);
    stream.write_all(last.as_bytes()).unwrap();
    assert!(answer(&mut stream).unwrap().0.contains("connection: close"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_http_gets_400_and_the_connection_is_closed() {
    let afilnet = start();
    let huge = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(70_000));
    let cases = [
        "nonsense\r\n\r\n",
        "GET / HTTP/9\r\n\r\n",
        "GET x HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &huge,
    ];
    for case in cases {
        let mut stream = connect(&afilnet).unwrap();
        stream.write_all(case.as_bytes()).unwrap();
        let head = answer(&mut stream).unwrap().0;
        assert!(head.starts_with("HTTP/1.1 400"), "{case:.30}: {head}");
    }
    assert_eq!(outcome(&afilnet, SEND), "200 in full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_breaks_one_call_in_its_own_way() {
    for name in Fault::names() {
        let afilnet = start();
        afilnet.fault(&format!("sendmessage:{name}:2")).unwrap();
        assert_eq!(outcome(&afilnet, SEND), "200 in full", "{name} waits for its turn");
        let seen = outcome(&afilnet, SEND);
        let expected = match name.trim_end_matches("_stored") {
            "refused" | "reset" => "ConnectionReset",
            "hang" => "TimedOut",
            "truncated" => "UnexpectedEof",
            "drip" => "200 in full",
            "redirect" => "307",
            "http_429" => "429",
            "http_500" => "500",
            "http_502" => "502",
            "http_503" => "503",
            _ => "200",
        };
        assert_eq!(seen, expected, "{name}");
        let stored = name.ends_with("_stored") || matches!(*name, "truncated" | "drip");
        assert_eq!(afilnet.sent_count(), 1 + usize::from(stored), "{name}");
        assert_eq!(afilnet.counters().faults, 1, "{name}");
        if *name == "refused" {
            assert_eq!(outcome(&afilnet, SEND), "ConnectionRefused");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        assert_eq!(outcome(&afilnet, SEND), "200 in full", "{name} is spent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_answers_say_what_they_should() {
    let afilnet = start();
    let mut stream = connect(&afilnet).unwrap();
    let mut next = |fault: &str| {
        afilnet.fault(&format!("*:{fault}")).unwrap();
        stream.write_all(post(SEND).as_bytes()).unwrap();
        answer(&mut stream).unwrap()
    };
    assert_eq!(next("NO_CREDITS").1, r#"{"status":"ERROR","error":"NO_CREDITS"}"#);
    assert_eq!(next("unknown_code").1, r#"{"status":"ERROR","error":"UNEXPECTED_CONDITION"}"#);
    assert!(next("html_200").1.starts_with("<html>"));
    assert_eq!(next("empty").1, "");
    assert!(next("http_429").0.contains("retry-after: 1\r\n"));
    assert!(next("http_504").0.starts_with("HTTP/1.1 504"));
    let redirect = next("redirect").0;
    let place = redirect.split("location: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    assert!(place.starts_with("http://localhost:"), "{place}");
    assert_eq!(afilnet.sent_count(), 0);
    stream.write_all(b"POST /elsewhere/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").unwrap();
    answer(&mut stream).unwrap();
    assert_eq!(afilnet.counters().redirects_followed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_closes_and_opens() {
    let afilnet = start();
    let mut open = connect(&afilnet).unwrap();
    open.write_all(post(SEND).as_bytes()).unwrap();
    answer(&mut open).unwrap();
    afilnet.down();
    afilnet.down();
    assert_eq!(outcome(&afilnet, SEND), "ConnectionRefused");
    assert_eq!(open.read(&mut [0]).unwrap_or_default(), 0, "open connections are cut");
    afilnet.up().unwrap();
    afilnet.up().unwrap();
    assert_eq!(outcome(&afilnet, SEND), "200 in full");
    assert_eq!(afilnet.sent_count(), 2, "the ledger outlives the port");
    let clone = afilnet.clone();
    drop(afilnet);
    assert_eq!(outcome(&clone, SEND), "200 in full", "the last handle decides");
    clone.stop();
    assert_eq!(outcome(&clone, SEND), "ConnectionRefused");
    clone.up().unwrap();
    assert_eq!(outcome(&clone, SEND), "ConnectionRefused", "stopped is for good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_are_waited_and_woken() {
    let afilnet = start();
    afilnet.set_latency(Latency::fixed(Duration::from_millis(60)));
    let begun = Instant::now();
    assert_eq!(outcome(&afilnet, SEND), "200 in full");
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert!(!afilnet.until(Duration::from_millis(10), |world| world.sent_count() == 2).await);
    let other = afilnet.clone();
    let caller = tokio::task::spawn_blocking(move || outcome(&other, SEND));
    assert!(afilnet.until(Duration::from_secs(5), |world| world.sent_count() == 2).await);
    assert_eq!(caller.await.unwrap(), "200 in full");
}
