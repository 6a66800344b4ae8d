//! What an operator sees first: whether anything needs a person, and one word and one sentence for each channel. From the store
//! alone, so that it is told beside a running bridge and without one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::config::Config;
use crate::domain::clock::{now_ms, since};
use crate::domain::journey::ChannelFault;
use crate::store::{Activity, QueueDepth, Store, StoreError};

/// What waits for longer while nothing is taken is stuck; `GET /deliverz` has the same bound.
const STUCK_AFTER: Duration = Duration::from_mins(5);

/// The state of a channel in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Works,
    /// Messages go out, and many wait.
    Slow,
    /// Messages or events wait, and none is taken.
    Stuck,
    /// No process delivers it.
    Nobody,
    /// The store has it and the configuration does not.
    NotConfigured,
}

impl Word {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Slow => "slow",
            Self::Stuck => "stuck",
            Self::Nobody => "nobody delivers it",
            Self::NotConfigured => "not configured",
        }
    }
}

/// Something that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Need {
    pub(crate) channel: String,
    pub(crate) what: String,
    /// The command that shows it or deals with it.
    pub(crate) command: String,
    /// The same on the operators' pages, relative to their root.
    pub(crate) link: String,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChannelState {
    pub(crate) channel: String,
    pub(crate) word: Word,
    pub(crate) sentence: String,
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

/// What is known of one channel.
struct Known {
    configured: bool,
    depth: QueueDepth,
    activity: Activity,
    /// Whether some process delivers it; `None` where that is not known from the store.
    delivered: Option<bool>,
}

/// Returns the state of each channel, those that are configured and those that only the store has.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn overview(store: &dyn Store, config: &Config) -> Result<Overview, StoreError> {
    let depths = store.depths().await?;
    let mut depths: BTreeMap<String, QueueDepth> =
        depths.into_iter().map(|depth| (depth.channel.clone(), depth)).collect();
    let mut activity = store.operators().activity().await?;
    let owners = store.operators().owners().await?;
    let configured: BTreeSet<String> = config.channels.keys().map(ToString::to_string).collect();
    let mut names = configured.clone();
    names.extend(depths.keys().cloned());
    let now_ms = now_ms();
    let (mut needs_you, mut channels) = (Vec::new(), Vec::new());
    for name in names {
        let owner = owners.as_ref().and_then(|owners| owners.get(&name)).cloned();
        let known = Known {
            configured: configured.contains(&name),
            depth: depths.remove(&name).unwrap_or_default(),
            activity: activity.remove(&name).unwrap_or_default(),
            delivered: owners.as_ref().map(|_| owner.is_some()),
        };
        let (word, sentence) = state(&known, now_ms);
        needs_you.extend(needs(&name, &known, word, &sentence));
        let Known { depth, activity, .. } = known;
        channels.push(ChannelState {
            channel: name,
            word,
            sentence,
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

/// Returns the word and the sentence of a channel. What a person has paused comes before all else here.
fn state(known: &Known, now_ms: i64) -> (Word, String) {
    let Known { configured, depth, activity, delivered } = known;
    let ago = |then_ms: Option<i64>| then_ms.map(|then_ms| since(then_ms, now_ms));
    let waits = ago(depth.oldest_ms).unwrap_or_default();
    let recently = |then_ms: Option<i64>| ago(then_ms).is_some_and(|ago| ago <= STUCK_AFTER);
    if !configured {
        let sentence = format!(
            "it is not in the configuration: {} message(s) and {} event(s) of it are kept and not delivered",
            depth.outbound, depth.events
        );
        return (Word::NotConfigured, sentence);
    }
    if *delivered == Some(false) {
        return (Word::Nobody, "no process delivers it: what comes is kept, and waits until one runs".to_owned());
    }
    if depth.outbound > 0 && waits > STUCK_AFTER && !recently(activity.sent_ms) {
        let cause = cause(activity.fault.as_ref(), now_ms);
        let sentence = format!(
            "{} message(s) wait for Afilnet, the oldest for {}, and none was sent for as long{cause}. None is lost",
            depth.outbound,
            words(waits)
        );
        return (Word::Stuck, sentence);
    }
    let event_waits = ago(activity.oldest_event_ms).unwrap_or_default();
    if depth.events > 0 && event_waits > STUCK_AFTER && !recently(activity.published_ms) {
        let sentence = format!(
            "{} event(s) wait for BonyChat, the oldest for {}, and it took none for as long. None is lost",
            depth.events,
            words(event_waits)
        );
        return (Word::Stuck, sentence);
    }
    if depth.outbound > 0 && waits > STUCK_AFTER {
        let sentence = format!(
            "messages go out; {} wait, the oldest for {}: a broadcast, or more than requests_per_second lets pass",
            depth.outbound,
            words(waits)
        );
        return (Word::Slow, sentence);
    }
    let sentence = match (depth.outbound, depth.events) {
        (0, 0) => "nothing waits".to_owned(),
        (outbound, events) => format!("{outbound} message(s) and {events} event(s) are on their way"),
    };
    (Word::Works, sentence)
}

/// Returns why nothing is sent, as far as attempts have shown it.
fn cause(fault: Option<&ChannelFault>, now_ms: i64) -> String {
    match fault {
        Some(ChannelFault { at_ms, fault }) => {
            format!("; the last attempt failed {} ago: {fault}", words(since(*at_ms, now_ms)))
        }
        None => "; no attempt failed, so is a bridge running?".to_owned(),
    }
}

fn needs(name: &str, known: &Known, word: Word, sentence: &str) -> Vec<Need> {
    let need = |what: String, command: String, link: String| Need { channel: name.to_owned(), what, command, link };
    let mut found = Vec::new();
    match word {
        Word::Works | Word::Slow => {}
        Word::Stuck | Word::Nobody => {
            found.push(need(sentence.to_owned(), "bridge doctor".to_owned(), format!("channels/{name}")));
        }
        Word::NotConfigured => found.push(need(
            format!("{sentence}. Configure it again under this name, or discard them"),
            format!("bridge messages list --channel {name}"),
            format!("messages?channel={name}"),
        )),
    }
    if known.depth.unconfirmed > 0 {
        found.push(need(
            format!(
                "{} message(s) may or may not have reached the customer: say what became of them",
                known.depth.unconfirmed
            ),
            format!("bridge messages list --state unconfirmed --channel {name}"),
            "unconfirmed".to_owned(),
        ));
    }
    if known.depth.dead_events > 0 {
        found.push(need(
            format!(
                "{} event(s) did not reach BonyChat and were given up: post them again or discard them",
                known.depth.dead_events
            ),
            format!("bridge messages list --state dead --channel {name}"),
            "failed".to_owned(),
        ));
    }
    found
}

/// Returns a time in the largest whole unit that fits: `2 h`, `7 min`, `40 s`.
pub(crate) fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 172_800.. => format!("{} days", seconds / 86_400),
        seconds @ 7200.. => format!("{} h", seconds / 3600),
        seconds @ 120.. => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn known(depth: QueueDepth, activity: Activity) -> Known {
        Known { configured: true, depth, activity, delivered: None }
    }

    #[test]
    fn the_word_of_a_channel_follows_from_what_waits_and_what_was_taken() {
        let now = 1000 * MINUTE;
        let waiting =
            |minutes: i64| QueueDepth { outbound: 3, oldest_ms: Some(now - minutes * MINUTE), ..QueueDepth::default() };
        let sent = |minutes: i64| Activity { sent_ms: Some(now - minutes * MINUTE), ..Activity::default() };
        let events = QueueDepth { events: 2, ..QueueDepth::default() };
        let waits_in = |minutes: i64, published: i64| Activity {
            oldest_event_ms: Some(now - minutes * MINUTE),
            published_ms: Some(now - published * MINUTE),
            ..Activity::default()
        };
        for (known, word, says) in [
            (known(QueueDepth::default(), Activity::default()), Word::Works, "nothing waits"),
            (known(waiting(4), Activity::default()), Word::Works, "3 message(s)"),
            (known(waiting(20), sent(1)), Word::Slow, "20 min"),
            (known(waiting(20), sent(19)), Word::Stuck, "is a bridge running?"),
            (known(waiting(20), Activity::default()), Word::Stuck, "None is lost"),
            (known(events.clone(), waits_in(20, 1)), Word::Works, "2 event(s)"),
            (known(events.clone(), waits_in(20, 15)), Word::Stuck, "wait for BonyChat"),
            (Known { delivered: Some(false), ..known(waiting(1), sent(1)) }, Word::Nobody, "no process"),
            (Known { delivered: Some(true), ..known(waiting(1), sent(1)) }, Word::Works, ""),
            (Known { configured: false, ..known(waiting(1), sent(1)) }, Word::NotConfigured, "not delivered"),
        ] {
            let (found, sentence) = state(&known, now);
            assert!(found == word && sentence.contains(says), "{found:?} {sentence}, not {word:?} {says}");
        }
        let fault = ChannelFault { at_ms: now - 2 * MINUTE, fault: "NO_CREDITS".into() };
        let (_, sentence) = state(&known(waiting(20), Activity { fault: Some(fault), ..sent(19) }), now);
        assert!(sentence.contains("2 min ago: NO_CREDITS"), "{sentence}");
    }
}
