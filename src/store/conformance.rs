//! The guarantees of both engines, as tests. Each body runs over each engine.

mod account_traits;
mod bulk;
mod clock_rollback;
mod copy;
mod damage;
mod destinations;
mod engines;
mod erase;
mod find;
mod history;
mod in_doubt;
mod journey;
mod manual;
mod matches;
mod operators;
mod pauses;
mod pending_questions;
mod plans;
mod postponed;
mod repeats;
mod sent_forms;
mod stale;
mod tail;
mod wording;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::EventBody;
use crate::domain::content::Text;
use crate::domain::journey::Means;
use engines::{Engine, FreshStore, Home, on_each_engine};

fn channel() -> ChannelName {
    "support".parse().unwrap()
}

fn contact(n: u32) -> ContactId {
    format!("+3460000{n:04}").parse().unwrap()
}

/// The person of manual operations.
fn by() -> Operator {
    Operator::new("ana", Means::Cli, Some("asked for"))
}

/// The first destination of a contact.
fn chat(n: u32) -> Chat {
    Chat { contact: contact(n), destination: contact(n).as_str()[1..].parse().unwrap() }
}

fn text(words: &str) -> Content {
    Content::Text { text: Text::new(words).unwrap() }
}

fn message(n: u32, words: &str, accepted_ms: i64) -> NewOutbound {
    NewOutbound {
        m_id: MId::fresh(),
        channel: channel(),
        contact: contact(n),
        other_spelling: None,
        destination: contact(n).as_str()[1..].parse().unwrap(),
        content: text(words),
        request_id: "r".into(),
        accepted_ms,
        key: None,
        waits: Duration::ZERO,
        is_drained: false,
        caller: Caller::stays(),
    }
}

fn customer_says(words: &str) -> Event {
    Event { m_id: MId::derived(&[words]), timestamp_ms: 1, body: EventBody::Message { content: text(words) } }
}

fn reading(n: u32, rows: &[(&str, &str)]) -> ConversationRead {
    ConversationRead {
        channel: channel(),
        contact: contact(n),
        destination: contact(n).as_str()[1..].parse().unwrap(),
        rows: rows
            .iter()
            .map(|(identity, words)| NewRow {
                identity: (*identity).to_owned(),
                fingerprint: format!("fingerprint of {words}"),
                events: vec![customer_says(words)],
                from_customer: true,
                ..NewRow::default()
            })
            .collect(),
        newest: rows.last().map(|(identity, _)| (*identity).to_owned()),
        late_flags: false,
        prompt_flags: false,
        receipts: Vec::new(),
        page: None,
        position: Some("p".into()),
        answered: None,
        forget: Vec::new(),
        read_before_ms: None,
        listed_only: false,
        now_ms: 1000,
    }
}

async fn take(store: &Arc<dyn Store>, epoch: Epoch, now_ms: i64) -> Vec<Attempt> {
    store.begin(&channel(), epoch, now_ms, i64::MAX, 100, &Wordings::default()).await.unwrap().attempts
}

fn words(attempt: &Attempt) -> String {
    match &attempt.content {
        Content::Text { text } => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn send(store: &Arc<dyn Store>, attempt: &Attempt) {
    store.settle(attempt, Settlement::Sent { afilnet_id: None, more: false }, 5000).await.unwrap();
}

async fn a_conversation_goes_one_by_one_in_order_and_others_beside_it(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert!(!store.accept(message(1, "a", 10)).await.unwrap().ahead);
    assert!(store.accept(message(1, "b", 11)).await.unwrap().ahead);
    assert!(!store.accept(message(2, "c", 12)).await.unwrap().ahead);
    assert_eq!(store.waiting().await.unwrap()[0].outbound, 3);
    let first = take(&store, epoch, 100).await;
    assert_eq!(first.iter().map(words).collect::<Vec<_>>(), ["a", "c"]);
    assert!(take(&store, epoch, 100).await.is_empty());
    send(&store, &first[0]).await;
    let second = take(&store, epoch, 100).await;
    assert_eq!(second.iter().map(words).collect::<Vec<_>>(), ["b"]);
    assert_eq!(second[0].number, 1);
}

async fn a_message_tried_again_waits_and_keeps_its_place(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a", 10)).await.unwrap();
    store.accept(message(1, "b", 11)).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Queued { due_ms: Some(500), fault: Fault::Unreachable }, 100).await.unwrap();
    store.accept(message(1, "c", 200)).await.unwrap(); // and a message that is accepted meanwhile does not hasten it
    assert!(take(&store, epoch, 499).await.is_empty());
    assert_eq!(store.next_outbound_ms(&channel()).await.unwrap(), Some(500));
    let again = take(&store, epoch, 500).await.remove(0);
    assert_eq!((words(&again).as_str(), again.number), ("a", 2));
}

async fn parts_go_before_the_next_message_and_count_their_own_attempts(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "long", 10)).await.unwrap();
    store.accept(message(1, "next", 11)).await.unwrap();
    let first = take(&store, epoch, 100).await.remove(0);
    store.settle(&first, Settlement::Sent { afilnet_id: None, more: true }, 100).await.unwrap();
    let second = take(&store, epoch, 100).await.remove(0);
    assert_eq!((words(&second).as_str(), second.part, second.number), ("long", 1, 1));
    send(&store, &second).await;
    assert_eq!(words(&take(&store, epoch, 100).await[0]), "next");
}

