//! Lines between made-up far sides, for the tests of this room.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Account, AccountTraits, CircuitBreaker, Line, Receipts};
use crate::config::{DirectionBy, FirstRun, OnUnconfirmed};
use crate::domain::{
    ChannelName, ContactId, Content, Delivery, Destination, Event, IdType, Language, Messenger, ReadError, RetryPolicy,
    Row, Verdict, Webhook,
};
use crate::store::Store;

/// Far sides that show nothing. Afilnet lets the account in and does not know the channel.
pub(super) struct Nobody;

#[async_trait]
impl Messenger for Nobody {
    fn parts(&self, _: &Content) -> u32 {
        1
    }
    fn words(&self, _: &Content, _: u32) -> Option<String> {
        None
    }
    async fn send(&self, _: &Destination, _: &Content, _: u32) -> Verdict {
        unreachable!("nothing is sent to nobody")
    }
    async fn chats(&self) -> Result<Vec<Row>, ReadError> {
        Ok(Vec::new())
    }
    async fn messages(&self, _: &Destination) -> Result<Vec<Row>, ReadError> {
        Ok(Vec::new())
    }
    async fn probe_account(&self) -> Result<(), ReadError> {
        Ok(())
    }
    async fn probe_channel(&self) -> Result<bool, ReadError> {
        Ok(false)
    }
    async fn unread(&self, _: &Destination) -> Result<Vec<Row>, ReadError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Webhook for Nobody {
    fn contents(&self, _: &str) -> Vec<Content> {
        Vec::new()
    }
    async fn publish(&self, _: &ContactId, _: &Event) -> Delivery {
        Delivery::Done
    }
}

/// A channel of `account` whose waits are all five minutes.
pub(super) fn line(name: &str, store: &Arc<dyn Store>, account: &Arc<Account>) -> Line {
    let name: ChannelName = name.parse().unwrap();
    let wait = Duration::from_mins(5);
    Line {
        signals: store.signals().register(&name, &account.pace),
        name,
        id_type: IdType::Phone,
        store: Arc::clone(store),
        messenger: Arc::new(Nobody),
        webhook: Arc::new(Nobody),
        account: Arc::clone(account),
        breaker: CircuitBreaker::new(),
        retry: RetryPolicy { initial: Duration::from_secs(1), max: wait, give_up_after: wait },
        language: Language::En,
        live_for: wait,
        look_after: vec![wait],
        on_unconfirmed: OnUnconfirmed::Fail,
        reading: Mutex::default(),
        poll_active: wait,
        poll_idle: wait,
        sweep_every: wait,
        first_run: FirstRun::Unread,
        direction: DirectionBy::Flag,
        html_entities: false,
        number_quick_replies: false,
        echoes: true,
        receipts: Receipts::default(),
        traits: AccountTraits::default(),
        snapshot: super::SnapshotGate::new(),
        keep_rows: wait,
        publish_per_second: 15,
        fence: crate::domain::Fence::open(),
    }
}
