//! The lines of a tail in Spanish, for the page.

use crate::domain::find::Side;
use crate::domain::journey::{AttemptOutcome, LookupConclusion, PostOutcome, Step};
use crate::store::TailStep;

/// Returns what happened, in Spanish.
pub(super) fn in_spanish(side: Side, what: &TailStep) -> String {
    match what {
        TailStep::Stored { kind } if side == Side::Out => format!("aceptado, {kind}"),
        TailStep::Stored { kind } => format!("recibido, {kind}"),
        TailStep::Ended { state, fault } => ended(state, fault.as_deref()),
        TailStep::Step { step: None, .. } => "un paso de una versión posterior".to_owned(),
        TailStep::Step { step: Some(step), times } => taken(step, *times),
    }
}

fn ended(state: &str, fault: Option<&str>) -> String {
    let because = |what: &str, rest: &str| match fault {
        Some(fault) => format!("{what}: {fault}{rest}"),
        None => format!("{what}{rest}"),
    };
    match state {
        "sent" => "enviado".to_owned(),
        "done" => "entregado a BonyChat".to_owned(),
        "failed" | "dead" if fault == Some("discarded") => "descartado".to_owned(),
        "dead" => because("abandonado", "; BonyChat no lo tiene"),
        "unconfirmed" => because("sin confirmar", "; nadie puede saber si el cliente lo tiene"),
        _ => because("ha fallado", "; el cliente no lo tiene, o no entero"),
    }
}

fn taken(step: &Step, times: u32) -> String {
    let again = if times > 1 { format!(", {times} veces seguidas") } else { String::new() };
    match step {
        Step::Attempt { outcome: AttemptOutcome::Unknown, fault, .. } => {
            format!("en duda: {fault}; se comprueba{again}")
        }
        Step::Attempt { outcome: AttemptOutcome::NotSent, fault, .. } => {
            format!("no enviado: {fault}; se intenta otra vez{again}")
        }
        Step::Attempt { outcome: AttemptOutcome::Failed, fault, .. } => {
            format!("no enviado: {fault}; abandonado{again}")
        }
        Step::Part { part, parts, .. } => format!("parte enviada, {} de {parts}", part.saturating_add(1)),
        Step::Lookup(look) => match look.conclusion {
            LookupConclusion::Again => "comprobado, aún sin decidir".to_owned(),
            LookupConclusion::Found => "comprobado, encontrado: se envió".to_owned(),
            LookupConclusion::NotSent => "comprobado, seguro que no se envió".to_owned(),
            LookupConclusion::Unresolved => "comprobado, nadie puede saberlo".to_owned(),
        },
        Step::LookupFailed { fault } => format!("no se pudo comprobar: {fault}; se intenta otra vez{again}"),
        Step::Post { outcome: PostOutcome::Again, fault, .. } => {
            format!("no aceptado: {fault}; se entrega otra vez{again}")
        }
        Step::Post { outcome: PostOutcome::Dead, fault, .. } => format!("no aceptado: {fault}; abandonado{again}"),
        Step::Repeat => format!("llamada repetida, enviado una vez{again}"),
        Step::Decision { who, action, .. } => format!("decidido por {who}: {}", action.name()),
    }
}
