//! Decisions on many messages at once: `GET /bulk` shows what would be done and changes nothing, `POST /bulk` does what was
//! shown, once. The jobs that this makes: [`super::jobs`].

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::OperatorState;
use super::form::Form;
use super::jobs::{self, Row as JobRow};
use super::messages::wrong;
use super::outcomes::FormOutcome;
use super::page::{Page, html, notice};
use super::words::{self, Moment, moment, once, unknown_form};
use crate::config::Config;
use crate::domain::clock::now_ms;
use crate::domain::journey::{Means, Operator};
use crate::ops::bulk::seen::{ShownPlan, Stale};
use crate::ops::bulk::{self, NotStarted, Plan, Request, shown_contact};
use crate::ops::find::Refusal;
use crate::ops::sign_in::Person;
use crate::store::{BulkAction, BulkMatch, BulkState};

/// What describes the set, in the query and in the form that starts it.
const FIELDS: [&str; 10] =
    ["action", "state", "kind", "fault", "channel", "contact", "since", "until", "text", "moved_on"];

#[derive(Template)]
#[template(path = "bulk.html", config = "src/http/ops/askama.toml")]
struct Bulk<'a> {
    page: &'a Page,
    /// As it was typed.
    asked: &'a Form,
    channels: Vec<String>,
    /// What was asked for and cannot be done, or was not done.
    wrong: Option<String>,
    plan: Option<Planned>,
    jobs: Vec<JobRow>,
}

impl Bulk<'_> {
    fn typed(&self, name: &str) -> &str {
        self.asked.get(name).unwrap_or_default()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.typed(name) == value
    }
}

/// What would be done.
struct Planned {
    title: String,
    /// Counts, and what each is of.
    counts: Vec<(usize, String)>,
    takes: Option<String>,
    /// Pauses by hand that keep it from being done.
    pauses: Vec<String>,
    /// By channel and fault.
    groups: Vec<(String, String, usize)>,
    rows: Vec<Row>,
    start: Option<Start>,
}

/// One of the first messages.
struct Row {
    m_id: String,
    at: Moment,
    channel: String,
    contact: String,
    kind: String,
    fault: String,
}

/// What the form sends along.
struct Start {
    button: String,
    of: String,
    once: String,
    fields: Vec<(&'static str, String)>,
}

/// `GET /bulk?action=&state=&kind=&fault=&channel=&contact=&since=&until=&text=&moved_on=`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    uri: Uri,
) -> Response {
    let asked = Form::parse(uri.query().unwrap_or_default().as_bytes());
    shown(&shared, &page, &asked, None).await
}

/// Returns the page; `not_done`: why the plan that it shows again was not started.
async fn shown(shared: &OperatorState, page: &Page, asked: &Form, not_done: Option<String>) -> Response {
    let config = shared.config();
    let jobs = match jobs::rows(shared, page).await {
        Ok(jobs) => jobs,
        Err(error) => return words::unreadable(page, &error),
    };
    let mut status = if not_done.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let mut channels: Vec<String> = config.channels.keys().map(ToString::to_string).collect();
    channels
        .extend(asked.filled("channel").filter(|name| !channels.iter().any(|known| known == name)).map(str::to_owned));
    let mut bulk = Bulk { page, asked, channels, wrong: not_done, plan: None, jobs };
    let plan = match request(page, asked) {
        Ok(None) => None,
        Ok(Some(request)) => Some(shared.plan(&config, request, None).await),
        Err(why) => Some(Err(Refusal::Request(why))),
    };
    match plan {
        None => {}
        Some(Ok(plan)) => bulk.plan = Some(planned(page, &config, asked, &plan)),
        Some(Err(Refusal::Store(error))) => return words::unreadable(page, &error),
        Some(Err(refusal)) => {
            status = StatusCode::BAD_REQUEST;
            bulk.wrong = Some(wrong(page, refusal));
        }
    }
    html(status, &bulk)
}

