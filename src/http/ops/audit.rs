//! `GET /audit`: who did what, newest first.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use form_urlencoded::Serializer;

use super::OperatorState;
use super::form::Form;
use super::messages::wrong;
use super::page::{Page, html};
use super::words::{self, Moment, moment};
use crate::config::Config;
use crate::ops::audit::{self, AuditLine, PAGE, audit};
use crate::ops::find::Refusal;

#[derive(Template)]
#[template(path = "audit.html", config = "src/http/ops/askama.toml")]
struct Audit<'a> {
    page: &'a Page,
    /// As it was typed.
    about: &'a str,
    rows: Vec<Row>,
    wrong: Option<String>,
    /// Query of the next page.
    next: Option<String>,
}

/// What one person did.
struct Row {
    at: Moment,
    who: String,
    means: String,
    what: String,
    target: String,
    /// Page of the target, from the folder of all pages; empty where it has none.
    link: String,
    why: String,
}

/// `GET /audit?about=&before=`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    uri: Uri,
) -> Response {
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let about = query.filled("about");
    let mut shown = Audit { page: &page, about: about.unwrap_or_default(), rows: Vec::new(), wrong: None, next: None };
    match audit(shared.store(), query.filled("before"), about, PAGE).await {
        Ok(audit::Page { deeds, next }) => {
            let config = shared.config();
            shown.rows = deeds.into_iter().map(|deed| row(&page, &config, deed)).collect();
            shown.next = next.map(|before| {
                let mut query = Serializer::new(String::new());
                if let Some(about) = about {
                    query.append_pair("about", about);
                }
                query.append_pair("before", &before).finish()
            });
            html(StatusCode::OK, &shown)
        }
        Err(Refusal::Store(error)) => words::unreadable(&page, &error),
        Err(refusal) => {
            shown.wrong = Some(wrong(&page, refusal));
            html(StatusCode::BAD_REQUEST, &shown)
        }
    }
}

fn row(page: &Page, config: &Config, deed: AuditLine) -> Row {
    let is_m_id = deed.target.len() == 32 && deed.target.bytes().all(|b| b.is_ascii_hexdigit());
    let link = match deed.target.strip_prefix("job ") {
        Some(job) => format!("bulk/{}", Page::value(job)),
        None if is_m_id => format!("messages/{}", deed.target),
        None if config.channels.keys().any(|name| name.as_str() == deed.target) => {
            format!("channels/{}", Page::value(&deed.target))
        }
        None => String::new(),
    };
    Row {
        at: moment(&config.time_zone_of(&deed.target), deed.at_ms),
        why: deed.why().unwrap_or_default().to_owned(),
        means: means(page, &deed.means).to_owned(),
        what: what(page, &deed.what).to_owned(),
        who: deed.who,
        target: deed.target,
        link,
    }
}

fn means<'t>(page: &Page, means: &'t str) -> &'t str {
    match means {
        "cli" => page.say("command", "comando"),
        "page" => page.say("page", "página"),
        other => other,
    }
}

/// Returns an action in words; one that this version does not know is returned as it is stored.
fn what<'t>(page: &Page, what: &'t str) -> &'t str {
    match what {
        "settle as delivered" => page.say("settled as delivered", "cerrado como entregado"),
        "settle as failed" => page.say("settled as failed", "cerrado como fallido"),
        "settle as send-again" => page.say("sent again", "enviado otra vez"),
        "settle as noted" => page.say("noted: nobody can tell", "anotado: no se puede saber"),
        "retry" => page.say("sent or posted again", "enviado o entregado otra vez"),
        "discard" => page.say("given up", "abandonado"),
        "retry of many" => page.say("many sent or posted again", "muchos enviados o entregados otra vez"),
        "discard of many" => page.say("many given up", "muchos abandonados"),
        "export" => page.say("made a file of messages", "creó un archivo de mensajes"),
        "export with contacts" => page.say(
            "made a file of messages, contacts in full",
            "creó un archivo de mensajes, con los contactos completos",
        ),
        "look at conversation" => page.say("looked at the conversation", "miró la conversación"),
        "capture calls" => page.say("captured the next calls", "capturó las próximas llamadas"),
        "cancel" => page.say("job ended", "trabajo terminado"),
        "pause out" => page.say("sending paused", "envíos en pausa"),
        "pause in" => page.say("posting paused", "entregas en pausa"),
        "pause drain" => page.say("taking of messages stopped", "aceptación detenida"),
        "resume out" => page.say("sending resumed", "envíos reanudados"),
        "resume in" => page.say("posting resumed", "entregas reanudadas"),
        "resume drain" => page.say("taking of messages resumed", "aceptación reanudada"),
        other => other,
    }
}
