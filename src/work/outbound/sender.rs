//! Outbound, after the durable line: takes what is due from the store, hands it to Afilnet, and settles what became of
//! it. One message of a conversation at a time; conversations side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::clock::{millis, now_ms, since};
use crate::domain::sentence::{Got, sentence};
use crate::domain::{Fault, Scope, Verdict};
use crate::store::{Answer, Attempt, Epoch, Settlement, StoreError};
use crate::telemetry::metrics;
use crate::work::limits::call_permit::CallPermit;
use crate::work::{Line, STORE_PAUSE, jitter, wait_for};

/// Messages taken from the store at once, at most.
const TAKE: u32 = 256;

/// Runs until the stop, then until every attempt in flight is settled.
pub(in crate::work) async fn run(line: Arc<Line>, epoch: Epoch, stop: CancellationToken) -> anyhow::Result<()> {
    let attempts = TaskTracker::new();
    stop.run_until_cancelled(line.snapshot.may_send()).await;
    while !stop.is_cancelled() {
        match step(&line, epoch, &attempts, &stop).await {
            Ok(Step::Sent) => {}
            Ok(Step::Nothing(due_ms)) => {
                wait_for(&line.signals.outbound, due_ms, &stop).await;
            }
            Err(StoreError::Closed) => break,
            Err(StoreError::Stale) if line.store.leases().is_some() => stop.cancelled().await, // its lease is lost
            Err(StoreError::Stale) => anyhow::bail!("another process has taken channel `{}` over", line.name),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt { .. })) => {
                tracing::error!(
                    channel.name = %line.name,
                    error = &error as &dyn std::error::Error,
                    "channel `{}`: cannot take messages from the store; trying again", line.name
                );
                stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
            }
        }
    }
    attempts.close();
    attempts.wait().await;
    Ok(())
}

/// What one pass came to.
enum Step {
    Sent,
    /// Nothing is due before this time (epoch ms), as far as is known.
    Nothing(Option<i64>),
}

/// One pass: waits for room, takes what is due, starts an attempt for each.
async fn step(
    line: &Arc<Line>,
    epoch: Epoch,
    attempts: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Step, StoreError> {
    let due_ms = line.store.next_outbound_ms(&line.name).await?;
    if due_ms.is_none_or(|due_ms| due_ms > now_ms()) {
        return Ok(Step::Nothing(due_ms));
    }
    let Some(first) = line.may_send(stop).await else {
        return Ok(Step::Nothing(None));
    };
    let mut permits = vec![first];
    // An open breaker lets the one probe through.
    if !permits.iter().any(CallPermit::is_probe) {
        let more = std::iter::from_fn(|| line.account.limiter.try_acquire()).take(TAKE as usize - 1);
        permits.extend(more.map(CallPermit::open));
    }
    let now_ms = now_ms();
    let limit = u32::try_from(permits.len()).unwrap_or(TAKE);
    let begun = line.store.begin(&line.name, epoch, now_ms, now_ms - millis(line.live_for), limit).await;
    let mut permits = permits.into_iter();
    for attempt in begun.iter().flatten() {
        let Some(permit) = permits.next() else { break };
        attempts.spawn(make(Arc::clone(line), attempt.clone(), permit, stop.clone()));
    }
    permits.for_each(CallPermit::unused);
    begun.map(|_| Step::Sent)
}

/// Makes one attempt and settles it.
async fn make(line: Arc<Line>, attempt: Attempt, permit: CallPermit, stop: CancellationToken) {
    if !line.may_call(&stop).await {
        return; // the row stays `sending`, which the next owner reads as unknown
    }
    let started = Instant::now();
    let (messenger, sent) = (Arc::clone(&line.messenger), attempt.clone());
    let call = async move { messenger.send(&sent.destination, &sent.content, sent.part).await };
    // In a task of its own: should it panic, the outcome is unknown, and the conversation goes on.
    let verdict = tokio::spawn(call).await.unwrap_or(Verdict::Unknown { fault: Fault::Interrupted });
    let elapsed = started.elapsed();
    line.on_send_result(&permit, &verdict);
    metrics::attempted(&line.name, &verdict);
    drop(permit);
    conclude(&line, &attempt, &verdict, elapsed, &stop).await;
}

/// Settles the attempt in the store, then tells the caller of `/message` where one waits.
async fn conclude(line: &Line, attempt: &Attempt, verdict: &Verdict, elapsed: Duration, stop: &CancellationToken) {
    let caller = line.store.signals().caller(&attempt.m_id);
    let waited = caller.is_some();
    let (settlement, answer, notice) = judge(line, attempt, verdict, waited);
    report(line, attempt, &settlement, elapsed);
    match store(line, attempt, &settlement, false).await {
        Ok(()) => {}
        Err(error @ StoreError::Unavailable(_)) => {
            // The store needs time: the caller does not wait for it, and the agent is told by the notice instead.
            drop(caller.map(|caller| caller.send(Answer::Accepted)));
            let noticed = with_notice(settlement, notice.clone());
            if stands(line, attempt, &noticed, error.may_stand(), stop).await {
                line.store.signals().ring_settled(&line.name, &noticed, false);
                tell(line, attempt, notice.filter(|_| waited), stop).await;
            }
            return;
        }
        Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => return,
    }
    let untold = caller.is_some_and(|caller| caller.send(answer).is_err());
    // The caller went away between the verdict and its answer: the agent is told like any other.
    tell(line, attempt, notice.filter(|_| untold), stop).await;
}

/// Stores the settlement as soon as the store takes it. Tells whether the first one turns out to stand instead, as it
/// `may` where the answer to its commit was lost: that one holds no notice where a caller waited.
async fn stands(
    line: &Line,
    attempt: &Attempt,
    settlement: &Settlement,
    mut may: bool,
    stop: &CancellationToken,
) -> bool {
    while stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_some() {
        match store(line, attempt, settlement, may).await {
            Err(StoreError::Stale) if may => return true,
            // Where another commit was asked for, the first does not stand.
            Err(error @ StoreError::Unavailable(_)) => may &= !error.may_stand(),
            Ok(()) | Err(StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. }) => return false,
        }
    }
    false // the row stays `sending`, which the next owner reads as unknown
}

