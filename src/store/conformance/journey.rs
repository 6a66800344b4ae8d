//! What is recorded of a message's past, what is not, and how it leaves.

use super::*;
use crate::domain::excerpt::Excerpt;
use crate::domain::journey::{
    Action, AttemptOutcome, EventKind, EventState, KeptWaiting, LookupConclusion, LookupStep, MessageState, PauseCause,
    PostOutcome, ResponseReceipt, Step,
};

on_each_engine! {
    of_what_goes_well_nothing_is_recorded
    a_step_is_recorded_with_what_follows_from_it_and_the_same_again_is_one_more_of_it
    no_more_steps_are_kept_of_a_message_than_two_hundred_and_a_persons
    a_settlement_that_changes_nothing_records_nothing
    a_post_that_was_not_taken_is_a_step_of_its_event
    what_a_former_owner_left_is_a_step
    a_repeated_call_is_a_step_and_no_second_message
    what_a_person_did_is_a_step_and_a_row_of_the_audit
    what_waits_names_what_it_waits_for
    a_long_wait_names_each_pause_that_lasted_meanwhile_and_what_went_first
    what_waited_behind_a_doubt_is_told_once_it_is_decided
    excerpts_leave_with_the_text_and_steps_with_their_row
    of_an_erased_person_no_step_is_left
    of_an_erased_person_the_audit_keeps_no_reason
}

async fn counts(folder: &Home) -> [i64; 3] {
    let counted = "SELECT (SELECT COUNT(*) FROM steps), (SELECT COUNT(*) FROM excerpts), (SELECT COUNT(*) FROM audit)";
    let counts = folder.ask(counted).await;
    [0, 1, 2].map(|at| counts[at].as_deref().unwrap().parse().unwrap())
}

fn failed_attempt(attempt: &Attempt, outcome: AttemptOutcome, fault: &Fault) -> Attempt {
    let Attempt { number, part, .. } = *attempt;
    let step = Step::Attempt { attempt: number, part, outcome, fault: fault.code(), took_ms: Some(7), http: Some(503) };
    let excerpt = Excerpt::new("503 Service Unavailable", []);
    Attempt { note: Some(StepRecord { step, excerpt }), ..attempt.clone() }
}

/// Accepts a message of contact `n` and begins it.
async fn begun(store: &Arc<dyn Store>, epoch: Epoch, n: u32) -> Attempt {
    store.accept(message(n, "words", 10)).await.unwrap();
    take(store, epoch, 100).await.remove(0)
}

async fn again(store: &Arc<dyn Store>, attempt: &Attempt, fault: Fault, now_ms: i64) {
    let attempt = failed_attempt(attempt, AttemptOutcome::NotSent, &fault);
    store.settle(&attempt, Settlement::Queued { due_ms: Some(now_ms), fault }, now_ms).await.unwrap();
}

async fn journey(store: &Arc<dyn Store>, m_id: &str) -> Journey {
    store.journey(m_id.to_owned()).await.unwrap().unwrap()
}

async fn of_what_goes_well_nothing_is_recorded(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let attempt = begun(&store, epoch, 1).await;
    store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: false }, 110).await.unwrap();
    store.record_responses(vec![(attempt.m_id.clone(), true)]).await.unwrap();
    store.record(reading(1, &[("r1", "hello")])).await.unwrap();
    let due = store.due_events(&channel(), 2000, 1).await.unwrap().remove(0);
    store.published(&due, Publication::Done, 2000).await.unwrap();
    assert_eq!(counts(&folder).await, [0, 0, 0]);
    let told = journey(&store, attempt.m_id.as_str()).await;
    let message = told.message.unwrap();
    assert_eq!(
        (message.state, message.done_ms, message.answer),
        (MessageState::Sent, Some(110), ResponseReceipt::Read)
    );
    assert!(message.steps.is_empty() && told.events.is_empty());
    let event = journey(&store, due.event.m_id.as_str()).await;
    assert!(event.message.is_none());
    assert_eq!((event.events[0].state, event.events[0].kind), (EventState::Done, EventKind::Message));
    assert!(store.journey("nobody".into()).await.unwrap().is_none());
}

