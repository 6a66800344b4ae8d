//! `GET /unconfirmed`: messages that may have been delivered, one of them beside its conversation as Afilnet shows it now, and what
//! may be decided of it: one form each, which keys of a script press too.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::OperatorState;
use super::decide::{AllowedDecision, choices, decided};
use super::form::Form;
use super::messages::{Contacts, Row};
use super::outcomes::FormOutcome;
use super::page::{Page, html};
use super::words::{self, Moment, Shown, moment, state_of};
use crate::config::{Config, LogContacts};
use crate::domain::Direction;
use crate::domain::clock::now_ms;
use crate::domain::find::{MessageState, PAGE, Side};
use crate::domain::journey::{Means, Operator};
use crate::ops::advice;
use crate::ops::conversation::{Conversation, ShownRow, Unread};
use crate::ops::find::{Refusal, Request, SearchResult, find_of};
use crate::ops::sign_in::Person;
use crate::store::{FoundMessage, ListedMessage, StoreError};

#[derive(Template)]
#[template(path = "unconfirmed.html", config = "src/http/ops/askama.toml")]
struct Shows<'a> {
    page: &'a Page,
    /// What became of the form before.
    said: Option<(bool, String)>,
    rows: Vec<Row>,
    /// Query of the next page.
    next: Option<String>,
    chosen: Option<Chosen>,
    contacts: Contacts,
    channel: String,
}

/// The message that is decided.
struct Chosen {
    m_id: String,
    channel: String,
    contact: String,
    state: Shown,
    at: Moment,
    is_looked_up: bool,
    /// What each look showed.
    looks: Vec<String>,
    choices: Vec<AllowedDecision>,
    once: String,
    tail: Tail,
}

/// The conversation, or why it is not shown.
struct Tail {
    lines: Vec<ConversationLine>,
    earlier: usize,
    /// When it was read (epoch ms), and the digest of its end.
    read: Option<(i64, String)>,
    note: String,
}

/// A row of the conversation.
struct ConversationLine {
    at: Moment,
    side: &'static str,
    text: String,
}

impl Shows<'_> {
    /// Returns the key that presses a button.
    fn key(name: &str) -> &'static str {
        match name {
            "delivered" => "d",
            "failed" => "f",
            "send-again" => "s",
            "noted" => "n",
            _ => "",
        }
    }
}

/// `GET /unconfirmed?m=&channel=&before=&contacts=`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    request: HttpRequest,
) -> Response {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    shown(&shared, &page, &person, &query, None).await
}

/// `POST /unconfirmed`: a decision, and then the page again with the next message.
pub(super) async fn decide(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    Extension(form): Extension<Form>,
) -> Response {
    let m_id = form.get("m_id").unwrap_or_default();
    match shared.store().show(m_id.to_owned()).await {
        Ok(Some(message)) if person.sees(&message.channel) => {}
        Ok(_) => return words::missing(&page, m_id),
        Err(error) => return words::unreadable(&page, &error),
    }
    match decided(&shared, &page, &person, m_id, &form).await {
        Ok(outcome) => shown(&shared, &page, &person, &form, Some(outcome)).await,
        Err(response) => response,
    }
}

async fn shown(
    shared: &OperatorState,
    page: &Page,
    person: &Person,
    query: &Form,
    outcome: Option<FormOutcome>,
) -> Response {
    let status = outcome.as_ref().map_or(StatusCode::OK, |outcome| outcome.status);
    match of_state(shared, page, person, query, outcome).await {
        Ok(shows) => html(status, &shows),
        Err(Refusal::Store(error)) => words::unreadable(page, &error),
        Err(refusal) => super::page::notice(
            page,
            StatusCode::BAD_REQUEST,
            page.say("Nothing was searched", "No se ha buscado nada"),
            &super::messages::wrong(page, refusal),
        ),
    }
}