/// Tells the agent of a failure that is stored and that nobody else tells.
async fn tell(line: &Line, attempt: &Attempt, notice: Option<String>, stop: &CancellationToken) {
    if let Some(notice) = notice {
        while let Err(error) = line.store.notify_failed(attempt, notice.clone(), now_ms()).await {
            let ended = stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none();
            if ended || !matches!(error, StoreError::Unavailable(_)) {
                tracing::error!(message.id = %attempt.m_id, error = &error as &dyn std::error::Error,
                    "message `{}` failed and its agent could not be told", attempt.m_id);
                return;
            }
        }
    }
}

/// The settlement for an agent whom nobody else tells.
fn with_notice(settlement: Settlement, notice: Option<String>) -> Settlement {
    match settlement {
        Settlement::Failed { fault, .. } => Settlement::Failed { fault, notice },
        other @ (Settlement::Sent { .. }
        | Settlement::Queued { .. }
        | Settlement::Unknown { .. }
        | Settlement::Unconfirmed { .. }) => other,
    }
}

/// Stores the settlement; says so where that failed for good, unless it `may_stand` from before.
async fn store(line: &Line, attempt: &Attempt, settlement: &Settlement, may_stand: bool) -> Result<(), StoreError> {
    let stored = line.store.settle(attempt, settlement.clone(), now_ms()).await;
    if let Err(error @ (StoreError::Stale | StoreError::Closed | StoreError::Corrupt { .. })) = &stored
        && !(may_stand && matches!(error, StoreError::Stale))
    {
        tracing::error!(message.id = %attempt.m_id, error = error as &dyn std::error::Error,
            "message `{}`: its outcome could not be stored", attempt.m_id);
    }
    stored
}

/// What a verdict comes to: the settlement, what the caller hears, and the notice that the caller's answer stands for.
fn judge(
    line: &Line,
    attempt: &Attempt,
    verdict: &Verdict,
    caller_waits: bool,
) -> (Settlement, Answer, Option<String>) {
    let failed = |fault: &Fault| {
        // Parts sent before make it a half message, and an attempt before may have sent it: the agent must know.
        let got = if attempt.part == 0 && !attempt.doubted { Got::No } else { Got::Maybe };
        let notice = sentence(fault, got, line.language);
        let held_back = (!caller_waits).then(|| notice.clone());
        let settlement = Settlement::Failed { fault: fault.clone(), notice: held_back };
        (settlement, Answer::Refused(fault.clone()), Some(notice))
    };
    match verdict {
        Verdict::Sent { afilnet_id } => {
            let more = attempt.part + 1 < line.messenger.parts(&attempt.content);
            (Settlement::Sent { afilnet_id: afilnet_id.clone(), more }, Answer::Accepted, None)
        }
        Verdict::Refused { fault } => failed(fault),
        Verdict::Unknown { fault } => {
            let look_ms = line.first_look_ms(now_ms());
            (Settlement::Unknown { fault: fault.clone(), look_ms }, Answer::Accepted, None)
        }
        Verdict::NotSent { fault, asked } => {
            let now_ms = now_ms();
            match fault.scope() {
                Scope::Account | Scope::Sends | Scope::Channel if line.is_poison(attempt, fault) => failed(fault),
                Scope::Account | Scope::Sends | Scope::Channel => {
                    (Settlement::Queued { due_ms: None, fault: fault.clone() }, Answer::Accepted, None)
                }
                Scope::Call if gives_up(line, attempt, fault, now_ms) => failed(fault),
                Scope::Call => {
                    let wait = line.retry.wait(attempt.number, *asked, jitter());
                    let due_ms = Some(now_ms.saturating_add(millis(wait)));
                    (Settlement::Queued { due_ms, fault: fault.clone() }, Answer::Accepted, None)
                }
            }
        }
    }
}

