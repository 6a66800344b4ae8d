//! What happened since a moment.

use super::*;
use crate::domain::find::Side;
use crate::domain::journey::{AttemptOutcome, Step};

on_each_engine! {
    what_happened_since_is_found_each_in_its_place_and_nothing_before_it
    of_more_than_one_look_takes_the_newest_are_kept
}

async fn of_more_than_one_look_takes_the_newest_are_kept(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in 1..=4 {
        store.accept(message(n, "text", 10 * i64::from(n))).await.unwrap();
        let attempt = take(&store, epoch, 10 * i64::from(n) + 1).await.remove(0);
        let sent = Settlement::Sent { afilnet_id: None, more: false };
        store.settle(&attempt, sent, 10 * i64::from(n) + 2).await.unwrap();
    }
    let tailed = store.tail(TailFrom { outbound_id: 0, event_id: 0, since_ms: 0, most: 2 }).await.unwrap();
    assert!(tailed.cut);
    assert_eq!(tailed.happened, 8, "four stored, four ended");
    let all = store.tail(TailFrom { outbound_id: 0, event_id: 0, since_ms: 0, most: 5 }).await.unwrap();
    assert_eq!((all.cut, all.all.len(), all.happened), (false, 8, 0));
    assert_eq!(tailed.all.iter().map(|one| one.at_ms).collect::<Vec<_>>(), [30, 32, 40, 42]);
    store.close().await;
}

async fn what_happened_since_is_found_each_in_its_place_and_nothing_before_it(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "sent before", 10)).await.unwrap();
    let attempt = take(&store, epoch, 20).await.remove(0);
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: false }, 30).await.unwrap();
    let now = TailFrom { outbound_id: i64::MAX, event_id: i64::MAX, since_ms: 31, most: 100 };
    let start = store.tail(now).await.unwrap();
    assert_eq!((start.all.len(), start.cut), (0, false));
    let from =
        TailFrom { outbound_id: start.newest_outbound_id, event_id: start.newest_event_id, since_ms: 31, most: 100 };

    store.accept(message(2, "fails", 40)).await.unwrap();
    let mut attempt = take(&store, epoch, 50).await.remove(0);
    let fault = "NO_CREDITS".to_owned();
    let step =
        Step::Attempt { attempt: 1, part: 0, outcome: AttemptOutcome::NotSent, fault, took_ms: None, http: None };
    attempt.note = Some(step.clone().into());
    store.settle(&attempt, Settlement::Queued { due_ms: Some(55), fault: Fault::NoCredits }, 51).await.unwrap();
    let mut attempt = take(&store, epoch, 60).await.remove(0);
    attempt.note = Some(step.into()); // once more: counted on the step before
    store.settle(&attempt, Settlement::Failed { fault: Fault::NoCredits, notice: None }, 61).await.unwrap();
    store.record(reading(3, &[("r1", "hello")])).await.unwrap(); // at 1000
    let event = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
    store.published(&event, Publication::Done, 2001).await.unwrap();
    assert!(matches!(
        store.discard(attempt.m_id.to_string().into(), notices(), by(), 2002).await,
        Ok(ManualOutcome::Message)
    ));

    let tailed = store.tail(from).await.unwrap();
    let seen: Vec<_> = tailed.all.iter().map(|one| (one.at_ms, one.side, one.contact.as_str())).collect();
    let (two, three) = (contact(2), contact(3));
    let (two, three) = (two.as_str(), three.as_str());
    let stored = [(40, Side::Out, two), (61, Side::Out, two), (1000, Side::In, three), (2001, Side::In, three)];
    for at in stored {
        assert!(seen.contains(&at), "{at:?} in {seen:?}");
    }
    let is_again =
        |one: &&TailEntry| matches!(&one.what, TailStep::Step { step: Some(Step::Attempt { .. }), times: 2 });
    assert_eq!(tailed.all.iter().find(is_again).unwrap().m_id, attempt.m_id.as_str());
    let ended: Vec<&str> = tailed
        .all
        .iter()
        .filter_map(|one| match &one.what {
            TailStep::Ended { state, .. } => Some(state.as_str()),
            TailStep::Stored { .. } | TailStep::Step { .. } => None,
        })
        .collect();
    assert_eq!(ended.iter().filter(|state| **state == "done").count(), 1, "{ended:?}");
    assert_eq!(ended.iter().filter(|state| **state == "failed").count(), 1, "discarded, without its text: {ended:?}");
    assert!(tailed.all.is_sorted_by_key(|one| one.at_ms) && !tailed.cut);
    assert!(tailed.all.iter().all(|one| one.contact != contact(1).as_str()), "nothing of before");
    let later = TailFrom {
        outbound_id: tailed.newest_outbound_id,
        event_id: tailed.newest_event_id,
        since_ms: 9000,
        most: 100,
    };
    let rest = store.tail(later).await.unwrap().all;
    assert!(rest.iter().all(|one| matches!(one.what, TailStep::Step { .. })), "{rest:#?}");
    store.close().await;
}

fn notices() -> DiscardNotices {
    DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps".into() }
}
