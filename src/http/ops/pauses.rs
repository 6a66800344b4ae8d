//! Pauses by hand of a channel: a page that asks, and what its form does. A form is of the pause that its page showed, and is
//! done once.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::OperatorState;
use super::form::Form;
use super::outcomes::{FormOutcome, outcome_page};
use super::page::{Page, html};
use super::words::{self, Shown, no_channel, once, unknown_form, whole};
use crate::config::Config;
use crate::domain::journey::{Means, Operator};
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::ops::find::{Refusal, check_channel};
use crate::ops::pause::{self, Outcome, follows, goes_on};
use crate::ops::sign_in::Person;

/// A kind of pause, as a channel's page shows it.
pub(super) struct Paused {
    pub(super) name: &'static str,
    pub(super) state: Shown,
    /// Who has paused it, since when and why; empty if it is not paused.
    pub(super) told: String,
    /// Page that asks, from the folder of the channel.
    pub(super) link: String,
    pub(super) button: &'static str,
}

/// Returns each kind of pause of a channel, of which these last.
pub(super) fn paused(page: &Page, config: &Config, lasting: &[OperatorPause], channel: &str) -> Vec<Paused> {
    let one = |kind: PauseKind| {
        let lasting = lasting.iter().find(|pause| pause.kind == kind);
        let (state, verb, of) = match lasting {
            Some(pause) => {
                (("off", "‖", page.say("paused by hand", "en pausa a mano")), Verb::Resume, pause.since_ms.to_string())
            }
            None => (("good", "✓", page.say("goes on", "en marcha")), Verb::Pause, NOT_PAUSED.to_owned()),
        };
        let (look, sign, word) = state;
        Paused {
            name: name(page, kind),
            state: Shown { look, sign, word },
            told: lasting
                .map(|pause| whole(&pause.description(&config.time_zone_of(channel), page.language)))
                .unwrap_or_default(),
            link: format!("{}?what={}&of={of}", verb.name(), kind.name()),
            button: button(page, verb, kind),
        }
    };
    PauseKind::ALL.into_iter().map(one).collect()
}

/// What a form is of where no pause lasts; else the time since which it does.
const NOT_PAUSED: &str = "none";

/// What a form does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Pause,
    Resume,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

fn name(page: &Page, kind: PauseKind) -> &'static str {
    match kind {
        PauseKind::Out => page.say("Sending to customers", "Envíos a los clientes"),
        PauseKind::In => page.say("Posting to BonyChat", "Entregas a BonyChat"),
        PauseKind::Drain => page.say("Taking messages from BonyChat", "Aceptación de mensajes de BonyChat"),
    }
}

fn button(page: &Page, verb: Verb, kind: PauseKind) -> &'static str {
    match (verb, kind) {
        (Verb::Pause, PauseKind::Out) => page.say("Pause sending", "Pausar los envíos"),
        (Verb::Pause, PauseKind::In) => page.say("Pause posting", "Pausar las entregas"),
        (Verb::Pause, PauseKind::Drain) => page.say("Take no more messages", "No aceptar más mensajes"),
        (Verb::Resume, PauseKind::Out) => page.say("Go on with sending", "Reanudar los envíos"),
        (Verb::Resume, PauseKind::In) => page.say("Go on with posting", "Reanudar las entregas"),
        (Verb::Resume, PauseKind::Drain) => page.say("Take messages again", "Aceptar mensajes otra vez"),
    }
}

#[derive(Template)]
#[template(path = "pause.html", config = "src/http/ops/askama.toml")]
struct Asks<'a> {
    page: &'a Page,
    channel: &'a str,
    verb: &'static str,
    kind: &'static str,
    button: &'static str,
    /// What lasts now; empty where nothing does.
    lasting: String,
    /// What follows.
    meaning: String,
    /// A pause needs its reason.
    needs_why: bool,
    wrong: Option<&'static str>,
    of: String,
    once: String,
}

/// `GET /channels/{name}/pause?what=…&of=…`
pub(super) async fn ask_to_pause(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(channel): Path<String>,
    uri: Uri,
) -> Response {
    ask(&shared, &page, &channel, Verb::Pause, &Form::parse(uri.query().unwrap_or_default().as_bytes())).await
}

/// `GET /channels/{name}/resume?what=…&of=…`
pub(super) async fn ask_to_resume(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(channel): Path<String>,
    uri: Uri,
) -> Response {
    ask(&shared, &page, &channel, Verb::Resume, &Form::parse(uri.query().unwrap_or_default().as_bytes())).await
}

async fn ask(shared: &OperatorState, page: &Page, channel: &str, verb: Verb, query: &Form) -> Response {
    let Some(kind) = query.get("what").and_then(|what| what.parse::<PauseKind>().ok()) else {
        return unknown_form(page);
    };
    let lasting = match lasting(shared, page, channel, kind).await {
        Ok(lasting) => lasting,
        Err(response) => return response,
    };
    if query.get("of") != Some(&version(lasting.as_ref())) {
        return outcome_page(page, &stale(page, &shared.config(), channel, lasting.as_ref()));
    }
    asks(shared, page, channel, verb, kind, lasting.as_ref(), None)
}

