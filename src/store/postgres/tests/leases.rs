//! Channels and callers that pass from one process to another.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::domain::{Chat, clock};
use crate::store::{AcceptOutcome, AccountLoad, FirstVerdict, Owner, Publication};

/// A lease as short as one may be.
const LEASE: Duration = Duration::from_secs(1);

/// Longest wait for what must come; generous, because tests share the machine.
const SOON: Duration = Duration::from_mins(1);

/// Two processes on one store.
async fn two() -> Option<(Arc<PostgresStore>, Arc<PostgresStore>, String)> {
    let (one, url) = fresh().await?;
    let other = Arc::new(PostgresStore::open(&url).await.unwrap());
    Some((one, other, url))
}

#[tokio::test]
async fn a_lease_is_one_processs_until_it_is_given_back_or_runs_out() {
    let Some((one, other, _)) = two().await else { return };
    let all = || vec![channel(), "other".parse().unwrap()];
    assert_eq!(one.heartbeat(LEASE, Vec::new()).await.unwrap().processes, 1);
    assert_eq!(other.heartbeat(LEASE, Vec::new()).await.unwrap().processes, 2);
    let first = one.acquire(SOON, all()).await.unwrap().unwrap();
    assert_eq!(other.acquire(LEASE, vec![channel()]).await.unwrap(), None);
    let view = other.heartbeat(LEASE, Vec::new()).await.unwrap();
    assert_eq!(view.owners[&channel()], Owner::Other { prompt: false });
    let view = one.heartbeat(SOON, vec![(channel(), true)]).await.unwrap();
    assert_eq!((view.owners[&channel()], view.runs_out), (Owner::Me, None));
    let view = other.heartbeat(LEASE, Vec::new()).await.unwrap();
    assert!(view.runs_out.is_some_and(|left| left > SOON / 2 && left <= SOON), "{:?}", view.runs_out);
    assert_eq!(view.owners[&channel()], Owner::Other { prompt: true });
    // All or none: one of these is not free.
    one.release(vec![channel()]).await.unwrap();
    assert_eq!(other.acquire(LEASE, all()).await.unwrap(), None);
    let epochs = other.acquire(LEASE, vec![channel()]).await.unwrap().unwrap();
    assert!(epochs[0].0 > first[0].0, "the former owner is fenced off");
    // Not renewed, it is free; a process that is about to end has no share.
    let deadline = tokio::time::Instant::now() + SOON;
    while one.acquire(LEASE, vec![channel()]).await.unwrap().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "it does not run out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    other.heartbeat(SOON, Vec::new()).await.unwrap();
    one.heartbeat(SOON, Vec::new()).await.unwrap();
    other.deregister().await.unwrap();
    assert_eq!(one.heartbeat(SOON, Vec::new()).await.unwrap().processes, 1);
    // Until it has ended, it sends heartbeats; then it gives its channels back.
    assert_eq!(other.heartbeat(SOON, Vec::new()).await.unwrap().processes, 1);
    other.join();
    assert_eq!(other.heartbeat(SOON, Vec::new()).await.unwrap().processes, 2);
}

