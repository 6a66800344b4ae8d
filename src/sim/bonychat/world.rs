//! State of the simulated BonyChat, and actions and queries on it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::client::{self, SendOutcome};
use super::schema::Post;
use super::{ChannelSpec, Options};
use crate::sim::faults::{BadRule, FaultRule, Faults};
use crate::sim::latency::Latency;
use crate::sim::seeded_rng::RateMeter;
use crate::sim::switchable_listener::lock;

/// One accepted event, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventRecord {
    /// The channel of its token.
    pub channel_id: String,
    /// The customer.
    pub contact_id: String,
    /// `message`, `message_echo` or `message_status`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id; for a status, that of its message.
    pub m_id: String,
    /// Its timestamp, epoch milliseconds.
    pub timestamp_ms: i64,
    /// `message`, or `status` if the type is `message_status`.
    pub content: Value,
    /// `contact`, if present.
    pub contact: Option<Value>,
    /// When it was stored, epoch milliseconds of the machine's clock.
    pub at_ms: i64,
    /// Whether the same event had arrived before.
    pub repeat: bool,
}

impl EventRecord {
    /// Returns the text of a text message; empty for anything else.
    #[must_use]
    pub fn text(&self) -> &str {
        self.content.get("text").and_then(Value::as_str).unwrap_or_default()
    }

    /// The value of a status; empty for anything else.
    #[must_use]
    pub fn status(&self) -> &str {
        self.content.get("value").and_then(Value::as_str).unwrap_or_default()
    }
}

/// One body that broke the contract and got 400.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The channel of its token.
    pub channel_id: String,
    /// Every rule that it breaks, each with its path.
    pub broken: Vec<String>,
    /// The body as it came.
    pub body: String,
    /// When, epoch milliseconds.
    pub at_ms: i64,
}

/// Everything behind the lock.
pub(super) struct State {
    pub(super) channels: BTreeMap<String, ChannelSpec>,
    pub(super) faults: Faults,
    pub(super) latency: Latency,
    pub(super) rate_limit: bool,
    pub(super) poison: Option<String>,
    pub(super) events: Vec<EventRecord>,
    pub(super) violations: Vec<Violation>,
    pub(super) requests: u64,
    pub(super) unauthorized: u64,
    pub(super) rate_limited: u64,
    pub(super) poisoned: u64,
    pub(super) redirects_followed: u64,
    /// Requests of each channel: all, and those that the rate limit let through.
    pub(super) paces: HashMap<String, (RateMeter, RateMeter)>,
    /// Content of each mId of a message or an echo.
    seen: HashMap<String, (String, String, Value)>,
    /// The furthest status of each mId.
    ranks: HashMap<String, usize>,
    /// Ids in the bridge's responses to `/message`.
    answered: HashSet<String>,
}

/// The order of statuses; none may follow a later one (bonychat.md A14).
const STATUSES: [&str; 3] = ["delivered", "read", "failed"];

impl State {
    fn new(options: &Options) -> Self {
        Self {
            channels: options.channels.iter().map(|c| (c.channel_id.clone(), c.clone())).collect(),
            faults: Faults::new(options.seed, &options.faults),
            latency: options.latency,
            rate_limit: options.rate_limit,
            poison: None,
            events: Vec::new(),
            violations: Vec::new(),
            requests: 0,
            unauthorized: 0,
            rate_limited: 0,
            poisoned: 0,
            redirects_followed: 0,
            paces: HashMap::new(),
            seen: HashMap::new(),
            ranks: HashMap::new(),
            answered: HashSet::new(),
        }
    }

