//! What became of the forms that were sent: each is done once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Mutex as AsyncMutex;

use super::page::{Page, html};

/// Outcomes that are remembered, and for how long.
const MOST_OUTCOMES: usize = 1000;
const REMEMBERED_MS: i64 = 60 * 60 * 1000;

/// What the operator is told.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) sentence: String,
    /// Where to go on, from the folder of all pages; and its words.
    pub(super) link: String,
    pub(super) label: String,
}

#[derive(Template)]
#[template(path = "done.html", config = "src/http/ops/askama.toml")]
struct Done<'a> {
    page: &'a Page,
    title: &'a str,
    said: &'a Said,
}

/// Returns the page that tells it.
pub(super) fn told(page: &Page, said: &Said) -> Response {
    let title = if said.status == StatusCode::OK {
        page.say("Done", "Hecho")
    } else {
        page.say("Nothing was changed", "No se ha cambiado nada")
    };
    html(said.status, &Done { page, title, said })
}

/// The outcomes of forms, by the number that each form has. A form that is sent twice is done once. The store refuses by
/// itself what its state does not allow; this is so that the second press tells what the first one did.
#[derive(Debug, Default)]
pub(super) struct Outcomes(Mutex<HashMap<String, Slot>>);

pub(super) type Outcome = Arc<AsyncMutex<Option<Said>>>;

#[derive(Debug)]
struct Slot {
    began_ms: i64,
    outcome: Outcome,
}

impl Outcomes {
    /// Returns the outcome of a form, to be filled by whoever is first.
    pub(super) fn slot(&self, once: &str, now_ms: i64) -> Outcome {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is under way stays: the same form would be done beside it.
        let is_under_way = |slot: &Slot| Arc::strong_count(&slot.outcome) > 1;
        if slots.len() >= MOST_OUTCOMES {
            slots.retain(|_, slot| is_under_way(slot) || now_ms.saturating_sub(slot.began_ms) < REMEMBERED_MS);
        }
        if slots.len() >= MOST_OUTCOMES {
            slots.retain(|_, slot| is_under_way(slot));
        }
        let new = || Slot { began_ms: now_ms, outcome: Arc::default() };
        Arc::clone(&slots.entry(once.to_owned()).or_insert_with(new).outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_outcome_and_the_table_does_not_grow() {
        let outcomes = Outcomes::default();
        let first = outcomes.slot("a", 0);
        assert!(Arc::ptr_eq(&first, &outcomes.slot("a", 1)));
        assert!(!Arc::ptr_eq(&first, &outcomes.slot("b", 1)));
        for n in 0..3000 {
            outcomes.slot(&format!("form {n}"), n);
        }
        assert!(outcomes.0.lock().unwrap().len() <= MOST_OUTCOMES);
        assert!(Arc::ptr_eq(&first, &outcomes.slot("a", 3000)), "it is under way");
        drop(first);
        outcomes.slot("a form of the next day", 2 * REMEMBERED_MS);
        for n in 0..3000 {
            outcomes.slot(&format!("late form {n}"), 2 * REMEMBERED_MS);
        }
        assert!(!outcomes.0.lock().unwrap().contains_key("a"), "it is over");
    }
}
