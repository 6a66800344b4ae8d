//! What is kept of words whose placeholders were filled in.

use super::*;
use crate::domain::matching::sent_form;

on_each_engine! {
    what_is_kept_of_sent_words_is_that_of_attempts_that_may_have_been_sent
    what_was_sent_is_kept_through_a_retry_by_a_person_and_through_an_interruption
    what_was_sent_is_kept_of_every_part_of_a_long_message_however_often_one_is_tried
}

/// More than an older version kept.
const PARTS: u32 = 70;

async fn kept(store: &Arc<dyn Store>) -> Vec<(u32, Vec<String>)> {
    let calls = store.own_sends(&channel(), &contact(1), 9).await.unwrap();
    calls.iter().map(|call| (call.part, call.sent_forms.iter().map(ToString::to_string).collect())).collect()
}

async fn what_is_kept_of_sent_words_is_that_of_attempts_that_may_have_been_sent(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "{{anna.pending}}", 10)).await.unwrap();
    let form = |part: u32, words: &str| sent_form(part, [1; 16], words);
    let first = take(&store, epoch, 20).await.remove(0);
    store.prepare_call(&first, Some(form(0, "a")), 100).await.unwrap();
    assert_eq!(kept(&store).await, [(0, vec![form(0, "a").to_string()])]);
    // Surely not sent: the next attempt's takes its place.
    let again = Settlement::Queued { due_ms: Some(21), fault: Fault::Busy };
    store.settle(&first, again, 21).await.unwrap();
    let second = take(&store, epoch, 22).await.remove(0);
    assert!(matches!(store.prepare_call(&first, Some(form(0, "late")), 100).await, Err(StoreError::Stale)));
    store.prepare_call(&second, Some(form(0, "b")), 100).await.unwrap();
    assert_eq!(kept(&store).await, [(0, vec![form(0, "b").to_string()])]);
    // Perhaps sent, and sent again: both are kept.
    store.settle(&second, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 23 }, 23).await.unwrap();
    let in_doubt = store.due_lookups(&channel(), 24, 9).await.unwrap().remove(0);
    let resend = Settlement::Queued { due_ms: None, fault: Fault::TimedOut };
    store.resolve(&in_doubt, epoch, resend, 24).await.unwrap();
    let third = take(&store, epoch, 25).await.remove(0);
    store.prepare_call(&third, Some(form(0, "c")), 100).await.unwrap();
    let both = vec![form(0, "b").to_string(), form(0, "c").to_string()];
    assert_eq!(kept(&store).await, [(0, both.clone())]);
    // A later part keeps its own beside those of the one before.
    store.settle(&third, Settlement::Sent { afilnet_id: None, more: true }, 26).await.unwrap();
    let fourth = take(&store, epoch, 27).await.remove(0);
    store.prepare_call(&fourth, Some(form(1, "d")), 100).await.unwrap();
    assert_eq!(kept(&store).await, [(0, both), (1, vec![form(1, "d").to_string()])]);
    store.settle(&fourth, Settlement::Sent { afilnet_id: None, more: false }, 28).await.unwrap();
    // They go with the text.
    store.purge(29, 0, 9).await.unwrap();
    assert_eq!(kept(&store).await, []);
    let left = folder.ask("SELECT m_id FROM outbound WHERE sent_forms IS NOT NULL").await;
    assert_eq!(left.len(), 0);
    store.close().await;
}