    /// Stores one event, or returns the rule that it breaks given the earlier events.
    pub(super) fn store(&mut self, channel_id: &str, post: Post, at_ms: i64) -> Result<(), String> {
        let repeat = if post.kind == "message_status" {
            let value = post.content.get("value").and_then(Value::as_str).unwrap_or_default();
            let rank = STATUSES.iter().position(|status| *status == value).unwrap_or_default();
            match self.ranks.insert(post.m_id.clone(), rank) {
                Some(before) if before > rank => {
                    self.ranks.insert(post.m_id, before);
                    return Err(format!("events[0].status.value: must not go back from {}", STATUSES[before]));
                }
                before => before == Some(rank),
            }
        } else {
            let event = (post.kind.clone(), post.contact_id.clone(), post.content.clone());
            match self.seen.get(&post.m_id) {
                Some(before) if *before != event => {
                    return Err("events[0].mId: was used for another event".into());
                }
                Some(_) => true,
                None => self.seen.insert(post.m_id.clone(), event).is_some(),
            }
        };
        let Post { contact_id, kind, m_id, timestamp_ms, content, contact } = post;
        let channel_id = channel_id.to_owned();
        let event = EventRecord { channel_id, contact_id, kind, m_id, timestamp_ms, content, contact, at_ms, repeat };
        self.events.push(event);
        Ok(())
    }
}

/// The simulated platform without its socket.
pub struct World {
    pub(super) options: Options,
    pub(super) state: Mutex<State>,
    pub(super) http: reqwest::Client,
    changed: watch::Sender<u64>,
    port: OnceLock<u16>,
}

impl World {
    pub(super) fn new(options: Options) -> io::Result<Self> {
        let (changed, _) = watch::channel(0);
        let state = Mutex::new(State::new(&options));
        let http = client::http().map_err(io::Error::other)?;
        Ok(Self { options, state, http, changed, port: OnceLock::new() })
    }

    pub(super) fn open_at(&self, port: u16) {
        let _ = self.port.set(port);
    }

    pub(super) fn port(&self) -> u16 {
        self.port.get().copied().unwrap_or_default()
    }

    pub(super) fn token(&self, channel_id: &str) -> Option<String> {
        lock(&self.state).channels.get(channel_id).map(|channel| channel.api_token.clone())
    }

    pub(super) fn note(&self, outcome: &SendOutcome) {
        if let Some(m_id) = &outcome.m_id {
            lock(&self.state).answered.insert(m_id.clone());
        }
    }

    /// The bridge's base URL and the first channel, for `/control/say`.
    pub(in crate::sim) fn defaults(&self) -> (String, String) {
        let channel = lock(&self.state).channels.keys().next().cloned();
        (self.options.bridge_url.clone(), channel.unwrap_or_default())
    }

    /// Adds a channel, or gives it another token or id type.
    pub fn add_channel(&self, channel: ChannelSpec) {
        lock(&self.state).channels.insert(channel.channel_id.clone(), channel);
    }

    /// Injects a fault for `message`, `message_echo`, `message_status` or `*`.
    pub fn add_fault(&self, rule: FaultRule) {
        lock(&self.state).faults.add(rule);
    }

    /// Injects a fault by the text of its rule.
    pub fn fault(&self, rule: &str) -> Result<(), BadRule> {
        self.add_fault(rule.parse()?);
        Ok(())
    }

    /// Removes all orders of faults.
    pub fn clear_faults(&self) {
        lock(&self.state).faults.clear();
    }

    /// From now on events with this marker in their content get 400; `None` ends it.
    pub fn set_poison(&self, marker: Option<&str>) {
        lock(&self.state).poison = marker.map(str::to_owned);
    }

    /// Whether more than 20 requests of one channel within a second get 429.
    pub fn set_rate_limit(&self, on: bool) {
        lock(&self.state).rate_limit = on;
    }

    /// Sets the wait before each answer.
    pub fn set_latency(&self, latency: Latency) {
        lock(&self.state).latency = latency;
    }

    /// Returns every accepted event of this contact's conversation, repeats included, in the order of arrival.
    pub fn events(&self, contact_id: &str) -> Vec<EventRecord> {
        lock(&self.state).events.iter().filter(|event| event.contact_id == contact_id).cloned().collect()
    }

