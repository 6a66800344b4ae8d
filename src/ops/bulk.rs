//! Decides on many messages at once: the plan says what would happen and changes nothing; the job does it, in transactions of a bounded
//! size, and can be gone on with after any end.

pub(crate) mod seen;
pub(crate) mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use set::{FillOutcome, Pages, RunningDigest, Selection, Set};

use super::decide::discard_notices;
use super::find::{self, Refusal, check_channel};
use crate::config::{Config, LogContacts};
use crate::domain::Content;
use crate::domain::clock::{now_ms, since};
use crate::domain::find::words_of;
use crate::domain::journey::Operator;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::store::{BulkAction, BulkFilter, BulkJobs, BulkMatch, BulkState, Job, NewJob, Store, StoreError};
use seen::{ShownPlan, Stale};

/// Messages of one transaction, at most. On SQLite a bridge beside it waits half a second for its turn to write, and then refuses messages:
/// few enough that a busy machine decides them in a tenth of that.
const AT_ONCE: usize = 20;

/// A transaction requeues no more than goes out in this time at the job's rate, so that what is accepted meanwhile does not wait longer.
const BURST_MS: i64 = 5_000;

/// How soon a job notices that another process has ended it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often in a row a part of a job is tried in a serving process, before the job is stopped: over about ten minutes.
pub(crate) const ATTEMPTS: u32 = 8;

/// Messages that a plan shows.
pub(crate) const SHOWN: usize = 25;

/// Why a plan of more messages than a job takes is refused.
pub(crate) const TOO_MANY: [&str; 2] = [
    "more than 100,000 match, and a job takes no more: nothing was changed. Narrow it, by time first (--since and --until), or by \
     --channel, --fault, --contact or --text, and do one part after another",
    "coinciden más de 100.000, y un trabajo no admite más: no se ha cambiado nada. Acote la búsqueda, primero por tiempo (desde, \
     hasta), o por canal, motivo, contacto o palabras, y haga una parte tras otra",
];

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The filter of a decision as it was typed; times and contacts are not parsed yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) action: BulkAction,
    pub(crate) state: BulkState,
    /// One of [`Content::KINDS`].
    pub(crate) kind: Option<String>,
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

/// What a decision on many messages would do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) action: BulkAction,
    pub(crate) state: BulkState,
    description: String,
    filter: BulkFilter,
    /// Messages of conversations that have moved on are chosen too.
    pub(crate) takes_moved_on: bool,
    spacing_ms: i64,
    /// What would be decided.
    pub(crate) set: Set,
    /// The number of them by channel and fault.
    pub(crate) groups: BTreeMap<(String, String), usize>,
    /// The first of them, oldest first.
    pub(crate) first: Vec<BulkMatch>,
    selection: Selection,
    /// It applies to the messages that a person saw.
    is_held: bool,
    /// The number of further matches whose text is erased.
    pub(crate) wiped: usize,
    /// Messages of conversations that have moved on, chosen or not.
    pub(crate) moved_on: usize,
    /// Of the first of these conversations one message each.
    moved_on_first: Vec<BulkMatch>,
    /// The number of chosen messages that are older than a day.
    pub(crate) old: usize,
    /// Pauses by hand that last, of channels of the chosen: until they are over, what is retried would pile up.
    pub(crate) pauses: Vec<OperatorPause>,
}

