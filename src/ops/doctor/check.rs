//! One check: what was seen, how severe that is, and what to do next.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// How severe the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// Nothing to do.
    Ok,
    /// Messages go on, and an operator should look.
    Warn,
    /// Messages do not go on, or soon will not.
    Fail,
    /// It was not checked; `seen` holds the reason.
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
    /// Its subject, if there are several: a channel, an account, a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    pub(crate) health: Health,
    pub(crate) seen: String,
    /// What to do next; empty for nothing.
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

/// The time of an examination, and how much of it a check may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    each: Duration,
    until: Instant,
}

impl Time {
    /// Time limit of all checks together.
    const ALL: Duration = Duration::from_secs(12);
    /// Least time left in which a check that makes a call is started.
    const LEAST: Duration = Duration::from_millis(50);
    /// This much longer than a client's own limit, whose error has more detail and must come first.
    const BEHIND_CLIENTS: Duration = Duration::from_millis(250);

    /// Begins now. `each`: longest time of a check.
    pub(super) fn new(each: Duration) -> Self {
        Self { each, until: Instant::now() + Self::ALL.max(each + each / 5) }
    }

    /// Returns the longest time of a check.
    pub(super) fn each(self) -> Duration {
        self.each
    }

    /// Returns the longest time of the next check; `None` once that of all is over.
    pub(super) fn next(self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (left >= Self::LEAST).then(|| left.min(self.each))
    }

    /// Returns what `work` returns; a check `id` that fails if that takes too long, or is skipped if the checks before it took
    /// all the time.
    pub(super) async fn run<T>(self, id: &'static str, next: &str, work: impl Future<Output = T>) -> Result<T, Check> {
        let Some(limit) = self.next() else { return Err(Self::over(id)) };
        let left = self.until.saturating_duration_since(Instant::now());
        let cut_short = || if left < self.each { Self::over(id) } else { Self::no_answer(id, limit, next) };
        tokio::time::timeout((limit + Self::BEHIND_CLIENTS).min(left), work).await.map_err(|_| cut_short())
    }

    /// As [`Self::run`], for work that returns several checks.
    pub(super) async fn within(
        self,
        id: &'static str,
        next: &str,
        work: impl Future<Output = Vec<Check>>,
    ) -> Vec<Check> {
        self.run(id, next, work).await.unwrap_or_else(|check| vec![check])
    }

    fn no_answer(id: &'static str, within: Duration, next: &str) -> Check {
        Check::fail(id, format!("no answer within {:.1} s", within.as_secs_f64()), next)
    }

    /// Returns the check of something that had no time, or less than a check may take.
    pub(super) fn over(id: &'static str) -> Check {
        Check::skipped(
            id,
            "there was no time left for it: checks before it waited too long. Mend these first, and ask again",
        )
    }
}

/// Runs what blocks its thread. A panic there is a failed check.
pub(super) async fn blocking(id: &'static str, work: impl FnOnce() -> Check + Send + 'static) -> Check {
    match tokio::task::spawn_blocking(work).await {
        Ok(check) => check,
        Err(_) => Check::fail(id, "the check itself broke off", "report it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn checks_share_one_deadline_and_those_without_time_are_skipped() {
        let time = Time::new(Duration::from_secs(10));
        let hangs = async || time.run("login", "ask", std::future::pending::<()>()).await.unwrap_err();
        let first = hangs().await;
        assert!(first.health == Health::Fail && first.seen == "no answer within 10.0 s", "{first:?}");
        let second = hangs().await;
        assert!(second.health == Health::Skipped && second.seen.contains("no time left"), "cut short: {second:?}");
        let third = hangs().await;
        assert!(third.health == Health::Skipped && third.seen.contains("no time left"), "{third:?}");
        assert_eq!(time.next(), None);
        assert_eq!(Time::new(Duration::from_mins(1)).next(), Some(Duration::from_mins(1)));
    }
}
