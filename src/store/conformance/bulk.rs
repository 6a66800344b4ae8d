//! Decisions on many messages at once.

use std::collections::BTreeMap;

use super::*;
use crate::domain::operator_pause::PauseKind;

on_each_engine! {
    a_filter_describes_what_fulfils_all_of_it
    what_waits_is_read_in_one_order_whatever_the_pages
    a_conversation_that_has_moved_on_is_left_out_when_it_is_planned_and_when_it_is_done
    a_job_decides_each_once_whoever_works_on_it_and_however_often_the_store_is_opened
    a_job_that_discards_erases_texts_and_tells_agents
    a_job_of_events_posts_them_again_in_their_old_places
    a_job_over_what_failed_discards_nothing_that_waits_again
    a_job_of_events_decides_the_planned_ones_of_those_that_share_an_m_id
    a_job_that_retries_waits_while_a_channel_of_its_part_is_paused_by_hand
    a_job_keeps_its_pace_and_ends_where_a_person_ends_it
    a_job_goes_on_though_the_clock_was_set_back
    nothing_of_a_job_is_decided_before_its_whole_set_is_in
    a_job_of_which_the_making_was_interrupted_ends
    a_job_that_is_stopped_waits_for_a_person
    a_job_that_waits_for_the_end_of_a_pause_writes_each_half_minute
    a_job_that_nobody_goes_on_with_ends_with_the_texts_and_goes_with_the_rows
}

fn failed() -> BulkFilter {
    BulkFilter {
        state: BulkState::Failed,
        kind: None,
        channel: None,
        fault: None,
        since_ms: None,
        until_ms: None,
        contacts: Vec::new(),
        words: Vec::new(),
    }
}

fn notices() -> DiscardNotices {
    DiscardNotices { not_sent: "not sent".into(), perhaps_sent: "perhaps sent".into() }
}

/// Stores a message that has failed.
async fn fail(store: &Arc<dyn Store>, epoch: Epoch, who: u32, words: &str, at_ms: i64, fault: Fault) -> String {
    let new = message(who, words, at_ms);
    let m_id = new.m_id.to_string();
    store.accept(new).await.unwrap();
    let attempt = take(store, epoch, 1_000_000).await.remove(0);
    store.settle(&attempt, Settlement::Failed { fault, notice: None }, 1_000_000).await.unwrap();
    m_id
}

/// All that a filter describes, in pages of two.
async fn matches(store: &Arc<dyn Store>, filter: BulkFilter) -> Vec<BulkMatch> {
    in_pages_of(2, store, filter).await
}

async fn in_pages_of(limit: u32, store: &Arc<dyn Store>, filter: BulkFilter) -> Vec<BulkMatch> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let BulkPage { found, next } = store.bulk().bulk_page(filter.clone(), after, limit).await.unwrap();
        assert!(found.len() <= limit as usize && (next.is_none() || next != after), "{found:?}");
        all.extend(found);
        after = next;
        if after.is_none() {
            return all;
        }
    }
}

async fn m_ids(store: &Arc<dyn Store>, filter: BulkFilter) -> Vec<String> {
    matches(store, filter).await.into_iter().map(|found| found.m_id).collect()
}

async fn event_ids(store: &Arc<dyn Store>, filter: BulkFilter) -> Vec<String> {
    matches(store, filter).await.into_iter().map(|found| found.id.to_string()).collect()
}

/// A job that is to be made, and its set.
type Planned = (NewJob, Vec<Vec<String>>);

fn job(action: BulkAction, state: BulkState, parts: Vec<Vec<String>>) -> Planned {
    (NewJob { action, state, filter: "{}".into(), moved_on: false, spacing_ms: 0, by: by() }, parts)
}

/// Makes a job with its whole set.
async fn add(store: &Arc<dyn Store>, (new, parts): Planned, now_ms: i64) -> i64 {
    let job = store.bulk().add_job(new, now_ms).await.unwrap();
    store.bulk().fill_job(job, JobParts { first: 0, parts, are_last: true }, now_ms).await.unwrap();
    job
}

async fn work(store: &Arc<dyn Store>, job: i64) -> Job {
    loop {
        let there = store.bulk().work_job(job, notices(), 2_000_000).await.unwrap().unwrap();
        if there.is_over() {
            return there;
        }
    }
}