async fn of_state<'a>(
    shared: &OperatorState,
    page: &'a Page,
    person: &Person,
    query: &Form,
    outcome: Option<FormOutcome>,
) -> Result<Shows<'a>, Refusal> {
    let config = shared.config();
    let contacts = Contacts::new(page, &config, query);
    let request = Request {
        query: String::new(),
        side: Some(Side::Out),
        channel: query.filled("channel").map(str::to_owned),
        state: Some(MessageState::Unconfirmed),
        fault: None,
        since: None,
        until: None,
        contact: None,
        before: query.filled("before").map(str::to_owned),
        limit: PAGE,
        to_the_end: false,
        contacts_in_full: true,
    };
    let SearchResult { messages, next, .. } = find_of(shared.store(), &config, person.channels(), request).await?;
    // One that was just refused is shown again; else the one that was asked for, else the first.
    let is_refused = outcome.as_ref().is_some_and(|outcome| outcome.status != StatusCode::OK);
    let asked = if is_refused { query.get("m_id") } else { query.get("m") };
    let asked = match asked {
        Some(m_id) => shared.store().show(m_id.to_owned()).await?.filter(|message| waits(person, message)),
        None => None,
    };
    let first = || messages.first().map(|found| found.message.m_id.clone());
    let mut chosen = match asked.map(|message| message.m_id).or_else(first) {
        Some(m_id) => chosen(shared, &config, page, &m_id, &contacts).await?,
        None => None,
    };
    let mut said = outcome.map(|FormOutcome { status, sentence, .. }| (status == StatusCode::OK, sentence));
    // Nobody decides on another message than the one that was asked for.
    if let (None, Some(m_id), Some(shown)) = (&said, query.filled("m"), &mut chosen)
        && shown.m_id != m_id
    {
        shown.choices.clear();
        let words = page.say(
            "The message that you asked for is unconfirmed no more: it has turned up, or somebody has decided it. This is another one.",
            "El mensaje que pidió ya no está sin confirmar: ha aparecido, o alguien lo ha decidido. Este es otro.",
        );
        said = Some((false, words.to_owned()));
    }
    let this = chosen.as_ref().map(|chosen| chosen.m_id.clone()).unwrap_or_default();
    let row = |mut found: FoundMessage| {
        found.message.contact = masked(&config, &contacts, &found.message.contact);
        Row::new(page, &config, found, &this)
    };
    Ok(Shows {
        page,
        said,
        rows: messages.into_iter().map(row).collect(),
        next: next.map(|next| next.to_string()),
        chosen,
        contacts,
        channel: query.filled("channel").unwrap_or_default().to_owned(),
    })
}

/// Returns whether a message that was asked for may be decided by this person: also one that is looked up, or noted, for it is
/// sent again from here alone.
fn waits(person: &Person, message: &ListedMessage) -> bool {
    matches!(message.state.as_str(), "unconfirmed" | "unknown") && person.sees(&message.channel)
}

fn masked(config: &Config, contacts: &Contacts, contact: &str) -> String {
    match contact.parse() {
        Ok(contact) if !contacts.in_full && config.log.contacts == LogContacts::Masked => {
            crate::telemetry::contact(&contact).to_string()
        }
        _ => contact.to_owned(),
    }
}

/// Returns the message that is decided, with its conversation for who may act.
async fn chosen(
    shared: &OperatorState,
    config: &Config,
    page: &Page,
    m_id: &str,
    contacts: &Contacts,
) -> Result<Option<Chosen>, StoreError> {
    let store = shared.store();
    let Some((journey, message)) = store.journey(m_id.to_owned()).await?.zip(store.show(m_id.to_owned()).await?) else {
        return Ok(None);
    };
    let tail = tail(shared, config, page, &message).await;
    let mut choices = if page.may_act { choices(page, &journey, &message) } else { Vec::new() };
    // Sent again only by who has seen that it is not there.
    choices
        .retain(|choice| !Shows::key(choice.name).is_empty() && (choice.name != "send-again" || tail.read.is_some()));
    Ok(Some(Chosen {
        m_id: m_id.to_owned(),
        contact: masked(config, contacts, &message.contact),
        state: state_of(page.language, &message),
        at: moment(&config.time_zone_of(&message.channel), message.accepted_ms),
        is_looked_up: message.state == "unknown",
        looks: message.looks,
        channel: message.channel,
        choices,
        once: format!("{:032x}", rand::random::<u128>()),
        tail,
    }))
}