#[tokio::test]
async fn who_has_lost_a_channel_changes_nothing_of_it() {
    let Some((one, other, url)) = two().await else { return };
    let epoch = one.acquire(LEASE, vec![channel()]).await.unwrap().unwrap()[0];
    one.record(reading("a")).await.unwrap();
    let event = one.due_events(&channel(), 200, 1).await.unwrap().remove(0);
    one.accept(message(2, "a")).await.unwrap();
    let attempt = one.begin(&channel(), epoch, 100, 0, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    one.accept(message(3, "b")).await.unwrap();
    one.release(vec![channel()]).await.unwrap();
    let newer = other.acquire(LEASE, vec![channel()]).await.unwrap().unwrap()[0];
    assert_eq!(other.interrupted(&channel(), newer, 100, 100).await.unwrap().len(), 1);
    let stale = |outcome: Result<(), StoreError>| assert!(matches!(outcome, Err(StoreError::Stale)), "{outcome:?}");
    stale(one.begin(&channel(), epoch, 100, 0, 1, &Wordings::default()).await.map(drop));
    stale(one.settle(&attempt, sent(), 100).await);
    stale(one.record(reading("b")).await.map(drop));
    stale(one.published(&event, Publication::Done, 100).await);
    let chat = Chat { contact: event.contact.clone(), destination: "34600111222".parse().unwrap() };
    stale(one.note_unread(&channel(), &chat, "x".into()).await);
    stale(one.store_initial_snapshot(&channel(), Vec::new(), 100).await);
    let in_doubt = other.due_lookups(&channel(), 200, 1).await.unwrap().remove(0);
    stale(one.record_lookup(&in_doubt, crate::store::LookupResult::Failed, 300, 200).await);
    stale(one.resolve(&in_doubt, epoch, sent(), 200).await);
    other.published(&event, Publication::Done, 100).await.unwrap();
    other.resolve(&in_doubt, newer, sent(), 200).await.unwrap();
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM seen").await, ["1"]);
}

/// Returns the outcome of a call at `store`.
async fn came_to(store: &Arc<PostgresStore>, message: NewOutbound) -> AcceptOutcome {
    store.accept(message).await.unwrap().outcome
}

#[tokio::test]
async fn an_equal_call_at_another_process_waits_until_it_is_known_whether_the_first_was_answered() {
    let Some((one, other, _)) = two().await else { return };
    other.heartbeat(SOON, Vec::new()).await.unwrap();
    for (contact, reached) in [(1, true), (2, false)] {
        one.heartbeat(SOON, Vec::new()).await.unwrap();
        let first = message(contact, "ok");
        let m_id = first.m_id.clone();
        assert_eq!(came_to(&one, first).await, AcceptOutcome::New);
        let again = tokio::spawn({
            let other = Arc::clone(&other);
            async move { came_to(&other, message(contact, "ok")).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await; // it would not wait so long by chance
        assert!(!again.is_finished());
        one.record_responses(vec![(m_id.clone(), reached)]).await.unwrap();
        assert_eq!(again.await.unwrap(), if reached { AcceptOutcome::New } else { AcceptOutcome::RepeatOf(m_id) });
    }
    // Its process sends no heartbeats any more: responses that it did not give are lost.
    one.heartbeat(LEASE, Vec::new()).await.unwrap();
    let first = message(3, "ok");
    let m_id = first.m_id.clone();
    assert_eq!(came_to(&one, first).await, AcceptOutcome::New);
    assert_eq!(came_to(&other, message(3, "ok")).await, AcceptOutcome::RepeatOf(m_id.clone()));
    // The process that took it over gives the response: the first cannot record it any more.
    one.record_responses(vec![(m_id, false)]).await.unwrap();
    assert_eq!(came_to(&other, message(3, "ok")).await, AcceptOutcome::New);
}

/// A process that lives and does not say for longer than a dead one counts as alive, as on a machine that is too busy:
/// neither a repeat nor a second message is certain.
#[tokio::test]
async fn an_equal_call_is_refused_where_a_living_process_does_not_say_in_time_what_became_of_the_first() {
    let Some((one, other, _)) = two().await else { return };
    one.heartbeat(SOON, Vec::new()).await.unwrap();
    other.heartbeat(LEASE, Vec::new()).await.unwrap(); // it waits for as long
    let first = message(1, "ok");
    let m_id = first.m_id.clone();
    assert_eq!(came_to(&one, first).await, AcceptOutcome::New);
    assert_eq!(came_to(&other, message(1, "ok")).await, AcceptOutcome::EqualPending);
    one.record_responses(vec![(m_id.clone(), false)]).await.unwrap();
    assert_eq!(came_to(&other, message(1, "ok")).await, AcceptOutcome::RepeatOf(m_id));
}

/// A process stands still, its caller gives up and calls again at the other, and the process resumes.
#[tokio::test]
async fn a_call_that_was_made_again_at_another_process_is_not_stored_after_it() {
    let Some((one, other, _)) = two().await else { return };
    for process in [&one, &other] {
        process.heartbeat(SOON, Vec::new()).await.unwrap();
    }
    let again = message(1, "ok");
    let m_id = again.m_id.clone();
    assert_eq!(came_to(&other, again).await, AcceptOutcome::New);
    // Its caller leaves while it waits for the other process's response.
    let there = Arc::new(AtomicBool::new(true));
    let first = tokio::spawn({
        let (one, there) = (Arc::clone(&one), Arc::clone(&there));
        let caller = Caller::new(i64::MAX, move || there.load(Ordering::Relaxed));
        async move { one.accept(NewOutbound { caller, ..message(1, "ok") }).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await; // it has looked, and waits
    there.store(false, Ordering::Relaxed);
    other.record_responses(vec![(m_id, true)]).await.unwrap();
    let first = first.await.unwrap();
    assert!(matches!(first, Err(StoreError::Stale)), "{first:?}");
}

/// As above, behind a proxy that does not pass on that its client is gone: the age of the call decides.
#[tokio::test]
async fn an_old_call_is_not_stored_where_another_process_took_an_equal_one_since_it_came() {
    let Some((one, other, _)) = two().await else { return };
    for process in [&one, &other] {
        process.heartbeat(SOON, Vec::new()).await.unwrap();
    }
    let now_ms = clock::now_ms();
    let taken = |contact, ago_ms| NewOutbound { accepted_ms: now_ms - ago_ms, ..message(contact, "ok") };
    // When the other accepted the equal one, when this one arrived, whether it is stored.
    for (contact, taken_ago_ms, came_ago_ms, stored) in [
        (1, 1000, Some(3000), false),
        (2, 5000, Some(3000), true), // an answered message, and a later one with the same text
        (3, 100, None, true),        // two at about the same time: this one is not old, however slow the machine is
    ] {
        let first = taken(contact, taken_ago_ms);
        let m_id = first.m_id.clone();
        assert_eq!(came_to(&other, first).await, AcceptOutcome::New);
        other.record_responses(vec![(m_id, true)]).await.unwrap();
        let came = |ago_ms| Caller::new(clock::now_ms() - ago_ms, || true);
        let caller = came_ago_ms.map_or_else(Caller::stays, came);
        let outcome = one.accept(NewOutbound { caller, ..taken(contact, 0) }).await;
        assert_eq!(outcome.is_ok(), stored, "{contact}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_was_written_just_before_the_end_of_its_process_is_known_to_be() {
    let Some((one, other, url)) = two().await else { return };
    other.heartbeat(SOON, Vec::new()).await.unwrap();
    one.heartbeat(SOON, Vec::new()).await.unwrap();
    let noted = |m_id: &MId| format!("SELECT answered FROM outbound WHERE m_id = '{m_id}'");
    let deadline = tokio::time::Instant::now() + SOON;
    let mut m_ids = Vec::new();
    for (contact, words, value) in [(1, &[true][..], "3"), (2, &[true, false], "2"), (3, &[], "0")] {
        let first = message(contact, "ok");
        let m_id = first.m_id.clone();
        assert_eq!(came_to(&one, first).await, AcceptOutcome::New);
        for reached in words {
            one.journal_response(&m_id, *reached);
        }
        while beside(&url, &noted(&m_id)).await != [value] {
            assert!(tokio::time::Instant::now() < deadline, "{words:?} is not noted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        m_ids.push(m_id);
    }
    one.heartbeat(LEASE, Vec::new()).await.unwrap(); // its last heartbeat
    assert_eq!(came_to(&other, message(1, "ok")).await, AcceptOutcome::New);
    assert_eq!(came_to(&other, message(2, "ok")).await, AcceptOutcome::RepeatOf(m_ids[1].clone()));
    assert_eq!(came_to(&other, message(3, "ok")).await, AcceptOutcome::RepeatOf(m_ids[2].clone()));
}

#[tokio::test]
async fn an_answer_that_was_written_and_then_lost_is_lost() {
    let Some((one, other, url)) = two().await else { return };
    other.heartbeat(SOON, Vec::new()).await.unwrap();
    one.heartbeat(SOON, Vec::new()).await.unwrap();
    let first = message(1, "ok");
    let m_id = first.m_id.clone();
    assert_eq!(came_to(&one, first).await, AcceptOutcome::New);
    one.journal_response(&m_id, true);
    let deadline = tokio::time::Instant::now() + SOON;
    while beside(&url, "SELECT answered FROM outbound").await != ["3"] {
        assert!(tokio::time::Instant::now() < deadline, "it is not noted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    one.record_responses(vec![(m_id.clone(), false)]).await.unwrap();
    assert_eq!(came_to(&other, message(1, "ok")).await, AcceptOutcome::RepeatOf(m_id));
}

#[tokio::test]
async fn a_refusal_is_taken_once_by_the_process_that_has_the_caller() {
    let Some((one, other, url)) = two().await else { return };
    other.heartbeat(SOON, Vec::new()).await.unwrap();
    one.heartbeat(SOON, Vec::new()).await.unwrap();
    let epoch = other.acquire(SOON, vec![channel()]).await.unwrap().unwrap()[0];
    one.wakeups().register(&channel(), &AccountLoad::new(10)).set_remote(true);
    let mut refused = message(1, "refused");
    refused.waits = SOON;
    let m_id = refused.m_id.clone();
    assert_eq!(came_to(&one, refused).await, AcceptOutcome::New);
    let attempt = other.begin(&channel(), epoch, 100, 0, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    let failed = Settlement::Failed { fault: Fault::Busy, notice: Some("n".into()) };
    other.settle(&attempt, failed, 100).await.unwrap();
    let take = async |store: &Arc<PostgresStore>, again| {
        let m_ids = [m_id.as_str().to_owned()];
        let found = store.read(m_ids, |db, m_ids| Box::pin(remote_verdicts::find(db, m_ids))).await.unwrap();
        let asked = (found, again);
        store
            .pool
            .write("take_verdict", &asked, &|db, (found, again)| Box::pin(remote_verdicts::take(db, &found[0], *again)))
            .await
    };
    // The process that had the caller before resumes late; another has it now.
    assert_eq!(take(&other, false).await.unwrap(), FirstVerdict::Accepted);
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM events").await, ["1"]);
    assert_eq!(take(&one, false).await.unwrap(), FirstVerdict::Refused(Fault::Busy));
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM events").await, ["0"]);
    // Retried, since the reply to that commit was lost; the other cannot take it even then.
    assert_eq!(take(&one, true).await.unwrap(), FirstVerdict::Refused(Fault::Busy));
    assert_eq!(take(&other, true).await.unwrap(), FirstVerdict::Accepted);
    assert_eq!(take(&one, false).await.unwrap(), FirstVerdict::Accepted);
}

#[tokio::test]
async fn what_cannot_be_noted_takes_nothing_with_it() {
    let Some((one, _, url)) = two().await else { return };
    one.heartbeat(SOON, Vec::new()).await.unwrap();
    for contact in 0..60 {
        let new = message(contact, "ok");
        let m_id = new.m_id.clone();
        assert_eq!(came_to(&one, new).await, AcceptOutcome::New);
        one.journal_response(&m_id, true);
        one.journal_response(&MId::fresh(), true); // a row that is gone
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while beside(&url, "SELECT COUNT(*) FROM outbound WHERE answered = 3").await != ["60"] {
        assert!(tokio::time::Instant::now() < deadline, "some are not noted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
