//! State shared by the handlers of pages and API.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::outcomes::Outcomes;
use crate::config::{self, Config};
use crate::domain::clock::wall_ms;
use crate::http::ReceivedCalls;
use crate::ops::bulk::seen::ShownPlan;
use crate::ops::bulk::{self, Plan, Request};
use crate::ops::conversation::Conversations;
use crate::ops::find::Refusal;
use crate::ops::job_runner::JobRunner;
use crate::ops::live::{Listener, Live};
use crate::ops::local::on_this_machine;
use crate::ops::sign_in::{Link, People};
use crate::store::{Store, StoreError};

/// Files of messages that are made at once: each reads beside the reads of deliveries.
const EXPORTS: usize = 2;

/// State shared by the handlers of pages and API.
pub(crate) struct OperatorState {
    /// Reads and decisions of operators.
    store: Arc<dyn Store>,
    /// The configuration as it was read last, at the start or at a SIGHUP.
    config: watch::Receiver<Arc<Config>>,
    /// Cancelled when the stop of the bridge begins: what would stay open ends itself then.
    stopping: CancellationToken,
    pub(super) people: People,
    /// Calls of BonyChat, for a person who waits for them.
    pub(super) calls: Arc<ReceivedCalls>,
    /// Links that were followed, until their time is over.
    followed: Mutex<HashMap<String, i64>>,
    pub(super) outcomes: Outcomes,
    live: Arc<Live>,
    pub(super) conversations: Conversations,
    /// Works on jobs on many messages.
    pub(super) jobs: JobRunner,
    /// One plan for many messages is made at a time: each reads all messages that it is about, beside the reads of deliveries.
    plans: Semaphore,
    /// Files of messages that are being made.
    pub(super) exports: Arc<Semaphore>,
}

impl OperatorState {
    /// `admin` is that of the start.
    pub(crate) fn new(
        admin: &config::Admin,
        store: &Arc<dyn Store>,
        calls: &Arc<ReceivedCalls>,
        config: watch::Receiver<Arc<Config>>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let (people, followed, outcomes) = (People::new(admin), Mutex::default(), Outcomes::default());
        let (live, conversations) = (Live::new(), Conversations::new());
        let (jobs, store) = (JobRunner::new(store, stopping.clone()), Arc::clone(store));
        Arc::new(Self {
            store,
            config,
            stopping,
            people,
            calls: Arc::clone(calls),
            followed,
            outcomes,
            live,
            conversations,
            jobs,
            plans: Semaphore::new(1),
            exports: Arc::new(Semaphore::new(EXPORTS)),
        })
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

    /// Returns one more who listens to what happens; `None` where too many do.
    pub(super) fn listen(&self, config: &Arc<Config>) -> Option<Listener> {
        self.live.listen(&self.store, config, &self.stopping)
    }

    /// Makes a plan, once no other is being made. `seen`: of what was there when a person saw it alone.
    ///
    /// # Errors
    /// What of the request means nothing; or the store could not be read.
    pub(super) async fn plan(
        &self,
        config: &Config,
        request: Request,
        seen: Option<&ShownPlan>,
    ) -> Result<Plan, Refusal> {
        let _turn = self.plans.acquire().await.map_err(|_| StoreError::Closed)?;
        bulk::plan(self.store(), config, request, seen).await
    }

    /// Returns a link that signs the first person in at a listener with this address; `None` if no person is configured.
    pub(crate) fn link(&self, listen: SocketAddr, path_prefix: &str) -> Option<String> {
        let link = self.people.link(None, wall_ms() / 1000)?;
        Some(format!("http://{}{path_prefix}/login?link={link}", on_this_machine(listen)))
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
