//! Guarantees of both engines about pending questions.

use super::*;
use crate::domain::PendingQuestion;
use crate::domain::content::{Label, QuickReply};

on_each_engine! {
    a_question_is_open_from_its_first_attempt_on_in_its_conversation_alone
    an_open_question_survives_and_so_does_one_whose_outcome_is_unknown
    a_question_that_failed_is_not_open
    a_question_tried_again_is_open_while_it_may_have_been_seen
    a_later_question_takes_the_place_and_a_text_does_not
    a_question_with_placeholders_takes_the_place_directly_before_its_call
    an_answer_closes_its_question_for_good
    only_the_attempt_under_way_closes_a_question
    the_words_of_an_old_question_are_wiped_with_other_texts
}

fn label(words: &str) -> Label {
    Label::new(words).unwrap()
}

fn question(n: u32, replies: &[&str]) -> NewOutbound {
    let replies = replies.iter().map(|reply| label(reply)).collect();
    let content = Content::QuickReply(QuickReply::new(label("Which?"), replies).unwrap());
    NewOutbound { content, ..message(n, "which", 10) }
}

/// Accepts a question and begins its first attempt at `now_ms`.
async fn ask(store: &Arc<dyn Store>, epoch: Epoch, n: u32, replies: &[&str], now_ms: i64) -> Attempt {
    store.accept(question(n, replies)).await.unwrap();
    take(store, epoch, now_ms).await.remove(0)
}

async fn open(store: &Arc<dyn Store>, n: u32) -> Option<PendingQuestion> {
    store.pending_question(&channel(), &contact(n)).await.unwrap()
}

async fn open_id(store: &Arc<dyn Store>, n: u32) -> Option<MId> {
    open(store, n).await.map(|pending_question| pending_question.m_id)
}

async fn settle(store: &Arc<dyn Store>, attempt: &Attempt, settlement: Settlement) {
    store.settle(attempt, settlement, 5000).await.unwrap();
}

fn part_sent() -> Settlement {
    Settlement::Sent { afilnet_id: None, more: true }
}

fn requeued() -> Settlement {
    Settlement::Queued { due_ms: Some(5000), fault: Fault::Busy }
}

fn failed() -> Settlement {
    Settlement::Failed { fault: Fault::Busy, notice: None }
}

fn unknown() -> Settlement {
    Settlement::Unconfirmed { fault: Fault::Busy, notice: "n".into(), held: false }
}

fn answer(n: u32, identity: &str, m_id: &MId) -> ConversationRead {
    ConversationRead { answered: Some(m_id.clone()), ..reading(n, &[(identity, "Tuesday")]) }
}

async fn a_question_is_open_from_its_first_attempt_on_in_its_conversation_alone(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(open(&store, 1).await, None);
    store.accept(question(1, &["Monday", "Tuesday"])).await.unwrap();
    store.accept(message(2, "a text", 10)).await.unwrap();
    assert_eq!(open(&store, 1).await, None);
    let begun = take(&store, epoch, 100).await;
    let asked = begun.iter().find(|attempt| attempt.contact == contact(1)).unwrap();
    let expected =
        PendingQuestion { m_id: asked.m_id.clone(), replies: vec![label("Monday"), label("Tuesday")], asked_ms: 100 };
    assert_eq!(open(&store, 1).await, Some(expected.clone()));
    assert_eq!(open(&store, 2).await, None);
    assert_eq!(store.pending_question(&"other".parse().unwrap(), &contact(1)).await.unwrap(), None);
    send(&store, asked).await;
    assert_eq!(open(&store, 1).await, Some(expected));
}

