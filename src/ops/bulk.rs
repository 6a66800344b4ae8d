//! Decides on many messages at once: the plan says what would happen and changes nothing; the job does it, in transactions of a bounded
//! size, and can be gone on with after any end.

pub(crate) mod seen;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::decide::discard_notices;
use super::find::{self, Refusal, check_channel};
use crate::config::{Config, LogContacts};
use crate::domain::clock::{now_ms, since};
use crate::domain::find::words_of;
use crate::domain::journey::Operator;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::store::{BulkAction, BulkFilter, BulkMatch, BulkState, Job, NewJob, Store, StoreError};

/// Messages of one transaction, at most. On SQLite a bridge beside it waits half a second for its turn to write, and then refuses messages:
/// few enough that a busy machine decides them in a tenth of that.
const AT_ONCE: usize = 20;

/// A transaction requeues no more than goes out in this time at the job's rate, so that what is accepted meanwhile does not wait longer.
const BURST_MS: i64 = 5_000;

/// Pause between two transactions, at least, and no less than the one before took: a bridge that waits for its turn looks now and then
/// whether it has come.
const PAUSE: Duration = Duration::from_millis(50);

/// How soon a job notices that another process has ended it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Messages that a plan shows.
pub(crate) const SHOWN: usize = 25;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What is asked. Times and contacts are as they were typed.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) action: BulkAction,
    pub(crate) state: BulkState,
    pub(crate) fault: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) contact: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    /// Words of the text, in any order, or in quotes as they follow each other; without regard to case and accents.
    pub(crate) text: Option<String>,
    /// Also messages of conversations that have moved on.
    pub(crate) moved_on: bool,
}

/// What would happen.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) action: BulkAction,
    pub(crate) state: BulkState,
    description: String,
    /// Messages of conversations that have moved on are chosen too.
    pub(crate) takes_moved_on: bool,
    spacing_ms: i64,
    /// What would be decided, oldest first.
    pub(crate) chosen: Vec<BulkMatch>,
    /// What else matches, of which the text is erased.
    pub(crate) wiped: usize,
    /// Messages of conversations that have moved on, chosen or not.
    pub(crate) moved_on: usize,
    /// Of the chosen, those that are older than a day.
    pub(crate) old: usize,
    /// Pauses by hand that last, of channels of the chosen: until they are over, what is retried would pile up.
    pub(crate) pauses: Vec<OperatorPause>,
}

/// Returns what would happen, and changes nothing.
///
/// # Errors
/// What of the request means nothing; or the store could not be read.
pub(crate) async fn plan(store: &dyn Store, config: &Config, request: Request) -> Result<Plan, Refusal> {
    let Request { action, state, moved_on: takes_moved_on, .. } = request;
    if action == BulkAction::Retry && state == BulkState::Queued {
        return Err(Refusal::InBoth([
            "messages that are queued go out by themselves: there is nothing to retry",
            "los mensajes en cola salen solos: no hay nada que reintentar",
        ]));
    }
    if let Some(channel) = &request.channel {
        check_channel(store, config, channel).await?;
    }
    let filter = filter(config, &request)?;
    let all = store.bulk().bulk_matches(filter).await?;
    let wiped = all.iter().filter(|one| !one.has_text).count();
    let mut chosen: Vec<BulkMatch> = all.into_iter().filter(|one| one.has_text).collect();
    let mut moved_on = 0;
    if action == BulkAction::Retry {
        moved_on = chosen.iter().filter(|one| one.moved_on).count();
        chosen.retain(|one| takes_moved_on || !one.moved_on);
    }
    let day_ago_ms = now_ms().saturating_sub(DAY_MS);
    let old = chosen.iter().filter(|one| one.at_ms < day_ago_ms).count();
    let spacing_ms = if action == BulkAction::Retry { spacing_ms(config, state, &chosen) } else { 0 };
    let description = description(&request);
    let pauses = if action == BulkAction::Retry { pauses(store, state, &chosen).await? } else { Vec::new() };
    Ok(Plan { action, state, description, takes_moved_on, spacing_ms, chosen, wiped, moved_on, old, pauses })
}

