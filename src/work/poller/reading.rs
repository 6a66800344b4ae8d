//! One conversation's read: what Afilnet shows of it, what of that is new, and how far it is recorded.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::super::Line;
use super::super::rows::Page;
use super::RoundError;
use crate::config::{DirectionBy, FirstRun};
use crate::domain::clock::{millis, now_ms, wall_ms};
use crate::domain::ledger::{Acquaintance, Mark, Spoken, Wanted, identities, normal};
use crate::domain::{Choice, ContactId, Content, Destination, Direction, MId, ReadError, Row};
use crate::store::{OwnSend, Position, Reading, StoreError};

/// Reads of a conversation that do not show its last row, before that row's own absence is taken as it is.
const READS_BEHIND: u32 = 5;

/// Calls of ours that rows are held against, at most: the newest.
const SPOKEN: usize = 200;

/// One conversation to be read.
#[derive(Debug)]
pub(in crate::work) struct Job {
    pub(in crate::work) contact: ContactId,
    /// Afilnet's name of it.
    pub(in crate::work) destination: Destination,
    /// What `getchats` shows as its last row; `None` where it was not asked.
    pub(in crate::work) last: Option<Row>,
    /// How far it is read; brought up to date by the read.
    pub(in crate::work) there: Position,
    /// Reads in a row that did not show the last row.
    pub(in crate::work) behind: u32,
    pub(in crate::work) baseline_ms: i64,
    /// Rows that the last read showed; `None` before the first since the start.
    pub(in crate::work) shown_before: Option<usize>,
    /// Rows that this one shows.
    pub(in crate::work) shown: Option<usize>,
    /// Identities of its rows, oldest first.
    pub(in crate::work) identities: Vec<String>,
    /// It shows a row of the business that may be a call of ours in other words.
    pub(in crate::work) doubtful: bool,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum Outcome {
    /// The last row is in the store.
    InSync,
    /// Recorded, but the last row was not among them yet.
    Behind,
    /// The stop began first.
    Stopped,
}

/// Reads one conversation and records what is new.
pub(in crate::work) async fn read_one(
    line: &Line,
    job: &mut Job,
    stop: &CancellationToken,
) -> Result<Outcome, RoundError> {
    let baseline = job.there.baseline.as_deref().and_then(Mark::parse);
    let met = job.there.read_to.is_some();
    if baseline.is_some() && line.first_run == FirstRun::Unread && job.there.unread.is_none() {
        // Asked for and kept before anything else is read: the other read may clear the mark, and any failure after
        // this one would lose it for good.
        let Some(unread) = read(line, stop, line.messenger.unread(&job.destination)).await? else {
            return Ok(Outcome::Stopped);
        };
        let marks: Vec<String> = unread.iter().map(|row| Mark::of(row).to_text()).collect();
        let marks = serde_json::to_string(&marks).unwrap_or_default();
        line.store.note_unread(&line.name, &job.contact, marks.clone()).await?;
        job.there.unread = Some(marks);
    }
    let unread = job.there.unread.as_deref().map(marks).unwrap_or_default();
    // The choice is looked up last before the call: no row that it brings can answer a question that comes later.
    let call = async {
        let choice = open_choice(line, &job.contact).await;
        line.messenger.messages(&job.destination).await.map(|rows| (rows, choice))
    };
    let Some((rows, choice)) = read(line, stop, call).await? else { return Ok(Outcome::Stopped) };
    let choice = choice?;
    let seen = line.store.seen(&line.name, &job.contact).await?;
    let identities = identities(&rows);
    let wanted = match line.first_run {
        FirstRun::Unread => Wanted::Unread(&unread),
        FirstRun::Skip => Wanted::None,
        FirstRun::All => Wanted::All,
    };
    let how = match &baseline {
        Some(anchor) => Acquaintance::Baseline { anchor, baseline_ms: job.baseline_ms, wanted },
        None if met || !seen.is_empty() => Acquaintance::Known,
        None => Acquaintance::New { baseline_ms: job.baseline_ms },
    };
    let seen_set: HashSet<&str> = seen.iter().map(|(identity, _)| identity.as_str()).collect();
    let flag_tells = line.direction == DirectionBy::Flag;
    let doubtful = |row: &Row| !flag_tells || row.direction != Direction::Inbound;
    let mut unseen = rows.iter().zip(&identities).filter(|(_, identity)| !seen_set.contains(identity.as_str()));
    // After the call: what a row shows was in the store as `sending` before Afilnet could show it.
    let spoken = if unseen.any(|(row, _)| doubtful(row)) { spoken(line, &job.contact).await? } else { Vec::new() };
    let last = job.last.as_ref().map(Mark::of);
    let whole = last.as_ref().is_some_and(|last| rows.iter().any(|row| last.is(row)));
    let in_sync = whole || (last.is_some() && job.behind >= READS_BEHIND);
    job.shown = Some(rows.len());
    job.identities.clone_from(&identities);
    // A read that shows less than the one before proves nothing of what it leaves out: forgotten rows would come up as
    // new with the next whole one.
    let may_forget = whole && job.shown_before.is_some_and(|before| rows.len() >= before);
    let read_to = last.filter(|_| in_sync).map(|last| last.to_text());
    let (now_ms, wall_ms) = (now_ms(), wall_ms());
    let page = Page {
        channel: &line.name,
        contact: &job.contact,
        webhook: line.webhook.as_ref(),
        rows: &rows,
        identities: &identities,
        seen: &seen_set,
        how: &how,
        spoken: &spoken,
        flag_tells,
        html_entities: line.html_entities,
        choice: choice.as_ref(),
        now_ms: wall_ms, // times of rows are compared with it
    };
    let (fresh, answered) = page.fresh();
    let reading = Reading {
        channel: line.name.clone(),
        contact: job.contact.clone(),
        destination: job.destination.clone(),
        forget: if may_forget { forgettable(line, &seen, &identities, now_ms) } else { Vec::new() },
        rows: fresh,
        newest: identities.last().cloned(),
        position: read_to.clone(),
        answered: answered.clone(),
        now_ms,
    };
    let fresh = reading.rows.len();
    let changes = fresh > 0 || !reading.forget.is_empty() || (in_sync && job.there.read_to != read_to);
    let made = if changes { line.store.record(reading).await? } else { 0 };
    if made > 0 {
        tracing::info!(
            channel.name = %line.name,
            contact = %crate::telemetry::contact(&job.contact),
            rows = fresh,
            events = made,
            answered = answered.as_ref().map(MId::as_str),
            "recorded {made} event(s) of a conversation"
        );
    }
    if in_sync {
        job.there = Position { read_to, baseline: None, unread: None, ..job.there.clone() };
    }
    Ok(if in_sync { Outcome::InSync } else { Outcome::Behind })
}

/// What the bridge said in the conversation and no row shows yet, in the forms that its rows may show.
async fn spoken(line: &Line, contact: &ContactId) -> Result<Vec<Spoken>, StoreError> {
    let made = line.store.own_sends(&line.name, contact, SPOKEN).await?;
    let of = |call: OwnSend| {
        let words = line.messenger.words(&call.content, call.part);
        let file_url = match &call.content {
            Content::Attachment(file) => Some(file.url.as_str().to_owned()),
            Content::Text { .. } | Content::Location(_) | Content::QuickReply(_) => None,
        };
        let says = words.into_iter().chain(file_url).map(|text| normal(&text)).collect();
        Spoken { m_id: call.m_id, part: call.part, says }
    };
    Ok(made.into_iter().map(of).collect())
}

/// The marks that were kept of what was unread.
fn marks(stored: &str) -> Vec<Mark> {
    let texts: Vec<String> = serde_json::from_str(stored).unwrap_or_default();
    texts.iter().filter_map(|text| Mark::parse(text)).collect()
}

/// Makes one read under the account's limits. `None` when the stop began first.
async fn read<T>(
    line: &Line,
    stop: &CancellationToken,
    call: impl Future<Output = Result<T, ReadError>>,
) -> Result<Option<T>, ReadError> {
    let Some(_leave) = line.may_read(stop).await else { return Ok(None) };
    let rows = call.await;
    line.learn_read(rows.as_ref().err());
    rows.map(Some)
}

/// The question that the customer may answer, where questions are numbered. One that cannot be read costs its answer the
/// right words, not the conversation its messages.
async fn open_choice(line: &Line, contact: &ContactId) -> Result<Option<Choice>, StoreError> {
    if !line.number_quick_replies {
        return Ok(None);
    }
    match line.store.open_choice(&line.name, contact).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(channel.name = %line.name, contact = %crate::telemetry::contact(contact),
                error = &error as &dyn std::error::Error,
                "an open question cannot be read from the store; its answer goes on as the customer wrote it");
            Ok(None)
        }
        other => other,
    }
}

/// Identities that this read no longer shows and that are older than rows are kept.
fn forgettable(line: &Line, seen: &[(String, i64)], shown: &[String], now_ms: i64) -> Vec<String> {
    let before_ms = now_ms.saturating_sub(millis(line.keep_rows));
    let shown: HashSet<&str> = shown.iter().map(String::as_str).collect();
    let old = seen.iter().filter(|(identity, seen_ms)| *seen_ms < before_ms && !shown.contains(identity.as_str()));
    old.map(|(identity, _)| identity.clone()).collect()
}
