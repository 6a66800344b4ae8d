//! Inbound, before the durable line: one `getchats` a round, then a read of each conversation whose last row is not in
//! the store. What is new is recorded together with how far the conversation is read. A round costs requests in
//! proportion to what changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Line, STORE_PAUSE, jitter};
use crate::config::FirstRun;
use crate::domain::clock::{millis, now_ms};
use crate::domain::ledger::{Acquaintance, Mark, Wanted, identities, news};
use crate::domain::{ContactId, Destination, Direction, Event, EventBody, MId, ReadError, Row};
use crate::store::{NewRow, Position, Reading, StoreError};

/// Rounds with nothing new before the pace slows, and the factor it slows by each further one.
const SLOW_AFTER: u32 = 10;
const SLOWER: f64 = 1.5;

/// Reads of a conversation that do not show its last row, before that row's own absence is taken as it is.
const READS_BEHIND: u32 = 5;

/// Conversations read side by side, at most; the account's gate bounds them further.
const SIDE_BY_SIDE: usize = 16;

/// Why a round brought less than it could.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far each conversation is read, by contact; what the store holds, kept at hand.
#[derive(Debug, Default)]
struct Known {
    baseline_ms: Option<i64>,
    positions: HashMap<ContactId, Position>,
    /// Reads in a row that did not show the last row.
    behind: HashMap<ContactId, u32>,
    /// Destinations that make no contact id: said once.
    strange: HashSet<Destination>,
}

