//! One conversation read from a made-up Afilnet into a real store.

mod rounds;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::domain::clock::now_ms;
use crate::domain::content::{Label, QuickReply};
use crate::domain::{
    Called, Content, Destination, EventBody, Fault, ReadError, RetryPolicy, RowTime, Verdict, Wordings,
};
use crate::domain::{ContactId, MId};
use crate::store::open::SqliteStore;
use crate::store::{Caller, Epoch, NewOutbound, SeenRow};
use crate::work::channel::ChannelPorts;
use crate::work::limits::call_permit::Account;
use crate::work::testing::{self, PlainWebhook, StubMessenger};

/// What happens at Afilnet while the rows are read.
enum Meanwhile {
    Nothing,
    /// The bridge asks another question.
    Asks(Epoch, &'static [&'static str]),
    /// The bridge ends.
    Ends,
    /// The read panics.
    Breaks,
    /// The read brings nothing.
    Fails,
}

struct Fake {
    store: Arc<dyn Store>,
    rows: Mutex<Vec<AfilnetRow>>,
    /// Last rows of other conversations, which stand before this one's in the list.
    others: Mutex<Vec<AfilnetRow>>,
    /// Rows that are called unread, until they are asked for.
    unread: Mutex<Vec<AfilnetRow>>,
    /// Whether the list shows this conversation.
    lists_itself: AtomicBool,
    /// Whether reads show nothing, and how many were made.
    hidden: AtomicBool,
    reads: AtomicUsize,
    meanwhile: Mutex<Meanwhile>,
}

#[async_trait]
impl StubMessenger for Fake {
    fn words(&self, content: &Content) -> Option<String> {
        testing::text_of(content)
    }

    async fn send(&self) -> Called<Verdict> {
        Verdict::Sent { afilnet_id: None }.into()
    }

    async fn chats(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        let others = self.others.lock().unwrap().clone();
        let last = self.rows.lock().unwrap().last().cloned();
        Ok(others.into_iter().chain(last.filter(|_| self.lists_itself.load(Ordering::Relaxed))).collect())
    }

    async fn messages(&self, _: &Destination) -> Result<Vec<AfilnetRow>, ReadError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let meanwhile = std::mem::replace(&mut *self.meanwhile.lock().unwrap(), Meanwhile::Nothing);
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Asks(epoch, replies) => ask(&self.store, epoch, replies).await,
            Meanwhile::Ends => self.store.close().await,
            Meanwhile::Breaks => panic!("as the test wants it"),
            Meanwhile::Fails => return Err(ReadError { fault: Fault::TimedOut, asked: None }),
        }
        let hidden = self.hidden.load(Ordering::Relaxed);
        Ok(if hidden { Vec::new() } else { self.rows.lock().unwrap().clone() })
    }

    async fn unread(&self) -> Result<Vec<AfilnetRow>, ReadError> {
        Ok(std::mem::take(&mut *self.unread.lock().unwrap()))
    }
}

/// A channel with one customer, who writes by [`Self::says`].
struct World {
    channel: Arc<Channel>,
    account: Arc<Account>,
    reader: Arc<Reader>,
    fake: Arc<Fake>,
    epoch: Epoch,
}

fn contact() -> ContactId {
    "+34600111222".parse().unwrap()
}

fn chat() -> Chat {
    Chat { contact: contact(), destination: "34600111222".parse().unwrap() }
}

async fn ask(store: &Arc<dyn Store>, epoch: Epoch, replies: &[&str]) {
    let label = |words: &str| Label::new(words).unwrap();
    let question = QuickReply::new(label("Which?"), replies.iter().map(|reply| label(reply)).collect()).unwrap();
    let message = NewOutbound {
        m_id: MId::fresh(),
        channel: "support".parse().unwrap(),
        contact: contact(),
        other_spelling: None,
        destination: "34600111222".parse().unwrap(),
        content: Content::QuickReply(question),
        request_id: String::new(),
        accepted_ms: now_ms(),
        key: None,
        waits: Duration::ZERO,
        is_drained: false,
        caller: Caller::stays(),
    };
    store.accept(message).await.unwrap();
    let attempt = store
        .begin(&"support".parse().unwrap(), epoch, now_ms(), 0, 9, &Wordings::default())
        .await
        .unwrap()
        .attempts
        .remove(0);
    store.settle(&attempt, crate::store::Settlement::Sent { afilnet_id: None, more: false }, now_ms()).await.unwrap();
}

