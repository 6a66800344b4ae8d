//! What an answer of the webhook means (bonychat.md section 2.5 and A30; design.md section 4, step 5), and how much of it
//! is fit for a log.

use std::time::Duration;

use reqwest::StatusCode;

use crate::domain::{Delivery, Fault};

/// Characters of an answer that go to the log (A30).
const SHOWN_CHARS: usize = 500;

/// What a status means. Faults of the channel's set-up (token, address) are tried again, as they heal without a change
/// of the message; their scope tells the publisher to stop the channel meanwhile.
pub(super) fn delivery(status: StatusCode, asked: Option<Duration>) -> Delivery {
    let code = status.as_u16();
    match code {
        200..=299 => Delivery::Done,
        429 => Delivery::Again { fault: Fault::Busy, asked },
        401 => Delivery::Again { fault: Fault::Credentials("http_401".into()), asked },
        403 => Delivery::Again { fault: Fault::Forbidden, asked },
        300..=399 | 404 => Delivery::Again { fault: Fault::WrongService(format!("http_{code}")), asked },
        408 | 425 | 500.. => Delivery::Again { fault: Fault::Http(code), asked },
        400..=499 => Delivery::Refused { fault: Fault::Http(code) },
        ..200 => Delivery::Again { fault: Fault::NotUnderstood, asked },
    }
}

/// What it means that no answer came.
pub(super) fn no_answer(error: &reqwest::Error) -> Delivery {
    let fault = match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => Fault::WrongService("bad_address".into()), // never sent: see `kept`
        (true, _) if about_certificate(error) => Fault::Certificate,
        (true, _) => Fault::Unreachable,
        (false, true) => Fault::TimedOut,
        (false, false) => Fault::ConnectionLost,
    };
    Delivery::Again { fault, asked: None }
}

/// Whether the far side's certificate is what failed. rustls says so in words alone: its error type is two packages
/// down and no part of reqwest's interface.
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

/// The start of an answer for the log: foreign text, so without control characters, and without the token should the
/// far side repeat it.
pub(super) fn shown(body: &[u8], token: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let text = if token.is_empty() { text.into_owned() } else { text.replace(token, "[token]") };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS).collect()
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
            (405, Delivery::Refused { fault: Fault::Http(405) }),
            (408, again(Fault::Http(408))),
            (413, Delivery::Refused { fault: Fault::Http(413) }),
            (422, Delivery::Refused { fault: Fault::Http(422) }),
            (425, again(Fault::Http(425))),
            (429, again(Fault::Busy)),
            (499, Delivery::Refused { fault: Fault::Http(499) }),
            (500, again(Fault::Http(500))),
            (503, again(Fault::Http(503))),
            (599, again(Fault::Http(599))),
            (999, again(Fault::Http(999))),
            (101, again(Fault::NotUnderstood)),
        ] {
            assert_eq!(delivery(StatusCode::from_u16(code).unwrap(), asked), expected, "{code}");
        }
    }

    #[test]
    fn an_answer_is_cleaned_before_it_is_shown() {
        assert_eq!(shown(b"a\x1b[31m\r\nb\xff", "secret"), "a [31m  b\u{fffd}");
        assert_eq!(shown(b"Bearer s3cret!", "s3cret"), "Bearer [token]!");
        assert_eq!(shown("ñ".repeat(600).as_bytes(), "").chars().count(), 500);
    }
}
