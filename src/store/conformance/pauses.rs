//! Pauses by hand: from the commit on nothing is begun or due, ages stand still, and every owner keeps to it.

use super::*;
use crate::domain::operator_pause::PauseKind::{Drain, In, Out};

on_each_engine! {
    while_sends_are_paused_nothing_is_begun_and_looks_go_on
    while_posts_are_paused_no_event_is_due_and_reading_goes_on
    ages_do_not_count_the_time_of_a_pause
    a_pause_survives_its_process_and_a_new_owner_keeps_to_it
    a_pause_is_begun_once_and_ended_once_and_each_is_in_the_audit
    retention_drops_pauses_that_ended_long_ago_and_none_that_lasts
}

const HOUR: i64 = 3_600_000;

async fn while_sends_are_paused_nothing_is_begun_and_looks_go_on(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "in doubt", 10)).await.unwrap();
    store.accept(message(2, "in flight", 10)).await.unwrap();
    let mut begun = take(&store, epoch, 20).await;
    let in_flight = begun.remove(1);
    let unknown = Settlement::Unknown { fault: Fault::TimedOut, look_ms: 30 };
    store.settle(&begun[0], unknown, 25).await.unwrap();
    assert_eq!(store.pause(&channel(), Out, by(), 26).await.unwrap(), Paused::Now);
    send(&store, &in_flight).await;
    store.accept(message(3, "waits", 27)).await.unwrap();
    store.record(reading(4, &[("r1", "live")])).await.unwrap();
    assert!(take(&store, epoch, 40).await.is_empty());
    assert!(store.begin(&channel(), epoch, 40, 0, 100, &Wordings::default()).await.unwrap().next_ms.is_none());
    assert_eq!(store.next_outbound_ms(&channel()).await.unwrap(), None, "so that the sender sleeps");
    assert_eq!(store.due_lookups(&channel(), 40, 9).await.unwrap().len(), 1, "looks go on");
    assert_eq!(store.due_events(&channel(), 2000, 9).await.unwrap().len(), 1, "and so do posts");
    let elsewhere: ChannelName = "sales".parse().unwrap();
    let other = store.take_ownership(&elsewhere).await.unwrap();
    store.accept(NewOutbound { channel: elsewhere.clone(), ..message(5, "elsewhere", 28) }).await.unwrap();
    let begun = store.begin(&elsewhere, other, 40, 0, 9, &Wordings::default()).await.unwrap();
    assert_eq!(begun.attempts.len(), 1, "another channel is not paused");

    assert_eq!(store.resume(&channel(), Out, by(), 50).await.unwrap().unwrap().why, "asked for");
    assert!(store.next_outbound_ms(&channel()).await.unwrap().is_some());
    assert_eq!(take(&store, epoch, 60).await.iter().map(words).collect::<Vec<_>>(), ["waits"]);
    store.close().await;
}

async fn while_posts_are_paused_no_event_is_due_and_reading_goes_on(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.record(reading(1, &[("r1", "before")])).await.unwrap();
    let before = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
    store.pause(&channel(), In, by(), 2000).await.unwrap();
    store.record(reading(1, &[("r1", "before"), ("r2", "behind")])).await.unwrap();
    store.record(reading(2, &[("r1", "meanwhile")])).await.unwrap();
    assert!(store.due_events(&channel(), 3000, 9).await.unwrap().is_empty());
    assert!(store.event_behind(&before, 3000).await.unwrap().is_none());
    assert_eq!(store.next_event_ms(&channel(), 0).await.unwrap(), None, "so that the publisher sleeps");
    store.published(&before, Publication::Done, 3000).await.unwrap();
    store.accept(message(3, "out", 10)).await.unwrap();
    assert_eq!(take(&store, epoch, 3000).await.len(), 1, "sends go on");
    store.resume(&channel(), In, by(), 4000).await.unwrap();
    let due = store.due_events(&channel(), 5000, 9).await.unwrap();
    assert_eq!(due.len(), 2, "nothing was lost, and the order of a conversation is kept");
    store.close().await;
}

