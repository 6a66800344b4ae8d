//! Guarantees of both engines about seen rows, and about the account's traits from rows of own sends.

use super::*;
use crate::domain::StatusValue;
use crate::domain::clock::wall_ms;
use crate::domain::matching::{Features, Match, ShownAs};

on_each_engine! {
    what_a_row_said_and_what_it_claims_is_kept_with_the_tail_of_its_page
    a_status_is_told_once_forward_only_of_the_whole_message_and_of_what_was_sent
    rows_of_sent_messages_teach_that_and_how_late_they_show
    a_row_that_is_seen_before_the_verdict_of_its_send_teaches_once_that_is_taken
    a_row_of_a_part_that_was_taken_teaches_while_the_next_waits_or_is_under_way
    timestamps_of_a_conversation_never_go_back
    no_timestamp_lies_in_the_future
    timestamps_do_not_go_back_with_the_clock_nor_with_a_start
    what_an_agent_is_told_bears_the_time_of_the_wall
}

fn receipt(m_id: &MId, part: u32, value: StatusValue) -> Receipt {
    Receipt { m_id: m_id.clone(), part, value, message: "words".into() }
}

/// A read of rows that were seen before, with these statuses.
fn statuses(receipts: Vec<Receipt>) -> ConversationRead {
    ConversationRead { receipts, ..reading(1, &[]) }
}

async fn due(store: &Arc<dyn Store>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(due) = store.due_events(&channel(), i64::MAX, 1).await.unwrap().pop() {
        store.published(&due, Publication::Done, 9000).await.unwrap();
        events.push(due.event);
    }
    events
}

/// A message in two parts, sent at 5000.
async fn sent(store: &Arc<dyn Store>) -> MId {
    let epoch = store.take_ownership(&channel()).await.unwrap();
    // Each with a text of its own: equal ones would count as repeats.
    store.accept(message(1, MId::fresh().as_str(), 10)).await.unwrap();
    let attempt = take(store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 100).await.unwrap();
    send(store, &take(store, epoch, 100).await[0]).await;
    attempt.m_id
}

async fn what_a_row_said_and_what_it_claims_is_kept_with_the_tail_of_its_page(engine: Engine) {
    let fresh = engine.fresh().await;
    let m_id = sent(&fresh.store).await;
    let mut page = reading(1, &[("r1", "a"), ("r2", "b")]);
    page.rows[1].matched = Some(Match { m_id: m_id.clone(), part: 1, last: true });
    page.page = Some(vec!["r1".into(), "r2".into()]);
    fresh.store.record(page).await.unwrap();
    fresh.store.record(reading(1, &[("r3", "c")])).await.unwrap();
    let fresh = fresh.again().await;
    let seen = fresh.store.seen(&channel(), &contact(1)).await.unwrap();
    let fingerprints: Vec<_> =
        seen.rows.iter().map(|row| (row.identity.as_str(), row.fingerprint.as_deref())).collect();
    assert_eq!(
        fingerprints,
        [("r1", Some("fingerprint of a")), ("r2", Some("fingerprint of b")), ("r3", Some("fingerprint of c"))]
    );
    assert_eq!(seen.rows.iter().map(|row| row.matched.clone()).collect::<Vec<_>>(), [None, Some((m_id, 1)), None]);
    assert_eq!(seen.page, ["r1", "r2"]);
    assert!(fresh.store.seen(&channel(), &contact(2)).await.unwrap().rows.is_empty());
}

