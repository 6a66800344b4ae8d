//! `bridge messages retry` and `discard` by filter, and the jobs that they make.

use std::io::Write as _;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::find::failure;
use super::operator::operator;
use super::output::{Failure, print};
use crate::config::Config;
use crate::ops::bulk::{self, NotStarted, Request, state_line};
use crate::store::{BulkAction, BulkState, Job, Store};
use crate::telemetry::{harmless, harmless_json};

/// Jobs that are listed.
const LISTED: u32 = 50;

/// Which messages.
#[derive(Debug, clap::Args)]
pub(super) struct BulkArgs {
    /// In place of an mId: all in this state that fulfil the options below. failed: messages that were given up; queued (discard alone):
    /// those that wait; dead: events that BonyChat did not take
    #[arg(long)]
    pub(super) state: Option<String>,
    /// Only messages with this content: text, attachment, location or quick_reply
    #[arg(long, requires = "state")]
    pub(super) kind: Option<String>,
    /// Only those whose last fault has this code
    #[arg(long, requires = "state")]
    pub(super) fault: Option<String>,
    /// Only those of this channel (its name in the configuration)
    #[arg(long, requires = "state")]
    pub(super) channel: Option<String>,
    /// Only those of this contact: its number, or its custom contact id
    #[arg(long, requires = "state")]
    pub(super) contact: Option<String>,
    /// Only what was accepted (an event: given up) then or later: a time ago (90s, 2h, 3d), a day or a time (2026-11-14T10:02)
    #[arg(long, requires = "state")]
    pub(super) since: Option<String>,
    /// Only what was accepted (an event: given up) before
    #[arg(long, requires = "state")]
    pub(super) until: Option<String>,
    /// Only those whose text holds these words, without regard to case and accents; in quotes ('"the words"') as they follow each other
    #[arg(long, requires = "state")]
    pub(super) text: Option<String>,
    /// Do it; without this it is only said what would be done
    #[arg(long, requires = "state")]
    pub(super) yes: bool,
}

impl BulkArgs {
    /// Returns whether it asks for nothing but dead events since a time.
    pub(super) fn dead_since(&self) -> bool {
        let narrow = [&self.kind, &self.fault, &self.contact, &self.until, &self.text];
        self.state.as_deref() == Some("dead") && narrow.iter().all(|option| option.is_none())
    }
}

/// Prints what would be done; with `--yes` does it.
pub(super) async fn run(
    action: BulkAction,
    arguments: BulkArgs,
    moved_on: bool,
    why: Option<&str>,
    config: &Config,
    store: &dyn Store,
) -> Result<(), Failure> {
    let yes = arguments.yes;
    let plan = bulk::plan(store, config, request(action, arguments, moved_on)?, None).await.map_err(failure)?;
    let mut report: String = plan.lines(config).iter().map(|line| printable(line) + "\n").collect();
    if plan.set.count == 0 {
        report.push_str("nothing to do\n");
    } else if !yes && plan.refused(config).is_none() {
        report.push_str("nothing was changed; do it with --yes\n");
    }
    print(&report)?;
    if plan.set.count == 0 || !yes {
        return Ok(());
    }
    let (job, _) = match bulk::start(store, config, &plan, operator(why)).await {
        Ok(started) => started,
        Err(NotStarted::Refusal(refusal)) => return Err(failure(refusal)),
        Err(NotStarted::Unclear(job)) => {
            let [words, _] = bulk::unclear(job);
            return Err(Failure::Work(anyhow::anyhow!(words)));
        }
        Err(NotStarted::Stale(_)) => {
            return Err(Failure::Work(anyhow::anyhow!("nothing was changed: other messages match by now. Do it anew")));
        }
    };
    carry(job, config, store).await
}

fn request(action: BulkAction, arguments: BulkArgs, moved_on: bool) -> Result<Request, Failure> {
    let state = match arguments.state.as_deref() {
        Some("queued") => BulkState::Queued,
        Some("failed") => BulkState::Failed,
        Some("dead") => BulkState::Dead,
        Some("unknown" | "unconfirmed" | "held") => {
            return Err(Failure::Usage(
                "messages that may have been delivered are not decided by many: of each, somebody has to ask the customer or look \
                 at the conversation, then `bridge messages settle MID` says what became of it"
                    .to_owned(),
            ));
        }
        _ => return Err(Failure::Usage("--state takes failed, queued (discard alone) or dead".to_owned())),
    };
    let BulkArgs { kind, fault, channel, contact, since, until, text, .. } = arguments;
    Ok(Request { action, state, kind, fault, channel, contact, since, until, text, moved_on })
}

