//! Decisions on one message: a page that asks, and what its form does. A form is of the state that its page showed, and
//! is done once.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::OperatorState;
use super::form::Form;
use super::outcomes::Said;
use super::page::{Page, html, notice};
use super::words::{self, Shown, missing, state_of};
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::domain::journey::{Journey, Means, Operator};
use crate::ops::decide::{discard, retry, settle};
use crate::ops::sign_in::Person;
use crate::store::{Decision, ListedMessage, Store, StoreError};

/// What an operator may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Delivered,
    Failed,
    SendAgain,
    Noted,
    Retry,
    Discard,
}

impl Verdict {
    const ALL: [Self; 6] = [Self::Delivered, Self::Failed, Self::SendAgain, Self::Noted, Self::Retry, Self::Discard];

    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::SendAgain => "send-again",
            Self::Noted => "noted",
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    fn button(self, page: &Page) -> &'static str {
        match self {
            Self::Delivered => page.say("The customer has it", "El cliente lo tiene"),
            Self::Failed => page.say("The customer did not get it", "El cliente no lo recibió"),
            Self::SendAgain | Self::Retry => page.say("Send it again", "Enviarlo otra vez"),
            Self::Noted => page.say("Nobody can tell", "No se puede saber"),
            Self::Discard => page.say("Give it up", "Abandonarlo"),
        }
    }

    /// Returns what follows, for the page that asks.
    fn meaning(self, page: &Page) -> &'static str {
        match self {
            Self::Delivered => page.say(
                "It counts as delivered from now on, and its conversation goes on. Nothing is sent.",
                "Desde ahora cuenta como entregado, y su conversación continúa. No se envía nada.",
            ),
            Self::Failed => page.say(
                "It counts as failed from now on: it is not sent again, and its conversation goes on. Its agent is told, \
                 unless told before that it may have arrived.",
                "Desde ahora cuenta como fallido: no se vuelve a enviar, y su conversación continúa. Se avisa a su agente, \
                 salvo que ya se le dijera que quizá había llegado.",
            ),
            Self::SendAgain => page.say(
                "It is sent now, before anything else that waits in its conversation. If the first one arrived after all, the \
                 customer gets it twice.",
                "Se envía ahora, antes de todo lo que espera en su conversación. Si el primero llegó a pesar de todo, el \
                 cliente lo recibe dos veces.",
            ),
            Self::Noted => page.say(
                "It may have been delivered, and stays so. It counts no more as one that needs you, and its conversation goes \
                 on. Nothing is sent.",
                "Quizá se entregó, y se queda así. Ya no cuenta como pendiente, y su conversación continúa. No se envía nada.",
            ),
            Self::Retry => page.say(
                "It goes out again in its old place, with its attempts counted anew. Messages that were written after it may \
                 have arrived before.",
                "Sale otra vez en su antiguo lugar, con los intentos contados de nuevo. Es posible que mensajes escritos \
                 después ya hayan llegado.",
            ),
            Self::Discard => page.say(
                "It is given up for good, and its text is erased at once. This cannot be undone.",
                "Se abandona para siempre, y su texto se borra ahora mismo. No se puede deshacer.",
            ),
        }
    }
}

/// A decision that the state of a message allows.
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) button: &'static str,
    /// The state that it is for.
    pub(super) of: String,
}

/// Returns what may be decided of a message, or of the events of an mId.
pub(super) fn choices(page: &Page, journey: &Journey, message: &ListedMessage) -> Vec<Choice> {
    let has_text = match &journey.message {
        Some(message) => message.has_text,
        None => journey.events.iter().any(|event| event.has_text),
    };
    let allowed = match message.state.as_str() {
        "unknown" => &[Verdict::Delivered, Verdict::Failed, Verdict::SendAgain][..],
        "unconfirmed" if message.noted_ms.is_some() => {
            &[Verdict::Delivered, Verdict::Failed, Verdict::SendAgain, Verdict::Discard]
        }
        "unconfirmed" | "held" => {
            &[Verdict::Delivered, Verdict::Failed, Verdict::SendAgain, Verdict::Noted, Verdict::Discard]
        }
        "failed" | "dead" => &[Verdict::Retry, Verdict::Discard],
        "queued" if journey.message.is_some() => &[Verdict::Discard],
        _ => &[],
    };
    let needs_text = |verdict: Verdict| matches!(verdict, Verdict::SendAgain | Verdict::Retry | Verdict::Discard);
    let allowed = allowed.iter().filter(|verdict| has_text || !needs_text(**verdict));
    let choice =
        |verdict: &Verdict| Choice { name: verdict.name(), button: verdict.button(page), of: version(message) };
    allowed.map(choice).collect()
}

/// Returns the state that a page shows. The same state later is another one: `attempt` begins anew where a person retries,
/// so the times tell them apart; that of the end also tells `held`, which has none, from `unconfirmed`.
fn version(message: &ListedMessage) -> String {
    let ListedMessage { state, attempt, done_ms, noted_ms, .. } = message;
    let time = |at_ms: Option<i64>| at_ms.map_or_else(|| "none".to_owned(), |at_ms| at_ms.to_string());
    format!("{state}-{attempt}-{}-{}", time(*done_ms), time(*noted_ms))
}

#[derive(Template)]
#[template(path = "decide.html", config = "src/http/ops/askama.toml")]
struct Asks<'a> {
    page: &'a Page,
    m_id: &'a str,
    state: Shown,
    verdict: &'static str,
    button: &'static str,
    meaning: &'static str,
    of: String,
    once: String,
}

