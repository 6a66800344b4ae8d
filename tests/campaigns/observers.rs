//! Whoever only watches the bridge and stands still, under load: the readers of its log, of its metrics, of a command
//! beside it. None of them holds up a message or the stop.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, SOON, contact, until};

/// Agents that write at the same time.
const AGENTS: usize = 8;
/// Pause of an agent between two messages.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls of each agent in a part of the load, at least: its p99 is no single one of them.
const ENOUGH: usize = 25;
/// What p99 may differ by on a busy machine, whoever stands still.
const JITTER: Duration = Duration::from_millis(50);

/// How long each part of the load lasts; `BRIDGE_STALLED_SECONDS` for a longer run.
fn stalled_for() -> Duration {
    let seconds = std::env::var("BRIDGE_STALLED_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Messages of several agents for [`stalled_for`], each of which must be taken. Returns their number and the time that 99 in
/// 100 took at most.
async fn load(house: &House, bridge: &Bridge, what: &str) -> (usize, Duration) {
    let until = Instant::now() + stalled_for();
    let agents = (0..AGENTS).map(|who| {
        let (bonychat, url) = (house.bonychat.clone(), bridge.url());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until || times.len() < ENOUGH {
                let started = Instant::now();
                let text = format!("{} of {who}", times.len());
                let contact = contact(who);
                let call = bonychat.text(&url, CHANNEL, &contact, &text);
                let outcome = tokio::time::timeout(SOON, call).await.expect("every call is answered");
                assert_eq!(outcome.status, 200, "{outcome:?}");
                times.push(started.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            times
        })
    });
    let mut times = Vec::new();
    for agent in agents.collect::<Vec<_>>() {
        times.extend(agent.await.unwrap());
    }
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what}: {} calls, all taken, p50 {:?}, p99 {:?}", times.len(), at(50), at(99));
    (times.len(), at(99))
}

/// Asserts that p99 while a reader stands still is at most twice that of the same load just before. Whoever is held up is so
/// each time; what else runs on the machine holds up one part of the load or another, so it is measured a few times.
async fn held_up_nobody(house: &House, bridge: &Bridge, before: Duration, what: &str) {
    let most = 2 * before + JITTER;
    let mut p99s = Vec::new();
    while p99s.len() < 5 {
        p99s.push(load(house, bridge, what).await.1);
        if p99s.iter().any(|p99| *p99 <= most) {
            return;
        }
    }
    panic!("{what}: p99 {p99s:?}, and {before:?} just before");
}

/// Calls without a token, at level debug a line of the log each, until more lines are dropped than were before.
async fn flood(bridge: &Bridge) -> f64 {
    let before = dropped(bridge);
    let path = format!("/{}", "x".repeat(90));
    let request = format!("POST {path} HTTP/1.1\r\nhost: b\r\ncontent-length: 0\r\n\r\n");
    let mut callers: Vec<_> =
        (0..4).map(|_| TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap()).collect();
    let deadline = Instant::now() + 2 * SOON;
    let mut answers = vec![0; 64 * 1024];
    loop {
        for caller in &mut callers {
            caller.set_read_timeout(Some(SOON)).unwrap();
            caller.write_all(request.repeat(50).as_bytes()).unwrap();
        }
        for caller in &mut callers {
            let mut answered = 0;
            while answered < 50 {
                let read = caller.read(&mut answers).expect("a call without a token is answered");
                assert!(read > 0, "the bridge hung up");
                answered += answers[..read].windows(9).filter(|at| at == b"HTTP/1.1 ").count();
            }
        }
        let dropped = dropped(bridge);
        if dropped > before {
            return dropped;
        }
        assert!(Instant::now() < deadline, "no line was dropped");
        tokio::task::yield_now().await;
    }
}

fn dropped(bridge: &Bridge) -> f64 {
    value(&get(&bridge.admin_url(), "/metrics", None).1, "bridge_log_lines_dropped_total")
}

async fn ends(mut bridge: Bridge) {
    let started = Instant::now();
    bridge.signal("TERM");
    let status = bridge.ended().await;
    println!("SIGTERM: ended after {:?}", started.elapsed());
    assert!(status.success(), "{status}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_log_that_stands_still_holds_up_no_message_and_no_stop() {
    let mut house = House::new().set("LOG__LEVEL", "debug");
    let bridge = house.start().await;
    let (_, before) = load(&house, &bridge, "log read").await;
    bridge.read_log(false);
    let lost = flood(&bridge).await;
    held_up_nobody(&house, &bridge, before, "log standing still").await;
    house.customer(&contact(1), "words of the customer");
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["words of the customer"]).await);
    bridge.read_log(true);
    let told = |line: &String| line.contains("lines of the log were dropped");
    until("the log tells of the lines it dropped", || bridge.log().iter().any(told)).await;
    assert!(dropped(&bridge) >= lost);
    let line = bridge.log().into_iter().find(told).unwrap();
    assert!(serde_json::from_str::<Value>(&line).unwrap()["lines"].as_u64().unwrap() > 0, "{line}");
    bridge.read_log(false);
    flood(&bridge).await;
    ends(bridge).await;
    house.settled().await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_metrics_and_of_commands_that_stand_still_hold_up_no_message_and_no_stop() {
    let mut house = House::new();
    let bridge = house.start().await;
    let (mut rows, before) = load(&house, &bridge, "nobody watches").await;
    while rows < 500 {
        assert_eq!(house.agent(&bridge, &contact(rows), "makes the list longer than a pipe").await.status, 200);
        rows += 1;
    }
    let scrapers: Vec<TcpStream> = (0..20).map(|_| scraper_that_does_not_read(&bridge)).collect();
    let mut listing = house.command(&["messages", "list", "--limit", "1000000", "--json"]);
    let mut listings: Vec<_> =
        (0..4).map(|_| listing.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()).collect();
    held_up_nobody(&house, &bridge, before, "readers of metrics and of `messages list` standing still").await;
    for listing in &mut listings {
        assert!(
            listing.try_wait().unwrap().is_none(),
            "its reader stands still, and it had more to say than a pipe holds"
        );
    }
    ends(bridge).await;
    for mut listing in listings {
        listing.kill().unwrap();
        listing.wait().unwrap();
    }
    drop(scrapers);
    house.settled().await;
    house.check();
}

/// Asks for the metrics again and again and takes none.
fn scraper_that_does_not_read(bridge: &Bridge) -> TcpStream {
    let mut stream = TcpStream::connect(bridge.admin_url().trim_start_matches("http://")).unwrap();
    stream.set_nonblocking(true).unwrap();
    for _ in 0..2_000 {
        if stream.write(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").is_err() {
            break; // the bridge reads no more before it can write
        }
    }
    stream
}