/// Returns the pauses that keep what is retried from going out.
async fn pauses(store: &dyn Store, state: BulkState, chosen: &[BulkMatch]) -> Result<Vec<OperatorPause>, StoreError> {
    let kind = if state == BulkState::Dead { PauseKind::In } else { PauseKind::Out };
    let mut pauses = store.operator_pauses().await?;
    pauses.retain(|pause| pause.kind == kind && chosen.iter().any(|one| one.channel == pause.channel));
    Ok(pauses)
}

fn filter(config: &Config, request: &Request) -> Result<BulkFilter, Refusal> {
    let words = match &request.text {
        None => Vec::new(),
        Some(typed) => {
            let words = words_of(typed);
            if words.is_empty() {
                return Err(Refusal::InBoth([
                    "--text takes words: there is none in it",
                    "el texto debe tener palabras: no hay ninguna",
                ]));
            }
            words
        }
    };
    Ok(BulkFilter {
        state: request.state,
        channel: request.channel.clone(),
        fault: request.fault.clone(),
        since_ms: find::time_of(config, "since", request.since.as_deref())?,
        until_ms: find::time_of(config, "until", request.until.as_deref())?,
        contacts: request.contact.as_deref().map(find::spellings).unwrap_or_default(),
        words,
    })
}

/// Returns how the set was described, as JSON without texts and contacts, which are erased with their messages.
fn description(request: &Request) -> String {
    let given = |option: &Option<String>| option.as_ref().map(|_| "given");
    serde_json::json!({
        "state": request.state.as_str(),
        "fault": request.fault,
        "channel": request.channel,
        "contact": given(&request.contact),
        "since": request.since,
        "until": request.until,
        "text": given(&request.text),
        "moved_on": request.moved_on,
    })
    .to_string()
}

/// Returns the time for one of them at half the rate of the slowest account, or webhook, that they concern.
fn spacing_ms(config: &Config, state: BulkState, chosen: &[BulkMatch]) -> i64 {
    let rates =
        config.channels.values().filter(|channel| chosen.iter().any(|one| one.channel == channel.name.as_str()));
    let rates = rates.map(|channel| match state {
        BulkState::Dead => channel.bonychat.requests_per_second,
        BulkState::Queued | BulkState::Failed => channel.afilnet.requests_per_second,
    });
    rates.min().map_or(0, |slowest| i64::from(2000_u32.div_ceil(slowest.max(1))))
}

