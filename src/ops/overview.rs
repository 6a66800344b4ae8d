//! The overview: whether anything needs a person, and the condition of each channel. From the store, and in a
//! serving process from the state of its channels; so it works beside a running bridge and without one.

pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::config::Config;
use crate::domain::clock::{now_ms, since};
use crate::domain::journey::ChannelFault;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{Fault, Language, Scope};
use crate::store::{Activity, QueueDepth, Store, StoreError};
use crate::telemetry::delivery::{self, Part, STUCK_AFTER, Standing};

/// The state of a channel in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Works,
    /// Messages go out, and many wait.
    Slow,
    /// Messages or events wait, and none is taken; or Afilnet is not read.
    Stuck,
    /// By a fault of the far side.
    Paused,
    PausedByHand,
    /// No process delivers it.
    Nobody,
    /// The store has it and the configuration does not.
    NotConfigured,
}

/// How a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    NotConfigured {
        out: u64,
        events: u64,
    },
    PausedByHand(Vec<OperatorPause>),
    /// By a fault. From the store alone: sends whose last attempt met a fault that no repetition mends; `lasts` is then the age
    /// of the oldest message.
    Paused {
        part: Part,
        lasts: Duration,
    },
    Nobody,
    /// `fault`: how long ago the last attempt failed, and with which code.
    StuckOut {
        count: u64,
        waits: Duration,
        fault: Option<(Duration, String)>,
    },
    StuckIn {
        count: u64,
        waits: Duration,
    },
    /// Known of channels of this process alone.
    Unread {
        ago: Duration,
    },
    /// `is_sending`: messages are known to go out; without it more wait than the store is searched for the last that was sent.
    Slow {
        count: u64,
        waits: Duration,
        is_sending: bool,
    },
    OnTheWay {
        out: u64,
        events: u64,
    },
    NothingWaits,
}

impl Condition {
    pub(crate) fn word(&self) -> Word {
        match self {
            Self::NotConfigured { .. } => Word::NotConfigured,
            Self::PausedByHand(_) => Word::PausedByHand,
            Self::Paused { .. } => Word::Paused,
            Self::Nobody => Word::Nobody,
            Self::StuckOut { .. } | Self::StuckIn { .. } | Self::Unread { .. } => Word::Stuck,
            Self::Slow { .. } => Word::Slow,
            Self::OnTheWay { .. } | Self::NothingWaits => Word::Works,
        }
    }

    /// Returns whether it does not end by itself. Most pauses of an account or a webhook do within minutes; one for lack of
    /// credit or of an unknown channel does not.
    pub(crate) fn needs_a_person(&self) -> bool {
        match self {
            Self::NotConfigured { out, events } => out + events > 0,
            Self::Paused { part: Part::Account | Part::Webhook, lasts } => *lasts > STUCK_AFTER,
            Self::Paused { part: Part::Sends | Part::Channel, .. }
            | Self::Nobody
            | Self::StuckOut { .. }
            | Self::StuckIn { .. }
            | Self::Unread { .. } => true,
            Self::PausedByHand(_) | Self::Slow { .. } | Self::OnTheWay { .. } | Self::NothingWaits => false,
        }
    }
}

/// One thing that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NeedOf {
    /// The store cannot be written.
    Store,
    /// This process is stopping.
    Stopping,
    Channel(Condition),
    /// Messages that may or may not have reached the customer.
    Unconfirmed(u64),
    /// Events that were given up.
    Dead(u64),
}

/// Something that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// Empty for what concerns all channels.
    pub(crate) channel: String,
    pub(crate) of: NeedOf,
}

impl Need {
    /// Returns the command that shows it or deals with it.
    pub(crate) fn command(&self) -> String {
        let channel = &self.channel;
        match &self.of {
            NeedOf::Channel(Condition::NotConfigured { .. }) => format!("bridge messages list --channel {channel}"),
            NeedOf::Store | NeedOf::Stopping | NeedOf::Channel(_) => "bridge doctor".to_owned(),
            NeedOf::Unconfirmed(_) => format!("bridge messages list --state unconfirmed --channel {channel}"),
            NeedOf::Dead(_) => format!("bridge messages list --state dead --channel {channel}"),
        }
    }

