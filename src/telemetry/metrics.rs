//! Metrics: names, descriptions, and one function to count each. Labels are configured names and small enums, never a
//! contact, an id or a text. Nothing is counted before [`start`]. Read at `GET /metrics` of the admin listener.

pub(crate) mod anna;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) use super::delivery::{Depth, Part};
use super::{Refusal, delivery};
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{ChannelName, Fault, Verdict};

const ACCEPTED: &str = "bridge_accepted_total";
const REPEATS: &str = "bridge_repeats_total";
const SENT: &str = "bridge_sent_total";
const ATTEMPTS: &str = "bridge_attempts_total";
const FAILED: &str = "bridge_failed_total";
const UNKNOWN: &str = "bridge_unknown_total";
const UNCONFIRMED: &str = "bridge_unconfirmed_total";
const UNCONFIRMED_NOW: &str = "bridge_unconfirmed";
const CORRELATED: &str = "bridge_correlated_total";
const SETTLE_LAG: &str = "bridge_settle_lag_seconds";
const GAPS: &str = "bridge_gaps_total";
const PUBLISHED: &str = "bridge_published_total";
const DEAD_EVENTS: &str = "bridge_dead_events_total";
const DEAD_EVENTS_NOW: &str = "bridge_dead_events";
const QUEUE_OUTBOUND: &str = "bridge_queue_outbound";
const OLDEST_QUEUED: &str = "bridge_oldest_queued_seconds";
const EVENTS_QUEUED: &str = "bridge_events_queued";
const PAUSED: &str = "bridge_paused";
const LAST_POLL: &str = "bridge_last_poll_seconds";
const AFILNET_CALLS: &str = "bridge_afilnet_calls_total";
const OWNED: &str = "bridge_owned";
const REFUSED: &str = "bridge_refused_total";
const LOG_LINES_DROPPED: &str = "bridge_log_lines_dropped_total";
const UNREADABLE: &str = "bridge_unreadable_destinations";
const UNLISTED: &str = "bridge_unlisted_conversations";
const BALANCE: &str = "bridge_afilnet_balance";
const STORE_READY: &str = "bridge_store_ready";
const BUILD_INFO: &str = "bridge_build_info";
const CONFIGURATION_INFO: &str = "bridge_configuration_info";
const STORE_COMMIT: &str = "bridge_store_commit_seconds";

/// Names and `# HELP` texts.
const COUNTERS: &[(&str, &str)] = &[
    (ACCEPTED, "Messages of BonyChat that were stored and answered 200"),
    (REPEATS, "Calls of BonyChat that repeated an earlier one and got its mId"),
    (SENT, "Messages that Afilnet took whole"),
    (ATTEMPTS, "Attempts to send, by verdict"),
    (FAILED, "Messages that were given up, by class of fault"),
    (UNKNOWN, "Attempts that may or may not have sent their message"),
    (UNCONFIRMED, "Messages whose outcome looking could not settle"),
    (CORRELATED, "Rows of Afilnet that were found to show a message of ours"),
    (GAPS, "Reads that did not reach back to the last row known: rows may have been missed"),
    (PUBLISHED, "Events that BonyChat took, by kind"),
    (DEAD_EVENTS, "Events that were given up"),
    (REFUSED, "Requests and connections that were refused, or could not be accepted yet, by reason"),
    (AFILNET_CALLS, "Calls to Afilnet, by method and outcome"),
];

const GAUGES: &[(&str, &str)] = &[
    (UNCONFIRMED_NOW, "Messages that wait for a person to say what became of them"),
    (SETTLE_LAG, "Longest time that a sent message was seen not to show at Afilnet yet"),
    (QUEUE_OUTBOUND, "Messages that wait for Afilnet or are under way"),
    (OLDEST_QUEUED, "Age of the oldest of those"),
    (EVENTS_QUEUED, "Events that wait for BonyChat"),
    (DEAD_EVENTS_NOW, "Events that were given up and wait for a person to post them again or to discard them"),
    (PAUSED, "1 while this part of the channel is paused: by a fault of the far side, or by a person (operator_*)"),
    (OWNED, "1 while this process delivers the channel's messages; where several share a store, one of them does"),
    (
        UNREADABLE,
        "Conversations at Afilnet whose destination makes no contact id: their messages cannot reach BonyChat",
    ),
    (UNLISTED, "Conversations of the last days that Afilnet holds and does not list"),
    (LAST_POLL, "Time since Afilnet was last asked for conversations with success; since the start where it never was"),
];

