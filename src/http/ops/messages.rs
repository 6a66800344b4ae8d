//! `GET /messages`: both ways in one list, newest first, by what is known of a message.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use form_urlencoded::Serializer;

use super::OperatorState;
use super::export;
use super::form::Form;
use super::page::{Page, html};
use super::words::{self, Moment, STATES, Shown, moment, state, state_of, way};
use crate::config::{Config, LogContacts};
use crate::domain::find::{PAGE, Side};
use crate::ops::export::Format;
use crate::ops::find::{Refusal, Request, SearchHint, SearchResult, find_of};
use crate::ops::sign_in::Person;
use crate::store::FoundMessage;

/// Names of the filters in the query.
const FILTERS: [&str; 7] = ["q", "channel", "dir", "state", "fault", "from", "to"];

#[derive(Template)]
#[template(path = "messages.html", config = "src/http/ops/askama.toml")]
struct Messages<'a> {
    page: &'a Page,
    /// As they were typed.
    filters: Form,
    channels: Vec<String>,
    states: Vec<(&'static str, &'static str)>,
    rows: Vec<Row>,
    /// The error of a filter that cannot be parsed.
    wrong: Option<String>,
    notes: Vec<String>,
    /// Query of the next page.
    next: Option<String>,
    /// Query of all of it, as a file.
    all: String,
    is_filtered: bool,
    contacts: Contacts,
}

/// How contacts are shown.
pub(super) struct Contacts {
    pub(super) in_full: bool,
    /// Query of the same page with contacts in full, where they are masked and the reader may have them.
    pub(super) full: Option<String>,
}

impl Contacts {
    pub(super) fn new(page: &Page, config: &Config, query: &Form) -> Self {
        let may = page.may_act && config.log.contacts == LogContacts::Masked;
        let in_full = may && query.get("contacts") == Some("full");
        let here = page.here.split_once('?').map_or("", |(_, query)| query);
        let join = if here.is_empty() { "" } else { "&" };
        Self { in_full, full: (may && !in_full).then(|| format!("{here}{join}contacts=full")) }
    }
}

impl Messages<'_> {
    fn typed(&self, name: &str) -> &str {
        self.filters.get(name).unwrap_or_default()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.typed(name) == value
    }
}

/// A message of a list.
pub(super) struct Row {
    pub(super) m_id: String,
    pub(super) at: Moment,
    pub(super) channel: String,
    pub(super) contact: String,
    pub(super) sign: &'static str,
    pub(super) way: &'static str,
    pub(super) kind: String,
    pub(super) state: Shown,
    pub(super) fault: String,
    /// The row of the message that the page is about.
    pub(super) is_this: bool,
}

impl Row {
    pub(super) fn new(page: &Page, config: &Config, found: FoundMessage, this: &str) -> Self {
        let FoundMessage { side, message } = found;
        let (sign, way) = way(page.language, side);
        Self {
            at: moment(&config.time_zone_of(&message.channel), message.accepted_ms),
            sign,
            way,
            state: state_of(page.language, &message),
            is_this: message.m_id == this,
            m_id: message.m_id,
            channel: message.channel,
            contact: message.contact,
            kind: message.kind,
            fault: message.fault.unwrap_or_default(),
        }
    }
}

/// `GET /messages?q=&channel=&dir=&state=&fault=&from=&to=&before=&contacts=&format=`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    uri: Uri,
) -> Response {
    let filters = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let config = shared.config();
    let mut shown = Messages {
        page: &page,
        channels: config.channels.keys().map(ToString::to_string).filter(|name| person.sees(name)).collect(),
        states: STATES.into_iter().map(|name| (name, state(page.language, name).word)).collect(),
        rows: Vec::new(),
        wrong: None,
        notes: Vec::new(),
        next: None,
        all: String::new(),
        contacts: Contacts::new(&page, &config, &filters),
        is_filtered: FILTERS[1..].iter().any(|name| filters.filled(name).is_some()),
        filters,
    };
    shown.all = query_of(&shown.filters, shown.contacts.in_full, &[]);
    let answer = match request(&page, &shown.filters, shown.contacts.in_full) {
        Ok(request) if shown.filters.filled("format").is_some() => {
            match file(&shared, &page, person, &shown.filters, request).await {
                Ok(file) => return file,
                Err(refusal) => Err(refusal),
            }
        }
        Ok(request) => find_of(shared.store(), &config, person.channels(), request).await,
        Err(wrong) => Err(Refusal::Request(wrong)),
    };
    match answer {
        Ok(answer) => {
            shown.notes = notes(&page, &config, &answer);
            let in_full = shown.contacts.in_full;
            shown.next = answer.next.map(|next| query_of(&shown.filters, in_full, &[("before", &next.to_string())]));
            shown.rows = answer.messages.into_iter().map(|found| Row::new(&page, &config, found, "")).collect();
            html(StatusCode::OK, &shown)
        }
        Err(Refusal::Store(error)) => words::unreadable(&page, &error),
        Err(refusal) => {
            shown.wrong = Some(wrong(&page, refusal));
            html(StatusCode::BAD_REQUEST, &shown)
        }
    }
}