async fn a_status_is_told_once_forward_only_of_the_whole_message_and_of_what_was_sent(engine: Engine) {
    use StatusValue::{Delivered, Failed, Read};
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let m_id = sent(&store).await;
    let made = async |receipts: Vec<Receipt>| store.record(statuses(receipts)).await.unwrap().events;
    assert_eq!(made(vec![receipt(&m_id, 0, Delivered)]).await, 0, "the first part alone");
    assert_eq!(made(vec![receipt(&m_id, 1, Delivered), receipt(&m_id, 1, Delivered)]).await, 1);
    assert_eq!(made(vec![receipt(&m_id, 1, Delivered)]).await, 0);
    let unreported_sends = store.unreported_sends(&channel(), &contact(1), 9).await.unwrap();
    assert_eq!(unreported_sends, [UnreportedSend { m_id: m_id.clone(), part: 1, sent: true, told: 1, since_ms: 5000 }]);
    assert_eq!(made(vec![receipt(&m_id, 1, Read), receipt(&m_id, 1, Delivered)]).await, 1);
    assert_eq!(made(vec![receipt(&m_id, 0, Failed), receipt(&m_id, 1, Read)]).await, 0, "read ends it");
    assert_eq!(store.unreported_sends(&channel(), &contact(1), 9).await.unwrap(), []);
    let of = |event: &Event| match &event.body {
        EventBody::MessageStatus { value, message } => (event.m_id.clone(), *value, message.clone()),
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = due(&store).await.iter().map(of).collect();
    assert_eq!(told, [(m_id.clone(), Delivered, "words".to_owned()), (m_id, Read, "words".to_owned())]);

    // No status for a message that was not sent, for an unknown one, or for one of another conversation.
    store.accept(message(1, "waits", 10)).await.unwrap();
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let waits = take(&store, epoch, 100).await.remove(0);
    let mut elsewhere = reading(2, &[]);
    elsewhere.receipts = vec![receipt(&waits.m_id, 0, Failed)];
    assert_eq!(made(vec![receipt(&waits.m_id, 0, Failed), receipt(&MId::fresh(), 0, Read)]).await, 0);
    send(&store, &waits).await;
    assert_eq!(store.record(elsewhere).await.unwrap().events, 0);
    assert_eq!(made(vec![receipt(&waits.m_id, 7, Failed)]).await, 1, "a part that failed fails it all");
}

async fn rows_of_sent_messages_teach_that_and_how_late_they_show(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let m_id = sent(&store).await;
    assert_eq!(store.account_traits(&channel()).await.unwrap(), AccountTraits::default());
    let matched = |m_id: &MId, identity: &str, part: u32, last: bool, read_before_ms: Option<i64>| {
        let mut page = reading(1, &[(identity, identity)]);
        page.rows[0].matched = Some(Match { m_id: m_id.clone(), part, last });
        ConversationRead { read_before_ms, ..page }
    };
    let lag = |settle_lag_ms| AccountTraits { shows_texts: true, settle_lag_ms, ..AccountTraits::default() };
    for (identity, last, read_before_ms, account_traits) in [
        ("r1", false, Some(9000), lag(0)),
        ("r2", true, Some(4000), lag(0)),
        ("r3", true, Some(7000), lag(2000)),
        ("r4", true, Some(6000), lag(2000)),
        ("r5", true, Some(50_000_000), lag(2000)),
        ("r6", true, None, lag(2000)),
    ] {
        let recorded = store.record(matched(&sent(&store).await, identity, 1, last, read_before_ms)).await.unwrap();
        assert_eq!(recorded.account_traits, Some(account_traits), "{identity}");
        assert_eq!(store.account_traits(&channel()).await.unwrap(), account_traits, "{identity}");
    }
    // A row that was seen before changes no traits, nor does one of a message that is still under way.
    let recorded = store.record(matched(&m_id, "r1", 1, true, Some(9000))).await.unwrap();
    assert_eq!(recorded.account_traits, None);
    store.accept(message(3, "under way", 10)).await.unwrap();
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let under_way = take(&store, epoch, 100).await.remove(0);
    let mut page = reading(3, &[("r1", "x")]);
    page.rows[0].matched = Some(Match { m_id: under_way.m_id, part: 0, last: true });
    store.record(ConversationRead { read_before_ms: Some(9000), ..page }).await.unwrap();
    assert_eq!(store.account_traits(&channel()).await.unwrap(), lag(2000));
}

/// The only row of the only send so far: else a later send in doubt would have no proof that it is not there.
async fn a_row_that_is_seen_before_the_verdict_of_its_send_teaches_once_that_is_taken(engine: Engine) {
    let sent = |more| Settlement::Sent { afilnet_id: None, more };
    let failed = || Settlement::Failed { fault: Fault::Busy, notice: None };
    let unknown = || Settlement::Unknown { fault: Fault::Interrupted, look_ms: 9000 };
    for (verdict, how, is_taken) in [
        (sent(false), ShownAs::Verbatim, true),
        (sent(true), ShownAs::Verbatim, true),
        (sent(false), ShownAs::Alike, true),
        (failed(), ShownAs::Verbatim, false),
        (unknown(), ShownAs::Verbatim, false),
    ] {
        let fresh = engine.fresh().await;
        let store = &fresh.store;
        let epoch = store.take_ownership(&channel()).await.unwrap();
        store.accept(message(1, "words", 10)).await.unwrap();
        let attempt = take(store, epoch, 100).await.remove(0);
        let mut page = reading(1, &[("r1", "words")]);
        page.rows[0].matched = Some(Match { m_id: attempt.m_id.clone(), part: 0, last: true });
        page.rows[0].lesson = Some(Lesson { features: Features::WORDS.with(Features::LINK), how });
        page.destination = attempt.destination.clone();
        store.record(page).await.unwrap();
        assert_eq!(store.account_traits(&channel()).await.unwrap(), AccountTraits::default(), "it may be refused");
        // The process may end between the two.
        let fresh = fresh.again().await;
        let store = &fresh.store;
        store.settle(&attempt, verdict.clone(), 200).await.unwrap();
        let known = store.account_traits(&channel()).await.unwrap();
        let (word_for_word, rewritten) =
            AccountTraits::default().learned(Features::WORDS.with(Features::LINK), how == ShownAs::Verbatim);
        let learned =
            AccountTraits { shows_texts: true, verbatim: word_for_word, rewritten, ..AccountTraits::default() };
        assert_eq!(known, if is_taken { learned } else { AccountTraits::default() }, "{verdict:?}, {how:?}");
        let areas = fresh.folder.ask("SELECT new_destinations FROM channels").await;
        assert_eq!(areas[0].as_deref().is_none_or(|areas| areas.trim().is_empty()), !is_taken, "{areas:?}");
        if let Settlement::Unknown { .. } = verdict {
            // What was found by that row alone is no proof that the account shows what it takes.
            let in_doubt = store.due_lookups(&channel(), 10_000, 9).await.unwrap().remove(0);
            store.resolve(&in_doubt, epoch, sent(false), 10_000).await.unwrap();
            assert_eq!(store.account_traits(&channel()).await.unwrap(), AccountTraits::default());
        }
    }
}

async fn a_row_of_a_part_that_was_taken_teaches_while_the_next_waits_or_is_under_way(engine: Engine) {
    for is_under_way in [false, true] {
        let FreshStore { store, folder: _folder } = engine.fresh().await;
        let epoch = store.take_ownership(&channel()).await.unwrap();
        store.accept(message(1, "words", 10)).await.unwrap();
        let attempt = take(&store, epoch, 100).await.remove(0);
        store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: true }, 200).await.unwrap();
        if is_under_way {
            assert_eq!(take(&store, epoch, 300).await[0].part, 1);
        }
        let mut page = reading(1, &[("r1", "words")]);
        page.rows[0].matched = Some(Match { m_id: attempt.m_id.clone(), part: 0, last: false });
        store.record(page).await.unwrap();
        assert!(store.account_traits(&channel()).await.unwrap().shows_texts, "under way: {is_under_way}");
    }
}

