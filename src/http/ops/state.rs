//! What the handlers of pages and API share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outcomes::Outcomes;
use crate::config::Config;
use crate::domain::clock::wall_ms;
use crate::ops::job_runner::JobRunner;
use crate::ops::sign_in::{Link, People};
use crate::store::Store;

/// What the handlers of pages and API share.
pub(crate) struct OperatorState {
    /// Reads and decisions of operators.
    store: Arc<dyn Store>,
    /// The configuration as it was read last, at the start or at a SIGHUP.
    config: watch::Receiver<Arc<Config>>,
    /// Cancelled when the stop of the bridge begins: what would stay open ends itself then.
    stopping: CancellationToken,
    pub(super) people: People,
    /// Links that were followed, until their time is over.
    followed: Mutex<HashMap<String, i64>>,
    pub(super) outcomes: Outcomes,
    /// Works on jobs on many messages.
    pub(super) jobs: JobRunner,
}

impl OperatorState {
    /// `token` is `admin.token`; as all of `[admin]`, it is that of the start.
    pub(crate) fn new(
        token: Option<&SecretString>,
        store: &Arc<dyn Store>,
        config: watch::Receiver<Arc<Config>>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let (people, followed, outcomes) = (People::new(token), Mutex::default(), Outcomes::default());
        let jobs = JobRunner::new(store, stopping.clone());
        Arc::new(Self { store: Arc::clone(store), config, stopping, people, followed, outcomes, jobs })
    }

    /// Goes on with the jobs of the page that a stop or a crash interrupted.
    pub(crate) fn run_interrupted_jobs(&self) {
        self.jobs.run_interrupted(&self.config());
    }

    /// Returns the store.
    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Returns the configuration as it is now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// Returns the token that is cancelled when the stop of the bridge begins.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Returns the cookie of a link that is good and was not followed before in this process.
    pub(super) fn follow(&self, link: &str) -> Option<String> {
        let now_s = wall_ms() / 1000;
        let Link { nonce, expires_s, cookie } = self.people.follow(link, now_s)?;
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, expires_s| *expires_s > now_s);
        followed.insert(nonce, expires_s).is_none().then_some(cookie)
    }
}
