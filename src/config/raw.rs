//! The sections as they are read: each key parsed on its own, ranges and lengths validated by `validator`. Rules about
//! two keys are in `check`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ::config::{Map, Value, ValueKind};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;
use validator::{Validate, ValidationError, ValidationErrorsKind};

use super::address::{Networks, Prefix, WebhookUrl};
use super::anna::{FallbackText, FallbackUrl, Hosts, UserIdRule};
use super::layers::{Layers, innermost};
use super::names::ChannelNames;
use super::problems::Problems;
use super::read::{Of, Size, leaf, maybe, plain};
use super::{DirectionBy, FirstRun, Grant, LogContacts, LogFormat, May, OnUnconfirmed, TransportName};
use crate::domain::{ChannelId, IdType, Language, Platform, StatusValue, ids::PlatformId};

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    #[serde(deserialize_with = "leaf")]
    pub(super) listen: SocketAddr,
    #[serde(deserialize_with = "maybe")]
    pub(super) path_prefix: Option<Prefix>,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "request_size"))]
    pub(super) body_limit: Size,
    #[serde(deserialize_with = "maybe")]
    pub(super) trusted_proxies: Option<Networks>,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    #[serde(deserialize_with = "leaf")]
    pub(super) listen: SocketAddr,
    #[serde(deserialize_with = "maybe")]
    pub(super) path_prefix: Option<Prefix>,
    #[serde(deserialize_with = "maybe")]
    pub(super) token: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) token_file: Option<String>,
    /// [`Person`], by name.
    #[serde(default, rename = "people")]
    _people: IgnoredAny,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    #[serde(default, deserialize_with = "maybe")]
    pub(super) token: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) token_file: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) may: Option<May>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) channels: Option<ChannelNames>,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    #[serde(deserialize_with = "maybe")]
    pub(super) url: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) url_file: Option<String>,
    #[serde(deserialize_with = "leaf")]
    pub(super) keep_text: Duration,
    #[serde(deserialize_with = "leaf")]
    pub(super) keep_rows: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "lease"))]
    pub(super) lease: Duration,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Afilnet {
    #[serde(deserialize_with = "leaf")]
    pub(super) url: Url,
    #[serde(deserialize_with = "leaf")]
    pub(super) transport: TransportName,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 200, message = "must be at most 200 characters"))]
    pub(super) user: Option<String>,
    #[serde(deserialize_with = "maybe")]
    pub(super) password: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) password_file: Option<String>,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "call_limit"))]
    pub(super) timeout: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "list_size"))]
    pub(super) answer_limit: Size,
    #[serde(deserialize_with = "maybe")]
    pub(super) ca_file: Option<String>,
    #[serde(deserialize_with = "leaf")]
    pub(super) time_zone: jiff::tz::TimeZone,
    #[serde(deserialize_with = "leaf")]
    #[validate(range(min = 1, max = 100_000, message = "must be 1 to 100000"))]
    pub(super) requests_per_second: u32,
    #[serde(deserialize_with = "leaf")]
    #[validate(range(min = 1, max = 1024, message = "must be 1 to 1024"))]
    pub(super) max_in_flight: u32,
    /// [`AfilnetJson`] and [`AfilnetSoap`].
    #[serde(default, rename = "json")]
    _json: IgnoredAny,
    #[serde(default, rename = "soap")]
    _soap: IgnoredAny,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct AfilnetJson {
    #[serde(deserialize_with = "maybe")]
    pub(super) url: Option<Url>,
    #[serde(deserialize_with = "maybe")]
    pub(super) token_url: Option<Url>,
    #[serde(deserialize_with = "maybe")]
    pub(super) grant: Option<Grant>,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 200, message = "must be at most 200 characters"))]
    pub(super) client_id: Option<String>,
    #[serde(deserialize_with = "maybe")]
    pub(super) client_secret: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) client_secret_file: Option<String>,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 500, message = "must be at most 500 characters"))]
    pub(super) scope: Option<String>,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct AfilnetSoap {
    #[serde(deserialize_with = "maybe")]
    pub(super) url: Option<Url>,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 500, message = "must be at most 500 characters"))]
    pub(super) namespace: Option<String>,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 500, message = "must be at most 500 characters"), custom(function = "header_text"))]
    pub(super) action: Option<String>,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "element_name"))]
    pub(super) operation: String,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Anna {
    #[serde(deserialize_with = "maybe")]
    pub(super) base_url: Option<Url>,
    #[serde(deserialize_with = "maybe")]
    pub(super) company_hash: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) company_hash_file: Option<String>,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 200, message = "must be at most 200 characters"))]
    pub(super) user: Option<String>,
    #[serde(deserialize_with = "maybe")]
    pub(super) password: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) password_file: Option<String>,
    #[serde(deserialize_with = "maybe")]
    pub(super) fallback_url: Option<FallbackUrl>,
    #[serde(deserialize_with = "leaf")]
    pub(super) fallback_pending: FallbackText,
    #[serde(deserialize_with = "leaf")]
    pub(super) user_id: UserIdRule,
    #[serde(deserialize_with = "leaf")]
    pub(super) create_users: bool,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 64, message = "must be at most 64 characters"))]
    pub(super) start_service: Option<String>,
    #[serde(deserialize_with = "maybe")]
    #[validate(length(max = 64, message = "must be at most 64 characters"))]
    pub(super) doc_type: Option<String>,
    #[serde(deserialize_with = "maybe")]
    pub(super) link_hosts: Option<Hosts>,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "budget"))]
    pub(super) budget: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(range(min = 1, max = 64, message = "must be 1 to 64"))]
    pub(super) max_parallel: u32,
    #[serde(deserialize_with = "maybe")]
    pub(super) ca_file: Option<String>,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Bonychat {
    #[serde(deserialize_with = "maybe")]
    pub(super) webhook_url: Option<WebhookUrl>,
    #[serde(deserialize_with = "maybe")]
    pub(super) ca_file: Option<String>,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "call_limit"))]
    pub(super) timeout: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(range(
        min = 1,
        max = 100_000,
        message = "must be 1 to 20, or up to 100000 for a webhook on this machine"
    ))]
    pub(super) requests_per_second: u32,
    #[serde(deserialize_with = "leaf")]
    pub(super) language: Language,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "a_caller_waits"))]
    pub(super) answer_within: Duration,
    #[serde(deserialize_with = "leaf")]
    pub(super) live_for: Duration,
    #[serde(deserialize_with = "maybe")]
    #[validate(custom(function = "positive"))]
    pub(super) stale_after: Option<Duration>,
    #[serde(deserialize_with = "leaf")]
    pub(super) on_unconfirmed: OnUnconfirmed,
    #[serde(deserialize_with = "leaf")]
    #[validate(length(min = 1, max = 10, message = "must hold 1 to 10 durations"), custom(function = "each_positive"))]
    pub(super) look_after: Vec<Duration>,
    #[serde(deserialize_with = "leaf")]
    pub(super) number_quick_replies: bool,
    #[serde(deserialize_with = "plain")]
    #[validate(
        length(min = 1, max = 1000, message = "must be 1 to 1000 characters"),
        custom(function = "known_placeholders")
    )]
    pub(super) location_text: String,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "four switches that have nothing to do with each other")]