async fn an_open_question_survives_and_so_does_one_whose_outcome_is_unknown(engine: Engine) {
    let fresh = engine.fresh().await;
    let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
    let sent = ask(&fresh.store, epoch, 1, &["a"], 100).await;
    send(&fresh.store, &sent).await;
    let timed_out = ask(&fresh.store, epoch, 2, &["b"], 100).await;
    settle(&fresh.store, &timed_out, unknown()).await;
    let under_way = ask(&fresh.store, epoch, 3, &["c"], 100).await;
    let FreshStore { store, folder: _folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(store.interrupted(&channel(), epoch, 300, 200).await.unwrap().len(), 1);
    for (n, asked) in [(1, sent), (2, timed_out), (3, under_way)] {
        assert_eq!(open_id(&store, n).await, Some(asked.m_id), "{n}");
    }
}

async fn a_question_that_failed_is_not_open(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let asked = ask(&store, epoch, 1, &["a"], 100).await;
    settle(&store, &asked, failed()).await;
    assert_eq!(open(&store, 1).await, None);
    let first = ask(&store, epoch, 1, &["a"], 100).await;
    settle(&store, &first, part_sent()).await;
    let second = take(&store, epoch, 5000).await.remove(0);
    settle(&store, &second, failed()).await;
    assert_eq!(open(&store, 1).await, None);
}

async fn a_question_tried_again_is_open_while_it_may_have_been_seen(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let unsent = ask(&store, epoch, 1, &["a"], 100).await;
    settle(&store, &unsent, requeued()).await;
    assert_eq!(open(&store, 1).await, None, "nobody has seen it");
    let again = take(&store, epoch, 5000).await.remove(0);
    assert_eq!(open(&store, 1).await.unwrap().asked_ms, 5000);
    settle(&store, &again, part_sent()).await;
    let second = take(&store, epoch, 6000).await.remove(0);
    assert_eq!((second.part, open(&store, 1).await.unwrap().asked_ms), (1, 5000));
    settle(&store, &second, requeued()).await;
    assert_eq!(open_id(&store, 1).await, Some(unsent.m_id), "its first part is there to be answered");
}

async fn a_later_question_takes_the_place_and_a_text_does_not(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = ask(&store, epoch, 1, &["a"], 100).await;
    send(&store, &first).await;
    store.accept(message(1, "a text", 10)).await.unwrap();
    let text = take(&store, epoch, 200).await.remove(0);
    assert_eq!(open_id(&store, 1).await, Some(first.m_id.clone()));
    settle(&store, &text, failed()).await;
    assert_eq!(open_id(&store, 1).await, Some(first.m_id.clone()));
    let second = ask(&store, epoch, 1, &["b"], 300).await;
    assert_eq!(open(&store, 1).await.unwrap().replies, [label("b")]);
    // An answer to the first, read before the second was asked and recorded after.
    store.record(answer(1, "r1", &first.m_id)).await.unwrap();
    assert_eq!(open_id(&store, 1).await, Some(second.m_id));
}

async fn a_question_with_placeholders_takes_the_place_directly_before_its_call(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = ask(&store, epoch, 1, &["Monday"], 100).await;
    settle(&store, &first, Settlement::Sent { afilnet_id: None, more: false }).await;
    let earlier = Some(first.m_id);
    let second = ask(&store, epoch, 1, &["{{anna.pending}}"], 200).await;
    assert_eq!(open_id(&store, 1).await, earlier, "its numbers are not known to anybody yet");
    settle(&store, &second, requeued()).await;
    assert_eq!(open_id(&store, 1).await, earlier);
    let second = take(&store, epoch, 9000).await.remove(0);
    store.prepare_call(&second, None, 9001).await.unwrap();
    let open = open(&store, 1).await.unwrap();
    assert_eq!((open.m_id, open.asked_ms), (second.m_id.clone(), 9001));
    settle(&store, &second, unknown()).await;
    assert!(matches!(store.prepare_call(&second, None, 9002).await, Err(StoreError::Stale)));
}

async fn an_answer_closes_its_question_for_good(engine: Engine) {
    let fresh = engine.fresh().await;
    let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
    let asked = ask(&fresh.store, epoch, 1, &["Monday", "Tuesday"], 100).await;
    let other = ask(&fresh.store, epoch, 2, &["Monday", "Tuesday"], 100).await;
    fresh.store.record(reading(1, &[("r1", "raw")])).await.unwrap();
    assert_eq!(open_id(&fresh.store, 1).await, Some(asked.m_id.clone()));
    assert_eq!(fresh.store.record(answer(1, "r2", &asked.m_id)).await.unwrap().events, 1);
    assert_eq!(open(&fresh.store, 1).await, None);
    assert_eq!(open_id(&fresh.store, 2).await, Some(other.m_id));
    // A later part of the same question does not ask again.
    settle(&fresh.store, &asked, part_sent()).await;
    assert_eq!(take(&fresh.store, epoch, 5000).await[0].part, 1);
    assert_eq!(open(&fresh.store, 1).await, None);
    let FreshStore { store, folder: _folder } = fresh.again().await;
    assert_eq!(open(&store, 1).await, None);
    // Nothing is open any more: recorded all the same.
    assert_eq!(store.record(answer(1, "r3", &asked.m_id)).await.unwrap().events, 1);
    assert_eq!(store.record(answer(9, "r1", &asked.m_id)).await.unwrap().events, 1);
}

async fn only_the_attempt_under_way_closes_a_question(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let old = ask(&store, epoch, 1, &["a"], 100).await;
    settle(&store, &old, requeued()).await;
    let new = take(&store, epoch, 5000).await.remove(0);
    let late = store.settle(&old, failed(), 5000).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert_eq!(open_id(&store, 1).await, Some(new.m_id));
}

async fn the_words_of_an_old_question_are_wiped_with_other_texts(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    ask(&store, epoch, 1, &["a"], 100).await;
    ask(&store, epoch, 2, &["b"], 200).await;
    assert_eq!(store.purge(100, 0, 100).await.unwrap(), 0);
    assert_eq!(store.purge(200, 0, 100).await.unwrap(), 1);
    assert_eq!((open(&store, 1).await, open(&store, 2).await.is_some()), (None, true));
    ask(&store, epoch, 3, &["c"], 200).await;
    assert_eq!(store.purge(201, 0, 1).await.unwrap(), 1, "no more than asked for");
}