async fn a_filter_describes_what_fulfils_all_of_it(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let offer = fail(&store, epoch, 1, "Gran OFERTA de Navidad", 100, Fault::NoRoute).await;
    let other = fail(&store, epoch, 2, "otra cosa", 200, Fault::FileUrl).await;
    let discarded = fail(&store, epoch, 3, "oferta discarded", 300, Fault::NoRoute).await;
    store.discard(discarded.into(), notices(), by(), 400).await.unwrap();
    let waits = message(4, "oferta de navidad", 500);
    let queued = waits.m_id.to_string();
    store.accept(waits).await.unwrap();
    let words = |typed: &str| crate::domain::find::words_of(typed);
    for (filter, expected) in [
        (failed(), vec![&offer, &other]),
        (BulkFilter { fault: Some("INCORRECT_FILEURL".into()), ..failed() }, vec![&other]),
        (BulkFilter { words: words("navidad oferta"), ..failed() }, vec![&offer]),
        (BulkFilter { words: words("\"oferta navidad\""), ..failed() }, vec![]),
        (BulkFilter { kind: Some("text"), ..failed() }, vec![&offer, &other]),
        (BulkFilter { kind: Some("location"), ..failed() }, vec![]),
        (BulkFilter { since_ms: Some(101), ..failed() }, vec![&other]),
        (BulkFilter { until_ms: Some(200), ..failed() }, vec![&offer]),
        (BulkFilter { contacts: vec![contact(2).to_string()], ..failed() }, vec![&other]),
        (BulkFilter { channel: Some("another".into()), ..failed() }, vec![]),
        (BulkFilter { state: BulkState::Queued, words: words("oferta"), ..failed() }, vec![&queued]),
        (BulkFilter { state: BulkState::Dead, ..failed() }, vec![]),
    ] {
        assert_eq!(m_ids(&store, filter.clone()).await.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
    store.purge(3_000_000, 0, 10).await.unwrap();
    let wiped = matches(&store, failed()).await;
    assert!(wiped.len() == 2 && wiped.iter().all(|found| !found.has_text), "{wiped:?}");
    assert!(
        m_ids(&store, BulkFilter { words: words("oferta"), ..failed() }).await.is_empty(),
        "what is erased says nothing"
    );
}

/// A plan that a person saw is told by its ids in their order.
async fn what_waits_is_read_in_one_order_whatever_the_pages(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    for (n, who) in (0..).zip([1, 2, 3, 2, 1, 3, 1]) {
        store.accept(message(who, &format!("{n}"), n)).await.unwrap();
    }
    let waits = BulkFilter { state: BulkState::Queued, ..failed() };
    let order = async |limit| {
        let found = in_pages_of(limit, &store, waits.clone()).await;
        found.into_iter().map(|found| found.id).collect::<Vec<_>>()
    };
    let one_page = order(100).await;
    assert_eq!(one_page.len(), 7);
    for limit in 1..7 {
        assert_eq!(order(limit).await, one_page, "pages of {limit}");
    }
}

async fn a_conversation_that_has_moved_on_is_left_out_when_it_is_planned_and_when_it_is_done(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut ids = Vec::new();
    for who in 1..=3 {
        ids.push(fail(&store, epoch, who, "a", i64::from(who), Fault::NoRoute).await);
    }
    let speak = |who| {
        let store = Arc::clone(&store);
        async move {
            store.accept(message(who, "later", 900)).await.unwrap();
            let attempt = take(&store, epoch, 1_000_000).await.remove(0);
            send(&store, &attempt).await;
        }
    };
    speak(1).await;
    let found = matches(&store, failed()).await;
    assert_eq!(found.iter().map(|found| found.moved_on).collect::<Vec<_>>(), [true, false, false]);
    let again = add(&store, job(BulkAction::Retry, BulkState::Failed, vec![ids.clone()]), 10).await;
    speak(2).await;
    let there = work(&store, again).await;
    assert_eq!((there.done, there.skipped), (1, 2), "moved on before and since");
    assert_eq!(
        take(&store, epoch, 2_000_000).await.iter().map(|one| one.m_id.to_string()).collect::<Vec<_>>(),
        ids[2..]
    );
    let (all, parts) = job(BulkAction::Retry, BulkState::Failed, vec![ids.clone()]);
    let all = (NewJob { moved_on: true, ..all }, parts);
    let all = add(&store, all, 10).await;
    let there = work(&store, all).await;
    assert_eq!((there.done, there.skipped), (2, 1), "the third is being sent");
}

async fn a_job_decides_each_once_whoever_works_on_it_and_however_often_the_store_is_opened(engine: Engine) {
    let fresh = engine.fresh().await;
    let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
    let mut ids = Vec::new();
    for who in 0..60 {
        ids.push(fail(&fresh.store, epoch, who, "a", i64::from(who), Fault::NoRoute).await);
    }
    let parts: Vec<Vec<String>> = ids.chunks(5).map(<[String]>::to_vec).collect();
    let again = add(&fresh.store, job(BulkAction::Retry, BulkState::Failed, parts), 10).await;
    for _ in 0..3 {
        fresh.store.bulk().work_job(again, notices(), 2_000_000).await.unwrap();
    }
    let fresh = fresh.again().await;
    let store = Arc::clone(&fresh.store);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let there = store.bulk().job(again).await.unwrap().unwrap();
    assert_eq!((there.done, there.total, there.is_over()), (15, 60, false));
    // What was sent again and has failed again is not sent a second time by it.
    let sent_again = take(&store, epoch, 2_000_000).await;
    assert_eq!(sent_again.len(), 15);
    for attempt in &sent_again {
        store.settle(attempt, Settlement::Failed { fault: Fault::NoRoute, notice: None }, 2_000_000).await.unwrap();
    }
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { work(&store, again).await })
        })
        .collect();
    for worker in workers {
        let there = worker.await.unwrap();
        assert_eq!((there.done, there.skipped), (60, 0));
    }
    assert_eq!(take(&store, epoch, 2_000_000).await.len(), 45);
    let mut steps: BTreeMap<usize, usize> = BTreeMap::new();
    for m_id in &ids {
        let journey = store.journey(m_id.clone()).await.unwrap().unwrap();
        let decided = |past: &crate::domain::journey::PastStep| {
            matches!(past.step, Some(crate::domain::journey::Step::Decision { .. }))
        };
        *steps.entry(journey.message.unwrap().steps.iter().filter(|past| decided(past)).count()).or_default() += 1;
    }
    assert_eq!(steps, BTreeMap::from([(1, 60)]), "one step each");
    let audited = "SELECT COUNT(*) FROM audit WHERE what = 'retry of many'";
    assert_eq!(fresh.folder.ask(audited).await, [Some("1".to_owned())], "and one row for all");
    let audited = format!("SELECT COUNT(*) FROM audit WHERE target = 'job {again}'");
    assert_eq!(fresh.folder.ask(&audited).await, [Some("1".to_owned())]);
}

