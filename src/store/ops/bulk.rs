//! Decisions on many messages at once. A job is a set of ids in parts; a part is decided in one transaction, which removes it from the
//! job: none is decided twice, whoever works on the job, and the rest is known after a restart.

use super::audit::{self, Deed};
use super::find::folded;
use super::journey::{OF_EVENT, OF_MESSAGE, Subject};
use super::{journey, manual, text_index};
use crate::domain::find::{Side, holds};
use crate::domain::journey::{Action, Means, Operator};
use crate::domain::operator_pause::PauseKind;
use crate::store::bulk::{BulkAction, BulkFilter, BulkMatch, BulkPage, BulkState, Job, JobParts, NewJob, Place};
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Tx, decode, values};
use crate::store::{DiscardNotices, StoreError, rules, sql_bulk as sql};

/// How often one that waits for the end of a pause is marked as worked on.
const WAITS_MS: u64 = 30_000;

/// How soon a job that waits for the end of a pause looks again.
const PAUSED_MS: i64 = 1000;

/// A row of either statement, with its text.
struct Row {
    found: BulkMatch,
    text: Option<String>,
}

impl FromRow for Row {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let text: Option<String> = Cell::read(row, 8)?;
        let found = BulkMatch {
            id: Cell::read(row, 0)?,
            conversation: Cell::read(row, 1)?,
            m_id: Cell::read(row, 2)?,
            channel: Cell::read(row, 3)?,
            contact: Cell::read(row, 4)?,
            kind: Cell::read(row, 5)?,
            at_ms: Cell::read(row, 6)?,
            fault: Cell::read(row, 7)?,
            has_text: text.is_some(),
            moved_on: Cell::read(row, 9)?,
            since_ms: Cell::read(row, 10)?,
        };
        Ok(Self { found, text })
    }
}

impl FromRow for Job {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        let count = |at| Ok::<u64, BoxError>(u64::try_from(i64::read(row, at)?)?);
        Ok(Self {
            id: Cell::read(row, 0)?,
            at_ms: Cell::read(row, 1)?,
            who: Cell::read(row, 2)?,
            means: Cell::read(row, 3)?,
            why: Cell::read(row, 4)?,
            action: Cell::read(row, 5)?,
            subject: Cell::read(row, 6)?,
            state: Cell::read(row, 7)?,
            filter: Cell::read(row, 8)?,
            moved_on: Cell::read(row, 9)?,
            spacing_ms: Cell::read(row, 10)?,
            total: count(11)?,
            done: count(12)?,
            skipped: count(13)?,
            worked_ms: Cell::read(row, 14)?,
            next_ms: Cell::read(row, 15)?,
            paused: Cell::read(row, 16)?,
            ended_ms: Cell::read(row, 17)?,
            cancelled_ms: Cell::read(row, 18)?,
            filled: Cell::read(row, 19)?,
            stopped: Cell::read(row, 20)?,
        })
    }
}

/// See [`crate::store::BulkJobs::bulk_page`].
pub(in crate::store) async fn page<T: Tx>(
    db: &mut T,
    filter: &BulkFilter,
    after: Option<Place>,
    limit: u32,
) -> Result<BulkPage, StoreError> {
    let after = after.unwrap_or(Place { conversation: i64::MIN, id: i64::MIN });
    let by_id = |ids: Vec<i64>| ids.into_iter().map(|id| (0, id)).collect::<Vec<(i64, i64)>>();
    let (places, described, side) = match filter.state {
        BulkState::Queued => {
            let places = db.rows(sql::QUEUED_IDS, values![after.conversation, after.id, limit]).await?;
            (places, T::BULK_BY_IDS.outbound, Side::Out)
        }
        BulkState::Failed => {
            (by_id(db.ids(sql::FAILED_IDS, values![after.id, limit]).await?), T::BULK_BY_IDS.outbound, Side::Out)
        }
        BulkState::Dead => {
            (by_id(db.ids(sql::DEAD_IDS, values![after.id, limit]).await?), T::BULK_BY_IDS.events, Side::In)
        }
    };
    let mut page = BulkPage::default();
    let Some(&(conversation, id)) = places.last() else { return Ok(page) };
    page.next = (places.len() >= limit as usize).then_some(Place { conversation, id });
    let BulkFilter { kind, channel, fault, contacts, words, .. } = filter;
    let (since_ms, until_ms) = (filter.since_ms.unwrap_or(i64::MIN), filter.until_ms.unwrap_or(i64::MAX));
    let listed: Vec<String> = places.iter().map(|(_, id)| id.to_string()).collect();
    let listed = format!("[{}]", listed.join(","));
    let values = values![listed, filter.state.as_str(), channel, fault, since_ms, until_ms];
    for Row { found, text } in db.rows(described, values).await? {
        let of_contact = contacts.is_empty() || contacts.contains(&found.contact);
        let says = || words.is_empty() || holds(&folded(side, text.as_deref().unwrap_or_default()), words);
        let of_kind = kind.is_none_or(|kind| kind == found.kind);
        if of_contact && of_kind && says() {
            page.found.push(found);
        }
    }
    if filter.state == BulkState::Queued {
        // As they are read: in whatever pages that is done, a set has one order, and so one digest.
        page.found.sort_by_key(|found| (found.conversation, found.id));
    }
    Ok(page)
}