async fn ages_do_not_count_the_time_of_a_pause(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "before both", HOUR)).await.unwrap();
    store.accept(message(3, "in doubt", HOUR)).await.unwrap();
    let in_doubt = take(&store, epoch, HOUR).await;
    for attempt in in_doubt {
        let settlement = if words(&attempt) == "in doubt" {
            Settlement::Unknown { fault: Fault::TimedOut, look_ms: HOUR }
        } else {
            Settlement::Queued { due_ms: None, fault: Fault::Unreachable }
        };
        store.settle(&attempt, settlement, HOUR).await.unwrap();
    }
    store.record(ConversationRead { now_ms: HOUR, ..reading(9, &[("r1", "in")]) }).await.unwrap();
    // 2 h to 5 h, and 10 h to 30 h.
    for (from, until) in [(2, 5), (10, 30)] {
        for kind in [Out, In, Drain] {
            store.pause(&channel(), kind, by(), from * HOUR).await.unwrap();
        }
        if from == 10 {
            store.accept(message(2, "within the second", 20 * HOUR)).await.unwrap();
            let looked = store.due_lookups(&channel(), 22 * HOUR, 9).await.unwrap().remove(0);
            assert_eq!(
                looked.attempt.since_ms,
                (1 + 3 + 12) * HOUR,
                "3 h of the first, and 12 h of the one that lasts"
            );
            assert_eq!(looked.attempt.accepted_ms, HOUR);
        }
        for kind in [Out, In, Drain] {
            store.resume(&channel(), kind, by(), until * HOUR).await.unwrap();
        }
    }
    let begun = take(&store, epoch, 40 * HOUR).await;
    let since: Vec<(String, i64)> = begun.iter().map(|attempt| (words(attempt), attempt.since_ms / HOUR)).collect();
    assert_eq!(since, [("before both".to_owned(), 1 + 23), ("within the second".to_owned(), 30)]);
    let event = store.due_events(&channel(), 40 * HOUR, 9).await.unwrap().remove(0);
    assert_eq!(event.recorded_ms, (1 + 23) * HOUR);
    store.close().await;
}

async fn a_pause_survives_its_process_and_a_new_owner_keeps_to_it(engine: Engine) {
    let fresh = engine.fresh().await;
    fresh.store.take_ownership(&channel()).await.unwrap();
    fresh.store.accept(message(1, "waits", 10)).await.unwrap();
    for kind in [Out, In, Drain] {
        fresh.store.pause(&channel(), kind, by(), 20).await.unwrap();
    }
    let FreshStore { store, folder: _folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert!(take(&store, epoch, 40).await.is_empty());
    let lasting = store.operator_pauses().await.unwrap();
    let seen: Vec<_> = lasting.iter().map(|p| (p.channel.as_str(), p.kind, p.since_ms, p.who.as_str())).collect();
    assert_eq!(seen, [("support", Drain, 20, "ana"), ("support", In, 20, "ana"), ("support", Out, 20, "ana")]);
    store.close().await;
}

async fn a_pause_is_begun_once_and_ended_once_and_each_is_in_the_audit(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    assert_eq!(store.resume(&channel(), Out, by(), 5).await.unwrap(), None);
    assert_eq!(store.pause(&channel(), Out, by(), 10).await.unwrap(), Paused::Now);
    let other = Operator::new("eva", Means::Cli, Some("another reason"));
    let Paused::Already(lasting) = store.pause(&channel(), Out, other.clone(), 20).await.unwrap() else {
        panic!("it lasts already")
    };
    assert_eq!((lasting.who.as_str(), lasting.why.as_str(), lasting.since_ms), ("ana", "asked for", 10));
    assert_eq!(store.resume(&channel(), In, by(), 25).await.unwrap(), None, "another part");
    assert!(store.resume(&channel(), Out, other.clone(), 30).await.unwrap().is_some());
    assert_eq!(store.resume(&channel(), Out, other.clone(), 31).await.unwrap(), None);
    assert!(store.operator_pauses().await.unwrap().is_empty());
    assert_eq!(store.pause(&channel(), Out, other, 40).await.unwrap(), Paused::Now, "again");
    assert_eq!(folder.ask("SELECT COUNT(*) FROM audit").await, [Some("3".to_owned())]);
    let row = folder.ask("SELECT who, means, what, target, detail, at_ms FROM audit ORDER BY id DESC LIMIT 1").await;
    let row: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(row, ["eva", "cli", "pause out", "support", r#"{"why":"another reason"}"#, "40"]);
    store.close().await;
}

async fn retention_drops_pauses_that_ended_long_ago_and_none_that_lasts(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    store.pause(&channel(), Out, by(), 10).await.unwrap();
    store.resume(&channel(), Out, by(), 20).await.unwrap();
    store.pause(&channel(), Out, by(), 30).await.unwrap();
    store.purge(20, 20, 100).await.unwrap();
    assert_eq!(folder.ask("SELECT COUNT(*) FROM operator_pauses").await, [Some("2".to_owned())]);
    store.purge(21, 21, 100).await.unwrap();
    assert_eq!(
        folder.ask("SELECT COUNT(*), MIN(since_ms) FROM operator_pauses").await,
        ["1", "30"].map(|n| Some(n.to_owned()))
    );
    store.close().await;
}