    /// Returns its operators' page, relative to the root of these; empty for the overview itself.
    pub(crate) fn link(&self) -> String {
        let channel: String = form_urlencoded::byte_serialize(self.channel.as_bytes()).collect();
        match &self.of {
            NeedOf::Store | NeedOf::Stopping => String::new(),
            NeedOf::Channel(_) => format!("messages?channel={channel}"),
            NeedOf::Unconfirmed(_) => format!("unconfirmed?channel={channel}"),
            NeedOf::Dead(_) => format!("messages?channel={channel}&state=dead"),
        }
    }
}

impl Serialize for Need {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut need = serializer.serialize_struct("Need", 4)?;
        need.serialize_field("channel", &self.channel)?;
        need.serialize_field("what", &self.sentence(Language::En))?;
        need.serialize_field("command", &self.command())?;
        need.serialize_field("link", &self.link())?;
        need.end()
    }
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChannelState {
    pub(crate) channel: String,
    pub(crate) word: Word,
    /// In English.
    pub(crate) sentence: String,
    #[serde(skip)]
    pub(crate) condition: Condition,
    /// Some process is known to deliver it.
    #[serde(skip)]
    pub(crate) is_delivered: bool,
    /// Pauses by hand that last.
    pub(crate) pauses: Vec<OperatorPause>,
    /// Messages that wait for Afilnet, and when the oldest was accepted.
    pub(crate) waits_out: u64,
    pub(crate) oldest_out_ms: Option<i64>,
    /// Events that wait for BonyChat, and when the oldest was stored.
    pub(crate) waits_in: u64,
    pub(crate) oldest_in_ms: Option<i64>,
    /// Messages that may or may not have reached the customer.
    pub(crate) unconfirmed: u64,
    /// Events that were given up.
    pub(crate) dead: u64,
    /// When the last message was sent, and the last of a customer stored; `None` if neither is among the newest of all.
    pub(crate) last_sent_ms: Option<i64>,
    pub(crate) last_received_ms: Option<i64>,
    /// The process that delivers it, where several share the store.
    pub(crate) owner: Option<String>,
}

/// All channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Overview {
    /// Empty: nothing needs you.
    pub(crate) needs_you: Vec<Need>,
    pub(crate) channels: Vec<ChannelState>,
}

impl Overview {
    /// Leaves out the channels that are not seen, and what is needed of them.
    pub(crate) fn keep(&mut self, is_seen: impl Fn(&str) -> bool) {
        self.needs_you.retain(|need| need.channel.is_empty() || is_seen(&need.channel));
        self.channels.retain(|channel| is_seen(&channel.channel));
    }

    /// Returns the number of pauses by hand that last.
    pub(crate) fn pauses(&self) -> usize {
        self.channels.iter().map(|channel| channel.pauses.len()).sum()
    }

    /// Returns the channels with a pause by hand that lasts.
    pub(crate) fn paused_by_hand(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().filter(|channel| !channel.pauses.is_empty()).map(|channel| channel.channel.as_str())
    }
}

/// From where it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The store alone.
    Store,
    /// A serving process.
    Process { is_stopping: bool },
}

/// The facts about one channel.
struct Known {
    configured: bool,
    depth: QueueDepth,
    activity: Activity,
    pauses: Vec<OperatorPause>,
    /// Whether some process delivers it; `None` if the store does not show that.
    delivered: Option<bool>,
    /// Of the channels of this process alone.
    here: Option<Standing>,
}

