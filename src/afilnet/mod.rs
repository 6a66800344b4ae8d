//! Afilnet's side of a channel: the only room that knows Afilnet's wire (contract: afilnet.md). `app` builds an
//! [`AfilnetClient`] for each channel and hands it to the loops as a `dyn Messenger`. No call is repeated here.

mod classify;
mod json;
mod order;
mod split;
mod translate;
mod transport;
mod when;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use serde_json::Value;

use self::classify::{Outcome, classify, classify_read};
use self::translate::{Call, Wording};
use self::transport::Carrier;
pub(crate) use self::transport::client;
pub(crate) use self::wire::Listed;
use self::wire::Rows;
use crate::config;
use crate::crashpoint;
use crate::domain::{Content, Destination, Fault, Fence, Language, Messenger, Platform, ReadError, Row, Verdict};
use crate::telemetry::metrics;

/// Every method that is called here.
pub(crate) const METHODS: &[&str] =
    &["sendmessage", "sendfile", "getchats", "getmessages", "getunreadmessages", "getbalance", "getchatchannels"];

/// One channel at Afilnet.
pub(crate) struct AfilnetClient {
    http: reqwest::Client,
    carrier: Box<dyn Carrier>,
    platform: Platform,
    platform_id: String,
    timeout: Duration,
    zone: TimeZone,
    wording: Wording,
    unreadable_rows: AtomicU64,
    /// Until when its calls may begin.
    fence: Fence,
}

impl AfilnetClient {
    /// `http` comes from [`client`] and is shared by all channels.
    pub(crate) fn new(
        channel: &config::Channel,
        outbound: &config::OutboundConfig,
        language: Language,
        http: reqwest::Client,
    ) -> Self {
        Self {
            http,
            carrier: transport::carrier(&channel.afilnet),
            platform: channel.platform,
            platform_id: channel.platform_id.as_str().to_owned(),
            timeout: channel.afilnet.timeout,
            zone: channel.afilnet.time_zone.clone(),
            wording: Wording {
                text_limit: channel.text_limit,
                number_quick_replies: outbound.number_quick_replies,
                location_text: outbound.location_text.clone(),
                language,
            },
            unreadable_rows: AtomicU64::new(0),
            fence: Fence::open(),
        }
    }

    /// The same, whose calls end with a lease.
    pub(crate) fn behind(self, fence: &Fence) -> Self {
        Self { fence: fence.clone(), ..self }
    }

    /// The channels of the account (afilnet.md 3.1). No side effect.
    pub(crate) async fn channels(&self) -> Result<Vec<Listed>, ReadError> {
        let result = self.read(&[("class", "chat"), ("method", "getchatchannels")]).await?;
        wire::channels(result).ok_or_else(not_understood)
    }

    /// The account's balance as Afilnet writes it, `None` where it writes none: the probe of credentials that has no
    /// side effect (afilnet.md section 2).
    pub(crate) async fn balance(&self) -> Result<Option<String>, ReadError> {
        let result = self.read(&[("class", "user"), ("method", "getbalance")]).await?;
        Ok(result.as_str().map(|balance| balance.trim().to_owned()).filter(|balance| !balance.is_empty()))
    }

    /// How many items of lists could not be read as rows, since the start.
    #[cfg(test)]
    pub(crate) fn unreadable_rows(&self) -> u64 {
        self.unreadable_rows.load(Ordering::Relaxed)
    }

    fn call(&self, content: &Content, part: u32) -> Option<Call> {
        self.wording.calls(content).into_iter().nth(usize::try_from(part).ok()?)
    }

