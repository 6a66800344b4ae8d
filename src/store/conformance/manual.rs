//! What an operator does with messages and events that were given up.

use super::*;

on_each_engine! {
    a_failed_message_goes_back_to_its_place_with_its_tries_and_age_counted_anew
    one_that_goes_back_does_not_overtake_what_is_under_way
    a_dead_event_goes_back_before_what_came_later
    what_was_given_up_since_a_time_goes_back_to_its_places
    what_is_discarded_loses_its_text_at_once_and_is_told_where_it_still_waited
    the_agent_of_a_message_in_doubt_is_not_told_again_by_a_discard
    after_a_retry_another_failure_is_told_and_a_discard_only_if_it_may_have_gone_out
    what_no_person_can_decide_is_left_as_it_is
    depths_tell_what_waits_since_when_and_what_a_person_must_settle
    what_a_person_holds_and_what_waits_behind_it_is_not_what_waits_longest
}

fn notices() -> DiscardNotices {
    DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps sent".into() }
}

async fn state(store: &Arc<dyn Store>, m_id: &MId) -> (String, Option<String>) {
    let there = store.show(m_id.to_string()).await.unwrap().unwrap();
    (there.state, there.fault)
}

async fn fail(store: &Arc<dyn Store>, epoch: Epoch) {
    let attempt = take(store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 100).await.unwrap();
}

async fn a_failed_message_goes_back_to_its_place_with_its_tries_and_age_counted_anew(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = message(1, "first", 10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    for n in 2..5 {
        store.accept(message(1, &format!("{n}"), 10 + i64::from(n))).await.unwrap();
    }
    let attempt = take(&store, epoch, 20).await.remove(0);
    store.settle(&attempt, Settlement::Queued { due_ms: Some(90), fault: Fault::Busy }, 20).await.unwrap();
    fail(&store, epoch).await;
    assert_eq!(store.retry(m_id.to_string().into(), by(), 5000).await.unwrap(), ManualOutcome::Message);
    let again = take(&store, epoch, 50).await.remove(0);
    assert_eq!((words(&again).as_str(), again.number, again.before), ("first", 1, FailureStreak::default()));
    assert_eq!(again.since_ms, 5000);
    assert_eq!(store.retry(m_id.to_string().into(), by(), 5000).await.unwrap(), ManualOutcome::Not("sending".into()));
}

async fn one_that_goes_back_does_not_overtake_what_is_under_way(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = message(1, "first", 10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    let (second, third) = (message(1, "second", 11), message(1, "third", 12));
    let third_id = third.m_id.clone();
    store.accept(second).await.unwrap();
    store.accept(third).await.unwrap();
    fail(&store, epoch).await;
    let under_way = take(&store, epoch, 100).await.remove(0);
    store.retry(m_id.to_string().into(), by(), 5000).await.unwrap();
    store.discard(third_id.to_string().into(), notices(), by(), 5000).await.unwrap();
    assert!(take(&store, epoch, 9000).await.is_empty(), "one of a conversation at a time");
    send(&store, &under_way).await;
    assert_eq!(words(&take(&store, epoch, 9000).await[0]), "first");
}

async fn a_dead_event_goes_back_before_what_came_later(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "a"), ("r2", "b")])).await.unwrap();
    let due = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
    store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
    let dead = Filter { state: Some("dead".into()), limit: 9, ..Filter::default() };
    let listed = store.list(dead.clone()).await.unwrap();
    assert_eq!((listed.len(), listed[0].kind.as_str(), listed[0].fault.as_deref()), (1, "message", Some("http_400")));
    let m_id = listed[0].m_id.clone();
    assert_eq!(store.show(m_id.clone()).await.unwrap().unwrap().state, "dead");
    assert_eq!(store.retry(m_id.into(), by(), 5000).await.unwrap(), ManualOutcome::Events(1));
    let again = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
    assert_eq!((again.event, again.attempts, again.recorded_ms), (customer_says("a"), 0, 5000));
    assert!(store.list(dead).await.unwrap().is_empty());
}