/// Returns the state of each channel, those that are configured and those that only the store has.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn overview(store: &dyn Store, config: &Config, view: View) -> Result<Overview, StoreError> {
    let depths = store.depths().await?;
    let mut depths: BTreeMap<String, QueueDepth> =
        depths.into_iter().map(|depth| (depth.channel.clone(), depth)).collect();
    let mut activity = store.operators().activity().await?;
    let owners = store.operators().owners().await?;
    let all_pauses = store.operator_pauses().await?;
    let configured: BTreeSet<String> = config.channels.keys().map(ToString::to_string).collect();
    let mut names = configured.clone();
    names.extend(depths.keys().cloned());
    names.extend(all_pauses.iter().map(|pause| pause.channel.clone()));
    let now_ms = now_ms();
    let (mut needs_you, mut channels) = (of_process(view), Vec::new());
    for name in names {
        let owner = owners.as_ref().and_then(|owners| owners.get(&name)).cloned();
        let here = (view != View::Store).then(|| delivery::standing(&name)).flatten();
        let known = Known {
            configured: configured.contains(&name),
            depth: depths.remove(&name).unwrap_or_default(),
            activity: activity.remove(&name).unwrap_or_default(),
            pauses: all_pauses.iter().filter(|pause| pause.channel == name).cloned().collect(),
            delivered: here.is_some().then_some(true).or_else(|| owners.as_ref().map(|_| owner.is_some())),
            here,
        };
        let condition = condition(&known, now_ms);
        needs_you.extend(needs(&name, &known.depth, &condition));
        let is_delivered = known.delivered == Some(true);
        let Known { depth, activity, pauses, .. } = known;
        channels.push(ChannelState {
            channel: name,
            word: condition.word(),
            sentence: condition.sentence(Language::En),
            condition,
            is_delivered,
            pauses,
            waits_out: depth.outbound,
            oldest_out_ms: depth.oldest_ms,
            waits_in: depth.events,
            oldest_in_ms: activity.oldest_event_ms,
            unconfirmed: depth.unconfirmed,
            dead: depth.dead_events,
            last_sent_ms: activity.sent_ms,
            last_received_ms: activity.received_ms,
            owner,
        });
    }
    Ok(Overview { needs_you, channels })
}

/// Returns what a serving process as a whole needs.
fn of_process(view: View) -> Vec<Need> {
    let View::Process { is_stopping } = view else { return Vec::new() };
    let stopping = is_stopping.then_some(NeedOf::Stopping);
    let store = (delivery::is_store_ready() == Some(false)).then_some(NeedOf::Store);
    stopping.into_iter().chain(store).map(|of| Need { channel: String::new(), of }).collect()
}

/// Returns how a channel is. What holds all its messages up comes first; a pause of the way to BonyChat or of `/message` does not
/// hide that messages to customers are stuck.
fn condition(known: &Known, now_ms: i64) -> Condition {
    let Known { configured, depth, pauses, delivered, .. } = known;
    let (out, events) = (depth.outbound, depth.events);
    if !configured {
        return Condition::NotConfigured { out, events };
    }
    if pauses.iter().any(|pause| pause.kind == PauseKind::Out) {
        return Condition::PausedByHand(pauses.clone());
    }
    if let Some((part, lasts)) = paused(known, now_ms) {
        return Condition::Paused { part, lasts };
    }
    if *delivered == Some(false) {
        return Condition::Nobody;
    }
    if let Some(held_up) = held_up(known, now_ms) {
        return held_up;
    }
    if !pauses.is_empty() {
        return Condition::PausedByHand(pauses.clone());
    }
    let waits = age(depth.oldest_ms, now_ms).unwrap_or_default();
    if out > 0 && waits > STUCK_AFTER {
        let is_sending = known.here.is_some() || !is_unseen(known, now_ms);
        return Condition::Slow { count: out, waits, is_sending };
    }
    if out + events > 0 { Condition::OnTheWay { out, events } } else { Condition::NothingWaits }
}

