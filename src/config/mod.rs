//! What an operator sets: `config/default.toml` under a file under the environment, checked whole.

//! `load` is the only constructor: after it, no value is out of range, missing or contradictory.

mod address;
mod anna;
mod channels;
mod check;
mod checker;
mod effective;
mod keys;
mod layers;
mod names;
mod people;
mod problems;
mod raw;
mod read;
mod secret;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod transports;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret as _, SecretString};

pub use anna::{Anna, UserIdRule, UserIdSource};
pub use effective::Setting;
pub use problems::{Problem, Problems, Source};

use crate::domain::ids::PlatformId;
use crate::domain::{ChannelId, ChannelName, IdType, Language, Platform, Reach};

/// Most events a second that `BonyChat` accepts of a channel (design.md 4.5).
pub(crate) const BONYCHAT_LIMIT: u32 = 20;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[store]`
    pub store: StoreConfig,
    /// `[outbound]`
    pub outbound: OutboundConfig,
    /// `[inbound]`
    pub inbound: InboundConfig,
    /// `[retry]`
    pub retry: Retry,
    /// `[log]`
    pub log: Log,
    /// `[anna]`; `None` where it is off.
    pub anna: Option<Anna>,
    /// `[bonychat] language`
    pub language: Language,
    /// `[channels.NAME]`, with `[afilnet]` and `[bonychat]` already folded into each.
    pub channels: BTreeMap<ChannelName, Channel>,
    /// Warnings for the log, without secrets.
    pub warnings: Vec<String>,
    /// Every key with its value and its source, without secrets.
    pub settings: Vec<Setting>,
    /// Durations as they were written, by key, for the summary.
    written: BTreeMap<&'static str, String>,
}

impl Config {
    /// The documented defaults, which are also the manual: `bridge config` prints them.
    pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

    /// Reads the defaults, `file` over them, and the `BRIDGE__SECTION__KEY` variables of `env` over both; other variables
    /// are left alone. Relative paths of `_file` keys start at the working directory.
    ///
    /// # Errors
    ///
    /// All problems at once. They do not repeat any value.
    pub fn load(file: Option<&Path>, env: HashMap<String, String>) -> Result<Self, Problems> {
        check::load(file, env)
    }

    /// Returns the zone in which the times of a channel are shown: that of its account, and of the first channel's where
    /// no such channel is configured.
    pub(crate) fn time_zone_of(&self, channel: &str) -> TimeZone {
        let of = self
            .channels
            .values()
            .find(|known| known.name.as_str() == channel)
            .or_else(|| self.channels.values().next());
        of.map_or(TimeZone::UTC, |channel| channel.afilnet.time_zone.clone())
    }

    /// Returns the keys in which this and `next` differ and which are read at the start only.
    pub(crate) fn fixed_at_start(&self, next: &Self) -> Vec<&'static str> {
        let token = |admin: &Admin| admin.token.as_ref().map(|token| token.expose_secret().to_owned());
        let log = |log: &Log| (log.format, log.level.clone(), log.contacts);
        let differ = [
            ("server.listen", self.server.listen != next.server.listen),
            ("admin.listen", self.admin.listen != next.admin.listen),
            ("admin.path_prefix", self.admin.path_prefix != next.admin.path_prefix),
            ("admin.token", token(&self.admin) != token(&next.admin)),
            ("admin.people", !same_people(&self.admin.people, &next.admin.people)),
            ("store.url", !self.store.url.same(&next.store.url)),
            ("log", log(&self.log) != log(&next.log)),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// Returns a digest of the settings without secrets, to tell whether another process has the same.
    pub(crate) fn digest(&self) -> String {
        effective::digest(&self.settings)
    }

    /// Reads `server.listen` alone, from a configuration that may be wrong elsewhere.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or this key is wrong.
    pub fn listen(file: Option<&Path>, env: HashMap<String, String>) -> Result<SocketAddr, Problems> {
        check::listen(file, env)
    }
}

fn same_people(before: &BTreeMap<String, Person>, after: &BTreeMap<String, Person>) -> bool {
    let parts = |person: &Person| (person.token.expose_secret().to_owned(), person.may, person.channels.clone());
    let all = |people: &BTreeMap<String, Person>| -> Vec<_> {
        people.iter().map(|(name, person)| (name.clone(), parts(person))).collect()
    };
    all(before) == all(after)
}

/// `[server]`: the HTTP listener that `BonyChat` calls.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address of POST /message, /healthz, /readyz.
    pub listen: SocketAddr,
    /// "" or "/prefix", without a final slash.
    pub path_prefix: String,
    /// Largest accepted body, in bytes.
    pub body_limit_bytes: usize,
    /// Proxies of which `X-Forwarded-For` is used.
    pub trusted_proxies: Vec<IpNet>,
}

/// `[admin]`: the admin listener.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Its address.
    pub listen: SocketAddr,
    /// Where pages and API are served too: "" or "/prefix", without a final slash.
    pub path_prefix: String,
    /// Required when `listen` is not loopback.
    pub token: Option<SecretString>,
    /// People with tokens of their own, by name; "admin" is the person of `token`.
    pub people: BTreeMap<String, Person>,
}

/// `[admin.people.NAME]`
#[derive(Debug, Clone)]
pub struct Person {
    /// Signs in to the page, and is borne to the API.
    pub token: SecretString,
    /// What this person may do.
    pub may: May,
    /// Channels that this person sees; empty: all.
    pub channels: BTreeSet<ChannelName>,
}

/// `admin.people.NAME.may`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum May {
    /// Look at everything, and change nothing.
    Read,
    /// Decide too.
    Act,
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where messages are kept.
    pub url: StoreUrl,
    /// Texts of finished messages are erased after this.
    pub keep_text: Duration,
    /// Rows of finished messages are deleted after this.
    pub keep_rows: Duration,
    /// A process that shares the store and does not renew its leases within this time counts as dead.
    pub lease: Duration,
}

/// Which engine, and where.
#[derive(Debug, Clone)]
pub enum StoreUrl {
    /// `sqlite:path`
    Sqlite(PathBuf),
    /// `postgres://…`; may hold a password.
    Postgres(SecretString),
}

