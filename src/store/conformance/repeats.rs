//! Repeated calls: when an equal call is a repeat, and calls with a key.

use super::*;

on_each_engine! {
    an_equal_call_is_a_repeat_only_of_one_whose_answer_was_lost
    each_repeat_stands_for_one_lost_answer_the_oldest_first
    what_is_long_ago_or_was_surely_not_sent_is_not_repeated
    answers_of_which_a_former_owner_knew_nothing_count_as_lost
    a_key_names_one_message_of_its_channel
    the_key_of_a_message_that_failed_names_the_next_one
    keys_are_kept_as_long_as_rows
    a_repeat_is_not_counted_as_waiting_again
    a_call_whose_caller_is_gone_is_not_stored
    a_drained_channel_takes_repeats_alone
}

/// Accepts; returns the message that the call repeats, if any.
async fn again(store: &Arc<dyn Store>, message: NewOutbound) -> Option<MId> {
    match store.accept(message).await.unwrap().outcome {
        AcceptOutcome::New => None,
        AcceptOutcome::RepeatOf(first) => Some(first),
        refused => panic!("{refused:?}"),
    }
}

fn under(key: &str, message: NewOutbound) -> NewOutbound {
    NewOutbound { key: Some(key.parse().unwrap()), ..message }
}

async fn waiting(store: &Arc<dyn Store>) -> u64 {
    store.waiting().await.unwrap().iter().map(|channel| channel.outbound).sum()
}

const TEN_MINUTES_MS: i64 = 600_000;

async fn an_equal_call_is_a_repeat_only_of_one_whose_answer_was_lost(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let first = message(1, "a", 10);
    let m_id = first.m_id.clone();
    assert_eq!(again(&store, first).await, None);
    // Not known yet: a new message.
    let second = message(1, "a", 11);
    let second_id = second.m_id.clone();
    assert_eq!(again(&store, second).await, None);
    store.record_responses(vec![(m_id.clone(), false), (second_id, true)]).await.unwrap();
    // Another text, and another contact.
    assert_eq!(again(&store, message(1, "b", 12)).await, None);
    assert_eq!(again(&store, message(2, "a", 12)).await, None);
    assert_eq!(again(&store, message(1, "a", 12)).await, Some(m_id.clone()));
    // Repeated once; again only if that response was lost too.
    assert_eq!(again(&store, message(1, "a", 13)).await, None);
    store.record_responses(vec![(m_id.clone(), false)]).await.unwrap();
    assert_eq!(again(&store, message(1, "a", 14)).await, Some(m_id.clone()));
    store.record_responses(vec![(m_id, true)]).await.unwrap();
    assert_eq!(again(&store, message(1, "a", 15)).await, None);
    assert_eq!(waiting(&store).await, 6);
}

async fn a_drained_channel_takes_repeats_alone(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let drained = |message: NewOutbound| NewOutbound { is_drained: true, ..message };
    let (first, keyed) = (message(1, "a", 10), under("k", message(2, "b", 11)));
    let (m_id, keyed_id) = (first.m_id.clone(), keyed.m_id.clone());
    assert_eq!((again(&store, first).await, again(&store, keyed).await), (None, None));
    store.record_responses(vec![(m_id.clone(), false)]).await.unwrap();
    assert_eq!(again(&store, drained(message(1, "a", 12))).await, Some(m_id));
    assert_eq!(again(&store, drained(under("k", message(2, "b", 13)))).await, Some(keyed_id));
    for new in [message(1, "a", 14), message(3, "c", 15), under("l", message(2, "b", 16))] {
        assert_eq!(store.accept(drained(new)).await.unwrap().outcome, AcceptOutcome::Drained);
    }
    assert_eq!(waiting(&store).await, 2);
    let known = folder.ask("SELECT COUNT(*) FROM conversations").await;
    assert_eq!(known, [Some("2".to_owned())], "a refused call leaves no conversation");
}

async fn each_repeat_stands_for_one_lost_answer_the_oldest_first(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let mut lost = Vec::new();
    for n in 0..3 {
        let call = message(1, "a", 10 + n);
        lost.push(call.m_id.clone());
        assert_eq!(again(&store, call).await, None);
    }
    store.record_responses(lost.iter().map(|m_id| (m_id.clone(), false)).collect()).await.unwrap();
    for m_id in lost {
        assert_eq!(again(&store, message(1, "a", 20)).await, Some(m_id));
    }
    assert_eq!(again(&store, message(1, "a", 20)).await, None);
}

async fn what_is_long_ago_or_was_surely_not_sent_is_not_repeated(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let old = message(1, "a", 10);
    let refused = message(2, "a", 10);
    let lost = vec![(old.m_id.clone(), false), (refused.m_id.clone(), false)];
    let m_id = old.m_id.clone();
    store.accept(old).await.unwrap();
    store.accept(refused).await.unwrap();
    store.record_responses(lost).await.unwrap();
    for attempt in take(&store, epoch, 100).await {
        let failed = Settlement::Failed { fault: Fault::Busy, notice: None };
        let sent = Settlement::Sent { afilnet_id: None, more: false };
        store.settle(&attempt, if attempt.contact == contact(2) { failed } else { sent }, 100).await.unwrap();
    }
    assert_eq!(again(&store, message(2, "a", 200)).await, None);
    assert_eq!(again(&store, message(1, "a", 10 + TEN_MINUTES_MS + 1)).await, None);
    assert_eq!(again(&store, message(1, "a", 10 + TEN_MINUTES_MS)).await, Some(m_id));
}

