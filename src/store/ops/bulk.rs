//! Decisions on many messages at once. A job is a set of mIds in parts; a part is decided in one transaction, which removes it from the
//! job: none is decided twice, whoever works on the job, and the rest is known after a restart.

use super::audit::{self, Deed};
use super::find::folded;
use super::journey::{OF_EVENT, OF_MESSAGE, Subject};
use super::{journey, manual, text_index};
use crate::domain::find::{Side, holds};
use crate::domain::journey::{Action, Means, Operator};
use crate::store::bulk::{BulkAction, BulkFilter, BulkMatch, BulkState, Job, NewJob};
use crate::store::tx::{BoxError, Cell, Columns, FromRow, Tx, values};
use crate::store::{DiscardNotices, StoreError, sql_bulk as sql};

/// Rows that one statement describes.
const ROWS: usize = 500;

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
            filter: Cell::read(row, 7)?,
            moved_on: Cell::read(row, 8)?,
            spacing_ms: Cell::read(row, 9)?,
            total: count(10)?,
            done: count(11)?,
            skipped: count(12)?,
            next_ms: Cell::read(row, 13)?,
            ended_ms: Cell::read(row, 14)?,
            cancelled_ms: Cell::read(row, 15)?,
        })
    }
}

/// See [`crate::store::BulkJobs::bulk_matches`].
pub(in crate::store) async fn matches<T: Tx>(db: &mut T, filter: &BulkFilter) -> Result<Vec<BulkMatch>, StoreError> {
    let (all, described, side) = match filter.state {
        BulkState::Queued => (sql::QUEUED_IDS, T::BULK_BY_IDS.outbound, Side::Out),
        BulkState::Failed => (sql::FAILED_IDS, T::BULK_BY_IDS.outbound, Side::Out),
        BulkState::Dead => (sql::DEAD_IDS, T::BULK_BY_IDS.events, Side::In),
    };
    let BulkFilter { channel, fault, contacts, words, .. } = filter;
    let (since_ms, until_ms) = (filter.since_ms.unwrap_or(i64::MIN), filter.until_ms.unwrap_or(i64::MAX));
    let mut ids = db.ids(all, values![]).await?;
    ids.sort_unstable();
    let mut found = Vec::new();
    for some in ids.chunks(ROWS) {
        let listed: Vec<String> = some.iter().map(ToString::to_string).collect();
        let listed = format!("[{}]", listed.join(","));
        let values = values![listed, filter.state.as_str(), channel, fault, since_ms, until_ms];
        for Row { found: one, text } in db.rows(described, values).await? {
            let of_contact = contacts.is_empty() || contacts.contains(&one.contact);
            let says = || words.is_empty() || holds(&folded(side, text.as_deref().unwrap_or_default()), words);
            if of_contact && says() {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// See [`crate::store::BulkJobs::add_job`].
pub(in crate::store) async fn add(db: &mut impl Tx, new: &NewJob, now_ms: i64) -> Result<i64, StoreError> {
    let NewJob { action, state, filter, moved_on, spacing_ms, total, parts, by } = new;
    let subject = if *state == BulkState::Dead { OF_EVENT } else { OF_MESSAGE };
    let total = i64::try_from(*total).unwrap_or(i64::MAX);
    let values = values![
        now_ms,
        by.who(),
        by.means.name(),
        by.why(),
        action.name(),
        subject,
        filter,
        *moved_on,
        spacing_ms,
        total
    ];
    let job: i64 = db.one(sql::ADD_JOB, values).await?;
    for (nth, m_ids) in (0_i64..).zip(parts) {
        db.execute(sql::ADD_PART, values![job, nth, m_ids.join(" ")]).await?;
    }
    let (what, target) = (format!("{} of many", action.name()), format!("job {job}"));
    let detail = serde_json::json!({ "filter": filter, "total": total, "why": by.why() }).to_string();
    let deed = Deed { by, what: &what, target: &target, detail: Some(&detail), once: None };
    audit::record(db, &deed, now_ms).await?;
    Ok(job)
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
    if there.is_over() || there.next_ms > now_ms {
        return Ok(Some(there));
    }
    let mut worked = Worked::default();
    if let Some((nth, m_ids)) = db.optional::<(i64, String)>(sql::NEXT_PART, values![job]).await? {
        worked = decide(db, &there, &m_ids, notices, now_ms).await?;
        db.change(sql::DROP_PART, values![job, nth]).await?;
    }
    let Worked { done, skipped } = worked;
    let next_ms = now_ms.saturating_add(there.spacing_ms.saturating_mul(done));
    db.change(sql::WORKED, values![done, skipped, next_ms, now_ms, job]).await?;
    read(db, job).await
}

/// What became of the messages of one part.
#[derive(Debug, Clone, Copy, Default)]
struct Worked {
    done: i64,
    skipped: i64,
}

/// Decides each of `m_ids`, which are in the order of their conversations: one order of locks, against deadlocks.
async fn decide(
    db: &mut impl Tx,
    job: &Job,
    m_ids: &str,
    notices: &DiscardNotices,
    now_ms: i64,
) -> Result<Worked, StoreError> {
    let retries = job.action == BulkAction::Retry.name();
    let step = by(job).decided(if retries { Action::Retried } else { Action::Discarded }).into();
    let mut worked = Worked::default();
    let (mut wiped_messages, mut wiped_events) = (Vec::new(), Vec::new());
    for m_id in m_ids.split(' ') {
        if job.subject == OF_EVENT {
            let mut events = 0;
            for (event_id, conversation, has_text) in manual::dead_events(db, m_id).await? {
                if !has_text {
                    continue;
                }
                if retries {
                    manual::requeue_event(db, event_id, conversation, now_ms).await?;
                } else {
                    manual::discard_event(db, event_id).await?;
                    wiped_events.push(event_id);
                }
                journey::record(db, Subject::Event(event_id), &step, now_ms).await?;
                events += 1;
            }
            worked.done += events;
            worked.skipped += i64::from(events == 0);
            continue;
        }
        let there = manual::find(db, m_id).await?.filter(|there| there.has_text);
        let there = match there {
            Some(there) if retries && there.state == "failed" => {
                let moved_on: bool = db.one(sql::MOVED_ON, values![there.conversation, there.outbound_id]).await?;
                (job.moved_on || !moved_on).then_some(there)
            }
            // One that failed meanwhile has told its agent, and one that is being sent cannot be stopped.
            Some(there) if !retries && matches!(&*there.state, "queued" | "failed") => Some(there),
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
            manual::discard_message(db, m_id, &there, notices, now_ms).await?;
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
    let cancelled = end(db, job, now_ms).await?;
    if cancelled {
        let target = format!("job {job}");
        let detail = by.why().map(|why| serde_json::json!({ "why": why }).to_string());
        let deed = Deed { by, what: "cancel", target: &target, detail: detail.as_deref(), once: None };
        audit::record(db, &deed, now_ms).await?;
    }
    Ok(read(db, job).await?.map(|job| (job, cancelled)))
}

/// Ends a job before its end. Returns whether it was not over.
async fn end(db: &mut impl Tx, job: i64, now_ms: i64) -> Result<bool, StoreError> {
    let ended = db.execute(sql::CANCEL_JOB, values![now_ms, job]).await? == 1;
    if ended {
        db.execute(sql::DROP_PARTS, values![job]).await?;
    }
    Ok(ended)
}

pub(in crate::store) async fn read(db: &mut impl Tx, job: i64) -> Result<Option<Job>, StoreError> {
    db.optional(sql::JOB, values![job]).await
}

pub(in crate::store) async fn list(db: &mut impl Tx, limit: u32) -> Result<Vec<Job>, StoreError> {
    db.rows(sql::JOBS, values![limit]).await
}

/// Ends jobs that nobody has gone on with for as long as texts are kept, and deletes those that are over for as long as rows are.
/// Returns their number.
pub(in crate::store) async fn purge(
    db: &mut impl Tx,
    text_before_ms: i64,
    rows_before_ms: i64,
    limit: u32,
) -> Result<u64, StoreError> {
    let left = db.ids(sql::LEFT_JOBS, values![text_before_ms, limit]).await?;
    for job in &left {
        end(db, *job, text_before_ms).await?;
    }
    let dropped = db.execute(sql::DROP_JOBS, values![rows_before_ms, limit]).await?;
    Ok(dropped.max(left.len() as u64))
}
