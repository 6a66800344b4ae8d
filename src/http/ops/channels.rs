//! `GET /channels`: how each channel is; `GET /channels/{name}`: one of them with its pauses, its last problems, its settings.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::OperatorState;
use super::form::Form;
use super::messages::{Contacts, Row as MessageRow, wrong};
use super::overview::{Row, row};
use super::page::{Page, html};
use super::pauses::{Paused, paused};
use super::settings::{Row as SettingRow, of_channel};
use super::words::{self, Moment, moment, no_channel};
use crate::config::Config;
use crate::domain::find::MessageState;
use crate::ops::find::{Refusal, Request, find};
use crate::ops::learned::{Fact, facts};
use crate::ops::overview::{self, ChannelState, View};
use crate::store::{FoundMessage, StoreError};

/// Problems that are shown.
const PROBLEMS: u32 = 20;

#[derive(Template)]
#[template(path = "channels.html", config = "src/http/ops/askama.toml")]
struct Channels<'a> {
    page: &'a Page,
    channels: Vec<Row>,
}

/// `GET /channels`
pub(super) async fn list(State(shared): State<Arc<OperatorState>>, Extension(page): Extension<Page>) -> Response {
    match states(&shared).await {
        Ok(states) => {
            let channels = states.into_iter().map(|state| row(&page, state)).collect();
            html(StatusCode::OK, &Channels { page: &page, channels })
        }
        Err(error) => words::unreadable(&page, &error),
    }
}

async fn states(shared: &OperatorState) -> Result<Vec<ChannelState>, StoreError> {
    let view = View::Process { is_stopping: shared.stopping().is_cancelled() };
    Ok(overview::overview(shared.store(), &shared.config(), view).await?.channels)
}

#[derive(Template)]
#[template(path = "channel.html", config = "src/http/ops/askama.toml")]
struct Shows<'a> {
    page: &'a Page,
    channel: Row,
    last_sent: Option<Moment>,
    last_received: Option<Moment>,
    pauses: Vec<Paused>,
    problems: Vec<MessageRow>,
    /// Why these are not shown.
    no_problems: Option<String>,
    contacts: Contacts,
    /// What its rows have shown of its account.
    learned: Vec<Fact>,
    settings: Vec<SettingRow>,
}

/// `GET /channels/{name}`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(name): Path<String>,
    uri: Uri,
) -> Response {
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let states = match states(&shared).await {
        Ok(states) => states,
        Err(error) => return words::unreadable(&page, &error),
    };
    let Some(state) = states.into_iter().find(|state| state.channel == name) else { return no_channel(&page) };
    let config = shared.config();
    let contacts = Contacts::new(&page, &config, &query);
    let (problems, no_problems) = match problems(&shared, &config, &name, contacts.in_full).await {
        Ok(found) => (found.into_iter().map(|one| MessageRow::new(&page, &config, one, "")).collect(), None),
        Err(Refusal::Store(error)) => return words::unreadable(&page, &error),
        Err(refusal) => (Vec::new(), Some(wrong(&page, refusal))),
    };
    let zone = config.time_zone_of(&name);
    let learned = match shared.store().operators().learned(name.clone()).await {
        Ok(learned) => facts(&learned, zone.iana_name().unwrap_or("UTC"), page.language),
        Err(error) => return words::unreadable(&page, &error),
    };
    let shows = Shows {
        page: &page,
        last_sent: state.last_sent_ms.map(|at_ms| moment(&zone, at_ms)),
        last_received: state.last_received_ms.map(|at_ms| moment(&zone, at_ms)),
        pauses: paused(&page, &config, &state.pauses, &name),
        problems,
        no_problems,
        contacts,
        learned,
        settings: of_channel(&page, &config, &name),
        channel: row(&page, state),
    };
    html(StatusCode::OK, &shows)
}

/// Returns what failed, was given up or is in doubt, the newest first.
async fn problems(
    shared: &OperatorState,
    config: &Config,
    channel: &str,
    contacts_in_full: bool,
) -> Result<Vec<FoundMessage>, Refusal> {
    let mut found = Vec::new();
    for state in [MessageState::Failed, MessageState::Unconfirmed, MessageState::Dead] {
        let request = Request {
            query: String::new(),
            side: None,
            channel: Some(channel.to_owned()),
            state: Some(state),
            fault: None,
            since: None,
            until: None,
            contact: None,
            before: None,
            limit: PROBLEMS,
            to_the_end: false,
            contacts_in_full,
        };
        found.extend(find(shared.store(), config, request).await?.messages);
    }
    found.sort_by_key(|found| std::cmp::Reverse(found.message.done_ms.unwrap_or(found.message.accepted_ms)));
    found.truncate(PROBLEMS as usize);
    Ok(found)
}