async fn what_was_given_up_since_a_time_goes_back_to_its_places(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.take_ownership(&channel()).await.unwrap();
    for who in 1..=3 {
        store.record(reading(who, &[("r1", "a"), ("r2", "b")])).await.unwrap();
        let due = store.due_events(&channel(), 2000, 9).await.unwrap();
        let mine = due.into_iter().find(|due| due.contact == contact(who)).unwrap();
        let behind = store.event_behind(&mine, 2000).await.unwrap().unwrap();
        assert_eq!((&behind.event, &behind.contact), (&customer_says("b"), &mine.contact));
        assert!(store.event_behind(&mine, 0).await.unwrap().is_none(), "not due yet");
        assert!(store.event_behind(&behind, 2000).await.unwrap().is_none(), "none after it");
        let given_up_ms = 1000 * i64::from(who);
        store.published(&mine, Publication::Dead { fault: Fault::Http(400) }, given_up_ms).await.unwrap();
    }
    let count = |events| [GivenUp { channel: channel().to_string(), fault: "http_400".into(), events }];
    assert_eq!(store.given_up(None, 0).await.unwrap(), count(3));
    assert_eq!(store.given_up(Some(channel().to_string()), 2000).await.unwrap(), count(2));
    assert_eq!(store.given_up(Some("another".into()), 0).await.unwrap(), []);
    assert_eq!(store.retry_given_up(Some("another".into()), 0, 9, by(), 5000).await.unwrap(), 0);
    assert_eq!(
        store.retry_given_up(Some(channel().to_string()), 2000, 1, by(), 5000).await.unwrap(),
        1,
        "so many at once"
    );
    assert_eq!(store.retry_given_up(None, 2000, 9, by(), 5000).await.unwrap(), 1);
    let heads = store.due_events(&channel(), 5000, 9).await.unwrap();
    let first: Vec<bool> = (1..=3)
        .map(|who| heads.iter().any(|due| due.contact == contact(who) && due.event == customer_says("a")))
        .collect();
    assert_eq!(first, [false, true, true], "in their old places, and not the older one");
    assert_eq!(store.channel_names().await.unwrap(), [channel().to_string()]);
}

async fn what_is_discarded_loses_its_text_at_once_and_is_told_where_it_still_waited(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let (failed, queued) = (message(1, "failed one", 10), message(2, "queued one", 11));
    let ids = [failed.m_id.clone(), queued.m_id.clone()];
    store.accept(failed).await.unwrap();
    fail(&store, epoch).await;
    store.accept(queued).await.unwrap();
    store.accept(message(2, "behind it", 12)).await.unwrap();
    store.record(reading(3, &[("r1", "dead one")])).await.unwrap();
    let due = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
    store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
    let event_id = due.event.m_id.to_string();
    for m_id in &ids {
        assert_eq!(
            store.discard(m_id.to_string().into(), notices(), by(), 5000).await.unwrap(),
            ManualOutcome::Message
        );
        assert_eq!(state(&store, m_id).await, ("failed".into(), Some("discarded".into())));
    }
    assert_eq!(store.discard(event_id.clone().into(), notices(), by(), 5000).await.unwrap(), ManualOutcome::Events(1));
    let dead = Filter { state: Some("dead".into()), limit: 9, ..Filter::default() };
    assert!(store.list(dead).await.unwrap().is_empty(), "a person has dealt with it");
    assert_eq!(store.given_up(None, 0).await.unwrap(), [], "and it cannot be posted again");
    assert_eq!(store.retry(event_id.into(), by(), 5000).await.unwrap(), ManualOutcome::Wiped);
    assert_eq!(store.retry(ids[0].to_string().into(), by(), 5000).await.unwrap(), ManualOutcome::Wiped);
    let told = store.due_events(&channel(), 9000, 9).await.unwrap();
    assert_eq!(told.iter().map(|due| &due.event.m_id).collect::<Vec<_>>(), [&ids[1]], "whose agent did not know");
    assert!(matches!(&told[0].event.body, EventBody::MessageStatus { message, .. } if message == "not sent"));
    assert_eq!(take(&store, epoch, 100).await.iter().map(words).collect::<Vec<_>>(), ["behind it"]);
    for (table, text) in [("outbound", "content"), ("events", "event")] {
        let count = format!("SELECT COUNT(*) FROM {table} WHERE {text} LIKE '%one%'");
        assert_eq!(fresh.folder.ask(&count).await, [Some("0".to_owned())], "{table}");
    }
}

async fn the_agent_of_a_message_in_doubt_is_not_told_again_by_a_discard(engine: Engine) {
    for held in [false, true] {
        let FreshStore { store, folder } = engine.fresh().await;
        let epoch = store.take_ownership(&channel()).await.unwrap();
        store.accept(message(1, "in doubt", 10)).await.unwrap();
        let attempt = take(&store, epoch, 100).await.remove(0);
        let settlement = Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "in doubt".into(), held };
        store.settle(&attempt, settlement, 100).await.unwrap();
        let m_id = attempt.m_id.to_string();
        assert_eq!(store.discard(m_id.into(), notices(), by(), 200).await.unwrap(), ManualOutcome::Message);
        assert_eq!(state(&store, &attempt.m_id).await, ("failed".into(), Some("discarded".into())), "held: {held}");
        let told = folder.ask("SELECT COUNT(*) FROM events").await;
        assert_eq!(told, [Some("1".to_owned())], "held: {held}");
    }
}

