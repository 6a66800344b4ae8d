//! Cross-process notifications by LISTEN/NOTIFY: new outbound message, verdict, lease change. Sent after COMMIT and
//! apart from it, because PostgreSQL serialises commits that contain NOTIFY. Falls back to polling where notifications
//! do not arrive, as behind a transaction pooler.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::db::args;
use super::pool::Pool;
use super::response_journal::ResponseJournal;
use super::{remote_verdicts, sql};
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::ids::fingerprint;
use crate::domain::{ChannelName, MId};
use crate::store::{FirstVerdict, StoreError, Wakeups};

/// Time between two polls: while notifications do not arrive, and otherwise.
const POLL_UNHEARD: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_secs(1);

/// Notifications within this time are sent together.
const BATCH: Duration = Duration::from_millis(2);

/// Wait before listening again after it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest wait for a connection to listen on.
const CONNECT: Duration = Duration::from_secs(5);

const VERDICT: &str = "verdict";
const LEASES: &str = "leases";
const PAUSES: &str = "pauses";
const OUTBOUND: &str = "outbound ";

/// One process's notifications.
pub(super) struct Notifier {
    pool: Arc<Pool>,
    wakeups: Arc<Wakeups>,
    /// Messages for which a caller waits here for the verdict of another process, and until when.
    awaiting: Mutex<HashMap<MId, Instant>>,
    /// Channels that this process owns.
    owned: Mutex<BTreeSet<ChannelName>>,
    send: Mutex<Option<mpsc::UnboundedSender<String>>>,
    /// Time of a lease, in milliseconds.
    lease_ms: AtomicI64,
    poll: Notify,
    pub(super) changes: Notify,
    pub(super) response_journal: Arc<ResponseJournal>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Notifier {
    pub(super) fn new(pool: Arc<Pool>, wakeups: Arc<Wakeups>) -> Arc<Self> {
        Arc::new(Self {
            pool,
            wakeups,
            awaiting: Mutex::default(),
            owned: Mutex::default(),
            send: Mutex::default(),
            lease_ms: AtomicI64::new(0),
            poll: Notify::new(),
            changes: Notify::new(),
            response_journal: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Returns how long a dead process may count as alive.
    pub(super) fn lease(&self) -> Duration {
        since(0, self.lease_ms.load(Ordering::Relaxed))
    }

    /// Starts the tasks that notify, listen and poll, once. Returns whether it did so now.
    pub(super) fn start(self: &Arc<Self>, lease: Duration) -> bool {
        self.lease_ms.store(millis(lease), Ordering::Relaxed);
        let mut send = lock(&self.send);
        if send.is_some() || self.stop.is_cancelled() {
            return false;
        }
        let (sender, queued) = mpsc::unbounded_channel();
        *send = Some(sender);
        drop(send);
        let receiving = Arc::new(AtomicBool::new(false));
        self.spawn(Arc::clone(self).send_all(queued));
        self.spawn(Arc::clone(&self.response_journal).run(Arc::clone(&self.pool)));
        self.spawn(Arc::clone(self).poll_all(Arc::clone(&receiving)));
        if let Some(options) = self.pool.direct() {
            self.spawn(Arc::clone(self).listen(options.clone(), receiving));
        }
        true
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A message is queued for its channel's owner.
    pub(super) fn outbound(&self, channel: &ChannelName) {
        self.send(format!("{OUTBOUND}{channel}"));
    }

    /// There is a verdict that a caller waits for at some process.
    pub(super) fn verdict(&self) {
        self.send(VERDICT.to_owned());
    }

    /// Leases were given back, or a process has joined or left.
    pub(super) fn leases(&self) {
        self.send(LEASES.to_owned());
    }

    /// A pause by hand has begun or ended. Notifies at once: a command ends after this, and has no task that would.
    pub(super) async fn pauses(&self) {
        self.notify(vec![PAUSES.to_owned()]).await;
    }

    async fn notify(&self, what: Vec<String>) {
        let all = (self.topic(), what);
        let sent = self.pool.read(&all, &|db, (topic, all)| {
            Box::pin(async move { db.execute(sql::NOTIFY, args![topic, all]).await.map(drop) })
        });
        if let Err(error) = sent.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "nothing could be said to other processes");
        }
    }

    fn send(&self, what: String) {
        if let Some(send) = lock(&self.send).as_ref() {
            let _ = send.send(what); // its task ends with the store
        }
    }

    /// Sets whether this process owns these channels.
    pub(super) fn owns(&self, channels: &[ChannelName], mine: bool) {
        let mut owned = lock(&self.owned);
        for channel in channels {
            if mine {
                owned.insert(channel.clone())
            } else {
                owned.remove(channel)
            };
        }
    }

    /// A caller waits here for `waits` for the verdict of another process.
    pub(super) fn await_verdict(&self, m_id: &MId, waits: Duration) {
        lock(&self.awaiting).insert(m_id.clone(), Instant::now() + waits);
    }

    async fn send_all(self: Arc<Self>, mut queued: mpsc::UnboundedReceiver<String>) {
        while let Some(first) = queued.recv().await {
            sleep(BATCH).await;
            let mut all = BTreeSet::from([first]);
            while let Ok(more) = queued.try_recv() {
                all.insert(more);
            }
            self.notify(all.into_iter().collect()).await;
        }
    }

    /// Returns the NOTIFY channel of this store, in a database that may hold several.
    fn topic(&self) -> String {
        format!("bridge_{}", fingerprint(&[self.pool.schema()]))
    }

    async fn listen(self: Arc<Self>, options: PgConnectOptions, receiving: Arc<AtomicBool>) {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.acquire_timeout(CONNECT).connect_lazy_with(options);
        loop {
            if let Err(error) = self.receive_all(&pool, &receiving).await {
                receiving.store(false, Ordering::Relaxed);
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "nothing is heard of other processes for now"
                );
            }
            sleep(AGAIN).await;
        }
    }

    async fn receive_all(&self, pool: &sqlx::PgPool, receiving: &AtomicBool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(&self.topic()).await?;
        loop {
            // Notifications before LISTEN are missed: poll once for all.
            receiving.store(true, Ordering::Relaxed);
            self.poll.notify_one();
            self.changes.notify_one();
            while let Some(received) = listener.try_recv().await? {
                self.received(received.payload());
            }
        }
    }

    fn received(&self, what: &str) {
        match what {
            VERDICT => self.poll.notify_one(),
            LEASES => self.changes.notify_one(),
            PAUSES => self.wakeups.pauses.notify_one(),
            other => {
                let channel = other.strip_prefix(OUTBOUND).and_then(|name| name.parse().ok());
                if let Some(channel) = channel.filter(|channel| lock(&self.owned).contains(channel)) {
                    self.wake_sender(&channel);
                }
            }
        }
    }

    fn wake_sender(&self, channel: &ChannelName) {
        if let Some(wakeups) = self.wakeups.channel(channel) {
            wakeups.notify_outbound(0);
        }
    }

    /// Looks for verdicts whenever there may be one, and for due messages where their notification may have been
    /// missed.
    async fn poll_all(self: Arc<Self>, receiving: Arc<AtomicBool>) {
        loop {
            let every = if receiving.load(Ordering::Relaxed) { POLL } else { POLL_UNHEARD };
            let notified = timeout(every, self.poll.notified()).await.is_ok();
            if let Err(error) = self.remote_verdicts().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "verdicts of other processes could not be read"
                );
            }
            if !notified && let Err(error) = self.outbound_due().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "could not look for messages of other processes"
                );
            }
        }
    }

    async fn outbound_due(&self) -> Result<(), StoreError> {
        let owned: Vec<String> = lock(&self.owned).iter().map(|channel| channel.as_str().to_owned()).collect();
        if owned.is_empty() {
            return Ok(());
        }
        let due: Vec<(String,)> = self
            .pool
            .read(&owned, &|db, owned| {
                Box::pin(async move { db.rows(sql::DUE_CHANNELS, args![owned, now_ms()]).await })
            })
            .await?;
        due.iter().filter_map(|(channel,)| channel.parse().ok()).for_each(|channel| self.wake_sender(&channel));
        Ok(())
    }

    /// Answers the callers for which there is a verdict.
    async fn remote_verdicts(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let waiting: Vec<String> = {
            let mut awaiting = lock(&self.awaiting);
            awaiting.retain(|_, until| *until > now);
            awaiting.keys().map(|m_id| m_id.as_str().to_owned()).collect()
        };
        if waiting.is_empty() {
            return Ok(());
        }
        let found = self.pool.read(&waiting, &|db, waiting| Box::pin(remote_verdicts::find(db, waiting))).await?;
        for verdict in found {
            lock(&self.awaiting).remove(&verdict.m_id);
            // A caller that is answered here gets no `message_status`; if none waits any more, the agent gets it.
            let Some(caller) = self.wakeups.take_caller(&verdict.m_id) else { continue };
            if verdict.failed.is_none() {
                let _ = caller.send(FirstVerdict::Accepted);
                continue;
            }
            // In a task of its own: it takes long while the server is out of reach.
            let pool = Arc::clone(&self.pool);
            self.tasks.spawn(async move { caller.send(remote_verdicts::taken(&pool, verdict).await) });
        }
        Ok(())
    }
}

/// A poisoned lock holds plain maps that are consistent, so it is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
