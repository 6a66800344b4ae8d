//! Further guarantees: places in the queue, counts of attempts, rows that do not decode, callers that go away.

use std::time::Duration;

use super::*;

on_each_engine! {
    further_parts_go_before_later_messages_of_other_conversations
    a_message_requeued_without_a_time_keeps_its_place_before_later_ones
    tries_that_ended_in_different_faults_are_not_added_up
    a_part_that_went_out_leaves_no_tries_to_the_next
    a_message_that_cannot_be_read_is_marked_unreadable_and_its_conversation_goes_on
    an_event_that_cannot_be_read_is_marked_dead_and_its_conversation_goes_on
    a_conversation_that_was_only_written_to_has_no_position
    a_conversation_is_active_from_its_newest_row_or_send_on_after_a_restart_too
    a_message_whose_caller_goes_away_before_the_commit_wakes_the_sender_and_is_counted
}

/// Longest wait for what must come; generous, because tests share the machine.
const SOON: Duration = Duration::from_mins(1);

/// Changes a row directly.
async fn damage(fresh: &FreshStore, statement: &str) {
    assert_eq!(fresh.folder.ask(&format!("{statement} RETURNING id")).await.len(), 1, "{statement}");
}

async fn further_parts_go_before_later_messages_of_other_conversations(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(9, "long", 10)).await.unwrap();
    for n in 1..=5 {
        store.accept(message(n, "later", 10 + i64::from(n))).await.unwrap();
    }
    for part in 0..3 {
        let begun =
            store.begin(&channel(), epoch, 100, i64::MAX, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
        assert_eq!((words(&begun).as_str(), begun.part), ("long", part));
        store.settle(&begun, Settlement::Sent { afilnet_id: None, more: part < 2 }, 100).await.unwrap();
    }
    let next = store.begin(&channel(), epoch, 100, i64::MAX, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    assert_eq!(next.contact, contact(1));
}

async fn a_message_requeued_without_a_time_keeps_its_place_before_later_ones(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(9, "first", 10)).await.unwrap();
    store.accept(message(1, "later", 11)).await.unwrap();
    let begun =
        store.begin(&channel(), epoch, 100, i64::MAX, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    let back = Settlement::Queued { due_ms: None, fault: Fault::NoCredits };
    store.settle(&begun, back, 100).await.unwrap();
    let again =
        store.begin(&channel(), epoch, 100, i64::MAX, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    assert_eq!((words(&again).as_str(), again.number), ("first", 2));
}

async fn tries_that_ended_in_different_faults_are_not_added_up(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a", 10)).await.unwrap();
    store.record(reading(2, &[("r1", "in")])).await.unwrap();
    let faults = [Fault::Busy, Fault::Busy, Fault::Unreachable, Fault::Busy, Fault::Http(500), Fault::Http(503)];
    for (fault, count) in faults.into_iter().zip([1, 2, 1, 1, 1, 1]) {
        let attempt = take(&store, epoch, 100).await.remove(0);
        assert_eq!(attempt.before.and(&fault), count, "outbound, {fault:?}");
        let again = Settlement::Queued { due_ms: Some(100), fault: fault.clone() };
        store.settle(&attempt, again, 100).await.unwrap();
        let event = store.due_events(&channel(), 2000, 10).await.unwrap().remove(0);
        assert_eq!(event.before.and(&fault), count, "event, {fault:?}");
        store.published(&event, Publication::Queued { due_ms: 2000, fault }, 2000).await.unwrap();
    }
    let attempt = take(&store, epoch, 100).await.remove(0);
    assert_eq!((attempt.before.count, attempt.number), (1, 7));
}

async fn a_part_that_went_out_leaves_no_tries_to_the_next(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "long", 10)).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Queued { due_ms: Some(100), fault: Fault::Busy }, 100).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 100).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    assert_eq!((attempt.part, attempt.number, attempt.before), (1, 1, FailureStreak::default()));
}

async fn a_message_that_cannot_be_read_is_marked_unreadable_and_its_conversation_goes_on(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let broken = message(1, "broken", 10);
    let broken_id = broken.m_id.to_string();
    store.accept(broken).await.unwrap();
    store.accept(message(1, "behind it", 11)).await.unwrap();
    store.accept(message(2, "beside it", 12)).await.unwrap();
    damage(&fresh, &format!("UPDATE outbound SET content = '{{\"' WHERE m_id = '{broken_id}'")).await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.extend(take(&store, epoch, 100).await.iter().map(words));
    }
    begun.sort();
    assert_eq!(begun, ["behind it", "beside it"]);
    let listed = store.show(broken_id).await.unwrap().unwrap();
    assert_eq!((listed.state.as_str(), listed.fault.as_deref()), ("failed", Some("unreadable_row")));
    assert!(listed.done_ms.is_some());
}