async fn what_was_sent_is_kept_through_a_retry_by_a_person_and_through_an_interruption(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = message(1, "{{anna.pending}}", 10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    let form = |words: &str| sent_form(0, [1; 16], words);
    let stored = |all: &[&str]| vec![(0, all.iter().map(|words| form(words).to_string()).collect::<Vec<_>>())];
    let refused = || Settlement::Failed { fault: Fault::FileUrl, notice: None };
    // The process ends while it sends.
    let attempt = take(&store, epoch, 20).await.remove(0);
    store.prepare_call(&attempt, Some(form("a")), 100).await.unwrap();
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(store.interrupted(&channel(), epoch, 30, 30).await.unwrap().len(), 1);
    let doubt = store.due_lookups(&channel(), 31, 9).await.unwrap().remove(0);
    store.resolve(&doubt, epoch, Settlement::Queued { due_ms: None, fault: Fault::Interrupted }, 31).await.unwrap();
    // Certainly not sent, and given up.
    let attempt = take(&store, epoch, 32).await.remove(0);
    store.prepare_call(&attempt, Some(form("b")), 100).await.unwrap();
    store.settle(&attempt, refused(), 33).await.unwrap();
    assert_eq!(kept(&store).await, stored(&["a", "b"]));
    // What may have been sent shows while the message waits again.
    store.retry(m_id.to_string().into(), by(), 40).await.unwrap();
    assert_eq!(kept(&store).await, stored(&["a", "b"]));
    let attempt = take(&store, epoch, 41).await.remove(0);
    store.prepare_call(&attempt, Some(form("c")), 100).await.unwrap();
    assert_eq!(kept(&store).await, stored(&["a", "c"]), "the refused one shows nowhere");
    // … and a second time, without a doubt in between.
    store.settle(&attempt, refused(), 42).await.unwrap();
    store.retry(m_id.to_string().into(), by(), 43).await.unwrap();
    let attempt = take(&store, epoch, 44).await.remove(0);
    store.prepare_call(&attempt, Some(form("d")), 100).await.unwrap();
    assert_eq!(kept(&store).await, stored(&["a", "d"]));
    // A row that was read before this attempt may show the one in doubt.
    let sends = store.own_sends(&channel(), &contact(1), 9).await.unwrap();
    assert!(sends[0].earliest_ms < 20, "{}", sends[0].earliest_ms);
    // Interrupted once more.
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(store.interrupted(&channel(), epoch, 50, 50).await.unwrap().len(), 1);
    let doubt = store.due_lookups(&channel(), 51, 9).await.unwrap().remove(0);
    store.resolve(&doubt, epoch, Settlement::Queued { due_ms: None, fault: Fault::Interrupted }, 51).await.unwrap();
    let attempt = take(&store, epoch, 52).await.remove(0);
    store.prepare_call(&attempt, Some(form("e")), 100).await.unwrap();
    assert_eq!(kept(&store).await, stored(&["a", "d", "e"]));
    // Whoever discards it says no more than is known.
    store.settle(&attempt, refused(), 53).await.unwrap();
    store.retry(m_id.to_string().into(), by(), 54).await.unwrap();
    let notices = DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps sent".into() };
    store.discard(m_id.to_string().into(), notices, by(), 55).await.unwrap();
    let told = store.due_events(&channel(), i64::MAX, 9).await.unwrap().remove(0);
    assert!(matches!(&told.event.body, EventBody::MessageStatus { message, .. } if message == "perhaps sent"));
    store.close().await;
}

async fn what_was_sent_is_kept_of_every_part_of_a_long_message_however_often_one_is_tried(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "{{anna.pending}}", 10)).await.unwrap();
    let form = |part: u32, words: &str| sent_form(part, [1; 16], words);
    for part in 0..PARTS {
        let attempt = take(&store, epoch, 20).await.remove(0);
        store.prepare_call(&attempt, Some(form(part, "sent")), 100).await.unwrap();
        store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 20).await.unwrap();
    }
    // The last one may have been sent once, and is refused for now ever since.
    let attempt = take(&store, epoch, 30).await.remove(0);
    store.prepare_call(&attempt, Some(form(PARTS, "in doubt")), 100).await.unwrap();
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 31 }, 31).await.unwrap();
    let doubt = store.due_lookups(&channel(), 31, 9).await.unwrap().remove(0);
    store.resolve(&doubt, epoch, Settlement::Queued { due_ms: None, fault: Fault::TimedOut }, 31).await.unwrap();
    for n in 0..100 {
        let attempt = take(&store, epoch, 40 + n).await.remove(0);
        store.prepare_call(&attempt, Some(form(PARTS, &format!("try {n}"))), 100).await.unwrap();
        let again = Settlement::Queued { due_ms: Some(40 + n), fault: Fault::Busy };
        store.settle(&attempt, again, 40 + n).await.unwrap();
    }
    // In doubt once more.
    let attempt = take(&store, epoch, 200).await.remove(0);
    store.prepare_call(&attempt, Some(form(PARTS, "in doubt again")), 100).await.unwrap();
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 201 }, 201).await.unwrap();
    let doubt = store.due_lookups(&channel(), 201, 9).await.unwrap().remove(0);
    store.resolve(&doubt, epoch, Settlement::Queued { due_ms: None, fault: Fault::TimedOut }, 201).await.unwrap();
    let attempt = take(&store, epoch, 202).await.remove(0);
    store.prepare_call(&attempt, Some(form(PARTS, "last")), 100).await.unwrap();
    let calls = store.own_sends(&channel(), &contact(1), 200).await.unwrap();
    assert_eq!(calls.len(), PARTS as usize + 1);
    for call in &calls[..PARTS as usize] {
        let forms: Vec<String> = call.sent_forms.iter().map(ToString::to_string).collect();
        assert_eq!(forms, [form(call.part, "sent").to_string()]);
    }
    let last: Vec<String> = calls[PARTS as usize].sent_forms.iter().map(ToString::to_string).collect();
    assert_eq!(last, ["in doubt", "in doubt again", "last"].map(|words| form(PARTS, words).to_string()));
    store.close().await;
}