/// Returns the part that a fault has paused, and for how long. A paused webhook does not hide that messages to customers are stuck.
fn paused(known: &Known, now_ms: i64) -> Option<(Part, Duration)> {
    let Known { depth, activity, .. } = known;
    if let Some(here) = &known.here {
        let shown = |(part, _): &&(Part, Duration)| *part != Part::Webhook || !here.stuck_out;
        return here.paused.iter().find(shown).copied();
    }
    let ChannelFault { at_ms, fault, lasts } = activity.fault.as_ref()?;
    let is_last = match activity.sent_ms {
        _ if *lasts => known.delivered != Some(false), // of a process that has ended, it is no news
        _ if is_unseen(known, now_ms) => since(*at_ms, now_ms) <= STUCK_AFTER,
        Some(sent_ms) => sent_ms < *at_ms,
        None => true,
    };
    let part = match Fault::from_code(fault).scope() {
        Scope::Account => Part::Account,
        Scope::Sends => Part::Sends,
        Scope::Channel => Part::Channel,
        Scope::Call => return None,
    };
    let stops = depth.outbound > 0 && is_last;
    stops.then(|| (part, age(depth.oldest_ms, now_ms).unwrap_or_default()))
}

/// Returns what holds messages or events up though nothing pauses them.
fn held_up(known: &Known, now_ms: i64) -> Option<Condition> {
    let Known { depth, activity, pauses, here, .. } = known;
    let recently = |then_ms: Option<i64>| age(then_ms, now_ms).is_some_and(|ago| ago <= STUCK_AFTER);
    let waits = age(depth.oldest_ms, now_ms).unwrap_or_default();
    let stuck_out = match here {
        Some(here) => here.stuck_out,
        None => waits > STUCK_AFTER && !recently(activity.sent_ms) && !is_unseen(known, now_ms),
    };
    if depth.outbound > 0 && stuck_out {
        let fault = activity.fault.as_ref();
        let fault = fault.map(|ChannelFault { at_ms, fault, .. }| (since(*at_ms, now_ms), fault.clone()));
        return Some(Condition::StuckOut { count: depth.outbound, waits, fault });
    }
    let waits = age(activity.oldest_event_ms, now_ms).unwrap_or_default();
    let stuck_in = match here {
        Some(here) => here.stuck_in,
        None => waits > STUCK_AFTER && !recently(activity.published_ms),
    };
    if depth.events > 0 && stuck_in && !pauses.iter().any(|pause| pause.kind == PauseKind::In) {
        return Some(Condition::StuckIn { count: depth.events, waits });
    }
    let here = here.as_ref().filter(|here| here.unread)?;
    Some(Condition::Unread { ago: here.polled_ago })
}

/// Returns whether the store cannot tell when the last message was sent: those that go out now are older than the newest, among
/// which the last is looked for.
fn is_unseen(known: &Known, now_ms: i64) -> bool {
    let Known { depth, activity, .. } = known;
    let is_recent = age(activity.sent_ms, now_ms).is_some_and(|ago| ago <= STUCK_AFTER);
    let is_cut = matches!((depth.oldest_ms, activity.searched_from_ms), (Some(oldest), Some(from)) if from > oldest);
    is_cut && !is_recent
}

fn age(then_ms: Option<i64>, now_ms: i64) -> Option<Duration> {
    then_ms.map(|then_ms| since(then_ms, now_ms))
}

fn needs(name: &str, depth: &QueueDepth, condition: &Condition) -> Vec<Need> {
    let channel = condition.needs_a_person().then(|| NeedOf::Channel(condition.clone()));
    let unconfirmed = (depth.unconfirmed > 0).then_some(NeedOf::Unconfirmed(depth.unconfirmed));
    let dead = (depth.dead_events > 0).then_some(NeedOf::Dead(depth.dead_events));
    let found = [channel, unconfirmed, dead].into_iter().flatten();
    found.map(|of| Need { channel: name.to_owned(), of }).collect()
}

#[cfg(test)]
mod tests;
