//! Works in a serving process on the jobs that persons start on the operators' page or by their API. Those that a stop or a crash interrupted go
//! on at the next start; any number of processes may work on the same job.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bulk::{self, ATTEMPTS};
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::domain::journey::Means;
use crate::store::{BulkJobs, Job, Store, StoreError};

/// First pause after the store could not be read or written, and the longest: each is twice the one before.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// Longest time without progress, in milliseconds, after which a job is still continued without an operator. Beyond it the
/// messages are late, and a restored backup may hold messages that have been sent since.
const GOES_ON_WITHIN_MS: i64 = 60 * 60 * 1000;

/// Jobs among which those that were interrupted are looked for: the newest.
const LOOKED_THROUGH: u32 = 1000;

/// Works on jobs until they are over or the process stops.
#[derive(Clone)]
pub(crate) struct JobRunner {
    store: Arc<dyn Store>,
    stopping: CancellationToken,
    running: Arc<Mutex<BTreeSet<i64>>>,
}

/// A job that this process works on.
struct Running {
    job: i64,
    running: Arc<Mutex<BTreeSet<i64>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}

impl JobRunner {
    pub(crate) fn new(store: &Arc<dyn Store>, stopping: CancellationToken) -> Self {
        Self { store: Arc::clone(store), stopping, running: Arc::default() }
    }

    /// Returns whether this process works on it.
    pub(crate) fn is_running(&self, job: i64) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).contains(&job)
    }

    /// Begins to work on a job, or goes on with it; nothing where this process does so already.
    pub(crate) fn run(&self, config: Arc<Config>, job: i64) {
        if !self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(job) {
            return;
        }
        let this = Running { job, running: Arc::clone(&self.running) };
        let (store, stopping) = (Arc::clone(&self.store), self.stopping.clone());
        tokio::spawn(async move {
            let _this = this;
            carry(store.bulk(), &config, job, &stopping).await;
        });
    }

    /// Goes on with the jobs of the operators' page and API that are not over and were worked on a short while ago.
    pub(crate) fn run_interrupted(&self, config: &Arc<Config>) {
        let (runner, config) = (self.clone(), Arc::clone(config));
        tokio::spawn(async move {
            let (mut pause, longest) = AGAIN_AFTER;
            while !runner.stopping.is_cancelled() {
                match runner.interrupted().await {
                    Ok(jobs) => return jobs.into_iter().for_each(|job| runner.run(Arc::clone(&config), job)),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "jobs on many messages that were interrupted could not be looked for; will try again"
                        );
                    }
                }
                runner.stopping.run_until_cancelled(tokio::time::sleep(pause)).await;
                pause = longest.min(2 * pause);
            }
        });
    }

    async fn interrupted(&self) -> Result<Vec<i64>, StoreError> {
        let jobs = self.store.bulk().jobs(LOOKED_THROUGH).await?;
        let now_ms = now_ms();
        Ok(jobs.iter().filter(|job| goes_on(job, now_ms)).map(|job| job.id).collect())
    }
}

/// Works on a job until it is over, is stopped or the process stops. A part that fails again and again stops it, where that can be
/// stored; where it cannot, the store is out of reach, and that is no fault of the job.
async fn carry(jobs: &dyn BulkJobs, config: &Config, job: i64, stopping: &CancellationToken) {
    let (first, longest) = AGAIN_AFTER;
    let (mut pause, mut failed, mut furthest) = (first, 0, 0);
    while !stopping.is_cancelled() {
        let mut is_further = false;
        let progress = |job: &Job| {
            let far = job.done + job.skipped;
            is_further |= far > furthest;
            furthest = furthest.max(far);
        };
        let began = Instant::now();
        let Err(error) = bulk::carry(jobs, config, job, stopping, progress).await else { return };
        // A failure long before, as before a pause, does not count as one in a row.
        if is_further || began.elapsed() >= longest {
            (pause, failed) = (first, 0);
        }
        failed += 1;
        if failed >= ATTEMPTS {
            if jobs.stop_job(job, error.reason(), now_ms()).await.is_ok() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "job {job} on many messages is stopped: its next part failed {failed} times. What is done stays done, the rest \
                     is as it was; go on with it on its page or by `bridge messages resume {job}`, once the cause is removed"
                );
                return;
            }
            failed = 0; // nothing can be stored now: whether its part fails is seen later
        }
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "job {job} on many messages is interrupted; it goes on in a moment. It can be ended on its page, or by `bridge messages \
             cancel {job}`"
        );
        stopping.run_until_cancelled(tokio::time::sleep(pause)).await;
        pause = longest.min(2 * pause);
    }
}

