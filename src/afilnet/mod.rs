//! Afilnet's wire: the only room that knows it (contract: afilnet.md). `app` builds an [`AfilnetClient`] for each
//! channel and passes it to the loops as a `dyn Messenger`. No call is retried here.

pub(crate) mod capture;
mod classify;
mod date_parser;
mod failure;
mod intake;
mod json;
mod list;
mod noise;
mod oauth;
mod reserve;
mod soap;
mod sort;
mod split;
mod translate;
mod transport;
mod wire;
mod withheld;
mod wording;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use self::classify::{Outcome, classify, classify_read};
use self::intake::{Intake, READ_AT_ONCE};
pub(crate) use self::oauth::AccessTokens;
use self::translate::{Formatter, SendCall, Worded};
use self::transport::HttpTransport;
pub(crate) use self::transport::client;
pub(crate) use self::wire::Listed;
use self::wire::Rows;
use self::withheld::Withheld;
use crate::config;
use crate::crashpoint;
use crate::domain::{
    AfilnetRow, Called, Content, Destination, Fault, Language, LeaseDeadline, Messenger, Platform, ReadError, Response,
    Template, Verdict, Wording, Wordings,
};
use crate::telemetry::metrics;

/// Every method that is called here.
pub(crate) const METHODS: &[&str] =
    &["sendmessage", "sendfile", "getchats", "getmessages", "getunreadmessages", "getbalance", "getchatchannels"];

/// Those of them that return lists of any length.
const METHODS_OF_LISTS: &[&str] = &["getchats", "getmessages", "getunreadmessages"];

/// One channel at Afilnet.
pub(crate) struct AfilnetClient {
    http: reqwest::Client,
    transport: Box<dyn HttpTransport>,
    platform: Platform,
    platform_id: String,
    timeout: Duration,
    zone: TimeZone,
    formatter: Formatter,
    unreadable_rows: AtomicU64,
    /// Most bytes of a list.
    answer_limit: usize,
    /// Responses that were larger.
    too_large: AtomicU64,
    /// Whether the last list of conversations was a large one.
    large_chats: AtomicBool,
    /// No call starts after it.
    lease_deadline: LeaseDeadline,
}

impl AfilnetClient {
    /// `http`, from [`client`], and `tokens` are shared by all channels.
    pub(crate) fn new(
        channel: &config::Channel,
        outbound: &config::OutboundConfig,
        language: Language,
        http: reqwest::Client,
        tokens: &AccessTokens,
    ) -> Self {
        Self {
            http,
            transport: transport::transport(&channel.afilnet, tokens),
            platform: channel.platform,
            platform_id: channel.platform_id.as_str().to_owned(),
            timeout: channel.afilnet.timeout,
            zone: channel.afilnet.time_zone.clone(),
            formatter: Formatter {
                text_limit: channel.text_limit,
                number_quick_replies: outbound.number_quick_replies,
                location_text: outbound.location_text.clone(),
                language,
                placeholders: channel.anna,
            },
            unreadable_rows: AtomicU64::new(0),
            answer_limit: channel.afilnet.answer_limit,
            too_large: AtomicU64::new(0),
            large_chats: AtomicBool::new(false),
            lease_deadline: LeaseDeadline::unlimited(),
        }
    }

    /// Returns it with a lease deadline for its calls.
    pub(crate) fn behind(self, lease_deadline: &LeaseDeadline) -> Self {
        Self { lease_deadline: lease_deadline.clone(), ..self }
    }

    /// Returns the channels of the account (afilnet.md 3.1). No side effect.
    pub(crate) async fn channels(&self) -> Result<Vec<Listed>, ReadError> {
        self.read(&[("class", "chat"), ("method", "getchatchannels")], wire::channels).await
    }

    /// Returns the account's balance, `None` if there is none: a check of credentials without side effect (afilnet.md
    /// section 2).
    pub(crate) async fn balance(&self) -> Result<Option<Balance>, ReadError> {
        let written = |result: Option<&RawValue>| {
            let balance = wire::value(result).as_str().map(|balance| balance.trim().to_owned());
            Some(balance.filter(|balance| !balance.is_empty()).map(Balance::new))
        };
        self.read(&[("class", "user"), ("method", "getbalance")], written).await
    }

