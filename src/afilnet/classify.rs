//! The one place where an answer, or the lack of one, becomes a verdict: the table of afilnet.md section 4. Pure but for
//! its log lines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;

use super::wire::{self, Answered, Envelope};
use super::withheld::{UNKNOWN_ERROR, Withheld};
use crate::domain::{Fault, ReadError, Verdict};

/// What one call brought.
pub(super) type Outcome = Result<HttpResponse, Failure>;

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct HttpResponse {
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

/// What became of a send. SUCCESS means that Afilnet took it, not that it was delivered (afilnet.md 3.2). `withheld`: the
/// values of the call.
pub(super) fn classify(outcome: Outcome, withheld: &Withheld) -> Verdict {
    let asked = asked(&outcome);
    match result(outcome, withheld, |result| wire::sent_id(&wire::value(result))) {
        Ok(afilnet_id) => Verdict::Sent { afilnet_id },
        Err((Effect::NoneYet, fault)) => Verdict::NotSent { fault, asked },
        Err((Effect::NoneEver, fault)) => Verdict::Refused { fault },
        Err((Effect::Unclear, fault)) => Verdict::Unknown { fault },
    }
}

/// What `read` makes of a read's `result`; where that is nothing, the answer was not understood, and proves nothing, least
/// of all an empty conversation. `CHAT_NOT_FOUND` is no error but the absence of conversations (afilnet.md 3.4): no result.
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

/// What `read` makes of the `result` of a success, or what anything else means.
fn result<T>(
    outcome: Outcome,
    withheld: &Withheld,
    read: impl Fn(Option<&RawValue>) -> T,
) -> Result<T, (Effect, Fault)> {
    let HttpResponse { http, body, .. } = outcome.map_err(|failure| match failure {
        Failure::Before(fault) => (Effect::NoneYet, fault),
        Failure::After(fault) => (Effect::Unclear, fault),
        Failure::Impossible(fault) => (Effect::NoneEver, fault),
    })?;
    let body = body.map_err(|fault| by_status(http, &fault))?;
    let not_understood = || by_status(http, &Fault::NotUnderstood);
    // An envelope between other words may be a quotation of the call's own.
    let answered = Answered::new(body, withheld.may_hold_an_envelope()).ok_or_else(not_understood)?;
    if let Some(noise) = &answered.noise {
        report(noise, withheld);
    }
    match answered.envelope().ok_or_else(not_understood)? {
        Envelope::Success(result) if (200..300).contains(&http) => Ok(read(result)),
        // Success in words and failure in the status contradict each other.
        Envelope::Success(_) => Err((Effect::Unclear, Fault::Http(http))),
        Envelope::Error(error) => Err(by_code(error.trim(), http, answered.noise.is_some(), withheld)),
    }
}

/// Answers with noise so far, in this process.
static NOISY: AtomicU64 = AtomicU64::new(0);

/// Says that an envelope had noise around it. Such an answer may come with every call, so only each doubling of their
/// number is a line.
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

/// An ERROR envelope: nothing was sent (afilnet.md section 4), whatever the HTTP status. Its code may be repeated only
/// where it is one. `noisy`: a code that nobody documents, beside errors of Afilnet's own, may come from anywhere in its
/// work, also from behind the send.
fn by_code(error: &str, http: u16, noisy: bool, withheld: &Withheld) -> (Effect, Fault) {
    let known = error.to_ascii_uppercase();
    match known.as_str() {
        "MISSING_COMPULSORY_PARAM" => (Effect::NoneEver, Fault::MissingParam),
        "INCORRECT_FILETYPE" => (Effect::NoneEver, Fault::FileType),
        "INCORRECT_FILEURL" => (Effect::NoneEver, Fault::FileUrl),
        // The contract's one repair, sending again without `thumburl`, has nothing to leave out: none is ever sent.
        "INCORRECT_THUMBURL" => (Effect::NoneEver, Fault::ThumbUrl),
        "CHAT_NOT_FOUND" => (Effect::NoneEver, Fault::ChatNotFound),
        "MISSING_USER" | "MISSING_PASSWORD" | "INCORRECT_USER_PASSWORD" => (Effect::NoneYet, Fault::Credentials(known)),
        "NO_CREDITS" => (Effect::NoneYet, Fault::NoCredits),
        "MISSING_CLASS" | "MISSING_METHOD" | "INCORRECT_CLASS" | "INCORRECT_METHOD" => {
            (Effect::NoneYet, Fault::WrongService(known))
        }
        "CHANNEL_NOT_FOUND" => (Effect::NoneYet, Fault::ChannelNotFound),
        "NO_ROUTE_AVAILABLE" => (Effect::NoneYet, Fault::NoRoute),
        // A code that nobody documents, beside a status that says the same and more: 401, 429, …
        _ => match by_status(http, &Fault::NotUnderstood) {
            (Effect::NoneYet, fault) => (Effect::NoneYet, fault),
            _ if noisy => (Effect::Unclear, Fault::Other(undocumented(error, withheld))),
            _ => (Effect::NoneYet, Fault::Other(undocumented(error, withheld))),
        },
    }
}

/// The code of an error that nobody documents.
fn undocumented(error: &str, withheld: &Withheld) -> String {
    let code = if error.is_empty() { "ERROR".to_owned() } else { withheld.code(error) };
    if code == UNKNOWN_ERROR && tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(beginning = withheld.shown(error), "Afilnet gave a reason that is no code of its own");
    }
    code
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
