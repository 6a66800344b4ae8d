//! Messages of unknown outcome.

use super::*;
use crate::domain::matching::Match;

on_each_engine! {
    a_row_that_may_show_it_in_other_words_leaves_it_in_doubt_whoever_read_it
    what_was_under_way_at_the_end_is_in_doubt_and_holds_its_conversation_alone
    a_row_that_shows_it_makes_the_next_look_due_at_once
    one_that_was_found_before_it_was_given_up_is_looked_at_at_once
    a_call_is_shown_by_one_row_alone
    the_evidence_names_what_was_surely_sent_before
    looks_are_counted_by_what_they_prove
    an_owner_taken_over_resolves_nothing
    unconfirmed_is_told_and_goes_on_and_held_waits
    one_that_shows_after_all_is_no_longer_unconfirmed
    a_person_settles_what_is_in_doubt_and_nothing_else
    sent_again_by_a_person_it_waits_for_what_is_under_way_in_its_conversation
    one_whose_text_is_gone_is_not_sent_again
    what_a_person_has_noted_counts_no_more_until_it_is_in_doubt_again
    a_row_that_shows_while_it_waits_to_go_again_stops_it
    a_decision_on_one_doubt_of_a_message_is_not_taken_for_another
}

/// A message of contact 1 that may have been sent at 100, to be looked up at 200.
async fn in_doubt(store: &Arc<dyn Store>, epoch: Epoch, words: &str) -> InDoubtSend {
    store.accept(message(1, words, 10)).await.unwrap();
    let attempt = take(store, epoch, 100).await.remove(0);
    let fault = Fault::TimedOut;
    store.settle(&attempt, Settlement::Unknown { fault, look_ms: 200 }, 150).await.unwrap();
    due(store, 200).await.remove(0)
}

async fn due(store: &Arc<dyn Store>, now_ms: i64) -> Vec<InDoubtSend> {
    store.due_lookups(&channel(), now_ms, 10).await.unwrap()
}

async fn state(store: &Arc<dyn Store>, m_id: &MId) -> String {
    store.show(m_id.as_str().to_owned()).await.unwrap().unwrap().state
}

/// A read with one row that matches `part` of `m_id`.
fn showing(identity: &str, m_id: &MId, part: u32) -> ConversationRead {
    let mut page = reading(1, &[(identity, "x")]);
    page.rows[0].events.clear();
    page.rows[0].from_customer = false;
    page.rows[0].matched = Some(Match { m_id: m_id.clone(), part, last: true });
    page
}

async fn fresh(engine: Engine) -> (FreshStore, Epoch) {
    let fresh = engine.fresh().await;
    let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
    (fresh, epoch)
}

async fn what_was_under_way_at_the_end_is_in_doubt_and_holds_its_conversation_alone(engine: Engine) {
    let (fresh, epoch) = fresh(engine).await;
    let lost = message(1, "under way", 10);
    let lost_id = lost.m_id.clone();
    fresh.store.accept(lost).await.unwrap();
    fresh.store.accept(message(1, "behind it", 11)).await.unwrap();
    take(&fresh.store, epoch, 100).await;
    fresh.store.accept(message(2, "beside it", 12)).await.unwrap();
    let FreshStore { store, folder: _folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let found = store.interrupted(&channel(), epoch, 500, 200).await.unwrap();
    assert_eq!(found.iter().map(|left| &left.m_id).collect::<Vec<_>>(), [&lost_id]);
    assert!(store.interrupted(&channel(), epoch, 500, 200).await.unwrap().is_empty());
    assert_eq!(take(&store, epoch, 10_000).await.iter().map(words).collect::<Vec<_>>(), ["beside it"]);
    assert_eq!((store.next_lookup_ms(&channel()).await.unwrap(), due(&store, 499).await.len()), (Some(500), 0));
    let in_doubt = due(&store, 500).await.remove(0);
    assert_eq!((in_doubt.attempt.m_id.clone(), in_doubt.unknown_ms, in_doubt.lookups), (lost_id, 200, 0));
    assert!(store.due_events(&channel(), 10_000, 10).await.unwrap().is_empty(), "the agent is not told yet");
}

async fn a_row_that_shows_it_makes_the_next_look_due_at_once(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let in_doubt = in_doubt(&store, epoch, "a").await;
    store.record_lookup(&in_doubt, LookupResult::Inconclusive, 90_000, 200).await.unwrap();
    assert!(due(&store, 1000).await.is_empty());
    store.record(showing("row", &in_doubt.attempt.m_id, 0)).await.unwrap();
    let in_doubt = due(&store, 1000).await.remove(0);
    assert!(store.evidence(&in_doubt).await.unwrap().found);
    store.resolve(&in_doubt, epoch, Settlement::Sent { afilnet_id: None, more: false }, 1000).await.unwrap();
    assert_eq!(state(&store, &in_doubt.attempt.m_id).await, "sent");
    assert_eq!(store.next_lookup_ms(&channel()).await.unwrap(), None);
}

async fn one_that_was_found_before_it_was_given_up_is_looked_at_at_once(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    store.accept(message(1, "a", 10)).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.record(showing("row", &attempt.m_id, 0)).await.unwrap();
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 90_000 }, 150).await.unwrap();
    assert!(store.evidence(&due(&store, 150).await[0]).await.unwrap().found);
}