async fn a_job_that_discards_erases_texts_and_tells_agents(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut ids = Vec::new();
    for who in 1..=4 {
        let new = message(who, "a broadcast", 10);
        ids.push(new.m_id.to_string());
        store.accept(new).await.unwrap();
        store.accept(message(who, "behind it", 11)).await.unwrap();
    }
    let stop = add(&store, job(BulkAction::Discard, BulkState::Queued, vec![ids.clone()]), 10).await;
    let begun =
        store.begin(&channel(), epoch, 100, i64::MAX, 1, &Wordings::default()).await.unwrap().attempts.remove(0);
    let there = work(&store, stop).await;
    assert_eq!((there.done, there.skipped), (3, 1), "one is being sent");
    send(&store, &begun).await;
    let told = store.due_events(&channel(), 9_000_000, 9).await.unwrap();
    assert_eq!(told.len(), 3);
    for due in &told {
        assert!(ids.contains(&due.event.m_id.to_string()) && due.event.m_id != begun.m_id);
        assert!(matches!(&due.event.body, EventBody::MessageStatus { message, .. } if message == "not sent"));
    }
    assert_eq!(take(&store, epoch, 100).await.iter().map(words).collect::<Vec<_>>(), ["behind it"; 4]);
    let left = "SELECT COUNT(*) FROM outbound WHERE content LIKE '%broadcast%'";
    assert_eq!(fresh.folder.ask(left).await, [Some("1".to_owned())]);
}