/// Returns what cannot be read of the query.
pub(super) fn wrong(page: &Page, refusal: Refusal) -> String {
    match refusal {
        Refusal::Channel { typed, names } => {
            let (before, after) =
                (page.say("there is no channel", "no existe el canal"), page.say("choose one of", "elija uno de"));
            format!("{before} `{typed}`: {after} {}.", names.join(", "))
        }
        Refusal::Time { parameter, typed } => {
            let field = if parameter == "since" { page.say("Since", "Desde") } else { page.say("Until", "Hasta") };
            let (takes, is) = (
                page.say(
                    "takes a time ago (90s, 2h, 3d), a day (2026-11-14) or a time of the account (2026-11-14T10:02);",
                    "admite un tiempo atrás (90s, 2h, 3d), un día (2026-11-14) o una hora de la cuenta (2026-11-14T10:02);",
                ),
                page.say("is none of them.", "no es nada de eso."),
            );
            format!("«{field}» {takes} `{typed}` {is}")
        }
        Refusal::Cursor { .. } => page
            .say(
                "this address does not go on with any list: begin anew.",
                "esta dirección no continúa ninguna lista: empiece de nuevo.",
            )
            .to_owned(),
        Refusal::InBoth([english, spanish]) => page.say(&english.replace("--", ""), spanish).to_owned(),
        // Worded by this page itself.
        Refusal::Request(wrong) => wrong,
        Refusal::Store(error) => error.to_string(),
    }
}

fn request(page: &Page, filters: &Form, contacts_in_full: bool) -> Result<Request, String> {
    let text = |name: &str| filters.filled(name).map(str::to_owned);
    let side = match filters.filled("dir") {
        None => None,
        Some("out") => Some(Side::Out),
        Some("in") => Some(Side::In),
        Some(_) => {
            return Err(page
                .say(
                    "a message goes to the customer (out) or to BonyChat (in)",
                    "un mensaje va al cliente (out) o a BonyChat (in)",
                )
                .to_owned());
        }
    };
    let state = filters.filled("state").map(str::parse).transpose().map_err(|_| {
        page.say("there is no such state: choose one of the list", "no existe tal estado: elija uno de la lista")
            .to_owned()
    })?;
    Ok(Request {
        query: filters.get("q").unwrap_or_default().to_owned(),
        side,
        channel: text("channel"),
        state,
        fault: text("fault"),
        since: text("from"),
        until: text("to"),
        contact: None,
        before: text("before"),
        limit: PAGE,
        to_the_end: false,
        contacts_in_full,
    })
}

/// Returns what the reader should know of the search.
fn notes(page: &Page, config: &Config, answer: &SearchResult) -> Vec<String> {
    let mut notes: Vec<String> = answer.notes.iter().map(|known| note(page, config, known)).collect();
    let is_cut = answer.notes.iter().any(|note| matches!(note, SearchHint::Cut { .. }));
    if answer.next.is_none() && !is_cut {
        notes.push(page.say("Searched back to the oldest.", "Buscado hasta el más antiguo.").to_owned());
    }
    notes
}

fn note(page: &Page, config: &Config, note: &SearchHint) -> String {
    match note {
        SearchHint::NotConfigured(channel) => {
            let (before, after) = (
                page.say("The channel", "El canal"),
                page.say(
                    "is not configured: what is stored of it is kept, and not delivered.",
                    "no está configurado: lo que hay guardado de él se conserva, y no se entrega.",
                ),
            );
            format!("{before} `{channel}` {after}")
        }
        SearchHint::Cut { back_to_ms } => {
            let filter = page.say(
                "A channel, a state or a time make the search shorter.",
                "Un canal, un estado o una hora acortan la búsqueda.",
            );
            if let Some(back_to_ms) = back_to_ms {
                let back = moment(&config.time_zone_of(""), *back_to_ms).local;
                let so_far = page.say("Searched back to", "Buscado hasta");
                let up = page.say("then the time of a search was up.", "entonces se acabó el tiempo de una búsqueda.");
                format!("{so_far} {back}: {up} {filter}")
            } else {
                let up = page.say(
                    "The time of a search was up before the newest were searched.",
                    "El tiempo de una búsqueda se acabó antes de buscar en los más nuevos.",
                );
                format!("{up} {filter}")
            }
        }
        SearchHint::TextsErased { after } => {
            let after = humantime::format_duration(*after);
            let erased = page.say("Texts are erased after", "Los textos se borran pasados");
            let so = page.say(
                "older messages are not found by words.",
                "los mensajes más antiguos no se encuentran por palabras.",
            );
            format!("{erased} {after} (store.keep_text): {so}")
        }
    }
}

async fn file(
    shared: &Arc<OperatorState>,
    page: &Page,
    person: Person,
    filters: &Form,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(format) = filters.filled("format").and_then(Format::named) else {
        let words = page.say("a file is of the format csv or jsonl.", "un archivo es del formato csv o jsonl.");
        return Err(Refusal::Request(words.to_owned()));
    };
    export::file(Arc::clone(shared), page.clone(), person, request, format).await
}

/// Returns the same query with these besides.
fn query_of(filters: &Form, contacts_in_full: bool, more: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    for name in FILTERS {
        if let Some(value) = filters.filled(name) {
            query.append_pair(name, value);
        }
    }
    if contacts_in_full {
        query.append_pair("contacts", "full");
    }
    query.extend_pairs(more).finish()
}
