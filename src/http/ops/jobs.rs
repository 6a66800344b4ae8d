//! Jobs on many messages: how far each is (`GET /bulk/{id}`), ending it and going on with it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::OperatorState;
use super::form::Form;
use super::outcomes::{FormOutcome, outcome_page};
use super::page::{Page, html, notice};
use super::words::{self, Moment, Shown, moment, once, unknown_form};
use crate::domain::clock::now_ms;
use crate::domain::journey::{Means, Operator};
use crate::ops::bulk::ATTEMPTS;
use crate::ops::sign_in::Person;
use crate::store::{Job, StoreError};

/// Jobs that are listed.
const LISTED: u32 = 50;

/// A job that is due for longer, in milliseconds, has no process that works on it.
const LEFT_AFTER_MS: i64 = 15_000;

/// A job of the list.
pub(super) struct Row {
    pub(super) id: i64,
    /// What is done with what.
    pub(super) order: &'static str,
    pub(super) at: Moment,
    pub(super) who: String,
    pub(super) state: Shown,
    pub(super) total: u64,
    pub(super) done: u64,
    pub(super) skipped: u64,
    pub(super) left: u64,
}

/// Returns what is done with what, as a button has it.
pub(super) fn order(page: &Page, action: &str, state: &str) -> &'static str {
    match (action, state) {
        ("retry", "dead") => page.say("Post events again", "Entregar eventos otra vez"),
        ("retry", _) => page.say("Send messages again", "Enviar mensajes otra vez"),
        (_, "dead") => page.say("Give events up", "Abandonar eventos"),
        (_, "queued") => page.say("Give up messages that wait", "Abandonar mensajes que esperan"),
        _ => page.say("Give up messages that failed", "Abandonar mensajes que fallaron"),
    }
}

/// Returns the jobs, the newest first.
pub(super) async fn rows(shared: &OperatorState, page: &Page) -> Result<Vec<Row>, StoreError> {
    Ok(shared.store().bulk().jobs(LISTED).await?.into_iter().map(|job| row(shared, page, job)).collect())
}

fn row(shared: &OperatorState, page: &Page, job: Job) -> Row {
    let left = if job.is_over() { 0 } else { job.total.saturating_sub(job.done + job.skipped) };
    Row {
        id: job.id,
        order: order(page, &job.action, &job.state),
        at: moment(&shared.config().time_zone_of(""), job.at_ms),
        state: state(shared, page, &job),
        total: job.total,
        done: job.done,
        skipped: job.skipped,
        left,
        who: job.who,
    }
}

fn state(shared: &OperatorState, page: &Page, job: &Job) -> Shown {
    let (look, sign, word) = match (job.cancelled_ms, job.ended_ms) {
        (Some(_), _) if !job.filled => (
            "off",
            "–",
            page.say(
                "ended before all of it was in: nothing was done",
                "terminado antes de reunirlo todo: no se hizo nada",
            ),
        ),
        (Some(_), _) => ("off", "–", page.say("ended before its time", "terminado antes de tiempo")),
        (None, Some(_)) => ("good", "✓", page.say("done", "hecho")),
        (None, None) if !job.filled => ("waits", "◐", page.say("being made", "creándose")),
        (None, None) if job.stopped.is_some() => {
            ("bad", "!", page.say("stopped: a part of it cannot be done", "detenido: una parte no se puede hacer"))
        }
        (None, None) if job.paused => {
            ("off", "‖", page.say("waits: a channel is paused by hand", "espera: un canal está en pausa a mano"))
        }
        (None, None) if is_left(shared, job) => ("bad", "!", page.say("nobody works on it", "nadie trabaja en él")),
        (None, None) => ("waits", "◐", page.say("under way", "en curso")),
    };
    Shown { look, sign, word }
}

/// Returns whether a job that is not over has no process that works on it.
fn is_left(shared: &OperatorState, job: &Job) -> bool {
    let due_ms = job.next_ms.max(job.worked_ms);
    job.goes_on() && !shared.jobs.is_running(job.id) && now_ms().saturating_sub(due_ms) > LEFT_AFTER_MS
}

#[derive(Template)]
#[template(path = "job.html", config = "src/http/ops/askama.toml")]
struct Shows<'a> {
    page: &'a Page,
    job: Row,
    why: String,
    /// When it was last worked on.
    worked: Moment,
    /// How the set was described: names and values.
    asked: Vec<(&'static str, String)>,
    is_over: bool,
    /// Nobody works on it here, so that this bridge may go on with it.
    can_go_on: bool,
    /// Why it is stopped, and what to do, in sentences.
    stopped: Option<String>,
    once: String,
}

/// `GET /bulk/{id}`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(id): Path<String>,
) -> Response {
    let job = match find(&shared, &page, &id).await {
        Ok(job) => job,
        Err(response) => return response,
    };
    let shows = Shows {
        page: &page,
        why: job.why.clone().unwrap_or_default(),
        worked: moment(&shared.config().time_zone_of(""), job.worked_ms),
        asked: asked(&page, &job.filter),
        is_over: job.is_over(),
        can_go_on: !job.is_over() && job.filled && !shared.jobs.is_running(job.id),
        stopped: stopped(&page, &job),
        once: once(),
        job: row(&shared, &page, job),
    };
    html(StatusCode::OK, &shows)
}