impl World {
    async fn open(folder: &Path, number_quick_replies: bool) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.join("bridge.db")).unwrap());
        let name: crate::domain::ChannelName = "support".parse().unwrap();
        let epoch = store.take_ownership(&name).await.unwrap();
        let fake = Arc::new(Fake {
            store: Arc::clone(&store),
            rows: Mutex::default(),
            others: Mutex::default(),
            unread: Mutex::default(),
            lists_itself: AtomicBool::new(true),
            hidden: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            meanwhile: Mutex::new(Meanwhile::Nothing),
        });
        let wait = Duration::from_secs(1);
        let settings = ChannelSettings {
            retry: RetryPolicy { initial: wait, max: wait, give_up_after: wait },
            poll_active: wait,
            poll_idle: wait,
            sweep_every: wait,
            number_quick_replies,
            keep_rows: Duration::from_hours(1),
            ..testing::settings("support")
        };
        let ports = ChannelPorts {
            messenger: Arc::<Fake>::clone(&fake),
            webhook: Arc::new(PlainWebhook),
            ..testing::ports(&store)
        };
        let account = Arc::new(Account::new(100, 4));
        let channel = testing::channel(settings, ports, &account);
        let reader = Arc::new(Reader::new(&channel));
        Self { channel, account, reader, fake, epoch }
    }

    /// The same channel with other settings.
    fn set(&mut self, change: impl FnOnce(&mut ChannelSettings)) {
        let mut settings = ChannelSettings::clone(&self.channel.settings);
        change(&mut settings);
        self.channel = testing::channel(settings, self.channel.ports.clone(), &self.account);
        self.reader = Arc::new(Reader::new(&self.channel));
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.channel.ports.store
    }

    fn poller(&self) -> Poller {
        Poller::new(&self.channel, Arc::clone(&self.reader))
    }

    async fn asks(&self, replies: &[&str]) {
        ask(self.store(), self.epoch, replies).await;
    }

    fn meanwhile(&self, what: Meanwhile) {
        *self.fake.meanwhile.lock().unwrap() = what;
    }

    /// The customer writes, and the conversation is read.
    async fn says(&self, text: &str) -> Result<(), InboundError> {
        self.shows(Direction::Inbound, Some(now_ms()), text);
        self.reader.read(&self.request(), &CancellationToken::new()).await.result.map(drop)
    }

    /// One more row of the conversation.
    fn shows(&self, direction: Direction, epoch_ms: Option<i64>, text: &str) {
        let mut rows = self.fake.rows.lock().unwrap();
        let time = RowTime { raw: rows.len().to_string(), epoch_ms };
        let destination = "34600111222".parse().unwrap();
        rows.push(AfilnetRow { destination, id: None, direction, time, text: text.into(), status: None });
    }

    /// The first read of the conversation, as it now is.
    fn request(&self) -> ReadRequest {
        let last = self.fake.rows.lock().unwrap().last().cloned().unwrap();
        ReadRequest {
            destination: last.destination.clone(),
            position: unread_position(&contact(), &last.destination),
            last: Some(last),
            behind: 0,
            snapshot_ms: 0,
            previous: None,
            looked_for: None,
        }
    }

    /// What is to be published to BonyChat, in order, with the events' ids.
    async fn told(&self) -> Vec<(MId, String)> {
        let mut told = Vec::new();
        while let Some(due) = self.store().due_events(self.channel.name(), i64::MAX, 1).await.unwrap().pop() {
            match &due.event.body {
                EventBody::Message { content: Content::Text { text } } => {
                    told.push((due.event.m_id.clone(), text.as_str().to_owned()));
                }
                other => panic!("{other:?}"),
            }
            self.store().published(&due, crate::store::Publication::Done, now_ms()).await.unwrap();
        }
        told
    }

    async fn words(&self) -> Vec<String> {
        self.told().await.into_iter().map(|(_, words)| words).collect()
    }

    async fn is_open(&self) -> bool {
        self.store().pending_question(self.channel.name(), &contact()).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn an_answer_comes_back_as_the_words_of_its_reply_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), true).await;
    world.asks(&["Monday", "Tuesday"]).await;
    for text in ["which is better?", "2", "2"] {
        world.says(text).await.unwrap();
    }
    assert_eq!(world.words().await, ["which is better?", "Tuesday", "2"]);
    world.asks(&["Morning", "Evening"]).await;
    world.says("(2)").await.unwrap();
    assert_eq!(world.words().await, ["Evening"]);
}

#[tokio::test]
async fn without_numbers_every_word_stays_the_customers() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), false).await;
    world.asks(&["Monday", "Tuesday"]).await;
    world.says("2").await.unwrap();
    world.says("monday").await.unwrap();
    assert_eq!(world.words().await, ["2", "monday"]);
}

