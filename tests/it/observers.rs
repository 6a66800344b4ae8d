//! The log and a command's output, as whoever reads them gets them: whole, to the last line, and harmless.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::support::{House, SOON, TOKEN, contact, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_are_written_before_the_end() {
    let mut house = House::new();
    let mut bridge = house.start().await;
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    until("the last line is there", || bridge.log().last().is_some_and(|line| line.contains("\"stopped\""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_log_can_be_stored_beside_every_other() {
    let mut house = House::new().set("LOG__LEVEL", "trace");
    let mut bridge = house.start().await;
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert_eq!(house.agent(&bridge, &contact(3), "refused").await.status, 400);
    house.afilnet.fault("sendmessage:http_429").unwrap();
    house.afilnet.fault("sendmessage:reset_stored:2").unwrap();
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
    assert!(talk.contains("balance is no amount") && !talk.contains("pwned"), "words may quote the call: {talk}");
    assert!(data.contains("pwned"), "{data}");
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
