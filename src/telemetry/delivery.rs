//! Whether messages are being delivered, in words, for `GET /deliverz`: the conditions of the alerts that page somebody
//! (`config/prometheus/bridge.rules.yml`), as far as one process knows them. The functions of `metrics` that count keep
//! it up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use crate::domain::Language;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::span::span;

/// A part of a channel that can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything of its Afilnet account.
    Account,
    /// Sends of its Afilnet account.
    Sends,
    /// The channel at Afilnet.
    Channel,
    /// The channel's webhook.
    Webhook,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::Sends, Self::Channel, Self::Webhook];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Sends => "sends",
            Self::Channel => "channel",
            Self::Webhook => "webhook",
        }
    }
}

/// Depth of one channel's queues.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Depth {
    pub(crate) outbound: u64,
    pub(crate) oldest: Duration,
    pub(crate) events: u64,
    pub(crate) unconfirmed: u64,
    pub(crate) dead_events: u64,
}

/// Messages that wait for longer while none is sent are stuck; so are events, and a part that is paused for longer.
pub(crate) const STUCK_AFTER: Duration = Duration::from_mins(5);
/// A channel may be without a process for so long: while one stops or dies and another takes it over.
const NOBODYS_AFTER: Duration = Duration::from_mins(2);
/// Time since the last poll that is too long, whatever `poll_idle` is.
const POLL_LATE: Duration = Duration::from_secs(150);
/// … or so many times `poll_idle`.
const POLLS_LATE: u32 = 10;

static STATE: Mutex<State> = Mutex::new(State::new());

/// What is known of this process's channels.
#[derive(Debug)]
struct State {
    /// `None` before the first check of the store.
    store_ready: Option<bool>,
    /// Those that this process delivers.
    here: BTreeMap<String, Channel>,
    poll_idle: BTreeMap<String, Duration>,
    /// Channels that no process delivers, and since when that is known.
    nobodys: BTreeMap<String, Instant>,
}

/// One channel that this process delivers.
#[derive(Debug, Clone)]
struct Channel {
    /// Times count from here until there is something to count from.
    since: Instant,
    depth: Depth,
    /// Since when each part is paused.
    paused: [Option<Instant>; Part::ALL.len()],
    polled: Option<Instant>,
    sent: Option<Instant>,
    published: Option<Instant>,
    /// Since when events wait without a pause between.
    events_since: Option<Instant>,
    /// Pauses by hand.
    by_hand: Vec<OperatorPause>,
}

impl Channel {
    fn new(now: Instant) -> Self {
        let (depth, paused) = (Depth::default(), [None; Part::ALL.len()]);
        let (polled, sent, published, events_since) = (None, None, None, None);
        Self { since: now, depth, paused, polled, sent, published, events_since, by_hand: Vec::new() }
    }

    /// Returns how long `last` is ago at `now`, or how long this process delivers the channel.
    fn ago(&self, last: Option<Instant>, now: Instant) -> Duration {
        now.saturating_duration_since(last.unwrap_or(self.since))
    }

    /// Returns each part that is paused, and for how long.
    fn pauses(&self, now: Instant) -> impl Iterator<Item = (Part, Duration)> {
        let since = move |part: Part| self.paused[part as usize].map(|since| now.saturating_duration_since(since));
        Part::ALL.into_iter().filter_map(move |part| Some((part, since(part)?)))
    }

    /// Returns the pauses that are too short for a problem yet, in words: most end by themselves.
    fn short_pauses(&self, name: &str, now: Instant) -> Vec<String> {
        self.pauses(now).filter(|(_, lasts)| *lasts <= STUCK_AFTER).map(in_words(name)).collect()
    }

    fn pause(&mut self, part: Part, paused: bool, now: Instant) {
        let since = &mut self.paused[part as usize];
        *since = paused.then(|| since.unwrap_or(now));
    }

    fn is_paused_by_hand(&self, kind: PauseKind) -> bool {
        self.by_hand.iter().any(|pause| pause.kind == kind)
    }

    /// Sets the pauses by hand. Whether anything is stuck shows only some time after the end of one.
    fn pause_by_hand(&mut self, pauses: Vec<OperatorPause>, now: Instant) {
        let before = std::mem::replace(&mut self.by_hand, pauses);
        let ended = |kind| before.iter().any(|pause| pause.kind == kind) && !self.is_paused_by_hand(kind);
        let (out, posts) = (ended(PauseKind::Out), ended(PauseKind::In));
        if out {
            self.sent = Some(now);
        }
        if posts {
            self.published = Some(now);
        }
    }

    /// Returns whether messages wait and none is sent, though nothing pauses sends. A paused webhook holds up no send.
    fn is_stuck_out(&self, now: Instant) -> bool {
        let is_paused =
            self.pauses(now).any(|(part, _)| part != Part::Webhook) || self.is_paused_by_hand(PauseKind::Out);
        !is_paused && self.depth.oldest > STUCK_AFTER && self.ago(self.sent, now) > STUCK_AFTER
    }

