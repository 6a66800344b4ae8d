//! Channels with stub platforms, for the tests of this room.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::channel::{Channel, ChannelPorts, ChannelSettings};
use super::inbound::receipts::Receipts;
use super::limits::call_permit::Account;
use super::lock::lock;
use crate::config::{DirectionBy, FirstRun, OnUnconfirmed};
use crate::domain::content::Text;
use crate::domain::{
    AfilnetRow, Called, ContactId, Content, Delivery, Destination, Direction, Event, Fault, IdType, Language,
    LeaseDeadline, Messenger, ReadError, RetryPolicy, RowTime, Template, Verdict, Webhook, Wording, Wordings,
};
use crate::store::Store;

/// What a test's Afilnet does; a method that it leaves out finds nothing, a send that it leaves out fails the
/// test. Each content is of one part.
#[async_trait]
pub(super) trait StubMessenger: Send + Sync {
    /// As [`Messenger::words`] of a content of one part.
    fn words(&self, _: &Content) -> Option<String> {
        None
    }
    async fn send(&self) -> Called<Verdict> {
        unreachable!("nothing is sent there")
    }
    fn template(&self, _: &Content) -> Option<Template> {
        None
    }
    /// As [`Messenger::send_filled`]; the words are not looked at.
    async fn send_filled(&self, _: &SecretString) -> Called<Verdict> {
        self.send().await
    }
    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        Ok(Vec::new())
    }
    async fn messages(&self, _: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        Ok(Vec::new())
    }
    async fn account_balance(&self) -> Result<Option<f64>, ReadError> {
        Ok(None)
    }
    async fn probe_channel(&self) -> Result<bool, ReadError> {
        Ok(true)
    }
    async fn unread(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl<S: StubMessenger> Messenger for S {
    fn wordings(&self) -> Wordings {
        Wordings::default()
    }
    fn parts(&self, _: &Content, _: Option<&Wording>) -> u32 {
        1
    }
    fn words(&self, content: &Content, _: u32, _: Option<&Wording>) -> Option<String> {
        StubMessenger::words(self, content)
    }
    async fn send(&self, _: &Destination, _: &Content, _: u32, _: Option<&Wording>) -> Called<Verdict> {
        StubMessenger::send(self).await
    }
    fn template(&self, content: &Content, _: u32, _: Option<&Wording>) -> Option<Template> {
        StubMessenger::template(self, content)
    }
    fn fits(&self, _: &Destination, _: &Content, _: u32, _: Option<&Wording>, _: &str) -> bool {
        true
    }
    async fn send_filled(
        &self,
        _: &Destination,
        _: &Content,
        _: u32,
        _: Option<&Wording>,
        words: &SecretString,
    ) -> Called<Verdict> {
        StubMessenger::send_filled(self, words).await
    }
    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        StubMessenger::chats(self).await
    }
    async fn messages(&self, of: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        StubMessenger::messages(self, of).await
    }
    async fn account_balance(&self) -> Result<Option<f64>, ReadError> {
        StubMessenger::account_balance(self).await
    }
    async fn probe_channel(&self) -> Result<bool, ReadError> {
        StubMessenger::probe_channel(self).await
    }
    async fn unread(&self, _: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        StubMessenger::unread(self).await
    }
}

/// Returns the text of a message that is one.
pub(super) fn text_of(content: &Content) -> Option<String> {
    match content {
        Content::Text { text } => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// Stub platforms that return nothing. Afilnet accepts the account and does not know the channel.
pub(super) struct StubPlatforms {
    /// That of the account; `None`: it is refused to everybody.
    pub(super) balance: Option<f64>,
}

#[async_trait]
impl StubMessenger for StubPlatforms {
    async fn account_balance(&self) -> Result<Option<f64>, ReadError> {
        self.balance.map(Some).ok_or(ReadError { fault: Fault::Forbidden, asked: None })
    }
    async fn probe_channel(&self) -> Result<bool, ReadError> {
        Ok(false)
    }
}

/// Shows each row's text as it is, and takes every event.
pub(super) struct PlainWebhook;

#[async_trait]
impl Webhook for PlainWebhook {
    fn contents(&self, text: &str) -> Vec<Content> {
        Text::new(text).into_iter().map(|text| Content::Text { text }).collect()
    }
    async fn publish(&self, _: &ContactId, _: &Event) -> Called<Delivery> {
        Delivery::Done.into()
    }
}

/// Reads of a made-up Afilnet with several destinations; nothing is sent there.
#[derive(Default)]
pub(super) struct Destinations {
    rows: Mutex<HashMap<String, Vec<AfilnetRow>>>,
    /// Destinations of which the reads fail.
    broken: Mutex<HashSet<String>>,
}

impl Destinations {
    /// One more row, the last of its destination.
    pub(super) fn shows(&self, destination: &str, direction: Direction, second: i64, text: &str) {
        let row = AfilnetRow {
            destination: destination.parse().unwrap(),
            id: None,
            direction,
            time: RowTime { raw: second.to_string(), epoch_ms: Some(second * 1000) },
            text: text.to_owned(),
            status: None,
        };
        lock(&self.rows).entry(destination.to_owned()).or_default().push(row);
    }

    /// Whether reads of a destination fail from now on.
    pub(super) fn breaks(&self, destination: &str, fails: bool) {
        let mut broken = lock(&self.broken);
        if fails {
            broken.insert(destination.to_owned());
        } else {
            broken.remove(destination);
        }
    }
}

#[async_trait]
impl StubMessenger for Destinations {
    fn words(&self, content: &Content) -> Option<String> {
        text_of(content)
    }
    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        Ok(lock(&self.rows).values().filter_map(|rows| rows.last().cloned()).collect())
    }
    async fn messages(&self, destination: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        if lock(&self.broken).contains(destination.as_str()) {
            return Err(ReadError { fault: Fault::TimedOut, asked: None });
        }
        Ok(lock(&self.rows).get(destination.as_str()).cloned().unwrap_or_default())
    }
}

/// Returns settings of channel `name` with waits of five minutes.
pub(super) fn settings(name: &str) -> ChannelSettings {
    let wait = Duration::from_mins(5);
    ChannelSettings {
        name: name.parse().unwrap(),
        id_type: IdType::Phone,
        language: Language::En,
        retry: RetryPolicy { initial: Duration::from_secs(1), max: wait, give_up_after: wait },
        live_for: wait,
        stale_after: None,
        look_after: vec![wait],
        on_unconfirmed: OnUnconfirmed::Fail,
        number_quick_replies: false,
        poll_active: wait,
        poll_idle: wait,
        sweep_every: wait,
        decide_within: wait,
        first_run: FirstRun::Unread,
        direction: DirectionBy::Flag,
        html_entities: false,
        echoes: true,
        keep_rows: wait,
        publish_per_second: 15,
    }
}

/// Returns ports of `store` and the stub platforms; calls may start.
pub(super) fn ports(store: &Arc<dyn Store>) -> ChannelPorts {
    ChannelPorts {
        store: Arc::clone(store),
        messenger: Arc::new(StubPlatforms { balance: Some(7.5) }),
        webhook: Arc::new(PlainWebhook),
        placeholders: None,
        deadline: LeaseDeadline::unlimited(),
    }
}

/// A channel of `account`.
pub(super) fn channel(settings: ChannelSettings, ports: ChannelPorts, account: &Arc<Account>) -> Arc<Channel> {
    let wakeups = ports.store.wakeups().register(&settings.name, &account.load);
    Channel::new(settings, ports, account, wakeups, Receipts::default())
}
