//! The table of afilnet.md section 4, line by line.

use super::super::classify::{Failure, HttpResponse};
use super::*;

#[expect(clippy::unnecessary_wraps, reason = "as classify takes it")]
fn answer(http: u16, body: &str) -> Outcome {
    Ok(HttpResponse { http, asked: None, content_type: None, body: Ok(body.as_bytes().to_vec()) })
}

fn error(code: &str) -> Outcome {
    answer(200, &format!(r#"{{"status":"ERROR","error":"{code}"}}"#))
}

fn later(fault: Fault) -> Verdict {
    Verdict::NotSent { fault, asked: None }
}

fn refused(fault: Fault) -> Verdict {
    Verdict::Refused { fault }
}

fn unknown(fault: Fault) -> Verdict {
    Verdict::Unknown { fault }
}

/// Every line of the table: what happened, and the verdict on a send.
fn table() -> Vec<(Outcome, Verdict)> {
    let mut table = vec![
        // Permanent, this item.
        (error("MISSING_COMPULSORY_PARAM"), refused(Fault::MissingParam)),
        (error("INCORRECT_FILETYPE"), refused(Fault::FileType)),
        (error("INCORRECT_FILEURL"), refused(Fault::FileUrl)),
        (error("INCORRECT_THUMBURL"), refused(Fault::ThumbUrl)),
        (error("CHAT_NOT_FOUND"), refused(Fault::ChatNotFound)),
        (Err(Failure::Impossible(Fault::TooLong)), refused(Fault::TooLong)),
        // Configuration: account, build, channel.
        (error("NO_CREDITS"), later(Fault::NoCredits)),
        (answer(401, ""), later(Fault::Credentials("http_401".into()))),
        (answer(403, ""), later(Fault::Forbidden)),
        (answer(404, ""), later(Fault::WrongService("http_404".into()))),
        (error("CHANNEL_NOT_FOUND"), later(Fault::ChannelNotFound)),
        (Err(Failure::BeforeSend(Fault::Certificate)), later(Fault::Certificate)),
        // Transient, certainly not sent.
        (Err(Failure::BeforeSend(Fault::Unreachable)), later(Fault::Unreachable)),
        (answer(429, ""), later(Fault::Busy)),
        // Transient, outcome unknown.
        (Err(Failure::AfterSend(Fault::TimedOut)), unknown(Fault::TimedOut)),
        (Err(Failure::AfterSend(Fault::ConnectionLost)), unknown(Fault::ConnectionLost)),
        (answer(200, ""), unknown(Fault::NotUnderstood)),
        (answer(200, "<html>"), unknown(Fault::NotUnderstood)),
        (answer(200, r#"{"result":[]}"#), unknown(Fault::NotUnderstood)),
        // Transient, bounded.
        (error("NO_ROUTE_AVAILABLE"), later(Fault::NoRoute)),
        (error("SOMETHING_NEW"), later(Fault::Other("SOMETHING_NEW".into()))),
        // Success.
        (answer(200, r#"{"status":"SUCCESS"}"#), Verdict::Sent { afilnet_id: None }),
    ];
    for code in ["MISSING_USER", "MISSING_PASSWORD", "INCORRECT_USER_PASSWORD"] {
        table.push((error(code), later(Fault::Credentials(code.into()))));
    }
    for code in ["MISSING_CLASS", "MISSING_METHOD", "INCORRECT_CLASS", "INCORRECT_METHOD"] {
        table.push((error(code), later(Fault::WrongService(code.into()))));
    }
    for http in [301, 302, 303, 307, 308] {
        table.push((answer(http, ""), later(Fault::WrongService(format!("http_{http}")))));
    }
    for http in [400, 413, 414] {
        table.push((answer(http, "<html>"), refused(Fault::Http(http))));
    }
    for http in [408, 500, 502, 503, 504, 405, 422, 599, 100] {
        table.push((answer(http, "<html>"), unknown(Fault::Http(http))));
    }
    table
}

#[test]
fn every_line_of_the_table_gives_its_verdict() {
    for (outcome, verdict) in table() {
        assert_eq!(classify(&outcome), verdict, "{outcome:?}");
    }
}

#[test]
fn a_read_fails_for_the_same_reasons_but_for_a_missing_chat() {
    for (outcome, verdict) in table() {
        let read = classify_read(&outcome);
        match verdict {
            Verdict::Sent { .. } | Verdict::Refused { fault: Fault::ChatNotFound } => assert_eq!(read, Ok(Value::Null)),
            Verdict::NotSent { fault, .. } | Verdict::Refused { fault } | Verdict::Unknown { fault } => {
                assert_eq!(read, Err(ReadError { fault, asked: None }));
            }
        }
    }
}

#[test]
fn an_envelope_of_error_wins_over_every_status() {
    let body = r#"{"status":"ERROR","error":"NO_CREDITS"}"#;
    for http in (100..600).step_by(1) {
        assert_eq!(classify(&answer(http, body)), later(Fault::NoCredits), "{http}");
    }
}

#[test]
fn success_counts_only_with_a_status_of_success() {
    for http in 100..600 {
        let sent = matches!(classify(&answer(http, r#"{"status":"SUCCESS"}"#)), Verdict::Sent { .. });
        assert_eq!(sent, (200..300).contains(&http), "{http}");
    }
}

#[test]
fn a_body_that_ends_early_leaves_the_status_to_speak() {
    let cut = |http, fault: Fault| Ok(HttpResponse { http, asked: None, content_type: None, body: Err(fault) });
    assert_eq!(classify(&cut(200, Fault::TimedOut)), unknown(Fault::TimedOut));
    assert_eq!(classify(&cut(200, Fault::NotUnderstood)), unknown(Fault::NotUnderstood));
    assert_eq!(classify(&cut(502, Fault::ConnectionLost)), unknown(Fault::Http(502)));
    assert_eq!(classify(&cut(401, Fault::ConnectionLost)), later(Fault::Credentials("http_401".into())));
    assert_eq!(classify_read(&cut(200, Fault::ConnectionLost)).unwrap_err().fault, Fault::ConnectionLost);
}

#[test]
fn the_wait_that_was_asked_for_stands() {
    let asked = Some(Duration::from_secs(9));
    let answer = |http| Ok(HttpResponse { http, asked, content_type: None, body: Ok(vec![]) });
    assert_eq!(classify(&answer(429)), Verdict::NotSent { fault: Fault::Busy, asked });
    assert_eq!(classify_read(&answer(503)), Err(ReadError { fault: Fault::Http(503), asked }));
}
