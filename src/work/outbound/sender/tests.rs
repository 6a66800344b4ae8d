//! Filled words that wait for their call.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::domain::content::{Label, QuickReply, Text};
use crate::domain::placeholder::pieces;
use crate::domain::{
    Called, ChannelName, ContactId, Content, MId, Placeholder, PlaceholderResolver, Replacement, Template,
};
use crate::store::open::SqliteStore;
use crate::store::{Caller, NewOutbound};
use crate::work::channel::ChannelPorts;
use crate::work::limits::call_permit::Account;
use crate::work::testing::{self, StubMessenger};

/// Takes every message, and keeps its words.
#[derive(Default)]
struct Taker(Mutex<Vec<String>>);

#[async_trait]
impl StubMessenger for Taker {
    async fn send(&self) -> Called<Verdict> {
        Verdict::Refused { fault: Fault::TooLong }.into()
    }
    fn template(&self, content: &Content) -> Option<Template> {
        let text = match content {
            Content::Text { text } => text.as_str(),
            Content::QuickReply(question) => question.title.as_str(),
            Content::Attachment(_) | Content::Location(_) => return None,
        };
        Some(Template::new(pieces(text)?, 100))
    }
    async fn send_filled(&self, words: &SecretString) -> Called<Verdict> {
        self.0.lock().unwrap().push(words.expose_secret().to_owned());
        Verdict::Sent { afilnet_id: None }.into()
    }
}

/// Gives a new value each time, and pauses sends before one.
struct Pausing {
    account: Arc<Account>,
    asked: AtomicU32,
    pauses: AtomicBool,
}

#[async_trait]
impl PlaceholderResolver for Pausing {
    async fn resolve(&self, _: &ContactId, placeholders: &[Placeholder]) -> Vec<Replacement> {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        if self.pauses.swap(false, Ordering::Relaxed) {
            self.account.send_breaker.trip(Duration::from_secs(2));
        }
        let value = Some(format!("value {nth}").into());
        placeholders.iter().map(|_| Replacement { value: value.clone(), fallback: "-".into() }).collect()
    }

    fn fallbacks(&self, placeholders: &[Placeholder]) -> Vec<Replacement> {
        placeholders.iter().map(|_| Replacement { value: None, fallback: "-".into() }).collect()
    }
}

/// A channel that fills in placeholders, and waits for a permit for a tenth of a second.
struct Filling {
    sender: Arc<Sender>,
    store: Arc<dyn Store>,
    taker: Arc<Taker>,
    resolver: Arc<Pausing>,
    channel: ChannelName,
    _folder: tempfile::TempDir,
}

impl Filling {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let account = Arc::new(Account::new(100, 4));
        let taker = Arc::new(Taker::default());
        let resolver = Arc::new(Pausing {
            account: Arc::clone(&account),
            asked: AtomicU32::new(0),
            pauses: AtomicBool::new(false),
        });
        let ports = ChannelPorts {
            messenger: Arc::<Taker>::clone(&taker),
            placeholders: Some(Arc::<Pausing>::clone(&resolver)),
            ..testing::ports(&store)
        };
        let channel = testing::channel(testing::settings("support"), ports, &account);
        let epoch = store.take_ownership(channel.name()).await.unwrap();
        let sender = Arc::new(Sender { permit_within: Duration::from_millis(100), ..Sender::new(&channel, epoch) });
        Self { sender, store, taker, resolver, channel: channel.name().clone(), _folder: folder }
    }

    async fn accept(&self, content: Content) -> MId {
        let m_id = MId::fresh();
        let message = NewOutbound {
            m_id: m_id.clone(),
            channel: self.channel.clone(),
            contact: contact(),
            other_spelling: None,
            destination: "34600111222".parse().unwrap(),
            content,
            request_id: String::new(),
            accepted_ms: now_ms(),
            key: None,
            waits: Duration::ZERO,
            is_drained: false,
            caller: Caller::stays(),
        };
        self.store.accept(message).await.unwrap();
        m_id
    }

    /// Runs passes until the message is sent; returns its state and the message of the pending question behind each.
    async fn passes(&self, m_id: &MId) -> Vec<(String, Option<MId>)> {
        let (attempts, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut passes = Vec::new();
        for _ in 0..20 {
            let _ = self.sender.send_due(&attempts, &stop).await.unwrap();
            attempts.close();
            attempts.wait().await;
            attempts.reopen();
            let state = self.store.show(m_id.to_string()).await.unwrap().unwrap().state;
            let question = self.store.pending_question(&self.channel, &contact()).await.unwrap();
            passes.push((state, question.map(|question| question.m_id)));
            if passes.last().is_some_and(|(state, _)| state == "sent") {
                break;
            }
        }
        passes
    }
}

fn contact() -> ContactId {
    "+34600111222".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn filled_words_that_wait_for_long_go_back_and_are_filled_in_anew() {
    let filling = Filling::new().await;
    filling.resolver.pauses.store(true, Ordering::Relaxed);
    let m_id = filling.accept(Content::Text { text: Text::new("{{anna.pending}}").unwrap() }).await;
    let passes = filling.passes(&m_id).await;
    let states: Vec<&str> = passes.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!((states[0], states[states.len() - 1]), ("queued", "sent"), "never in doubt: {states:?}");
    let sent = filling.taker.0.lock().unwrap().clone();
    let asked = filling.resolver.asked.load(Ordering::Relaxed);
    assert_eq!(sent, [format!("value {}", asked - 1)], "once, and what was given last");
    assert!(asked >= 2, "{asked}");
    filling.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_with_placeholders_leaves_the_one_before_it_open_until_its_call() {
    let question = |title: &str| {
        let replies = ["Sí", "No"].map(|reply| Label::new(reply).unwrap());
        Content::QuickReply(QuickReply::new(Label::new(title).unwrap(), replies.to_vec()).unwrap())
    };
    let filling = Filling::new().await;
    let first = filling.accept(question("{{anna.pending}} avisos. ¿Verlos?")).await;
    assert_eq!(filling.passes(&first).await, [("sent".to_owned(), Some(first.clone()))]);
    filling.resolver.pauses.store(true, Ordering::Relaxed);
    let second = filling.accept(question("Quedan {{anna.pending}}. ¿Cerrarlos?")).await;
    let passes = filling.passes(&second).await;
    let ([waiting @ .., last], true) = (&passes[..], passes.len() >= 2) else { panic!("never paused: {passes:?}") };
    assert_eq!(last, &("sent".to_owned(), Some(second)));
    for pass in waiting {
        assert_eq!(pass, &("queued".to_owned(), Some(first.clone())), "the customer sees the first alone");
    }
    filling.store.close().await;
}