/// Returns the conversation for who may act. Who looks at it is in the audit before it is shown.
async fn tail(shared: &OperatorState, config: &Config, page: &Page, message: &ListedMessage) -> Tail {
    let unread = |note: String| Tail { lines: Vec::new(), earlier: 0, read: None, note };
    if !page.may_act {
        let note = page.say(
            "The conversation is shown to people who may act.",
            "La conversación se muestra a personas que pueden actuar.",
        );
        return unread(note.to_owned());
    }
    let ListedMessage { m_id, channel, contact, .. } = message;
    let who = page.person.as_deref().unwrap_or_default();
    tracing::info!(
        who,
        message_id = m_id,
        channel_name = channel,
        "an operator looks at the conversation of this message"
    );
    let store = shared.store();
    let conversation = match shared.conversations.read(store, config, channel, contact).await {
        Ok(conversation) => conversation,
        Err(cause) => return unread(why(page, cause)),
    };
    if !conversation.rows.is_empty() {
        let by = Operator::new(who, Means::Page, None);
        let noted = store.operators().note_deed(by, "look at conversation", m_id.clone(), None, now_ms()).await;
        if let Err(error) = noted {
            return unread(why(page, Unread::Store(error)));
        }
    }
    of_conversation(page, config, message, conversation)
}

fn of_conversation(page: &Page, config: &Config, message: &ListedMessage, conversation: Conversation) -> Tail {
    let read = Some((conversation.read_ms, conversation.digest()));
    let Conversation { rows, earlier, .. } = conversation;
    let zone = config.time_zone_of(&message.channel);
    let line = |ShownRow { at_ms, direction, text }: ShownRow| ConversationLine {
        at: at_ms.map_or_else(|| Moment { local: "–".to_owned(), utc: String::new() }, |at_ms| moment(&zone, at_ms)),
        side: match direction {
            Direction::Inbound => page.say("customer", "cliente"),
            Direction::Outbound => page.say("business", "empresa"),
            Direction::Unknown => page.say("not known", "no se sabe"),
        },
        text: if text.is_empty() {
            page.say("(no text: a file?)", "(sin texto: ¿un archivo?)").to_owned()
        } else {
            text
        },
    };
    let note = if rows.is_empty() {
        page.say(
            "Afilnet shows no message of this conversation.",
            "Afilnet no muestra ningún mensaje de esta conversación.",
        )
    } else {
        ""
    };
    Tail { lines: rows.into_iter().map(line).collect(), earlier, read, note: note.to_owned() }
}

/// Returns why a conversation is not shown, and what to do.
fn why(page: &Page, unread: Unread) -> String {
    match unread {
        Unread::NotConfigured => page
            .say(
                "The conversation cannot be read: its channel is not configured any more.",
                "No se puede leer la conversación: su canal ya no está configurado.",
            )
            .to_owned(),
        Unread::NoContact => page
            .say(
                "The conversation cannot be read: its contact has been erased.",
                "No se puede leer la conversación: su contacto fue borrado.",
            )
            .to_owned(),
        Unread::NotMetYet => page
            .say(
                "The bridge has not read this conversation yet, and reading it here could hide what is unread. Look at it in \
                 Afilnet's panel.",
                "El puente aún no ha leído esta conversación, y leerla aquí podría ocultar lo que está sin leer. Mírela en el panel \
                 de Afilnet.",
            )
            .to_owned(),
        Unread::Late => page
            .say(
                "Afilnet did not show the conversation within 6 seconds. Load this page again in a moment, or look at it in \
                 Afilnet's panel.",
                "Afilnet no mostró la conversación en 6 segundos. Cargue esta página otra vez en un momento, o mírela en el panel de \
                 Afilnet.",
            )
            .to_owned(),
        Unread::Afilnet(fault) => {
            let (before, after) = (
                page.say("Afilnet does not show the conversation", "Afilnet no muestra la conversación"),
                page.say("Look at it in Afilnet's panel meanwhile.", "Mírela mientras tanto en el panel de Afilnet."),
            );
            format!("{before} ({}): {}. {after}", fault.code(), advice::of_afilnet(&fault, page.language))
        }
        Unread::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a conversation could not be shown");
            page.say(
                "The store cannot be read, so neither can the conversation. The bridge's log has the cause.",
                "No se puede leer el almacén, y por eso tampoco la conversación. El registro del puente tiene la causa.",
            )
            .to_owned()
        }
    }
}