    /// Returns whether events wait and BonyChat takes none.
    fn is_stuck_in(&self, now: Instant) -> bool {
        let waits = self.events_since.is_some_and(|since| now.saturating_duration_since(since) > STUCK_AFTER);
        waits && self.ago(self.published, now) > STUCK_AFTER && !self.is_paused_by_hand(PauseKind::In)
    }

    /// Returns whether Afilnet was not read for too long.
    fn is_unread(&self, poll_idle: Duration, now: Instant) -> bool {
        self.ago(self.polled, now) > POLL_LATE.max(poll_idle * POLLS_LATE)
    }

    /// Returns what keeps the channel's messages from being delivered, in words; empty if nothing does.
    fn problems(&self, name: &str, poll_idle: Duration, now: Instant) -> Vec<String> {
        let mut found: Vec<String> =
            self.pauses(now).filter(|(_, lasts)| *lasts > STUCK_AFTER).map(in_words(name)).collect();
        if self.is_stuck_out(now) {
            found.push(format!(
                "channel `{name}`: messages are stuck: the oldest of {} has waited for {} and none was sent meanwhile. None is \
                 lost. Look at the log for `was not sent`",
                self.depth.outbound,
                span(self.depth.oldest, Language::En)
            ));
        }
        if self.is_stuck_in(now) {
            found.push(format!(
                "channel `{name}`: {} event(s) wait for BonyChat and it has taken none for {}. None is lost. Is its webhook \
                 reachable? Look at the log for `was not taken`",
                self.depth.events,
                span(self.ago(self.published, now), Language::En)
            ));
        }
        let polled = self.ago(self.polled, now);
        if self.is_unread(poll_idle, now) {
            found.push(format!(
                "channel `{name}`: Afilnet was last read {} ago. Customers' messages wait at Afilnet and are not lost. Is it \
                 reachable from here? `bridge doctor` asks",
                span(polled, Language::En)
            ));
        }
        found
    }

    /// Returns what waits for a person, in words.
    fn waits_for_a_person(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        if self.depth.unconfirmed > 0 {
            found.push(format!(
                "channel `{name}`: {} message(s) may or may not have reached the customer: `bridge messages list --state \
                 unconfirmed`, then `bridge messages settle`, or `--as noted` to leave it so",
                self.depth.unconfirmed
            ));
        }
        if self.depth.dead_events > 0 {
            found.push(format!(
                "channel `{name}`: {} event(s) did not reach BonyChat and were given up: `bridge messages list --state dead`, \
                 then `bridge messages retry` or `discard`",
                self.depth.dead_events
            ));
        }
        found
    }
}

/// Returns what puts a pause of the channel into words.
fn in_words(name: &str) -> impl Fn((Part, Duration)) -> String {
    move |(part, lasts)| format!("channel `{name}`: for {}, {}", span(lasts, Language::En), meaning(part))
}

/// Returns what a pause means and what to do.
fn meaning(part: Part) -> &'static str {
    match part {
        Part::Account => {
            "everything of its Afilnet account is paused: Afilnet refuses the account or is out of order. Messages are kept, \
             and a probe finds out when it works again. Look at the log for `is paused`, ask `bridge channels`"
        }
        Part::Sends => {
            "sends are paused: the account has no credit, or Afilnet takes no messages. They are kept, and a probe finds out \
             when it works again. Look at the account's credit, and at the log for `sends are paused`"
        }
        Part::Channel => {
            "it is paused: Afilnet does not know the channel. Messages are kept. Compare its platform and platform_id with \
             `bridge channels`"
        }
        Part::Webhook => {
            "publishing to BonyChat is paused: it is out of order, or the token or the address is wrong. Events are kept in \
             order, and a probe finds out when it works again. Look at the log for `BonyChat`"
        }
    }
}

/// What `GET /deliverz` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Nothing keeps messages from being delivered.
    pub(crate) delivers: bool,
    /// One line for each thing.
    pub(crate) words: String,
}

impl State {
    const fn new() -> Self {
        Self { store_ready: None, here: BTreeMap::new(), poll_idle: BTreeMap::new(), nobodys: BTreeMap::new() }
    }

