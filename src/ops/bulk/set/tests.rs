//! Tests of [`super`], over jobs that are kept in memory; those of who works on jobs use these too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::domain::journey::Means;
use crate::store::{BulkAction, DiscardNotices, Job};

/// Jobs of which each page of a set is given, and what is written is noted.
#[derive(Default)]
pub(in crate::ops) struct Fake {
    /// Of each reading of the set one after the other.
    pub(in crate::ops) pages: Mutex<VecDeque<Vec<i64>>>,
    pub(in crate::ops) writes: Mutex<Vec<String>>,
    /// What `job_and_work` and `work_job` return; `None`: `work_job` fails.
    pub(in crate::ops) looks: Mutex<VecDeque<(Job, bool)>>,
    pub(in crate::ops) worked: Mutex<VecDeque<Option<Job>>>,
    /// Calls of `stop_job` that fail.
    pub(in crate::ops) out_of_reach: Mutex<u32>,
    /// Of `fill_job` and `cancel_job` those that store what they should, and whose answer is lost: by the end of their note.
    lost: Vec<&'static str>,
}

fn unavailable() -> StoreError {
    StoreError::Unavailable(Arc::new(std::io::Error::other("no disk")))
}

impl Fake {
    fn note(&self, what: impl Into<String>) {
        self.writes.lock().unwrap().push(what.into());
    }

    fn answer(&self) -> Result<(), StoreError> {
        let writes = self.writes.lock().unwrap();
        let is_lost = writes.last().is_some_and(|last| self.lost.iter().any(|lost| last.ends_with(lost)));
        if is_lost { Err(unavailable()) } else { Ok(()) }
    }

    pub(in crate::ops) fn written(&self) -> Vec<String> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }
}

fn one(id: i64) -> BulkMatch {
    BulkMatch {
        id,
        conversation: 1000 - id,
        m_id: format!("m{id}"),
        channel: "support".into(),
        contact: "+34600111222".into(),
        kind: "text".into(),
        at_ms: 0,
        fault: String::new(),
        has_text: true,
        moved_on: false,
        since_ms: 0,
    }
}

#[async_trait]
impl BulkJobs for Fake {
    async fn bulk_page(&self, _: BulkFilter, after: Option<Place>, limit: u32) -> Result<BulkPage, StoreError> {
        assert!(limit <= PAGE);
        let mut pages = self.pages.lock().unwrap();
        let ids = pages.pop_front().unwrap_or_default();
        let next = pages.front().is_some_and(|next| !next.is_empty()).then_some(Place { conversation: 0, id: 0 });
        assert_eq!(after.is_some(), after.is_some_and(|place| place == Place { conversation: 0, id: 0 }));
        if next.is_none() {
            pages.pop_front(); // the gap before another reading
        }
        Ok(BulkPage { found: ids.into_iter().map(one).collect(), next })
    }

    async fn add_job(&self, _: NewJob, _: i64) -> Result<i64, StoreError> {
        self.note("add");
        Ok(7)
    }

    async fn fill_job(&self, job: i64, parts: JobParts, _: i64) -> Result<(), StoreError> {
        let ids: usize = parts.parts.iter().map(Vec::len).sum();
        self.note(format!("fill {job} from {}: {ids} in {}, {}", parts.first, parts.parts.len(), parts.are_last));
        self.answer()
    }

    async fn job_and_work(&self, _: i64, _: i64) -> Result<Option<(Job, bool)>, StoreError> {
        let mut looks = self.looks.lock().unwrap();
        let look = if looks.len() > 1 { looks.pop_front() } else { looks.front().cloned() };
        Ok(look)
    }

    async fn work_job(&self, _: i64, _: DiscardNotices, _: i64) -> Result<Option<Job>, StoreError> {
        self.note("work");
        self.worked.lock().unwrap().pop_front().flatten().map(Some).ok_or_else(unavailable)
    }

    async fn stop_job(&self, job: i64, why: String, _: i64) -> Result<(), StoreError> {
        let mut out_of_reach = self.out_of_reach.lock().unwrap();
        if *out_of_reach > 0 {
            *out_of_reach -= 1;
            return Err(unavailable());
        }
        self.note(format!("stop {job}: {why}"));
        Ok(())
    }

    async fn resume_job(&self, _: i64, _: i64) -> Result<(), StoreError> {
        unreachable!("nobody goes on with it")
    }

    async fn cancel_job(&self, job: i64, by: Operator, _: i64) -> Result<Option<(Job, bool)>, StoreError> {
        self.note(format!("cancel {job} with why: {}", by.why().is_some()));
        self.answer().map(|()| None)
    }

    async fn job(&self, _: i64) -> Result<Option<Job>, StoreError> {
        Ok(None)
    }

    async fn jobs(&self, _: u32) -> Result<Vec<Job>, StoreError> {
        Ok(Vec::new())
    }
}

fn filter(state: BulkState) -> BulkFilter {
    BulkFilter {
        state,
        kind: None,
        channel: None,
        fault: None,
        since_ms: None,
        until_ms: None,
        contacts: Vec::new(),
        words: Vec::new(),
    }
}

async fn made(fake: &Fake, at_once: usize, expected: Option<&Set>) -> FillOutcome {
    outcome(fake, at_once, expected).await.unwrap()
}