async fn after_a_retry_another_failure_is_told_and_a_discard_only_if_it_may_have_gone_out(engine: Engine) {
    for (is_tried, is_in_doubt, expected) in [
        (false, false, &["failed"][..]),
        (true, false, &["failed", "failed"]),
        (true, true, &["failed", "perhaps sent"]),
    ] {
        let FreshStore { store, folder: _folder } = engine.fresh().await;
        let epoch = store.take_ownership(&channel()).await.unwrap();
        store.accept(message(1, "one", 10)).await.unwrap();
        let failed = || Settlement::Failed { fault: Fault::Busy, notice: Some("failed".into()) };
        let attempt = take(&store, epoch, 100).await.remove(0);
        store.settle(&attempt, failed(), 100).await.unwrap();
        let m_id = attempt.m_id.to_string();
        store.retry(m_id.clone().into(), by(), 200).await.unwrap();
        if is_in_doubt {
            let attempt = take(&store, epoch, 300).await.remove(0);
            let doubt = Settlement::Unknown { fault: Fault::TimedOut, look_ms: 400 };
            store.settle(&attempt, doubt, 300).await.unwrap();
            let in_doubt = store.due_lookups(&channel(), 400, 9).await.unwrap().remove(0);
            let absent = Settlement::Queued { due_ms: Some(500), fault: Fault::TimedOut };
            store.resolve(&in_doubt, epoch, absent, 400).await.unwrap();
        } else if is_tried {
            let attempt = take(&store, epoch, 300).await.remove(0);
            store.settle(&attempt, failed(), 300).await.unwrap();
        }
        assert_eq!(store.discard(m_id.into(), notices(), by(), 500).await.unwrap(), ManualOutcome::Message);
        let mut told = Vec::new();
        while let Some(due) = store.due_events(&channel(), 9000, 9).await.unwrap().pop() {
            store.published(&due, Publication::Done, 9000).await.unwrap();
            let EventBody::MessageStatus { message, .. } = due.event.body else { panic!("{due:?}") };
            told.push(message);
        }
        assert_eq!(told, expected, "tried again: {is_tried}, in doubt: {is_in_doubt}");
    }
}

async fn what_no_person_can_decide_is_left_as_it_is(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let one = message(1, "one", 10);
    let m_id = one.m_id.to_string();
    store.accept(one).await.unwrap();
    assert_eq!(store.retry(m_id.clone().into(), by(), 50).await.unwrap(), ManualOutcome::Not("queued".into()));
    let attempt = take(&store, epoch, 100).await.remove(0);
    assert_eq!(
        store.discard(m_id.clone().into(), notices(), by(), 50).await.unwrap(),
        ManualOutcome::Not("sending".into())
    );
    send(&store, &attempt).await;
    for outcome in
        [store.retry(m_id.clone().into(), by(), 50).await, store.discard(m_id.into(), notices(), by(), 50).await]
    {
        assert_eq!(outcome.unwrap(), ManualOutcome::Not("sent".into()));
    }
    assert_eq!(store.retry("nobody".to_owned().into(), by(), 50).await.unwrap(), ManualOutcome::Missing);
    assert_eq!(store.discard("nobody".to_owned().into(), notices(), by(), 50).await.unwrap(), ManualOutcome::Missing);
}

async fn depths_tell_what_waits_since_when_and_what_a_person_must_settle(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    assert_eq!(store.depths().await.unwrap(), []);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in 1..=4 {
        store.accept(message(n, "waits", 10 * i64::from(n))).await.unwrap();
    }
    let begun = store.begin(&channel(), epoch, 100, i64::MAX, 2, &Wordings::default()).await.unwrap().attempts;
    send(&store, &begun[0]).await;
    store
        .settle(&begun[1], Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "n".into(), held: false }, 100)
        .await
        .unwrap();
    store.record(reading(7, &[("r1", "a"), ("r2", "b")])).await.unwrap();
    let mut depth = QueueDepth {
        channel: "support".into(),
        outbound: 2,
        oldest_ms: Some(30),
        events: 3,
        unconfirmed: 1,
        dead_events: 0,
    };
    assert_eq!(store.depths().await.unwrap(), [depth.clone()]);
    let due = store.due_events(&channel(), 2000, 9).await.unwrap();
    let due = due.into_iter().find(|due| due.event == customer_says("a")).unwrap();
    store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
    (depth.events, depth.dead_events) = (2, 1);
    assert_eq!(store.depths().await.unwrap(), [depth.clone()]);
    let due = due.event.m_id.to_string();
    assert_eq!(store.discard(due.into(), notices(), by(), 5000).await.unwrap(), ManualOutcome::Events(1));
    depth.dead_events = 0;
    assert_eq!(store.depths().await.unwrap(), [depth], "nobody needs to act on what is discarded");
}

async fn what_a_person_holds_and_what_waits_behind_it_is_not_what_waits_longest(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a", 10)).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    let held = Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "n".into(), held: true };
    store.settle(&attempt, held, 100).await.unwrap();
    store.accept(message(1, "b", 20)).await.unwrap();
    let depth = store.depths().await.unwrap().remove(0);
    assert_eq!((depth.outbound, depth.oldest_ms, depth.unconfirmed), (2, None, 1));
    store.accept(message(2, "c", 30)).await.unwrap();
    assert_eq!(store.depths().await.unwrap()[0].oldest_ms, Some(30));
}