    /// `class`, `method` and the channel, as the calls about conversations begin.
    fn of_channel<'a>(&'a self, method: &'a str) -> Vec<(&'a str, &'a str)> {
        let platform = self.platform.as_str();
        vec![("class", "chat"), ("method", method), ("platform", platform), ("platformid", &self.platform_id)]
    }

    async fn exchange(&self, parameters: &[(&str, &str)]) -> Outcome {
        let start = Instant::now();
        let method = parameters.get(1).map_or("", |(_, method)| *method);
        crashpoint::hit(method, crashpoint::BEFORE_CALL);
        let outcome =
            transport::exchange(&self.http, self.carrier.as_ref(), parameters, self.timeout, &self.fence).await;
        crashpoint::hit(method, crashpoint::AFTER_CALL);
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(answer) => {
                tracing::debug!(afilnet_method = method, http_status = answer.http, duration_ms, "Afilnet answered");
            }
            Err(failure) => {
                tracing::debug!(afilnet_method = method, duration_ms, ?failure, "Afilnet did not answer");
            }
        }
        outcome
    }

    async fn read(&self, parameters: &[(&str, &str)]) -> Result<Value, ReadError> {
        let read = classify_read(&self.exchange(parameters).await);
        count(parameters, read.as_ref().err().map(|error| &error.fault));
        read
    }

    /// Reads one conversation by `method`.
    async fn conversation(&self, method: &str, of: &Destination) -> Result<Vec<Row>, ReadError> {
        let mut parameters = self.of_channel(method);
        parameters.push(("destination", of.as_str()));
        let result = self.read(&parameters).await?;
        wire::rows_of(result, of, &self.zone).map(|rows| self.readable(method, rows)).ok_or_else(not_understood)
    }

    /// The rows, after counting and reporting the items that were none. Such an item may come back with every poll, so
    /// only each doubling of the count is a warning.
    fn readable(&self, method: &str, read: Rows) -> Vec<Row> {
        if read.unreadable > 0 {
            let more = read.unreadable as u64;
            let total = self.unreadable_rows.fetch_add(more, Ordering::Relaxed) + more;
            if (total - more).checked_ilog2().is_none_or(|before| total.ilog2() > before) {
                tracing::warn!(
                    afilnet_method = method,
                    unreadable = total,
                    "items of Afilnet's lists could not be read as rows and were left out: {total} since the start"
                );
            }
        }
        read.rows
    }
}

/// Counts a call by its method, which comes second.
fn count(parameters: &[(&str, &str)], fault: Option<&Fault>) {
    let method = METHODS.iter().find(|known| parameters.get(1).is_some_and(|(_, method)| *known == method));
    metrics::afilnet_call(method.copied().unwrap_or("other"), fault);
}

/// A success whose result is not what the contract says. It proves nothing, least of all an empty conversation.
fn not_understood() -> ReadError {
    ReadError { fault: Fault::NotUnderstood, asked: None }
}

#[async_trait]
impl Messenger for AfilnetClient {
    fn parts(&self, content: &Content) -> u32 {
        u32::try_from(self.wording.calls(content).len()).unwrap_or(u32::MAX)
    }

    fn words(&self, content: &Content, part: u32) -> Option<String> {
        match self.call(content, part)? {
            Call::Text(text) => Some(text),
            Call::File { message, .. } => message,
        }
    }

    async fn send(&self, to: &Destination, content: &Content, part: u32) -> Verdict {
        let Some(call) = self.call(content, part) else {
            // Its limit or template was changed between two parts; the rest cannot be told any more.
            return Verdict::Refused { fault: Fault::Other("NO_SUCH_PART".into()) };
        };
        let mut parameters = self.of_channel(call.method());
        parameters.push(("destination", to.as_str()));
        parameters.extend(call.parameters());
        let verdict = classify(&self.exchange(&parameters).await);
        count(&parameters, verdict.fault());
        verdict
    }

    async fn chats(&self) -> Result<Vec<Row>, ReadError> {
        let method = "getchats";
        let result = self.read(&self.of_channel(method)).await?;
        wire::rows(result, None, &self.zone).map(|rows| self.readable(method, rows)).ok_or_else(not_understood)
    }

    async fn messages(&self, of: &Destination) -> Result<Vec<Row>, ReadError> {
        self.conversation("getmessages", of).await
    }

    async fn probe_account(&self) -> Result<(), ReadError> {
        self.balance().await.map(|_| ())
    }

    async fn probe_channel(&self) -> Result<bool, ReadError> {
        let ours = |there: &Listed| there.platform == self.platform.as_str() && there.platform_id == self.platform_id;
        Ok(self.channels().await?.iter().any(ours))
    }

    async fn unread(&self, of: &Destination) -> Result<Vec<Row>, ReadError> {
        self.conversation("getunreadmessages", of).await
    }
}

#[cfg(test)]
mod tests;