/// See [`crate::store::BulkJobs::add_job`].
pub(in crate::store) async fn add(db: &mut impl Tx, new: &NewJob, now_ms: i64) -> Result<i64, StoreError> {
    end_unfilled(db, now_ms).await?;
    let NewJob { action, state, filter, moved_on, spacing_ms, by } = new;
    let subject = if *state == BulkState::Dead { OF_EVENT } else { OF_MESSAGE };
    let values = values![
        now_ms,
        by.who(),
        by.means.name(),
        by.why(),
        action.name(),
        subject,
        state.as_str(),
        filter,
        *moved_on,
        spacing_ms
    ];
    db.one(sql::ADD_JOB, values).await
}

/// See [`crate::store::BulkJobs::fill_job`].
pub(in crate::store) async fn fill(
    db: &mut impl Tx,
    job: i64,
    parts: &JobParts,
    now_ms: i64,
) -> Result<(), StoreError> {
    let JobParts { first, parts, are_last } = parts;
    let more = i64::try_from(parts.iter().map(Vec::len).sum::<usize>()).unwrap_or(i64::MAX);
    db.change(sql::FILL, values![more, now_ms, *are_last, job]).await?;
    for (nth, ids) in (*first..).zip(parts) {
        db.execute(sql::ADD_PART, values![job, nth, ids.join(" ")]).await?;
    }
    if !are_last {
        return Ok(());
    }
    let there = read(db, job).await?.ok_or(StoreError::Stale)?;
    let Job { action, filter, total, why, .. } = &there;
    let (what, target) = (format!("{action} of many"), format!("job {job}"));
    let detail = serde_json::json!({ "filter": filter, "total": total, "why": why }).to_string();
    let deed = Deed { by: &by(&there), what: &what, target: &target, detail: Some(&detail), once: None };
    audit::record(db, &deed, now_ms).await.map(drop)
}

/// Ends jobs that did not get their whole set: nothing of them was decided.
async fn end_unfilled(db: &mut impl Tx, now_ms: i64) -> Result<(), StoreError> {
    db.execute(sql::END_UNFILLED, values![now_ms, now_ms.saturating_sub(rules::FILLING_MS)]).await.map(drop)
}

/// See [`crate::store::BulkJobs::job_and_work`].
pub(in crate::store) async fn look(db: &mut impl Tx, job: i64, now_ms: i64) -> Result<Option<(Job, bool)>, StoreError> {
    let Some(there) = read(db, job).await? else { return Ok(None) };
    let mut has_work = there.goes_on() && is_due(&there, now_ms);
    if has_work && there.paused && there.worked_ms.abs_diff(now_ms) < WAITS_MS {
        let next: Option<(i64, String)> = db.optional(sql::NEXT_PART, values![job]).await?;
        if let Some((_, ids)) = next {
            has_work = !is_paused(db, &there, &ids).await?;
        }
    }
    Ok(Some((there, has_work)))
}

/// See [`crate::store::BulkJobs::stop_job`].
pub(in crate::store) async fn stop(db: &mut impl Tx, job: i64, why: &str, now_ms: i64) -> Result<(), StoreError> {
    db.execute(sql::STOP_JOB, values![why, now_ms, job]).await.map(drop)
}