#[tokio::test]
async fn a_question_asked_during_a_read_is_not_answered_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), true).await;
    world.meanwhile(Meanwhile::Asks(world.epoch, &["Morning", "Evening"]));
    world.says("2").await.unwrap();
    assert_eq!((world.words().await, world.is_open().await), (vec!["2".to_owned()], true));
    world.meanwhile(Meanwhile::Asks(world.epoch, &["Monday", "Tuesday"]));
    world.says("2").await.unwrap();
    assert_eq!((world.words().await, world.is_open().await), (vec!["Evening".to_owned()], true));
    world.says("2").await.unwrap();
    assert_eq!((world.words().await, world.is_open().await), (vec!["Tuesday".to_owned()], false));
}

#[tokio::test]
async fn an_answer_that_was_not_recorded_gives_the_same_event_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), true).await;
    world.asks(&["Monday", "Tuesday"]).await;
    world.meanwhile(Meanwhile::Ends);
    assert!(matches!(world.says("2").await, Err(InboundError::Store(StoreError::Closed))));
    let rows = world.fake.rows.lock().unwrap().clone();
    drop(world);
    let world = World::open(folder.path(), true).await;
    assert!(world.is_open().await);
    assert_eq!(world.told().await, []);
    *world.fake.rows.lock().unwrap() = rows;
    world.says("1").await.unwrap();
    let told = world.told().await;
    assert_eq!(told.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>(), ["Tuesday", "1"]);
    assert!(!world.is_open().await);
}

#[tokio::test]
async fn a_question_that_cannot_be_read_holds_up_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), true).await;
    world.asks(&["Monday", "Tuesday"]).await;
    let beside = rusqlite::Connection::open(folder.path().join("bridge.db")).unwrap();
    assert_eq!(beside.execute("UPDATE conversations SET choice = '{'", []).unwrap(), 1);
    world.says("2").await.unwrap();
    assert_eq!(world.words().await, ["2"]);
    world.asks(&["Morning", "Evening"]).await;
    world.says("2").await.unwrap();
    assert_eq!(world.words().await, ["Evening"]);
}

#[tokio::test]
async fn a_read_that_shows_less_than_the_one_before_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::open(folder.path(), true).await;
    world.set(|settings| settings.keep_rows = Duration::ZERO);
    for text in ["a", "b", "c"] {
        world.says(text).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(5)).await; // older than kept: by the clock alone
    world.fake.rows.lock().unwrap().drain(..2);
    for (shown_before, seen) in [(None, 3), (Some(3), 3), (Some(1), 1)] {
        let previous = shown_before.map(|rows| Previous { rows, began_ms: 0 });
        let request = ReadRequest { previous, ..world.request() };
        let report = world.reader.read(&request, &CancellationToken::new()).await;
        assert!(matches!(report.result, Ok(Outcome::Read(shown)) if shown.read.rows == 1));
        let left = world.store().seen(world.channel.name(), &contact()).await.unwrap().rows.len();
        assert_eq!(left, seen, "{shown_before:?}");
    }
}

#[tokio::test]
async fn a_read_that_breaks_inside_is_made_again_and_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), true).await;
    world.store().store_initial_snapshot(world.channel.name(), Vec::new(), 0).await.unwrap();
    world.says("there before").await.unwrap();
    let time = RowTime { raw: "later".into(), epoch_ms: Some(now_ms()) };
    let row = AfilnetRow { time, text: "new".into(), ..world.fake.rows.lock().unwrap()[0].clone() };
    world.fake.rows.lock().unwrap().push(row);
    world.meanwhile(Meanwhile::Breaks);
    let stop = CancellationToken::new();
    let poller = tokio::spawn(world.poller().run(stop.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.store().due_events(world.channel.name(), i64::MAX, 9).await.unwrap().is_empty()
        || world.store().seen(world.channel.name(), &contact()).await.unwrap().rows.len() < 2
    {
        assert!(Instant::now() < deadline, "it is not read again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    poller.await.unwrap().unwrap();
    assert_eq!(world.words().await, ["there before", "new"]);
}

#[test]
fn one_of_equals_is_not_forgotten_while_another_is_shown() {
    let row = |identity: &str| SeenRow {
        identity: identity.into(),
        seen_ms: 0,
        fingerprint: None,
        shape: None,
        matched: None,
    };
    let seen = ["hi:a", "hi:a#2", "hi:b", "ii:7"].map(row);
    let shown = ["hi:a#2".to_owned(), "ii:8".to_owned()];
    assert_eq!(crate::work::inbound::reader::forgettable(1_000, &seen, &shown), ["hi:b", "ii:7"]);
    assert!(crate::work::inbound::reader::forgettable(0, &seen, &shown).is_empty());
}