/// Parses the form; `None` without an action.
fn request(page: &Page, asked: &Form) -> Result<Option<Request>, String> {
    let action = match asked.filled("action") {
        None => return Ok(None),
        Some("retry") => BulkAction::Retry,
        Some("discard") => BulkAction::Discard,
        Some(_) => return Err(page.say("choose what to do with them.", "elija qué hacer con ellos.").to_owned()),
    };
    let state = match asked.filled("state") {
        Some("failed") => BulkState::Failed,
        Some("dead") => BulkState::Dead,
        Some("queued") => BulkState::Queued,
        Some("unknown" | "unconfirmed" | "held" | "noted") => {
            return Err(page
                .say(
                    "messages that may have been delivered are not decided by many: of each, somebody has to ask the customer or \
                     look at the conversation, and then say on its page what became of it.",
                    "los mensajes que quizá se entregaron no se deciden por lotes: por cada uno, alguien debe preguntar al cliente \
                     o mirar la conversación, y decir después en su página qué fue de él.",
                )
                .to_owned());
        }
        _ => return Err(page.say("choose which ones.", "elija cuáles.").to_owned()),
    };
    let text = |name: &str| asked.filled(name).map(str::to_owned);
    Ok(Some(Request {
        action,
        state,
        kind: text("kind"),
        fault: text("fault"),
        channel: text("channel"),
        contact: text("contact"),
        since: text("since"),
        until: text("until"),
        text: text("text"),
        moved_on: asked.filled("moved_on").is_some(),
    }))
}

fn planned(page: &Page, config: &Config, asked: &Form, plan: &Plan) -> Planned {
    let count = plan.set.count;
    let fields = FIELDS.into_iter().filter_map(|name| Some((name, asked.filled(name)?.to_owned())));
    let start = (count > 0 && plan.pauses.is_empty() && page.may_act).then(|| Start {
        button: format!("{} ({count})", jobs::order(page, plan.action.name(), plan.state.as_str())),
        of: ShownPlan::of(&plan.set, now_ms()).to_string(),
        once: once(),
        fields: fields.collect(),
    });
    let takes = plan.takes().map(|takes| {
        let (before, after) = (
            page.say("It takes about", "Tarda unos"),
            page.say(
                "at half the rate of the slowest account; the bridge does it, whether this page is open or not.",
                "a la mitad del ritmo de la cuenta más lenta; lo hace el puente, esté abierta esta página o no.",
            ),
        );
        format!("{before} {} {after}", humantime::format_duration(takes))
    });
    Planned {
        title: format!("{}: {count}", jobs::order(page, plan.action.name(), plan.state.as_str())),
        counts: counts(page, plan),
        takes,
        pauses: plan
            .pauses
            .iter()
            .map(|pause| {
                format!(
                    "{}: {}.",
                    pause.channel,
                    pause.description(&config.time_zone_of(&pause.channel), page.language)
                )
            })
            .collect(),
        groups: plan.groups.iter().map(|((channel, fault), count)| (channel.clone(), fault.clone(), *count)).collect(),
        rows: plan.first.iter().map(|one| row(config, one)).collect(),
        start,
    }
}

/// Returns what a plan counts, in words.
fn counts(page: &Page, plan: &Plan) -> Vec<(usize, String)> {
    let count = plan.set.count;
    let chosen = match (plan.action, plan.state) {
        (BulkAction::Retry, BulkState::Dead) => page.say(
            "would be posted to BonyChat again, in their old places",
            "se entregarían otra vez a BonyChat, en sus antiguos lugares",
        ),
        (BulkAction::Retry, _) => {
            page.say("would be sent again, in their old places", "se enviarían otra vez, en sus antiguos lugares")
        }
        (BulkAction::Discard, BulkState::Queued) => page.say(
            "would be given up, with their texts erased; their agents are told that the customer did not get them",
            "se abandonarían, con sus textos borrados; se avisa a sus agentes de que el cliente no los recibió",
        ),
        (BulkAction::Discard, _) => page.say(
            "would be given up for good, with their texts erased",
            "se abandonarían para siempre, con sus textos borrados",
        ),
    };
    let mut counts = vec![
        (count, chosen),
        (
            plan.wiped,
            page.say(
                "match too, but their texts are erased: nothing can be done with them",
                "coinciden también, pero sus textos están borrados: no se puede hacer nada con ellos",
            ),
        ),
        (plan.old, page.say("of them are older than a day", "de ellos tienen más de un día")),
    ];
    if plan.action == BulkAction::Retry && plan.state == BulkState::Failed {
        let moved_on = if plan.takes_moved_on {
            page.say(
                "of them are of conversations that have moved on: the customer would read them after a newer message",
                "de ellos son de conversaciones que han continuado: el cliente los leería después de un mensaje más nuevo",
            )
        } else {
            page.say(
                "are left out, since their conversations have moved on: the customer would read them after a newer message",
                "quedan fuera, porque sus conversaciones han continuado: el cliente los leería después de un mensaje más nuevo",
            )
        };
        counts.push((plan.moved_on, moved_on));
    }
    counts.into_iter().map(|(count, what)| (count, what.to_owned())).collect()
}

fn row(config: &Config, one: &BulkMatch) -> Row {
    Row {
        m_id: one.m_id.clone(),
        at: moment(&config.time_zone_of(&one.channel), one.at_ms),
        channel: one.channel.clone(),
        contact: shown_contact(config, one),
        kind: one.kind.clone(),
        fault: one.fault.clone(),
    }
}