async fn a_step_is_recorded_with_what_follows_from_it_and_the_same_again_is_one_more_of_it(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut attempt = begun(&store, epoch, 1).await;
    for n in 1..=5 {
        again(&store, &attempt, Fault::Http(503), 100 * n).await;
        attempt = take(&store, epoch, 100 * n).await.remove(0);
    }
    assert_eq!(counts(&folder).await, [1, 1, 0]);
    let unknown = failed_attempt(&attempt, AttemptOutcome::Unknown, &Fault::TimedOut);
    store.settle(&unknown, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 700 }, 600).await.unwrap();
    let mut in_doubt = store.due_lookups(&channel(), 700, 1).await.unwrap().remove(0);
    for number in 1..=2 {
        let look = LookupStep { number, rows: 4, proofs: number, ..LookupStep::default() };
        in_doubt.attempt.note = Some(Step::Lookup(look).into());
        store.record_lookup(&in_doubt, LookupResult::Absent, 800, 700).await.unwrap();
    }
    let found = LookupStep { number: 3, conclusion: LookupConclusion::Found, ..LookupStep::default() };
    in_doubt.attempt.note = Some(Step::Lookup(found).into());
    store.resolve(&in_doubt, epoch, Settlement::Sent { afilnet_id: None, more: false }, 900).await.unwrap();
    let message = journey(&store, attempt.m_id.as_str()).await.message.unwrap();
    let told: Vec<_> = message.steps.iter().map(|past| (past.at_ms, past.until_ms, past.times)).collect();
    assert_eq!(told, [(100, 500, 5), (600, 600, 1), (700, 700, 1), (700, 700, 1), (900, 900, 1)]);
    assert!(matches!(message.steps[0].step, Some(Step::Attempt { attempt: 5, .. })), "the newest of them");
    assert_eq!(message.steps[0].excerpt.as_deref(), Some("503 Service Unavailable"));
    assert_eq!(message.steps[4].step, Some(Step::Lookup(found)));
}

async fn no_more_steps_are_kept_of_a_message_than_two_hundred_and_a_persons(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut attempt = begun(&store, epoch, 1).await;
    for n in 0..205 {
        again(&store, &attempt, if n % 2 == 0 { Fault::Http(503) } else { Fault::Unreachable }, 100).await;
        attempt = take(&store, epoch, 100).await.remove(0);
    }
    assert_eq!(counts(&folder).await, [200, 200, 0]);
    let refused = failed_attempt(&attempt, AttemptOutcome::Failed, &Fault::FileUrl);
    store.settle(&refused, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 200).await.unwrap();
    store.retry(attempt.m_id.to_string().into(), by(), 300).await.unwrap();
    assert_eq!(counts(&folder).await, [201, 200, 1]);
}

async fn a_settlement_that_changes_nothing_records_nothing(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let attempt = failed_attempt(&begun(&store, epoch, 1).await, AttemptOutcome::NotSent, &Fault::Busy);
    let stale = Attempt { number: 7, ..attempt.clone() };
    let queued = Settlement::Queued { due_ms: None, fault: Fault::Busy };
    assert!(matches!(store.settle(&stale, queued.clone(), 100).await, Err(StoreError::Stale)));
    assert_eq!(counts(&folder).await, [0, 0, 0]);
    store.settle(&attempt, queued.clone(), 100).await.unwrap();
    assert!(matches!(store.settle(&attempt, queued, 100).await, Err(StoreError::Stale)), "stored before");
    assert_eq!(counts(&folder).await, [1, 1, 0]);
}

async fn a_post_that_was_not_taken_is_a_step_of_its_event(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "hello")])).await.unwrap();
    let mut due = store.due_events(&channel(), 2000, 1).await.unwrap().remove(0);
    for outcome in [PostOutcome::Again, PostOutcome::Again, PostOutcome::Dead] {
        let (fault, http) = ("http_422".to_owned(), Some(422));
        due.note = Some(Step::Post { attempt: 1, outcome, fault, took_ms: None, http }.into());
        let fault = Fault::Http(422);
        let publication = match outcome {
            PostOutcome::Again => Publication::Queued { due_ms: 2000, fault },
            PostOutcome::Dead => Publication::Dead { fault },
        };
        store.published(&due, publication, 2000).await.unwrap();
    }
    let event = journey(&store, due.event.m_id.as_str()).await.events.remove(0);
    assert_eq!((event.state, event.attempt, event.has_text), (EventState::Dead, 3, true));
    assert_eq!(event.steps.iter().map(|past| past.times).collect::<Vec<_>>(), [2, 1]);
}

async fn what_a_former_owner_left_is_a_step(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let left = begun(&store, epoch, 1).await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.interrupted(&channel(), epoch, 300, 200).await.unwrap();
    let message = journey(&store, left.m_id.as_str()).await.message.unwrap();
    assert_eq!((message.state, message.look_ms), (MessageState::Unknown, Some(300)));
    let (attempt, fault) = (1, Fault::Interrupted.code());
    let step = Step::Attempt { attempt, part: 0, outcome: AttemptOutcome::Unknown, fault, took_ms: None, http: None };
    assert_eq!(message.steps[0].step, Some(step));
}