/// Seconds: from a disk that syncs at once to one that is far too slow.
const COMMIT_BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

const VERDICTS: &[&str] = &["sent", "not_sent", "refused", "unknown"];
const CLASSES: &[&str] = &["outage", "account", "credit", "channel", "content", "route", "stale", "other"];
const KINDS: &[&str] = &["message", "message_echo", "message_status"];
const OUTCOMES: &[&str] =
    &["success", "refused", "busy", "no_connection", "no_answer", "http_error", "not_understood", "other"];

/// One per process: bridges in one process, as in tests, share their numbers.
static READER: OnceLock<PrometheusHandle> = OnceLock::new();
/// When each channel was last polled with success.
static POLLED: Mutex<Option<HashMap<String, Instant>>> = Mutex::new(None);

/// Held while counting starts: a second start at the same time must find the first one's reader.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts counting: describes every metric, and sets it to zero for each channel and each method of Afilnet's.
///
/// # Errors
/// Another recorder is installed in the process.
pub(crate) fn start<'a>(
    channels: impl IntoIterator<Item = &'a ChannelName>,
    methods: &[&'static str],
) -> anyhow::Result<()> {
    let _turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if READER.get().is_none() {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(STORE_COMMIT.into()), COMMIT_BUCKETS)?
            .build_recorder();
        let reader = recorder.handle();
        if metrics::set_global_recorder(recorder).is_ok() {
            let _ = READER.set(reader);
        }
        READER.get().context("metrics are counted elsewhere already")?;
    }
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    describe_gauge!(STORE_READY, "1 while the store can be written; while it is 0, /message answers 503");
    describe_gauge!(BALANCE, "Balance of an Afilnet account, named by its first channel, where Afilnet gives a number");
    describe_gauge!(BUILD_INFO, "1; its label is the version that runs");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!(CONFIGURATION_INFO, "1 for the configuration that is in force, by a digest of it without secrets");
    describe_counter!(LOG_LINES_DROPPED, "Lines of the log that whatever reads stderr left no room for");
    describe_histogram!(STORE_COMMIT, "Time that a commit of the store took, sync included");
    for (method, outcome) in methods.iter().flat_map(|method| OUTCOMES.iter().map(move |outcome| (*method, *outcome))) {
        counter!(AFILNET_CALLS, "method" => method, "outcome" => outcome).increment(0);
    }
    for refusal in Refusal::ALL {
        counter!(REFUSED, "why" => refusal.label()).increment(0);
    }
    channels.into_iter().for_each(zero);
    Ok(())
}

fn zero(channel: &ChannelName) {
    let name = || channel.as_str().to_owned();
    for counted in [ACCEPTED, REPEATS, SENT, UNKNOWN, UNCONFIRMED, CORRELATED, GAPS, DEAD_EVENTS] {
        counter!(counted, "channel" => name()).increment(0);
    }
    for (counted, label, values) in
        [(ATTEMPTS, "verdict", VERDICTS), (FAILED, "class", CLASSES), (PUBLISHED, "kind", KINDS)]
    {
        for value in values {
            counter!(counted, "channel" => name(), label => *value).increment(0);
        }
    }
    settle_lag(channel, Duration::ZERO);
    owned(channel, false);
    elsewhere(channel);
}

/// Another process delivers the channel and shows its state: clears the channel's gauges here, so that a sum or maximum
/// over all processes is that of the channel.
pub(crate) fn elsewhere(channel: &ChannelName) {
    depth(channel, Depth::default());
    for part in Part::ALL {
        paused(channel, part, false);
    }
    operator_pauses(channel, Vec::new());
    polled(channel);
    unreadable_destinations(channel, 0);
    unlisted_conversations(channel, 0);
    delivery::elsewhere(channel.as_str());
}