fn asks(
    shared: &OperatorState,
    page: &Page,
    channel: &str,
    verb: Verb,
    kind: PauseKind,
    lasting: Option<&OperatorPause>,
    wrong: Option<&'static str>,
) -> Response {
    let config = shared.config();
    let meaning = match verb {
        Verb::Pause => follows(kind, config.outbound.stale_after, page.language),
        Verb::Resume => goes_on(kind, page.language).to_owned(),
    };
    let asks = Asks {
        page,
        channel,
        verb: verb.name(),
        kind: kind.name(),
        button: button(page, verb, kind),
        lasting: lasting
            .map(|pause| whole(&pause.description(&config.time_zone_of(channel), page.language)))
            .unwrap_or_default(),
        meaning: whole(&meaning),
        needs_why: verb == Verb::Pause,
        wrong,
        of: version(lasting),
        once: once(),
    };
    html(if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &asks)
}

/// Returns what a form is of.
fn version(lasting: Option<&OperatorPause>) -> String {
    lasting.map_or_else(|| NOT_PAUSED.to_owned(), |pause| pause.since_ms.to_string())
}

/// Returns the pause of this kind that lasts, or the page that is shown in its place.
async fn lasting(
    shared: &OperatorState,
    page: &Page,
    channel: &str,
    kind: PauseKind,
) -> Result<Option<OperatorPause>, Response> {
    match check_channel(shared.store(), &shared.config(), channel).await {
        Ok(()) => {}
        Err(Refusal::Store(error)) => return Err(words::unreadable(page, &error)),
        Err(_) => return Err(no_channel(page)),
    }
    let pauses = shared.store().operator_pauses().await.map_err(|error| words::unreadable(page, &error))?;
    Ok(pauses.into_iter().find(|pause| pause.channel == channel && pause.kind == kind))
}

/// `POST /channels/{name}/pause`
pub(super) async fn pause(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    Extension(form): Extension<Form>,
    Path(channel): Path<String>,
) -> Response {
    change(shared, page, &person, form, channel, Verb::Pause).await
}

/// `POST /channels/{name}/resume`
pub(super) async fn resume(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    Extension(form): Extension<Form>,
    Path(channel): Path<String>,
) -> Response {
    change(shared, page, &person, form, channel, Verb::Resume).await
}

async fn change(
    shared: Arc<OperatorState>,
    page: Page,
    person: &Person,
    form: Form,
    channel: String,
    verb: Verb,
) -> Response {
    let kind = form.get("what").and_then(|what| what.parse::<PauseKind>().ok());
    let (Some(kind), Some(of), Some(once)) = (kind, form.get("of").map(str::to_owned), form.filled("once")) else {
        return unknown_form(&page);
    };
    let by = Operator::new(&person.name, Means::Page, form.filled("why"));
    let (key, state, here) = (format!("{} {channel} {once}", verb.name()), Arc::clone(&shared), page.clone());
    let work = async move {
        let (shared, page, channel) = (&*state, &here, &*channel);
        let (config, lasting) = (shared.config(), lasting(shared, page, channel, kind).await?);
        if version(lasting.as_ref()) != of {
            return Ok(stale(page, &config, channel, lasting.as_ref()));
        }
        if verb == Verb::Pause && by.why().is_none() {
            let wrong = page.say(
                "Nothing was changed: say why, for those who find the channel paused.",
                "No se ha cambiado nada: diga por qué, para quienes encuentren el canal en pausa.",
            );
            return Err(asks(shared, page, channel, verb, kind, lasting.as_ref(), Some(wrong)));
        }
        let changed = match verb {
            Verb::Pause => pause::pause(shared.store(), &config, channel, kind, by).await,
            Verb::Resume => pause::resume(shared.store(), &config, channel, kind, by).await,
        };
        match changed {
            Ok(changed) => Ok(said(page, channel, &changed)),
            Err(Refusal::Store(error)) => Err(words::unreadable(page, &error)),
            Err(_) => Err(no_channel(page)),
        }
    };
    shared.outcomes.page_once(&page, &key, work).await
}

fn said(page: &Page, channel: &str, changed: &Outcome) -> FormOutcome {
    let status = if changed.is_done() { StatusCode::OK } else { StatusCode::CONFLICT };
    of_channel(page, channel, status, whole(&changed.sentence(page.language)))
}

/// Refuses a form of a pause that is over, or of none where one has begun.
fn stale(page: &Page, config: &Config, channel: &str, lasting: Option<&OperatorPause>) -> FormOutcome {
    let before = page.say(
        "Nothing was changed: the channel is no longer as the page showed it. Now it is",
        "No se ha cambiado nada: el canal ya no está como mostraba la página. Ahora está",
    );
    let now = lasting.map_or_else(
        || page.say("not paused so", "sin esa pausa").to_owned(),
        |pause| pause.description(&config.time_zone_of(channel), page.language),
    );
    of_channel(page, channel, StatusCode::CONFLICT, format!("{before} {now}."))
}

fn of_channel(page: &Page, channel: &str, status: StatusCode, sentence: String) -> FormOutcome {
    let label = page.say("Back to the channel", "Volver al canal").to_owned();
    FormOutcome { status, sentence, link: format!("channels/{}", Page::value(channel)), label }
}
