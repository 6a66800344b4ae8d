//! Lines as they are logged.

use std::error::Error;
use std::io;

use tracing::{debug, error, info, info_span, trace};

use super::*;
use crate::domain::ContactId;
use crate::testkit::captured_log::CapturedLog;

/// Returns what `say` logs.
fn logged(level: &str, log_format: LogLine, say: impl FnOnce()) -> String {
    let kept = CapturedLog::default();
    let writer = kept.clone();
    let subscriber = subscriber(level, log_format, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, say);
    kept.text()
}

const JSON: LogLine = LogLine { text: false, ansi: false };
const TEXT: LogLine = LogLine { text: true, ansi: false };

#[derive(Debug, thiserror::Error)]
#[error("cannot read page")]
struct Outer(#[source] io::Error);

#[test]
fn json_lines_are_flat_and_carry_their_spans() {
    let lines = logged("info", JSON, || {
        let _outer = info_span!("request", request_id = "r1", attempt = 9).entered();
        let span = info_span!("attempt", channel_name = %"support", attempt = tracing::field::Empty);
        span.record("attempt", 2);
        let _inner = span.entered();
        let e = Outer(io::Error::other("cut off"));
        info!(message_id = "m1", ok = true, took = 1.5, level = "x", error = &e as &dyn Error, "sent `{}`", "m1");
    });
    let log_format: serde_json::Value = serde_json::from_str(&lines).unwrap();
    let time = log_format["timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    let rest = serde_json::json!({
        "timestamp": time, "level": "INFO", "message": "sent `m1`", "span": "attempt", "message_id": "m1", "ok": true,
        "took": 1.5, "level_": "x", "error": "cannot read page: cut off", "channel_name": "support", "attempt": 2,
        "request_id": "r1",
    });
    assert_eq!(log_format, rest);
    assert_eq!(lines.lines().count(), 1);
}

#[test]
fn no_key_is_the_beginning_of_another_up_to_a_dot() {
    let say = || {
        let _span = info_span!("s", span.name = 1, http.status = 200).entered();
        info!(message.id = "m1", channel.name = "support", "sent");
    };
    let log_format: serde_json::Value = serde_json::from_str(&logged("info", JSON, say)).unwrap();
    let keys: Vec<&str> = log_format.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["channel_name", "http_status", "level", "message", "message_id", "span", "span_name", "timestamp"];
    assert_eq!(keys, expected);
}

#[test]
fn what_a_caller_chose_is_masked_but_for_ids_that_a_machine_made() {
    for (path, masked) in [
        ("/message", "/message"),
        ("/34677123987/x", "/***********/x"),
        ("/v1/bony-chat_a.b", "/v*/bony-chat_a.b"),
        ("/a b\"\u{1b}[31m%C3%B1é", "/a?b???**m?C*?B*?"),
    ] {
        assert_eq!(foreign_path(path), masked);
    }
    assert_eq!(foreign_path(&"/x".repeat(300)).len(), 100);
    for kept in
        ["0198c3f0e1a27b3c8d4e5f6071829304", "550E8400-e29b-41d4-a716-446655440000", "req-7", "Root=1-abc", "fuzz:1"]
    {
        assert_eq!(foreign_id(kept), kept);
    }
    for (id, masked) in [
        ("34677123987", "***********"),
        ("+34-677123987", "?**-*********"),
        ("1234567890123456", "****************"),
        ("of-34677123987-1", "of-***********-*"),
        ("a\"b\u{9b}c", "a?b?c"),
    ] {
        assert_eq!(foreign_id(id), masked);
    }
    assert_eq!(foreign_id(&"ab".repeat(99)).len(), 64);
}

#[test]
fn words_of_a_far_side_are_shown_without_what_a_terminal_obeys() {
    let name = "\u{1b}]0;pwned\u{7}\nwhatsapp\t999\tfake\u{202e}é";
    assert_eq!(harmless(name), "\\u{1b}]0;pwned\\u{7}\\nwhatsapp\\t999\\tfake\\u{202e}é");
    let json = serde_json::to_string(&serde_json::json!({ "name": format!("{name}\u{9b}") })).unwrap();
    let shown = harmless_json(&json);
    assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["name"], format!("{name}\u{9b}"));
}

#[test]
fn text_lines_are_for_people() {
    let log_format = logged("info", TEXT, || info!(message_id = "m1", attempt = 2, why = "two words", "sent"));
    assert!(log_format.ends_with("Z  INFO sent message_id=m1 attempt=2 why=\"two words\"\n"), "{log_format}");
    let coloured = logged("info", LogLine { text: true, ansi: true }, || info!("sent"));
    assert!(coloured.contains("\u{1b}[32m INFO\u{1b}[0m sent\n"), "{coloured:?}");
}