/// `GET /messages/{mId}/decide?verdict=…&of=…`
pub(super) async fn ask(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(m_id): Path<String>,
    request: Request,
) -> Response {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let Some(verdict) = query.get("verdict").and_then(Verdict::of) else { return unknown(&page) };
    let message = match shared.store().show(m_id.clone()).await {
        Ok(Some(message)) => message,
        Ok(None) => return missing(&page, &m_id),
        Err(error) => return words::unreadable(&page, &error),
    };
    let of = version(&message);
    if query.get("of") != Some(&of) {
        let Said { status, sentence } = stale(&page, &message);
        return said(&page, &m_id, status, &sentence);
    }
    let asks = Asks {
        page: &page,
        m_id: &m_id,
        state: state_of(page.language, &message),
        verdict: verdict.name(),
        button: verdict.button(&page),
        meaning: verdict.meaning(&page),
        of,
        once: format!("{:032x}", rand::random::<u128>()),
    };
    html(StatusCode::OK, &asks)
}

/// `POST /messages/{mId}/decide`
pub(super) async fn decide(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    Extension(form): Extension<Form>,
    Path(m_id): Path<String>,
) -> Response {
    match decided(&shared, &page, &person, &m_id, &form).await {
        Ok(Said { status, sentence }) => said(&page, &m_id, status, &sentence),
        Err(response) => response,
    }
}

/// Returns whether a form has been sent before, and done.
pub(super) async fn is_done(shared: &OperatorState, m_id: &str, form: &Form) -> bool {
    let Some(once) = form.filled("once") else { return false };
    let slot = shared.outcomes.slot(&format!("{m_id} {once}"), now_ms());
    slot.lock().await.is_some()
}

/// Does what a form asks for, once, and returns what the operator is told.
///
/// # Errors
/// The page that is shown where the form means nothing, there is no such message, or the store cannot be read.
pub(super) async fn decided(
    shared: &OperatorState,
    page: &Page,
    person: &Person,
    m_id: &str,
    form: &Form,
) -> Result<Said, Response> {
    let (Some(verdict), Some(of), Some(once)) =
        (form.get("verdict").and_then(Verdict::of), form.get("of"), form.filled("once"))
    else {
        return Err(unknown(page));
    };
    let once = format!("{m_id} {once}");
    let slot = shared.outcomes.slot(&once, now_ms());
    let mut outcome = slot.lock().await;
    if let Some(said) = outcome.as_ref() {
        return Ok(said.clone());
    }
    let by = Operator::new(&person.name, Means::Page, form.filled("why"));
    match done(shared.store(), &shared.config(), page, verdict, m_id, of, by).await {
        Ok(Done::Stale(message)) => Ok(stale(page, &message)),
        Ok(Done::Missing) => Err(missing(page, m_id)),
        Ok(Done::Said(said)) => Ok(outcome.insert(said).clone()),
        Err(error) => Err(words::unreadable(page, &error)),
    }
}

#[derive(Template)]
#[template(path = "decided.html", config = "src/http/ops/askama.toml")]
struct Decided<'a> {
    page: &'a Page,
    m_id: &'a str,
    title: &'a str,
    sentence: &'a str,
}

fn said(page: &Page, m_id: &str, status: StatusCode, sentence: &str) -> Response {
    let title = if status == StatusCode::OK {
        page.say("Done", "Hecho")
    } else {
        page.say("Nothing was changed", "No se ha cambiado nada")
    };
    html(status, &Decided { page, m_id, title, sentence })
}

/// What became of a form.
enum Done {
    Said(Said),
    /// Its page showed another state than this.
    Stale(ListedMessage),
    Missing,
}

async fn done(
    store: &dyn Store,
    config: &Config,
    page: &Page,
    verdict: Verdict,
    m_id: &str,
    of: &str,
    by: Operator,
) -> Result<Done, StoreError> {
    let Some(message) = store.show(m_id.to_owned()).await? else { return Ok(Done::Missing) };
    if version(&message) != of {
        return Ok(Done::Stale(message));
    }
    let settled = async |decision| settle(store, config, m_id.to_owned(), decision, by.clone()).await;
    let decided = match verdict {
        Verdict::Delivered => settled(Decision::Delivered).await?,
        Verdict::Failed => settled(Decision::Failed).await?,
        Verdict::SendAgain => settled(Decision::SendAgain).await?,
        Verdict::Noted => settled(Decision::Noted).await?,
        Verdict::Retry => retry(store, m_id.to_owned(), by).await?,
        Verdict::Discard => discard(store, config, m_id.to_owned(), by).await?,
    };
    let status = if decided.result.is_ok() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(Done::Said(Said { status, sentence: format!("{}.", sentence(&decided.sentence(page.language))) }))
}

/// Returns a clause as the beginning of a sentence.
fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Refuses a decision on a state that is gone.
fn stale(page: &Page, message: &ListedMessage) -> Said {
    let now = state_of(page.language, message).word;
    let (before, after) = (
        page.say(
            "Nothing was changed. The message is no longer as the page showed it; now it:",
            "No se ha cambiado nada. El mensaje ya no está como mostraba la página; ahora:",
        ),
        page.say("Look at it again before you decide.", "Mírelo otra vez antes de decidir."),
    );
    Said { status: StatusCode::CONFLICT, sentence: format!("{before} {now}. {after}") }
}

fn unknown(page: &Page) -> Response {
    let words = page.say(
        "Nothing was changed: the form is not one of this bridge. Open the message again.",
        "No se ha cambiado nada: el formulario no es de este puente. Abra el mensaje otra vez.",
    );
    notice(page, StatusCode::BAD_REQUEST, page.say("Not understood", "No se entiende"), words)
}
