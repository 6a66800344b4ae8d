//! The settings by which a message was put into words stay with it once it may have sent something.

use super::*;
use crate::domain::content::Location;
use crate::domain::{Wording, Wordings};

on_each_engine! {
    a_message_keeps_the_settings_of_its_first_part_once_it_may_have_sent_something
    a_message_of_an_older_version_gets_the_settings_of_now
}

fn settings(name: &str) -> Wordings {
    let wording = |of: &str| Wording::new(format!("{name} {of}"));
    Wordings { of_locations: wording("locations"), of_others: wording("others") }
}

async fn begin(store: &Arc<dyn Store>, epoch: Epoch, now_ms: i64, name: &str) -> (Attempt, String) {
    let begun = store.begin(&channel(), epoch, now_ms, i64::MAX, 1, &settings(name)).await.unwrap().attempts.remove(0);
    let wording = begun.wording.clone().unwrap();
    (begun, wording.as_str().to_owned())
}

async fn a_message_keeps_the_settings_of_its_first_part_once_it_may_have_sent_something(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = message(1, "words", 10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    let again = |due_ms| Settlement::Queued { due_ms, fault: Fault::Busy };
    let (attempt, wording) = begin(&store, epoch, 20, "a").await;
    assert_eq!(wording, "a others");
    // Surely nothing was sent: those of the next attempt.
    store.settle(&attempt, again(Some(21)), 21).await.unwrap();
    let (attempt, wording) = begin(&store, epoch, 22, "b").await;
    assert_eq!(wording, "b others");
    // From now on it may have been.
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 23 }, 23).await.unwrap();
    let doubt = store.due_lookups(&channel(), 24, 9).await.unwrap().remove(0);
    assert_eq!(doubt.attempt.wording.as_ref().unwrap().as_str(), "b others");
    store.resolve(&doubt, epoch, again(None), 24).await.unwrap();
    let (attempt, wording) = begin(&store, epoch, 25, "c").await;
    assert_eq!(wording, "b others");
    let own = store.own_sends(&channel(), &contact(1), 9).await.unwrap().remove(0);
    assert_eq!(own.wording.unwrap().as_str(), "b others");
    // … though a person tries again what was refused in the end.
    store.settle(&attempt, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 26).await.unwrap();
    store.retry(m_id.to_string().into(), by(), 27).await.unwrap();
    let (attempt, wording) = begin(&store, epoch, 28, "d").await;
    assert_eq!((wording.as_str(), attempt.maybe_sent), ("b others", true));
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 29).await.unwrap();
    let (attempt, wording) = begin(&store, epoch, 30, "e").await;
    assert_eq!((wording.as_str(), attempt.part), ("b others", 1));
    store.settle(&attempt, again(Some(31)), 31).await.unwrap();
    let (attempt, wording) = begin(&store, epoch, 32, "f").await;
    assert_eq!((wording.as_str(), attempt.part), ("b others", 1));
    send(&store, &attempt).await;
    // The next message has those of its own moment.
    let place = Content::Location(Location::new(1.0, 2.0, None).unwrap());
    store.accept(NewOutbound { content: place, ..message(1, "place", 40) }).await.unwrap();
    assert_eq!(begin(&store, epoch, 41, "g").await.1, "g locations");
}

async fn a_message_of_an_older_version_gets_the_settings_of_now(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "words", 10)).await.unwrap();
    let (attempt, _) = begin(&store, epoch, 20, "a").await;
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 21).await.unwrap();
    folder.ask("UPDATE outbound SET wording = NULL RETURNING m_id").await;
    let own = store.own_sends(&channel(), &contact(1), 9).await.unwrap().remove(0);
    assert_eq!(own.wording, None);
    let (attempt, wording) = begin(&store, epoch, 22, "b").await;
    assert_eq!((wording.as_str(), attempt.part), ("b others", 1));
}
