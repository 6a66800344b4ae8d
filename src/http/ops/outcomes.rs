//! Outcomes of forms: each form is applied once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Mutex as AsyncMutex;

use super::page::{Page, html};
use super::reply::broken;
use crate::domain::clock::now_ms;

/// Outcomes that are remembered, and for how long.
const MOST_OUTCOMES: usize = 1000;
const REMEMBERED_MS: i64 = 60 * 60 * 1000;

/// The outcome of a form, as its page shows it.
#[derive(Debug, Clone)]
pub(super) struct FormOutcome {
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
    said: &'a FormOutcome,
}

/// Returns the page of an outcome.
pub(super) fn outcome_page(page: &Page, said: &FormOutcome) -> Response {
    let title = if said.status == StatusCode::OK {
        page.say("Done", "Hecho")
    } else {
        page.say("Nothing was changed", "No se ha cambiado nada")
    };
    html(said.status, &Done { page, title, said })
}

/// The outcomes of forms, by the number that each form has. A form that is sent twice is done once. The store refuses by
/// itself what its state does not allow; this is so that the second press shows the outcome of the first.
#[derive(Debug, Default)]
pub(super) struct Outcomes(Mutex<HashMap<String, Slot>>);

type Outcome = Arc<AsyncMutex<Option<FormOutcome>>>;

#[derive(Debug)]
struct Slot {
    began_ms: i64,
    outcome: Outcome,
}

impl Outcomes {
    /// Does what the form of this key asks for, and returns what is said of it; for a form that was done before, what was said then.
    /// Works in a task of its own: a browser that is pressed twice drops the first call, and what that has begun must be known
    /// to the second.
    ///
    /// A refusal is not remembered: it has changed nothing, and the next press is refused by what holds then.
    ///
    /// # Errors
    /// The page that `work` returns in place of an outcome; it is not remembered either.
    pub(super) async fn once<F>(&self, key: &str, work: F) -> Result<FormOutcome, Response>
    where
        F: Future<Output = Result<FormOutcome, Response>> + Send + 'static,
    {
        let slot = self.slot(key, now_ms());
        let task = tokio::spawn(async move {
            let mut outcome = slot.lock().await;
            if let Some(said) = &*outcome {
                return Ok(said.clone());
            }
            let said = work.await?;
            if said.status == StatusCode::OK {
                *outcome = Some(said.clone());
            }
            Ok(said)
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(_) => Err(broken()),
        }
    }

    /// As [`Self::once`]; returns the page of the outcome.
    pub(super) async fn page_once<F>(&self, page: &Page, key: &str, work: F) -> Response
    where
        F: Future<Output = Result<FormOutcome, Response>> + Send + 'static,
    {
        self.once(key, work).await.map_or_else(|response| response, |said| outcome_page(page, &said))
    }

    /// Returns the outcome of a form; the first request fills it.
    fn slot(&self, once: &str, now_ms: i64) -> Outcome {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One in progress stays: the same form would be applied beside it.
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

    fn said(sentence: &str) -> FormOutcome {
        FormOutcome { status: StatusCode::OK, sentence: sentence.to_owned(), link: String::new(), label: String::new() }
    }

    #[tokio::test]
    async fn what_a_form_has_begun_is_finished_though_its_browser_hangs_up_and_the_next_press_is_told_it() {
        let outcomes = Outcomes::default();
        let (has_begun, begun) = tokio::sync::oneshot::channel();
        let (let_go, go_on) = tokio::sync::oneshot::channel::<()>();
        let first = outcomes.once("a", async move {
            has_begun.send(()).unwrap();
            go_on.await.unwrap();
            Ok(said("done by the first press"))
        });
        tokio::select! {
            biased;
            _ = first => panic!("nobody has let it go on"),
            begun = begun => begun.unwrap(),
        }
        let second = outcomes.once("a", async { Ok(said("done by the second press")) });
        let go = async { let_go.send(()) };
        let (second, gone) = tokio::join!(second, go);
        gone.expect("the first is still at work");
        assert_eq!(second.unwrap().sentence, "done by the first press");
        let third = outcomes.once("a", async { Err(broken()) }).await;
        assert_eq!(third.unwrap().sentence, "done by the first press");
        // A form that was not applied may be sent again.
        assert!(outcomes.once("b", async { Err(broken()) }).await.is_err());
        let refused = FormOutcome { status: StatusCode::CONFLICT, ..said("refused") };
        assert_eq!(outcomes.once("b", async { Ok(refused) }).await.unwrap().sentence, "refused");
        assert_eq!(outcomes.once("b", async { Ok(said("done")) }).await.unwrap().sentence, "done");
    }

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