    /// Returns the number of list items since the start that could not be read as rows.
    #[cfg(test)]
    pub(crate) fn unreadable_rows(&self) -> u64 {
        self.unreadable_rows.load(Ordering::Relaxed)
    }

    /// Returns how a message is put into words: as when its first part was begun, where that is known.
    fn formatter(&self, wording: Option<&Wording>) -> Cow<'_, Formatter> {
        let then = wording.and_then(|wording| self.formatter.of(wording));
        then.map_or(Cow::Borrowed(&self.formatter), Cow::Owned)
    }

    fn worded(&self, content: &Content, part: u32, wording: Option<&Wording>) -> Option<Worded> {
        self.formatter(wording).worded(content).into_iter().nth(usize::try_from(part).ok()?)
    }

    /// Makes one call that sends. `None`: there is no such part by the settings of now, and those of its first part are not
    /// known.
    async fn make(&self, to: &Destination, call: Option<SendCall>) -> Called<Verdict> {
        let Some(call) = call else {
            return Verdict::Refused { fault: Fault::Other("NO_SUCH_PART".into()) }.into();
        };
        let parameters = self.of_send(to, &call);
        let outcome = self.exchange(&parameters, &mut Intake::of(intake::SMALL)).await;
        let (http, beginning) = (outcome.as_ref().ok().map(|answer| answer.http), beginning(&outcome));
        let withheld = self.withheld(&parameters);
        let verdict = classify(outcome, &withheld);
        self.count(&parameters, verdict.fault());
        let excerpt = verdict.fault().and_then(|_| withheld.excerpt(&beginning));
        Called { outcome: verdict, response: Response { http, excerpt } }
    }

    /// Returns the parameters of a call that sends.
    fn of_send<'a>(&'a self, to: &'a Destination, call: &'a SendCall) -> Vec<(&'a str, &'a str)> {
        let mut parameters = self.of_channel(call.method());
        parameters.push(("destination", to.as_str()));
        parameters.extend(call.parameters());
        parameters
    }

    /// Returns `class`, `method` and the channel, the first parameters of calls about conversations.
    fn of_channel<'a>(&'a self, method: &'a str) -> Vec<(&'a str, &'a str)> {
        let platform = self.platform.as_str();
        vec![("class", "chat"), ("method", method), ("platform", platform), ("platformid", &self.platform_id)]
    }

    async fn exchange(&self, parameters: &[(&str, &str)], intake: &mut Intake) -> Outcome {
        let start = Instant::now();
        let method = parameters.get(1).map_or("", |(_, method)| *method);
        crashpoint::hit(method, crashpoint::BEFORE_CALL);
        let outcome = transport::exchange(
            &self.http,
            self.transport.as_ref(),
            parameters,
            self.timeout,
            &self.lease_deadline,
            intake,
        )
        .await;
        crashpoint::hit(method, crashpoint::AFTER_CALL);
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(bytes) = intake.too_large() {
            self.report_size(method, bytes);
        }
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

    /// Makes one call that reads, and `parse`s its result.
    async fn read<T>(
        &self,
        parameters: &[(&str, &str)],
        parse: impl Fn(Option<&RawValue>) -> Option<T>,
    ) -> Result<T, ReadError> {
        let outcome = self.exchange(parameters, &mut Intake::of(intake::SMALL)).await;
        let read = classify_read(outcome, &self.withheld(parameters), parse);
        self.count(parameters, read.as_ref().err().map(|error| &error.fault));
        read
    }

    /// As [`Self::read`] for a list; a long one is parsed on a blocking thread, so that it does not delay other work.
    /// `alone`: take the turn for a large response before the call.
    async fn read_list(
        &self,
        parameters: &[(&str, &str)],
        of: Option<&Destination>,
        alone: bool,
    ) -> Result<Rows, ReadError> {
        let intake = Intake::of(self.answer_limit);
        let mut intake = if alone { intake.with_turn().await } else { intake };
        let outcome = self.exchange(parameters, &mut intake).await;
        let bytes = outcome.as_ref().ok().and_then(|answer| answer.body.as_ref().ok()).map_or(0, Vec::len);
        let (withheld, conversation, zone) = (self.withheld(parameters), of.cloned(), self.zone.clone());
        let read = move || {
            classify_read(outcome, &withheld, |result| match &conversation {
                Some(of) => wire::rows_of(result, of, &zone),
                None => wire::rows(result, None, &zone),
            })
        };
        let read = if bytes > READ_AT_ONCE {
            let broken = ReadError { fault: Fault::NotUnderstood, asked: None };
            tokio::task::spawn_blocking(read).await.unwrap_or(Err(broken))
        } else {
            read()
        };
        self.count(parameters, read.as_ref().err().map(|error| &error.fault));
        if of.is_none() && bytes > 0 {
            self.large_chats.store(Intake::is_large(bytes), Ordering::Relaxed);
        }
        read
    }

    /// Logs that a response was too large to be read. Every poll may have one, so only each doubling of their number is
    /// logged.
    fn report_size(&self, method: &str, bytes: u64) {
        let total = self.too_large.fetch_add(1, Ordering::Relaxed) + 1;
        if !total.is_power_of_two() {
            return;
        }
        let (limit, platform, id) = (self.answer_limit, self.platform.as_str(), &self.platform_id);
        if METHODS_OF_LISTS.contains(&method) {
            tracing::error!(
                afilnet_method = method,
                bytes,
                limit,
                "Afilnet's answer to {method} for {platform} {id} has {bytes} bytes or more, and afilnet.answer_limit takes \
                 {limit}: nothing of it is read, and customers' messages wait at Afilnet. Raise afilnet.answer_limit above \
                 its size, give the process five times that in memory, and afilnet.timeout enough time for it"
            );
        } else {
            tracing::warn!(
                afilnet_method = method,
                bytes,
                "Afilnet's answer to {method} for {platform} {id} has {bytes} bytes or more, which is no answer to such a call"
            );
        }
    }

    /// Returns what must not be repeated of the response to a call with these parameters.
    fn withheld(&self, parameters: &[(&str, &str)]) -> Withheld {
        let private = |(name, _): &&(&str, &str)| matches!(*name, "destination" | "message" | "fileurl");
        let values = parameters.iter().filter(private).map(|(_, value)| *value);
        let secrets = self.transport.secrets();
        Withheld::new(secrets.iter().map(String::as_str).chain(values))
    }

    /// Counts a call by its method, which comes second, and drops credentials that were refused.
    fn count(&self, parameters: &[(&str, &str)], fault: Option<&Fault>) {
        let method = METHODS.iter().find(|known| parameters.get(1).is_some_and(|(_, method)| *known == method));
        metrics::afilnet_call(method.copied().unwrap_or("other"), fault);
        if let Some(Fault::Credentials(_)) = fault {
            self.transport.forget_credentials();
        }
    }

    /// Reads one conversation by `method`.
    async fn conversation(&self, method: &str, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        let mut parameters = self.of_channel(method);
        parameters.push(("destination", of.as_str()));
        let rows = self.read_list(&parameters, Some(of), false).await?;
        Ok(self.readable(method, rows))
    }

    /// Returns the rows, after counting and logging the items that could not be read. Such an item may come back with
    /// every poll, so only each doubling of the count is logged.
    fn readable(&self, method: &str, read: Rows) -> Vec<AfilnetRow> {
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

/// Bytes of a response of which an excerpt is made, at most.
const EXCERPT_OF: usize = 4096;

/// Returns the beginning of a response's body.
fn beginning(outcome: &Outcome) -> Vec<u8> {
    let body = outcome.as_ref().ok().and_then(|answer| answer.body.as_deref().ok()).unwrap_or_default();
    body[..body.len().min(EXCERPT_OF)].to_vec()
}

#[async_trait]
impl Messenger for AfilnetClient {
    fn wordings(&self) -> Wordings {
        self.formatter.wordings()
    }

    fn parts(&self, content: &Content, wording: Option<&Wording>) -> u32 {
        u32::try_from(self.formatter(wording).worded(content).len()).unwrap_or(u32::MAX)
    }

    fn words(&self, content: &Content, part: u32, wording: Option<&Wording>) -> Option<String> {
        match self.worded(content, part, wording)?.call {
            SendCall::Text(text) => Some(text),
            SendCall::File { message, .. } => message,
        }
    }

    async fn send(&self, to: &Destination, content: &Content, part: u32, wording: Option<&Wording>) -> Called<Verdict> {
        self.make(to, self.worded(content, part, wording).map(|worded| worded.call)).await
    }

    fn template(&self, content: &Content, part: u32, wording: Option<&Wording>) -> Option<Template> {
        self.worded(content, part, wording)?.template
    }

    fn fits(&self, to: &Destination, content: &Content, part: u32, wording: Option<&Wording>, words: &str) -> bool {
        let call = self.worded(content, part, wording).map(|worded| worded.call.saying(words));
        call.is_none_or(|call| self.transport.fits(&self.of_send(to, &call)))
    }

    async fn send_filled(
        &self,
        to: &Destination,
        content: &Content,
        part: u32,
        wording: Option<&Wording>,
        words: &SecretString,
    ) -> Called<Verdict> {
        let call = self.worded(content, part, wording).map(|worded| worded.call.saying(words.expose_secret()));
        self.make(to, call).await
    }

    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        let method = "getchats";
        let alone = self.large_chats.load(Ordering::Relaxed);
        let rows = self.read_list(&self.of_channel(method), None, alone).await?;
        Ok(self.readable(method, rows))
    }

    async fn messages(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        self.conversation("getmessages", of).await
    }

    async fn account_balance(&self) -> Result<Option<f64>, ReadError> {
        Ok(match self.balance().await? {
            Some(Balance::Amount(written)) => number(&written),
            Some(Balance::NoAmount) | None => None,
        })
    }

    async fn probe_channel(&self) -> Result<bool, ReadError> {
        let ours = |there: &Listed| there.platform == self.platform.as_str() && there.platform_id == self.platform_id;
        Ok(self.channels().await?.iter().any(ours))
    }

    async fn unread(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        self.conversation("getunreadmessages", of).await
    }
}

/// What Afilnet gives as the balance of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Balance {
    /// As Afilnet writes it.
    Amount(String),
    /// Words, which may quote the call.
    NoAmount,
}

