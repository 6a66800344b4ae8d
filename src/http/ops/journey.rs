//! `GET /messages/{mId}`: what happened to a message, what may be done, and its conversation around it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::OperatorState;
use super::decide::{AllowedDecision, beside_conversation, choices};
use super::form::Form;
use super::messages::{Contacts, Row};
use super::page::{Page, html};
use super::words::{self, Shown, missing, state_of};
use crate::config::{Config, LogContacts};
use crate::domain::clock::wall_ms;
use crate::domain::find::PAGE;
use crate::domain::journey::words::{JourneyText, Words, tell};
use crate::domain::journey::{Journey, Means};
use crate::ops::find::{Refusal, Request, find, time};
use crate::store::{FoundMessage, ListedMessage, Store, StoreError};

/// Messages of the conversation that are shown before it, and after it.
const AROUND: usize = 5;
/// Milliseconds after it in which its conversation is looked at: the shortest that holds enough.
const AFTER_MS: [i64; 5] = [i64::MAX, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000];

#[derive(Template)]
#[template(path = "journey.html", config = "src/http/ops/askama.toml")]
struct Shows<'a> {
    page: &'a Page,
    m_id: &'a str,
    message: &'a ListedMessage,
    state: Shown,
    /// Whether it arrived, what happens next, what to do; a paragraph each.
    verdict: Vec<&'a str>,
    lines: Vec<JourneyLine<'a>>,
    zone: String,
    choices: Vec<AllowedDecision>,
    around: Vec<Row>,
    contacts: Contacts,
}

/// A step: its time and what happened.
struct JourneyLine<'a> {
    at: &'a str,
    what: &'a str,
}

/// `GET /messages/{mId}`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Path(m_id): Path<String>,
    uri: Uri,
) -> Response {
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes());
    match shown(&shared, &page, &m_id, &query).await {
        Ok(response) => response,
        Err(error) => words::unreadable(&page, &error),
    }
}

async fn shown(shared: &OperatorState, page: &Page, m_id: &str, query: &Form) -> Result<Response, StoreError> {
    let (store, config) = (shared.store(), shared.config());
    let journey = store.journey(m_id.to_owned()).await?;
    let Some((mut journey, mut message)) = journey.zip(store.show(m_id.to_owned()).await?) else {
        return Ok(missing(page, m_id));
    };
    let contacts = Contacts::new(page, &config, query);
    let around = around(store, &config, page, &journey, &message, contacts.in_full).await?;
    if !contacts.in_full
        && config.log.contacts == LogContacts::Masked
        && let Ok(contact) = journey.contact.parse()
    {
        journey.contact = crate::telemetry::contact(&contact).to_string();
        message.contact.clone_from(&journey.contact);
    }
    let zone = config.time_zone_of(&journey.channel);
    let JourneyText { verdict, lines } = tell(
        &Words {
            language: page.language,
            zone: &zone,
            now_ms: wall_ms(),
            means: Means::Page,
            may_act: page.may_act,
            looks: config.outbound.look_after.len(),
        },
        &journey,
    );
    let shows = Shows {
        page,
        m_id,
        state: state_of(page.language, &message),
        verdict: verdict.lines().collect(),
        lines: lines.iter().map(|line| split(line)).collect(),
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        choices: if page.may_act { choices(page, &journey, &message) } else { Vec::new() },
        message: &message,
        around,
        contacts,
    };
    Ok(html(StatusCode::OK, &shows))
}

/// Takes a line of a journey apart: it begins with its time, in two words.
fn split(line: &str) -> JourneyLine<'_> {
    let end = line.match_indices(' ').nth(1).map_or(0, |(at, _)| at);
    let (at, what) = line.split_at(end);
    JourneyLine { at, what: what.trim_start() }
}

/// Returns the conversation before and after it, with it, newest first.
async fn around(
    store: &dyn Store,
    config: &Config,
    page: &Page,
    journey: &Journey,
    message: &ListedMessage,
    contacts_in_full: bool,
) -> Result<Vec<Row>, StoreError> {
    let at_ms = message.accepted_ms;
    let asked = |since_ms: Option<i64>, until_ms: i64, limit: u32| Request {
        query: String::new(),
        side: None,
        channel: Some(journey.channel.clone()),
        state: None,
        fault: None,
        since: since_ms.map(time),
        until: Some(time(until_ms)),
        contact: Some(journey.contact.clone()),
        before: None,
        limit,
        to_the_end: false,
        contacts_in_full,
    };
    let found = async |request| match find(store, config, request).await {
        Ok(answer) => Ok(answer.messages),
        Err(Refusal::Store(error)) => Err(error),
        // A channel that is in no configuration and no store: nothing else is of it.
        Err(_) => Ok(Vec::new()),
    };
    let is_other = |found: &FoundMessage| found.message.m_id != message.m_id;
    let before = found(asked(None, at_ms.saturating_add(1), u32::try_from(AROUND).unwrap_or(PAGE) + 2)).await?;
    let mut rows: Vec<FoundMessage> = Vec::new();
    for after_ms in AFTER_MS {
        let until_ms = at_ms.saturating_add(after_ms).min(wall_ms().saturating_add(86_400_000));
        let after = found(asked(Some(at_ms.saturating_add(1)), until_ms, PAGE)).await?;
        let is_whole = after.len() < PAGE as usize;
        if !after.is_empty() {
            rows = after.into_iter().filter(is_other).collect();
        }
        if is_whole {
            break;
        }
    }
    rows.drain(..rows.len().saturating_sub(AROUND));
    let (this, before): (Vec<_>, Vec<_>) = before.into_iter().partition(|found| !is_other(found));
    rows.extend(this.into_iter().take(1));
    rows.extend(before.into_iter().take(AROUND));
    Ok(rows.into_iter().map(|found| Row::new(page, config, found, &message.m_id)).collect())
}