impl Plan {
    /// Returns what it is about, with its number.
    fn subject(&self) -> &'static str {
        if self.state == BulkState::Dead { "event(s)" } else { "message(s)" }
    }

    /// Returns it for the operator, line by line: first a line for each channel and fault, `channel TAB fault TAB number`.
    pub(crate) fn lines(&self, config: &Config) -> Vec<String> {
        let group = |((channel, fault), count): ((&str, &str), usize)| {
            format!("{channel}\t{}\t{count}", if fault.is_empty() { "-" } else { fault })
        };
        let mut lines: Vec<String> = self.groups().into_iter().map(group).collect();
        let (count, what) = (self.chosen.len(), self.subject());
        lines.push(match self.action {
            BulkAction::Retry => format!("would go again: {count} {what}, in their old places"),
            BulkAction::Discard => format!("would be discarded, with their texts: {count} {what}"),
        });
        if self.action == BulkAction::Discard && self.state == BulkState::Queued {
            lines.push(format!("agents who would be told: {count}"));
        }
        lines.push(format!("text wiped, so nothing can be done with them: {}", self.wiped));
        lines.push(format!("older than a day: {}", self.old));
        if self.action == BulkAction::Retry && self.state == BulkState::Failed {
            let taken = if self.takes_moved_on { "taken too" } else { "left out; --moved-on takes them too" };
            lines.push(format!(
                "conversation has moved on, so that the customer would read them after a newer message: {} ({taken})",
                self.moved_on
            ));
        }
        if let Some(takes) = self.takes() {
            lines.push(format!(
                "takes about {} at half the rate of the slowest account",
                humantime::format_duration(takes)
            ));
        }
        lines.extend(self.refused(config));
        if count > 0 {
            lines.push(format!("the first {} of them:", count.min(SHOWN)));
        }
        lines.extend(self.chosen.iter().take(SHOWN).map(|one| shown(config, one)));
        lines
    }

    /// Returns the number of the chosen by channel and fault.
    pub(crate) fn groups(&self) -> BTreeMap<(&str, &str), usize> {
        let mut groups: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for one in &self.chosen {
            *groups.entry((&one.channel, &one.fault)).or_default() += 1;
        }
        groups
    }

    /// Returns how long it takes, in whole seconds; `None` where it is done as fast as the store takes it.
    pub(crate) fn takes(&self) -> Option<Duration> {
        let spacing = Duration::from_millis(u64::try_from(self.spacing_ms).unwrap_or(0));
        let takes = spacing.saturating_mul(self.count());
        (!takes.is_zero()).then(|| Duration::from_secs(takes.as_secs().max(1)))
    }

    /// Returns why it cannot be started now, in words.
    pub(crate) fn refused(&self, config: &Config) -> Option<String> {
        let pauses: Vec<String> =
            self.pauses.iter().map(|one| one.in_words(&config.time_zone_of(&one.channel))).collect();
        (!pauses.is_empty()).then(|| {
            format!(
                "cannot be done while a channel of it is paused by hand, since all of it would go at once when the pause ends, in front \
                 of newer messages; --channel takes another channel alone. {}",
                pauses.join("; ")
            )
        })
    }

    fn count(&self) -> u32 {
        u32::try_from(self.chosen.len()).unwrap_or(u32::MAX)
    }

    /// Returns the set in parts: the oldest first; within a part in the order of conversations, in which they are locked.
    fn parts(&self) -> Vec<Vec<String>> {
        let at_once = match self.spacing_ms {
            0 => AT_ONCE,
            spacing_ms => usize::try_from(BURST_MS / spacing_ms).unwrap_or(AT_ONCE).clamp(1, AT_ONCE),
        };
        let part = |some: &[BulkMatch]| {
            let mut some: Vec<&BulkMatch> = some.iter().collect();
            some.sort_unstable_by_key(|one| (one.conversation, one.id));
            // Several events may share an mId.
            let id = |one: &BulkMatch| {
                if self.state == BulkState::Dead { one.id.to_string() } else { one.m_id.clone() }
            };
            some.into_iter().map(id).collect()
        };
        self.chosen.chunks(at_once).map(part).collect()
    }
}

/// Returns the contact of one of them as the configuration lets it be shown.
pub(crate) fn shown_contact(config: &Config, one: &BulkMatch) -> String {
    let masked = (config.log.contacts == LogContacts::Masked).then(|| one.contact.parse().ok()).flatten();
    masked.map_or_else(|| one.contact.clone(), |contact| crate::telemetry::contact(&contact).to_string())
}

fn shown(config: &Config, one: &BulkMatch) -> String {
    let contact = shown_contact(config, one);
    let mut line = format!("{}\t{}\t{contact}\t{}\t{}", one.m_id, one.channel, one.kind, find::time(one.at_ms));
    let _ = write!(line, "\t{}", if one.fault.is_empty() { "-" } else { &one.fault });
    line
}

/// Stores the plan as a job. Returns its id.
///
/// # Errors
/// A channel of it is paused by hand; or the store could not be written.
pub(crate) async fn start(store: &dyn Store, config: &Config, plan: &Plan, by: Operator) -> Result<i64, Refusal> {
    if let Some(why) = plan.refused(config) {
        return Err(Refusal::Request(format!("nothing was changed: it {why}")));
    }
    let job = NewJob {
        action: plan.action,
        state: plan.state,
        filter: plan.description.clone(),
        moved_on: plan.takes_moved_on,
        spacing_ms: plan.spacing_ms,
        total: plan.chosen.len() as u64,
        parts: plan.parts(),
        by,
    };
    Ok(store.bulk().add_job(job, now_ms()).await?)
}