impl StoreUrl {
    /// Parses a `store.url`.
    ///
    /// # Errors
    /// What it must be, without the value itself.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        address::store_url(text).map_err(std::borrow::Cow::into_owned)
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(other)) => one == other,
            (Self::Postgres(one), Self::Postgres(other)) => one.expose_secret() == other.expose_secret(),
            _ => false,
        }
    }
}

/// `[outbound]`
#[derive(Debug, Clone)]
pub struct OutboundConfig {
    /// How long POST /message waits for the first verdict.
    pub answer_within: Duration,
    /// A conversation is live this long after the customer's last message.
    pub live_for: Duration,
    /// A message that waited for longer fails before it goes out; `None`: none does.
    pub stale_after: Option<Duration>,
    /// What to do if lookups could not settle an unknown outcome.
    pub on_unconfirmed: OnUnconfirmed,
    /// Waits before each lookup after an unknown outcome.
    pub look_after: Vec<Duration>,
    /// Whether quick replies are numbered and number answers are translated back.
    pub number_quick_replies: bool,
    /// Template of a location: `{address}`, `{latitude}`, `{longitude}`.
    pub location_text: String,
}

/// `outbound.on_unconfirmed`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnconfirmed {
    /// Notify the agent that it may have been delivered.
    Fail,
    /// Send it again, at the risk of a double.
    Resend,
    /// Keep the conversation waiting for an operator.
    Hold,
}

/// `[inbound]`, without the poll intervals, which are each channel's.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "four switches that have nothing to do with each other")]
pub struct InboundConfig {
    /// Time between full resyncs.
    pub sweep_every: Duration,
    /// Longest wait for evidence of who wrote a row.
    pub decide_within: Duration,
    /// What happens to messages that existed before the first run.
    pub first_run: FirstRun,
    /// What decides who wrote a row.
    pub direction: DirectionBy,
    /// Whether entities in rows are decoded.
    pub html_entities: bool,
    /// Whether rows typed in Afilnet's panel become `message_echo`.
    pub echoes: bool,
    /// Whether row statuses become `message_status`.
    pub statuses: bool,
    /// Whether a row that is one https file URL becomes an attachment.
    pub attachments: bool,
    /// Afilnet's row status -> delivered | read | failed. Keys as written; from the environment in small letters.
    pub(crate) status_map: BTreeMap<String, crate::domain::StatusValue>,
}

/// `inbound.first_run`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstRun {
    /// Publish what Afilnet marks as unread.
    Unread,
    /// Publish nothing that existed before.
    Skip,
    /// Publish the whole history.
    All,
}

/// `inbound.direction`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectionBy {
    /// The row's flag; without one, as with [`Self::Matching`].
    Flag,
    /// Whether the bridge sent the same text: if not, the customer wrote it.
    Matching,
}