async fn a_job_of_events_posts_them_again_in_their_old_places(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "a"), ("r2", "b"), ("r3", "c")])).await.unwrap();
    for _ in 0..2 {
        let due = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
        store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
    }
    let dead = || BulkFilter { state: BulkState::Dead, ..failed() };
    let found = event_ids(&store, BulkFilter { words: vec!["b".into()], ..dead() }).await;
    let again = add(&store, job(BulkAction::Retry, BulkState::Dead, vec![found]), 10).await;
    let there = work(&store, again).await;
    assert_eq!((there.done, there.skipped), (1, 0));
    assert_eq!(store.due_events(&channel(), 2000, 9).await.unwrap()[0].event, customer_says("b"), "before the third");
    let rest = event_ids(&store, dead()).await;
    let gone = add(&store, job(BulkAction::Discard, BulkState::Dead, vec![rest.clone()]), 10).await;
    assert_eq!((rest.len(), work(&store, gone).await.done), (1, 1));
    assert!(m_ids(&store, dead()).await.is_empty());
}

async fn a_job_over_what_failed_discards_nothing_that_waits_again(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut ids = Vec::new();
    for who in 1..=2 {
        ids.push(fail(&store, epoch, who, "a", i64::from(who), Fault::NoRoute).await);
    }
    let gone = add(&store, job(BulkAction::Discard, BulkState::Failed, vec![ids.clone()]), 10).await;
    store.retry(ids[0].clone().into(), by(), 20).await.unwrap();
    let there = work(&store, gone).await;
    assert_eq!((there.done, there.skipped), (1, 1), "one waits again");
    let begun = take(&store, epoch, 2_000_000).await;
    assert_eq!(begun.iter().map(|one| one.m_id.to_string()).collect::<Vec<_>>(), ids[..1]);
    send(&store, &begun[0]).await;

    // One that waited at the plan and has failed since was meant too.
    let waits = message(3, "a", 30);
    let m_id = waits.m_id.to_string();
    store.accept(waits).await.unwrap();
    let gone = job(BulkAction::Discard, BulkState::Queued, vec![vec![m_id]]);
    let gone = add(&store, gone, 40).await;
    let attempt = take(&store, epoch, 2_000_000).await.remove(0);
    store.settle(&attempt, Settlement::Failed { fault: Fault::NoRoute, notice: None }, 2_000_000).await.unwrap();
    assert_eq!(work(&store, gone).await.done, 1);
}

async fn a_job_of_events_decides_the_planned_ones_of_those_that_share_an_m_id(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let dead = || BulkFilter { state: BulkState::Dead, ..failed() };
    let new = message(1, "a", 10);
    let m_id = new.m_id.to_string();
    store.accept(new).await.unwrap();
    for words in ["first", "second"] {
        let attempt = take(&store, epoch, 1_000_000).await.remove(0);
        let settlement = Settlement::Failed { fault: Fault::NoRoute, notice: Some(words.into()) };
        store.settle(&attempt, settlement, 1_000_000).await.unwrap();
        let due = store.due_events(&channel(), 9_000_000, 9).await.unwrap().remove(0);
        store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
        if words == "first" {
            store.retry(m_id.clone().into(), by(), 2000).await.unwrap();
        }
    }
    let both = event_ids(&store, dead()).await;
    assert_eq!(m_ids(&store, dead()).await, [m_id.clone(), m_id]);
    let planned = vec![both[..1].to_vec()];
    let gone = add(&store, job(BulkAction::Discard, BulkState::Dead, planned), 10).await;
    let there = work(&store, gone).await;
    assert_eq!((there.done, there.skipped, there.total), (1, 0, 1));
    assert_eq!(event_ids(&store, dead()).await, both[1..], "the other was not planned");
    let again = add(&store, job(BulkAction::Retry, BulkState::Dead, vec![both]), 10).await;
    let there = work(&store, again).await;
    assert_eq!((there.done, there.skipped, there.total), (1, 1, 2), "one is discarded");
}

