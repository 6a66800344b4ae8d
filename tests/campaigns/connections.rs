//! Many callers at once, and callers that hold a connection without using it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::process::Bridge;
use crate::support::{House, SOON, TOKEN, contact, until};

/// The bridge under a limit of open files, as `ulimit` of a shell understands it.
async fn start_under(house: &House, limit: &str) -> Bridge {
    let plain = house.command(&["serve"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit {limit}; exec \"$0\" serve")]).arg(plain.get_program());
    limited.current_dir(plain.get_current_dir().unwrap());
    limited.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let bridge = Bridge::spawn(limited.env("BRIDGE__SERVER__LISTEN", "127.0.0.1:0"));
    bridge.ready().await;
    bridge
}

/// A caller that sends many requests and reads nothing.
fn deaf(base: &str, path: &str) -> TcpStream {
    let address: std::net::SocketAddr = base.trim_start_matches("http://").parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&SockAddr::from(address)).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(600).as_bytes());
    stream
}

/// A caller that got a response and keeps its connection; `None` if it got none within a second.
fn served(base: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: b\r\n\r\n").ok()?;
    let read = stream.read(&mut [0; 16]).ok()?;
    (read > 0).then_some(stream)
}

/// The value of a refusal's counter, of an answer of /metrics.
fn refused(bridge: &Bridge, why: &str) -> u64 {
    let mut stream = TcpStream::connect(bridge.admin_url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let series = format!("bridge_refused_total{{why=\"{why}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_callers_that_never_read_hold_up_nobody_under_a_limit_of_256_files() {
    let house = House::new();
    let bridge = start_under(&house, "-n 256").await;
    let deaf: Vec<TcpStream> = (0..300).map(|_| deaf(&bridge.url(), "/openapi.json")).collect();
    for n in 0..10 {
        // The caller's own limit bounds the wait.
        assert_eq!(house.agent(&bridge, &contact(n), "served meanwhile").await.status, 200);
    }
    assert!(refused(&bridge, "connection_limit") > 0);
    let lines = |words: &str| bridge.log().iter().filter(|line| line.contains(words)).count();
    assert!((1..=8).contains(&lines("all 128 connections")), "{}", lines("all 128 connections"));
    // By the bridge, or by the system if it notices first that nothing is read.
    until("all are cut off, and their places are free", || {
        let held: Vec<TcpStream> = (0..100).map_while(|_| served(&bridge.url())).collect();
        held.len() == 100
    })
    .await;
    assert!(refused(&bridge, "not_read") > 0);
    assert!((1..=10).contains(&lines("does not read its response")), "{}", lines("does not read its response"));
    assert_eq!(refused(&bridge, "not_accepted"), 0, "descriptors were left");
    drop(deaf);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_who_never_read_hold_no_place_of_others() {
    let mut house = House::new();
    let bridge = house.start().await;
    let deaf: Vec<TcpStream> = (0..40).map(|_| deaf(&bridge.admin_url(), "/metrics")).collect();
    assert!(refused(&bridge, "connection_limit") > 0, "answered all the same");
    // Each connection of an operator ends with its one response, read or not: all 32 places are free again.
    let waits = || refused(&bridge, "connection_limit");
    until("two calls in a row find a place at once", || waits() == waits()).await;
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_of_open_files_is_raised_at_the_start() {
    let house = House::new();
    let bridge = start_under(&house, "-Sn 64").await;
    let line = bridge.log().into_iter().find(|line| line.contains("\"message\":\"ready\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(line["connections"].as_u64().unwrap() > 64, "{line}");
    let callers: Vec<_> = (0..100).map(|_| deaf(&bridge.url(), "/healthz")).collect();
    assert_eq!(house.agent(&bridge, &contact(1), "served meanwhile").await.status, 200);
    assert_eq!(refused(&bridge, "connection_limit"), 0);
    drop(callers);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_meets_no_descriptor_is_told_of_and_served_once_there_is_one() {
    let mut house = House::new();
    let bridge = house.start().await;
    let files = |limit: Rlimit| prlimit(Some(bridge.pid()), Resource::Nofile, limit).unwrap();
    let lines = || bridge.log().into_iter().filter(|line| line.contains("a connection could not be accepted"));
    assert_eq!(refused(&bridge, "not_accepted"), 0);
    let before = rustix::process::getrlimit(Resource::Nofile);
    files(Rlimit { current: Some(0), ..before });
    let mut caller = TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap();
    caller.write_all(b"GET /healthz HTTP/1.1\r\nhost: b\r\n\r\n").unwrap();
    until("the second failure is logged as well", || lines().count() >= 2).await;
    files(before);
    caller.set_read_timeout(Some(SOON)).unwrap();
    let mut status = [0; 12];
    caller.read_exact(&mut status).expect("the same caller is served");
    assert_eq!(&status, b"HTTP/1.1 200");
    let times: Vec<u64> = lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(line["error"].as_str().is_some_and(|error| error.contains("os error 24")), "{line}");
            line["times"].as_u64().unwrap()
        })
        .collect();
    let doubling: Vec<u64> = (0..times.len()).map(|nth| 1 << nth).collect();
    assert_eq!(times, doubling, "one line at the first, and fewer and fewer");
    let counted = refused(&bridge, "not_accepted");
    assert!(
        (times[times.len() - 1]..2 * times[times.len() - 1]).contains(&counted),
        "{counted} counted, told {times:?}"
    );
    assert_eq!(house.agent(&bridge, &contact(1), "served again").await.status, 200);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_hundred_callers_at_once_find_a_place_in_the_queue() {
    let mut house = House::new();
    let bridge = house.start().await;
    let address = bridge.url().trim_start_matches("http://").parse().unwrap();
    bridge.signal("STOP"); // nothing is accepted, so the kernel's queue has to hold them all
    let connected = tokio::task::spawn_blocking(move || {
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).ok();
        (0..800).map_while(connect).collect::<Vec<_>>()
    });
    let connected = connected.await.unwrap();
    bridge.signal("CONT");
    assert_eq!(connected.len(), 800);
}

/// Sends as hostile callers do: an endless header, of as many bytes as are accepted.
fn dripping(base: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(63_000)).as_bytes());
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_headers_cost_little_memory_and_hold_up_nobody() {
    let mut house = House::new();
    let bridge = house.start().await;
    let answer_in = async |n| {
        let started = Instant::now();
        assert_eq!(house.agent(&bridge, &contact(n), "served meanwhile").await.status, 200);
        started.elapsed()
    };
    let mut quiet = Vec::new();
    for n in 0..100 {
        quiet.push(answer_in(n).await);
    }
    let before = bridge.resident_kib();
    let url = bridge.url();
    let hostile = tokio::task::spawn_blocking(move || {
        let open: Vec<_> = (0..3000).filter_map(|_| dripping(&url)).collect();
        let refused = open.iter().filter(|stream| {
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut start = [0; 12];
            let mut stream = *stream;
            stream.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 431"
        });
        refused.count()
    });
    let (mut busy, mut most) = (Vec::new(), before);
    for n in 100..400 {
        busy.push(answer_in(n).await);
        most = most.max(bridge.resident_kib());
    }
    let refused_in_words = hostile.await.unwrap();
    let p99 = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() * 99 / 100]
    };
    println!(
        "3000 headers of 63,000 bytes: memory {before} KiB before, at most {most} KiB, {} KiB after; p99 of a caller {:?} \
         before, {:?} beside them; {refused_in_words} were answered 431",
        bridge.resident_kib(),
        p99(&mut quiet),
        p99(&mut busy)
    );
    assert!(most < before + 80 * 1024, "{before} KiB grew to {most} KiB");
    assert!(refused_in_words > 2900, "{refused_in_words}");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_in_its_own_time_gets_every_answer() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut stream = TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let call = "GET /openapi.json HTTP/1.1\r\nhost: b\r\n";
    let calls = format!("{}{call}connection: close\r\n\r\n", format!("{call}\r\n").repeat(99));
    stream.write_all(calls.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1 200 OK").count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_cut_off_and_others_are_served() {
    let mut house = House::new();
    let bridge = house.start().await;
    let address = bridge.url().trim_start_matches("http://").to_owned();
    let started = Instant::now();
    let slow: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let half = if n % 2 == 0 {
                b"POST /message HTTP/1.1\r\nhost: br".to_vec()
            } else {
                format!(
                    "POST /message HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 90\r\n\r\n{{"
                )
                .into_bytes()
            };
            stream.write_all(&half).unwrap();
            stream
        })
        .collect();
    assert_eq!(house.agent(&bridge, &contact(1), "served meanwhile").await.status, 200);
    let ends = tokio::task::spawn_blocking(move || {
        for mut stream in slow {
            stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
        }
    });
    ends.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(35), "{:?}", started.elapsed());
    house.check();
}
