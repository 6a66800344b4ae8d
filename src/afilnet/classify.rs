//! Turns responses, or their absence, into verdicts: the table of afilnet.md section 4. Pure, except for its log lines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;

use super::wire::{self, Envelope, ParsedResponse};
use super::withheld::{UNKNOWN_ERROR, Withheld};
use crate::domain::{Fault, ReadError, Verdict};

/// Result of one call.
pub(super) type Outcome = Result<HttpResponse, Failure>;

/// An HTTP response.
#[derive(Debug)]
pub(super) struct HttpResponse {
    /// HTTP status.
    pub(super) http: u16,
    /// The wait that `Retry-After` asks for.
    pub(super) asked: Option<Duration>,
    /// Its type and character set, as they were declared.
    pub(super) content_type: Option<String>,
    /// The body, or why it could not be read to its end.
    pub(super) body: Result<Vec<u8>, Fault>,
}

/// No HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Before the first byte of the request was sent; a retry may succeed.
    BeforeSend(Fault),
    /// After the first byte.
    AfterSend(Fault),
    /// The call cannot be made at all.
    Impossible(Fault),
}

/// What a failed call did at Afilnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing; a retry may succeed.
    NoneYet,
    /// Nothing, and a retry would not either.
    NoneEver,
    /// A byte was sent, and the effect is unknown.
    Unknown,
}

/// Returns the verdict on a send. SUCCESS means that Afilnet accepted it, not that it was delivered (afilnet.md 3.2).
/// `withheld`: the values of the call.
pub(super) fn classify(outcome: Outcome, withheld: &Withheld) -> Verdict {
    let asked = asked(&outcome);
    match result(outcome, withheld, |result| wire::sent_id(&wire::value(result))) {
        Ok(afilnet_id) => Verdict::Sent { afilnet_id },
        Err((Effect::NoneYet, fault)) => Verdict::NotSent { fault, asked },
        Err((Effect::NoneEver, fault)) => Verdict::Refused { fault },
        Err((Effect::Unknown, fault)) => Verdict::Unknown { fault },
    }
}

/// Returns what `read` makes of a read's `result`; if that is `None`, the response was not understood and proves
/// nothing, in particular no empty conversation. `CHAT_NOT_FOUND` is not an error but the absence of conversations
/// (afilnet.md 3.4): no result.
pub(super) fn classify_read<T>(
    outcome: Outcome,
    withheld: &Withheld,
    read: impl Fn(Option<&RawValue>) -> Option<T>,
) -> Result<T, ReadError> {
    let asked = asked(&outcome);
    let read = match result(outcome, withheld, &read) {
        Ok(read) => read,
        Err((_, Fault::ChatNotFound)) => read(None),
        Err((_, fault)) => return Err(ReadError { fault, asked }),
    };
    read.ok_or(ReadError { fault: Fault::NotUnderstood, asked: None })
}

fn asked(outcome: &Outcome) -> Option<Duration> {
    outcome.as_ref().ok().and_then(|answer| answer.asked)
}

/// Returns what `read` makes of the `result` of a success, or the fault of any other response.
fn result<T>(
    outcome: Outcome,
    withheld: &Withheld,
    read: impl Fn(Option<&RawValue>) -> T,
) -> Result<T, (Effect, Fault)> {
    let HttpResponse { http, body, .. } = outcome.map_err(|failure| match failure {
        Failure::BeforeSend(fault) => (Effect::NoneYet, fault),
        Failure::AfterSend(fault) => (Effect::Unknown, fault),
        Failure::Impossible(fault) => (Effect::NoneEver, fault),
    })?;
    let body = body.map_err(|fault| by_status(http, &fault))?;
    let not_understood = || by_status(http, &Fault::NotUnderstood);
    // An envelope inside other text may be a quotation of the call.
    let answered = ParsedResponse::new(body, withheld.may_hold_an_envelope()).ok_or_else(not_understood)?;
    if let Some(noise) = &answered.noise {
        report(noise, withheld);
    }
    match answered.envelope().ok_or_else(not_understood)? {
        Envelope::Success(result) if (200..300).contains(&http) => Ok(read(result)),
        // Success in the envelope and failure in the status contradict each other.
        Envelope::Success(_) => Err((Effect::Unknown, Fault::Http(http))),
        Envelope::Error(error) => Err(by_code(error.trim(), http, answered.noise.is_some(), withheld)),
    }
}

/// Responses with noise so far, in this process.
static NOISY: AtomicU64 = AtomicU64::new(0);