async fn a_call_is_shown_by_one_row_alone(engine: Engine) {
    let (FreshStore { store, folder }, epoch) = fresh(engine).await;
    let first = in_doubt(&store, epoch, "a").await;
    let m_id = first.attempt.m_id.clone();
    store.record(showing("row 1", &m_id, 0)).await.unwrap();
    store.record(showing("row 2", &m_id, 0)).await.unwrap();
    store.resolve(&first, epoch, Settlement::Sent { afilnet_id: None, more: false }, 1000).await.unwrap();
    assert_eq!(folder.ask("SELECT COUNT(claim) FROM seen").await, [Some("1".to_owned())]);
}

async fn the_evidence_names_what_was_surely_sent_before(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let first = in_doubt(&store, epoch, "a").await;
    assert_eq!(
        store.evidence(&first).await.unwrap(),
        Evidence { found: false, before_shown: None, doubtful: false, new_shown: false }
    );
    store.resolve(&first, epoch, Settlement::Sent { afilnet_id: None, more: true }, 300).await.unwrap();
    let part = take(&store, epoch, 400).await.remove(0);
    store.settle(&part, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 500 }, 450).await.unwrap();
    let second = due(&store, 500).await.remove(0);
    assert_eq!(store.evidence(&second).await.unwrap().before_shown, Some(false), "its own first part");
    store.record(showing("row", &part.m_id, 0)).await.unwrap();
    assert_eq!(store.evidence(&second).await.unwrap().before_shown, Some(true));
    store.resolve(&second, epoch, Settlement::Sent { afilnet_id: None, more: false }, 600).await.unwrap();
    let third = in_doubt(&store, epoch, "b").await;
    assert_eq!(store.evidence(&third).await.unwrap().before_shown, Some(false), "the last part of the first");
}

async fn looks_are_counted_by_what_they_prove(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    store.record(reading(1, &[("r1", "hello"), ("r2", "there")])).await.unwrap();
    let mut in_doubt = in_doubt(&store, epoch, "a").await;
    assert_eq!(in_doubt.anchor.as_deref(), Some("r2"));
    for (look, looks, absences, absent_ms) in [
        (LookupResult::Failed, 0, 0, None),
        (LookupResult::Inconclusive, 1, 0, None),
        (LookupResult::Absent, 2, 1, Some(3000)),
        (LookupResult::Absent, 3, 2, Some(3000)),
    ] {
        let now_ms = 1000 * (i64::from(looks) + 1);
        store.record_lookup(&in_doubt, look, now_ms, now_ms).await.unwrap();
        in_doubt = due(&store, now_ms).await.remove(0);
        assert_eq!((in_doubt.lookups, in_doubt.absences, in_doubt.absent_ms), (looks, absences, absent_ms), "{look:?}");
    }
    store.resolve(&in_doubt, epoch, Settlement::Queued { due_ms: None, fault: Fault::TimedOut }, 5000).await.unwrap();
    let again = take(&store, epoch, 5000).await.remove(0);
    assert_eq!((again.number, again.m_id.clone()), (2, in_doubt.attempt.m_id.clone()));
    assert!(matches!(store.record_lookup(&in_doubt, LookupResult::Absent, 1, 1).await, Err(StoreError::Stale)));
    store.settle(&again, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 6000 }, 5500).await.unwrap();
    let anew = due(&store, 6000).await.remove(0);
    assert_eq!((anew.lookups, anew.absences, anew.absent_ms, anew.unknown_ms), (0, 0, None, 5500));
}

