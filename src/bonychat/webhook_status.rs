//! What a response of the webhook means (bonychat.md section 2.5 and A30; design.md section 4, step 5), and which parts
//! of it are safe to log.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::domain::{Delivery, Fault};

/// Codes of a response that are logged, at most.
const SHOWN_CODES: usize = 5;
/// Longest text that counts as a code.
const CODE_CHARS: usize = 60;
/// Keys under which responses hold codes.
const CODE_KEYS: [&str; 4] = ["code", "error", "status", "type"];

/// Code of the fault for a web page with a 2xx status.
const WEB_PAGE: &str = "web_page";

/// Returns what a status and the start of the body mean. Faults of the channel's configuration (token, address) are
/// retried, since they heal without a change of the message; their scope stops the channel meanwhile. 405 and 410 are
/// what a moved URL responds to a POST, like 404; 449 is the platform's "queued, try again". For the other 4xx, one
/// response does not show whether it is about this event or the channel: the publisher finds that out.
pub(super) fn delivery(status: StatusCode, asked: Option<Duration>, body: &[u8]) -> Delivery {
    let code = status.as_u16();
    match code {
        200..=299 if is_web_page(body) => Delivery::Again { fault: Fault::WrongService(WEB_PAGE.into()), asked },
        200..=299 => Delivery::Done,
        429 => Delivery::Again { fault: Fault::Busy, asked },
        401 => Delivery::Again { fault: Fault::Credentials("http_401".into()), asked },
        403 => Delivery::Again { fault: Fault::Forbidden, asked },
        300..=399 | 404 | 405 | 410 => Delivery::Again { fault: Fault::WrongService(format!("http_{code}")), asked },
        408 | 425 | 449 | 500.. => Delivery::Again { fault: Fault::Http(code), asked },
        400..=499 => Delivery::Refused { fault: Fault::Http(code) },
        ..200 => Delivery::Again { fault: Fault::NotUnderstood, asked },
    }
}

/// Returns whether a body is a web page: a login, a parked domain, a proxy's error page. Decided by its first
/// characters, not by its content type: servers commonly send a plain `OK` as `text/html`, and that is a success.
fn is_web_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let begins = |mark: &[u8]| body.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    [&b"<!doctype html"[..], b"<html", b"<head", b"<body", b"<!--"].into_iter().any(begins)
}

/// Returns what a missing response means.
pub(super) fn no_response(error: &reqwest::Error) -> Delivery {
    let fault = match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => Fault::WrongService("bad_address".into()), // never sent: see `kept`
        (true, _) if about_certificate(error) => Fault::Certificate,
        (true, _) => Fault::Unreachable,
        (false, true) => Fault::TimedOut,
        (false, false) => Fault::ConnectionLost,
    };
    Delivery::Again { fault, asked: None }
}