async fn a_repeated_call_is_a_step_and_no_second_message(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    store.take_ownership(&channel()).await.unwrap();
    let keyed = |at_ms| NewOutbound { key: Some("a-key".parse().unwrap()), ..message(1, "words", at_ms) };
    let first = keyed(10);
    let m_id = first.m_id.clone();
    store.accept(first).await.unwrap();
    for at_ms in [20, 30] {
        let accepted = store.accept(keyed(at_ms)).await.unwrap();
        assert_eq!(accepted.outcome, AcceptOutcome::RepeatOf(m_id.clone()));
    }
    assert_eq!(counts(&folder).await, [1, 0, 0]);
    let message = journey(&store, m_id.as_str()).await.message.unwrap();
    let past = &message.steps[0];
    assert_eq!((past.at_ms, past.until_ms, past.times, &past.step), (20, 30, 2, &Some(Step::Repeat)));
}

async fn what_a_person_did_is_a_step_and_a_row_of_the_audit(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let attempt = begun(&store, epoch, 1).await;
    let m_id = attempt.m_id.to_string();
    let retried = store.retry(m_id.clone().into(), by(), 90).await.unwrap();
    assert_eq!((retried, counts(&folder).await), (ManualOutcome::Not("sending".into()), [0, 0, 0]), "nothing was done");
    store.settle(&attempt, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 100).await.unwrap();
    store.retry(m_id.clone().into(), by(), 200).await.unwrap();
    let attempt = take(&store, epoch, 300).await.remove(0);
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 400 }, 300).await.unwrap();
    store.decide(m_id.clone().into(), Decision::Failed, "n".into(), by(), 400).await.unwrap();
    let notices = DiscardNotices { not_sent: "n".into(), perhaps_sent: "p".into() };
    store.discard(m_id.clone().into(), notices, by(), 500).await.unwrap();
    let steps = journey(&store, &m_id).await.message.unwrap().steps;
    let decided = [Action::Retried, Action::SettledFailed, Action::Discarded].map(|action| Some(by().decided(action)));
    assert_eq!(steps.iter().map(|past| past.step.clone()).collect::<Vec<_>>(), decided);
    let audit = folder.ask("SELECT at_ms, who, means, what, target, detail FROM audit ORDER BY id DESC").await;
    let audit: Vec<&str> = audit.iter().flatten().map(String::as_str).collect();
    assert_eq!(audit, ["500", "ana", "cli", "discard", &m_id, r#"{"why":"asked for"}"#]);
    assert_eq!(counts(&folder).await[2], 3);
    // Dead events, one by one and all of a time.
    store.record(reading(2, &[("r1", "one"), ("r2", "two")])).await.unwrap();
    for _ in 0..2 {
        let due = store.due_events(&channel(), 2000, 1).await.unwrap().remove(0);
        store.published(&due, Publication::Dead { fault: Fault::Http(422) }, 2000).await.unwrap();
    }
    let event = customer_says("one").m_id.to_string();
    store.retry(event.clone().into(), by(), 3000).await.unwrap();
    assert_eq!(store.retry_given_up(None, 0, 9, by(), 4000).await.unwrap(), 1);
    assert_eq!(counts(&folder).await, [5, 0, 5]);
    assert_eq!(journey(&store, &event).await.events[0].steps[0].step, Some(by().decided(Action::Retried)));
}

async fn what_waits_names_what_it_waits_for(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let head = begun(&store, epoch, 1).await;
    let (second, other) = (message(1, "second", 11), message(2, "elsewhere", 12));
    let (second_id, other_id) = (second.m_id.to_string(), other.m_id.to_string());
    store.accept(second).await.unwrap();
    let refused = failed_attempt(&head, AttemptOutcome::NotSent, &Fault::NoCredits);
    let waits = Settlement::Queued { due_ms: None, fault: Fault::NoCredits };
    store.settle(&refused, waits, 100).await.unwrap();
    store.accept(other).await.unwrap();
    let behind = journey(&store, &second_id).await.message.unwrap().behind.unwrap();
    let head_fault = Some("NO_CREDITS".to_owned());
    assert_eq!((behind.count, behind.head, behind.fault), (1, head.m_id.to_string(), head_fault));
    let waits = journey(&store, &other_id).await.message.unwrap();
    let fault = waits.channel_fault.unwrap();
    assert_eq!((fault.at_ms, fault.fault.as_str(), waits.behind), (100, "NO_CREDITS", None));
}

async fn a_long_wait_names_each_pause_that_lasted_meanwhile_and_what_went_first(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let name = channel();
    let fault = |code: Option<&str>, at_ms| {
        let (store, name, code) = (Arc::clone(&store), name.clone(), code.map(str::to_owned));
        async move { store.set_paused_by(vec![(name, code)], at_ms).await.unwrap() }
    };
    fault(Some("http_503"), 1_000).await;
    fault(None, 2_000).await; // before it came
    let (first, waits) = (message(1, "first", 10_000), message(1, "waits", 10_000));
    let m_id = waits.m_id.to_string();
    store.accept(first).await.unwrap();
    store.accept(waits).await.unwrap();
    store.pause(&channel(), crate::domain::operator_pause::PauseKind::Out, by(), 11_000).await.unwrap();
    store.resume(&channel(), crate::domain::operator_pause::PauseKind::Out, by(), 20_000).await.unwrap().unwrap();
    fault(Some("NO_CREDITS"), 30_000).await;
    fault(Some("NO_CREDITS"), 35_000).await; // told once more, as by a process that took the channel over
    fault(None, 40_000).await;
    fault(Some("NO_CREDITS"), 50_000).await; // the same again within a minute
    fault(Some("http_503"), 60_000).await;
    fault(None, 70_000).await;
    for at_ms in [80_000, 90_000] {
        let attempt = take(&store, epoch, at_ms).await.remove(0);
        store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: false }, at_ms).await.unwrap();
    }
    fault(Some("http_503"), 200_000).await; // later
    let wait = journey(&store, &m_id).await.message.unwrap().wait.unwrap();
    let by_fault = |fault: &str| PauseCause::Fault { fault: fault.to_owned() };
    let found: Vec<_> = wait.pauses.iter().map(|past| (past.since_ms, past.ended_ms, past.cause.clone())).collect();
    let person = PauseCause::Person { who: "ana".into(), why: "asked for".into() };
    assert_eq!(
        found,
        [
            (11_000, Some(20_000), person),
            (30_000, Some(60_000), by_fault("NO_CREDITS")),
            (60_000, Some(70_000), by_fault("http_503")),
        ]
    );
    assert_eq!((wait.since_ms, wait.until_ms, wait.ahead), (10_000, 90_000, 1));
    // One that a person gives up before it is tried has waited until then.
    let given_up = message(2, "given up", 10_000);
    let m_id = given_up.m_id.to_string();
    store.accept(given_up).await.unwrap();
    let notices = DiscardNotices { not_sent: "n".into(), perhaps_sent: "p".into() };
    store.discard(m_id.clone().into(), notices, by(), 90_000).await.unwrap();
    let wait = journey(&store, &m_id).await.message.unwrap().wait.unwrap();
    assert_eq!((wait.since_ms, wait.until_ms, wait.pauses.len()), (10_000, 90_000, 3));
    let rows = async || folder.ask("SELECT CAST(COUNT(*) AS BIGINT) FROM channel_pauses").await[0].clone().unwrap();
    assert_eq!(rows().await, "4");
    store.purge(100_000, 100_000, 10).await.unwrap();
    assert_eq!(rows().await, "1", "the one that lasts stays");
    store.close().await;
}

