//! What the simulated Afilnet remembers: accounts, channels, conversations, the ledger of sends, counters.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::switches::{SentRowVisible, Switches};
use super::{Options, RowStatus};
use crate::sim::faults::Faults;
use crate::sim::latency::Latency;
use crate::sim::seeded_rng::RateMeter;

/// One accepted `sendmessage` or `sendfile`, as the bridge sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentCall {
    /// `sendmessage` or `sendfile`.
    pub method: &'static str,
    /// The channel's platform.
    pub platform: String,
    /// The channel's id.
    pub platformid: String,
    /// Its destination.
    pub destination: String,
    /// Text or caption; empty if there is none.
    pub message: String,
    /// `type` of a file.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Link of a file.
    pub fileurl: Option<String>,
    /// Link of its thumbnail.
    pub thumburl: Option<String>,
    /// When it was stored, epoch milliseconds of the machine's clock.
    pub at_ms: i64,
    /// Id of the row it made, before any switch.
    pub row: u64,
}

/// Counts of requests.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    /// Requests to `/api/`, broken ones included.
    pub requests: u64,
    /// Calls by the value of their `method`.
    pub calls: BTreeMap<String, u64>,
    /// Calls that a fault hit.
    pub faults: u64,
    /// Requests with a password in the URL.
    pub secrets_in_url: u64,
    /// Requests that followed the `redirect` fault to another host.
    pub redirects_followed: u64,
    /// Sends that equal an earlier one of the same conversation.
    pub duplicate_sends: u64,
    /// The most requests to `/api/` within any one second.
    pub busiest_second: usize,
}

/// One message of a conversation.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) id: u64,
    /// Written by the business.
    pub(super) outgoing: bool,
    /// Written through the API rather than in the panel.
    pub(super) by_api: bool,
    pub(super) text: String,
    pub(super) file: Option<String>,
    /// Epoch milliseconds of the simulator's clock.
    pub(super) at_ms: i64,
    pub(super) read: bool,
    pub(super) status: RowStatus,
}

/// Content of a new row.
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    pub(super) file: Option<&'a str>,
}

/// One number or bot, and its conversations by destination.
#[derive(Debug, Default, Serialize)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) chats: BTreeMap<String, Vec<Row>>,
}

/// Id and secret of the OAuth client.
pub(super) const OAUTH_CLIENT: (&str, &str) = ("client", "client-secret");

/// Lines of the log that are kept.
const LOG_LINES: usize = 300;

/// Everything behind the lock.
pub(super) struct State {
    pub(super) accounts: BTreeMap<String, String>,
    /// The user of each access token that is accepted.
    pub(super) tokens: BTreeMap<String, String>,
    pub(super) tokens_given: u64,
    /// Secret of the OAuth client.
    pub(super) client_secret: String,
    /// By platform and platform id.
    pub(super) channels: BTreeMap<(String, String), Channel>,
    pub(super) switches: Switches,
    pub(super) faults: Faults,
    pub(super) latency: Latency,
    pub(super) clock_offset_ms: i64,
    pub(super) sent: Vec<SentCall>,
    pub(super) counters: Counters,
    /// All requests, for the busiest second.
    pub(super) rate: RateMeter,
    /// Requests that the rate limit let through.
    pub(super) admitted: RateMeter,
    pub(super) log: VecDeque<String>,
    last_id: u64,
}

impl State {
    /// The state at the start and after a reset.
    pub(super) fn new(options: &Options) -> Self {
        let channel = |spec: &super::ChannelSpec| {
            let channel = Channel { name: spec.name.clone(), ..Channel::default() };
            ((spec.platform.clone(), spec.platformid.clone()), channel)
        };
        Self {
            accounts: options.accounts.iter().cloned().collect(),
            tokens: BTreeMap::new(),
            tokens_given: 0,
            client_secret: OAUTH_CLIENT.1.to_owned(),
            channels: options.channels.iter().map(channel).collect(),
            switches: options.switches,
            faults: Faults::new(options.seed, &options.faults),
            latency: options.latency,
            clock_offset_ms: 0,
            sent: Vec::new(),
            counters: Counters::default(),
            rate: RateMeter::default(),
            admitted: RateMeter::default(),
            log: VecDeque::new(),
            last_id: 1000,
        }
    }

    /// The simulator's clock, epoch milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        machine_ms() + self.clock_offset_ms
    }

    /// Adds a row to a conversation, which is created if new, and returns the row's id.
    pub(super) fn append(
        &mut self,
        channel: &(String, String),
        destination: &str,
        author: Author,
        words: &Words<'_>,
    ) -> Option<u64> {
        let at_ms = self.now_ms();
        let rows = self.channels.get_mut(channel)?.chats.entry(destination.to_owned()).or_default();
        self.last_id += 1;
        rows.push(Row {
            id: self.last_id,
            outgoing: author != Author::Customer,
            by_api: author == Author::Api,
            text: words.text.to_owned(),
            file: words.file.map(str::to_owned),
            at_ms,
            read: false,
            status: RowStatus::Sent,
        });
        Some(self.last_id)
    }

    /// Returns whether reads show this row yet.
    pub(super) fn shows(&self, row: &Row, now_ms: i64) -> bool {
        !row.by_api
            || match self.switches.sent_row_visible_after {
                // Whatever the clock was set to meanwhile.
                SentRowVisible::After(0) => true,
                SentRowVisible::After(seconds) => now_ms >= row.at_ms + i64::from(seconds) * 1000,
                SentRowVisible::Never => false,
            }
    }

    /// The first channel with this platform id, whatever its platform.
    pub(super) fn channel_key(&self, platformid: &str) -> Option<(String, String)> {
        self.channels.keys().find(|(_, id)| id == platformid).cloned()
    }

    /// Adds one line to the log. It holds no secrets: the caller writes method, conversation and outcome only.
    pub(super) fn log(&mut self, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }
}

/// Who writes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    Customer,
    Api,
    Operator,
}

/// The machine's clock, epoch milliseconds.
#[expect(clippy::disallowed_methods, reason = "a platform of its own, with its own clock")]
pub(in crate::sim) fn machine_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
