//! Outages of a stub webhook, on the test's own clock.

mod refusals;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::limits::upstream::OUTAGES;
use super::*;
use crate::domain::content::Text;
use crate::domain::journey::{Means, Operator};
use crate::domain::operator_pause::PauseKind;
use crate::domain::{Called, Content, Event, MId};
use crate::store::open::SqliteStore;
use crate::store::{ConversationRead, NewRow};
use crate::work::channel::ChannelPorts;
use crate::work::limits::call_permit::Account;
use crate::work::testing;

/// A webhook that answers 503 until a time.
struct Fragile {
    up_at: Instant,
    /// Its `Retry-After`.
    asks: Option<Duration>,
    calls: Mutex<Vec<Instant>>,
    taken: Mutex<Vec<(ContactId, MId)>>,
}

impl Fragile {
    fn until(up_at: Instant, asks: Option<Duration>) -> Self {
        Self { up_at, asks, calls: Mutex::default(), taken: Mutex::default() }
    }
}

#[async_trait]
impl Webhook for Fragile {
    fn contents(&self, _: &str) -> Vec<Content> {
        Vec::new()
    }

    async fn publish(&self, contact: &ContactId, event: &Event) -> Called<Delivery> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        lock(&self.calls).push(Instant::now());
        if Instant::now() < self.up_at {
            return Delivery::Again { fault: Fault::Http(503), asked: self.asks }.into();
        }
        lock(&self.taken).push((contact.clone(), event.m_id.clone()));
        Delivery::Done.into()
    }
}

const OUTAGE: Duration = Duration::from_mins(2);
const CONVERSATIONS: u32 = 40;
const EVENTS: u32 = 5;

fn contact(n: u32) -> ContactId {
    format!("+3460000{n:04}").parse().unwrap()
}

fn m_id(who: u32, n: u32) -> MId {
    MId::derived(&[&who.to_string(), &n.to_string()])
}

async fn record(store: &Arc<dyn Store>, who: u32, events: std::ops::Range<u32>) {
    let row = |n| {
        let body = EventBody::Message { content: Content::Text { text: Text::new("words").unwrap() } };
        let event = Event { m_id: m_id(who, n), timestamp_ms: 1, body };
        NewRow { identity: n.to_string(), events: vec![event], from_customer: true, ..NewRow::default() }
    };
    let reading = ConversationRead {
        channel: "support".parse().unwrap(),
        contact: contact(who),
        destination: contact(who).as_str()[1..].parse().unwrap(),
        rows: events.map(row).collect(),
        late_flags: false,
        prompt_flags: false,
        newest: None,
        receipts: Vec::new(),
        page: None,
        read_before_ms: None,
        listed_only: false,
        position: None,
        answered: None,
        forget: Vec::new(),
        now_ms: now_ms(),
    };
    store.record(reading).await.unwrap();
}

/// Does work of the store's threads while the test's clock stands: by itself it would jump to the next timer, as no task of
/// the runtime has anything to do meanwhile.
async fn beside_the_clock<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work)).await.unwrap()
}

/// Operations of the store that the publisher makes for one event, one after the other, at most.
const TRIPS: usize = 4;

/// Moves the test's clock on, by 50 ms where no other step is named. The store runs by the machine's clock: however slow that is, the test's goes on only
/// after as many operations as an event takes.
async fn advance(store: &Arc<dyn Store>) {
    advance_by(store, Duration::from_millis(50)).await;
}

