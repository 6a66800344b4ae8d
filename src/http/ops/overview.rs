//! `GET /`: how each channel stands, and what needs a person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::OperatorState;
use super::page::{Page, html};
use super::words::{self, plural, span};
use crate::domain::Language;
use crate::domain::clock::now_ms;
use crate::store::{QueueDepth, StoreError};
use crate::telemetry::delivery::{self, Part};

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/ops/askama.toml")]
struct Overview<'a> {
    page: &'a Page,
    needs: Vec<Need>,
    channels: Vec<Row>,
}

/// Something that needs a person, and where it is dealt with.
struct Need {
    words: String,
    /// Query of the list of messages.
    query: String,
}

/// A channel.
struct Row {
    name: String,
    /// Class and sign of its state.
    look: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: String,
    waiting: u64,
    /// How long the oldest waits; empty where none does.
    oldest: String,
    events: u64,
    unconfirmed: u64,
    dead: u64,
}

/// `GET /`
pub(super) async fn show(State(state): State<Arc<OperatorState>>, Extension(page): Extension<Page>) -> Response {
    match overview(&state, &page).await {
        Ok(overview) => html(StatusCode::OK, &overview),
        Err(error) => words::unreadable(&page, &error),
    }
}

async fn overview<'a>(state: &OperatorState, page: &'a Page) -> Result<Overview<'a>, StoreError> {
    let mut depths: BTreeMap<String, QueueDepth> =
        state.store().depths().await?.into_iter().map(|depth| (depth.channel.clone(), depth)).collect();
    for name in state.config().channels.keys() {
        depths
            .entry(name.to_string())
            .or_insert_with(|| QueueDepth { channel: name.to_string(), ..QueueDepth::default() });
    }
    let config = state.config();
    let is_configured = |name: &str| config.channels.keys().any(|known| known.as_str() == name);
    let mut needs = Vec::new();
    if state.stopping().is_cancelled() {
        let words = page.say(
            "The bridge is stopping: what is in flight is waited for, and all else is kept for the next start.",
            "El puente se está deteniendo: se espera a lo que está en curso, y lo demás se guarda para el próximo arranque.",
        );
        needs.push(Need { words: words.to_owned(), query: String::new() });
    }
    if delivery::is_store_ready() == Some(false) {
        let words = page.say(
            "The store cannot be written: messages are refused with 503, and none is lost. Is its disk full, or the database \
             away? The log has the cause.",
            "El almacén no se puede escribir: los mensajes se rechazan con 503, y no se pierde ninguno. ¿Está el disco lleno, o \
             la base de datos caída? El registro tiene la causa.",
        );
        needs.push(Need { words: words.to_owned(), query: String::new() });
    }
    needs.extend(depths.values().flat_map(|depth| of_channel(page, depth)));
    let channels = depths.into_values().map(|depth| row(page, is_configured(&depth.channel), depth)).collect();
    Ok(Overview { page, needs, channels })
}

/// Returns what of a channel needs a person.
fn of_channel(page: &Page, depth: &QueueDepth) -> Vec<Need> {
    let name = &depth.channel;
    let listed = |state: &str| format!("channel={}&state={state}", Page::value(name));
    let mut needs = Vec::new();
    if depth.unconfirmed > 0 {
        let words = match page.language {
            Language::En => format!(
                "{name}: {} may or may not have reached the customer. Look at each, and say what became of it.",
                plural(depth.unconfirmed, "message", "messages")
            ),
            Language::Es => format!(
                "{name}: {} quizá llegaron al cliente. Mire cada uno, y diga qué fue de él.",
                plural(depth.unconfirmed, "mensaje", "mensajes")
            ),
        };
        needs.push(Need { words, query: listed("unconfirmed") });
    }
    if depth.dead_events > 0 {
        let words = match page.language {
            Language::En => format!(
                "{name}: {} did not reach BonyChat and were given up. Mend the cause, then post them again.",
                plural(depth.dead_events, "event", "events")
            ),
            Language::Es => format!(
                "{name}: {} no llegaron a BonyChat y se abandonaron. Arregle la causa, y vuelva a entregarlos.",
                plural(depth.dead_events, "evento", "eventos")
            ),
        };
        needs.push(Need { words, query: listed("dead") });
    }
    needs
}