impl Balance {
    fn new(written: String) -> Self {
        if is_amount(&written) { Self::Amount(written) } else { Self::NoAmount }
    }
}

/// Returns whether a text is an amount of money or credits, and nothing that Afilnet could quote of a call.
fn is_amount(text: &str) -> bool {
    const LONGEST: usize = 30;
    const MOST_LETTERS: usize = 4; // of a currency
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let legal = |c: char| c.is_alphanumeric() || " .,+-€$£".contains(c);
    text.len() <= LONGEST
        && letters <= MOST_LETTERS
        && text.chars().any(|c| c.is_ascii_digit())
        && text.chars().all(legal)
}

/// Returns the number in an amount: `12.50`, `1.234,56 €`. The last separator is the decimal one, unless it comes twice.
fn number(amount: &str) -> Option<f64> {
    let kept: String = amount.chars().filter(|c| c.is_ascii_digit() || ".,-".contains(*c)).collect();
    let last = kept.rfind(['.', ',']).filter(|at| kept.matches(&kept[*at..=*at]).count() == 1);
    let (whole, rest) = last.map_or((kept.as_str(), ""), |at| (&kept[..at], &kept[at + 1..]));
    format!("{}.{rest}", whole.replace(['.', ','], "")).parse().ok()
}

#[cfg(test)]
mod tests;