async fn an_owner_taken_over_resolves_nothing(engine: Engine) {
    let (FreshStore { store, folder: _folder }, old) = fresh(engine).await;
    let in_doubt = in_doubt(&store, old, "a").await;
    let new = store.take_ownership(&channel()).await.unwrap();
    let sent = || Settlement::Sent { afilnet_id: None, more: false };
    assert!(matches!(store.resolve(&in_doubt, old, sent(), 300).await, Err(StoreError::Stale)));
    store.resolve(&in_doubt, new, sent(), 300).await.unwrap();
    assert_eq!(state(&store, &in_doubt.attempt.m_id).await, "sent");
}

async fn unconfirmed_is_told_and_goes_on_and_held_waits(engine: Engine) {
    for held in [false, true] {
        let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
        let in_doubt = in_doubt(&store, epoch, "a").await;
        store.accept(message(1, "behind it", 11)).await.unwrap();
        let fault = Fault::TimedOut;
        let settlement = Settlement::Unconfirmed { fault, notice: "may have been delivered".into(), held };
        store.resolve(&in_doubt, epoch, settlement, 300).await.unwrap();
        assert_eq!(state(&store, &in_doubt.attempt.m_id).await, "unconfirmed");
        assert_eq!(store.due_events(&channel(), 10_000, 10).await.unwrap().len(), 1);
        assert_eq!(take(&store, epoch, 10_000).await.len(), usize::from(!held));
        let unconfirmed = Filter { state: Some("unconfirmed".into()), limit: 9, ..Filter::default() };
        assert_eq!(store.list(unconfirmed).await.unwrap().len(), 1);
    }
}

async fn one_that_shows_after_all_is_no_longer_unconfirmed(engine: Engine) {
    for held in [false, true] {
        let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
        let in_doubt = in_doubt(&store, epoch, "a").await;
        let settlement = Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "n".into(), held };
        store.resolve(&in_doubt, epoch, settlement, 300).await.unwrap();
        store.record(showing("row", &in_doubt.attempt.m_id, 0)).await.unwrap();
        assert_eq!(state(&store, &in_doubt.attempt.m_id).await, if held { "unknown" } else { "sent" });
        assert_eq!(due(&store, 1000).await.len(), usize::from(held));
    }
}

async fn a_person_settles_what_is_in_doubt_and_nothing_else(engine: Engine) {
    let notices =
        |store: Arc<dyn Store>| async move { store.due_events(&channel(), 1_000_000, 10).await.unwrap().len() };
    for (decision, expected, behind, told) in [
        (Decision::Delivered, "sent", "behind it", 0),
        (Decision::Failed, "failed", "behind it", 1),
        (Decision::SendAgain, "queued", "a", 0),
    ] {
        let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
        let in_doubt = in_doubt(&store, epoch, "a").await;
        let m_id = in_doubt.attempt.m_id.as_str().to_owned();
        store.accept(message(1, "behind it", 11)).await.unwrap();
        let decide = |m_id: String| store.decide(m_id.into(), decision, "n".into(), by(), 400);
        assert_eq!(decide("nobody".into()).await.unwrap(), None);
        assert_eq!(decide(m_id.clone()).await.unwrap().as_deref(), Some("unknown"));
        assert_eq!(state(&store, &in_doubt.attempt.m_id).await, expected);
        assert_eq!(decide(m_id.clone()).await.unwrap().as_deref(), Some(expected), "it was settled before");
        let other = if decision == Decision::Failed { Decision::Delivered } else { Decision::Failed };
        let second = store.decide(m_id.clone().into(), other, "n".into(), by(), 450).await.unwrap();
        assert_eq!(
            (second.as_deref(), state(&store, &in_doubt.attempt.m_id).await.as_str()),
            (Some(expected), expected)
        );
        assert_eq!(notices(Arc::clone(&store)).await, told);
        let next = take(&store, epoch, 10_000).await;
        assert_eq!(next.iter().map(words).collect::<Vec<_>>(), [behind]);
        let late = store.resolve(&in_doubt, epoch, Settlement::Sent { afilnet_id: None, more: false }, 500).await;
        assert!(matches!(late, Err(StoreError::Stale)), "a look that comes later settles nothing");
    }
}

async fn sent_again_by_a_person_it_waits_for_what_is_under_way_in_its_conversation(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let in_doubt = in_doubt(&store, epoch, "a").await;
    let settlement = Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "n".into(), held: false };
    store.resolve(&in_doubt, epoch, settlement, 300).await.unwrap();
    store.accept(message(1, "later", 310)).await.unwrap();
    let later = take(&store, epoch, 400).await.remove(0);
    let m_id = in_doubt.attempt.m_id.as_str().to_owned();
    store.decide(m_id.into(), Decision::SendAgain, String::new(), by(), 500).await.unwrap();
    assert!(take(&store, epoch, 600).await.is_empty());
    send(&store, &later).await;
    assert_eq!(take(&store, epoch, 600).await.iter().map(words).collect::<Vec<_>>(), ["a"]);
}