async fn an_event_that_cannot_be_read_is_marked_dead_and_its_conversation_goes_on(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    store.record(reading(1, &[("r1", "broken"), ("r2", "behind it")])).await.unwrap();
    store.record(reading(2, &[("r1", "beside it")])).await.unwrap();
    let broken = customer_says("broken").m_id;
    damage(&fresh, &format!("UPDATE events SET event = '[]' WHERE m_id = '{broken}'")).await;
    let first = store.due_events(&channel(), 2000, 10).await.unwrap();
    assert_eq!(first.iter().map(|due| &due.event).collect::<Vec<_>>(), [&customer_says("beside it")]);
    let second = store.due_events(&channel(), 2000, 10).await.unwrap();
    assert!(second.iter().any(|due| due.event == customer_says("behind it")));
    let kept = fresh.folder.ask("SELECT state, fault FROM events WHERE event = '[]'").await;
    assert_eq!(kept, [Some("dead".to_owned()), Some("unreadable_row".to_owned())]);
}

async fn a_conversation_that_was_only_written_to_has_no_position(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.accept(message(1, "a broadcast", 10)).await.unwrap();
    assert_eq!(store.positions(&channel()).await.unwrap(), []);
    store.record(reading(2, &[("r1", "hello")])).await.unwrap();
    let read: Vec<_> = store.positions(&channel()).await.unwrap().into_iter().map(|there| there.contact).collect();
    assert_eq!(read, [contact(2)]);
}

async fn a_conversation_is_active_from_its_newest_row_or_send_on_after_a_restart_too(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store
        .record(ConversationRead { newest: Some("r1".into()), now_ms: 100, ..reading(1, &[("r1", "hello")]) })
        .await
        .unwrap();
    // A row that nobody is told of.
    let mut own =
        ConversationRead { newest: Some("r1".into()), now_ms: 300, ..reading(2, &[("r1", "from the panel")]) };
    (own.rows[0].events, own.rows[0].from_customer) = (Vec::new(), false);
    store.record(own).await.unwrap();
    store.record(ConversationRead { newest: None, now_ms: 150, ..reading(7, &[("r1", "hello")]) }).await.unwrap();
    for (n, at_ms) in [(3, 200), (4, 200), (5, 200)] {
        store.accept(message(n, "a broadcast", at_ms)).await.unwrap();
    }
    // One is sent, one may have been, one fails.
    for attempt in take(&store, epoch, 1000).await {
        let settlement = match &attempt.contact {
            one if *one == contact(3) => Settlement::Sent { afilnet_id: None, more: false },
            one if *one == contact(4) => Settlement::Unknown { fault: Fault::TimedOut, look_ms: 2000 },
            _ => Settlement::Failed { fault: Fault::ChatNotFound, notice: None },
        };
        store.settle(&attempt, settlement, 1000).await.unwrap();
    }
    store.accept(message(6, "not begun yet", 900)).await.unwrap();
    drop(store);
    let FreshStore { store, folder: _folder } = fresh.again().await;
    let cases = [
        (50, &[1, 2, 3, 4, 7][..]),
        (100, &[1, 2, 3, 4, 7]),
        (101, &[2, 3, 4, 7]),
        (151, &[2, 3, 4]),
        (201, &[2]),
        (301, &[]),
    ];
    for (since_ms, expected) in cases {
        let mut active = store.active_since(&channel(), since_ms).await.unwrap();
        active.sort_unstable_by(|one, other| one.contact.as_str().cmp(other.contact.as_str()));
        let there = |n: &u32| Chat { contact: contact(*n), destination: contact(*n).as_str()[1..].parse().unwrap() };
        assert_eq!(active, expected.iter().map(there).collect::<Vec<_>>(), "since {since_ms}");
    }
    assert_eq!(store.active_since(&"other".parse().unwrap(), 0).await.unwrap(), []);
}

async fn a_message_whose_caller_goes_away_before_the_commit_wakes_the_sender_and_is_counted(engine: Engine) {
    // On a busy machine it may be stored before its caller has gone away.
    for _ in 0..50 {
        let FreshStore { store, folder: _folder } = engine.fresh().await;
        let epoch = store.take_ownership(&channel()).await.unwrap();
        let wakeups = store.wakeups().register(&channel(), &AccountLoad::new(1));
        assert!(wakeups.verdict_expected(Duration::ZERO));
        // Polled once, which hands it to the writer, then dropped.
        let is_gone = tokio::time::timeout(Duration::ZERO, store.accept(message(1, "kept", 10))).await.is_err();
        tokio::time::timeout(SOON, wakeups.outbound.notified()).await.expect("the sender is notified");
        assert!(!wakeups.verdict_expected(Duration::ZERO), "it is counted among what waits");
        assert_eq!(take(&store, epoch, 100).await.iter().map(words).collect::<Vec<_>>(), ["kept"]);
        assert!(wakeups.verdict_expected(Duration::ZERO), "and no longer once begun");
        if is_gone {
            return;
        }
    }
    panic!("its caller has not gone away in time once");
}