    /// The same without repeats.
    pub fn unique_events(&self, contact_id: &str) -> Vec<EventRecord> {
        let mut events = self.events(contact_id);
        events.retain(|event| !event.repeat);
        events
    }

    /// Returns every accepted event, repeats included, in the order of arrival.
    pub fn all_events(&self) -> Vec<EventRecord> {
        lock(&self.state).events.clone()
    }

    /// Returns the number of accepted events, repeats included.
    pub fn event_count(&self) -> usize {
        lock(&self.state).events.len()
    }

    /// Returns the customer's text messages in this conversation, without repeats.
    pub fn texts(&self, contact_id: &str) -> Vec<String> {
        let messages = self.unique_events(contact_id).into_iter().filter(|event| event.kind == "message");
        messages.map(|event| event.text().to_owned()).collect()
    }

    /// Returns how many events had arrived before under the same mId.
    pub fn repeats(&self) -> usize {
        lock(&self.state).events.iter().filter(|event| event.repeat).count()
    }

    /// The bodies that broke the contract.
    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.state).violations.clone()
    }

    /// Returns the statuses with an mId that no response to this simulator's sends had (bonychat.md A16).
    pub fn unknown_statuses(&self) -> Vec<EventRecord> {
        let state = lock(&self.state);
        let unknown = |event: &&EventRecord| event.kind == "message_status" && !state.answered.contains(&event.m_id);
        state.events.iter().filter(unknown).cloned().collect()
    }

    /// How many requests got 429 from the rate limit.
    pub fn rate_limited(&self) -> u64 {
        lock(&self.state).rate_limited
    }

    /// How many requests came without a channel's token.
    pub fn unauthorized(&self) -> u64 {
        lock(&self.state).unauthorized
    }

    /// Returns the number of requests to the webhook.
    pub fn requests(&self) -> u64 {
        lock(&self.state).requests
    }

    /// The most requests of one channel within any one second.
    pub fn busiest_second(&self) -> usize {
        lock(&self.state).paces.values().map(|(all, _)| all.busiest()).max().unwrap_or_default()
    }

    /// Counts one request of a channel; `false` if it is over the rate limit.
    pub(super) fn admit(&self, channel_id: &str) -> bool {
        const PER_SECOND: usize = 20;
        let mut state = lock(&self.state);
        let limited = state.rate_limit;
        let (all, admitted) = state.paces.entry(channel_id.to_owned()).or_default();
        let now = Instant::now();
        all.note(now);
        if limited && admitted.within(now) >= PER_SECOND {
            state.rate_limited += 1;
            return false;
        }
        admitted.note(now);
        true
    }

    /// Returns the whole state as JSON, without tokens.
    pub fn dump(&self) -> Value {
        let (repeats, busiest_second) = (self.repeats(), self.busiest_second());
        let state = lock(&self.state);
        let shown =
            |channel: &ChannelSpec| json!({"channelId": channel.channel_id, "idType": channel.id_type.as_str()});
        let channels: Vec<Value> = state.channels.values().map(shown).collect();
        json!({
            "seed": self.options.seed,
            "channels": channels,
            "faults": state.faults.list(),
            "rate_limit": state.rate_limit,
            "poison": state.poison,
            "events": state.events,
            "violations": state.violations,
            "counters": {
                "requests": state.requests,
                "repeats": repeats,
                "rate_limited": state.rate_limited,
                "unauthorized": state.unauthorized,
                "poisoned": state.poisoned,
                "redirects_followed": state.redirects_followed,
                "busiest_second": busiest_second,
            },
        })
    }

    /// Back to the beginning: the options of the start, an empty ledger.
    pub fn reset(&self) {
        *lock(&self.state) = State::new(&self.options);
        self.wake();
    }

    /// Waits until `test` holds, which is checked after every request; `false` if `limit` passes first.
    pub async fn until(&self, limit: Duration, test: impl Fn(&Self) -> bool) -> bool {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !test(self) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    pub(super) fn wake(&self) {
        self.changed.send_modify(|turn| *turn += 1);
    }
}
