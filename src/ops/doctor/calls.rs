//! Calls of `/message` that a running bridge gets, for `--capture`: asked of its admin listener, which hands them out without
//! persons.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::probe::{self, ProbeRequest};
use crate::bonychat::capture::RULES;
use crate::config::Config;
use crate::domain::redaction::Rules;
use crate::ops::local::on_this_machine;
use crate::ops::sign_in::LEAST_TOKEN;
use crate::telemetry::harmless;

/// An answer or a call of a platform, to be redacted.
pub(super) struct CapturedBody {
    /// File name without its end.
    pub(super) file: String,
    pub(super) case: Value,
    pub(super) body: Vec<u8>,
    pub(super) rules: &'static Rules,
}

/// The bridge's response.
#[derive(Deserialize)]
struct CapturedCalls {
    calls: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    kind: String,
    channel: String,
    length: usize,
    content_type: Option<String>,
    raw: Option<String>,
    hex: Option<String>,
}

/// Returns the token of the admin listener.
///
/// # Errors
/// There is none that opens the API.
pub(super) fn token(config: &Config) -> Result<&str, String> {
    let token = config.admin.token.as_ref().map(ExposeSecret::expose_secret).filter(|token| token.len() >= LEAST_TOKEN);
    token.ok_or_else(|| {
        format!(
            "--calls asks the bridge that runs, and needs admin.token: it is not set, or has fewer than {LEAST_TOKEN} characters. \
             Set one and restart the bridge, or leave --calls out. Nothing was asked"
        )
    })
}

/// Returns the first calls of each kind that the bridge on this machine gets within this time. `limit` is for its answer then.
///
/// # Errors
/// Why it keeps none, in words.
pub(super) async fn received(config: &Config, within: Duration, limit: Duration) -> Result<Vec<CapturedBody>, String> {
    let (token, address) = (token(config)?, on_this_machine(config.admin.listen));
    let path = format!("http://{address}/api/v1/calls?seconds={}", within.as_secs().max(1));
    let url = Url::parse(&path).map_err(|error| error.to_string())?;
    let client = probe::client(within + limit, &[]).map_err(|error| error.to_string())?;
    let asked = probe::call(&client, Method::POST, &url, ProbeRequest { bearer: Some(token), json: None }).await;
    let answer = asked.map_err(|cause| {
        format!(
            "the bridge on this machine cannot be asked for its calls ({cause}): is it running, with this admin.listen? Start it, or \
             leave --calls out. Nothing was written"
        )
    })?;
    let why = match answer.status {
        StatusCode::OK => {
            let answered: CapturedCalls = serde_json::from_str(&answer.body)
                .map_err(|_| "the bridge's answer cannot be read: another version runs. Restart it".to_owned())?;
            return Ok(answered.calls.into_iter().filter_map(|one| taken(config, one)).collect());
        }
        StatusCode::UNAUTHORIZED => "it runs with another admin.token: restart it, or set the same one here".to_owned(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "another version runs: restart it".to_owned(),
        status => format!("HTTP {}: {}", status.as_u16(), harmless(answer.body.trim())),
    };
    Err(format!("the bridge at {address} keeps no calls: {why}. Nothing was written"))
}

fn taken(config: &Config, one: One) -> Option<CapturedBody> {
    let One { kind, channel, length, content_type, raw, hex } = one;
    let of = config.channels.values().find(|known| known.name.as_str() == channel)?;
    let body = raw.map(String::into_bytes).or_else(|| bytes(&hex?))?;
    let mut case = json!({
        "name": format!("a call of a live account: {kind}"), "kind": kind, "id_type": of.id_type, "length": length,
    });
    if let Some(content_type) = content_type {
        case["content_type"] = content_type.into();
    }
    let file = format!("bonychat-message-{}-{}", kind.replace('/', ""), of.name);
    Some(CapturedBody { file, case, body, rules: &RULES })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}