/// See [`crate::store::BulkJobs::resume_job`].
pub(in crate::store) async fn resume(db: &mut impl Tx, job: i64, now_ms: i64) -> Result<(), StoreError> {
    db.execute(sql::RESUME_JOB, values![now_ms, job]).await.map(drop)
}

/// See [`crate::store::BulkJobs::work_job`].
pub(in crate::store) async fn work(
    db: &mut impl Tx,
    job: i64,
    notices: &DiscardNotices,
    now_ms: i64,
) -> Result<Option<Job>, StoreError> {
    db.execute(sql::HOLD_JOB, values![job]).await?;
    let Some(there) = read(db, job).await? else { return Ok(None) };
    if !there.goes_on() || !is_due(&there, now_ms) {
        return Ok(Some(there));
    }
    let mut worked = JobProgress::default();
    if let Some((nth, ids)) = db.optional::<(i64, String)>(sql::NEXT_PART, values![job]).await? {
        if is_paused(db, &there, &ids).await? {
            db.change(sql::WAITED, values![now_ms, now_ms.saturating_add(PAUSED_MS), job]).await?;
            return read(db, job).await;
        }
        worked = decide(db, &there, &ids, notices, now_ms).await?;
        db.change(sql::DROP_PART, values![job, nth]).await?;
    }
    let JobProgress { done, skipped } = worked;
    let next_ms = now_ms.saturating_add(there.spacing_ms.saturating_mul(done));
    db.change(sql::WORKED, values![done, skipped, next_ms, now_ms, job]).await?;
    read(db, job).await
}

/// Returns whether its time has come. It has too where the clock was set back since its last transaction.
fn is_due(job: &Job, now_ms: i64) -> bool {
    job.next_ms <= now_ms || job.worked_ms.saturating_sub(now_ms) >= rules::ROLLBACK_FROM_MS
}

/// Returns whether a channel of this part is paused by hand, so that all that is retried meanwhile would go out at once at its end.
async fn is_paused(db: &mut impl Tx, job: &Job, ids: &str) -> Result<bool, StoreError> {
    if job.action != BulkAction::Retry.name() {
        return Ok(false);
    }
    let of_events = job.subject == OF_EVENT;
    let kind = if of_events { PauseKind::In } else { PauseKind::Out };
    if !db.one::<bool>(sql::PAUSED, values![kind.name()]).await? {
        return Ok(false);
    }
    for id in ids.split(' ') {
        let paused: bool = if of_events {
            db.one(sql::PAUSED_EVENT, values![event_id(id)?]).await?
        } else {
            db.one(sql::PAUSED_MESSAGE, values![id]).await?
        };
        if paused {
            return Ok(true);
        }
    }
    Ok(false)
}

fn event_id(id: &str) -> Result<i64, StoreError> {
    decode("job_parts", id)
}

/// What became of the messages of one part.
#[derive(Debug, Clone, Copy, Default)]
struct JobProgress {
    done: i64,
    skipped: i64,
}