async fn outcome(fake: &Fake, at_once: usize, expected: Option<&Set>) -> Result<FillOutcome, StoreError> {
    let new = NewJob {
        action: BulkAction::Retry,
        state: BulkState::Failed,
        filter: "{}".into(),
        moved_on: false,
        spacing_ms: 0,
        by: Operator::new("ana", Means::Page, None),
    };
    let selection = Selection { retries: true, takes_moved_on: false, up_to: 1_000_000, waits_since_ms: 0 };
    make(fake, &filter(BulkState::Failed), selection, at_once, new, expected).await
}

fn set(ids: impl IntoIterator<Item = i64>) -> Set {
    let mut summed = RunningDigest::default();
    for id in ids {
        summed.add(id).unwrap();
    }
    summed.set()
}

#[tokio::test(start_paused = true)]
async fn a_job_takes_its_set_in_small_transactions_and_is_whole_with_the_last() {
    let pages: Vec<Vec<i64>> = (0..3).map(|nth| (nth * 500..(nth + 1) * 500).collect()).collect();
    let fake = Fake { pages: Mutex::new([&pages[..], &[vec![1500]]].concat().into()), ..Fake::default() };
    let all = set(0..=1500);
    assert_eq!(made(&fake, 20, Some(&all)).await, FillOutcome::Job(7, 1501));
    assert_eq!(
        fake.written(),
        [
            "add",
            "fill 7 from 0: 500 in 25, false",
            "fill 7 from 25: 500 in 25, false",
            "fill 7 from 50: 500 in 25, false",
            "fill 7 from 75: 1 in 1, true"
        ]
    );
    let fake = Fake { pages: Mutex::new(vec![(0..250).collect()].into()), ..Fake::default() };
    assert_eq!(made(&fake, 1, None).await, FillOutcome::Job(7, 250));
    let written =
        ["fill 7 from 0: 100 in 100, false", "fill 7 from 100: 100 in 100, false", "fill 7 from 200: 50 in 50, true"];
    assert_eq!(fake.written()[1..], written);
}

#[tokio::test(start_paused = true)]
async fn a_job_of_another_set_than_was_seen_ends_before_anything_of_it_is_decided() {
    let seen = set(1..=40);
    for (now, count) in [((2..=41).collect::<Vec<i64>>(), 40), ((1..=39).collect(), 39), (Vec::new(), 0)] {
        let fake = Fake { pages: Mutex::new(vec![now].into()), ..Fake::default() };
        assert_eq!(made(&fake, 1, Some(&seen)).await, FillOutcome::Changed(count));
        let written = fake.written();
        assert_eq!((written[0].as_str(), written.last().unwrap().as_str()), ("add", "cancel 7 with why: true"));
        assert!(!written.iter().any(|write| write.ends_with("true") && write.starts_with("fill")), "{written:?}");
    }
}

/// It may be stored as a whole, and a start goes on with such a job.
#[tokio::test(start_paused = true)]
async fn a_job_of_which_nobody_knows_whether_it_was_made_is_named_and_not_denied() {
    const FILLED: [&str; 2] = [", false", ", true"];
    for (lost, expected) in [
        (vec![FILLED[1], "with why: true"], Some(FillOutcome::Unclear(7))),
        (vec![FILLED[1]], None),
        (vec![FILLED[0], "with why: true"], None), // it lacks its last part
    ] {
        let fake = Fake { pages: Mutex::new(vec![(0..101).collect()].into()), lost: lost.clone(), ..Fake::default() };
        let outcome = outcome(&fake, 1, None).await;
        assert_eq!(outcome.is_err(), expected.is_none(), "{lost:?}: {outcome:?}");
        assert_eq!(outcome.ok(), expected);
        assert!(fake.written().last().unwrap().starts_with("cancel 7"), "{lost:?}");
    }
    for words in super::super::unclear(7) {
        assert!(words.contains('7') && words.contains("`bridge messages cancel 7`"), "{words}");
    }
}

#[test]
fn a_set_has_a_bound_and_is_told_from_any_other() {
    let mut summed = RunningDigest::default();
    for id in 0..100_000 {
        assert_eq!(summed.add(id), Ok(()));
    }
    assert_eq!(summed.add(100_000), Err(TooMany));
    assert_eq!(summed.set().count, MOST);
    assert_eq!(set([1, 2, 3]), set([1, 2, 3]));
    assert_ne!(set([1, 2, 4]), set([1, 3, 4]), "of one number, up to one id");
}

#[test]
fn what_came_after_a_plan_was_seen_is_not_chosen() {
    let selection = Selection { retries: false, takes_moved_on: false, up_to: 10, waits_since_ms: 100 };
    let again = BulkMatch { since_ms: 101, ..one(10) };
    for (one, state, expected) in [
        (one(10), BulkState::Failed, true),
        (one(11), BulkState::Failed, false),
        (one(10), BulkState::Queued, true),
        (again.clone(), BulkState::Queued, false),
        (again, BulkState::Failed, true),
        (BulkMatch { has_text: false, ..one(1) }, BulkState::Failed, false),
    ] {
        assert_eq!(selection.takes(&one, state), expected, "{one:?} {state:?}");
    }
}

#[test]
fn a_part_is_in_the_order_of_conversations() {
    let some: Vec<BulkMatch> = (0..3).map(one).collect();
    assert_eq!(parts(BulkState::Failed, 2, &some), [vec!["m1", "m0"], vec!["m2"]]);
    assert_eq!(parts(BulkState::Dead, 2, &some), [vec!["1", "0"], vec!["2"]], "events by their own ids");
}
