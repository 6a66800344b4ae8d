//! Concurrency, and broken connections.

use std::collections::HashMap;

use super::*;
use crate::domain::Wordings;
use crate::domain::journey::{Means, Operator};
use crate::domain::matching::{Features, Match, ShownAs};
use crate::domain::operator_pause::PauseKind;
use crate::store::{Lesson, Paused};

/// Longest wait for what must come; generous, because tests share the machine.
const SOON: Duration = Duration::from_mins(1);

fn by() -> Operator {
    Operator::new("ana", Means::Cli, Some("asked for"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conversations_keep_their_order_under_many_hands() {
    let Some((store, url)) = fresh().await else { return };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let (contacts, each) = (5, 40_u32);
    let mut hands = Vec::new();
    for contact in 0..contacts {
        let store = Arc::clone(&store);
        hands.push(tokio::spawn(async move {
            for n in 0..each {
                store.accept(message(contact, &n.to_string())).await.unwrap();
            }
        }));
        // Others of the same conversation come between, in any order among themselves.
        let store = Arc::new(PostgresStore::open(&url).await.unwrap()); // as another process does
        hands.push(tokio::spawn(async move {
            for n in 0..each {
                store.accept(message(contact, &format!("other {n}"))).await.unwrap();
            }
        }));
    }
    let mut next: HashMap<String, u32> = HashMap::new();
    let all = 2 * contacts * each;
    let mut under_way = tokio::task::JoinSet::new();
    let mut done = 0;
    let started = tokio::time::Instant::now();
    while done < all {
        assert!(started.elapsed() < SOON, "{done} of {all} after {SOON:?}");
        let begun = store.begin(&channel(), epoch, 100, 0, 8, &Wordings::default()).await.unwrap().attempts;
        let idle = begun.is_empty();
        for attempt in begun {
            if let Ok(n) = words(&attempt).parse::<u32>() {
                let next = next.entry(attempt.contact.as_str().to_owned()).or_default();
                assert_eq!(n, *next, "{}", attempt.contact.as_str());
                *next += 1;
            }
            let store = Arc::clone(&store);
            under_way.spawn(async move { store.settle(&attempt, sent(), 200).await.unwrap() });
        }
        while under_way.try_join_next().is_some_and(|settled| settled.is_ok()) {
            done += 1;
        }
        if idle {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for hand in hands {
        hand.await.unwrap();
    }
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM outbound WHERE state = 'sent'").await, [all.to_string()]);
    assert_eq!(store.next_outbound_ms(&channel()).await.unwrap(), None);
}

#[tokio::test]
async fn calls_that_are_given_up_leave_no_transaction_open() {
    let Some((store, url)) = fresh().await else { return };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in 0..200_u32 {
        let soon = Duration::from_micros(u64::from(n) * 20);
        let _ = tokio::time::timeout(soon, store.accept(message(n % 7, "a"))).await;
        let _ = tokio::time::timeout(soon, store.next_outbound_ms(&channel())).await;
        let _ = tokio::time::timeout(soon, store.begin(&channel(), epoch, 0, 0, 1, &Wordings::default())).await;
    }
    store.check().await.unwrap();
    let left_open = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
         AND state_change < now() - interval '1 second' AND application_name LIKE '{}/%'",
        schema(&url)
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(beside(&url, &left_open).await, ["0"]);
    let kept: usize = beside(&url, "SELECT COUNT(*) FROM outbound").await[0].parse().unwrap();
    assert_eq!(kept, 200, "what was handed in is kept, whether its caller waited or not");
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let Some((store, url)) = fresh().await else { return };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let name = schema(&url);
    // This test's own connections: those of other tests stay.
    let end_all = format!(
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE query LIKE '%COMMIT%' AND state = 'idle' AND pid <> pg_backend_pid() AND application_name LIKE '{name}/%'"
    );
    for round in 0..3 {
        let accepts: Vec<_> = (0..8)
            .map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.accept(message(n, "a")).await })
            })
            .collect();
        for accept in accepts {
            accept.await.unwrap().unwrap();
        }
        let ended: usize = beside(&url, &end_all).await[0].parse().unwrap();
        assert!(ended > 0, "there was a connection to end");
        store.check().await.unwrap();
        store.accept(message(round, name)).await.unwrap();
    }
    assert_eq!(store.begin(&channel(), epoch, 100, 0, 100, &Wordings::default()).await.unwrap().attempts.len(), 8);
}

#[tokio::test]
async fn what_was_begun_in_a_commit_whose_answer_was_lost_is_begun_again() {
    let Some((store, _)) = fresh().await else { return };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a")).await.unwrap();
    store.accept(message(1, "b")).await.unwrap();
    let lost = store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts;
    assert!(store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts.is_empty());
    assert_eq!(store.next_outbound_ms(&channel()).await.unwrap(), None);
    store.maybe_claimed(&channel()).lock().await.push(lost[0].outbound_id);
    assert_eq!(store.next_outbound_ms(&channel()).await.unwrap(), Some(0), "though nothing else is due");
    let again = store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts;
    assert_eq!(again.iter().map(words).collect::<Vec<_>>(), ["a"]);
    assert!(store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts.is_empty(), "once");
    store.settle(&again[0], sent(), 200).await.unwrap();
    assert_eq!(words(&store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts[0]), "b");
}

#[tokio::test]
async fn far_sides_may_send_what_the_database_does_not_hold() {
    let Some((store, _)) = fresh().await else { return };
    let long = "x".repeat(20_000);
    for identity in ["nul \0 in it", &long] {
        let named = Some(identity.to_owned());
        let again = || ConversationRead { newest: named.clone(), position: named.clone(), ..reading(identity) };
        assert_eq!(store.record(again()).await.unwrap().events, 1);
        assert_eq!(store.record(again()).await.unwrap().events, 0, "seen before");
    }
}

#[tokio::test]
async fn behind_a_pooler_nothing_stays_prepared() {
    let Some((store, url)) = fresh().await else { return };
    store.close().await;
    let store = PostgresStore::open(&format!("{url}{}pgbouncer=true", if url.contains('?') { '&' } else { '?' }))
        .await
        .unwrap();
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a")).await.unwrap();
    let begun = store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts;
    store.settle(&begun[0], Settlement::Failed { fault: Fault::Busy, notice: Some("n".into()) }, 100).await.unwrap();
    assert_eq!(store.due_events(&channel(), 10_000, 9).await.unwrap().len(), 1);
    store.check().await.unwrap();
    let counted = store
        .pool
        .read(&(), &|db: &mut Db, (): &()| -> Work<'_, i64> {
            Box::pin(db.one("SELECT COUNT(*) FROM pg_prepared_statements", db::args![]))
        })
        .await;
    assert_eq!(counted.unwrap(), 0);
}