/// Returns whether the server's certificate failed. Only rustls's text shows it: its error type is not part of
/// reqwest's interface.
fn about_certificate(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.to_string().contains("invalid peer certificate") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns the codes of a response for the log. A response may quote the request, and with it a customer's text and
/// number: only values in JSON under a key for codes that look like a code and were not in the request are shown.
pub(super) fn codes(response: &[u8], request: &[u8]) -> String {
    let mut codes = Vec::new();
    collect(&serde_json::from_slice(response).unwrap_or_default(), &mut codes);
    codes.retain(|code| !request.windows(code.len()).any(|at| at == code.as_bytes()));
    codes.truncate(SHOWN_CODES);
    codes.join(" ")
}

fn collect(value: &Value, codes: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(code) if CODE_KEYS.contains(&key.as_str()) && is_code(code) => codes.push(code.to_owned()),
                    _ => collect(value, codes),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, codes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the texts of a request that its response must not repeat: all but those that the contract names.
pub(super) fn values(request: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    collect_values(&serde_json::from_slice(request).unwrap_or_default(), &mut values);
    values
}

fn collect_values(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().filter(|(key, _)| *key != "type").for_each(|(_, value)| collect_values(value, values));
        }
        Value::Array(all) => all.iter().for_each(|value| collect_values(value, values)),
        Value::String(text) => values.push(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns whether it looks like a code: `INVALID_CHANNEL`, `ERR_4001`.
fn is_code(text: &str) -> bool {
    text.len() <= CODE_CHARS
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        let asked = Some(Duration::from_secs(7));
        let again = |fault| Delivery::Again { fault, asked };
        let wrong = |code: &str| again(Fault::WrongService(code.into()));
        for (code, expected) in [
            (200, Delivery::Done),
            (202, Delivery::Done),
            (204, Delivery::Done),
            (301, wrong("http_301")),
            (308, wrong("http_308")),
            (400, Delivery::Refused { fault: Fault::Http(400) }),
            (401, again(Fault::Credentials("http_401".into()))),
            (403, again(Fault::Forbidden)),
            (404, wrong("http_404")),
            (402, Delivery::Refused { fault: Fault::Http(402) }),
            (405, wrong("http_405")),
            (408, again(Fault::Http(408))),
            (409, Delivery::Refused { fault: Fault::Http(409) }),
            (410, wrong("http_410")),
            (413, Delivery::Refused { fault: Fault::Http(413) }),
            (422, Delivery::Refused { fault: Fault::Http(422) }),
            (425, again(Fault::Http(425))),
            (429, again(Fault::Busy)),
            (449, again(Fault::Http(449))),
            (499, Delivery::Refused { fault: Fault::Http(499) }),
            (500, again(Fault::Http(500))),
            (503, again(Fault::Http(503))),
            (599, again(Fault::Http(599))),
            (999, again(Fault::Http(999))),
            (101, again(Fault::NotUnderstood)),
        ] {
            assert_eq!(delivery(StatusCode::from_u16(code).unwrap(), asked, b"{}"), expected, "{code}");
        }
    }

    #[test]
    fn a_web_page_is_no_success_and_any_other_body_is() {
        let page = Delivery::Again { fault: Fault::WrongService("web_page".into()), asked: None };
        for body in [
            "<!DOCTYPE html><html><body>Sign in</body></html>",
            "\u{feff}\r\n  <!doctype HTML>",
            "<html lang=\"es\">",
            "<!-- parked --><html></html>",
            "<head><title>404</title></head>",
        ] {
            assert_eq!(delivery(StatusCode::OK, None, body.as_bytes()), page, "{body}");
        }
        for body in ["", "OK", "{}", "{\"text\":\"<html>\"}", "null", "<ok/>", "\u{feff}", "ht"] {
            assert_eq!(delivery(StatusCode::OK, None, body.as_bytes()), Delivery::Done, "{body}");
        }
    }

    #[test]
    fn of_an_answer_only_codes_that_the_request_did_not_hold_are_shown() {
        let request = br#"{"channelId":"c","text":"HOLA","contact":"+34600111224"}"#;
        for (response, shown) in [
            (r#"{"error":{"code":"INVALID_CHANNEL","message":"no such channel c"}}"#, "INVALID_CHANNEL"),
            (r#"{"errors":[{"code":"A1"},{"type":"B_2","code":7}],"status":"ERROR"}"#, "A1 B_2 ERROR"),
            (r#"{"error":"HOLA","code":"+34600111224","status":"34600111224","type":"Hola"}"#, ""),
            (r#"{"request":{"text":"HOLA CANARY","type":"text"},"text":"CANARYTEXT4"}"#, ""),
            ("text: CANARYTEXT4 +34600111224", ""),
            ("", ""),
        ] {
            assert_eq!(codes(response.as_bytes(), request), shown, "{response}");
        }
        let long = format!(r#"{{"code":"{}"}}"#, "A".repeat(61));
        assert_eq!(codes(long.as_bytes(), request), "");
    }
}