/// Returns whether a start goes on with a job.
fn goes_on(job: &Job, now_ms: i64) -> bool {
    let is_recent = job.worked_ms.max(job.next_ms) >= now_ms - GOES_ON_WITHIN_MS;
    let is_of_bridge = [Means::Page, Means::Api].iter().any(|means| job.means == means.name());
    job.goes_on() && is_of_bridge && is_recent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(means: Means, worked_ms: i64, next_ms: i64, ended_ms: Option<i64>) -> Job {
        Job {
            id: 1,
            at_ms: 0,
            who: "ana".into(),
            means: means.name().into(),
            why: None,
            action: "retry".into(),
            subject: "o".into(),
            state: "failed".into(),
            filter: String::new(),
            moved_on: false,
            spacing_ms: 0,
            total: 2,
            done: 1,
            skipped: 0,
            worked_ms,
            next_ms,
            paused: false,
            ended_ms,
            cancelled_ms: None,
            filled: true,
            stopped: None,
        }
    }

    #[test]
    fn a_start_goes_on_with_a_job_of_the_page_that_was_worked_on_within_the_hour() {
        let hour = GOES_ON_WITHIN_MS;
        for (job, expected) in [
            (job(Means::Page, hour, 0, None), true),
            (job(Means::Page, 0, hour, None), true), // its next part was not due before
            (job(Means::Page, hour - 1, 0, None), false),
            (job(Means::Api, hour, 0, None), true),
            (job(Means::Cli, hour, 0, None), false),
            (job(Means::Page, hour, 0, Some(hour)), false),
        ] {
            assert_eq!(goes_on(&job, 2 * hour), expected, "{job:?}");
        }
        let stopped = Job { stopped: Some("why".into()), ..job(Means::Page, hour, 0, None) };
        let unfilled = Job { filled: false, ..job(Means::Page, hour, 0, None) };
        assert!(!goes_on(&stopped, 2 * hour) && !goes_on(&unfilled, 2 * hour));
    }

    use crate::ops::bulk::set::tests::Fake;

    fn config() -> Config {
        let env = [
            ("AFILNET__USER", "user"),
            ("AFILNET__PASSWORD", "password"),
            ("BONYCHAT__WEBHOOK_URL", "https://bonychat.example/hook"),
            ("CHANNELS__A__CHANNEL_ID", "gfd8g7fd89dgfd1"),
            ("CHANNELS__A__API_TOKEN", "token-0123456789abcdef"),
            ("CHANNELS__A__ID_TYPE", "phone"),
            ("CHANNELS__A__PLATFORM", "whatsapp"),
            ("CHANNELS__A__PLATFORM_ID", "100"),
        ];
        Config::load(None, env.map(|(key, value)| (format!("BRIDGE__{key}"), value.to_owned())).into()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_always_fails_stops_its_job_after_eight_attempts_in_a_row() {
        let there = |done| Job { done, total: 9, ..job(Means::Page, 0, 0, None) };
        let stopping = CancellationToken::new();
        let fake = Fake::default();
        // Seven failures, a part that is done, and then failures alone; the first time it cannot be stopped either.
        fake.looks.lock().unwrap().push_back((there(1), true));
        let worked = std::iter::repeat_n(None, 7).chain([Some(there(2))]);
        fake.worked.lock().unwrap().extend(worked);
        *fake.out_of_reach.lock().unwrap() = 1;
        tokio::time::timeout(Duration::from_hours(3), carry(&fake, &config(), 3, &stopping)).await.unwrap();
        let written = fake.written();
        let works = written.iter().filter(|write| *write == "work").count();
        assert_eq!(works, 7 + 1 + 8 + 8, "{written:?}");
        assert_eq!(written.last().unwrap(), "stop 3: the store is unavailable");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_lie_far_apart_stop_no_job() {
        let fake = Fake::default();
        let due = Job { total: 9, ..job(Means::Page, 0, 0, None) };
        let waits = Job { paused: true, ..due.clone() };
        // It waits for five minutes each time before its part fails.
        for _ in 0..=ATTEMPTS {
            let looks = std::iter::repeat_n((waits.clone(), false), 301).chain([(due.clone(), true)]);
            fake.looks.lock().unwrap().extend(looks);
            fake.worked.lock().unwrap().push_back(None);
        }
        fake.looks.lock().unwrap().push_back((Job { ended_ms: Some(1), ..due }, false));
        carry(&fake, &config(), 3, &CancellationToken::new()).await;
        let written = fake.written();
        assert_eq!(written, vec!["work"; 9], "none of it stops the job");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_waits_writes_nothing() {
        let fake = Fake::default();
        let waits = Job { paused: true, ..job(Means::Page, 0, 0, None) };
        let over = Job { ended_ms: Some(1), ..waits.clone() };
        let looks = std::iter::repeat_n((waits, false), 60).chain([(over, false)]);
        fake.looks.lock().unwrap().extend(looks);
        let began = Instant::now();
        carry(&fake, &config(), 3, &CancellationToken::new()).await;
        assert!(began.elapsed() > Duration::from_secs(50), "sixty looks in {:?}", began.elapsed());
        assert_eq!(fake.written(), Vec::<String>::new());
    }
}