#[tokio::test]
async fn a_store_that_is_closed_says_so() {
    let Some((store, _)) = fresh().await else { return };
    store.close().await;
    assert!(matches!(store.accept(message(1, "a")).await, Err(StoreError::Closed)));
    assert!(matches!(store.check().await, Err(StoreError::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_that_wait_for_each_other_and_fall_silent_hold_a_lock_for_seconds_together() {
    let Some((store, url)) = fresh().await else { return };
    store.accept(message(1, "a")).await.unwrap();
    let silent = 6_u64;
    let mut waiting = Vec::new();
    for _ in 0..silent {
        let mut link = PgConnection::connect(&url).await.unwrap();
        link.execute(super::sql::BEGIN).await.unwrap();
        // None of these goes on, whatever the server replies to it.
        waiting.push(tokio::spawn(async move {
            let _ = link.execute("SELECT id FROM conversations FOR UPDATE").await;
            std::future::pending::<()>().await;
            drop(link);
        }));
    }
    let blocked = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = '{}'",
        schema(&url)
    );
    let began = tokio::time::Instant::now();
    while beside(&url, &blocked).await != [(silent - 1).to_string()] {
        assert!(began.elapsed() < SOON, "they do not wait for each other");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = tokio::time::Instant::now();
    while store.accept(message(1, "b")).await.is_err() {
        assert!(began.elapsed() < SOON, "the lock does not become free");
    }
    // Not five seconds for each.
    assert!(began.elapsed() < Duration::from_secs(5 * silent - 10), "{:?}", began.elapsed());
}

/// Returns the starts of this store's transactions that wait for a lock.
async fn waiting_since(url: &str) -> Vec<String> {
    let waits = format!(
        "SELECT xact_start::TEXT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '{}/%'",
        schema(url)
    );
    beside(url, &waits).await
}

/// Waits until a transaction of this store waits for a lock that began at another time than `but`.
async fn until_one_waits(url: &str, but: Option<&str>, of: &tokio::task::JoinHandle<impl Send>) -> Option<String> {
    let began = tokio::time::Instant::now();
    while !of.is_finished() {
        assert!(began.elapsed() < SOON, "none waits for a lock");
        if let Some(since) = waiting_since(url).await.into_iter().find(|since| Some(since.as_str()) != but) {
            return Some(since);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lock_that_is_not_free_in_time_is_waited_for_again() {
    let Some((store, url)) = fresh().await else { return };
    store.accept(message(1, "a")).await.unwrap();
    let mut holder = PgConnection::connect(&url).await.unwrap();
    holder.execute("BEGIN; SELECT id FROM conversations FOR UPDATE").await.unwrap();
    let first = Arc::clone(&store);
    let writing = tokio::spawn(async move {
        first.write("accept", 1_i64, |db, conversation| Box::pin(async move { db.lock(*conversation).await })).await
    });
    let since = until_one_waits(&url, None, &writing).await;
    until_one_waits(&url, since.as_deref(), &writing).await;
    holder.execute("COMMIT").await.unwrap();
    writing.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lesson_about_rewriting_undoes_no_other_that_is_stored_meanwhile() {
    let Some((store, url)) = fresh().await else { return };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a")).await.unwrap();
    let attempt = store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts.remove(0);
    store.settle(&attempt, sent(), 200).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    assert_eq!(Features::FILE.bits(), 2);
    other.execute("BEGIN; UPDATE channels SET verbatim = 2").await.unwrap();
    let mut shown = reading("r1");
    let row = &mut shown.rows[0];
    (row.events, row.from_customer) = (Vec::new(), false);
    row.matched = Some(Match { m_id: attempt.m_id, part: 0, last: true });
    row.lesson = Some(Lesson { features: Features::WORDS, how: ShownAs::Verbatim });
    let learning = Arc::clone(&store);
    let learning = tokio::spawn(async move { learning.record(shown).await });
    until_one_waits(&url, None, &learning).await;
    other.execute("COMMIT").await.unwrap();
    learning.await.unwrap().unwrap();
    let both = Features::FILE.with(Features::WORDS);
    assert_eq!(store.account_traits(&channel()).await.unwrap().verbatim, both);
}

#[tokio::test]
async fn a_pause_of_sends_is_stored_once_those_that_began_to_look_for_some_have_ended() {
    let Some((store, url)) = fresh().await else { return };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "a")).await.unwrap();
    // As another process does in `begin`: it holds the channel, and reads what is due.
    let mut link = PgConnection::connect(&url).await.unwrap();
    for statement in ["BEGIN", "SELECT epoch FROM channels WHERE channel = 'support' FOR KEY SHARE"] {
        link.execute(statement).await.unwrap();
    }
    let mut paused = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.pause(&channel(), PauseKind::Out, by(), 20).await }
    });
    let waits = format!(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '{}/%'",
        schema(&url)
    );
    let started = tokio::time::Instant::now();
    while !paused.is_finished() && beside(&url, &waits).await.is_empty() && started.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!paused.is_finished(), "it waits for the other");
    link.execute("COMMIT").await.unwrap();
    assert_eq!((&mut paused).await.unwrap().unwrap(), Paused::Now);
    let begun = store.begin(&channel(), epoch, 100, 0, 8, &Wordings::default()).await.unwrap();
    assert!(begun.attempts.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_pause_that_is_said_to_have_begun_is_stored_however_others_end_it_meanwhile() {
    let Some((store, url)) = fresh().await else { return };
    let (rounds, hands) = (150, 3);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..hands {
        let (one, other) = (Arc::clone(&store), Arc::clone(&store));
        tasks.spawn(async move {
            let mut begun = 0;
            for n in 0..rounds {
                begun += usize::from(one.pause(&channel(), PauseKind::In, by(), n).await.unwrap() == Paused::Now);
            }
            begun
        });
        tasks.spawn(async move {
            for n in 0..rounds {
                other.resume(&channel(), PauseKind::In, by(), n).await.unwrap();
            }
            0
        });
    }
    let begun: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM operator_pauses").await, [begun.to_string()]);
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM audit WHERE what = 'pause in'").await, [begun.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_that_is_locked_keeps_no_other_from_being_recorded_as_answered() {
    let Some((store, url)) = fresh().await else { return };
    let mut responses = Vec::new();
    for contact in 1..=3 {
        let message = message(contact, "a");
        responses.push((message.m_id.clone(), contact != 3));
        store.accept(message).await.unwrap();
    }
    let answered = || beside(&url, "SELECT answered FROM outbound ORDER BY id");
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let lock = format!("BEGIN; SELECT id FROM outbound WHERE m_id = '{}' FOR UPDATE", responses[1].0.as_str());
    holder.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock))).await.unwrap();
    let left = store.record_responses(responses.clone()).await.unwrap();
    assert_eq!(answered().await, ["1", "0", "2"]);
    assert_eq!(left, [responses[1].clone()]);
    holder.execute("COMMIT").await.unwrap();
    assert_eq!(store.record_responses(left).await.unwrap(), []);
    assert_eq!(answered().await, ["1", "1", "2"]);
    assert_eq!(store.record_responses(vec![(MId::fresh(), true)]).await.unwrap(), [], "there is no such message");
}