/// Works on a job until it is over or `stop`, between two transactions. Calls `progress` after each. Returns how far it is; `None` if
/// there is no such job. Any number of processes may do so at once: each message is decided once, at the pace of one.
///
/// # Errors
/// The store could not be written: what is done stays done, and the rest can be gone on with.
pub(crate) async fn carry(
    store: &dyn Store,
    config: &Config,
    job: i64,
    stop: &CancellationToken,
    mut progress: impl FnMut(&Job),
) -> Result<Option<Job>, StoreError> {
    let notices = discard_notices(config);
    let mut decided = None;
    loop {
        let began = Instant::now();
        let Some(job) = store.bulk().work_job(job, notices.clone(), now_ms()).await? else { return Ok(None) };
        let now = (job.done + job.skipped, job.paused);
        if decided.replace(now) != Some(now) {
            progress(&job);
        }
        if job.is_over() {
            return Ok(Some(job));
        }
        let least = PAUSE.max(began.elapsed());
        let pause = since(now_ms(), job.next_ms).clamp(least, LOOK_AGAIN.max(least));
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(Some(job));
        }
    }
}

/// Returns a job in one line.
pub(crate) fn told(job: &Job) -> String {
    let what = if job.subject == "e" { "event(s)" } else { "message(s)" };
    let state = match (job.cancelled_ms, job.ended_ms) {
        (Some(at_ms), _) => format!("cancelled at {}", find::time(at_ms)),
        (None, Some(at_ms)) => format!("ended at {}", find::time(at_ms)),
        (None, None) => {
            let left = job.total.saturating_sub(job.done + job.skipped);
            let waits =
                if job.paused { "; it waits, since a channel is paused by hand: `bridge channels pauses`" } else { "" };
            format!("{left} left{waits}")
        }
    };
    format!(
        "job {}: {} of {} {what} by {}, {}: {} done, {} left out since they had changed, {state}",
        job.id,
        job.action,
        job.total,
        job.who,
        find::time(job.at_ms),
        job.done,
        job.skipped
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn plan(state: BulkState, spacing_ms: i64, conversations: &[i64]) -> Plan {
        let one = |(id, conversation): (i64, &i64)| BulkMatch {
            id,
            conversation: *conversation,
            m_id: format!("m{id}"),
            channel: "support".into(),
            contact: "+34600111222".into(),
            kind: "text".into(),
            at_ms: 0,
            fault: String::new(),
            has_text: true,
            moved_on: false,
        };
        let chosen: Vec<BulkMatch> = (0..).zip(conversations).map(one).collect();
        let (action, description) = (BulkAction::Retry, String::new());
        Plan {
            action,
            state,
            description,
            takes_moved_on: false,
            spacing_ms,
            chosen,
            wiped: 0,
            moved_on: 0,
            old: 0,
            pauses: Vec::new(),
        }
    }

    #[test]
    fn parts_are_the_oldest_first_and_each_in_the_order_of_conversations() {
        assert_eq!(
            plan(BulkState::Failed, 2000, &[9, 1, 5, 1, 2]).parts(),
            [vec!["m1", "m0"], vec!["m3", "m2"], vec!["m4"]]
        );
        assert_eq!(plan(BulkState::Dead, 2000, &[9, 1]).parts(), [vec!["1", "0"]], "events by their own ids");
        let many = vec![1; 450];
        let sizes =
            |spacing_ms| plan(BulkState::Failed, spacing_ms, &many).parts().iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(0), [vec![20; 22], vec![10]].concat());
        assert_eq!(sizes(500), vec![10; 45], "no more than goes out in five seconds");
        assert_eq!(sizes(60_000)[0], 1);
    }
}