pub(super) struct Inbound {
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "poll_pause"))]
    pub(super) poll_active: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "poll_pause"))]
    pub(super) poll_idle: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "positive"))]
    pub(super) sweep_every: Duration,
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "positive"))]
    pub(super) decide_within: Duration,
    #[serde(deserialize_with = "leaf")]
    pub(super) first_run: FirstRun,
    #[serde(deserialize_with = "leaf")]
    pub(super) direction: DirectionBy,
    #[serde(deserialize_with = "leaf")]
    pub(super) html_entities: bool,
    #[serde(deserialize_with = "leaf")]
    pub(super) echoes: bool,
    #[serde(deserialize_with = "leaf")]
    pub(super) statuses: bool,
    #[serde(deserialize_with = "leaf")]
    pub(super) attachments: bool,
    pub(super) status_map: BTreeMap<String, Of<StatusValue>>,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    #[serde(deserialize_with = "leaf")]
    #[validate(custom(function = "positive"))]
    pub(super) initial: Duration,
    #[serde(deserialize_with = "leaf")]
    pub(super) max: Duration,
    #[serde(deserialize_with = "leaf")]
    pub(super) give_up_after: Duration,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    #[serde(deserialize_with = "leaf")]
    pub(super) format: LogFormat,
    #[serde(deserialize_with = "leaf")]
    #[validate(length(max = 1000, message = "must be at most 1000 characters"), custom(function = "log_level"))]
    pub(super) level: String,
    #[serde(deserialize_with = "leaf")]
    pub(super) contacts: LogContacts,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default, deserialize_with = "maybe")]
    pub(super) channel_id: Option<ChannelId>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) api_token: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) api_token_file: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) previous_api_token: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) previous_api_token_file: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) id_type: Option<IdType>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) platform: Option<Platform>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) platform_id: Option<PlatformId>,
    #[serde(default, deserialize_with = "maybe")]
    #[validate(range(min = 1, max = 7000, message = "must be 1 to 7000 characters"))]
    pub(super) text_limit: Option<u32>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) webhook_url: Option<WebhookUrl>,
    #[serde(default, deserialize_with = "maybe")]
    #[validate(length(max = 200, message = "must be at most 200 characters"))]
    pub(super) afilnet_user: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) afilnet_password: Option<SecretString>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) afilnet_password_file: Option<String>,
    #[serde(default, deserialize_with = "maybe")]
    pub(super) anna: Option<bool>,
    #[serde(default, deserialize_with = "maybe")]
    #[validate(custom(function = "poll_pause"))]
    pub(super) poll_active: Option<Duration>,
    #[serde(default, deserialize_with = "maybe")]
    #[validate(custom(function = "poll_pause"))]
    pub(super) poll_idle: Option<Duration>,
}