pub(in crate::work) fn gives_up(line: &Line, attempt: &Attempt, fault: &Fault, now_ms: i64) -> bool {
    line.retry.gives_up(since(attempt.since_ms, now_ms), attempt.before.and(fault), fault)
}

/// Counts what came of an attempt; one log line each.
pub(in crate::work) fn report(line: &Line, attempt: &Attempt, settlement: &Settlement, elapsed: Duration) {
    let (m_id, duration_ms) = (&attempt.m_id, millis(elapsed));
    let age_ms = now_ms().saturating_sub(attempt.accepted_ms);
    macro_rules! log {
        ($level:ident, $verdict:literal, $fault:expr, $($text:tt)*) => {
            tracing::$level!(
                channel.name = %line.name,
                message.id = %m_id,
                contact = %crate::telemetry::contact(&attempt.contact),
                request.id = attempt.request_id,
                attempt = attempt.number,
                part = attempt.part,
                verdict = $verdict,
                fault = $fault,
                duration_ms,
                age_ms,
                $($text)*
            )
        };
    }
    match settlement {
        Settlement::Sent { more: false, .. } => metrics::sent(&line.name),
        Settlement::Failed { fault, .. } => metrics::failed(&line.name, fault),
        Settlement::Unconfirmed { .. } => metrics::unconfirmed(&line.name),
        Settlement::Unknown { .. } | Settlement::Sent { .. } | Settlement::Queued { .. } => {}
    }
    let none: Option<String> = None;
    match settlement {
        Settlement::Sent { more: false, .. } => log!(info, "sent", none, "sent message `{m_id}`"),
        Settlement::Sent { more: true, .. } => log!(info, "sent", none, "sent a part of message `{m_id}`"),
        Settlement::Queued { fault, due_ms } => log!(
            warn,
            "not sent",
            fault.code(),
            "message `{m_id}` was not sent; it is kept and tried again{}",
            due_ms.map_or_else(String::new, |due_ms| format!(" in {} ms", due_ms.saturating_sub(now_ms())))
        ),
        // A caller waits, who shows it to the agent: nobody else needs to act.
        Settlement::Failed { fault, notice: None } => log!(
            warn,
            "refused",
            fault.code(),
            "message `{m_id}` is given up, its caller is told: {}",
            sentence(fault, Got::No, line.language)
        ),
        Settlement::Failed { fault, notice: Some(_) } => log!(
            error,
            "refused",
            fault.code(),
            "message `{m_id}` is given up, its agent is told: {}",
            sentence(fault, Got::No, line.language)
        ),
        Settlement::Unknown { fault, look_ms } => log!(
            warn,
            "unknown",
            fault.code(),
            "message `{m_id}` may or may not have been sent; its conversation waits until it is looked up, first in {} ms",
            look_ms.saturating_sub(now_ms())
        ),
        Settlement::Unconfirmed { fault, held: false, .. } => log!(
            error,
            "unconfirmed",
            fault.code(),
            "message `{m_id}` may have been delivered, and looking could not tell; its agent is told so and the conversation \
             goes on. Settle it with `bridge messages settle {m_id} --as delivered|failed|send-again`"
        ),
        Settlement::Unconfirmed { fault, held: true, .. } => log!(
            error,
            "unconfirmed",
            fault.code(),
            "message `{m_id}` may have been delivered, and looking could not tell; its agent is told so and the conversation \
             waits. Settle it with `bridge messages settle {m_id} --as delivered|failed|send-again`"
        ),
    }
}
