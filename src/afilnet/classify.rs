//! The one place where an answer, or the lack of one, becomes a verdict: the table of afilnet.md section 4. Pure.

use std::time::Duration;

use serde_json::Value;

use super::wire::{self, Envelope};
use crate::domain::{Fault, ReadError, Verdict};

/// What one call brought.
pub(super) type Outcome = Result<Answer, Failure>;

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) http: u16,
    /// The wait that `Retry-After` asks for.
    pub(super) asked: Option<Duration>,
    /// The body, or why it could not be read to its end.
    pub(super) body: Result<Vec<u8>, Fault>,
}

/// No HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Before the first byte of the request left; another time it may.
    Before(Fault),
    /// After it.
    After(Fault),
    /// The call cannot be made at all.
    Impossible(Fault),
}

/// What a call without a result did at the far side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing; another time it may succeed.
    NoneYet,
    /// Nothing, and it never will.
    NoneEver,
    /// A byte left, and nothing is sure.
    Unclear,
}

/// What became of a send. SUCCESS means that Afilnet took it, not that it was delivered (afilnet.md 3.2).
pub(super) fn classify(outcome: &Outcome) -> Verdict {
    match result(outcome) {
        Ok(result) => Verdict::Sent { afilnet_id: wire::sent_id(&result) },
        Err((Effect::NoneYet, fault)) => Verdict::NotSent { fault, asked: asked(outcome) },
        Err((Effect::NoneEver, fault)) => Verdict::Refused { fault },
        Err((Effect::Unclear, fault)) => Verdict::Unknown { fault },
    }
}

/// The `result` of a read. `CHAT_NOT_FOUND` is no error but the absence of conversations (afilnet.md 3.4): `Null`.
pub(super) fn classify_read(outcome: &Outcome) -> Result<Value, ReadError> {
    match result(outcome) {
        Ok(result) => Ok(result),
        Err((_, Fault::ChatNotFound)) => Ok(Value::Null),
        Err((_, fault)) => Err(ReadError { fault, asked: asked(outcome) }),
    }
}

fn asked(outcome: &Outcome) -> Option<Duration> {
    outcome.as_ref().ok().and_then(|answer| answer.asked)
}

/// The `result` of a success, or what anything else means.
fn result(outcome: &Outcome) -> Result<Value, (Effect, Fault)> {
    let answer = outcome.as_ref().map_err(|failure| match failure.clone() {
        Failure::Before(fault) => (Effect::NoneYet, fault),
        Failure::After(fault) => (Effect::Unclear, fault),
        Failure::Impossible(fault) => (Effect::NoneEver, fault),
    })?;
    match answer.body.as_deref().map(wire::envelope) {
        Ok(Some(Envelope::Success(result))) if (200..300).contains(&answer.http) => Ok(result),
        // Success in words and failure in the status contradict each other.
        Ok(Some(Envelope::Success(_))) => Err((Effect::Unclear, Fault::Http(answer.http))),
        Ok(Some(Envelope::Error(code))) => Err(by_code(code, answer.http)),
        Ok(None) => Err(by_status(answer.http, &Fault::NotUnderstood)),
        Err(fault) => Err(by_status(answer.http, fault)),
    }
}

/// An ERROR envelope: nothing was sent (afilnet.md section 4), whatever the HTTP status.
fn by_code(code: String, http: u16) -> (Effect, Fault) {
    match code.to_ascii_uppercase().as_str() {
        "MISSING_COMPULSORY_PARAM" => (Effect::NoneEver, Fault::MissingParam),
        "INCORRECT_FILETYPE" => (Effect::NoneEver, Fault::FileType),
        "INCORRECT_FILEURL" => (Effect::NoneEver, Fault::FileUrl),
        // The contract's one repair, sending again without `thumburl`, has nothing to leave out: none is ever sent.
        "INCORRECT_THUMBURL" => (Effect::NoneEver, Fault::ThumbUrl),
        "CHAT_NOT_FOUND" => (Effect::NoneEver, Fault::ChatNotFound),
        "MISSING_USER" | "MISSING_PASSWORD" | "INCORRECT_USER_PASSWORD" => (Effect::NoneYet, Fault::Credentials(code)),
        "NO_CREDITS" => (Effect::NoneYet, Fault::NoCredits),
        "MISSING_CLASS" | "MISSING_METHOD" | "INCORRECT_CLASS" | "INCORRECT_METHOD" => {
            (Effect::NoneYet, Fault::WrongService(code))
        }
        "CHANNEL_NOT_FOUND" => (Effect::NoneYet, Fault::ChannelNotFound),
        "NO_ROUTE_AVAILABLE" => (Effect::NoneYet, Fault::NoRoute),
        // A code that nobody documents, beside a status that says the same and more: 401, 429, …
        _ => match by_status(http, &Fault::NotUnderstood) {
            (Effect::NoneYet, fault) => (Effect::NoneYet, fault),
            _ if code.is_empty() => (Effect::NoneYet, Fault::Other("ERROR".into())),
            _ => (Effect::NoneYet, Fault::Other(code)),
        },
    }
}

/// An answer without an envelope. `unclear`: what to say of a status that alone would mean success.
fn by_status(http: u16, unclear: &Fault) -> (Effect, Fault) {
    match http {
        200..300 => (Effect::Unclear, unclear.clone()),
        300..400 | 404 => (Effect::NoneYet, Fault::WrongService(format!("http_{http}"))),
        400 | 413 | 414 => (Effect::NoneEver, Fault::Http(http)),
        401 => (Effect::NoneYet, Fault::Credentials("http_401".into())),
        403 => (Effect::NoneYet, Fault::Forbidden),
        429 => (Effect::NoneYet, Fault::Busy),
        // 408, 5xx, and what the contract does not name: a byte left, and nothing is sure.
        _ => (Effect::Unclear, Fault::Http(http)),
    }
}
