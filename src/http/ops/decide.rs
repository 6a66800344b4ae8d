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
use super::outcomes::{FormOutcome, outcome_page};
use super::page::{Page, html, see_other};
use super::words::{self, Shown, missing, once, state_of, unknown_form, whole};
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::domain::journey::{Journey, Means, Operator};
use crate::ops::conversation::Unread;
use crate::ops::decide::{Verb, allowed, discard, retry, settle};
use crate::ops::sign_in::Person;
use crate::store::{Decision, DecisionTarget, ListedMessage, ShownState, StoreError};

/// Age of a shown conversation, in milliseconds, at which a message is not sent again by it: look again first.
const FRESH_MS: i64 = 60_000;

const SEND_AGAIN: Verb = Verb::Settle(Decision::SendAgain);

fn button(verb: Verb, page: &Page) -> &'static str {
    match verb {
        Verb::Settle(Decision::Delivered) => page.say("The customer has it", "El cliente lo tiene"),
        Verb::Settle(Decision::Failed) => page.say("The customer did not get it", "El cliente no lo recibió"),
        Verb::Settle(Decision::SendAgain) | Verb::Retry => page.say("Send it again", "Enviarlo otra vez"),
        Verb::Settle(Decision::Noted) => page.say("Nobody can tell", "No se puede saber"),
        Verb::Discard => page.say("Give it up", "Abandonarlo"),
    }
}

/// Returns what follows, for the page that asks.
fn meaning(verb: Verb, page: &Page) -> &'static str {
    match verb {
        Verb::Settle(Decision::Delivered) => page.say(
            "It counts as delivered from now on, and its conversation goes on. Nothing is sent.",
            "Desde ahora cuenta como entregado, y su conversación continúa. No se envía nada.",
        ),
        Verb::Settle(Decision::Failed) => page.say(
            "It counts as failed from now on: it is not sent again, and its conversation goes on. Its agent is told, \
             unless told before that it may have arrived.",
            "Desde ahora cuenta como fallido: no se vuelve a enviar, y su conversación continúa. Se avisa a su agente, \
             salvo que ya se le dijera que quizá había llegado.",
        ),
        Verb::Settle(Decision::SendAgain) => page.say(
            "It is sent now, before anything else that waits in its conversation. If the first one arrived after all, the \
             customer gets it twice.",
            "Se envía ahora, antes de todo lo que espera en su conversación. Si el primero llegó a pesar de todo, el \
             cliente lo recibe dos veces.",
        ),
        Verb::Settle(Decision::Noted) => page.say(
            "It may have been delivered, and stays so. It counts no more as one that needs you, and its conversation goes \
             on. Nothing is sent.",
            "Quizá se entregó, y se queda así. Ya no cuenta como pendiente, y su conversación continúa. No se envía nada.",
        ),
        Verb::Retry => page.say(
            "It goes out again in its old place, with its attempts counted anew. Messages that were written after it may \
             have arrived before.",
            "Sale otra vez en su antiguo lugar, con los intentos contados de nuevo. Es posible que mensajes escritos \
             después ya hayan llegado.",
        ),
        Verb::Discard => page.say(
            "It is given up for good, and its text is erased at once. This cannot be undone.",
            "Se abandona para siempre, y su texto se borra ahora mismo. No se puede deshacer.",
        ),
    }
}

/// A decision that the state of a message allows.
pub(super) struct AllowedDecision {
    pub(super) name: &'static str,
    pub(super) button: &'static str,
    /// The state that it is for.
    pub(super) of: String,
}

/// Returns what may be decided of a message, or of the events of an mId.
pub(super) fn choices(page: &Page, journey: &Journey, message: &ListedMessage) -> Vec<AllowedDecision> {
    let of = message.seen();
    let choice =
        |verb: Verb| AllowedDecision { name: verb.name(), button: button(verb, page), of: of.as_str().to_owned() };
    allowed(journey, message).into_iter().map(choice).collect()
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
    let Some(verb) = query.get("verdict").and_then(Verb::named) else { return unknown_form(&page) };
    let message = match shared.store().show(m_id.clone()).await {
        Ok(Some(message)) => message,
        Ok(None) => return missing(&page, &m_id),
        Err(error) => return words::unreadable(&page, &error),
    };
    let of = message.seen();
    if query.get("of") != Some(of.as_str()) {
        return outcome_page(&page, &stale(&page, &message));
    }
    if verb == SEND_AGAIN {
        return see_other(&format!("{}{}", page.root, beside_conversation(&m_id)));
    }
    let asks = Asks {
        page: &page,
        m_id: &m_id,
        state: state_of(page.language, &message),
        verdict: verb.name(),
        button: button(verb, &page),
        meaning: meaning(verb, &page),
        of: of.as_str().to_owned(),
        once: once(),
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
        Ok(said) => outcome_page(&page, &said),
        Err(response) => response,
    }
}