/// `[retry]`
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// First wait, before jitter.
    pub initial: Duration,
    /// Longest wait.
    pub max: Duration,
    /// Age at which a message becomes a dead letter.
    pub give_up_after: Duration,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// Form of a line.
    pub format: LogFormat,
    /// `format` was not set, so a terminal gets text.
    pub format_is_default: bool,
    /// tracing's filter directives, "info" for example.
    pub level: String,
    /// How contacts are written.
    pub contacts: LogContacts,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `log.contacts`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogContacts {
    /// All but the last characters replaced.
    Masked,
    /// As they are.
    Full,
}

/// One channel: its table under `[channels]`, and what it inherits.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Key of its table.
    pub name: ChannelName,
    /// `BonyChat`'s id of it.
    pub channel_id: ChannelId,
    /// The token of both directions.
    pub api_token: SecretString,
    /// Still accepted on `/message` while the token is being changed.
    pub previous_api_token: Option<SecretString>,
    /// What its contact ids hold.
    pub id_type: IdType,
    /// Where it lives at Afilnet.
    pub platform: Platform,
    /// Which one there.
    pub platform_id: PlatformId,
    /// Longest text of one Afilnet call, in characters.
    pub text_limit: usize,
    /// Whether placeholders in what agents write are filled in.
    pub anna: bool,
    /// Pause between rounds while there is traffic.
    pub poll_active: Duration,
    /// Pause between rounds when there is none.
    pub poll_idle: Duration,
    /// Its Afilnet account.
    pub afilnet: Afilnet,
    /// Its `BonyChat` webhook.
    pub bonychat: Bonychat,
}

impl Channel {
    /// Returns which hosts the links of its messages may name: this machine only if Afilnet's address is there, as in
    /// tests.
    pub(crate) fn reach(&self) -> Reach {
        if address::is_loopback(&self.afilnet.url) { Reach::ThisMachine } else { Reach::Public }
    }
}

/// How to reach Afilnet for one channel.
#[derive(Debug, Clone)]
pub struct Afilnet {
    /// Endpoint: https, or http on loopback only.
    pub url: url::Url,
    /// How calls are carried.
    pub transport: Transport,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Limit of one call, connect to last byte.
    pub timeout: Duration,
    /// Most bytes of a list that is read.
    pub answer_limit: usize,
    /// Roots trusted beside the system's.
    pub ca: Vec<reqwest::Certificate>,
    /// Zone of row times.
    pub time_zone: jiff::tz::TimeZone,
    /// Limits of the account, shared by its channels.
    pub requests_per_second: u32,
    /// Limits of the account, shared by its channels.
    pub max_in_flight: u32,
}

/// `afilnet.transport`, with the settings of its own section.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Credentials and parameters in a form body.
    Post,
    /// Everything in the URL; diagnostics only.
    Get,
    /// Credentials in the Authorization header, parameters in a form body.
    Basic,
    /// An access token in the Authorization header, parameters in a JSON object.
    Json(OAuth),
    /// SOAP 1.1, credentials and parameters as elements.
    Soap(Soap),
}

/// `afilnet.transport` as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportName {
    Post,
    Get,
    Basic,
    Json,
    Soap,
}

/// `[afilnet.json]` without its `url`.
#[derive(Debug, Clone)]
pub struct OAuth {
    /// The token endpoint: https, or http on loopback only.
    pub token_url: url::Url,
    /// How a token is obtained.
    pub grant: Grant,
    /// The OAuth client.
    pub client_id: String,
    /// Secret of the client.
    pub client_secret: SecretString,
    /// Scope of the token; empty: none is asked for.
    pub scope: String,
}

/// `afilnet.json.grant`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// With the credentials of the client alone.
    ClientCredentials,
    /// With the account's user and password as well.
    Password,
}

/// `[afilnet.soap]` without its `url`.
#[derive(Debug, Clone)]
pub struct Soap {
    /// Namespace of the operation's element; empty: none.
    pub namespace: String,
    /// The `SOAPAction` header.
    pub action: String,
    /// Name of the operation's element.
    pub operation: String,
}

/// How to reach `BonyChat` for one channel.
#[derive(Debug, Clone)]
pub struct Bonychat {
    /// Byte for byte as `BonyChat` shows it.
    pub webhook_url: String,
    /// Limit of one call.
    pub timeout: Duration,
    /// Roots trusted beside the system's.
    pub ca: Vec<reqwest::Certificate>,
    /// Events a second.
    pub requests_per_second: u32,
}
