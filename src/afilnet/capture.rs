//! Answers of Afilnet as they are, for `bridge doctor --capture`; and what of them parsers depend on.

use std::time::Duration;

use serde_json::value::RawValue;

use super::classify::{DOCUMENTED, Failure, Outcome};
use super::intake::Intake;
use super::{AfilnetClient, wire};
use crate::domain::redaction::Rules;
use crate::domain::{AfilnetRow, Destination, Fault};

/// A call that only reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question<'a> {
    Balance,
    Channels,
    Chats,
    /// Reading may clear the mark of what is unread (afilnet.md 3.5).
    Messages(&'a Destination),
}

/// What was asked and answered.
#[derive(Debug, Clone)]
pub(crate) struct CapturedCall {
    pub(crate) method: &'static str,
    /// Names of the parameters, without credentials.
    pub(crate) parameters: Vec<String>,
    /// The body, in UTF-8 and out of its SOAP envelope as the parsers get it, or why there is none.
    pub(crate) answer: Result<CapturedResponse, Fault>,
}

/// An answer with a body.
#[derive(Debug, Clone)]
pub(crate) struct CapturedResponse {
    pub(crate) http: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Words that rows and envelopes hold in place of codes.
const WORDS: &[&str] = &[
    "success",
    "error",
    "true",
    "false",
    "yes",
    "no",
    "pending",
    "queued",
    "sent",
    "delivered",
    "read",
    "failed",
    "webchat",
    "whatsapp",
    "telegram",
    "instagram",
    "messenger",
    "facebook",
];

/// Fields and words of afilnet.md sections 2.1, 3 and 4.
pub(crate) const RULES: Rules = Rules {
    codes: &[("status", 16), ("error", 60), ("platform", 16), ("sent", 16), ("issent", 16), ("type", 16)],
    words: [WORDS, DOCUMENTED],
    bare: &["status"],
    times: &["datetime"],
    texts: &["message"],
    places: &[],
};

impl AfilnetClient {
    /// Asks once, and returns the answer whatever it is.
    pub(crate) async fn answer(&self, question: Question<'_>) -> CapturedCall {
        let parameters = match question {
            Question::Balance => vec![("class", "user"), ("method", "getbalance")],
            Question::Channels => vec![("class", "chat"), ("method", "getchatchannels")],
            Question::Chats => self.of_channel("getchats"),
            Question::Messages(of) => {
                let mut parameters = self.of_channel("getmessages");
                parameters.push(("destination", of.as_str()));
                parameters
            }
        };
        let method = match question {
            Question::Balance => "getbalance",
            Question::Channels => "getchatchannels",
            Question::Chats => "getchats",
            Question::Messages(_) => "getmessages",
        };
        let outcome = self.exchange(&parameters, &mut Intake::of(self.answer_limit)).await;
        let parameters = parameters.iter().map(|(name, _)| (*name).to_owned()).collect();
        CapturedCall { method, parameters, answer: body(outcome) }
    }

    /// Returns the rows of an answer to `getchats`; none where it has none.
    pub(crate) fn rows(&self, answer: &CapturedResponse) -> Vec<AfilnetRow> {
        let Some(answered) = wire::ParsedResponse::new(answer.body.clone(), false) else { return Vec::new() };
        let result: Option<&RawValue> = match answered.envelope() {
            Some(wire::Envelope::Success(result)) => result,
            Some(wire::Envelope::Error(_)) | None => None,
        };
        wire::rows(result, None, &self.zone).map(|read| read.rows).unwrap_or_default()
    }
}

fn body(outcome: Outcome) -> Result<CapturedResponse, Fault> {
    match outcome {
        Ok(answer) => {
            let (http, retry_after, content_type) = (answer.http, answer.asked, answer.content_type);
            Ok(CapturedResponse { http, retry_after, content_type, body: answer.body? })
        }
        Err(Failure::BeforeSend(fault) | Failure::AfterSend(fault) | Failure::Impossible(fault)) => Err(fault),
    }
}
