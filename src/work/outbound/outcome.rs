//! Outcome of an attempt or a lookup: the settlement that is stored, the HTTP response and the agent's notice, and what is
//! counted and logged. Used by the sender and the reconciler.

use std::time::Duration;

use crate::domain::agent_text::{Delivered, failure_text};
use crate::domain::clock::{millis, now_ms, since};
use crate::domain::journey::{AttemptOutcome, Step, StepRecord};
use crate::domain::{Fault, Messenger, Response, Scope, Verdict};
use crate::store::{Attempt, FirstVerdict, Settlement};
use crate::telemetry::metrics;
use crate::work::channel::ChannelSettings;
use crate::work::limits::call_permit::AfilnetCalls;
use crate::work::wait::jitter;

/// Returns what a verdict leads to: the settlement, the first verdict for the HTTP response, and the notice that this
/// response replaces.
pub(super) fn judge(
    settings: &ChannelSettings,
    messenger: &dyn Messenger,
    calls: &AfilnetCalls,
    attempt: &Attempt,
    verdict: &Verdict,
    caller_waits: bool,
) -> (Settlement, FirstVerdict, Option<String>) {
    let failed = |fault: &Fault| {
        // Earlier parts make it a half message, and an earlier attempt may have sent it: the notice says so.
        let got = if attempt.part == 0 && !attempt.maybe_sent { Delivered::No } else { Delivered::Maybe };
        let notice = failure_text(fault, got, settings.language);
        let held_back = (!caller_waits).then(|| notice.clone());
        let settlement = Settlement::Failed { fault: fault.clone(), notice: held_back };
        (settlement, FirstVerdict::Refused(fault.clone()), Some(notice))
    };
    match verdict {
        Verdict::Sent { afilnet_id } => {
            let more = attempt.part + 1 < messenger.parts(&attempt.content, attempt.wording.as_ref());
            (Settlement::Sent { afilnet_id: afilnet_id.clone(), more }, FirstVerdict::Accepted, None)
        }
        Verdict::Refused { fault } => failed(fault),
        Verdict::Unknown { fault } => {
            let look_ms = settings.first_look_ms(now_ms());
            (Settlement::Unknown { fault: fault.clone(), look_ms }, FirstVerdict::Accepted, None)
        }
        Verdict::NotSent { fault, asked } => {
            let now_ms = now_ms();
            match fault.scope() {
                Scope::Account | Scope::Sends | Scope::Channel if calls.is_poison(attempt, fault) => failed(fault),
                Scope::Account | Scope::Sends | Scope::Channel => {
                    (Settlement::Queued { due_ms: None, fault: fault.clone() }, FirstVerdict::Accepted, None)
                }
                Scope::Call if gives_up(settings, attempt, fault, now_ms) => failed(fault),
                Scope::Call => {
                    let wait = settings.retry.wait(attempt.number, *asked, jitter());
                    let due_ms = Some(now_ms.saturating_add(millis(wait)));
                    (Settlement::Queued { due_ms, fault: fault.clone() }, FirstVerdict::Accepted, None)
                }
            }
        }
    }
}

/// Returns what the journey of a message is to tell of an attempt: nothing of one that sent it whole.
pub(super) fn note(
    attempt: &Attempt,
    settlement: &Settlement,
    response: Response,
    elapsed: Duration,
    messenger: &dyn Messenger,
) -> Option<StepRecord> {
    let (part, took_ms) = (attempt.part, millis(elapsed));
    let (outcome, fault) = match settlement {
        Settlement::Sent { more: false, .. } | Settlement::Unconfirmed { .. } => return None,
        Settlement::Sent { more: true, .. } => {
            let parts = messenger.parts(&attempt.content, attempt.wording.as_ref());
            return Some(Step::Part { part, parts, took_ms }.into());
        }
        Settlement::Queued { fault, .. } => (AttemptOutcome::NotSent, fault),
        Settlement::Failed { fault, .. } => (AttemptOutcome::Failed, fault),
        Settlement::Unknown { fault, .. } => (AttemptOutcome::Unknown, fault),
    };
    let Response { http, excerpt } = response;
    let (attempt, fault, took_ms) = (attempt.number, fault.code(), Some(took_ms));
    Some(StepRecord { step: Step::Attempt { attempt, part, outcome, fault, took_ms, http }, excerpt })
}

/// Whether a message that met `fault` again is too old to be sent once more.
pub(super) fn gives_up(settings: &ChannelSettings, attempt: &Attempt, fault: &Fault, now_ms: i64) -> bool {
    settings.retry.gives_up(since(attempt.since_ms, now_ms), attempt.before.and(fault), fault)
}

/// Counts what came of an attempt; one log line each.
pub(super) fn report(settings: &ChannelSettings, attempt: &Attempt, settlement: &Settlement, elapsed: Duration) {
    let (m_id, duration_ms) = (&attempt.m_id, millis(elapsed));
    let age_ms = now_ms().saturating_sub(attempt.accepted_ms);
    macro_rules! log {
        ($level:ident, $verdict:literal, $fault:expr, $($text:tt)*) => {
            tracing::$level!(
                channel_name = %settings.name,
                message_id = %m_id,
                contact = %crate::telemetry::contact(&attempt.contact),
                request_id = attempt.request_id,
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
        Settlement::Sent { more: false, .. } => metrics::sent(&settings.name),
        Settlement::Failed { fault, .. } => metrics::failed(&settings.name, fault),
        Settlement::Unconfirmed { .. } => metrics::unconfirmed(&settings.name),
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
        // The HTTP response shows it to the agent: no operator needs to act.
        Settlement::Failed { fault, notice: None } => log!(
            warn,
            "refused",
            fault.code(),
            "message `{m_id}` is given up, its caller is told: {}",
            failure_text(fault, Delivered::No, settings.language)
        ),
        Settlement::Failed { fault, notice: Some(_) } => log!(
            error,
            "refused",
            fault.code(),
            "message `{m_id}` is given up, its agent is told: {}",
            failure_text(fault, Delivered::No, settings.language)
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
