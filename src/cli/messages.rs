//! `bridge messages`: lists messages, and settles, requeues or discards those that are in doubt or were given up. Works
//! on the store, beside a running bridge (which looks at it every few seconds) or without one.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::Subcommand;

use super::bulk::{self, BulkArgs};
use super::find::{self, FindArgs, ListArgs, line};
use super::journey;
use super::operator::operator;
use super::output::{Failure, print};
use crate::config::Config;
use crate::domain::Language;
use crate::domain::clock::now_ms;
use crate::domain::journey::Operator;
use crate::ops::decide::{self, Decided};
use crate::ops::find::{check_channel, time_of};
use crate::store::{BulkAction, Decision, Store, StoreError, open};

/// What to look at.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List messages, newest first, one a line: mId, channel, contact, state, kind, attempts, accepted, done, fault
    List(ListArgs),
    /// Find messages of both directions, newest first, 50 a page, one a line: mId, channel, contact, direction, state,
    /// kind, attempts, stored, done, fault
    Find(FindArgs),
    /// Show what happens from now on, one line each: time, channel, contact, direction, mId, step; Ctrl-C ends it
    Tail(super::tail::TailArgs),
    /// Say what became of a message that may have been delivered (state unknown or unconfirmed)
    Settle {
        /// The mId that /message answered
        m_id: String,
        /// delivered: the customer has it. failed: the customer does not, and it is not sent again. send-again: now. noted:
        /// nobody can tell, and it stays so; it counts no more as one to be settled
        #[arg(long = "as", value_parser = ["delivered", "failed", "send-again", "noted"])]
        how: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Tell what happened to a message: whether the customer got it, what happens next, and each step
    Journey {
        /// The mId that /message answered, or that of an event
        m_id: String,
        /// en or es; that of `bonychat.language` without this
        #[arg(long, value_parser = ["en", "es"])]
        language: Option<String>,
        /// The contact in full, where the configuration masks it
        #[arg(long)]
        contacts: bool,
    },
    /// Show one message of either direction
    Show {
        /// The mId that /message answered, or that of an event, as `bridge messages find` shows it
        m_id: String,
    },
    /// Send a failed message again, or post dead events again, in their old places. By filter: as a dry run without --yes
    Retry {
        /// As `bridge messages list` shows it
        #[arg(required_unless_present = "state", conflicts_with = "state")]
        m_id: Option<String>,
        #[command(flatten)]
        bulk: BulkArgs,
        /// Also messages of conversations that have moved on: the customer reads them after a newer one
        #[arg(long, requires = "state")]
        moved_on: bool,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Tell who did what, newest first, one a line: when, who, by what means, what, to which mId or channel, why
    Audit(super::audit::AuditArgs),
    /// Erase everything that is stored of one person
    Erase(super::erase::EraseArgs),
    /// Give a message or a dead event up for good and wipe its text at once; the agent of one that still waits is told. By filter, such
    /// as a broadcast that waits: as a dry run without --yes
    Discard {
        /// As `bridge messages list` shows it
        #[arg(required_unless_present = "state", conflicts_with = "state")]
        m_id: Option<String>,
        #[command(flatten)]
        bulk: BulkArgs,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// List the jobs that retry or discard many messages, newest first
    Jobs {
        /// JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Go on with a job that was interrupted
    Resume {
        /// As `bridge messages jobs` shows it
        job: i64,
    },
    /// End a job; what is done stays done
    Cancel {
        /// As `bridge messages jobs` shows it
        job: i64,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
}

pub(super) async fn run(command: Command, config: &Config) -> Result<(), Failure> {
    let store = open::visitor(&config.store.url).await?;
    let outcome = done(command, config, store.as_ref()).await;
    store.close().await;
    outcome
}

async fn done(command: Command, config: &Config, store: &dyn Store) -> Result<(), Failure> {
    match command {
        Command::Retry { m_id: Some(m_id), why, .. } => {
            say(decide::retry(store, m_id, operator(why.as_deref())).await)?;
        }
        Command::Retry { m_id: None, bulk, moved_on, why } => {
            if bulk.dead_since() {
                retry_given_up(store, config, bulk, &operator(why.as_deref())).await?;
            } else {
                bulk::run(BulkAction::Retry, bulk, moved_on, why.as_deref(), config, store).await?;
            }
        }
        Command::Discard { m_id: Some(m_id), why, .. } => {
            say(decide::discard(store, config, m_id, operator(why.as_deref())).await)?;
        }
        Command::Discard { m_id: None, bulk, why } => {
            bulk::run(BulkAction::Discard, bulk, false, why.as_deref(), config, store).await?;
        }
        Command::Jobs { json } => bulk::jobs(json, store).await?,
        Command::Resume { job } => bulk::resume(job, config, store).await?,
        Command::Cancel { job, why } => bulk::cancel(job, why.as_deref(), store).await?,
        Command::Erase(arguments) => {
            let outcome = super::erase::run(arguments, config, store).await.map_err(anyhow::Error::new)?;
            report(outcome)?;
        }
        Command::Settle { m_id, how, why } => {
            let decision = match how.as_str() {
                "delivered" => Decision::Delivered,
                "failed" => Decision::Failed,
                "noted" => Decision::Noted,
                _ => Decision::SendAgain,
            };
            say(decide::settle(store, config, m_id, decision, operator(why.as_deref())).await)?;
        }
        Command::Audit(arguments) => super::audit::run(arguments, store).await?,
        Command::Journey { m_id, language, contacts } => {
            print(&journey::tell(store, config, &m_id, language.as_deref(), contacts).await?)?;
        }
        Command::Show { m_id } => {
            let Some(found) = store.show(m_id.clone()).await.map_err(anyhow::Error::new)? else {
                return Err(Failure::Work(anyhow::anyhow!(
                    "there is no message `{m_id}` in this store: was it another bridge, or longer ago than keep_rows?"
                )));
            };
            print(&line(&found, true))?;
        }
        Command::List(arguments) => find::list(arguments, config, store).await?,
        Command::Find(arguments) => find::run(arguments, config, store).await?,
        Command::Tail(arguments) => super::tail::run(arguments, config, store).await?,
    }
    Ok(())
}

/// Events that one transaction requeues, at most, and the least pause between two: a bridge beside it writes to the store too.
const AT_ONCE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Requeues what was given up since a time, or prints what that would be.
async fn retry_given_up(store: &dyn Store, config: &Config, which: BulkArgs, by: &Operator) -> Result<(), Failure> {
    let BulkArgs { channel, since, yes, .. } = which;
    if let Some(channel) = &channel {
        check_channel(store, config, channel).await.map_err(find::failure)?;
    }
    let since_ms = time_of(config, "since", since.as_deref()).map_err(find::failure)?.unwrap_or(i64::MIN);
    Ok(requeue_given_up(store, channel, since_ms, yes, by).await?)
}

async fn requeue_given_up(
    store: &dyn Store,
    channel: Option<String>,
    since_ms: i64,
    yes: bool,
    by: &Operator,
) -> anyhow::Result<()> {
    let found = store.given_up(channel.clone(), since_ms).await?;
    let mut report = String::new();
    for there in &found {
        let _ = writeln!(report, "{}\t{}\t{}", there.channel, there.fault, there.events);
    }
    let events: u64 = found.iter().map(|there| there.events).sum();
    if events == 0 {
        report.push_str("no event that can be posted again was given up in this time: nothing to do\n");
        return print(&report);
    }
    if !yes {
        let _ = writeln!(
            report,
            "{events} event(s) would be posted again, in their old places; nothing was changed. Mend what made BonyChat \
             refuse them, then do it with --yes"
        );
        return print(&report);
    }
    let mut again = 0;
    loop {
        let began = Instant::now();
        let some = store.retry_given_up(channel.clone(), since_ms, AT_ONCE, by.clone(), now_ms()).await?;
        again += some;
        if some < AT_ONCE as usize {
            break;
        }
        tokio::time::sleep(PAUSE.max(began.elapsed())).await;
    }
    let _ = writeln!(report, "{again} event(s) queued again; a running bridge posts them within seconds");
    print(&report)
}

/// Prints what was decided.
fn say(decided: Result<Decided, StoreError>) -> anyhow::Result<()> {
    let decided = decided?;
    let sentence = decided.sentence(Language::En);
    report(if decided.result.is_ok() { Ok(sentence) } else { Err(sentence) })
}

/// Prints what was done; what could not be done is a failure of the command.
fn report(outcome: Result<String, String>) -> anyhow::Result<()> {
    match outcome {
        Ok(done) => print(&format!("{done}\n")),
        Err(why_not) => Err(anyhow::anyhow!(why_not)),
    }
}