async fn a_row_that_may_show_it_in_other_words_leaves_it_in_doubt_whoever_read_it(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let mut page = reading(1, &[("before", "x")]);
    page.rows[0].doubtful = true;
    page.now_ms = 50;
    store.record(page).await.unwrap();
    let in_doubt = in_doubt(&store, epoch, "a").await;
    assert!(!store.evidence(&in_doubt).await.unwrap().doubtful, "it was there before the attempt");
    let mut page = reading(1, &[("since", "x")]);
    page.rows[0].doubtful = true;
    page.now_ms = 120;
    store.record(page).await.unwrap();
    assert_eq!(
        store.evidence(&in_doubt).await.unwrap(),
        Evidence { found: false, before_shown: None, doubtful: true, new_shown: false }
    );
}

async fn what_a_person_has_noted_counts_no_more_until_it_is_in_doubt_again(engine: Engine) {
    for held in [false, true] {
        let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
        let doubt = in_doubt(&store, epoch, "a").await;
        let m_id = doubt.attempt.m_id.as_str().to_owned();
        let decide = |decision| {
            let (store, m_id) = (Arc::clone(&store), m_id.clone());
            async move { store.decide(m_id.into(), decision, "n".into(), by(), 400).await.unwrap() }
        };
        assert_eq!(decide(Decision::Noted).await.as_deref(), Some("unknown"), "it is being looked up");
        assert_eq!(due(&store, 10_000).await.len(), 1, "and still is");
        let unconfirmed = Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "n".into(), held };
        store.resolve(&doubt, epoch, unconfirmed.clone(), 300).await.unwrap();
        store.accept(message(1, "behind it", 310)).await.unwrap();
        let counted = |store: Arc<dyn Store>| async move { store.depths().await.unwrap()[0].unconfirmed };
        assert_eq!(counted(Arc::clone(&store)).await, 1);
        // Listed as unconfirmed until it is noted, and as noted then.
        let listed = async |state: &str| {
            let filter = Filter { state: Some(state.into()), limit: 9, ..Filter::default() };
            let noted = |row: &ListedMessage| (row.m_id.clone(), row.noted_ms);
            store.list(filter).await.unwrap().iter().map(noted).collect::<Vec<_>>()
        };
        assert_eq!((listed("unconfirmed").await, listed("noted").await), (vec![(m_id.clone(), None)], vec![]));
        assert_eq!(decide(Decision::Noted).await.as_deref(), Some(if held { "held" } else { "unconfirmed" }));
        assert_eq!(counted(Arc::clone(&store)).await, 0);
        assert_eq!((listed("unconfirmed").await, listed("noted").await), (vec![], vec![(m_id.clone(), Some(400))]));
        assert_eq!(store.show(m_id.clone()).await.unwrap().unwrap().noted_ms, Some(400));
        assert_eq!(state(&store, &doubt.attempt.m_id).await, "unconfirmed", "it is not known any better");
        assert_eq!(decide(Decision::Noted).await.as_deref(), Some("noted"), "once");
        assert_eq!(store.due_events(&channel(), 10_000, 10).await.unwrap().len(), 1, "its agent was told before");
        let behind = take(&store, epoch, 10_000).await.remove(0);
        assert_eq!(words(&behind), "behind it", "its conversation goes on");
        send(&store, &behind).await;
        // Sent again, and in doubt again: that is another question.
        decide(Decision::SendAgain).await;
        let again = take(&store, epoch, 10_000).await.remove(0);
        store.settle(&again, unconfirmed, 500).await.unwrap();
        assert_eq!(counted(Arc::clone(&store)).await, 1);
        assert_eq!((listed("unconfirmed").await, listed("noted").await), (vec![(m_id.clone(), None)], vec![]));
    }
}

async fn one_whose_text_is_gone_is_not_sent_again(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let in_doubt = in_doubt(&store, epoch, "a").await;
    let settlement = Settlement::Unconfirmed { fault: Fault::TimedOut, notice: "n".into(), held: false };
    store.resolve(&in_doubt, epoch, settlement, 300).await.unwrap();
    store.purge(1_000_000, 0, 100).await.unwrap();
    let m_id = in_doubt.attempt.m_id.as_str().to_owned();
    let again = store.decide(m_id.clone().into(), Decision::SendAgain, String::new(), by(), 400).await.unwrap();
    assert_eq!(again.as_deref(), Some("wiped"));
    assert_eq!(state(&store, &in_doubt.attempt.m_id).await, "unconfirmed");
    store.decide(m_id.into(), Decision::Delivered, String::new(), by(), 400).await.unwrap();
    assert_eq!(state(&store, &in_doubt.attempt.m_id).await, "sent");
}

