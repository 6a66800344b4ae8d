//! Repeated calls: a call with a lost response is one message however often it is made; two calls with received
//! responses are two.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::exchange::{answer, call, connect, exchange, m_id};
use crate::support::{House, SOON, contact, until};

/// Calls side by side.
const AT_ONCE: usize = 6;

/// Waits, without taking any of it, until `bytes` of the answer are there.
fn arrived(stream: &TcpStream, bytes: usize) {
    let (mut buffer, deadline) = (vec![0; bytes], Instant::now() + SOON);
    while stream.peek(&mut buffer).unwrap() < bytes {
        assert!(Instant::now() < deadline, "not {bytes} bytes within {SOON:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All messages that the store holds.
fn kept(house: &House) -> Vec<String> {
    let listed = house.run(&["messages", "list", "--limit", "100000"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let lines = String::from_utf8(listed.stdout).unwrap();
    lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// Sends `text` and cuts the answer after `at` bytes, which are read exactly; then calls again. Returns the mId of the
/// second response, and that of the first if it was read that far.
fn cut_and_repeat(base: &str, who: usize, text: &str, headers: &[&str], at: usize, whole: usize) -> (String, String) {
    let mut stream = connect(base);
    call(&mut stream, who, text, headers);
    arrived(&stream, whole);
    let mut read = vec![0; at];
    stream.read_exact(&mut read).unwrap();
    drop(stream); // with the rest unread
    let first = String::from_utf8(read).unwrap();
    let first = first.split_once("\"mId\":\"").map_or("", |(_, rest)| rest).chars().take(32).collect();
    (m_id(base, who, text, &[]), first)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cut_at_any_byte_makes_the_same_call_a_repeat_and_a_whole_one_a_second_message() {
    let mut house = House::new();
    let bridge = house.start().await;
    let base = bridge.url();
    let mut cuts = Vec::new();
    let mut who = 1000;
    for headers in [&[][..], &["connection: close"]] {
        let mut stream = connect(&base);
        call(&mut stream, 1, &format!("how long, {headers:?}"), headers);
        let (whole, status, _) = answer(&mut stream);
        assert_eq!(status, 200);
        for at in 0..=whole {
            cuts.push((who, headers, at, whole));
            who += 1;
        }
    }
    assert!(cuts.len() > 300, "only {} cuts", cuts.len());
    let next = AtomicUsize::new(0);
    let ids: Vec<(usize, bool, String, String)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            while let Some((who, headers, at, whole)) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (second, first) = cut_and_repeat(&base, *who, &format!("cut at {at}"), headers, *at, *whole);
                if first.len() == 32 {
                    assert_eq!(first == second, at < whole, "{headers:?}, cut at {at} of {whole}");
                }
                done.push((*who, at == whole, second, first));
            }
            done
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), cuts.len());
    // The two that were only measured, one of each cut, and one more of each whole answer.
    let expected = 2 + ids.len() + 2;
    until("everything is sent", || house.afilnet.sent_count() >= expected).await;
    for (who, was_whole, ..) in &ids {
        let times = house.afilnet.texts(&contact(*who)[1..]).len();
        assert_eq!(times, 1 + usize::from(*was_whole), "{:?}", cuts.iter().find(|cut| cut.0 == *who));
    }
    let kept = kept(&house);
    assert_eq!((kept.len(), house.afilnet.sent_count()), (expected, expected));
    assert!(ids.iter().all(|(_, _, second, _)| kept.contains(second)));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_before_any_answer_and_calls_again_sends_once() {
    let mut house = House::new();
    house.afilnet.set_latency("300ms".parse().unwrap());
    let bridge = house.start().await;
    let base = bridge.url();
    std::thread::scope(|scope| {
        for who in 0..AT_ONCE {
            let base = &base;
            scope.spawn(move || {
                for n in 0..5 {
                    let text = format!("no answer {n}");
                    let mut stream = connect(base);
                    call(&mut stream, who, &text, &[]);
                    // Some leave at once, when nothing may be stored yet, some during the call to Afilnet.
                    std::thread::sleep(Duration::from_millis(40 * n));
                    drop(stream);
                    m_id(base, who, &text, &[]);
                }
            });
        }
    });
    until("everything is sent", || house.messages("queued").is_empty() && house.messages("sending").is_empty()).await;
    for who in 0..AT_ONCE {
        let texts = house.afilnet.texts(&contact(who)[1..]);
        assert_eq!(texts, (0..5).map(|n| format!("no answer {n}")).collect::<Vec<_>>());
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_calls_that_were_answered_are_messages_of_their_own() {
    let mut house = House::new();
    let bridge = house.start().await;
    let base = bridge.url();
    // One connection for both.
    let mut stream = connect(&base);
    let mut ids: Vec<Value> = Vec::new();
    for _ in 0..2 {
        call(&mut stream, 1, "yes", &[]);
        ids.push(answer(&mut stream).2["mId"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    // A connection each, which the caller ends, or the bridge.
    for (who, headers) in [(2, &[][..]), (3, &["connection: close"])] {
        assert_ne!(m_id(&base, who, "yes", headers), m_id(&base, who, "yes", headers));
    }
    // At the same time.
    let (a, b) = std::thread::scope(|scope| {
        let calls = [(); 2].map(|()| scope.spawn(|| m_id(&base, 4, "yes", &[])));
        let [a, b] = calls.map(|call| call.join().unwrap());
        (a, b)
    });
    assert_ne!(a, b);
    // An HTTP client with a pool.
    for _ in 0..2 {
        assert_eq!(house.agent(&bridge, &contact(5), "yes").await.status, 200);
    }
    // The first connection stays as it is while the second call comes.
    let mut open = connect(&base);
    call(&mut open, 6, "yes", &[]);
    answer(&mut open);
    m_id(&base, 6, "yes", &[]);
    until("both of each are sent", || house.afilnet.sent_count() == 12).await;
    for who in 1..=6 {
        assert_eq!(house.afilnet.texts(&contact(who)[1..]), ["yes", "yes"], "{who}");
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_keeps_a_connection_that_was_to_be_closed_is_not_waited_for() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut stream = connect(&bridge.url());
    call(&mut stream, 1, "keeps its side", &["connection: close"]);
    assert_eq!(answer(&mut stream).1, 200);
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
    // The bridge has shut down its side; further bytes are discarded, and finally reset.
    until("the bridge has let go", || stream.write_all(b"more").is_err()).await;
    m_id(&bridge.url(), 1, "keeps its side", &[]);
    until("both are sent", || house.afilnet.sent_count() == 2).await;
    house.check();
}

/// A caller's system that accepts no more bytes, as when it is cut off from the network: what is written to it never
/// arrives.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_arrive_makes_the_same_call_a_repeat() {
    let mut house = House::new();
    let bridge = house.start().await;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap(); // the least that there can be
    let address: std::net::SocketAddr = bridge.url().trim_start_matches("http://").parse().unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    // The answers to these fill it.
    stream.write_all("GET /healthz HTTP/1.1\r\nhost: bridge\r\n\r\n".repeat(50).as_bytes()).unwrap();
    call(&mut stream, 1, "cut off", &[]);
    until("it is sent", || house.afilnet.sent_count() == 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await; // a response that has arrived counts as read before
    drop(stream);
    let first = kept(&house);
    assert_eq!(first, [m_id(&bridge.url(), 1, "cut off", &[])]);
    assert_eq!(kept(&house), first);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_made_again_after_a_kill_9_before_its_answer_is_the_same_message() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:hang").unwrap();
    let mut stream = connect(&bridge.url());
    call(&mut stream, 1, "killed", &[]);
    until("it is under way", || house.afilnet.calls("sendmessage") == 1).await;
    bridge.kill();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "no answer came");
    let bridge = house.start().await;
    let first = kept(&house);
    assert_eq!(first, [m_id(&bridge.url(), 1, "killed", &[])]);
    assert_eq!(kept(&house), first);
    // The same again, after a received response, is a new message.
    assert_ne!(m_id(&bridge.url(), 1, "killed", &[]), first[0]);
    assert!(house.afilnet.texts(&contact(1)[1..]).len() <= 2);
    assert_eq!(kept(&house).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_read_before_a_stop_is_known_after_it() {
    let mut house = House::new();
    let mut bridge = house.start().await;
    let mut open = connect(&bridge.url());
    call(&mut open, 1, "yes", &[]);
    assert_eq!(answer(&mut open).1, 200);
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    let bridge = house.start().await;
    m_id(&bridge.url(), 1, "yes", &[]);
    until("both are sent", || house.afilnet.sent_count() == 2).await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_names_one_message() {
    let mut house = House::new();
    let bridge = house.start().await;
    let base = bridge.url();
    let key = "idempotency-key: \"8e03978e-40d5-43dd\"";
    let first = m_id(&base, 1, "once", &[key]);
    assert_eq!(m_id(&base, 1, "once", &[key]), first);
    assert_eq!(m_id(&base, 1, "once", &["Idempotency-Key:  \"8e03978e-40d5-43dd\" "]), first);
    for (who, text) in [(1, "other words"), (2, "once")] {
        let (status, body) = exchange(&base, who, text, &[key]);
        let words = body["error"]["message"].as_str().unwrap();
        assert_eq!(status, 422, "{body}");
        assert!(words.contains("Idempotency-Key") && words.contains("was not sent"), "{words}");
    }
    let (long, longest) = ("x".repeat(256), "x".repeat(255));
    for bad in ["", "two words", "tab\there", "clé", &long, "a\r\nidempotency-key: b"] {
        let (status, body) = exchange(&base, 3, "bad", &[&format!("idempotency-key: {bad}")]);
        assert_eq!(status, 400, "{bad:?}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains("255 visible ASCII"), "{body}");
    }
    m_id(&base, 3, "good", &[&format!("idempotency-key: {longest}")]);
    // Two keys are two messages, and so is none.
    assert_ne!(m_id(&base, 4, "yes", &["idempotency-key: a"]), m_id(&base, 4, "yes", &["idempotency-key: b"]));
    m_id(&base, 4, "yes", &[]);
    // At the same time.
    let ids: Vec<String> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..5).map(|_| scope.spawn(|| m_id(&base, 5, "at once", &["idempotency-key: c"]))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    until("all are sent", || house.afilnet.sent_count() == 6).await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["once"]);
    assert_eq!(house.afilnet.texts(&contact(5)[1..]), ["at once"]);
    // Known after a restart too; and what failed for good may be sent again with its key.
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert_eq!(exchange(&base, 6, "refused", &["idempotency-key: d"]).0, 400);
    bridge.kill();
    let bridge = house.start().await;
    assert_eq!(m_id(&bridge.url(), 1, "once", &[key]), first);
    let second = m_id(&bridge.url(), 6, "refused", &["idempotency-key: d"]);
    assert_eq!(m_id(&bridge.url(), 6, "refused", &["idempotency-key: d"]), second);
    until("the last is sent", || house.afilnet.sent_count() == 7).await;
    assert_eq!(kept(&house).len(), 8);
    house.check();
}
