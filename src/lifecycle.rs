//! Start and stop: one token that asks every task to end, one tracker that waits for them, one grace period.

use std::time::Duration;

use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests and attempts in flight may take to finish after the stop began.
pub const GRACE: Duration = Duration::from_secs(10);

/// A group of tasks with one shutdown token. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TaskGroup {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl TaskGroup {
    /// Returns a group without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a group of which the tasks end with those of the parent, or before.
    #[must_use]
    pub fn child_of(parent: &CancellationToken) -> Self {
        Self { stop: parent.child_token(), tasks: TaskTracker::new() }
    }

    /// Returns the token that is cancelled when the stop begins.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs `task` until it ends. A task that ends before the stop, by failure or panic, stops the whole group: half a
    /// bridge that looks alive is worse than none.
    pub fn spawn(&self, name: String, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let stop_all = self.stop.clone().drop_guard();
        let early_end = EarlyEnd { stop: self.stop.clone(), name };
        self.tasks.spawn(async move {
            let _stop_all = stop_all;
            let _early = early_end;
            if let Err(error) = task.await {
                tracing::error!(error = format!("{error:#}"), "a task failed");
            }
        });
    }

    /// Waits until every task has ended.
    pub async fn wait_all(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until every task has ended, or the grace is spent. Returns whether all ended.
    pub async fn wait_all_within(&self, grace: Duration) -> bool {
        tokio::time::timeout(grace, self.wait_all()).await.is_ok()
    }
}

/// Detects a task that ends before the stop, however it ends.
struct EarlyEnd {
    stop: CancellationToken,
    name: String,
}

impl Drop for EarlyEnd {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            tracing::error!(
                task = self.name,
                "task `{}` ended early; the bridge stops so that it is started anew",
                self.name
            );
        }
    }
}

/// What an operator requests by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT; its name.
    Stop(&'static str),
    /// SIGHUP.
    Reload,
}

/// The signals of this process. Those that arrive before they are awaited are kept.
#[derive(Debug)]
pub struct Signals {
    term: UnixSignal,
    int: UnixSignal,
    hangups: UnixSignal,
}

impl Signals {
    /// Handles the signals from now on: none of them ends the process by itself any more. Must be called within the
    /// runtime.
    ///
    /// # Errors
    /// A signal handler could not be installed.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangups: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.term.recv() => Signal::Stop("SIGTERM"),
            _ = self.int.recv() => Signal::Stop("SIGINT"),
            _ = self.hangups.recv() => Signal::Reload,
        }
    }

    /// Waits for the next stop signal; others are left for [`Self::next`].
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