async fn what_waited_behind_a_doubt_is_told_once_it_is_decided(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let attempt = begun(&store, epoch, 1).await;
    for at_ms in [200, 300] {
        store.accept(message(1, "behind", at_ms)).await.unwrap();
    }
    let in_doubt = failed_attempt(&attempt, AttemptOutcome::Unknown, &Fault::TimedOut);
    store.settle(&in_doubt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 400 }, 350).await.unwrap();
    let m_id = attempt.m_id.to_string();
    assert_eq!(journey(&store, &m_id).await.message.unwrap().kept_waiting, None, "as long as it is in doubt");
    store.decide(m_id.clone().into(), Decision::Delivered, "n".into(), by(), 81_200).await.unwrap();
    store.accept(message(1, "later", 90_000)).await.unwrap();
    let kept = journey(&store, &m_id).await.message.unwrap().kept_waiting;
    assert_eq!(kept, Some(KeptWaiting { count: 2, longest_ms: 81_000 }));
    take(&store, epoch, 91_000).await;
    let kept = journey(&store, &m_id).await.message.unwrap().kept_waiting;
    assert_eq!(kept.map(|kept| kept.count), Some(2), "when they have begun, too");
    store.close().await;
}

async fn excerpts_leave_with_the_text_and_steps_with_their_row(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in 1..=3 {
        let attempt = begun(&store, epoch, n).await;
        let attempt = failed_attempt(&attempt, AttemptOutcome::Failed, &Fault::FileUrl);
        let failed = Settlement::Failed { fault: Fault::FileUrl, notice: None };
        store.settle(&attempt, failed, i64::from(n) * 1000).await.unwrap();
    }
    assert_eq!(counts(&folder).await, [3, 3, 0]);
    store.purge(1500, 500, 10).await.unwrap();
    assert_eq!(counts(&folder).await, [3, 2, 0], "of the one whose text is erased");
    store.purge(2500, 1500, 10).await.unwrap();
    assert_eq!(counts(&folder).await, [2, 1, 0], "of the one whose row is gone");
    let left = store.list(Filter { limit: 9, ..Filter::default() }).await.unwrap();
    let notices = DiscardNotices { not_sent: "n".into(), perhaps_sent: "p".into() };
    store.discard(left[0].m_id.clone().into(), notices, by(), 5000).await.unwrap();
    assert_eq!(counts(&folder).await, [3, 0, 1], "the text of a discarded one is erased at once");
    store.purge(9000, 9000, 10).await.unwrap();
    store.purge(9000, 9000, 10).await.unwrap();
    assert_eq!(counts(&folder).await[..2], [0, 0]);
}