#[test]
fn a_value_cannot_forge_a_line() {
    let attack = "a\n{\"level\":\"ERROR\"}\r\u{1b}[31m\u{9b}31m\u{202e}\u{2028}\"=\\ z";
    for log_format in [JSON, TEXT] {
        let lines = logged("info", log_format, || {
            let _span = info_span!("s", x = attack, y = ?attack, z = %attack).entered();
            info!(a = attack, b = %attack, c = ?attack, d = &io::Error::other(attack) as &dyn Error, "{attack}");
        });
        assert_eq!(lines.lines().count(), 1, "{lines}");
        let body = lines.strip_suffix('\n').unwrap();
        assert!(!body.contains(|c: char| c.is_control() || c == '\u{202e}' || c == '\u{2028}'), "{lines:?}");
    }
    let json = logged("info", JSON, || info!(a = attack, "{attack}"));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["a"].as_str(), value["message"].as_str()), (Some(attack), Some(attack)));
}

#[test]
fn a_bare_level_is_the_bridges_own() {
    let say = || {
        debug!("ours");
        trace!("ours too");
        debug!(target: "hyper::proto", "POST https://user:canary@h/");
        error!(target: "hyper::proto", "theirs");
    };
    let count = |level: &str| logged(level, TEXT, say).lines().count();
    assert_eq!((count("info"), count("debug"), count("trace"), count("off")), (1, 2, 3, 0));
    assert_eq!((count("warn,hyper=debug"), count("WARN,hyper=DEBUG"), count("Debug"), count("INFO")), (2, 2, 2, 1));
    assert!(!logged("trace", JSON, say).contains("canary"));
    assert!(subscriber("a=b=c", JSON, io::sink).is_err());
}

#[test]
fn masks_keep_the_end_and_the_length() {
    for (name, masked) in [
        ("+34600111222", "+********222"),
        ("34600111222", "********222"),
        ("visitor=2D7", "********2D7"),
        ("+1234", "+*234"),
        ("12345", "**345"),
        ("1234", "****"),
        ("+12", "***"),
        ("", ""),
        ("señorño", "****rño"),
    ] {
        let mut text = String::new();
        redaction::redaction(name, &mut text).unwrap();
        assert_eq!(text, masked);
    }
}

#[test]
fn contacts_are_masked_until_told_otherwise() {
    let id: ContactId = "+34600111222".parse().unwrap();
    let log_format =
        logged("info", JSON, || info!(contact = %contact(&id), again = ?redaction::Masked("34600111222"), "hello"));
    assert!(log_format.contains("+********222") && !log_format.contains("600111"), "{log_format}");
}

/// Not a test: the child process of the next one, since a process has one log and one panic hook.
#[test]
#[ignore = "started by a_process_logs_its_panics_without_their_words"]
fn child_process() {
    let contacts = if std::env::var_os("TELEMETRY_FULL").is_some() { LogContacts::Full } else { LogContacts::Masked };
    let log = Log { format: LogFormat::Json, format_is_default: true, level: "info".into(), contacts };
    init(&log).unwrap();
    assert!(init(&log).is_err());
    info!(contact = %redaction::Masked("+34600111222"), "started");
    let worker = std::thread::Builder::new().name("worker".into());
    let worker = worker.spawn(|| panic!("canary: {}", "the customer wrote this")).unwrap();
    assert!(worker.join().is_err());
    end(""); // as `bridge` ends: the last lines are written by another thread
}

#[test]
fn a_process_logs_its_panics_without_their_words() {
    let run = |full: bool| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["telemetry::tests::child_process", "--exact", "--ignored", "--nocapture"]);
        if full {
            child.env("TELEMETRY_FULL", "1");
        }
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let stderr = run(false);
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|log_format| serde_json::from_str(log_format).unwrap()).collect();
    assert_eq!(lines[0]["contact"], "+********222");
    assert_eq!((lines[1]["level"].as_str(), lines[1]["panic_thread"].as_str()), (Some("ERROR"), Some("worker")));
    assert!(lines[1]["panic_location"].as_str().unwrap().contains("telemetry/tests.rs:"), "{stderr}");
    assert!(!stderr.contains("canary"), "{stderr}");
    assert!(run(true).contains("+34600111222"));
}