/// Runs until the stop.
pub(super) async fn run(line: Arc<Line>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut known = Known::default();
    let mut loaded = false;
    let (mut quiet, mut failures) = (0u32, 0u32);
    while !stop.is_cancelled() {
        if !loaded {
            loaded = load(&line, &mut known).await;
        }
        let outcome = if loaded { round(&line, &mut known, &stop).await } else { Ok(false) };
        let wait = match outcome {
            Ok(moved) => {
                quiet = if moved { 0 } else { quiet.saturating_add(1) };
                failures = 0;
                if loaded { pause(&line, quiet) } else { STORE_PAUSE }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                report(&line, &error, failures);
                after_failure(&line, &error, failures)
            }
        };
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    Ok(())
}

async fn load(line: &Line, known: &mut Known) -> bool {
    let both = async {
        Ok::<_, StoreError>((line.store.baseline_ms(&line.name).await?, line.store.positions(&line.name).await?))
    };
    match both.await {
        Ok((baseline_ms, positions)) => {
            known.baseline_ms = baseline_ms;
            known.positions = positions.into_iter().map(|there| (there.contact.clone(), there)).collect();
            true
        }
        Err(error) => {
            report(line, &error.into(), 1);
            false
        }
    }
}

/// Time to the next round: `poll_active` while things move, then slower up to `poll_idle`.
fn pause(line: &Line, quiet: u32) -> Duration {
    let steps = i32::try_from(quiet.saturating_sub(SLOW_AFTER).min(30)).unwrap_or(30);
    line.poll_active.mul_f64(SLOWER.powi(steps)).min(line.poll_idle)
}

fn after_failure(line: &Line, error: &RoundError, failures: u32) -> Duration {
    let asked = match error {
        RoundError::Read(error) => error.asked,
        RoundError::Store(_) => None,
    };
    line.retry.wait(failures, asked, 0.5 + jitter() / 2.0).min(line.poll_idle.max(asked.unwrap_or_default()))
}

/// One line at the first failure and at every power of two after it.
fn report(line: &Line, error: &RoundError, failures: u32) {
    if failures.is_power_of_two() {
        tracing::warn!(
            channel.name = %line.name,
            failures,
            error = error as &dyn std::error::Error,
            "channel `{}`: a poll failed; customers' messages wait at Afilnet until one succeeds", line.name
        );
    }
}

/// One round. Tells whether anything moved.
async fn round(line: &Arc<Line>, known: &mut Known, stop: &CancellationToken) -> Result<bool, RoundError> {
    let Some(leave) = line.may_read(stop).await else { return Ok(false) };
    let chats = line.messenger.chats().await;
    line.learn(chats.as_ref().err().map(|error| &error.fault));
    drop(leave);
    let chats = name_contacts(line, known, chats?);
    if known.baseline_ms.is_none() {
        take_stock(line, known, &chats).await?;
    }
    let due: Vec<(ContactId, Row)> = chats
        .into_iter()
        .filter(|(contact, row)| {
            let there = known.positions.get(contact);
            there.is_none_or(|there| there.read_to.as_deref() != Some(Mark::of(row).to_text().as_str()))
        })
        .collect();
    let moved = !due.is_empty();
    read_all(line, known, due, stop).await?;
    Ok(moved)
}

/// Gives each row its contact. A destination that makes none cannot be shown in BonyChat: that is said, once.
fn name_contacts(line: &Line, known: &mut Known, chats: Vec<Row>) -> Vec<(ContactId, Row)> {
    let mut named = Vec::with_capacity(chats.len());
    for row in chats {
        match line.id_type.contact_of(&row.destination) {
            Ok(contact) => named.push((contact, row)),
            Err(rule) => {
                if known.strange.insert(row.destination.clone()) {
                    tracing::error!(
                        channel.name = %line.name,
                        "channel `{}`: a conversation at Afilnet has a destination that makes no contact id ({rule}); \
                         its messages cannot reach BonyChat. Check the channel's id_type",
                        line.name
                    );
                }
            }
        }
    }
    named
}

/// First run: all that is there now was there before the bridge.
async fn take_stock(line: &Line, known: &mut Known, chats: &[(ContactId, Row)]) -> Result<(), RoundError> {
    let there: Vec<Position> = chats
        .iter()
        .map(|(contact, row)| Position {
            contact: contact.clone(),
            destination: row.destination.clone(),
            read_to: None,
            baseline: Some(Mark::of(row).to_text()),
        })
        .collect();
    let now_ms = now_ms();
    line.store.take_baseline(&line.name, there.clone(), now_ms).await?;
    tracing::info!(channel.name = %line.name, conversations = there.len(), rule = ?line.first_run,
        "channel `{}`: first run, took stock of what was there before", line.name);
    known.baseline_ms = Some(now_ms);
    known.positions.extend(there.into_iter().map(|there| (there.contact.clone(), there)));
    Ok(())
}

/// Reads conversations side by side. One that fails is read again in the next round and holds up no other; the first
/// failure is told when all are through.
async fn read_all(
    line: &Arc<Line>,
    known: &mut Known,
    due: Vec<(ContactId, Row)>,
    stop: &CancellationToken,
) -> Result<(), RoundError> {
    let mut due = due.into_iter();
    let mut reads = JoinSet::new();
    let mut failure = None;
    loop {
        while reads.len() < SIDE_BY_SIDE && failure.is_none() && !stop.is_cancelled() {
            let Some((contact, last)) = due.next() else { break };
            let job = Job {
                there: known.positions.get(&contact).cloned(),
                behind: known.behind.get(&contact).copied().unwrap_or(0),
                baseline_ms: known.baseline_ms.unwrap_or(0),
                contact,
                last,
            };
            let (line, stop) = (Arc::clone(line), stop.clone());
            reads.spawn(async move {
                let read = read_one(&line, &job, &stop).await;
                (job, read)
            });
        }
        match reads.join_next().await {
            None => break,
            Some(Ok((job, Ok(Some(synced))))) => note(known, job, synced),
            Some(Ok((_, Ok(None)))) => {}
            Some(Ok((_, Err(error)))) => failure = Some(error),
            Some(Err(panicked)) => tracing::error!(error = %panicked, "a read failed inside; it is made again"),
        }
    }
    failure.map_or(Ok(()), Err)
}

/// One conversation to be read.
struct Job {
    contact: ContactId,
    /// What `getchats` shows as its last row.
    last: Row,
    there: Option<Position>,
    behind: u32,
    baseline_ms: i64,
}

/// Keeps at hand what was recorded.
fn note(known: &mut Known, job: Job, synced: Option<String>) {
    if synced.is_some() {
        known.behind.remove(&job.contact);
    } else {
        *known.behind.entry(job.contact.clone()).or_default() += 1;
    }
    let before = known.positions.get(&job.contact);
    let there = Position {
        contact: job.contact.clone(),
        destination: job.last.destination,
        baseline: if synced.is_some() { None } else { before.and_then(|there| there.baseline.clone()) },
        read_to: synced.or_else(|| before.and_then(|there| there.read_to.clone())),
    };
    known.positions.insert(job.contact, there);
}

/// Reads one conversation and records what is new. `Some(position)` once recorded (`None` inside: not in sync yet);
/// `None` when the stop began first.
async fn read_one(line: &Line, job: &Job, stop: &CancellationToken) -> Result<Option<Option<String>>, RoundError> {
    let baseline = job.there.as_ref().and_then(|there| there.baseline.as_deref()).and_then(Mark::parse);
    let met = job.there.as_ref().is_some_and(|there| there.read_to.is_some());
    // The unread mark is asked for first: the other read may clear it.
    let unread = if baseline.is_some() && line.first_run == FirstRun::Unread {
        let Some(unread) = read(line, stop, line.messenger.unread(&job.last.destination)).await? else {
            return Ok(None);
        };
        unread
    } else {
        Vec::new()
    };
    let Some(rows) = read(line, stop, line.messenger.messages(&job.last.destination)).await? else {
        return Ok(None);
    };
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
    let news = news(&rows, &identities, &seen_set, &how);
    let last = Mark::of(&job.last);
    let in_sync = rows.iter().any(|row| last.is(row)) || job.behind >= READS_BEHIND;
    let position = in_sync.then(|| last.to_text());
    let now_ms = now_ms();
    let reading = Reading {
        channel: line.name.clone(),
        contact: job.contact.clone(),
        destination: job.last.destination.clone(),
        forget: forgettable(line, &seen, &identities, now_ms),
        rows: unseen(line, &job.contact, &rows, identities, &seen_set, &news, now_ms),
        position: position.clone(),
        now_ms,
    };
    let (fresh, made) = (reading.rows.len(), line.store.record(reading).await?);
    if made > 0 {
        tracing::info!(
            channel.name = %line.name,
            contact = %crate::telemetry::contact(&job.contact),
            rows = fresh,
            events = made,
            "recorded {made} event(s) of a conversation"
        );
    }
    Ok(Some(position))
}

/// Makes one read under the account's limits. `None` when the stop began first.
async fn read(
    line: &Line,
    stop: &CancellationToken,
    call: impl Future<Output = Result<Vec<Row>, ReadError>>,
) -> Result<Option<Vec<Row>>, ReadError> {
    let Some(_leave) = line.may_read(stop).await else { return Ok(None) };
    let rows = call.await;
    line.learn(rows.as_ref().err().map(|error| &error.fault));
    rows.map(Some)
}

/// Identities that this read no longer shows and that are older than rows are kept.
fn forgettable(line: &Line, seen: &[(String, i64)], shown: &[String], now_ms: i64) -> Vec<String> {
    let before_ms = now_ms.saturating_sub(millis(line.keep_rows));
    let shown: HashSet<&str> = shown.iter().map(String::as_str).collect();
    let old = seen.iter().filter(|(identity, seen_ms)| *seen_ms < before_ms && !shown.contains(identity.as_str()));
    old.map(|(identity, _)| identity.clone()).collect()
}

/// The rows to be recorded, with the events of those that are new.
fn unseen(
    line: &Line,
    contact: &ContactId,
    rows: &[Row],
    identities: Vec<String>,
    seen: &HashSet<&str>,
    news: &[bool],
    now_ms: i64,
) -> Vec<NewRow> {
    let mut fresh = Vec::new();
    for ((row, identity), new) in rows.iter().zip(identities).zip(news) {
        if seen.contains(identity.as_str()) {
            continue;
        }
        let from_customer = row.direction == Direction::Inbound;
        if row.direction == Direction::Unknown {
            tracing::warn!(
                channel.name = %line.name,
                contact = %crate::telemetry::contact(contact),
                "a row does not say who wrote it; it is held back and looked at again"
            );
            continue;
        }
        let events = if *new && from_customer { events(line, contact, row, &identity, now_ms) } else { Vec::new() };
        fresh.push(NewRow { identity, events, from_customer });
    }
    fresh
}

/// The events that one row of the customer makes. Their ids are those of the row, so that a rebuilt store makes the same.
fn events(line: &Line, contact: &ContactId, row: &Row, identity: &str, now_ms: i64) -> Vec<Event> {
    let at_ms = row.time.epoch_ms.unwrap_or(now_ms).clamp(0, now_ms);
    let of_part = |(part, content)| {
        let part_text = i64::to_string(&part);
        let m_id = MId::derived(&[line.name.as_str(), contact.as_str(), identity, &part_text]);
        Event { m_id, timestamp_ms: at_ms.saturating_add(part).min(now_ms), body: EventBody::Message { content } }
    };
    (0..).zip(line.webhook.contents(&row.text)).map(of_part).collect()
}