async fn answers_of_which_a_former_owner_knew_nothing_count_as_lost(engine: Engine) {
    let fresh = engine.fresh().await;
    let (open, told) = (message(1, "a", 10), message(2, "a", 10));
    let (m_id, told_id) = (open.m_id.clone(), told.m_id.clone());
    let elsewhere = NewOutbound { channel: "other".parse().unwrap(), ..message(1, "a", 10) };
    for call in [open, told, elsewhere.clone()] {
        fresh.store.accept(call).await.unwrap();
    }
    fresh.store.record_responses(vec![(told_id, true)]).await.unwrap();
    let FreshStore { store, folder: _folder } = fresh.again().await;
    store.take_ownership(&channel()).await.unwrap();
    assert_eq!(again(&store, message(1, "a", 20)).await, Some(m_id));
    assert_eq!(again(&store, message(2, "a", 20)).await, None);
    // The owner of a SQLite file takes over its own channels alone. If several processes share a store, a dead process
    // gave no response for any channel.
    let gone = matches!(engine, Engine::Postgres).then(|| elsewhere.m_id.clone());
    assert_eq!(again(&store, NewOutbound { m_id: MId::fresh(), ..elsewhere }).await, gone);
}

async fn a_key_names_one_message_of_its_channel(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let first = under("k", message(1, "a", 10));
    let m_id = first.m_id.clone();
    assert_eq!(again(&store, first).await, None);
    assert_eq!(again(&store, under("k", message(1, "a", 11))).await, Some(m_id.clone()));
    // With the response received or not, soon or late.
    store.record_responses(vec![(m_id.clone(), true)]).await.unwrap();
    assert_eq!(again(&store, under("k", message(1, "a", 11 + 2 * TEN_MINUTES_MS))).await, Some(m_id.clone()));
    for other in [message(1, "b", 12), message(2, "a", 12)] {
        assert_eq!(store.accept(under("k", other)).await.unwrap().outcome, AcceptOutcome::KeyTaken);
    }
    let elsewhere = NewOutbound { channel: "other".parse().unwrap(), ..message(1, "b", 12) };
    assert_eq!(again(&store, under("k", elsewhere)).await, None);
    // Two keys are two messages, although the first response was lost.
    let lost = under("k2", message(3, "a", 12));
    let lost_id = lost.m_id.clone();
    store.accept(lost).await.unwrap();
    store.record_responses(vec![(lost_id, false)]).await.unwrap();
    assert_eq!(again(&store, under("k3", message(3, "a", 13))).await, None);
    assert_eq!(waiting(&store).await, 4);
}

async fn the_key_of_a_message_that_failed_names_the_next_one(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(under("k", message(1, "a", 10))).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Failed { fault: Fault::Busy, notice: None }, 100).await.unwrap();
    assert_eq!(store.accept(under("k", message(1, "b", 200))).await.unwrap().outcome, AcceptOutcome::KeyTaken);
    let second = under("k", message(1, "a", 200));
    let m_id = second.m_id.clone();
    assert_eq!(again(&store, second).await, None);
    assert_eq!(again(&store, under("k", message(1, "a", 300))).await, Some(m_id));
    assert_eq!(waiting(&store).await, 1);
}

async fn keys_are_kept_as_long_as_rows(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.accept(under("k", message(1, "a", 10))).await.unwrap();
    assert_eq!(store.purge(0, 10, 100).await.unwrap(), 0);
    assert!(again(&store, under("k", message(1, "a", 20))).await.is_some());
    assert_eq!(store.purge(0, 11, 100).await.unwrap(), 1);
    assert_eq!(again(&store, under("k", message(1, "a", 20))).await, None);
}

async fn a_repeat_is_not_counted_as_waiting_again(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let wakeups = store.wakeups().register(&channel(), &AccountLoad::new(1));
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = message(1, "a", 10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    store.record_responses(vec![(m_id.clone(), false)]).await.unwrap();
    assert_eq!(again(&store, message(1, "a", 11)).await, Some(m_id));
    assert_eq!(take(&store, epoch, 100).await.len(), 1);
    assert!(wakeups.verdict_expected(std::time::Duration::ZERO), "nothing waits");
}

async fn a_call_whose_caller_is_gone_is_not_stored(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let abandoned = |message| NewOutbound { caller: Caller::new(i64::MAX, || false), ..message };
    for gone in [abandoned(message(1, "a", 10)), abandoned(under("k", message(1, "a", 10)))] {
        let refused = store.accept(gone).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    }
    assert_eq!(waiting(&store).await, 0);
    assert_eq!(again(&store, under("k", message(1, "a", 11))).await, None);
    // A repeat of a caller that is gone leaves the loss to the next.
    let first = message(2, "a", 10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    store.record_responses(vec![(m_id.clone(), false)]).await.unwrap();
    assert!(store.accept(abandoned(message(2, "a", 11))).await.is_err());
    assert_eq!(again(&store, message(2, "a", 12)).await, Some(m_id));
    store.check().await.unwrap(); // this is not a failure of the store
}