async fn a_job_that_retries_waits_while_a_channel_of_its_part_is_paused_by_hand(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut ids = Vec::new();
    for who in 1..=2 {
        ids.push(fail(&store, epoch, who, "a", i64::from(who), Fault::NoRoute).await);
    }
    store.record(reading(3, &[("r1", "in")])).await.unwrap();
    let due = store.due_events(&channel(), 2000, 9).await.unwrap().remove(0);
    store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 2000).await.unwrap();
    let dead = event_ids(&store, BulkFilter { state: BulkState::Dead, ..failed() }).await;
    let mut jobs = Vec::new();
    for (action, state, part) in [
        (BulkAction::Retry, BulkState::Failed, vec![ids[0].clone()]),
        (BulkAction::Discard, BulkState::Failed, vec![ids[1].clone()]),
        (BulkAction::Retry, BulkState::Dead, dead),
    ] {
        jobs.push(add(&store, job(action, state, vec![part]), 3000).await);
    }
    let worked = |nth: usize, now_ms| {
        let (store, job) = (Arc::clone(&store), jobs[nth]);
        async move {
            let there = store.bulk().work_job(job, notices(), now_ms).await.unwrap().unwrap();
            (there.done, there.paused, there.is_over())
        }
    };
    store.pause(&"sales".parse().unwrap(), PauseKind::In, by(), 3000).await.unwrap();
    store.pause(&channel(), PauseKind::Out, by(), 3000).await.unwrap();
    assert_eq!(worked(0, 4000).await, (0, true, false));
    assert_eq!(worked(1, 4000).await, (1, false, true), "nothing goes out by a discard");
    assert_eq!(worked(2, 4000).await, (1, false, true), "posts of this channel go on");
    assert_eq!(worked(0, 5000).await, (0, true, false), "it goes on to wait");
    store.resume(&channel(), PauseKind::Out, by(), 5500).await.unwrap();
    assert_eq!(worked(0, 6000).await, (1, false, true));

    let due = store.due_events(&channel(), 9_000_000, 9).await.unwrap().remove(0);
    store.published(&due, Publication::Dead { fault: Fault::Http(400) }, 7000).await.unwrap();
    let dead = event_ids(&store, BulkFilter { state: BulkState::Dead, ..failed() }).await;
    store.pause(&channel(), PauseKind::In, by(), 7000).await.unwrap();
    let posts = add(&store, job(BulkAction::Retry, BulkState::Dead, vec![dead]), 7000).await;
    let there = store.bulk().work_job(posts, notices(), 8000).await.unwrap().unwrap();
    assert!(there.done == 0 && there.paused, "{there:?}");
}

async fn a_job_goes_on_though_the_clock_was_set_back(engine: Engine) {
    const HOUR: i64 = 3_600_000;
    let fresh = engine.fresh().await;
    let (then, now) = (100 * HOUR, 99 * HOUR);
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
        let mut parts = Vec::new();
        for _ in 0..4 {
            let who = u32::try_from(10 * jobs.len() + parts.len()).unwrap();
            parts.push(vec![fail(&fresh.store, epoch, who, "a", i64::from(who), Fault::NoRoute).await]);
        }
        let (paced, parts) = job(BulkAction::Retry, BulkState::Failed, parts);
        let paced = (NewJob { spacing_ms: 5000, ..paced }, parts);
        jobs.push(add(&fresh.store, paced, then).await);
    }
    let work = |store: &Arc<dyn Store>, job, now_ms| {
        let store = Arc::clone(store);
        async move { store.bulk().work_job(job, notices(), now_ms).await.unwrap().unwrap() }
    };
    for job in &jobs {
        assert_eq!(work(&fresh.store, *job, then).await.done, 1);
    }
    assert_eq!(work(&fresh.store, jobs[0], now).await.done, 2, "in the midst of its work");
    assert_eq!(work(&fresh.store, jobs[0], now + 4999).await.done, 2, "at its pace");
    fresh.store.accept(message(90, "new", then)).await.unwrap();

    let FreshStore { store, folder: _folder } = fresh.again().await;
    assert_eq!(store.correct_clock_rollback(now).await.unwrap(), HOUR);
    let there = store.bulk().job(jobs[1]).await.unwrap().unwrap();
    assert_eq!((there.worked_ms, there.next_ms), (now, now + 5000), "at the start of a process");
    assert_eq!(work(&store, jobs[1], now + 5000).await.done, 2);
}

