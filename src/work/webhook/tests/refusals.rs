//! Refusals of a stub webhook: what is at fault, and that nothing is given up before that is known.

use super::*;

/// What a webhook responds to an event of a contact, `n`th of its conversation.
type Responses = dyn Fn(&ContactId, u32) -> Delivery + Send + Sync;

/// A webhook that responds by a function.
struct Ruled {
    responses: Box<Responses>,
    calls: Mutex<Vec<Instant>>,
    taken: Mutex<Vec<(ContactId, MId)>>,
}

#[async_trait]
impl Webhook for Ruled {
    fn contents(&self, _: &str) -> Vec<Content> {
        Vec::new()
    }
    async fn publish(&self, contact: &ContactId, event: &Event) -> Called<Delivery> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        lock(&self.calls).push(Instant::now());
        let n = (0..=EVENTS).find(|n| (0..9).any(|who| m_id(who, *n) == event.m_id)).unwrap();
        let delivery = (self.responses)(contact, n);
        if delivery == Delivery::Done {
            lock(&self.taken).push((contact.clone(), event.m_id.clone()));
        }
        delivery.into()
    }
}

fn refused() -> Delivery {
    Delivery::Refused { fault: Fault::Http(400) }
}

/// A channel with such a webhook, and the events of some contacts in its store.
struct Case {
    webhook: Arc<Ruled>,
    store: Arc<dyn Store>,
    channel: Arc<Channel>,
    _folder: tempfile::TempDir,
}

impl Case {
    async fn of(contacts: u32, responses: impl Fn(&ContactId, u32) -> Delivery + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let webhook =
            Arc::new(Ruled { responses: Box::new(responses), calls: Mutex::default(), taken: Mutex::default() });
        let ports = ChannelPorts { webhook: Arc::<Ruled>::clone(&webhook), ..testing::ports(&store) };
        let channel = testing::channel(testing::settings("support"), ports, &Arc::new(Account::new(100, 4)));
        for who in 0..contacts {
            record(&store, who, 0..EVENTS).await;
        }
        Self { webhook, store, channel, _folder: folder }
    }

    /// Publishes until `state` holds, for at most `limit` of the test's clock. Returns whether it holds.
    async fn publish_until(&self, limit: Duration, state: impl AsyncFn() -> bool) -> bool {
        let stop = CancellationToken::new();
        let publisher = tokio::spawn(Arc::new(Publisher::new(&self.channel)).run(stop.clone()));
        let holds = holds_within(&self.store, limit, state).await;
        stop.cancel();
        publisher.await.unwrap().unwrap();
        holds
    }

    fn taken(&self) -> usize {
        lock(&self.webhook.taken).len()
    }

    async fn dead(&self) -> usize {
        let filter = crate::store::Filter { state: Some("dead".into()), channel: None, limit: 1000 };
        let store = Arc::clone(&self.store);
        beside_the_clock(async move { store.list(filter).await.unwrap().len() }).await
    }

    /// Returns which events of a contact were accepted, in their order.
    fn taken_of(&self, who: u32) -> Vec<u32> {
        let taken = lock(&self.webhook.taken);
        let of_one = taken.iter().filter(|(contact_of, _)| *contact_of == contact(who));
        of_one.map(|(_, id)| (0..=EVENTS).find(|n| m_id(who, *n) == *id).unwrap()).collect()
    }
}

/// Lets the test's clock run until `state` holds. Returns whether it came to hold within `limit`.
async fn holds_within(store: &Arc<dyn Store>, limit: Duration, state: impl AsyncFn() -> bool) -> bool {
    let begun = Instant::now();
    while !state().await {
        if begun.elapsed() >= limit {
            return false;
        }
        advance(store).await;
    }
    true
}

#[tokio::test(start_paused = true)]
async fn a_set_up_that_is_refused_for_hours_costs_no_event_and_few_calls() {
    const HOURS: u64 = 3;
    let right_at = Instant::now() + Duration::from_hours(HOURS);
    let case = Case::of(5, move |_, _| if Instant::now() < right_at { refused() } else { Delivery::Done }).await;
    assert!(!case.publish_until(Duration::from_mins(2), async || case.taken() > 0).await);
    let early = lock(&case.webhook.calls).len();
    assert!(early <= 40, "{early} calls in two minutes");
    assert_eq!(case.dead().await, 0);
    tokio::time::advance(Duration::from_hours(HOURS)).await;
    let all = (5 * EVENTS) as usize;
    assert!(case.publish_until(Duration::from_mins(10), async || case.taken() == all).await);
    for who in 0..5 {
        assert_eq!(case.taken_of(who), (0..EVENTS).collect::<Vec<_>>());
    }
    assert_eq!(case.dead().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_alone_is_refused_is_given_up_and_costs_its_conversation_seconds() {
    for contacts in [1, 5] {
        let poison = contact(0);
        let case =
            Case::of(contacts, move |of, n| if *of == poison && n == 1 { refused() } else { Delivery::Done }).await;
        let ended = async || case.taken() == (contacts * EVENTS) as usize - 1 && case.dead().await == 1;
        assert!(case.publish_until(Duration::from_secs(30), ended).await, "{contacts} contacts");
        assert_eq!(case.taken_of(0), [0, 2, 3, 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn several_events_at_the_heads_of_several_conversations_hold_up_what_is_behind_them_for_minutes_at_most() {
    for (contacts, poison) in [(1, 3), (3, 1), (3, 3), (5, 2)] {
        let case = Case::of(contacts, move |_, n| if n < poison { refused() } else { Delivery::Done }).await;
        let taken = (contacts * (EVENTS - poison)) as usize;
        let ended = async || case.taken() == taken && case.dead().await == (contacts * poison) as usize;
        assert!(case.publish_until(Duration::from_mins(15), ended).await, "{contacts} contacts, {poison} each");
        for who in 0..contacts {
            assert_eq!(case.taken_of(who), (poison..EVENTS).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nothing_else_tells_of_is_kept() {
    let case = Case::of(1, |_, n| if n == EVENTS - 1 { refused() } else { Delivery::Done }).await;
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(Arc::new(Publisher::new(&case.channel)).run(stop.clone()));
    assert!(!holds_within(&case.store, Duration::from_mins(2), async || case.dead().await > 0).await);
    let calls = lock(&case.webhook.calls).len();
    assert!(calls < 25, "{calls} calls");
    // The next message of the same contact decides, and is not delayed by the wait of the one before it.
    record(&case.store, 0, EVENTS..EVENTS + 1).await;
    let at_once = Duration::from_secs(10);
    assert!(holds_within(&case.store, at_once, async || case.dead().await == 1).await);
    assert_eq!(case.taken_of(0), [0, 1, 2, 3, 5]);
    stop.cancel();
    publisher.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_single_refusal_that_is_none_at_the_next_try_changes_no_order() {
    for contacts in [1, 2, 5] {
        let first_of_each = Mutex::new(HashSet::new());
        let hiccup = move |of: &ContactId, n: u32| n == 1 && lock(&first_of_each).insert(of.clone());
        let case = Case::of(contacts, move |of, n| if hiccup(of, n) { refused() } else { Delivery::Done }).await;
        let all = (contacts * EVENTS) as usize;
        assert!(case.publish_until(Duration::from_mins(2), async || case.taken() == all).await);
        for who in 0..contacts {
            assert_eq!(case.taken_of(who), (0..EVENTS).collect::<Vec<_>>(), "{contacts} contacts");
        }
        assert_eq!(case.dead().await, 0);
    }
}
