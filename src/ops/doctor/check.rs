//! One thing that was looked at: what was seen, whether that is well, and what to do next.

use std::time::Duration;

use serde::Serialize;

/// Whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// It is.
    Ok,
    /// Messages go on, and somebody should look.
    Warn,
    /// Messages do not go on, or soon will not.
    Fail,
    /// It was not looked at; `seen` tells why.
    Skipped,
}

impl Health {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) id: &'static str,
    /// What it is about, where there are several: a channel, an account, a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    pub(crate) health: Health,
    pub(crate) seen: String,
    /// What to do next; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) next: String,
}

impl Check {
    fn new(id: &'static str, health: Health, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self { id, subject: None, health, seen: seen.into(), next: next.into() }
    }

    pub(super) fn ok(id: &'static str, seen: impl Into<String>) -> Self {
        Self::new(id, Health::Ok, seen, "")
    }

    pub(super) fn warn(id: &'static str, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(id, Health::Warn, seen, next)
    }

    pub(super) fn fail(id: &'static str, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(id, Health::Fail, seen, next)
    }

    pub(super) fn skipped(id: &'static str, why: impl Into<String>) -> Self {
        Self::new(id, Health::Skipped, why, "")
    }

    /// Returns it about `subject`.
    pub(super) fn of(self, subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..self }
    }
}

/// Returns what `work` finds; a failed check `id` if that takes longer than `limit`.
pub(super) async fn within(
    limit: Duration,
    id: &'static str,
    next: &str,
    work: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    match tokio::time::timeout(limit, work).await {
        Ok(found) => found,
        Err(_) => vec![Check::fail(id, format!("no answer within {} s", limit.as_secs_f64()), next)],
    }
}

/// Runs what blocks its thread. A panic there is a failed check.
pub(super) async fn blocking(id: &'static str, work: impl FnOnce() -> Check + Send + 'static) -> Check {
    match tokio::task::spawn_blocking(work).await {
        Ok(check) => check,
        Err(_) => Check::fail(id, "the check itself broke off", "report it"),
    }
}
