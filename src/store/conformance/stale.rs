//! Messages that waited for longer than they are worth sending.

use super::*;
use crate::domain::operator_pause::PauseKind;

on_each_engine! {
    what_waited_for_too_long_fails_before_it_goes_out_and_its_agent_is_told
    what_may_have_been_sent_and_what_a_person_has_had_sent_again_is_never_stale
    what_is_stale_when_its_turn_comes_fails_in_its_place_and_leaves_room_for_others
    what_was_tried_again_and_is_due_by_now_is_stale_though_it_came_due_lately
    a_stale_message_that_cannot_be_read_is_set_aside_and_the_others_of_its_channel_go_on
}

fn rule(before_ms: i64) -> StaleRule {
    StaleRule { before_ms, notice: "too late".into() }
}

fn query(epoch: Epoch, before_ms: i64) -> StaleQuery {
    StaleQuery { channel: channel(), epoch, rule: rule(before_ms) }
}

async fn what_waited_for_too_long_fails_before_it_goes_out_and_its_agent_is_told(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut late = Vec::new();
    for (who, words, accepted_ms) in
        [(1, "a", 10), (1, "b", 11), (2, "c", 12), (1, "in time", 500), (3, "in time", 900)]
    {
        let new = message(who, words, accepted_ms);
        late.extend((accepted_ms < 500).then(|| new.m_id.clone()));
        store.accept(new).await.unwrap();
    }
    let newer = store.take_ownership(&channel()).await.unwrap();
    let refused = store.fail_stale(query(epoch, 500), 10, 1000).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "under another owner");
    let epoch = newer;
    let mut failed = Vec::new();
    loop {
        let some = store.fail_stale(query(epoch, 500), 1, 1000).await.unwrap();
        assert!(some.len() <= 1, "so many at once");
        let Some(one) = some.into_iter().next() else { break };
        failed.push(one.m_id);
    }
    failed.sort_by_key(|m_id| late.iter().position(|other| other == m_id));
    assert_eq!(failed, late);
    for m_id in &late {
        let there = store.show(m_id.to_string()).await.unwrap().unwrap();
        assert_eq!(
            (there.state.as_str(), there.fault.as_deref(), there.done_ms),
            ("failed", Some("stale"), Some(1000))
        );
    }
    let told = store.due_events(&channel(), 10_000, 10).await.unwrap();
    let first = told.iter().find(|due| due.contact == contact(1)).unwrap();
    assert_eq!((told.len(), &first.event.m_id), (2, &late[0]), "the first of each conversation");
    assert!(matches!(&first.event.body, EventBody::MessageStatus { message, .. } if message == "too late"));
    assert_eq!(take(&store, epoch, 1000).await.iter().map(words).collect::<Vec<_>>(), ["in time", "in time"]);
}

async fn what_may_have_been_sent_and_what_a_person_has_had_sent_again_is_never_stale(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let fault = Fault::TimedOut;
    for who in 1..=5 {
        store.accept(message(who, &format!("{who}"), i64::from(who))).await.unwrap();
    }
    let attempts = take(&store, epoch, 100).await;
    let of = |who: u32| attempts.iter().find(|attempt| attempt.contact == contact(who)).unwrap();
    // 1: looked up, and certainly not sent. 2: a part of it was sent. 3: failed, and tried again by a person. 4: unconfirmed, and sent
    // again by a person. 5: certainly not sent.
    for who in [1, 4] {
        let unknown = Settlement::Unknown { fault: fault.clone(), look_ms: 150 };
        store.settle(of(who), unknown, 120).await.unwrap();
    }
    for doubt in store.due_lookups(&channel(), 150, 10).await.unwrap() {
        let again = Settlement::Queued { due_ms: None, fault: fault.clone() };
        let unconfirmed = Settlement::Unconfirmed { fault: fault.clone(), notice: "n".into(), held: false };
        let settlement = if doubt.attempt.contact == contact(1) { again } else { unconfirmed };
        store.resolve(&doubt, epoch, settlement, 200).await.unwrap();
    }
    store.settle(of(2), Settlement::Sent { afilnet_id: None, more: true }, 120).await.unwrap();
    store.settle(of(3), Settlement::Failed { fault: fault.clone(), notice: None }, 120).await.unwrap();
    store.settle(of(5), Settlement::Queued { due_ms: None, fault }, 120).await.unwrap();
    store.retry(of(3).m_id.to_string().into(), by(), 300).await.unwrap();
    store.decide(of(4).m_id.to_string().into(), Decision::SendAgain, String::new(), by(), 300).await.unwrap();
    let failed = store.fail_stale(query(epoch, 10_000), 10, 20_000).await.unwrap();
    assert_eq!(failed.iter().map(|stale| &stale.m_id).collect::<Vec<_>>(), [&of(5).m_id]);
    let begun = begin(&store, epoch, 10, 10_000).await;
    assert!(begun.stale.is_empty(), "neither when their turn comes");
    let mut go_on: Vec<String> = begun.attempts.iter().map(words).collect();
    go_on.sort();
    assert_eq!(go_on, ["1", "2", "3", "4"]);
}