/// A reload has removed the channel. The exporter keeps its series until a restart, so those that an alert would read as a
/// channel that nobody delivers or reads become not a number, which no comparison is true of.
pub(crate) fn removed(channel: &ChannelName) {
    elsewhere(channel);
    if let Some(polled) = POLLED.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        polled.remove(channel.as_str());
    }
    for shown in [OWNED, LAST_POLL] {
        set(shown, channel, f64::NAN);
    }
}

/// Returns the metrics in Prometheus' text format; `None` before [`start`].
pub(crate) fn text() -> Option<String> {
    let reader = READER.get()?;
    if let Some(polled) = POLLED.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        for (channel, at) in polled {
            gauge!(LAST_POLL, "channel" => channel.clone()).set(at.elapsed().as_secs_f64());
        }
    }
    counter!(LOG_LINES_DROPPED).absolute(super::queue::dropped());
    Some(reader.render())
}

/// Aggregates the samples of histograms; to be called every few seconds, or they grow.
pub(crate) fn fold() {
    if let Some(reader) = READER.get() {
        reader.run_upkeep();
    }
}

fn count(counted: &'static str, channel: &ChannelName) {
    counter!(counted, "channel" => channel.as_str().to_owned()).increment(1);
}

fn set(shown: &'static str, channel: &ChannelName, value: f64) {
    gauge!(shown, "channel" => channel.as_str().to_owned()).set(value);
}

/// A message was stored.
pub(crate) fn accepted(channel: &ChannelName) {
    count(ACCEPTED, channel);
}

/// A listener has refused something.
pub(super) fn refused(refusal: Refusal) {
    counter!(REFUSED, "why" => refusal.label()).increment(1);
}

/// A message was sent completely.
pub(crate) fn sent(channel: &ChannelName) {
    count(SENT, channel);
    delivery::sent(channel.as_str());
}

/// An attempt to send has ended.
pub(crate) fn attempted(channel: &ChannelName, verdict: &Verdict) {
    let label = match verdict {
        Verdict::Sent { .. } => "sent",
        Verdict::NotSent { .. } => "not_sent",
        Verdict::Refused { .. } => "refused",
        Verdict::Unknown { .. } => "unknown",
    };
    counter!(ATTEMPTS, "channel" => channel.as_str().to_owned(), "verdict" => label).increment(1);
    if matches!(verdict, Verdict::Unknown { .. }) {
        unknown(channel);
    }
}

/// An outcome is unknown: of an attempt, or of one that a former process left under way.
pub(crate) fn unknown(channel: &ChannelName) {
    count(UNKNOWN, channel);
}

/// Lookups could not settle an unknown outcome.
pub(crate) fn unconfirmed(channel: &ChannelName) {
    count(UNCONFIRMED, channel);
}

/// A message was given up.
pub(crate) fn failed(channel: &ChannelName, fault: &Fault) {
    counter!(FAILED, "channel" => channel.as_str().to_owned(), "class" => class(fault)).increment(1);
}

/// A message was given up because it had waited for longer than `outbound.stale_after`.
pub(crate) fn failed_stale(channel: &ChannelName) {
    counter!(FAILED, "channel" => channel.as_str().to_owned(), "class" => "stale").increment(1);
}

/// BonyChat took an event.
pub(crate) fn published(channel: &ChannelName, kind: &'static str) {
    counter!(PUBLISHED, "channel" => channel.as_str().to_owned(), "kind" => kind).increment(1);
    delivery::published(channel.as_str());
}

/// An event was given up.
pub(crate) fn dead_event(channel: &ChannelName) {
    count(DEAD_EVENTS, channel);
}

/// Afilnet listed the channel's conversations.
pub(crate) fn polled(channel: &ChannelName) {
    let mut polled = POLLED.lock().unwrap_or_else(PoisonError::into_inner);
    polled.get_or_insert_default().insert(channel.as_str().to_owned(), Instant::now());
    delivery::polled(channel.as_str());
}