async fn a_job_keeps_its_pace_and_ends_where_a_person_ends_it(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut parts = Vec::new();
    for who in 0..3 {
        let one = fail(&store, epoch, 2 * who, "a", i64::from(who), Fault::NoRoute).await;
        parts.push(vec![one, fail(&store, epoch, 2 * who + 1, "a", i64::from(who), Fault::NoRoute).await]);
    }
    let (paced, parts) = job(BulkAction::Retry, BulkState::Failed, parts);
    let paced = (NewJob { spacing_ms: 100, ..paced }, parts);
    let paced = add(&store, paced, 10).await;
    let done = |now_ms| {
        let store = Arc::clone(&store);
        async move { store.bulk().work_job(paced, notices(), now_ms).await.unwrap().unwrap().done }
    };
    assert_eq!((done(1000).await, done(1000).await, done(1199).await, done(1200).await), (2, 2, 2, 4));
    let (there, ended) = store.bulk().cancel_job(paced, by(), 1300).await.unwrap().unwrap();
    assert!(ended && there.cancelled_ms == Some(1300) && there.done == 4, "{there:?}");
    assert_eq!(done(9000).await, 4, "what is done stays done, and no more is");
    assert!(!store.bulk().cancel_job(paced, by(), 1400).await.unwrap().unwrap().1, "it is over");
    assert!(store.bulk().cancel_job(99, by(), 1400).await.unwrap().is_none());
    assert!(store.bulk().work_job(99, notices(), 1400).await.unwrap().is_none());
    assert_eq!(store.bulk().jobs(9).await.unwrap(), [there]);
}

async fn a_job_that_nobody_goes_on_with_ends_with_the_texts_and_goes_with_the_rows(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let left = job(BulkAction::Retry, BulkState::Failed, vec![vec!["m".into()]]);
    let left = add(&store, left, 1000).await;
    store.purge(1000, 0, 100).await.unwrap();
    assert!(!store.bulk().job(left).await.unwrap().unwrap().is_over());
    let before_ms = crate::domain::clock::now_ms();
    store.purge(1001, 0, 100).await.unwrap();
    let there = store.bulk().job(left).await.unwrap().unwrap();
    assert!(there.cancelled_ms.is_some_and(|ms| ms >= before_ms), "it ended now: {there:?}");
    assert_eq!(fresh.folder.ask("SELECT COUNT(*) FROM job_parts").await, [Some("0".to_owned())]);
    store.purge(1001, 1001, 100).await.unwrap();
    assert_eq!(store.bulk().jobs(9).await.unwrap(), []);
}

async fn nothing_of_a_job_is_decided_before_its_whole_set_is_in(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut ids = Vec::new();
    for who in 1..=3 {
        ids.push(fail(&store, epoch, who, "a", i64::from(who), Fault::NoRoute).await);
    }
    let bulk = store.bulk();
    let (new, _) = job(BulkAction::Retry, BulkState::Failed, Vec::new());
    let made = bulk.add_job(new, 1000).await.unwrap();
    let some = |nth: usize, are_last| {
        let parts = ids[nth..=nth].iter().map(|id| vec![id.clone()]).collect();
        JobParts { first: i64::try_from(nth).unwrap(), parts, are_last }
    };
    let audited = format!("SELECT COUNT(*) FROM audit WHERE target = 'job {made}'");
    for nth in 0..2 {
        bulk.fill_job(made, some(nth, false), 1000).await.unwrap();
        let there = bulk.work_job(made, notices(), 2_000_000).await.unwrap().unwrap();
        assert!(!there.goes_on() && !there.is_over() && there.done == 0, "{there:?}");
        assert!(!bulk.job_and_work(made, 2_000_000).await.unwrap().unwrap().1);
    }
    assert_eq!(matches(&store, failed()).await.len(), 3);
    assert_eq!(fresh.folder.ask(&audited).await, [Some("0".to_owned())], "it was not begun");
    bulk.fill_job(made, some(2, true), 1000).await.unwrap();
    assert_eq!(fresh.folder.ask(&audited).await, [Some("1".to_owned())]);
    assert!(bulk.job_and_work(made, 2_000_000).await.unwrap().unwrap().1);
    let more = bulk.fill_job(made, some(2, true), 1000).await;
    assert!(matches!(more, Err(StoreError::Stale)), "its set is fixed: {more:?}");
    let there = work(&store, made).await;
    assert_eq!((there.done, there.total), (3, 3));
}