async fn timestamps_of_a_conversation_never_go_back(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let at = |identity: &str, timestamp_ms: i64| {
        let mut page = reading(1, &[(identity, identity)]);
        page.rows[0].events[0].timestamp_ms = timestamp_ms;
        page
    };
    for (identity, timestamp_ms) in [("r1", 500), ("r2", 300), ("r3", 501), ("r4", 1)] {
        store.record(at(identity, timestamp_ms)).await.unwrap();
    }
    let stamps: Vec<i64> = due(&store).await.iter().map(|event| event.timestamp_ms).collect();
    assert_eq!(stamps, [500, 500, 501, 501]);
}

async fn no_timestamp_lies_in_the_future(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let mut page = reading(1, &[("r1", "a")]);
    page.rows[0].events[0].timestamp_ms = wall_ms() + 3_600_000;
    store.record(page).await.unwrap();
    let stamps: Vec<i64> = due(&store).await.iter().map(|event| event.timestamp_ms).collect();
    assert!(stamps.len() == 1 && stamps[0] <= wall_ms(), "{stamps:?} at {}", wall_ms());
}

async fn timestamps_do_not_go_back_with_the_clock_nor_with_a_start(engine: Engine) {
    let fresh = engine.fresh().await;
    let mut page = reading(1, &[("r1", "a")]);
    page.rows[0].events[0].timestamp_ms = wall_ms();
    fresh.store.record(page).await.unwrap();
    let told_ms = due(&fresh.store).await[0].timestamp_ms;
    // As if the clock had been set back by an hour since.
    let ahead_ms = told_ms + 3_600_000;
    let marked = format!("UPDATE conversations SET event_ms = {ahead_ms} RETURNING id");
    assert_eq!(fresh.folder.ask(&marked).await.len(), 1);
    fresh.store.record(reading(1, &[("r2", "b")])).await.unwrap();
    let FreshStore { store, folder: _folder } = fresh.again().await;
    store.correct_clock_rollback(wall_ms()).await.unwrap();
    store.record(reading(1, &[("r3", "c")])).await.unwrap();
    let stamps: Vec<i64> = due(&store).await.iter().map(|event| event.timestamp_ms).collect();
    assert_eq!(stamps, [ahead_ms, ahead_ms]);
    store.record(reading(2, &[("r4", "another conversation")])).await.unwrap();
    assert!(due(&store).await[0].timestamp_ms < ahead_ms, "no other conversation stands still");
}

async fn what_an_agent_is_told_bears_the_time_of_the_wall(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let before_ms = wall_ms();
    // With another time on the process's own clock.
    let m_id = sent(&store).await;
    assert_eq!(store.record(statuses(vec![receipt(&m_id, 1, StatusValue::Read)])).await.unwrap().events, 1);
    store.accept(message(2, "refused", 10)).await.unwrap();
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Failed { fault: Fault::Busy, notice: Some("n".into()) }, 100).await.unwrap();
    let stamps: Vec<i64> = due(&store).await.iter().map(|event| event.timestamp_ms).collect();
    assert!(stamps.len() == 2 && stamps.iter().all(|at_ms| (before_ms..=wall_ms()).contains(at_ms)), "{stamps:?}");
}