/// Reads one section and notes every mistake in it. `serde` stops at the first, so a wrong value is reset to its
/// default and the section read again. `None` only if even that fails.
pub(super) fn take<T: DeserializeOwned + Validate>(
    layers: &Layers,
    problems: &mut Problems,
    section: &[&str],
) -> Option<T> {
    let mut value = layers.get(section)?;
    let raw: T = loop {
        let error = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(raw) => break raw,
            Err(error) => error,
        };
        let named = error.path().iter().filter_map(|part| match part {
            serde_path_to_error::Segment::Map { key } => Some(key.clone()),
            _ => None,
        });
        let inner: Vec<String> = named.collect();
        let path: Vec<&str> = section.iter().copied().chain(inner.iter().map(String::as_str)).collect();
        let key = path.join(".");
        let again = problems.has(&key);
        problems.note(&key, layers.source(&key), innermost(error.inner()));
        if again || inner.is_empty() || !put(&mut value, &inner, layers.default(&path)) {
            return None;
        }
    };
    if let Err(broken) = raw.validate() {
        for (field, kind) in broken.errors() {
            let key = format!("{}.{field}", section.join("."));
            if let ValidationErrorsKind::Field(rules) = kind {
                let rule = rules.iter().find_map(|rule| rule.message.clone());
                problems.note(&key, layers.source(&key), rule.unwrap_or("is out of its range".into()));
            }
        }
    }
    Some(raw)
}

/// Sets or removes what is at `path` under `value`.
fn put(value: &mut Value, path: &[String], new: Option<Value>) -> bool {
    let (ValueKind::Table(table), Some((first, rest))) = (&mut value.kind, path.split_first()) else { return false };
    if !rest.is_empty() {
        return table.get_mut(first).is_some_and(|inner| put(inner, rest, new));
    }
    let table: &mut Map<String, Value> = table;
    match new {
        Some(new) => table.insert(first.clone(), new).is_some(),
        None => table.remove(first).is_some(),
    }
}

fn rule(words: &'static str) -> ValidationError {
    ValidationError::new("rule").with_message(words.into())
}

fn within(fits: bool, words: &'static str) -> Result<(), ValidationError> {
    if fits { Ok(()) } else { Err(rule(words)) }
}

fn request_size(size: &Size) -> Result<(), ValidationError> {
    within((1024..=16 * 1024 * 1024).contains(&size.0), "must be 1 KiB to 16 MiB")
}

fn list_size(size: &Size) -> Result<(), ValidationError> {
    within((1024 * 1024..=1024 * 1024 * 1024).contains(&size.0), "must be 1 MiB to 1024 MiB")
}

fn header_text(text: &str) -> Result<(), ValidationError> {
    within(text.bytes().all(|b| b.is_ascii_graphic() && b != b'"'), "must be visible ASCII without quotes")
}

fn element_name(name: &str) -> Result<(), ValidationError> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    within(begins && plain, "must be the name of an element: letters, digits and - _ ., a letter first")
}

fn positive(duration: &Duration) -> Result<(), ValidationError> {
    within(!duration.is_zero(), "must be longer than nothing")
}

fn each_positive(durations: &[Duration]) -> Result<(), ValidationError> {
    durations.iter().try_for_each(positive)
}

fn call_limit(limit: &Duration) -> Result<(), ValidationError> {
    within(!limit.is_zero() && *limit <= Duration::from_mins(10), "must be longer than nothing and at most 10m")
}

fn budget(budget: &Duration) -> Result<(), ValidationError> {
    let range = Duration::from_millis(100)..=Duration::from_secs(10);
    within(range.contains(budget), "must be 100ms to 10s")
}

fn lease(lease: &Duration) -> Result<(), ValidationError> {
    let range = Duration::from_secs(1)..=Duration::from_mins(5);
    within(range.contains(lease), "must be 1s to 5m")
}

fn a_caller_waits(wait: &Duration) -> Result<(), ValidationError> {
    within(*wait <= Duration::from_mins(1), "must be at most 60s")
}

fn poll_pause(pause: &Duration) -> Result<(), ValidationError> {
    let range = Duration::from_millis(10)..=Duration::from_hours(24);
    within(range.contains(pause), "must be 10ms to 1d")
}

fn known_placeholders(template: &str) -> Result<(), ValidationError> {
    let rest = ["{address}", "{latitude}", "{longitude}"].iter().fold(template.to_owned(), |t, p| t.replace(p, ""));
    within(!rest.contains(['{', '}']), "must have no braces but {address}, {latitude} and {longitude}")
}

/// Level words, or directives with one each. Checked here because tracing accepts "infoo" as the name of a crate.
fn log_level(level: &str) -> Result<(), ValidationError> {
    let words = ["off", "error", "warn", "info", "debug", "trace"];
    let word = |word: &str| words.iter().any(|level| word.eq_ignore_ascii_case(level));
    let fits = level.split(',').map(str::trim).all(|part| word(part.rsplit('=').next().unwrap_or(part)));
    let parses = tracing_subscriber::EnvFilter::try_new(level).is_ok();
    within(
        fits && parses,
        "must be off, error, warn, info, debug or trace, or directives such as \"info,bridge=debug\"",
    )
}