async fn of_an_erased_person_no_step_is_left(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    for n in [1, 2] {
        let attempt = begun(&store, epoch, n).await;
        let attempt = failed_attempt(&attempt, AttemptOutcome::Failed, &Fault::FileUrl);
        store.settle(&attempt, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 100).await.unwrap();
        store.record(reading(n, &[(&format!("r{n}"), &format!("says {n}"))])).await.unwrap();
    }
    for mut due in store.due_events(&channel(), 2000, 9).await.unwrap() {
        let (outcome, fault) = (PostOutcome::Dead, "http_422".to_owned());
        let step = Step::Post { attempt: 1, outcome, fault, took_ms: None, http: Some(422) };
        due.note = Some(StepRecord { step, excerpt: Excerpt::new("no", []) });
        store.published(&due, Publication::Dead { fault: Fault::Http(422) }, 2000).await.unwrap();
    }
    assert_eq!(counts(&folder).await, [4, 4, 0]);
    let person = Person { names: [contact(1).to_string(), contact(1).as_str()[1..].to_owned()], channel: None };
    assert!(store.erase(person, Erase::Settled, 1_000_000).await.unwrap().done);
    assert_eq!(counts(&folder).await, [2, 2, 0]);
}

async fn of_an_erased_person_the_audit_keeps_no_reason(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let named = |n: u32| Operator::new("ana", Means::Cli, Some(&format!("CANARY{n} called from 60{n} 11 12 22")));
    for n in [1, 2] {
        let attempt = begun(&store, epoch, n).await;
        store.settle(&attempt, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 100).await.unwrap();
        let notices = DiscardNotices { not_sent: "n".into(), perhaps_sent: "p".into() };
        store.discard(attempt.m_id.to_string().into(), notices.clone(), named(n), 200).await.unwrap();
        store.record(reading(n, &[(&format!("r{n}"), &format!("says {n}"))])).await.unwrap();
    }
    for due in store.due_events(&channel(), 2000, 9).await.unwrap() {
        let m_id = due.event.m_id.to_string();
        store.published(&due, Publication::Dead { fault: Fault::Http(422) }, 2000).await.unwrap();
        let n = if m_id == customer_says("says 1").m_id.as_str() { 1 } else { 2 };
        store.retry(m_id.into(), named(n), 3000).await.unwrap();
    }
    let reasons = "SELECT COUNT(*), COUNT(detail), SUM(CASE WHEN detail LIKE '%CANARY1%' THEN 1 ELSE 0 END), \
         SUM(CASE WHEN detail LIKE '%11 12 22%' THEN 1 ELSE 0 END) FROM audit";
    let counted = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap).collect::<Vec<_>>();
    assert_eq!(counted(folder.ask(reasons).await), ["4", "4", "2", "0"], "numbers are not stored at all");
    let person = Person { names: [contact(1).to_string(), contact(1).as_str()[1..].to_owned()], channel: None };
    assert!(store.erase(person, Erase::Waiting, 1_000_000).await.unwrap().done);
    assert_eq!(counted(folder.ask(reasons).await), ["4", "2", "0", "0"], "who did what stays");
}