/// Sets whether this process delivers the channel's messages.
pub(crate) fn owned(channel: &ChannelName, owned: bool) {
    set(OWNED, channel, f64::from(u8::from(owned)));
    if owned {
        delivery::here(channel.as_str());
    } else {
        delivery::elsewhere(channel.as_str());
    }
}

/// Sets the configuration that is in force, by its digest.
pub(crate) fn configuration(digest: String) {
    static LAST: Mutex<Option<String>> = Mutex::new(None);
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).replace(digest.clone());
    if let Some(last) = last {
        gauge!(CONFIGURATION_INFO, "digest" => last).set(0.0);
    }
    gauge!(CONFIGURATION_INFO, "digest" => digest).set(1.0);
}

/// Sets the channels that no process delivers, as the store tells.
pub(crate) fn delivered_by_nobody<'a>(channels: impl Iterator<Item = &'a ChannelName>) {
    delivery::nobodys(channels.map(|name| name.as_str().to_owned()).collect());
}

/// Sets whether a part of a channel is paused.
pub(crate) fn paused(channel: &ChannelName, part: Part, paused: bool) {
    gauge!(PAUSED, "channel" => channel.as_str().to_owned(), "what" => part.label()).set(f64::from(u8::from(paused)));
    delivery::paused(channel.as_str(), part, paused);
}

/// Sets the pauses by hand of a channel.
pub(crate) fn operator_pauses(channel: &ChannelName, pauses: Vec<OperatorPause>) {
    for kind in PauseKind::ALL {
        let lasts = pauses.iter().any(|pause| pause.kind == kind);
        let what = match kind {
            PauseKind::Out => "operator_out",
            PauseKind::In => "operator_in",
            PauseKind::Drain => "operator_drain",
        };
        gauge!(PAUSED, "channel" => channel.as_str().to_owned(), "what" => what).set(f64::from(u8::from(lasts)));
    }
    delivery::operator_pauses(channel.as_str(), pauses);
}

/// Sets the depth of a channel's queues.
#[expect(clippy::cast_precision_loss, reason = "2^53 messages do not wait")]
pub(crate) fn depth(channel: &ChannelName, depth: Depth) {
    set(QUEUE_OUTBOUND, channel, depth.outbound as f64);
    set(OLDEST_QUEUED, channel, depth.oldest.as_secs_f64());
    set(EVENTS_QUEUED, channel, depth.events as f64);
    set(UNCONFIRMED_NOW, channel, depth.unconfirmed as f64);
    set(DEAD_EVENTS_NOW, channel, depth.dead_events as f64);
    delivery::depth(channel.as_str(), depth);
}

/// A call to Afilnet has ended.
pub(crate) fn afilnet_call(method: &'static str, fault: Option<&Fault>) {
    counter!(AFILNET_CALLS, "method" => method, "outcome" => outcome(fault)).increment(1);
}

/// Sets whether the store can be written.
pub(crate) fn store_ready(ready: bool) {
    gauge!(STORE_READY).set(f64::from(u8::from(ready)));
    delivery::store_ready(ready);
}

/// Sets the balance of the account that has `channel` as its first; not a number where another process asks for it.
pub(crate) fn balance(channel: &ChannelName, balance: f64) {
    gauge!(BALANCE, "account" => channel.as_str().to_owned()).set(balance);
}

/// The store has committed, or tried to.
pub(crate) fn committed(took: Duration) {
    histogram!(STORE_COMMIT).record(took);
}

/// Sets the longest time that a sent message was observed not to show.
pub(crate) fn settle_lag(channel: &ChannelName, lag: Duration) {
    set(SETTLE_LAG, channel, lag.as_secs_f64());
}

/// A call repeated an earlier one and got its mId.
pub(crate) fn repeated(channel: &ChannelName) {
    count(REPEATS, channel);
}

/// A row was matched with an own send.
pub(crate) fn correlated(channel: &ChannelName) {
    count(CORRELATED, channel);
}

/// A read did not reach back to the last row known.
pub(crate) fn gap(channel: &ChannelName) {
    count(GAPS, channel);
}

