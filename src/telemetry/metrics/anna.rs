//! What is counted of AnnA; nothing where it is off.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::domain::ChannelName;

const CALLS: &str = "bridge_anna_calls_total";
const FALLBACKS: &str = "bridge_anna_fallbacks_total";
const PAUSED: &str = "bridge_anna_paused";

/// How a call ends.
const OUTCOMES: &[&str] = &["ok", "api", "auth", "busy", "protocol", "transport"];

/// Describes what is counted, and sets it to zero for each endpoint.
pub(crate) fn start(endpoints: &[&'static str]) {
    describe_counter!(CALLS, "Calls to AnnA, by endpoint and outcome");
    describe_counter!(FALLBACKS, "Placeholders that were filled in with their fallback, by reason");
    describe_gauge!(PAUSED, "1 while AnnA is not asked, since it failed several times in a row or asked for a pause");
    for (endpoint, outcome) in endpoints.iter().flat_map(|one| OUTCOMES.iter().map(move |outcome| (*one, *outcome))) {
        counter!(CALLS, "endpoint" => endpoint, "outcome" => outcome).increment(0);
    }
    paused(false);
}

/// A call to AnnA has ended.
pub(crate) fn call(endpoint: &'static str, outcome: &'static str) {
    counter!(CALLS, "endpoint" => endpoint, "outcome" => outcome).increment(1);
}

/// A placeholder of this name was filled in with its fallback.
pub(crate) fn fallback(channel: &ChannelName, placeholder: &'static str, reason: &'static str) {
    let channel = channel.as_str().to_owned();
    counter!(FALLBACKS, "channel" => channel, "placeholder" => placeholder, "reason" => reason).increment(1);
}

/// Sets whether AnnA is not asked for now.
pub(crate) fn paused(paused: bool) {
    gauge!(PAUSED).set(f64::from(u8::from(paused)));
}
