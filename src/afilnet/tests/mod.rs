//! Tests of the room as a whole: recorded answers, the table of verdicts, the wording of calls, and the wire itself.

mod calls;
mod captures;
mod carriage;
mod charsets;
mod fuzz;
mod golden;
mod json_and_soap;
mod lease_deadline;
mod listener;
mod responses;
mod verdicts;

use std::time::Duration;

use serde_json::Value;

use super::*;

/// Returns the verdict on a send, with no values withheld.
fn classify(outcome: &Outcome) -> Verdict {
    super::classify::classify(copy(outcome), &Withheld::default())
}

/// Returns the result of a read; `Null` if there is none.
fn classify_read(outcome: &Outcome) -> Result<Value, ReadError> {
    super::classify::classify_read(copy(outcome), &Withheld::default(), |result| Some(wire::value(result)))
}

fn copy(outcome: &Outcome) -> Outcome {
    let answer = outcome.as_ref().map_err(Clone::clone)?;
    Ok(super::classify::HttpResponse {
        http: answer.http,
        asked: answer.asked,
        content_type: None,
        body: answer.body.clone(),
    })
}

/// Returns a result as it is in a response.
fn raw(result: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(result).unwrap()
}

fn not_understood() -> ReadError {
    ReadError { fault: Fault::NotUnderstood, asked: None }
}

/// A channel with Afilnet at `url`.
fn channel(url: &str, transport: config::Transport) -> config::Channel {
    let mut channel = config::testing::channel(url, "https://bonychat.example/hook");
    channel.afilnet.transport = transport;
    channel
}

fn outbound() -> config::OutboundConfig {
    config::OutboundConfig {
        answer_within: Duration::from_secs(5),
        live_for: Duration::from_mins(15),
        stale_after: None,
        on_unconfirmed: config::OnUnconfirmed::Fail,
        look_after: vec![Duration::from_secs(5)],
        number_quick_replies: true,
        location_text:
            "{address}\n{latitude},{longitude}\nhttps://www.google.com/maps/search/?api=1&query={latitude},{longitude}"
                .into(),
    }
}

fn client_of(channel: &config::Channel) -> AfilnetClient {
    let http = client(channel.afilnet.timeout, &[]).unwrap();
    AfilnetClient::new(channel, &outbound(), Language::En, http, &AccessTokens::default())
}

fn text(words: &str) -> Content {
    Content::Text { text: crate::domain::content::Text::new(words).unwrap() }
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