/// `POST /bulk`
pub(super) async fn start(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    Extension(form): Extension<Form>,
) -> Response {
    let seen = form.get("of").and_then(|of| of.parse::<ShownPlan>().ok());
    let (Some(seen), Some(once)) = (seen, form.filled("once")) else { return unknown_form(&page) };
    let by = Operator::new(&person.name, Means::Page, form.filled("why"));
    let (key, state, here) = (format!("bulk {once}"), Arc::clone(&shared), page.clone());
    let work = async move {
        match start_as_seen(&state, &here, &form, seen, by).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(why)) => Err(shown(&state, &here, &form, Some(why)).await),
            Err(Refusal::Store(error)) => Err(words::unreadable(&here, &error)),
            Err(refusal) => {
                let title = here.say("Nothing was changed", "No se ha cambiado nada");
                Err(notice(&here, StatusCode::BAD_REQUEST, title, &wrong(&here, refusal)))
            }
        }
    };
    shared.outcomes.page_once(&page, &key, work).await
}

/// Starts a plan as it was seen. Returns what is said then, or why it is not started, in words.
async fn start_as_seen(
    shared: &OperatorState,
    page: &Page,
    form: &Form,
    seen: ShownPlan,
    by: Operator,
) -> Result<Result<FormOutcome, String>, Refusal> {
    let config = shared.config();
    let request = request(page, form).map_err(Refusal::Request)?;
    let request =
        request.ok_or_else(|| Refusal::Request(page.say("choose what to do.", "elija qué hacer.").to_owned()))?;
    let plan = shared.plan(&config, request, Some(&seen)).await?;
    if let Err(stale) = seen.check(&plan.set, plan.state, now_ms()) {
        return Ok(Err(not_as_seen(page, stale)));
    }
    if !plan.pauses.is_empty() {
        let why = page.say(
            "Nothing was changed: a channel of it has been paused by hand meanwhile.",
            "No se ha cambiado nada: mientras tanto, un canal se ha puesto en pausa a mano.",
        );
        return Ok(Err(why.to_owned()));
    }
    let (job, count) = match bulk::start(shared.store(), &config, &plan, by).await {
        Ok(started) => started,
        Err(NotStarted::Refusal(refusal)) => return Err(refusal),
        Err(NotStarted::Stale(stale)) => return Ok(Err(not_as_seen(page, stale))),
        Err(NotStarted::Unclear(job)) => {
            let [english, spanish] = bulk::unclear(job);
            return Ok(Ok(FormOutcome {
                status: StatusCode::SERVICE_UNAVAILABLE,
                sentence: words::whole(page.say(&english, &spanish)),
                link: format!("bulk/{job}"),
                label: page.say("See whether it was made", "Ver si se creó").to_owned(),
            }));
        }
    };
    shared.jobs.run(config, job);
    let (before, after) = (
        page.say("It has begun, as job", "Ha empezado, como trabajo"),
        page.say(
            "It goes on whether this page is open or not, also after a restart.",
            "Continúa esté abierta esta página o no, también después de un reinicio.",
        ),
    );
    Ok(Ok(FormOutcome {
        status: StatusCode::OK,
        sentence: format!(
            "{before} {job}: {} ({count}). {after}",
            jobs::order(page, plan.action.name(), plan.state.as_str())
        ),
        link: format!("bulk/{job}"),
        label: page.say("See how far it is", "Ver cómo va").to_owned(),
    }))
}

/// Returns why a plan is not started that is no longer as it was seen.
fn not_as_seen(page: &Page, stale: Stale) -> String {
    match stale {
        Stale::Old => page
            .say(
                "Nothing was changed: the page was older than 10 minutes. This is the plan as it is now.",
                "No se ha cambiado nada: la página tenía más de 10 minutos. Este es el plan de ahora.",
            )
            .to_owned(),
        Stale::Changed { seen, now } if seen == now => page
            .say(
                "Nothing was changed: as many match as the page showed, but not all of them are the same. This is the plan as it is \
                 now.",
                "No se ha cambiado nada: coinciden tantos como mostraba la página, pero no todos son los mismos. Este es el plan \
                 de ahora.",
            )
            .to_owned(),
        Stale::Changed { seen, now } => {
            let (before, then, after) = (
                page.say("Nothing was changed: the page showed", "No se ha cambiado nada: la página mostraba"),
                page.say("of which there are now", "de los que ahora quedan"),
                page.say("This is the plan as it is now.", "Este es el plan de ahora."),
            );
            format!("{before} {seen}, {then} {now}. {after}")
        }
    }
}
