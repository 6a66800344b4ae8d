//! The set of a plan or a job, page by page: what is kept of it here does not grow with it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::domain::clock::now_ms;
use crate::domain::journey::Operator;
use crate::store::{BulkFilter, BulkJobs, BulkMatch, BulkPage, BulkState, JobParts, NewJob, Place, StoreError};

/// Messages of a job, at most.
pub(crate) const MOST: usize = 100_000;

/// Rows that one read looks at.
const PAGE: u32 = 500;

/// Messages and parts that one transaction adds to a job, at most.
const ADDED: usize = 500;
const PARTS: usize = 100;

/// Pause between two transactions, at least, and no less than the one before took: a bridge that waits for its turn looks now and then
/// whether it has come.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Which of the matching messages are chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub(super) retries: bool,
    /// Messages of conversations that have moved on are chosen too.
    pub(super) takes_moved_on: bool,
    /// No higher ids.
    pub(super) up_to: i64,
    /// Of messages that wait, only those queued before (epoch ms).
    pub(super) waits_since_ms: i64,
}

impl Selection {
    pub(super) fn takes(&self, one: &BulkMatch, state: BulkState) -> bool {
        let was_there = one.id <= self.up_to && (state != BulkState::Queued || one.since_ms <= self.waits_since_ms);
        one.has_text && was_there && (!self.retries || self.takes_moved_on || !one.moved_on)
    }
}

/// Size and digest of a set, which differ from those of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) count: usize,
    /// The highest id.
    pub(crate) newest: i64,
    /// Digest of all ids, in the order in which they are read; hexadecimal.
    pub(crate) digest: String,
}

/// A set while it is read.
#[derive(Default)]
pub(super) struct RunningDigest {
    pub(super) count: usize,
    newest: i64,
    digest: Sha256,
}

/// A set has more messages than [`MOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl RunningDigest {
    pub(super) fn add(&mut self, id: i64) -> Result<(), TooMany> {
        if self.count >= MOST {
            return Err(TooMany);
        }
        self.count += 1;
        self.newest = self.newest.max(id);
        self.digest.update(id.to_be_bytes());
        Ok(())
    }

    pub(super) fn set(self) -> Set {
        let digest = self.digest.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // a string takes it
            hex
        });
        Set { count: self.count, newest: self.newest, digest }
    }
}

/// The pages of what a filter describes.
pub(super) struct Pages<'a> {
    jobs: &'a dyn BulkJobs,
    filter: &'a BulkFilter,
    after: Option<Place>,
    over: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(jobs: &'a dyn BulkJobs, filter: &'a BulkFilter) -> Self {
        Self { jobs, filter, after: None, over: false }
    }

    /// Returns the next page, ordered by id; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<BulkMatch>>, StoreError> {
        if self.over {
            return Ok(None);
        }
        let BulkPage { found, next } = self.jobs.bulk_page(self.filter.clone(), self.after, PAGE).await?;
        (self.after, self.over) = (next, next.is_none());
        Ok(Some(found))
    }
}

/// The result of filling a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FillOutcome {
    /// It has its whole set, of this size.
    Job(i64, usize),
    TooMany,
    /// The set has changed since: its size now.
    Changed(usize),
    /// The store answered neither whether the job has its whole set nor whether it is ended: it may be worked on.
    Unclear(i64),
}

/// Makes a job of what is chosen. Its set is added in transactions of a bounded size with pauses between them, so that other writes
/// never wait for the whole, and nothing of it is decided before all of it is in. `expected`: what the set must be; `None`: whatever
/// it is now.
pub(super) async fn make(
    jobs: &dyn BulkJobs,
    filter: &BulkFilter,
    selection: Selection,
    at_once: usize,
    new: NewJob,
    expected: Option<&Set>,
) -> Result<FillOutcome, StoreError> {
    let by = new.by.clone();
    let job = jobs.add_job(new, now_ms()).await?;
    let (made, is_unclear) = match fill_but_last(jobs, filter, selection, at_once, job, expected).await {
        Ok(Ok((last, count))) => match jobs.fill_job(job, last, now_ms()).await {
            Ok(()) => return Ok(FillOutcome::Job(job, count)),
            Err(error) => {
                let is_unclear = matches!(error, StoreError::Unavailable(_)); // its last part may be stored all the same
                (Err(error), is_unclear)
            }
        },
        Ok(Err(not_made)) => (Ok(not_made), false),
        Err(error) => (Err(error), false),
    };
    let why = "its set changed, or could not be stored as a whole, while it was made";
    let by = Operator::new(by.who(), by.means, Some(why));
    match jobs.cancel_job(job, by, now_ms()).await {
        Ok(_) => made,
        Err(error) => {
            let outlook = if is_unclear { "may have been made" } else { "was not made, and will be ended in minutes" };
            tracing::warn!(error = &error as &dyn std::error::Error, "job {job} {outlook}");
            // One that lacks its last part is ended later, since no more parts are added to it.
            if is_unclear { Ok(FillOutcome::Unclear(job)) } else { made }
        }
    }
}

/// Adds all of a set but its last part. Returns that, and the number of the whole; or why there is no job to be made.
async fn fill_but_last(
    jobs: &dyn BulkJobs,
    filter: &BulkFilter,
    selection: Selection,
    at_once: usize,
    job: i64,
    expected: Option<&Set>,
) -> Result<Result<(JobParts, usize), FillOutcome>, StoreError> {
    let (mut pages, mut summed, mut first) = (Pages::new(jobs, filter), RunningDigest::default(), 0);
    let added_at_once = at_once * (ADDED / at_once).clamp(1, PARTS);
    let mut rest: Vec<BulkMatch> = Vec::new();
    while let Some(page) = pages.next().await? {
        for one in page.into_iter().filter(|one| selection.takes(one, filter.state)) {
            if summed.add(one.id).is_err() {
                return Ok(Err(FillOutcome::TooMany));
            }
            rest.push(one);
            if rest.len() == added_at_once {
                let began = Instant::now();
                let added = parts(filter.state, at_once, &rest);
                rest.clear();
                let count = added.len();
                jobs.fill_job(job, JobParts { first, parts: added, are_last: false }, now_ms()).await?;
                first += i64::try_from(count).unwrap_or(i64::MAX);
                tokio::time::sleep(PAUSE.max(began.elapsed())).await;
            }
        }
    }
    let set = summed.set();
    if expected.is_some_and(|expected| *expected != set) {
        return Ok(Err(FillOutcome::Changed(set.count)));
    }
    let last = JobParts { first, parts: parts(filter.state, at_once, &rest), are_last: true };
    Ok(Ok((last, set.count)))
}

/// Returns some of the set in parts: in the order in which they are read; within a part in the order of conversations, in which they
/// are locked.
fn parts(state: BulkState, at_once: usize, some: &[BulkMatch]) -> Vec<Vec<String>> {
    let part = |some: &[BulkMatch]| {
        let mut some: Vec<&BulkMatch> = some.iter().collect();
        some.sort_unstable_by_key(|one| (one.conversation, one.id));
        // Several events may share an mId.
        let id = |one: &BulkMatch| if state == BulkState::Dead { one.id.to_string() } else { one.m_id.clone() };
        some.into_iter().map(id).collect()
    };
    some.chunks(at_once).map(part).collect()
}

#[cfg(test)]
pub(in crate::ops) mod tests;
