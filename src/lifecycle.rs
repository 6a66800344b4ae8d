//! Start and stop: one token that asks every task to end, one tracker that waits for them, one grace period.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests and attempts in flight may take to finish after the stop began.
pub const GRACE: Duration = Duration::from_secs(10);

/// The tasks of one house. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Life {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Life {
    /// A house with no tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A part of a house: its tasks end with those of the house, or before.
    #[must_use]
    pub fn within(house: &CancellationToken) -> Self {
        Self { stop: house.child_token(), tasks: TaskTracker::new() }
    }

    /// Ends when the stop begins.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs `task` until it ends. One that ends before the stop, by failure or panic, stops the whole house: half a
    /// bridge that looks alive is worse than none.
    pub fn spawn(&self, name: String, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let stop_all = self.stop.clone().drop_guard();
        let early = Early { stop: self.stop.clone(), name };
        self.tasks.spawn(async move {
            let _stop_all = stop_all;
            let _early = early;
            if let Err(error) = task.await {
                tracing::error!(error = format!("{error:#}"), "a task failed");
            }
        });
    }

    /// Waits until every task has ended.
    pub async fn all_ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until every task has ended, or the grace is spent. Tells whether all ended.
    pub async fn ended(&self, grace: Duration) -> bool {
        tokio::time::timeout(grace, self.all_ended()).await.is_ok()
    }
}

/// Notes a task that ends while nobody asked it to, however it ends.
struct Early {
    stop: CancellationToken,
    name: String,
}

impl Drop for Early {
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

/// Lets SIGHUP do nothing but a line in the log: left alone, it would kill the process in the middle of a send. Call it
/// once, inside the runtime.
///
/// # Errors
/// The signal handler could not be installed.
pub fn survive_hangups() -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::warn!(
                signal = "SIGHUP",
                "nothing was reloaded: the configuration is read at the start only. Run `bridge check`, then restart the \
                 bridge: SIGTERM lets it finish what is in flight"
            );
        }
    });
    Ok(())
}

/// Returns at SIGTERM or SIGINT.
///
/// # Errors
/// The signal handlers could not be installed.
pub async fn asked_to_stop() -> std::io::Result<&'static str> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}