    fn report(&self, now: Instant) -> Report {
        let mut problems = Vec::new();
        if self.store_ready == Some(false) {
            problems.push(
                "the store cannot be written: /message answers 503 and nothing is acknowledged that is not stored. Is its disk \
                 full, or the database away? The log has the cause"
                    .to_owned(),
            );
        }
        let (mut pauses, mut by_hand, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut moving = Vec::new();
        for (name, since) in &self.nobodys {
            let lasts = now.saturating_duration_since(*since);
            let words = format!(
                "channel `{name}`: for {}, no process delivers it. What BonyChat sends is stored and none is lost. Is a bridge \
                 with this channel running, and can it write the database? Look at its log for `lease`",
                span(lasts, Language::En)
            );
            if lasts > NOBODYS_AFTER { problems.push(words) } else { moving.push(words) }
        }
        for (name, channel) in &self.here {
            let poll_idle = self.poll_idle.get(name).copied().unwrap_or_default();
            problems.extend(channel.problems(name, poll_idle, now));
            pauses.extend(channel.short_pauses(name, now));
            by_hand.extend(channel.by_hand.iter().map(|pause| pause.in_words(&TimeZone::UTC)));
            others.extend(channel.waits_for_a_person(name));
        }
        let delivers = problems.is_empty();
        let mut words = if delivers {
            format!("messages are delivered: {} channel(s) by this process\n", self.here.len())
        } else {
            format!("messages are not delivered as they should be: {} thing(s)\n", problems.len())
        };
        for (heading, lines) in [
            ("", problems),
            ("paused for less than 5 minutes, which most often ends by itself:\n", pauses),
            ("without a process for less than 2 minutes, as while one takes over from another:\n", moving),
            ("paused by a person, until a person goes on:\n", by_hand),
            ("waits for a person, and holds up no other message:\n", others),
        ] {
            if !lines.is_empty() {
                words.push_str(heading);
            }
            for line in lines {
                let _ = writeln!(words, "- {line}");
            }
        }
        Report { delivers, words }
    }

    fn standing(&self, name: &str, now: Instant) -> Option<Standing> {
        let channel = self.here.get(name)?;
        let poll_idle = self.poll_idle.get(name).copied().unwrap_or_default();
        Some(Standing {
            paused: channel.pauses(now).collect(),
            stuck_out: channel.is_stuck_out(now),
            stuck_in: channel.is_stuck_in(now),
            unread: channel.is_unread(poll_idle, now),
            polled_ago: channel.ago(channel.polled, now),
        })
    }

    fn set_nobodys(&mut self, names: BTreeSet<String>, now: Instant) {
        let since = |name: &String| self.nobodys.get(name).copied().unwrap_or(now);
        self.nobodys = names.into_iter().map(|name| (name.clone(), since(&name))).collect();
    }

    fn take(&mut self, name: &str, now: Instant) {
        self.nobodys.remove(name);
        self.here.entry(name.to_owned()).or_insert_with(|| Channel::new(now));
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Channel)) {
        if let Some(channel) = self.here.get_mut(name) {
            change(channel);
        }
    }

    fn depth(&mut self, name: &str, depth: Depth, now: Instant) {
        self.change(name, |channel| {
            channel.depth = depth;
            channel.events_since = (depth.events > 0).then(|| channel.events_since.unwrap_or(now));
        });
    }
}

fn with(change: impl FnOnce(&mut State, Instant)) {
    change(&mut STATE.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
}

/// Returns whether messages are being delivered, and what keeps them from it.
pub(crate) fn report() -> Report {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).report(Instant::now())
}

/// One channel that this process delivers, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its parts that are paused, and for how long.
    pub(crate) paused: Vec<(Part, Duration)>,
    /// Messages wait and none is sent.
    pub(crate) stuck_out: bool,
    /// Events wait and BonyChat takes none.
    pub(crate) stuck_in: bool,
    /// Afilnet was not read for too long.
    pub(crate) unread: bool,
    /// Since Afilnet was read, or since this process delivers it.
    pub(crate) polled_ago: Duration,
}

/// Returns how a channel stands; `None` where this process does not deliver it.
pub(crate) fn standing(name: &str) -> Option<Standing> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).standing(name, Instant::now())
}

/// Returns whether the store can be written; `None` before the first check.
pub(crate) fn is_store_ready() -> Option<bool> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).store_ready
}

/// Sets the longest regular time between two polls of a channel.
pub(crate) fn polls_every(name: &str, poll_idle: Duration) {
    with(|state, _| {
        state.poll_idle.insert(name.to_owned(), poll_idle);
    });
}

pub(super) fn store_ready(ready: bool) {
    with(|state, _| state.store_ready = Some(ready));
}

/// This process delivers the channel from now on.
pub(super) fn here(name: &str) {
    with(|state, now| state.take(name, now));
}

/// These are delivered by no process.
pub(super) fn nobodys(names: BTreeSet<String>) {
    with(|state, now| state.set_nobodys(names, now));
}

/// Another process delivers it, or none: whether anybody does, only all of them together show.
pub(super) fn elsewhere(name: &str) {
    with(|state, _| {
        state.here.remove(name);
    });
}

pub(super) fn paused(name: &str, part: Part, paused: bool) {
    with(|state, now| state.change(name, |channel| channel.pause(part, paused, now)));
}

pub(super) fn operator_pauses(name: &str, pauses: Vec<OperatorPause>) {
    with(|state, now| state.change(name, |channel| channel.pause_by_hand(pauses, now)));
}

pub(super) fn depth(name: &str, depth: Depth) {
    with(|state, now| state.depth(name, depth, now));
}

pub(super) fn polled(name: &str) {
    with(|state, now| state.change(name, |channel| channel.polled = Some(now)));
}

pub(super) fn sent(name: &str) {
    with(|state, now| state.change(name, |channel| channel.sent = Some(now)));
}

pub(super) fn published(name: &str) {
    with(|state, now| state.change(name, |channel| channel.published = Some(now)));
}

#[cfg(test)]
mod tests;