async fn a_job_of_which_the_making_was_interrupted_ends(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = Arc::clone(&fresh.store);
    let bulk = store.bulk();
    let long = crate::store::rules::FILLING_MS;
    let new = || job(BulkAction::Retry, BulkState::Failed, Vec::new()).0;
    let parts = |are_last| JobParts { first: 0, parts: vec![vec!["m".into()]; 3], are_last };
    let begun = bulk.add_job(new(), 1000).await.unwrap();
    bulk.fill_job(begun, parts(false), 2000).await.unwrap();
    bulk.add_job(new(), 2000 + long).await.unwrap();
    assert!(!bulk.job(begun).await.unwrap().unwrap().is_over(), "it may be under way");
    let whole = add(&store, job(BulkAction::Retry, BulkState::Failed, vec![vec!["m".into()]]), 1000).await;
    bulk.add_job(new(), 2001 + long).await.unwrap();
    let there = bulk.job(begun).await.unwrap().unwrap();
    assert_eq!((there.cancelled_ms, there.filled, there.done), (Some(2001 + long), false, 0));
    let late = bulk.fill_job(begun, parts(true), 2002 + long).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert!(bulk.job(whole).await.unwrap().unwrap().goes_on(), "another");

    // What is left of it goes in steps of a bounded size, and in the end all that were left.
    let parts_left = format!("SELECT COUNT(*) FROM job_parts WHERE job = {begun}");
    store.purge(0, 0, 2).await.unwrap();
    assert_eq!(fresh.folder.ask(&parts_left).await, [Some("1".to_owned())]);
    store.purge(0, i64::MAX - 1, 2).await.unwrap();
    assert!(bulk.jobs(9).await.unwrap().iter().all(Job::is_over), "the clock is far ahead of all of them");
}

async fn a_job_that_is_stopped_waits_for_a_person(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let mut parts = Vec::new();
    for who in 0..3 {
        parts.push(vec![fail(&store, epoch, who, "a", i64::from(who), Fault::NoRoute).await]);
    }
    let bulk = store.bulk();
    let made = add(&store, job(BulkAction::Retry, BulkState::Failed, parts), 10).await;
    assert_eq!(bulk.work_job(made, notices(), 1000).await.unwrap().unwrap().done, 1);
    bulk.stop_job(made, "the store is unavailable".into(), 2000).await.unwrap();
    let there = bulk.work_job(made, notices(), 3000).await.unwrap().unwrap();
    assert!(there.done == 1 && !there.is_over() && !there.goes_on() && there.worked_ms == 2000, "{there:?}");
    assert_eq!(there.stopped.as_deref(), Some("the store is unavailable"));
    assert_eq!(bulk.job_and_work(made, 3000).await.unwrap().unwrap(), (there, false));
    bulk.resume_job(made, 4000).await.unwrap();
    let there = work(&store, made).await;
    assert_eq!((there.done, there.stopped), (3, None));
    bulk.stop_job(made, "late".into(), 5000).await.unwrap();
    assert_eq!(bulk.job(made).await.unwrap().unwrap().stopped, None, "it is over");

    // One that nobody goes on with ends as any other.
    let left = add(&store, job(BulkAction::Retry, BulkState::Failed, vec![vec!["m".into()]]), 6000).await;
    bulk.stop_job(left, "why".into(), 7000).await.unwrap();
    store.purge(8000, 0, 10).await.unwrap();
    assert!(bulk.job(left).await.unwrap().unwrap().is_over());
}

async fn a_job_that_waits_for_the_end_of_a_pause_writes_each_half_minute(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let one = fail(&store, epoch, 1, "a", 1, Fault::NoRoute).await;
    let bulk = store.bulk();
    let made = add(&store, job(BulkAction::Retry, BulkState::Failed, vec![vec![one]]), 1000).await;
    store.pause(&channel(), PauseKind::Out, by(), 1000).await.unwrap();
    let has_work = |now_ms| {
        let store = Arc::clone(&store);
        async move { store.bulk().job_and_work(made, now_ms).await.unwrap().unwrap().1 }
    };
    assert!(has_work(2000).await, "that it waits is not known yet");
    assert!(bulk.work_job(made, notices(), 2000).await.unwrap().unwrap().paused);
    for now_ms in [2500, 3000, 10_000, 31_999, 1500] {
        assert!(!has_work(now_ms).await, "at {now_ms}");
    }
    assert!(has_work(32_000).await, "so that it counts as worked on");
    store.resume(&channel(), PauseKind::Out, by(), 10_000).await.unwrap();
    assert!(has_work(10_001).await, "the pause is over");
    assert!(work(&store, made).await.ended_ms.is_some());
    assert!(bulk.job_and_work(99, 1).await.unwrap().is_none());
}