async fn advance_by(store: &Arc<dyn Store>, step: Duration) {
    for _ in 0..TRIPS {
        let store = Arc::clone(store);
        beside_the_clock(async move {
            store.next_event_ms(&"support".parse().unwrap(), 0).await.unwrap();
            store.record_responses(vec![(MId::fresh(), true)]).await.unwrap();
        })
        .await;
    }
    tokio::time::advance(step).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_call_a_second_and_nothing_waits_on_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
    let webhook = Arc::new(Fragile::until(Instant::now() + OUTAGE, None));
    let ports = ChannelPorts { webhook: Arc::<Fragile>::clone(&webhook), ..testing::ports(&store) };
    let channel = testing::channel(testing::settings("support"), ports, &Arc::new(Account::new(100, 4)));
    for who in 0..CONVERSATIONS {
        record(&store, who, 0..EVENTS).await;
    }
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(Arc::new(Publisher::new(&channel)).run(stop.clone()));
    while lock(&webhook.taken).len() < (CONVERSATIONS * EVENTS) as usize {
        advance(&store).await;
        assert!(Instant::now() < webhook.up_at + OUTAGE, "200 events at 15 a second take 14 s");
    }
    stop.cancel();
    publisher.await.unwrap().unwrap();
    let calls: Vec<Instant> = lock(&webhook.calls).iter().copied().filter(|at| *at < webhook.up_at).collect();
    let first = (OUTAGES + SIDE_BY_SIDE) as usize;
    let spaced = calls.windows(2).skip(first).all(|pair| pair[1] - pair[0] >= PROBE_EVERY);
    assert!(spaced, "two probes within a second");
    assert!(calls.len() > 50, "{} probes", calls.len());
    let taken = lock(&webhook.taken);
    for who in 0..CONVERSATIONS {
        let of_one: Vec<&MId> = taken.iter().filter(|(to, _)| *to == contact(who)).map(|(_, m_id)| m_id).collect();
        assert_eq!(of_one, (0..EVENTS).map(|n| m_id(who, n)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_asked_wait_is_waited_for_in_full_and_during_a_long_one_a_probe_goes_out_each_minute() {
    for (asked, waited) in
        [(20, 20), (60, 60), (3600, 60)].map(|(a, b)| (Duration::from_secs(a), Duration::from_secs(b)))
    {
        for conversations in [1, 5] {
            let folder = tempfile::tempdir().unwrap();
            let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
            let webhook = Arc::new(Fragile::until(Instant::now() + Duration::from_mins(3), Some(asked)));
            let ports = ChannelPorts { webhook: Arc::<Fragile>::clone(&webhook), ..testing::ports(&store) };
            let channel = testing::channel(testing::settings("support"), ports, &Arc::new(Account::new(100, 4)));
            for who in 0..conversations {
                record(&store, who, 0..1).await;
            }
            let stop = CancellationToken::new();
            let publisher = tokio::spawn(Arc::new(Publisher::new(&channel)).run(stop.clone()));
            let what = format!("{conversations} conversations, {asked:?} asked for");
            while lock(&webhook.taken).len() < conversations as usize {
                advance_by(&store, Duration::from_secs(1)).await;
                assert!(Instant::now() < webhook.up_at + Duration::from_mins(2), "{what}: not delivered");
            }
            stop.cancel();
            publisher.await.unwrap().unwrap();
            let calls: Vec<Instant> = lock(&webhook.calls).iter().copied().filter(|at| *at < webhook.up_at).collect();
            let waits: Vec<Duration> =
                calls[conversations as usize - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(waits.len() >= 2 && waits.iter().all(|wait| *wait >= waited), "{what}: {waits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_a_low_rate_too_no_event_is_begun_later_than_a_second_after_posts_are_paused() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
    let webhook = Arc::new(Fragile::until(Instant::now(), None));
    let ports = ChannelPorts { webhook: Arc::<Fragile>::clone(&webhook), ..testing::ports(&store) };
    let settings = ChannelSettings { publish_per_second: 2, ..testing::settings("support") };
    let channel = testing::channel(settings, ports, &Arc::new(Account::new(100, 4)));
    for who in 0..CONVERSATIONS {
        record(&store, who, 0..1).await;
    }
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(Arc::new(Publisher::new(&channel)).run(stop.clone()));
    while lock(&webhook.calls).is_empty() {
        advance(&store).await;
    }
    let paused_at = Instant::now();
    let at_store = Arc::clone(&store);
    beside_the_clock(async move {
        let by = Operator::new("ana", Means::Cli, Some("maintenance"));
        at_store.pause(&"support".parse().unwrap(), PauseKind::In, by, now_ms()).await.unwrap();
    })
    .await;
    while paused_at.elapsed() < Duration::from_secs(6) {
        advance(&store).await;
    }
    stop.cancel();
    publisher.await.unwrap().unwrap();
    let after: Vec<Duration> = lock(&webhook.calls).iter().map(|at| at.duration_since(paused_at)).collect();
    let tick = Duration::from_millis(100); // of the test's clock, and of a call
    assert!(after.iter().all(|after| *after < STALE + tick), "{after:?}");
}

#[test]
fn an_event_that_waited_long_is_not_given_up_at_its_first_outages() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
    let account = Arc::new(Account::new(100, 4));
    let channel = testing::channel(testing::settings("support"), testing::ports(&store), &account);
    let publisher = Publisher::new(&channel);
    let body = EventBody::Message { content: Content::Text { text: Text::new("words").unwrap() } };
    let is_dead = |attempts: u32, fault: Fault| {
        let event = DueEvent {
            channel: "support".parse().unwrap(),
            contact: contact(1),
            event_id: 1,
            conversation: 1,
            event: Event { m_id: m_id(1, 1), timestamp_ms: 1, body: body.clone() },
            attempts,
            before: crate::store::FailureStreak::default(),
            recorded_ms: 0, // longer ago than any give-up age
            note: None,
        };
        let unruled = RefusalFinding { cause: RefusalCause::Unknown, try_next: false };
        matches!(publisher.judge(&event, &Delivery::Again { fault, asked: None }, unruled), Publication::Dead { .. })
    };
    let dead: Vec<u32> = (0..12).filter(|attempts| is_dead(*attempts, Fault::Http(503))).collect();
    assert_eq!(dead, [10, 11], "ten tries, however old");
    assert!(is_dead(0, Fault::Other("its own".into())), "what is no outage is the event's own fault");
}