/// Goes on with a job that was interrupted.
pub(super) async fn resume(job: i64, config: &Config, store: &dyn Store) -> Result<(), Failure> {
    match store.bulk().job(job).await.map_err(anyhow::Error::new)? {
        None => Err(missing(job)),
        Some(job) if job.is_over() => {
            Err(Failure::Work(anyhow::anyhow!("there is nothing to go on with: {}", state_line(&job))))
        }
        Some(there) if !there.filled => {
            Err(Failure::Work(anyhow::anyhow!("there is nothing to go on with as yet: {}", state_line(&there))))
        }
        Some(_) => {
            let now_ms = crate::domain::clock::now_ms();
            store.bulk().resume_job(job, now_ms).await.map_err(anyhow::Error::new)?;
            carry(job, config, store).await
        }
    }
}

/// Works on a job until it is over or this process is interrupted. Progress goes to stderr.
async fn carry(job: i64, config: &Config, store: &dyn Store) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let _interrupted = interrupted(&stop)?;
    let progress = |job: &Job| {
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&state_line(job))); // a reader may have gone away
    };
    let worked = bulk::carry(store.bulk(), config, job, &stop, progress).await;
    let go_on = format!("go on with `bridge messages resume {job}`, or end it with `bridge messages cancel {job}`");
    let there = match worked {
        Ok(there) => there.ok_or_else(|| missing(job))?,
        Err(error) => {
            return Err(Failure::Work(anyhow::Error::new(error).context(format!("job {job} is not done: {go_on}"))));
        }
    };
    let what = if there.subject == "e" { "event(s)" } else { "message(s)" };
    let done = if there.action == BulkAction::Retry.name() { "queued again" } else { "discarded" };
    print(&format!("{} {what} {done}, {} left out since they had changed\n", there.done, there.skipped))?;
    if there.ended_ms.is_some() {
        return Ok(());
    }
    let why = if there.cancelled_ms.is_some() || there.stopped.is_some() {
        state_line(&there)
    } else {
        format!("{}; {go_on}", state_line(&there))
    };
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&why));
    Err(Failure::Found)
}

/// Stops at SIGINT or SIGTERM, between two transactions.
fn interrupted(stop: &CancellationToken) -> anyhow::Result<tokio_util::sync::DropGuard> {
    let ended = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, stop, ended) = (signal(kind)?, stop.clone(), ended.clone());
        tokio::spawn(async move {
            if ended.run_until_cancelled(signals.recv()).await.is_some() {
                stop.cancel();
            }
        });
    }
    Ok(ended.drop_guard())
}

/// Ends a job; whoever works on it stops within a second.
pub(super) async fn cancel(job: i64, why: Option<&str>, store: &dyn Store) -> Result<(), Failure> {
    let now_ms = crate::domain::clock::now_ms();
    match store.bulk().cancel_job(job, operator(why), now_ms).await.map_err(anyhow::Error::new)? {
        None => Err(missing(job)),
        Some((job, true)) => Ok(print(&format!("{}; what is done stays done\n", harmless(&state_line(&job))))?),
        Some((job, false)) => Err(Failure::Work(anyhow::anyhow!("it is over already: {}", state_line(&job)))),
    }
}

/// Lists jobs, the newest first.
pub(super) async fn jobs(json: bool, store: &dyn Store) -> Result<(), Failure> {
    let jobs = store.bulk().jobs(LISTED).await.map_err(anyhow::Error::new)?;
    let line = |job: &Job| {
        let line = if json {
            harmless_json(&serde_json::to_string(job).unwrap_or_default())
        } else {
            harmless(&state_line(job))
        };
        line + "\n"
    };
    Ok(print(&jobs.iter().map(line).collect::<String>())?)
}

fn missing(job: i64) -> Failure {
    Failure::Work(anyhow::anyhow!(
        "there is no job {job} in this store: `bridge messages jobs` lists those that there are"
    ))
}

/// A line with its tabs.
fn printable(line: &str) -> String {
    line.split('\t').map(harmless).collect::<Vec<_>>().join("\t")
}
