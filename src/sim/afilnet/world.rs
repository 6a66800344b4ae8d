//! Actions on the simulated Afilnet, and queries of its state.

use std::collections::HashSet;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::state::{self, Author, Counters, SentCall, State, Words};
use super::switches::{BadSwitch, Switches};
use super::{NoChannel, Options, RowStatus};
use crate::sim::faults::{BadRule, FaultRule};
use crate::sim::latency::Latency;
use crate::sim::switchable_listener::lock;

/// The simulated service without its socket.
pub struct World {
    pub(super) options: Options,
    pub(super) state: Mutex<State>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) port: OnceLock<u16>,
}

impl World {
    /// Adds an account, or gives it another password.
    pub fn add_account(&self, user: &str, password: &str) {
        lock(&self.state).accounts.insert(user.to_owned(), password.to_owned());
    }

    /// Adds a channel, or renames it.
    pub fn add_channel(&self, platform: &str, platformid: &str, name: &str) {
        let key = (platform.to_owned(), platformid.to_owned());
        name.clone_into(&mut lock(&self.state).channels.entry(key).or_default().name);
    }

    /// Removes a channel with its conversations: calls get `CHANNEL_NOT_FOUND`.
    pub fn remove_channel(&self, platform: &str, platformid: &str) {
        lock(&self.state).channels.remove(&(platform.to_owned(), platformid.to_owned()));
    }

    /// The customer writes. Returns the row's id before any switch.
    pub fn receive(&self, platformid: &str, destination: &str, text: &str) -> Result<u64, NoChannel> {
        self.write(platformid, destination, Author::Customer, &Words { text, file: None })
    }

    /// The customer sends a file with a caption, which may be empty.
    pub fn receive_file(
        &self,
        platformid: &str,
        destination: &str,
        fileurl: &str,
        caption: &str,
    ) -> Result<u64, NoChannel> {
        self.write(platformid, destination, Author::Customer, &Words { text: caption, file: Some(fileurl) })
    }

    /// An operator answers in Afilnet's panel.
    pub fn operator_says(&self, platformid: &str, destination: &str, text: &str) -> Result<u64, NoChannel> {
        self.write(platformid, destination, Author::Operator, &Words { text, file: None })
    }

    fn write(&self, platformid: &str, destination: &str, author: Author, words: &Words<'_>) -> Result<u64, NoChannel> {
        let mut state = lock(&self.state);
        let key = state.channel_key(platformid);
        let id = key.and_then(|key| state.append(&key, destination, author, words));
        drop(state);
        self.wake();
        id.ok_or_else(|| NoChannel(platformid.to_owned()))
    }

    /// An operator reads the conversation in Afilnet's panel: none of its rows is unread any more.
    pub fn mark_read(&self, platformid: &str, destination: &str) {
        self.each_row(platformid, destination, |row| row.read = true);
    }

    /// Every row that the business wrote in this conversation so far gets this status.
    pub fn set_status(&self, platformid: &str, destination: &str, status: RowStatus) {
        self.each_row(platformid, destination, |row| {
            if row.outgoing {
                row.status = status;
            }
        });
    }

    fn each_row(&self, platformid: &str, destination: &str, change: impl FnMut(&mut state::Row)) {
        let mut state = lock(&self.state);
        if let Some(key) = state.channel_key(platformid)
            && let Some(rows) = state.channels.get_mut(&key).and_then(|c| c.chats.get_mut(destination))
        {
            rows.iter_mut().for_each(change);
        }
    }

    /// Sets the simulator's clock this many milliseconds ahead of the machine's, or behind it.
    pub fn set_clock_offset_ms(&self, offset_ms: i64) {
        lock(&self.state).clock_offset_ms = offset_ms;
    }

    /// Returns the current switches.
    pub fn switches(&self) -> Switches {
        lock(&self.state).switches
    }

    /// Sets all switches at once, while calls continue.
    pub fn set_switches(&self, switches: Switches) {
        lock(&self.state).switches = switches;
    }

    /// Sets one switch by its name in afilnet.md section 6.
    pub fn set_switch(&self, switch: &str, value: &str) -> Result<(), BadSwitch> {
        lock(&self.state).switches.set(switch, value)
    }

    /// Sets the wait before each answer.
    pub fn set_latency(&self, latency: Latency) {
        lock(&self.state).latency = latency;
    }

    /// Injects a fault. `"sendmessage:reset_stored:3".parse()` makes a rule.
    pub fn add_fault(&self, rule: FaultRule) {
        lock(&self.state).faults.add(rule);
    }

    /// Ends every access token that was given out.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    /// Gives the OAuth client another secret.
    pub fn set_client_secret(&self, secret: &str) {
        secret.clone_into(&mut lock(&self.state).client_secret);
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

    /// What was accepted for this destination, in order.
    pub fn sent(&self, destination: &str) -> Vec<SentCall> {
        let state = lock(&self.state);
        state.sent.iter().filter(|sent| sent.destination == destination).cloned().collect()
    }

    /// What was accepted, in order.
    pub fn all_sent(&self) -> Vec<SentCall> {
        lock(&self.state).sent.clone()
    }

    /// How many sends were accepted.
    pub fn sent_count(&self) -> usize {
        lock(&self.state).sent.len()
    }

    /// The texts and captions that were accepted for this destination, in order.
    pub fn texts(&self, destination: &str) -> Vec<String> {
        self.sent(destination).into_iter().map(|sent| sent.message).collect()
    }

    /// How often `method` was called, broken calls included.
    pub fn calls(&self, method: &str) -> u64 {
        lock(&self.state).counters.calls.get(method).copied().unwrap_or_default()
    }

    /// Everything that is counted.
    pub fn counters(&self) -> Counters {
        let state = lock(&self.state);
        let mut seen = HashSet::new();
        let key = |s: &'_ SentCall| {
            let file = (s.kind.clone(), s.fileurl.clone());
            (s.platform.clone(), s.platformid.clone(), s.destination.clone(), s.message.clone(), file)
        };
        let doubles = state.sent.iter().filter(|sent| !seen.insert(key(sent))).count();
        Counters { duplicate_sends: doubles as u64, ..state.counters.clone() }
    }

    /// How many requests held a password in their URL.
    pub fn secrets_in_url(&self) -> u64 {
        lock(&self.state).counters.secrets_in_url
    }

    /// The most requests within any one second.
    pub fn busiest_second(&self) -> usize {
        lock(&self.state).counters.busiest_second
    }

    /// Returns the whole state as JSON, without passwords.
    pub fn dump(&self) -> Value {
        let counters = self.counters();
        let state = lock(&self.state);
        let channels = state.channels.iter().map(|((platform, platformid), channel)| {
            json!({"platform": platform, "platformid": platformid, "name": channel.name, "chats": channel.chats})
        });
        let channels: Vec<Value> = channels.collect();
        json!({
            "seed": self.options.seed,
            "now_ms": state.now_ms(),
            "accounts": state.accounts.keys().collect::<Vec<_>>(),
            "channels": channels,
            "switches": state.switches,
            "faults": state.faults.list(),
            "sent": state.sent,
            "counters": counters,
            "log": state.log,
        })
    }

    /// Back to the beginning: the options of the start, no conversations, no ledger.
    pub fn reset(&self) {
        *lock(&self.state) = State::new(&self.options);
        self.wake();
    }

    /// Waits until `test` holds, which is checked after every call; `false` if `limit` passes first.
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