/// Sets the number of conversations at Afilnet with a destination that makes no contact id.
#[expect(clippy::cast_precision_loss, reason = "a number of conversations")]
pub(crate) fn unreadable_destinations(channel: &ChannelName, count: usize) {
    set(UNREADABLE, channel, count as f64);
}

/// Sets the number of conversations of the last days that Afilnet holds and does not list.
#[expect(clippy::cast_precision_loss, reason = "a number of conversations")]
pub(crate) fn unlisted_conversations(channel: &ChannelName, count: usize) {
    set(UNLISTED, channel, count as f64);
}

/// Returns the class of a fault, for a label: within a class, the same person must act.
fn class(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unreachable
        | Fault::Busy
        | Fault::TimedOut
        | Fault::ConnectionLost
        | Fault::Http(_)
        | Fault::NotUnderstood
        | Fault::Interrupted => "outage",
        Fault::Credentials(_) | Fault::Forbidden | Fault::WrongService(_) | Fault::Certificate => "account",
        Fault::NoCredits => "credit",
        Fault::ChannelNotFound => "channel",
        Fault::ChatNotFound
        | Fault::MissingParam
        | Fault::FileType
        | Fault::FileUrl
        | Fault::ThumbUrl
        | Fault::TooLong => "content",
        Fault::NoRoute => "route",
        Fault::Other(_) => "other",
    }
}

/// Returns how a call ended, for a label.
fn outcome(fault: Option<&Fault>) -> &'static str {
    match fault {
        None => "success",
        Some(Fault::Unreachable | Fault::Certificate) => "no_connection",
        Some(Fault::Busy) => "busy",
        Some(Fault::TimedOut | Fault::ConnectionLost) => "no_answer",
        Some(Fault::Http(_)) => "http_error",
        Some(Fault::NotUnderstood) => "not_understood",
        Some(Fault::Interrupted) => "other",
        Some(
            Fault::Credentials(_)
            | Fault::Forbidden
            | Fault::NoCredits
            | Fault::WrongService(_)
            | Fault::ChannelNotFound
            | Fault::ChatNotFound
            | Fault::MissingParam
            | Fault::FileType
            | Fault::FileUrl
            | Fault::ThumbUrl
            | Fault::NoRoute
            | Fault::TooLong
            | Fault::Other(_),
        ) => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_at_most_forty_series_all_there_from_the_start() {
        let [one, two]: [ChannelName; 2] = ["counted1", "counted2"].map(|name| name.parse().unwrap());
        start([&one, &two], &["method1"]).unwrap();
        start([&one], &[]).unwrap();
        failed(&one, &Fault::Other("+34600111222 says no".into()));
        afilnet_call("method1", Some(&Fault::Other("secret".into())));
        committed(Duration::from_millis(3));
        let text = text().unwrap();
        let of_two = text.lines().filter(|log_format| log_format.contains("channel=\"counted2\"")).count();
        assert!((30..=40).contains(&of_two), "{of_two} series of a channel");
        for (name, _) in COUNTERS.iter().chain(GAUGES) {
            assert!(text.contains(&format!("# HELP {name} ")), "{name} is not described");
            assert!(text.contains(&format!("\n{name}{{")), "{name} is not at zero from the start");
        }
        assert!(text.contains("bridge_failed_total{channel=\"counted1\",class=\"other\"} 1"), "{text}");
        assert!(text.contains("bridge_store_commit_seconds_bucket{le=\"0.005\"}"), "{text}");
        assert!(!text.contains("600111222") && !text.contains("secret"));
    }

    #[test]
    fn a_channel_that_was_removed_is_neither_undelivered_nor_read_late_until_it_comes_back() {
        let gone: ChannelName = "removed1".parse().unwrap();
        let shown = |series: &str| {
            let series = format!("{series}{{channel=\"removed1\"}} ");
            let text = text().unwrap();
            text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse::<f64>().unwrap()
        };
        start([&gone], &[]).unwrap();
        owned(&gone, true);
        removed(&gone);
        assert!(shown(OWNED).is_nan() && shown(LAST_POLL).is_nan());
        start([&gone], &[]).unwrap();
        assert!(shown(OWNED).abs() < 0.5 && shown(LAST_POLL) >= 0.0);
    }
}