fn row(page: &Page, is_configured: bool, depth: QueueDepth) -> Row {
    let waits = depth
        .oldest_ms
        .map(|oldest_ms| Duration::from_millis(u64::try_from(now_ms().saturating_sub(oldest_ms)).unwrap_or_default()));
    let (look, sign, [english, spanish], sentence) = condition(page, is_configured, &depth.channel);
    Row {
        look,
        sign,
        word: page.say(english, spanish),
        sentence,
        waiting: depth.outbound,
        oldest: waits.map(span).unwrap_or_default(),
        events: depth.events,
        unconfirmed: depth.unconfirmed,
        dead: depth.dead_events,
        name: depth.channel,
    }
}

/// Returns how a channel stands: class, sign, one word in both languages, one sentence.
fn condition(page: &Page, is_configured: bool, name: &str) -> (&'static str, &'static str, [&'static str; 2], String) {
    let say = |english: &str, spanish: &str| page.say(english, spanish).to_owned();
    if !is_configured {
        let sentence = say(
            "What is stored of it is kept, and not delivered: no [channels] table names it.",
            "Lo que hay de él se guarda, y no se entrega: ninguna tabla [channels] lo nombra.",
        );
        return ("off", "–", ["not configured", "sin configurar"], sentence);
    }
    let Some(standing) = delivery::standing(name) else {
        let sentence = say(
            "Another process delivers it, or none does: this page knows its own alone.",
            "Lo entrega otro proceso, o ninguno: esta página solo conoce el suyo.",
        );
        return ("off", "–", ["not here", "no aquí"], sentence);
    };
    if let Some((part, lasts)) = standing.paused.first() {
        let [english, spanish] = paused(*part);
        let sentence = match page.language {
            Language::En => format!("For {}: {english} Nothing is lost.", span(*lasts)),
            Language::Es => format!("Desde hace {}: {spanish} No se pierde nada.", span(*lasts)),
        };
        return ("bad", "‖", ["paused", "en pausa"], sentence);
    }
    let read = span(standing.polled_ago);
    if standing.stuck {
        let sentence = match page.language {
            Language::En => format!(
                "Something waits and does not go out, or Afilnet was not read for too long (last {read} ago). Nothing is lost; \
                 GET /deliverz has it in words."
            ),
            Language::Es => format!(
                "Algo espera y no sale, o hace demasiado que no se lee Afilnet (última vez hace {read}). No se pierde nada; \
                 GET /deliverz lo explica."
            ),
        };
        return ("bad", "!", ["stuck", "atascado"], sentence);
    }
    let sentence = match page.language {
        Language::En => format!("Afilnet was last read {read} ago."),
        Language::Es => format!("Afilnet se leyó por última vez hace {read}."),
    };
    ("good", "✓", ["works", "funciona"], sentence)
}

/// Returns what a pause means, in both languages.
fn paused(part: Part) -> [&'static str; 2] {
    match part {
        Part::Account => [
            "Afilnet refuses the account or is out of order. Probes find out when it works again.",
            "Afilnet rechaza la cuenta o no funciona. El puente prueba hasta que vuelva.",
        ],
        Part::Sends => [
            "the account has no credit, or Afilnet takes no messages. Look at its credit; probes find out when it works again.",
            "la cuenta no tiene saldo, o Afilnet no acepta mensajes. Mire el saldo; el puente prueba hasta que vuelva.",
        ],
        Part::Channel => [
            "Afilnet does not know the channel. Compare its platform and platform_id with `bridge channels`.",
            "Afilnet no conoce el canal. Compare su platform y platform_id con `bridge channels`.",
        ],
        Part::Webhook => [
            "BonyChat takes nothing: it is out of order, or the token or the address is wrong. The log has the cause.",
            "BonyChat no acepta nada: no funciona, o el token o la dirección están mal. El registro tiene la causa.",
        ],
    }
}
