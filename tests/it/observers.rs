//! Blocked observers of the bridge: readers of its log, of its metrics, of a command beside it. None of them delays a
//! message or the stop.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::metrics::{get, value};
use crate::process::Bridge;
use crate::support::{CHANNEL, House, SOON, TOKEN, contact, until};

/// Agents that write at the same time.
const AGENTS: usize = 8;
/// Pause of an agent between two messages.
const PAUSE: Duration = Duration::from_millis(20);

/// How long each part of the load lasts; `BRIDGE_STALLED_SECONDS` for a longer run.
fn stalled_for() -> Duration {
    let seconds = std::env::var("BRIDGE_STALLED_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Messages of several agents for [`stalled_for`], each of which must be accepted. Returns their times, sorted.
async fn load(house: &House, bridge: &Bridge, what: &str) -> Vec<Duration> {
    let until = Instant::now() + stalled_for();
    let agents = (0..AGENTS).map(|who| {
        let (bonychat, url) = (house.bonychat.clone(), bridge.url());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
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
    times
}

/// Calls without a token, a line of the log each, until more lines are dropped than were before.
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
    let mut house = House::new();
    let bridge = house.start().await;
    load(&house, &bridge, "log read").await;
    bridge.read_log(false);
    let lost = flood(&bridge).await;
    load(&house, &bridge, "log standing still").await;
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
async fn the_last_lines_are_written_before_the_end() {
    let mut house = House::new();
    let mut bridge = house.start().await;
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    until("the last line is there", || bridge.log().last().is_some_and(|line| line.contains("\"stopped\""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_metrics_and_of_commands_that_stand_still_hold_up_no_message_and_no_stop() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut rows = load(&house, &bridge, "nobody watches").await.len();
    while rows < 500 {
        assert_eq!(house.agent(&bridge, &contact(rows), "makes the list longer than a pipe").await.status, 200);
        rows += 1;
    }
    let scrapers: Vec<TcpStream> = (0..20).map(|_| scraper_that_does_not_read(&bridge)).collect();
    let mut listing = house.command(&["messages", "list", "--limit", "1000000", "--json"]);
    let mut listings: Vec<_> =
        (0..4).map(|_| listing.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()).collect();
    load(&house, &bridge, "readers of metrics and of `messages list` standing still").await;
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

/// Requests the metrics repeatedly and reads no response.
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

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_log_can_be_stored_beside_every_other() {
    let mut house = House::new().set("LOG__LEVEL", "trace");
    let mut bridge = house.start().await;
    house.afilnet.fault("sendmessage:http_429").unwrap();
    house.bonychat.fault("message:http_500:1-2").unwrap();
    for n in 0..3 {
        assert_eq!(house.agent(&bridge, &contact(n), "words of the agent").await.status, 200);
        house.customer(&contact(n), "words of the customer");
    }
    house.bonychat.post(&bridge.url(), TOKEN, "{}").await;
    let number = "34677123987";
    let head =
        format!("{number} /{number}/x HTTP/1.1\r\nhost: b\r\nx-request-id: of+{number}\r\nconnection: close\r\n\r\n");
    let mut caller = TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap();
    caller.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 3).await);
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 3).await);
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    let mut kinds = BTreeMap::new();
    let lines = bridge.log();
    for line in &lines {
        assert!(!line.contains(number), "{line}");
        let fields: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        for (key, value) in fields {
            assert!(!key.contains('.'), "{key}: {line}");
            let kind = std::mem::discriminant(&value);
            assert_eq!(*kinds.entry(key).or_insert(kind), kind, "one key, one type: {line}");
        }
    }
    for key in ["message", "message_id", "event_id", "request_id", "channel_name", "http_status"] {
        assert!(kinds.contains_key(key), "{key} is in none of {} lines", lines.len());
    }
    house.check();
}

#[test]
fn a_far_sides_words_cannot_command_the_terminal() {
    let name = "\u{1b}]0;pwned\u{7}\nwhatsapp\t999\tfake\u{202e}";
    let body =
        serde_json::json!({"status": "SUCCESS", "result": [{"platformid": "1", "platform": "whatsapp", "name": name}]});
    let balance = serde_json::json!({"status": "SUCCESS", "result": name});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(4).map_while(Result::ok) {
            answer(stream, &balance.to_string(), &body.to_string());
        }
    });
    let mut channels = std::process::Command::new(env!("CARGO_BIN_EXE_bridge"));
    channels.arg("channels").env_clear();
    for (key, value) in [
        ("AFILNET__URL", url.as_str()),
        ("AFILNET__USER", "user"),
        ("AFILNET__PASSWORD", "password"),
        ("BONYCHAT__WEBHOOK_URL", "https://bonychat.example/hook"),
        ("CHANNELS__A__CHANNEL_ID", "gfd8g7fd89dgfd"),
        ("CHANNELS__A__API_TOKEN", TOKEN),
        ("CHANNELS__A__ID_TYPE", "phone"),
        ("CHANNELS__A__PLATFORM", "whatsapp"),
        ("CHANNELS__A__PLATFORM_ID", "100"),
    ] {
        channels.env(format!("BRIDGE__{key}"), value);
    }
    let output = channels.output().unwrap();
    let (data, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{talk}");
    assert!(talk.contains("balance") && talk.contains("pwned") && data.contains("pwned"), "{talk}{data}");
    assert_eq!((data.lines().count(), talk.lines().count()), (1, 1), "{data:?}{talk:?}");
    assert_eq!(data.matches('\t').count(), 3, "{data:?}");
    let commands = |c: char| (c.is_control() && c != '\t' && c != '\n') || c == '\u{202e}';
    assert!(!data.contains(commands) && !talk.contains(commands), "{data:?}{talk:?}");
}

/// One call of Afilnet's: its balance, or its channels.
fn answer(mut stream: TcpStream, balance: &str, channels: &str) {
    let (mut call, mut part) = (String::new(), [0; 4096]);
    while !call.contains("method=") {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "{call}");
        call += &String::from_utf8_lossy(&part[..read]);
    }
    let body = if call.contains("method=getbalance") { balance } else { channels };
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
}