async fn a_decision_on_one_doubt_of_a_message_is_not_taken_for_another(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let first = in_doubt(&store, epoch, "a").await;
    let m_id = first.attempt.m_id.to_string();
    let seen = async || {
        let seen = store.show(m_id.clone()).await.unwrap().unwrap().seen();
        DecisionTarget { m_id: m_id.clone(), seen: Some(seen) }
    };
    let decide =
        async |target: &DecisionTarget, decision| store.decide(target.clone(), decision, "n".into(), by(), 400).await;
    let unknown = Settlement::Unknown { fault: Fault::TimedOut, look_ms: 600 };
    let of_the_first = seen().await;
    // The next part is in doubt as the first was: its attempts are counted anew.
    store.resolve(&first, epoch, Settlement::Sent { afilnet_id: None, more: true }, 300).await.unwrap();
    let part = take(&store, epoch, 350).await.remove(0);
    assert_eq!((part.part, part.number), (1, first.attempt.number));
    store.settle(&part, unknown.clone(), 360).await.unwrap();
    let of_the_part = seen().await;
    for decision in [Decision::SendAgain, Decision::Delivered, Decision::Failed] {
        let late = decide(&of_the_first, decision).await;
        assert!(matches!(late, Err(StoreError::Stale)), "{decision:?}: {late:?}");
    }
    assert_eq!(state(&store, &first.attempt.m_id).await, "unknown", "nothing is changed");
    assert_eq!(decide(&of_the_part, Decision::Failed).await.unwrap().as_deref(), Some("unknown"));
    // A person sends it again, and it fails, and is in doubt once more.
    let retry = async |target: DecisionTarget| store.retry(target, by(), 450).await;
    let of_the_failure = seen().await;
    assert!(matches!(retry(of_the_part.clone()).await, Err(StoreError::Stale)));
    assert_eq!(retry(of_the_failure.clone()).await.unwrap(), ManualOutcome::Message);
    let again = take(&store, epoch, 500).await.remove(0);
    assert_eq!((again.part, again.number), (part.part, part.number));
    store.settle(&again, unknown, 510).await.unwrap();
    let late = decide(&of_the_part, Decision::SendAgain).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert_eq!(decide(&seen().await, Decision::Failed).await.unwrap().as_deref(), Some("unknown"));
    let notices = DiscardNotices { not_sent: "n".into(), perhaps_sent: "p".into() };
    let late = store.discard(of_the_failure, notices.clone(), by(), 600).await;
    assert!(matches!(late, Err(StoreError::Stale)), "of the failure before: {late:?}");
    assert_eq!(store.discard(seen().await, notices, by(), 600).await.unwrap(), ManualOutcome::Message);
}

async fn a_row_that_shows_while_it_waits_to_go_again_stops_it(engine: Engine) {
    let (FreshStore { store, folder: _folder }, epoch) = fresh(engine).await;
    let first = in_doubt(&store, epoch, "a").await;
    assert!(!first.attempt.before.fault.as_deref().unwrap_or_default().is_empty());
    store.resolve(&first, epoch, Settlement::Queued { due_ms: None, fault: Fault::TimedOut }, 300).await.unwrap();
    let own_sends = store.own_sends(&channel(), &contact(1), 9).await.unwrap();
    assert_eq!(own_sends.iter().map(|call| (&call.m_id, call.part)).collect::<Vec<_>>(), [(&first.attempt.m_id, 0)]);
    store.record(showing("row", &first.attempt.m_id, 0)).await.unwrap();
    assert!(take(&store, epoch, 10_000).await.is_empty(), "it is not sent again");
    let again = due(&store, 10_000).await.remove(0);
    assert!(store.evidence(&again).await.unwrap().found);
    store.resolve(&again, epoch, Settlement::Sent { afilnet_id: None, more: true }, 400).await.unwrap();
    let next = take(&store, epoch, 10_000).await.remove(0);
    assert_eq!((next.part, next.maybe_sent), (1, false), "the next part is not in doubt");
    store.settle(&next, Settlement::Queued { due_ms: Some(1), fault: Fault::Busy }, 500).await.unwrap();
    assert!(!take(&store, epoch, 10_000).await.remove(0).maybe_sent);
}
