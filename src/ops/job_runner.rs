//! Works in a serving process on the jobs that persons start on the operators' page. Those that a stop or a crash interrupted go
//! on at the next start; any number of processes may work on the same job.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bulk;
use crate::config::Config;
use crate::domain::journey::Means;
use crate::store::{Store, StoreError};

/// Pause after the store could not be written.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

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
            while !stopping.is_cancelled() {
                match bulk::carry(store.as_ref(), &config, job, &stopping, |_| {}).await {
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "job {job} on many messages is interrupted; it goes on in a moment"
                        );
                        stopping.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER)).await;
                    }
                }
            }
        });
    }

    /// Goes on with the jobs of the operators' page that are not over.
    pub(crate) fn run_interrupted(&self, config: &Arc<Config>) {
        let (runner, config) = (self.clone(), Arc::clone(config));
        tokio::spawn(async move {
            match runner.interrupted().await {
                Ok(jobs) => jobs.into_iter().for_each(|job| runner.run(Arc::clone(&config), job)),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "jobs on many messages that were interrupted could not be looked for: go on with them on the page"
                    );
                }
            }
        });
    }

    async fn interrupted(&self) -> Result<Vec<i64>, StoreError> {
        let jobs = self.store.bulk().jobs(LOOKED_THROUGH).await?;
        let is_interrupted = |job: &&crate::store::Job| !job.is_over() && job.means == Means::Page.name();
        Ok(jobs.iter().filter(is_interrupted).map(|job| job.id).collect())
    }
}
