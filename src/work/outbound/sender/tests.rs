//! Filled words that wait for their call.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::domain::content::Text;
use crate::domain::placeholder::pieces;
use crate::domain::{
    AfilnetRow, ContactId, Content, Destination, MId, Placeholder, PlaceholderResolver, ReadError, Replacement,
    Template, Wording,
};
use crate::store::open::SqliteStore;
use crate::store::{Caller, NewOutbound};
use crate::work::channel::ChannelPorts;
use crate::work::limits::call_permit::Account;
use crate::work::testing;

/// Takes every message, and keeps its words.
#[derive(Default)]
struct Taker(Mutex<Vec<String>>);

#[async_trait]
impl Messenger for Taker {
    fn wordings(&self) -> Wordings {
        Wordings::default()
    }
    fn parts(&self, _: &Content, _: Option<&Wording>) -> u32 {
        1
    }
    fn words(&self, _: &Content, _: u32, _: Option<&Wording>) -> Option<String> {
        None
    }
    async fn send(&self, _: &Destination, _: &Content, _: u32, _: Option<&Wording>) -> Verdict {
        Verdict::Refused { fault: Fault::TooLong }
    }
    fn template(&self, content: &Content, _: u32, _: Option<&Wording>) -> Option<Template> {
        let Content::Text { text } = content else { return None };
        Some(Template::new(pieces(text.as_str())?, 100))
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
    ) -> Verdict {
        self.0.lock().unwrap().push(words.expose_secret().to_owned());
        Verdict::Sent { afilnet_id: None }
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
    async fn unread(&self, _: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        Ok(Vec::new())
    }
}

/// Gives a new value each time. The first time, sends are paused before it is given.
struct Pausing {
    account: Arc<Account>,
    asked: AtomicU32,
}

#[async_trait]
impl PlaceholderResolver for Pausing {
    async fn resolve(&self, _: &ContactId, placeholders: &[Placeholder]) -> Vec<Replacement> {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        if nth == 0 {
            self.account.send_breaker.trip(Duration::from_secs(2));
        }
        let value = Some(format!("value {nth}").into());
        placeholders.iter().map(|_| Replacement { value: value.clone(), fallback: "-".into() }).collect()
    }

    fn fallbacks(&self, placeholders: &[Placeholder]) -> Vec<Replacement> {
        placeholders.iter().map(|_| Replacement { value: None, fallback: "-".into() }).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filled_words_that_wait_for_long_go_back_and_are_filled_in_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
    let account = Arc::new(Account::new(100, 4));
    let (taker, resolver) =
        (Arc::new(Taker::default()), Arc::new(Pausing { account: Arc::clone(&account), asked: AtomicU32::new(0) }));
    let ports = ChannelPorts {
        messenger: Arc::<Taker>::clone(&taker),
        placeholders: Some(Arc::<Pausing>::clone(&resolver)),
        ..testing::ports(&store)
    };
    let channel = testing::channel(testing::settings("support"), ports, &account);
    let epoch = store.take_ownership(channel.name()).await.unwrap();
    let sender = Arc::new(Sender { permit_within: Duration::from_millis(100), ..Sender::new(&channel, epoch) });
    let m_id = MId::fresh();
    let message = NewOutbound {
        m_id: m_id.clone(),
        channel: channel.name().clone(),
        contact: "+34600111222".parse().unwrap(),
        other_spelling: None,
        destination: "34600111222".parse().unwrap(),
        content: Content::Text { text: Text::new("{{anna.pending}}").unwrap() },
        request_id: String::new(),
        accepted_ms: now_ms(),
        key: None,
        waits: Duration::ZERO,
        caller: Caller::stays(),
    };
    store.accept(message).await.unwrap();
    let state = async || store.show(m_id.to_string()).await.unwrap().unwrap().state;
    let (attempts, stop) = (TaskTracker::new(), CancellationToken::new());
    let mut states = Vec::new();
    for _ in 0..20 {
        if states.last().is_some_and(|last| last == "sent") {
            break;
        }
        let _ = sender.step(&attempts, &stop).await.unwrap();
        attempts.close();
        attempts.wait().await;
        attempts.reopen();
        states.push(state().await);
    }
    assert_eq!((states[0].as_str(), states.last().unwrap().as_str()), ("queued", "sent"), "never in doubt: {states:?}");
    let sent = taker.0.lock().unwrap().clone();
    let asked = resolver.asked.load(Ordering::Relaxed);
    assert_eq!(sent, [format!("value {}", asked - 1)], "once, and what was given last");
    assert!(asked >= 2, "{asked}");
    store.close().await;
}
