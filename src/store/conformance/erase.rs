//! Erasing everything of one person.

use super::*;

on_each_engine! {
    of_an_erased_person_only_how_far_it_is_read_stays_and_no_row_makes_its_events_again
    an_erased_person_who_is_written_to_is_known_again
    an_erased_person_who_is_written_to_is_active_where_that_went
    what_waits_or_is_under_way_is_erased_only_where_that_is_asked_for
}

/// Later than everything in these tests.
const LATER: i64 = 1_000_000;

fn person(n: u32) -> Person {
    let plus = contact(n).to_string();
    Person { names: [plus.clone(), plus[1..].to_owned()], channel: None }
}

/// Returns contact and destination of the conversations.
async fn names(folder: &Home) -> Vec<Option<String>> {
    folder.ask("SELECT MIN(contact), MAX(contact), MIN(destination), MAX(destination) FROM conversations").await
}

async fn of_an_erased_person_only_how_far_it_is_read_stays_and_no_row_makes_its_events_again(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.store_initial_snapshot(&channel(), vec![], 1).await.unwrap();
    for n in [1, 2] {
        store.record(reading(n, &[("r1", "in one"), ("r2", "in two")])).await.unwrap();
        let keyed = NewOutbound { key: Some(format!("key-{n}").parse().unwrap()), ..message(n, "out", 10) };
        store.accept(keyed).await.unwrap();
    }
    for attempt in take(&store, epoch, 100).await {
        send(&store, &attempt).await;
    }
    while let Some(due) = store.due_events(&channel(), i64::MAX, 1).await.unwrap().pop() {
        store.published(&due, Publication::Done, 2000).await.unwrap();
    }
    let elsewhere = Person { channel: Some("other".into()), ..person(1) };
    assert_eq!(store.erase(elsewhere, Erase::Settled, LATER).await.unwrap().conversations, 0);
    let there = Erasure { conversations: 1, messages: 1, events: 2, ..Erasure::default() };
    assert_eq!(store.erase(person(1), Erase::DryRun, LATER).await.unwrap(), there);
    let just_sent = Erasure { under_way: 1, ..there.clone() };
    assert_eq!(store.erase(person(1), Erase::Waiting, 6000).await.unwrap(), just_sent, "its row is not read yet");
    assert_eq!(store.erase(person(1), Erase::Settled, LATER).await.unwrap(), Erasure { done: true, ..there });
    assert_eq!(
        store.erase(person(1), Erase::Settled, LATER).await.unwrap().conversations,
        0,
        "nothing is found any more"
    );
    let listed = store.list(Filter { limit: 9, ..Filter::default() }).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.contact.clone()).collect::<Vec<_>>(), [contact(2).to_string()]);
    let kept = folder.ask("SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM idempotency)").await;
    assert_eq!(kept, [Some("2".into()), Some("1".into())]);
    let erased = contact(1).erased(&channel()).to_string();
    let other = contact(2).to_string();
    let both = [Some(other.clone()), Some(erased.clone()), Some(other[1..].to_owned()), Some(erased.clone())];
    assert_eq!(names(&folder).await, both);

    // The same page again, and a read that forgets: no event, and no name comes back.
    assert_eq!(store.seen(&channel(), &contact(1)).await.unwrap().rows.len(), 2);
    assert_eq!(store.positions_of(&channel(), &contact(1)).await.unwrap()[0].read_to.as_deref(), Some("p"));
    let active = store.active_since(&channel(), 0).await.unwrap();
    assert_eq!(active.into_iter().map(|chat| chat.contact).collect::<Vec<_>>(), [contact(2)]);
    let positions = store.positions(&channel()).await.unwrap();
    assert!(positions.iter().any(|there| there.contact.as_str() == erased && there.read_to.as_deref() == Some("p")));
    assert_eq!(
        store.record(ConversationRead { forget: vec!["r1".into()], ..reading(1, &[]) }).await.unwrap().events,
        0
    );
    assert_eq!(names(&folder).await, both);
    // The person writes again.
    assert_eq!(store.record(reading(1, &[("r2", "in two"), ("r3", "in three")])).await.unwrap().events, 1);
    let position = store.positions_of(&channel(), &contact(1)).await.unwrap().remove(0);
    assert_eq!(position.destination.as_str(), &contact(1).as_str()[1..]);
    assert_eq!(store.seen(&channel(), &contact(1)).await.unwrap().rows.len(), 2);
    assert_eq!(store.due_events(&channel(), 9000, 9).await.unwrap().len(), 1);
    assert_eq!(folder.ask("SELECT COUNT(*) FROM conversations").await, [Some("2".into())]);
}

async fn an_erased_person_who_is_written_to_is_known_again(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "in one")])).await.unwrap();
    let how = Erase::Waiting;
    assert!(store.erase(person(1), how, LATER).await.unwrap().done);
    store.accept(message(1, "from an agent", 10)).await.unwrap();
    assert_eq!(store.record(reading(1, &[("r1", "in one")])).await.unwrap().events, 0, "history stays history");
    assert_eq!(folder.ask("SELECT COUNT(*) FROM conversations").await, [Some("1".into())]);
    assert_eq!(store.list(Filter { limit: 9, ..Filter::default() }).await.unwrap()[0].contact, contact(1).to_string());
}

async fn an_erased_person_who_is_written_to_is_active_where_that_went(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.take_ownership(&channel()).await.unwrap();
    store.record(reading(1, &[("r1", "a")])).await.unwrap();
    assert!(store.erase(person(1), Erase::Waiting, LATER).await.unwrap().done);
    assert_eq!(store.active_since(&channel(), 0).await.unwrap(), []);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "again", LATER)).await.unwrap();
    take(&store, epoch, LATER + 9000).await;
    let destination = contact(1).as_str()[1..].parse().unwrap();
    assert_eq!(store.active_since(&channel(), 0).await.unwrap(), [Chat { contact: contact(1), destination }]);
}

async fn what_waits_or_is_under_way_is_erased_only_where_that_is_asked_for(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "first", 10)).await.unwrap();
    store.accept(message(1, "second", 11)).await.unwrap();
    store.record(reading(1, &[("r1", "in")])).await.unwrap();
    let there = Erasure { conversations: 1, messages: 2, events: 1, to_send: 2, to_publish: 1, ..Erasure::default() };
    assert_eq!(store.erase(person(1), Erase::Settled, LATER).await.unwrap(), there);
    let attempt = take(&store, epoch, 100).await.remove(0);
    let sending = Erasure { to_send: 1, under_way: 1, ..there.clone() };
    assert_eq!(
        store.erase(person(1), Erase::Waiting, LATER).await.unwrap(),
        sending,
        "nobody knows what becomes of it"
    );
    let unknown = Settlement::Unknown { fault: Fault::TimedOut, look_ms: 500 };
    store.settle(&attempt, unknown, 100).await.unwrap();
    assert!(!store.erase(person(1), Erase::Waiting, LATER).await.unwrap().done);
    let in_doubt = store.due_lookups(&channel(), 9000, 9).await.unwrap().remove(0);
    let sent = Settlement::Sent { afilnet_id: None, more: false };
    store.resolve(&in_doubt, epoch, sent, 600).await.unwrap();
    assert!(store.erase(person(1), Erase::Waiting, LATER).await.unwrap().done);
    assert!(take(&store, epoch, 9000).await.is_empty() && store.next_outbound_ms(&channel()).await.unwrap().is_none());
    assert!(store.due_events(&channel(), 9000, 9).await.unwrap().is_empty());
    assert_eq!(store.waiting().await.unwrap(), []);
}