async fn begin(store: &Arc<dyn Store>, epoch: Epoch, limit: u32, before_ms: i64) -> Begun {
    let (now_ms, words) = (20_000, Wordings::default());
    store.begin_unless_stale(&channel(), epoch, now_ms, i64::MAX, limit, &words, Some(rule(before_ms))).await.unwrap()
}

async fn what_is_stale_when_its_turn_comes_fails_in_its_place_and_leaves_room_for_others(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for (who, words, accepted_ms) in
        [(1, "late", 10), (1, "late too", 11), (1, "in time", 500), (2, "late", 12), (3, "in time", 900)]
    {
        store.accept(message(who, words, accepted_ms)).await.unwrap();
    }
    // One that was tried, and is to be tried again later than it becomes stale: no query finds it.
    store.accept(message(4, "tried", 5)).await.unwrap();
    let tried = store.begin(&channel(), epoch, 6, i64::MAX, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    let again = Settlement::Queued { due_ms: Some(15_000), fault: Fault::Busy };
    store.settle(&tried, again, 7).await.unwrap();
    let begun = begin(&store, epoch, 2, 500).await;
    assert_eq!(begun.attempts.iter().map(words).collect::<Vec<_>>(), ["in time", "in time"], "both places are taken");
    assert_eq!(begun.stale.len(), 3);
    assert!(begun.stale.iter().all(|stale| stale.accepted_ms < 500));
    let begun = begin(&store, epoch, 2, 500).await;
    assert_eq!((begun.attempts.len(), begun.stale.len()), (0, 1));
    assert_eq!(begun.stale[0].m_id, tried.m_id);
    assert_eq!(store.due_events(&channel(), 90_000, 10).await.unwrap().len(), 3, "the first of each conversation");
}

async fn what_was_tried_again_and_is_due_by_now_is_stale_though_it_came_due_lately(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "tried", 5)).await.unwrap();
    let tried = take(&store, epoch, 10).await.remove(0);
    store.settle(&tried, Settlement::Queued { due_ms: Some(900), fault: Fault::Busy }, 11).await.unwrap();
    store.pause(&channel(), PauseKind::Out, by(), 12).await.unwrap();
    assert!(store.fail_stale(query(epoch, 500), 10, 899).await.unwrap().is_empty(), "its time has not come");
    let failed = store.fail_stale(query(epoch, 500), 10, 900).await.unwrap();
    assert_eq!(failed.iter().map(|stale| &stale.m_id).collect::<Vec<_>>(), [&tried.m_id]);
}

async fn a_stale_message_that_cannot_be_read_is_set_aside_and_the_others_of_its_channel_go_on(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for (who, words) in [(1, "a"), (2, "b"), (3, "c")] {
        store.accept(message(who, words, 10)).await.unwrap();
        store.accept(message(who, "in time", 600)).await.unwrap();
    }
    let unreadable = async |who: u32, m_id: &str| {
        let whose =
            format!("conversation = (SELECT id FROM conversations WHERE contact = '{}')", contact(who).as_str());
        let damage = format!("UPDATE outbound SET m_id = '{m_id}' WHERE {whose} AND accepted_ms = 10 RETURNING m_id");
        assert_eq!(folder.ask(&damage).await.len(), 1);
    };
    let state =
        async |m_id: &str| folder.ask(&format!("SELECT state, fault FROM outbound WHERE m_id = '{m_id}'")).await;
    let set_aside = ["failed", "unreadable_row"].map(|word| Some(word.to_owned()));
    unreadable(1, "").await;
    let failed = store.fail_stale(query(epoch, 500), 10, 1000).await.unwrap();
    assert_eq!(failed.len(), 2, "by the query");
    assert_eq!(state("").await, set_aside);

    for who in [4, 5] {
        store.accept(message(who, "late", 10)).await.unwrap();
        store.accept(message(who, "in time", 600)).await.unwrap();
    }
    folder.ask("UPDATE outbound SET m_id = 'x' WHERE m_id = '' RETURNING m_id").await;
    unreadable(4, "").await;
    let begun = begin(&store, epoch, 10, 500).await;
    assert_eq!(begun.stale.len(), 1, "by the turn");
    assert_eq!(state("").await, set_aside);
    let mut begun: Vec<String> = begun.attempts.iter().map(words).collect();
    begun.extend(take(&store, epoch, 20_000).await.iter().map(words));
    assert_eq!(begun, ["in time"; 5]);
}