/// Logs that an envelope had noise around it. Every call may have such a response, so only each doubling of their
/// number is logged.
fn report(noise: &str, withheld: &Withheld) {
    let total = NOISY.fetch_add(1, Ordering::Relaxed) + 1;
    if total.is_power_of_two() {
        let beginning = withheld.shown(noise);
        tracing::warn!(
            answers = total,
            beginning,
            "Afilnet put other words around its answer, which was read all the same; they begin: {beginning}. Tell \
             Afilnet: its service shows errors of its own ({total} such answers since the start)"
        );
    }
}

/// Codes that afilnet.md section 4 names: of its methods, or of another class that may leak in.
pub(super) const DOCUMENTED: &[&str] = &[
    "MISSING_USER",
    "MISSING_PASSWORD",
    "MISSING_CLASS",
    "MISSING_METHOD",
    "MISSING_COMPULSORY_PARAM",
    "INCORRECT_USER_PASSWORD",
    "INCORRECT_CLASS",
    "INCORRECT_METHOD",
    "CHANNEL_NOT_FOUND",
    "CHAT_NOT_FOUND",
    "INCORRECT_FILETYPE",
    "INCORRECT_FILEURL",
    "INCORRECT_THUMBURL",
    "NO_CREDITS",
    "NO_ROUTE_AVAILABLE",
    "NOT_ACCESS_TO_TEMPLATE",
    "INCORRECT_TYPE",
    "MISSING_MAIN_FIELD",
];

/// Returns whether the contract names this code.
pub(super) fn is_documented(code: &str) -> bool {
    DOCUMENTED.contains(&code)
}

/// Returns the meaning of an ERROR envelope: nothing was sent (afilnet.md section 4), whatever the HTTP status.
/// `noisy`: with PHP errors around it, an undocumented code may come from any step, also from one after the send.
fn by_code(error: &str, http: u16, noisy: bool, withheld: &Withheld) -> (Effect, Fault) {
    let known = error.to_ascii_uppercase();
    match known.as_str() {
        "MISSING_COMPULSORY_PARAM" => (Effect::NoneEver, Fault::MissingParam),
        "INCORRECT_FILETYPE" => (Effect::NoneEver, Fault::FileType),
        "INCORRECT_FILEURL" => (Effect::NoneEver, Fault::FileUrl),
        // The contract's remedy, sending again without `thumburl`, does not apply: it is never sent.
        "INCORRECT_THUMBURL" => (Effect::NoneEver, Fault::ThumbUrl),
        "CHAT_NOT_FOUND" => (Effect::NoneEver, Fault::ChatNotFound),
        "MISSING_USER" | "MISSING_PASSWORD" | "INCORRECT_USER_PASSWORD" => (Effect::NoneYet, Fault::Credentials(known)),
        "NO_CREDITS" => (Effect::NoneYet, Fault::NoCredits),
        "MISSING_CLASS" | "MISSING_METHOD" | "INCORRECT_CLASS" | "INCORRECT_METHOD" => {
            (Effect::NoneYet, Fault::WrongService(known))
        }
        "CHANNEL_NOT_FOUND" => (Effect::NoneYet, Fault::ChannelNotFound),
        "NO_ROUTE_AVAILABLE" => (Effect::NoneYet, Fault::NoRoute),
        // An undocumented code with a status that is more specific: 401, 429, …
        _ => match by_status(http, &Fault::NotUnderstood) {
            (Effect::NoneYet, fault) => (Effect::NoneYet, fault),
            _ if noisy => (Effect::Unknown, Fault::Other(undocumented(error, withheld))),
            _ => (Effect::NoneYet, Fault::Other(undocumented(error, withheld))),
        },
    }
}

/// Returns an undocumented code, if it may be shown.
fn undocumented(error: &str, withheld: &Withheld) -> String {
    let code = if error.is_empty() { "ERROR".to_owned() } else { withheld.code(error) };
    if code == UNKNOWN_ERROR && tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(beginning = withheld.shown(error), "Afilnet gave a reason that is no code of its own");
    }
    code
}

/// Returns the meaning of a response without an envelope. `not_understood`: the fault for a status that alone would
/// mean success.
fn by_status(http: u16, not_understood: &Fault) -> (Effect, Fault) {
    match http {
        200..300 => (Effect::Unknown, not_understood.clone()),
        300..400 | 404 => (Effect::NoneYet, Fault::WrongService(format!("http_{http}"))),
        400 | 413 | 414 => (Effect::NoneEver, Fault::Http(http)),
        401 => (Effect::NoneYet, Fault::Credentials("http_401".into())),
        403 => (Effect::NoneYet, Fault::Forbidden),
        429 => (Effect::NoneYet, Fault::Busy),
        // 408, 5xx, and what the contract does not name: the effect is unknown.
        _ => (Effect::Unknown, Fault::Http(http)),
    }
}