async fn live_conversations_go_first_then_the_oldest(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in 1..=9 {
        store.accept(message(n, "broadcast", i64::from(n))).await.unwrap();
    }
    store.record(reading(7, &[("r1", "hello")])).await.unwrap();
    let begun = store.begin(&channel(), epoch, 100, 900, 3, &Wordings::default()).await.unwrap().attempts;
    let order: Vec<_> = begun.iter().map(|attempt| attempt.contact.clone()).collect();
    assert_eq!(order, [contact(7), contact(1), contact(2)]);
}

async fn only_the_attempt_under_way_can_be_settled(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a", 10)).await.unwrap();
    let old = take(&store, epoch, 100).await.remove(0);
    store.settle(&old, Settlement::Queued { due_ms: Some(100), fault: Fault::Busy }, 100).await.unwrap();
    let new = take(&store, epoch, 100).await.remove(0);
    let late = store.settle(&old, Settlement::Sent { afilnet_id: None, more: false }, 100).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    send(&store, &new).await;
    let twice = store.settle(&new, Settlement::Sent { afilnet_id: None, more: false }, 100).await;
    assert!(matches!(twice, Err(StoreError::Stale)), "{twice:?}");
}

async fn an_owner_taken_over_begins_nothing_more(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let old = store.take_ownership(&channel()).await.unwrap();
    store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a", 10)).await.unwrap();
    let begun = store.begin(&channel(), old, 100, 0, 10, &Wordings::default()).await;
    assert!(matches!(begun, Err(StoreError::Stale)), "{begun:?}");
}

async fn what_was_accepted_survives_and_goes_on(engine: Engine) {
    let fresh = engine.fresh().await;
    for n in 0..20 {
        fresh.store.accept(message(n, "kept", 10)).await.unwrap();
    }
    let FreshStore { store, folder: _folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(take(&store, epoch, 100).await.len(), 20);
}

async fn a_row_makes_its_events_once(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    assert_eq!(store.record(reading(1, &[("r1", "a"), ("r2", "b")])).await.unwrap().events, 2);
    assert_eq!(store.record(reading(1, &[("r1", "a"), ("r2", "b"), ("r3", "c")])).await.unwrap().events, 1);
    assert_eq!(store.seen(&channel(), &contact(1)).await.unwrap().rows.len(), 3);
    let there = &store.positions(&channel()).await.unwrap()[0];
    assert_eq!(there.read_to.as_deref(), Some("p"));
}

async fn events_go_one_by_one_in_order_and_a_dead_one_holds_up_nobody(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "a"), ("r2", "b"), ("r3", "c")])).await.unwrap();
    store.record(reading(2, &[("r1", "other")])).await.unwrap();
    let due = store.due_events(&channel(), 2000, 10).await.unwrap();
    assert_eq!(
        due.iter().map(|event| event.event.clone()).collect::<Vec<_>>(),
        [customer_says("a"), customer_says("other")]
    );
    let again = Publication::Queued { due_ms: 3000, fault: Fault::Http(503) };
    store.published(&due[0], again, 2000).await.unwrap();
    store.published(&due[1], Publication::Done, 2000).await.unwrap();
    assert!(store.due_events(&channel(), 2999, 10).await.unwrap().is_empty());
    assert_eq!(store.next_event_ms(&channel(), 2000).await.unwrap(), Some(3000));
    let head = store.due_events(&channel(), 3000, 10).await.unwrap().remove(0);
    assert_eq!((head.event.clone(), head.attempts), (customer_says("a"), 1));
    store.published(&head, Publication::Dead { fault: Fault::Http(400) }, 3000).await.unwrap();
    let next = store.due_events(&channel(), 3000, 10).await.unwrap().remove(0);
    assert_eq!(next.event, customer_says("b"));
    store.published(&next, Publication::Queued { due_ms: 4000, fault: Fault::Http(503) }, 3000).await.unwrap();
    assert!(store.due_events(&channel(), 3999, 10).await.unwrap().is_empty(), "its own time, not that of one before");
}

async fn the_initial_snapshot_is_taken_once(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.take_ownership(&channel()).await.unwrap();
    assert_eq!(store.snapshot_ms(&channel()).await.unwrap(), None);
    let there = Position {
        contact: contact(1),
        destination: chat(1).destination,
        read_to: None,
        snapshot_row: Some("fingerprint".into()),
        unread: None,
    };
    store.store_initial_snapshot(&channel(), vec![there.clone()], 77).await.unwrap();
    assert_eq!(store.snapshot_ms(&channel()).await.unwrap(), Some(77));
    assert_eq!(store.positions(&channel()).await.unwrap(), [there]);
    store.record(reading(1, &[("r1", "a")])).await.unwrap();
    assert_eq!(store.positions(&channel()).await.unwrap()[0].snapshot_row, None);
}

