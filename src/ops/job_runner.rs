//! Works in a serving process on the jobs that persons start on the operators' page. Those that a stop or a crash interrupted go
//! on at the next start; any number of processes may work on the same job.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bulk;
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::domain::journey::Means;
use crate::store::{Job, Store, StoreError};

/// First pause after the store could not be read or written, and the longest: each is twice the one before.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// A job that nobody worked on for longer, in milliseconds, is not gone on with by itself: its messages are late, and a restored
/// backup may hold messages that have been sent since.
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
            let (mut pause, longest) = AGAIN_AFTER;
            while !stopping.is_cancelled() {
                match bulk::carry(store.as_ref(), &config, job, &stopping, |_| {}).await {
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "job {job} on many messages is interrupted; it goes on in a moment. It can be ended on its page, or \
                             by `bridge messages cancel {job}`"
                        );
                        stopping.run_until_cancelled(tokio::time::sleep(pause)).await;
                        pause = longest.min(2 * pause);
                    }
                }
            }
        });
    }

    /// Goes on with the jobs of the operators' page that are not over and were worked on a short while ago.
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

/// Returns whether a start goes on with a job.
fn goes_on(job: &Job, now_ms: i64) -> bool {
    let is_recent = job.worked_ms.max(job.next_ms) >= now_ms - GOES_ON_WITHIN_MS;
    !job.is_over() && job.means == Means::Page.name() && is_recent
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
        }
    }

    #[test]
    fn a_start_goes_on_with_a_job_of_the_page_that_was_worked_on_within_the_hour() {
        let hour = GOES_ON_WITHIN_MS;
        for (job, expected) in [
            (job(Means::Page, hour, 0, None), true),
            (job(Means::Page, 0, hour, None), true), // its next part was not due before
            (job(Means::Page, hour - 1, 0, None), false),
            (job(Means::Cli, hour, 0, None), false),
            (job(Means::Page, hour, 0, Some(hour)), false),
        ] {
            assert_eq!(goes_on(&job, 2 * hour), expected, "{job:?}");
        }
    }
}
