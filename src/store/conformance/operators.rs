//! What operators alone read.

use super::*;
use crate::domain::find::Side;

on_each_engine! {
    the_audit_is_read_newest_first_page_by_page
    a_deed_that_changes_nothing_else_is_in_the_audit
    what_happened_last_is_told_of_each_channel
    what_failed_is_grouped_by_channel_way_and_fault
    every_text_is_read_once_and_no_erased_one
    every_contact_is_read_one_that_was_only_written_to_too
}

async fn the_audit_is_read_newest_first_page_by_page(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    assert_eq!(store.operators().audit(None, None, 10).await.unwrap(), []);
    for n in 0..5 {
        let message = message(n, "words", 10);
        let m_id = message.m_id.to_string();
        store.accept(message).await.unwrap();
        let notices = DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps".into() };
        store.discard(m_id.into(), notices, by(), 100 + i64::from(n)).await.unwrap();
    }
    let first = store.operators().audit(None, None, 2).await.unwrap();
    let rest = store.operators().audit(Some(first[1].id), None, 10).await.unwrap();
    let times: Vec<i64> = first.iter().chain(&rest).map(|entry| entry.at_ms).collect();
    assert_eq!(times, [104, 103, 102, 101, 100], "each once");
    let AuditEntry { who, means, what, detail, .. } = &first[0];
    assert_eq!((who.as_str(), means.as_str(), what.as_str()), ("ana", "cli", "discard"));
    assert_eq!(detail.as_deref(), Some(r#"{"why":"asked for"}"#));
    assert_eq!(store.operators().audit(Some(rest[2].id), None, 10).await.unwrap(), []);
    let about = async |about: &str| store.operators().audit(None, Some(about.to_owned()), 10).await.unwrap();
    assert_eq!((about("ana").await.len(), about(&first[0].target).await.as_slice()), (5, &first[..1]));
    assert_eq!(about("an").await, [], "a whole name alone");
}

async fn a_deed_that_changes_nothing_else_is_in_the_audit(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let detail = Some(r#"{"format":"csv"}"#.to_owned());
    store.operators().note_deed(by(), "export", "support".into(), detail.clone(), 100).await.unwrap();
    store.operators().note_deed(by(), "export", "support".into(), None, 101).await.unwrap();
    let audit = store.operators().audit(None, Some("support".into()), 10).await.unwrap();
    let rows: Vec<_> = audit.iter().map(|entry| (entry.at_ms, entry.what.as_str(), entry.detail.clone())).collect();
    assert_eq!(rows, [(101, "export", None), (100, "export", detail)], "each time");
}

async fn what_happened_last_is_told_of_each_channel(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    assert!(store.operators().activity().await.unwrap().is_empty());
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "words", 10)).await.unwrap();
    store.record(reading(2, &[("r1", "hello")])).await.unwrap();
    let before = store.operators().activity().await.unwrap();
    assert_eq!(before["support"].sent_ms, None, "it waits");
    assert!(before["support"].received_ms.is_some() && before["support"].oldest_event_ms.is_some());
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: false }, 110).await.unwrap();
    let due = store.due_events(&channel(), 2000, 1).await.unwrap().remove(0);
    store.published(&due, Publication::Done, 2000).await.unwrap();
    let after = store.operators().activity().await.unwrap();
    let Activity { sent_ms, received_ms, published_ms, oldest_event_ms, fault, searched_from_ms } =
        after["support"].clone();
    assert_eq!(searched_from_ms, None, "all were searched");
    assert_eq!((sent_ms, received_ms, published_ms), (Some(110), before["support"].received_ms, Some(2000)));
    assert_eq!((oldest_event_ms, fault), (None, None));
    store.accept(message(2, "in doubt", 120)).await.unwrap();
    let attempt = take(&store, epoch, 130).await.remove(0);
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 90_000 }, 150).await.unwrap();
    let decided =
        store.decide(attempt.m_id.to_string().into(), Decision::Delivered, "n".into(), by(), 400).await.unwrap();
    assert_eq!(decided.as_deref(), Some("unknown"));
    let after = store.operators().activity().await.unwrap();
    assert_eq!(after["support"].sent_ms, Some(110), "what a person has settled was not sent then");
}

async fn every_text_is_read_once_and_no_erased_one(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let mut m_ids = Vec::new();
    for n in 0..3 {
        let message = message(n, &format!("Niño number {n}"), 10);
        m_ids.push(message.m_id.to_string());
        store.accept(message).await.unwrap();
    }
    store.record(reading(7, &[("r1", "hello")])).await.unwrap();
    let notices = DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps".into() };
    store.discard(m_ids[1].clone().into(), notices, by(), 100).await.unwrap();
    let all = async |side| {
        let (mut from, mut found) = (0, Vec::new());
        while let Some(texts) = store.operators().texts(side, from).await.unwrap() {
            assert!(texts.next > from);
            found.extend(texts.folded);
            from = texts.next;
        }
        found
    };
    assert_eq!(all(Side::Out).await, ["nino number 0", "nino number 2"]);
    assert_eq!(all(Side::In).await, ["hello"]);
}

async fn every_contact_is_read_one_that_was_only_written_to_too(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    assert_eq!(store.operators().contacts(0).await.unwrap(), None);
    for n in 1..=1010 {
        store.accept(message(n, "words", 10)).await.unwrap();
    }
    store.record(reading(2000, &[("r1", "hello")])).await.unwrap();
    let (mut after, mut found, mut pages) = (0, std::collections::BTreeSet::new(), 0);
    while let Some(page) = store.operators().contacts(after).await.unwrap() {
        assert!(page.next > after);
        (after, pages) = (page.next, pages + 1);
        found.extend(page.values);
    }
    assert_eq!(pages, 2);
    for n in (1..=1010).chain([2000]) {
        let contact = contact(n).to_string();
        assert!(found.contains(&contact), "{contact}");
    }
}

async fn what_failed_is_grouped_by_channel_way_and_fault(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let fail = async |n: u32, fault: Fault, at_ms: i64| {
        store.accept(message(n, "words", 10)).await.unwrap();
        let attempt = take(&store, epoch, 100).await.remove(0);
        store.settle(&attempt, Settlement::Failed { fault, notice: None }, at_ms).await.unwrap();
        attempt.m_id.to_string()
    };
    fail(1, Fault::NoRoute, 110).await;
    fail(2, Fault::NoRoute, 120).await;
    fail(3, Fault::FileUrl, 130).await;
    let thrown_away = fail(4, Fault::TooLong, 140).await;
    let notices = DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps".into() };
    store.discard(thrown_away.into(), notices, by(), 150).await.unwrap();
    store.record(reading(5, &[("r1", "hello")])).await.unwrap();
    let due = store.due_events(&channel(), 2000, 1).await.unwrap().remove(0);
    store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
    let mut found = store.operators().failed().await.unwrap();
    found.sort_by_key(|group| group.oldest_ms);
    let found: Vec<_> = found
        .iter()
        .map(|group| (group.side, group.fault.as_str(), group.count, group.oldest_ms, group.newest_ms))
        .collect();
    let (route, link) = (Fault::NoRoute.code(), Fault::FileUrl.code());
    let expected = [
        (Side::Out, route.as_str(), 2, 110, 120),
        (Side::Out, link.as_str(), 1, 130, 130),
        (Side::In, "http_400", 1, 2000, 2000),
    ];
    assert_eq!(found, expected);
}