/// Decides each of `ids`, which are in the order of their conversations: one order of locks, against deadlocks.
async fn decide(
    db: &mut impl Tx,
    job: &Job,
    ids: &str,
    notices: &DiscardNotices,
    now_ms: i64,
) -> Result<JobProgress, StoreError> {
    let retries = job.action == BulkAction::Retry.name();
    let step = by(job).decided(if retries { Action::Retried } else { Action::Discarded }).into();
    let mut worked = JobProgress::default();
    let (mut wiped_messages, mut wiped_events) = (Vec::new(), Vec::new());
    for id in ids.split(' ') {
        if job.subject == OF_EVENT {
            let event_id = event_id(id)?;
            let Some(conversation) = dead_event(db, event_id).await? else {
                worked.skipped += 1;
                continue;
            };
            if retries {
                manual::requeue_event(db, event_id, conversation, now_ms).await?;
            } else {
                manual::discard_event(db, event_id).await?;
                wiped_events.push(event_id);
            }
            journey::record(db, Subject::Event(event_id), &step, now_ms).await?;
            worked.done += 1;
            continue;
        }
        let there = manual::find(db, id).await?.filter(|there| there.has_text);
        let there = match there {
            Some(there) if retries && there.state == "failed" => {
                let moved_on: bool = db.one(sql::MOVED_ON, values![there.conversation, there.outbound_id]).await?;
                (job.moved_on || !moved_on).then_some(there)
            }
            // One that is being sent cannot be stopped. One that failed meanwhile has told its agent; one that had failed and waits
            // again is to be sent, since somebody retried it.
            Some(there) if !retries && (there.state == job.state || there.state == "failed") => Some(there),
            Some(_) | None => None,
        };
        let Some(there) = there else {
            worked.skipped += 1;
            continue;
        };
        journey::record(db, Subject::Message(there.outbound_id), &step, now_ms).await?;
        if retries {
            manual::requeue_message(db, &there, now_ms).await?;
        } else {
            manual::discard_message(db, id, &there, notices, now_ms).await?;
            wiped_messages.push(there.outbound_id);
        }
        worked.done += 1;
    }
    if !wiped_messages.is_empty() {
        db.wipe_excerpts(OF_MESSAGE, &wiped_messages).await?;
    }
    if !wiped_events.is_empty() {
        db.wipe_excerpts(OF_EVENT, &wiped_events).await?;
    }
    // Last, as in every transaction that erases texts: none waits for a row while it holds the index.
    text_index::forget(db, Side::Out, &wiped_messages).await?;
    text_index::forget(db, Side::In, &wiped_events).await?;
    Ok(worked)
}

/// Returns the conversation of a dead event that still has its text, under its lock.
async fn dead_event(db: &mut impl Tx, event_id: i64) -> Result<Option<i64>, StoreError> {
    let there: Option<(i64, bool)> = db.optional(sql::DEAD_EVENT, values![event_id]).await?;
    let Some((conversation, _)) = there else { return Ok(None) };
    db.lock(conversation).await?;
    let there: Option<(i64, bool)> = db.optional(sql::DEAD_EVENT, values![event_id]).await?;
    Ok(there.filter(|(_, has_text)| *has_text).map(|(conversation, _)| conversation))
}

/// The person who made the job.
fn by(job: &Job) -> Operator {
    Operator::new(&job.who, Means::named(&job.means), job.why.as_deref())
}

/// See [`crate::store::BulkJobs::cancel_job`].
pub(in crate::store) async fn cancel(
    db: &mut impl Tx,
    job: i64,
    by: &Operator,
    now_ms: i64,
) -> Result<Option<(Job, bool)>, StoreError> {
    let cancelled = db.execute(sql::CANCEL_JOB, values![now_ms, job]).await? == 1;
    if cancelled {
        let target = format!("job {job}");
        let detail = by.why().map(|why| serde_json::json!({ "why": why }).to_string());
        let deed = Deed { by, what: "cancel", target: &target, detail: detail.as_deref(), once: None };
        audit::record(db, &deed, now_ms).await?;
    }
    Ok(read(db, job).await?.map(|job| (job, cancelled)))
}

pub(in crate::store) async fn read(db: &mut impl Tx, job: i64) -> Result<Option<Job>, StoreError> {
    db.optional(sql::JOB, values![job]).await
}

pub(in crate::store) async fn list(db: &mut impl Tx, limit: u32) -> Result<Vec<Job>, StoreError> {
    db.rows(sql::JOBS, values![limit]).await
}

/// Ends jobs that nobody has gone on with for as long as texts are kept, or that did not get their whole set, and deletes what is left
/// of those that are over, and those that are over for as long as rows are kept. Returns the largest number of rows that it changed.
pub(in crate::store) async fn purge(
    db: &mut impl Tx,
    text_before_ms: i64,
    rows_before_ms: i64,
    limit: u32,
    now_ms: i64,
) -> Result<u64, StoreError> {
    end_unfilled(db, now_ms).await?;
    let left = db.ids(sql::LEFT_JOBS, values![text_before_ms, limit]).await?;
    for job in &left {
        db.execute(sql::END_LEFT_JOB, values![now_ms, job, text_before_ms]).await?;
    }
    let parts = db.execute(sql::DROP_PARTS, values![limit]).await?;
    let dropped = db.execute(sql::DROP_JOBS, values![rows_before_ms, limit]).await?;
    Ok(dropped.max(parts).max(left.len() as u64))
}