async fn one_operation_that_fails_undoes_itself_alone(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let one = message(1, "a", 10);
    // Its conversation is created before its mId is found to be taken.
    let fails = NewOutbound { m_id: one.m_id.clone(), ..message(3, "c", 10) };
    let accepts: Vec<_> = [one, fails, message(2, "b", 10)]
        .into_iter()
        .map(|message| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.accept(message).await })
        })
        .collect();
    let mut failed = 0;
    for accept in accepts {
        failed += usize::from(accept.await.unwrap().is_err());
    }
    assert_eq!(failed, 1);
    assert_eq!(take(&store, epoch, 100).await.len(), 2);
    assert_eq!(folder.ask("SELECT COUNT(*) FROM conversations").await, [Some("2".to_owned())], "nothing of it is left");
    store.check().await.unwrap();
}

async fn old_texts_are_wiped_then_rows_go(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a", 10)).await.unwrap();
    store.accept(message(2, "waits", 10)).await.unwrap();
    let begun = store.begin(&channel(), epoch, 100, 0, 1, &Wordings::default()).await.unwrap().attempts;
    send(&store, &begun[0]).await;
    assert_eq!(store.purge(5000, 0, 100).await.unwrap(), 0);
    assert_eq!(store.purge(5001, 0, 100).await.unwrap(), 1);
    assert_eq!(store.purge(5001, 5001, 100).await.unwrap(), 1);
    assert_eq!(store.list(Filter { limit: 9, ..Filter::default() }).await.unwrap().len(), 1);
    assert_eq!(words(&take(&store, epoch, 100).await[0]), "waits");
}

on_each_engine! {
    a_conversation_goes_one_by_one_in_order_and_others_beside_it
    a_message_tried_again_waits_and_keeps_its_place
    parts_go_before_the_next_message_and_count_their_own_attempts
    live_conversations_go_first_then_the_oldest
    only_the_attempt_under_way_can_be_settled
    an_owner_taken_over_begins_nothing_more
    what_was_accepted_survives_and_goes_on
    a_row_makes_its_events_once
    events_go_one_by_one_in_order_and_a_dead_one_holds_up_nobody
    the_initial_snapshot_is_taken_once
    one_operation_that_fails_undoes_itself_alone
    old_texts_are_wiped_then_rows_go
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Accept(u32),
    Begin(u32),
    Settle(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..4u32).prop_map(Step::Accept),
        (1..4u32).prop_map(Step::Begin),
        (0..8usize, 0..4u8).prop_map(|(which, how)| Step::Settle(which, how)),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// In any history: each conversation's messages are sent in the order in which they were accepted, one at a time.
    #[test]
    fn any_history_keeps_each_conversation_in_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            happens(Engine::Sqlite, steps.clone()).await;
            if let Some(engine) = Engine::postgres() {
                happens(engine, steps).await;
            }
        });
    }
}

async fn happens(engine: Engine, steps: Vec<Step>) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut queues: std::collections::HashMap<ContactId, Vec<MId>> = std::collections::HashMap::new();
    let mut under_way: Vec<Attempt> = Vec::new();
    for step in steps {
        match step {
            Step::Accept(n) => {
                let new = message(n, "m", 10);
                queues.entry(new.contact.clone()).or_default().push(new.m_id.clone());
                store.accept(new).await.unwrap();
            }
            Step::Begin(limit) => {
                for attempt in
                    store.begin(&channel(), epoch, 100, 0, limit, &Wordings::default()).await.unwrap().attempts
                {
                    assert!(under_way.iter().all(|other| other.contact != attempt.contact));
                    assert_eq!(queues[&attempt.contact][0], attempt.m_id);
                    under_way.push(attempt);
                }
            }
            Step::Settle(which, how) if !under_way.is_empty() => {
                let attempt = under_way.remove(which % under_way.len());
                let fault = Fault::Busy;
                let settlement = match how {
                    0 => Settlement::Queued { due_ms: Some(50), fault },
                    1 => Settlement::Failed { fault, notice: Some("n".into()) },
                    2 => Settlement::Unconfirmed { fault, notice: "n".into(), held: false },
                    _ => Settlement::Sent { afilnet_id: None, more: false },
                };
                if how != 0 {
                    queues.get_mut(&attempt.contact).unwrap().remove(0);
                }
                store.settle(&attempt, settlement, 100).await.unwrap();
            }
            Step::Settle(..) => {}
        }
    }
    let idle = queues
        .iter()
        .filter(|(contact, queue)| !queue.is_empty() && under_way.iter().all(|attempt| attempt.contact != **contact))
        .count();
    assert_eq!(store.begin(&channel(), epoch, 100, 0, 100, &Wordings::default()).await.unwrap().attempts.len(), idle);
}
