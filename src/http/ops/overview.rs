//! `GET /`: how each channel stands, and what needs a person.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::OperatorState;
use super::page::{Page, html};
use super::words::{self, stopped, whole};
use crate::domain::Language;
use crate::domain::clock::{now_ms, since};
use crate::domain::span::span;
use crate::ops::overview::{self, ChannelState, View, Word};
use crate::ops::sign_in::Person;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/ops/askama.toml")]
struct Overview<'a> {
    page: &'a Page,
    needs: Vec<Need>,
    /// Channels with a pause by hand that lasts.
    paused: Vec<String>,
    channels: Vec<Row>,
}

/// Something that needs a person, and where it is dealt with.
struct Need {
    words: String,
    /// Empty where it is this page.
    link: String,
}

/// A channel.
pub(super) struct Row {
    pub(super) name: String,
    /// Class and sign of its state.
    pub(super) look: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
    pub(super) sentence: String,
    pub(super) waiting: u64,
    /// How long the oldest waits; empty where none does.
    pub(super) oldest: String,
    pub(super) events: u64,
    pub(super) unconfirmed: u64,
    pub(super) dead: u64,
}

/// `GET /`
pub(super) async fn show(
    State(state): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
) -> Response {
    match of_state(&state, &page, &person).await {
        Ok(overview) => html(StatusCode::OK, &overview),
        Err(error) => words::unreadable(&page, &error),
    }
}

async fn of_state<'a>(state: &OperatorState, page: &'a Page, person: &Person) -> Result<Overview<'a>, StoreError> {
    let view = View::Process { is_stopping: state.stopping().is_cancelled() };
    let mut found = overview::overview(state.store(), &state.config(), view).await?;
    found.keep(|channel| person.sees(channel));
    let need = |need: &overview::Need| {
        let sentence = need.sentence(page.language);
        let words =
            if need.channel.is_empty() { whole(&sentence) } else { format!("{}: {}", need.channel, stopped(sentence)) };
        Need { words, link: need.link() }
    };
    Ok(Overview {
        page,
        needs: found.needs_you.iter().map(need).collect(),
        paused: found.paused_by_hand().map(str::to_owned).collect(),
        channels: found.channels.into_iter().map(|channel| row(page, channel)).collect(),
    })
}

/// Returns a channel as it is shown.
pub(super) fn row(page: &Page, of: ChannelState) -> Row {
    let (look, sign) = look(of.word);
    let mut sentence = whole(&of.condition.sentence(page.language));
    if let Some(owner) = &of.owner {
        let by = match page.language {
            Language::En => format!(" Delivered by {owner}."),
            Language::Es => format!(" Lo entrega {owner}."),
        };
        sentence.push_str(&by);
    }
    Row {
        look,
        sign,
        word: of.condition.shown(of.is_delivered, page.language),
        sentence,
        waiting: of.waits_out,
        oldest: of.oldest_out_ms.map(|oldest_ms| span(since(oldest_ms, now_ms()), page.language)).unwrap_or_default(),
        events: of.waits_in,
        unconfirmed: of.unconfirmed,
        dead: of.dead,
        name: of.channel,
    }
}

/// Returns the class and the sign of a word.
fn look(word: Word) -> (&'static str, &'static str) {
    match word {
        Word::Works => ("good", "✓"),
        Word::Slow => ("waits", "○"),
        Word::Stuck => ("bad", "!"),
        Word::Paused => ("bad", "‖"),
        Word::PausedByHand => ("off", "‖"),
        Word::Nobody | Word::NotConfigured => ("off", "–"),
    }
}