/// Returns what would happen, and changes nothing. `seen`: of what was there when a person saw it alone.
///
/// # Errors
/// What of the request means nothing; or the store could not be read.
pub(crate) async fn plan(
    store: &dyn Store,
    config: &Config,
    request: Request,
    seen: Option<&ShownPlan>,
) -> Result<Plan, Refusal> {
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
    let retries = action == BulkAction::Retry;
    let (up_to, waits_since_ms) = seen.map_or((i64::MAX, i64::MAX), |seen| (seen.newest, seen.at_ms));
    let selection = Selection { retries, takes_moved_on, up_to, waits_since_ms };
    let day_ago_ms = now_ms().saturating_sub(DAY_MS);
    let (mut wiped, mut moved_on, mut old) = (0, 0, 0);
    let mut groups: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut first: Vec<BulkMatch> = Vec::new();
    let mut moved_on_first: BTreeMap<i64, BulkMatch> = BTreeMap::new();
    let (mut pages, mut summed) = (Pages::new(store.bulk(), &filter), RunningDigest::default());
    while let Some(page) = pages.next().await? {
        for one in page {
            wiped += usize::from(!one.has_text);
            if retries && one.has_text && one.moved_on {
                moved_on += 1;
                // All but what waits is read by its ids: the first ones are the oldest.
                if moved_on_first.len() < SHOWN {
                    moved_on_first.entry(one.conversation).or_insert_with(|| one.clone());
                }
            }
            if !selection.takes(&one, state) {
                continue;
            }
            summed.add(one.id).map_err(|_| Refusal::InBoth(TOO_MANY))?;
            old += usize::from(one.at_ms < day_ago_ms);
            *groups.entry((one.channel.clone(), one.fault.clone())).or_default() += 1;
            first.push(one);
        }
        first.sort_unstable_by_key(|one| one.id);
        first.truncate(SHOWN);
    }
    let channels: BTreeSet<&str> = groups.keys().map(|(channel, _)| channel.as_str()).collect();
    let spacing_ms = if retries { spacing_ms(config, state, &channels) } else { 0 };
    let pauses = if retries { pauses(store, state, &channels).await? } else { Vec::new() };
    let description = description(&request);
    Ok(Plan {
        action,
        state,
        description,
        filter,
        takes_moved_on,
        spacing_ms,
        set: summed.set(),
        groups,
        first,
        selection,
        is_held: seen.is_some(),
        wiped,
        moved_on,
        moved_on_first: moved_on_first.into_values().collect(),
        old,
        pauses,
    })
}

/// Returns the pauses that keep what is retried from going out.
async fn pauses(
    store: &dyn Store,
    state: BulkState,
    channels: &BTreeSet<&str>,
) -> Result<Vec<OperatorPause>, StoreError> {
    let kind = if state == BulkState::Dead { PauseKind::In } else { PauseKind::Out };
    let mut pauses = store.operator_pauses().await?;
    pauses.retain(|pause| pause.kind == kind && channels.contains(pause.channel.as_str()));
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
        kind: kind(request)?,
        channel: request.channel.clone(),
        fault: request.fault.clone(),
        since_ms: find::time_of(config, "since", request.since.as_deref())?,
        until_ms: find::time_of(config, "until", request.until.as_deref())?,
        contacts: request.contact.as_deref().map(find::spellings).unwrap_or_default(),
        words,
    })
}

/// Returns the kind of content in the filter; `None` for all kinds.
fn kind(request: &Request) -> Result<Option<&'static str>, Refusal> {
    let Some(typed) = &request.kind else { return Ok(None) };
    if request.state == BulkState::Dead {
        return Err(Refusal::InBoth([
            "--kind is of messages to customers: events are not told apart by it",
            "la clase es de los mensajes a clientes: los eventos no se distinguen por ella",
        ]));
    }
    let known = Content::KINDS.into_iter().find(|kind| kind == typed).map(Some);
    known.ok_or(Refusal::InBoth([
        "--kind takes text, attachment, location or quick_reply",
        "la clase es text, attachment, location o quick_reply",
    ]))
}

