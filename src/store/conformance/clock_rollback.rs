//! A clock that was set back while no process ran.

use super::*;

on_each_engine! {
    after_the_clock_was_set_back_nothing_waits_for_it_to_catch_up
    after_the_clock_was_set_back_a_row_that_comes_after_an_attempt_is_still_known_as_such
}

const HOUR: i64 = 3_600_000;

async fn after_the_clock_was_set_back_nothing_waits_for_it_to_catch_up(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = &fresh.store;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    // Accepted long ago, and tried last an hour ahead of now; and accepted ahead of now.
    let (then, now) = (100 * HOUR, 99 * HOUR);
    store.accept(message(1, "old", 90 * HOUR)).await.unwrap();
    let attempt = take(store, epoch, then).await.remove(0);
    let again = Settlement::Queued { due_ms: Some(then + 500), fault: Fault::Unreachable };
    store.settle(&attempt, again, then).await.unwrap();
    store.accept(message(2, "new", then)).await.unwrap();
    store.record(ConversationRead { now_ms: then, ..reading(3, &[("r1", "in")]) }).await.unwrap();
    assert_eq!(store.correct_clock_rollback(then).await.unwrap(), 0, "time has passed as it should");
    assert!(take(store, epoch, now).await.is_empty() && store.due_events(&channel(), now, 9).await.unwrap().is_empty());

    let FreshStore { store, folder: _folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(store.correct_clock_rollback(now).await.unwrap(), HOUR);
    assert_eq!(store.correct_clock_rollback(now).await.unwrap(), 0, "once");
    assert_eq!(take(&store, epoch, now).await.iter().map(words).collect::<Vec<_>>(), ["new"]);
    let old = take(&store, epoch, now + 500).await.remove(0);
    assert_eq!((words(&old).as_str(), old.accepted_ms), ("old", 90 * HOUR));
    assert_eq!(store.due_events(&channel(), now, 9).await.unwrap()[0].recorded_ms, now);
    assert!(
        store.list(Filter { limit: 9, ..Filter::default() }).await.unwrap().iter().all(|row| row.accepted_ms <= now)
    );
}

async fn after_the_clock_was_set_back_a_row_that_comes_after_an_attempt_is_still_known_as_such(engine: Engine) {
    let fresh = engine.fresh().await;
    let (then, now) = (100 * HOUR, 99 * HOUR);
    let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
    fresh.store.accept(message(1, "in doubt", then)).await.unwrap();
    let attempt = take(&fresh.store, epoch, then).await.remove(0);
    let unknown = Settlement::Unknown { fault: Fault::TimedOut, look_ms: then };
    fresh.store.settle(&attempt, unknown, then).await.unwrap();

    let FreshStore { store, folder: _folder } = fresh.again().await;
    assert_eq!(store.correct_clock_rollback(now).await.unwrap(), HOUR);
    let mut page = reading(1, &[("in other words", "x")]);
    page.rows[0].doubtful = true;
    store.record(ConversationRead { now_ms: now + 100, ..page }).await.unwrap();
    let in_doubt = store.due_lookups(&channel(), now, 9).await.unwrap().remove(0);
    assert!(store.evidence(&in_doubt).await.unwrap().doubtful, "it may show the attempt, which began before");
}
