//! What is kept of words whose placeholders were filled in.

use super::*;
use crate::domain::matching::sent_form;

on_each_engine! {
    what_is_kept_of_sent_words_is_that_of_attempts_that_may_have_been_sent
}

async fn kept(store: &Arc<dyn Store>) -> Vec<(u32, Vec<String>)> {
    let calls = store.own_sends(&channel(), &contact(1), 9).await.unwrap();
    calls.iter().map(|call| (call.part, call.sent_forms.iter().map(ToString::to_string).collect())).collect()
}

async fn what_is_kept_of_sent_words_is_that_of_attempts_that_may_have_been_sent(engine: Engine) {
    let Fresh { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "{{anna.pending}}", 10)).await.unwrap();
    let form = |part: u32, words: &str| sent_form(part, [1; 16], words);
    let first = take(&store, epoch, 20).await.remove(0);
    store.note_sent_form(&first, form(0, "a")).await.unwrap();
    assert_eq!(kept(&store).await, [(0, vec![form(0, "a").to_string()])]);
    // Surely not sent: the next attempt's takes its place.
    let again = Settlement::Queued { due_ms: Some(21), fault: Fault::Busy };
    store.settle(&first, again, 21).await.unwrap();
    let second = take(&store, epoch, 22).await.remove(0);
    assert!(matches!(store.note_sent_form(&first, form(0, "late")).await, Err(StoreError::Stale)));
    store.note_sent_form(&second, form(0, "b")).await.unwrap();
    assert_eq!(kept(&store).await, [(0, vec![form(0, "b").to_string()])]);
    // Perhaps sent, and sent again: both are kept.
    store.settle(&second, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 23 }, 23).await.unwrap();
    let in_doubt = store.due_lookups(&channel(), 24, 9).await.unwrap().remove(0);
    let resend = Settlement::Queued { due_ms: None, fault: Fault::TimedOut };
    store.resolve(&in_doubt, epoch, resend, 24).await.unwrap();
    let third = take(&store, epoch, 25).await.remove(0);
    store.note_sent_form(&third, form(0, "c")).await.unwrap();
    let both = vec![form(0, "b").to_string(), form(0, "c").to_string()];
    assert_eq!(kept(&store).await, [(0, both.clone())]);
    // A later part keeps its own beside those of the one before.
    store.settle(&third, Settlement::Sent { afilnet_id: None, more: true }, 26).await.unwrap();
    let fourth = take(&store, epoch, 27).await.remove(0);
    store.note_sent_form(&fourth, form(1, "d")).await.unwrap();
    assert_eq!(kept(&store).await, [(0, both), (1, vec![form(1, "d").to_string()])]);
    store.settle(&fourth, Settlement::Sent { afilnet_id: None, more: false }, 28).await.unwrap();
    // They go with the text.
    store.purge(29, 0, 9).await.unwrap();
    assert_eq!(kept(&store).await, []);
    let left = folder.ask("SELECT m_id FROM outbound WHERE sent_forms IS NOT NULL").await;
    assert_eq!(left.len(), 0);
    store.close().await;
}