/// Returns how the set was described, as JSON without texts and contacts, which are erased with their messages.
fn description(request: &Request) -> String {
    let given = |option: &Option<String>| option.as_ref().map(|_| "given");
    serde_json::json!({
        "state": request.state.as_str(),
        "kind": request.kind,
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
fn spacing_ms(config: &Config, state: BulkState, channels: &BTreeSet<&str>) -> i64 {
    let rates = config.channels.values().filter(|channel| channels.contains(channel.name.as_str()));
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
        let group = |((channel, fault), count): (&(String, String), &usize)| {
            format!("{channel}\t{}\t{count}", if fault.is_empty() { "-" } else { fault })
        };
        let mut lines: Vec<String> = self.groups.iter().map(group).collect();
        let (count, what) = (self.set.count, self.subject());
        lines.push(match self.action {
            BulkAction::Retry => format!("would go again: {count} {what}, in their old places"),
            BulkAction::Discard => format!("would be discarded, with their texts: {count} {what}"),
        });
        if self.action == BulkAction::Discard && self.state == BulkState::Queued {
            lines.push(format!("agents who would be told, unless they know it from before a retry: {count}"));
        }
        lines.push(format!("text wiped, so nothing can be done with them: {}", self.wiped));
        lines.push(format!("older than a day: {}", self.old));
        if self.action == BulkAction::Retry && self.state == BulkState::Failed {
            let taken = if self.takes_moved_on { "taken too" } else { "left out; --moved-on takes them too" };
            lines.push(format!(
                "conversation has moved on, so that the customer would read them after a newer message: {} ({taken})",
                self.moved_on
            ));
            if !self.moved_on_first.is_empty() {
                let contacts = self.moved_on_contacts(config);
                lines.push(format!("the first {} of these conversations: {}", contacts.len(), contacts.join(", ")));
            }
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
        lines.extend(self.first.iter().map(|one| shown(config, one)));
        lines
    }

    /// Returns the contacts of the first conversations that have moved on, as the configuration lets them be shown.
    pub(crate) fn moved_on_contacts(&self, config: &Config) -> Vec<String> {
        self.moved_on_first.iter().map(|one| shown_contact(config, one)).collect()
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
        u32::try_from(self.set.count).unwrap_or(u32::MAX)
    }
}

/// Returns how many messages one transaction decides.
fn at_once(spacing_ms: i64) -> usize {
    match spacing_ms {
        0 => AT_ONCE,
        spacing_ms => usize::try_from(BURST_MS / spacing_ms).unwrap_or(AT_ONCE).clamp(1, AT_ONCE),
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

/// Why a plan was not made a job.
#[derive(Debug)]
pub(crate) enum NotStarted {
    Refusal(Refusal),
    /// It is no longer as a person saw it.
    Stale(Stale),
    /// The store did not answer: this job may have been made, or not.
    Unclear(i64),
}

/// Returns what is to be known of a job that may have been made, in English and Spanish.
pub(crate) fn unclear(job: i64) -> [String; 2] {
    [
        format!(
            "the store did not answer: job {job} may have been made, or not. If it was, the bridge may begin it by itself when it \
             starts again, and then its messages are decided. Once the store answers, see what became of it with `bridge messages \
             jobs`, end it with `bridge messages cancel {job}` or do it with `bridge messages resume {job}`; make no new plan before"
        ),
        format!(
            "el almacén no respondió: el trabajo {job} puede haberse creado o no. Si se creó, el puente puede empezarlo por sí solo al \
             arrancar de nuevo, y entonces se decidirán sus mensajes. Cuando el almacén responda, vea qué fue de él con `bridge \
             messages jobs`, termínelo con `bridge messages cancel {job}` o hágalo con `bridge messages resume {job}`; no haga antes un \
             plan nuevo"
        ),
    ]
}

impl From<StoreError> for NotStarted {
    fn from(error: StoreError) -> Self {
        Self::Refusal(error.into())
    }
}

/// Stores the plan as a job. Returns its id and the number of its messages. One that a person saw becomes a job of just these; any
/// other, of what is there now.
///
/// # Errors
/// A channel of it is paused by hand, or it has changed since a person saw it: nothing was changed. Or the store could not be written.
pub(crate) async fn start(
    store: &dyn Store,
    config: &Config,
    plan: &Plan,
    by: Operator,
) -> Result<(i64, usize), NotStarted> {
    if let Some(why) = plan.refused(config) {
        return Err(NotStarted::Refusal(Refusal::Request(format!("nothing was changed: it {why}"))));
    }
    let new = NewJob {
        action: plan.action,
        state: plan.state,
        filter: plan.description.clone(),
        moved_on: plan.takes_moved_on,
        spacing_ms: plan.spacing_ms,
        by,
    };
    let selection = Selection { up_to: plan.selection.up_to.min(plan.set.newest), ..plan.selection };
    // Messages that wait go out meanwhile.
    let expected = (plan.is_held && plan.state != BulkState::Queued).then_some(&plan.set);
    match set::make(store.bulk(), &plan.filter, selection, at_once(plan.spacing_ms), new, expected).await {
        Ok(FillOutcome::Job(job, count)) => Ok((job, count)),
        Ok(FillOutcome::TooMany) => Err(NotStarted::Refusal(Refusal::InBoth(TOO_MANY))),
        Ok(FillOutcome::Unclear(job)) => Err(NotStarted::Unclear(job)),
        Ok(FillOutcome::Changed(now)) => Err(NotStarted::Stale(Stale::Changed { seen: plan.set.count, now })),
        Err(StoreError::Stale) => Err(NotStarted::Refusal(Refusal::InBoth([
            "nothing was changed: somebody ended the job while it was made. Make a new plan",
            "no se ha cambiado nada: alguien terminó el trabajo mientras se creaba. Haga un plan nuevo",
        ]))),
        Err(error) => Err(error.into()),
    }
}

/// Works on a job until it is over or [stopped](Job::stopped), or `stop`, between two transactions. Calls `progress` after each. Returns how far it is; `None` if
/// there is no such job. Any number of processes may do so at once: each message is decided once, at the pace of one.
///
/// # Errors
/// The store could not be written: what is done stays done, and the rest can be gone on with.
pub(crate) async fn carry(
    jobs: &dyn BulkJobs,
    config: &Config,
    job: i64,
    stop: &CancellationToken,
    mut progress: impl FnMut(&Job),
) -> Result<Option<Job>, StoreError> {
    let notices = discard_notices(config);
    let mut decided = None;
    loop {
        let began = Instant::now();
        let Some((mut there, has_work)) = jobs.job_and_work(job, now_ms()).await? else { return Ok(None) };
        if has_work {
            let Some(worked) = jobs.work_job(job, notices.clone(), now_ms()).await? else { return Ok(None) };
            there = worked;
        }
        let now = (there.done + there.skipped, there.paused);
        if decided.replace(now) != Some(now) {
            progress(&there);
        }
        if !there.goes_on() {
            return Ok(Some(there));
        }
        let least = set::PAUSE.max(began.elapsed());
        let is_held = there.paused && !has_work; // though its time has come
        let wait = if is_held { LOOK_AGAIN } else { since(now_ms(), there.next_ms) };
        let pause = wait.clamp(least, LOOK_AGAIN.max(least));
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(Some(there));
        }
    }
}

/// Returns the state of a job in one line.
pub(crate) fn state_line(job: &Job) -> String {
    let state = match (job.cancelled_ms, job.ended_ms) {
        (Some(at_ms), _) if !job.filled => {
            format!("cancelled at {} before all of them were in: nothing was done. Make a new plan", find::time(at_ms))
        }
        (Some(at_ms), _) => format!("cancelled at {}", find::time(at_ms)),
        (None, Some(at_ms)) => format!("ended at {}", find::time(at_ms)),
        (None, None) if !job.filled => {
            "not all of them are in yet: nothing is done before. If that was interrupted, it is \
                                        cancelled within minutes, by the bridge or by the next job"
                .to_owned()
        }
        (None, None) => {
            let left = job.total.saturating_sub(job.done + job.skipped);
            if let Some(why) = &job.stopped {
                return format!("{}, {}", beginning(job), stopped(job, left, why));
            }
            let waits =
                if job.paused { "; it waits, since a channel is paused by hand: `bridge channels pauses`" } else { "" };
            format!("{left} left{waits}")
        }
    };
    format!("{}, {state}", beginning(job))
}

fn beginning(job: &Job) -> String {
    let what = if job.subject == "e" { "event(s)" } else { "message(s)" };
    format!(
        "job {}: {} of {} {what} by {}, {}: {} done, {} left out since they had changed",
        job.id,
        job.action,
        job.total,
        job.who,
        find::time(job.at_ms),
        job.done,
        job.skipped
    )
}

/// Returns what has to be known of a job that waits for a person.
fn stopped(job: &Job, left: u64, why: &str) -> String {
    let id = job.id;
    format!(
        "stopped at {}: its next part failed {ATTEMPTS} times ({why}; the log says more). What is done stays done; the other {left} are \
         as they were, and nobody got any of them by this job. See what is wrong (`bridge doctor`), then go on with `bridge messages \
         resume {id}`, or end it with `bridge messages cancel {id}`",
        find::time(job.worked_ms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_decides_no_more_than_goes_out_in_five_seconds() {
        assert_eq!([0, 100, 500, 2000, 60_000].map(at_once), [20, 20, 10, 2, 1]);
    }
}