/// Returns what has to be known of a job that waits for a person.
fn stopped(page: &Page, job: &Job) -> Option<String> {
    let why = job.stopped.as_ref().filter(|_| !job.is_over())?;
    let left = job.total.saturating_sub(job.done + job.skipped);
    let [tried, times, done, rest] = [
        page.say("The bridge stopped it: its next part failed", "El puente lo ha detenido: su siguiente parte falló"),
        page.say("times; its log says more.", "veces; su registro dice más."),
        page.say(
            "What is done stays done; the others are as they were, and nobody got any of them by this job:",
            "Lo hecho queda hecho; los demás están como estaban, y nadie recibió ninguno por este trabajo:",
        ),
        page.say(
            "See what is wrong with the store, then go on with it, or end it.",
            "Vea qué le pasa al almacén y después continúe con él, o termínelo.",
        ),
    ];
    Some(format!("{tried} {ATTEMPTS} {times} ({why}) {done} {left}. {rest}"))
}

/// Returns how the set of a job was described, in words.
fn asked(page: &Page, filter: &str) -> Vec<(&'static str, String)> {
    let filter: serde_json::Value = serde_json::from_str(filter).unwrap_or_default();
    let given = |name: &str| {
        let value = filter.get(name)?;
        value.as_str().map(str::to_owned)
    };
    let hidden = || page.say("given (not kept here)", "dado (no se guarda aquí)").to_owned();
    let texts = [
        ("channel", page.say("Channel", "Canal")),
        ("kind", page.say("Kind", "Tipo")),
        ("fault", page.say("Reason", "Motivo")),
        ("since", page.say("Since", "Desde")),
        ("until", page.say("Until", "Hasta")),
    ];
    let kept_back = [("contact", page.say("Contact", "Contacto")), ("text", page.say("Words", "Palabras"))];
    let mut found: Vec<(&'static str, String)> =
        texts.into_iter().filter_map(|(name, word)| Some((word, given(name)?))).collect();
    found.extend(kept_back.into_iter().filter_map(|(name, word)| given(name).map(|_| (word, hidden()))));
    found
}

/// Returns a job, or the page that is shown in its place.
async fn find(shared: &OperatorState, page: &Page, id: &str) -> Result<Job, Response> {
    let found = match id.parse::<i64>() {
        Ok(id) => shared.store().bulk().job(id).await.map_err(|error| words::unreadable(page, &error))?,
        Err(_) => None,
    };
    found.ok_or_else(|| {
        let why = page.say(
            "There is no job of this number in this store: was it another bridge, or longer ago than store.keep_rows?",
            "No hay ningún trabajo con este número en este almacén: ¿fue otro puente, o hace más que store.keep_rows?",
        );
        notice(page, StatusCode::NOT_FOUND, page.say("No such job", "No existe el trabajo"), why)
    })
}

/// `POST /bulk/{id}/cancel`
pub(super) async fn cancel(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Response {
    let job = match find(&shared, &page, &id).await {
        Ok(job) => job.id,
        Err(response) => return response,
    };
    let Some(once) = form.filled("once") else { return unknown_form(&page) };
    let by = Operator::new(&person.name, Means::Page, form.filled("why"));
    let (state, here) = (Arc::clone(&shared), page.clone());
    let work = async move {
        match state.store().bulk().cancel_job(job, by, now_ms()).await {
            Ok(Some((_, true))) => {
                let words = here.say(
                    "It ends here: what is done stays done, and nothing more of it is done.",
                    "Termina aquí: lo hecho queda hecho, y no se hace nada más.",
                );
                Ok(said(&here, job, StatusCode::OK, words))
            }
            Ok(_) => Ok(over(&here, job)),
            Err(error) => Err(words::unreadable(&here, &error)),
        }
    };
    shared.outcomes.page_once(&page, &format!("cancel {job} {once}"), work).await
}

/// `POST /bulk/{id}/resume`
pub(super) async fn resume(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(id): Path<String>,
) -> Response {
    let job = match find(&shared, &page, &id).await {
        Ok(job) => job,
        Err(response) => return response,
    };
    if job.is_over() {
        return outcome_page(&page, &over(&page, job.id));
    }
    if !job.filled {
        let words = page.say(
            "Nothing was changed: not all of its messages are in it yet. It begins by itself when they are.",
            "No se ha cambiado nada: aún no contiene todos sus mensajes. Empieza solo cuando los tenga.",
        );
        return outcome_page(&page, &said(&page, job.id, StatusCode::CONFLICT, words));
    }
    if let Err(error) = shared.store().bulk().resume_job(job.id, now_ms()).await {
        return words::unreadable(&page, &error);
    }
    shared.jobs.run(shared.config(), job.id);
    let words = page.say(
        "This bridge goes on with it. What was done before is not done again.",
        "Este puente continúa con él. Lo ya hecho no se repite.",
    );
    outcome_page(&page, &said(&page, job.id, StatusCode::OK, words))
}

fn said(page: &Page, job: i64, status: StatusCode, sentence: &str) -> FormOutcome {
    let label = page.say("See how far it is", "Ver cómo va").to_owned();
    FormOutcome { status, sentence: sentence.to_owned(), link: format!("bulk/{job}"), label }
}

fn over(page: &Page, job: i64) -> FormOutcome {
    let words = page.say("Nothing was changed: it is over already.", "No se ha cambiado nada: ya había terminado.");
    said(page, job, StatusCode::CONFLICT, words)
}
