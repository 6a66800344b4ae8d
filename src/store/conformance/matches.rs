//! Guarantees of both engines about unmatched sends.

use super::*;
use crate::domain::matching::Match;

on_each_engine! {
    what_may_have_been_said_is_known_until_a_row_claims_it_or_its_text_is_wiped
}

async fn unclaimed(store: &Arc<dyn Store>, limit: usize) -> Vec<(String, u32)> {
    let calls = store.own_sends(&channel(), &contact(1), limit).await.unwrap();
    let words = |call: &SendRecord| match &call.content {
        Content::Text { text } => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    calls.iter().map(|call| (words(call), call.part)).collect()
}

fn matched(m_id: &MId, part: u32) -> Match {
    Match { m_id: m_id.clone(), part, last: true }
}

fn own(words: &str, part: u32) -> (String, u32) {
    (words.to_owned(), part)
}

async fn what_may_have_been_said_is_known_until_a_row_claims_it_or_its_text_is_wiped(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for words in ["a", "b", "c", "d"] {
        store.accept(message(1, words, 10)).await.unwrap();
    }
    store.accept(message(2, "elsewhere", 10)).await.unwrap();
    assert_eq!(unclaimed(&store, 9).await, []);
    // a: two parts out and a third under way, so each may show.
    for _ in 0..2 {
        let attempt = take(&store, epoch, 100).await.remove(0);
        assert_eq!(words(&attempt), "a");
        store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 100).await.unwrap();
    }
    assert_eq!(unclaimed(&store, 9).await, [own("a", 0), own("a", 1)]);
    let third = take(&store, epoch, 100).await.into_iter().find(|attempt| words(attempt) == "a").unwrap();
    assert_eq!(unclaimed(&store, 9).await, [own("a", 0), own("a", 1), own("a", 2)]);
    store.settle(&third, Settlement::Failed { fault: Fault::Busy, notice: None }, 100).await.unwrap();
    assert_eq!(unclaimed(&store, 9).await, [own("a", 0), own("a", 1)]);
    let fault = Fault::Busy;
    for settlement in [
        Settlement::Unconfirmed { fault: fault.clone(), notice: "n".into(), held: false },
        Settlement::Failed { fault, notice: None },
    ] {
        let attempt = take(&store, epoch, 100).await.remove(0);
        store.settle(&attempt, settlement, 100).await.unwrap();
    }
    send(&store, &take(&store, epoch, 100).await[0]).await;
    assert_eq!(unclaimed(&store, 9).await, [own("a", 0), own("a", 1), own("b", 0), own("d", 0)]);
    assert_eq!(unclaimed(&store, 2).await, [own("b", 0), own("d", 0)]);
    let mut page = reading(1, &[("row", "x")]);
    page.rows[0].matched = Some(matched(&third.m_id, 0));
    store.record(page).await.unwrap();
    assert_eq!(unclaimed(&store, 9).await, [own("a", 1), own("b", 0), own("d", 0)]);
    store.purge(1_000_000, 0, 100).await.unwrap();
    assert_eq!(unclaimed(&store, 9).await, []);
}