/// Applies the decision of a form, once, and returns its outcome.
///
/// # Errors
/// The page that is shown where the form means nothing, there is no such message, or the store cannot be read.
pub(super) async fn decided(
    shared: &Arc<OperatorState>,
    page: &Page,
    person: &Person,
    m_id: &str,
    form: &Form,
) -> Result<FormOutcome, Response> {
    let (Some(verb), Some(of), Some(once)) =
        (form.get("verdict").and_then(Verb::named), form.get("of"), form.filled("once"))
    else {
        return Err(unknown_form(page));
    };
    let by = Operator::new(&person.name, Means::Page, form.filled("why"));
    let (key, m_id) = (format!("{m_id} {once}"), m_id.to_owned());
    let target = DecisionTarget { m_id: m_id.clone(), seen: Some(ShownState::new(of)) };
    let (state, here, form) = (Arc::clone(shared), page.clone(), form.clone());
    let work = async move {
        match done(&state, &here, verb, target, &form, by).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(missing(&here, &m_id)),
            Err(error) => Err(words::unreadable(&here, &error)),
        }
    };
    shared.outcomes.once(&key, work).await
}

/// Returns the outcome of a decision on one message.
pub(super) fn said(page: &Page, m_id: &str, status: StatusCode, sentence: String) -> FormOutcome {
    let label = page.say("Back to the message", "Volver al mensaje").to_owned();
    FormOutcome { status, sentence, link: format!("messages/{}", Page::value(m_id)), label }
}

/// Decides, and returns the outcome; `None`: there is no such message.
async fn done(
    shared: &OperatorState,
    page: &Page,
    verb: Verb,
    target: DecisionTarget,
    form: &Form,
    by: Operator,
) -> Result<Option<FormOutcome>, StoreError> {
    let (store, config, m_id) = (shared.store(), shared.config(), target.m_id.clone());
    let Some(message) = store.show(m_id.clone()).await? else { return Ok(None) };
    let is_seen = target.seen.as_ref() == Some(&message.seen());
    if is_seen
        && verb == SEND_AGAIN
        && let Some(words) = not_as_shown(shared, &config, page, &message, form).await
    {
        let label = page.say("Look at its conversation", "Mirar su conversación").to_owned();
        let (status, sentence, link) = (StatusCode::CONFLICT, words.to_owned(), beside_conversation(&m_id));
        return Ok(Some(FormOutcome { status, sentence, link, label }));
    }
    let decided = match verb {
        Verb::Settle(decision) => settle(store, &config, target, decision, by).await,
        Verb::Retry => retry(store, target, by).await,
        Verb::Discard => discard(store, &config, target, by).await,
    };
    let decided = match decided {
        Err(StoreError::Stale) => {
            return Ok(store.show(m_id).await?.map(|message| stale(page, &message)));
        }
        decided => decided?,
    };
    let status = if decided.result.is_ok() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(Some(said(page, &m_id, status, whole(&decided.sentence(page.language)))))
}

/// Returns where a message is sent again from: its place beside its conversation, from the folder of all pages.
pub(super) fn beside_conversation(m_id: &str) -> String {
    format!("unconfirmed?m={}", Page::value(m_id))
}

/// Returns whether a form is of a conversation that was read a short while ago.
fn is_fresh(form: &Form) -> bool {
    let read_ms: Option<i64> = form.get("read").and_then(|read| read.parse().ok());
    let age_ms = |read_ms: i64| now_ms().saturating_sub(read_ms);
    read_ms.is_some_and(|read_ms| (0..=FRESH_MS).contains(&age_ms(read_ms)))
}

/// Returns why a message is not sent again: its conversation was shown too long ago or not at all, or has a new row
/// since, perhaps the message itself.
async fn not_as_shown(
    shared: &OperatorState,
    config: &Config,
    page: &Page,
    message: &ListedMessage,
    form: &Form,
) -> Option<&'static str> {
    let now = if is_fresh(form) {
        shared.conversations.read(shared.store(), config, &message.channel, &message.contact).await
    } else {
        Err(Unread::Late)
    };
    Some(match now {
        Ok(now) if form.get("seen") == Some(now.digest().as_str()) => return None,
        Ok(_) => page.say(
            "Nothing was changed. The conversation is no longer as the page showed it: perhaps the message has turned up. Look at it \
             anew.",
            "No se ha cambiado nada. La conversación ya no está como la mostraba la página: quizá el mensaje ha aparecido. Mírela de \
             nuevo.",
        ),
        Err(_) => page.say(
            "Nothing was changed. The conversation was shown more than a minute ago or not at all, or cannot be read now: look at it \
             before the message is sent again.",
            "No se ha cambiado nada. La conversación se mostró hace más de un minuto o no se mostró, o no se puede leer ahora: mírela \
             antes de que el mensaje se envíe otra vez.",
        ),
    })
}

/// Refuses a decision on a state that is gone.
fn stale(page: &Page, message: &ListedMessage) -> FormOutcome {
    let now = state_of(page.language, message).word;
    let (before, after) = (
        page.say(
            "Nothing was changed. The message is no longer as the page showed it; now it:",
            "No se ha cambiado nada. El mensaje ya no está como mostraba la página; ahora:",
        ),
        page.say("Look at it again before you decide.", "Mírelo otra vez antes de decidir."),
    );
    said(page, &message.m_id, StatusCode::CONFLICT, format!("{before} {now}. {after}"))
}
