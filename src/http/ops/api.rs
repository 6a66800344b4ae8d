//! The JSON API of operators, under `/api/v1`: the verbs of `ops`, as the command line has them. By bearer token alone: a cookie
//! goes along with forms of other sites.

mod call;
mod many;
mod pauses;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;

use call::{Failure, OperatorRequest, Reason, answer, known, order};

use super::openapi::{self, AUDIT_PARAMETERS, CALL_PARAMETERS, JOURNEY_PARAMETERS, MESSAGE_PARAMETERS};
use super::reach::{self, OutOfReach, beyond};
use super::reply::{NO_TOKEN, WRONG_BEARER, broken};
use super::{OperatorState, access, refused};
use crate::domain::Language;
use crate::domain::clock::now_ms;
use crate::domain::find::{MessageState, PAGE, Side};
use crate::domain::journey::{Means, Operator};
use crate::http::auth;
use crate::http::token_limit::NoTokenGiven;
use crate::ops::calls::without_persons;
use crate::ops::decide::{Decided, Refused};
use crate::ops::find::{Request as Search, SearchResult};
use crate::ops::sign_in::Person;
use crate::ops::{audit, decide, failed, find, journey, overview, settings};
use crate::store::Decision;

/// Longest time for which calls are waited for, in seconds.
const CALLS_FOR: u64 = 600;
/// Messages of a page, at most.
const MOST: u32 = 500;

/// The routes, with their guard.
pub(crate) fn router(state: &Arc<OperatorState>) -> Router {
    let api = Router::new()
        .route("/channels", get(channels))
        .route("/messages", get(messages))
        .route("/messages/{m_id}", get(message))
        .route("/messages/{m_id}/settle", post(settle))
        .route("/messages/{m_id}/retry", post(retry))
        .route("/messages/{m_id}/discard", post(discard))
        .route("/plans", post(many::plan))
        .route("/plans/{plan}/run", post(many::run))
        .route("/jobs", get(many::jobs))
        .route("/jobs/{id}", get(many::job))
        .route("/jobs/{id}/cancel", post(many::cancel))
        .route("/jobs/{id}/resume", post(many::resume))
        .route("/channels/{name}/pause", post(pauses::pause))
        .route("/channels/{name}/resume", post(pauses::resume))
        .route("/failed", get(failures))
        .route("/settings", get(in_force))
        .route("/audit", get(audit_page))
        .route("/calls", post(calls))
        .route("/openapi.json", get(|| async { answer(&openapi::document()) }))
        .fallback(|| async {
            refused(StatusCode::NOT_FOUND, "not found: GET /api/v1/openapi.json describes what there is")
        })
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method: see GET /api/v1/openapi.json")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(state), with_token))
        .layer(CatchPanicLayer::custom(|_| broken()))
        .layer(middleware::map_response(access::with_headers))
        .with_state(Arc::clone(state));
    Router::new().nest("/api/v1", api)
}

/// Lets calls with a person's bearer token pass and adds the person to them.
async fn with_token(State(state): State<Arc<OperatorState>>, mut request: Request, next: Next) -> Response {
    if state.people.is_empty() {
        return refused(StatusCode::FORBIDDEN, &format!("there is no API: {NO_TOKEN}"));
    }
    let Some(person) = auth::bearer(request.headers()).and_then(|token| state.people.by_token(token)) else {
        let mut response = refused(StatusCode::UNAUTHORIZED, WRONG_BEARER);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        if !request.headers().contains_key(header::AUTHORIZATION) {
            response.extensions_mut().insert(NoTokenGiven);
        }
        return response;
    };
    if !access::is_safe(request.method()) && !person.may_act() {
        let words = "nothing was changed: you may read, and change nothing (admin.people, `may`)";
        return refused(StatusCode::FORBIDDEN, words);
    }
    match beyond(state.store(), &person, reach::CALLS, request.uri().path()).await {
        Ok(None) => {}
        Ok(Some(OutOfReach::NoSuchMessage(m_id))) => {
            return refused(StatusCode::NOT_FOUND, &journey::missing(&known(&m_id)));
        }
        Ok(Some(OutOfReach::AllChannels)) => {
            let words = "this call is of all channels together, and you see some of them (admin.people, `channels`)";
            return refused(StatusCode::FORBIDDEN, words);
        }
        Err(error) => return Failure::Store(error).into_response(),
    }
    request.extensions_mut().insert(person);
    next.run(request).await
}

/// The query parameters of a call, by name.
struct QueryParameters(BTreeMap<String, String>);

impl QueryParameters {
    /// Parses a query. An unknown parameter is refused: a response that ignores it would look like one that does not.
    fn new(query: Option<&str>, known: &[(&str, &str)]) -> Result<Self, Failure> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.iter().any(|(known, _)| *known == name) {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                return Err(Failure::Request(format!("there is no such parameter here: use {}", names.join(", "))));
            }
            if !value.is_empty() && parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Failure::Request(format!("{name} comes twice")));
            }
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Returns the value that was given as one of these words.
    fn one_of<T>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Failure>
    where
        T: Copy,
    {
        let Some(given) = self.take(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning);
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        found.map(Some).ok_or_else(|| Failure::Request(format!("{name} takes {}", names.join(" or "))))
    }

    fn limit(&mut self, otherwise: u32, most: u32) -> Result<u32, Failure> {
        let Some(given) = self.take("limit") else { return Ok(otherwise) };
        let limit = given.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Failure::Request(format!("limit takes a number from 1 to {most}")))
    }

    fn contacts_in_full(&mut self, person: &Person) -> Result<bool, Failure> {
        let in_full = self.one_of("contacts", &[("full", true), ("masked", false)])?.unwrap_or(false);
        if in_full && !person.may_act() {
            return Err(Failure::Forbidden("contacts in full are for people who may act (admin.people, `may`)"));
        }
        Ok(in_full)
    }
}

/// `GET /channels`
async fn channels(
    State(state): State<Arc<OperatorState>>,
    Extension(person): Extension<Person>,
) -> Result<Response, Failure> {
    let view = overview::View::Process { is_stopping: state.stopping().is_cancelled() };
    let mut found = overview::overview(state.store(), &state.config(), view).await?;
    found.keep(|channel| person.sees(channel));
    Ok(answer(&found))
}

/// `GET /messages`
async fn messages(
    State(state): State<Arc<OperatorState>>,
    Extension(person): Extension<Person>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let mut parameters = QueryParameters::new(query.as_deref(), &MESSAGE_PARAMETERS)?;
    let states = MessageState::ALL.map(|state| (state.as_str(), state));
    let search = Search {
        query: parameters.take("q").unwrap_or_default(),
        side: parameters.one_of("direction", &[("out", Side::Out), ("in", Side::In)])?,
        channel: parameters.take("channel"),
        state: parameters.one_of("state", &states)?,
        fault: parameters.take("fault"),
        since: parameters.take("since"),
        until: parameters.take("until"),
        contact: parameters.take("contact"),
        before: parameters.take("before"),
        limit: parameters.limit(PAGE, MOST)?,
        to_the_end: false,
        contacts_in_full: parameters.contacts_in_full(&person)?,
    };
    let SearchResult { messages, next, notes } =
        find::find_of(state.store(), &state.config(), person.channels(), search).await?;
    let next = next.map(|next| next.to_string());
    let notes: Vec<String> = notes.iter().map(|note| note.words("")).collect();
    Ok(answer(&json!({ "messages": messages, "next": next, "notes": notes })))
}

/// `GET /messages/{mId}`
async fn message(
    State(state): State<Arc<OperatorState>>,
    Extension(person): Extension<Person>,
    Path(m_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let mut parameters = QueryParameters::new(query.as_deref(), &JOURNEY_PARAMETERS)?;
    let language = parameters.one_of("language", &[("en", Language::En), ("es", Language::Es)])?;
    let contacts = parameters.contacts_in_full(&person)?;
    let found = journey::journey(state.store(), &state.config(), &m_id, language, contacts).await?;
    let Some(journey::Account { journey, told, zone }) = found else {
        return Err(Failure::Missing(journey::missing(&known(&m_id))));
    };
    let listed = state.store().show(m_id).await?;
    let decisions = listed.map(|message| decide::allowed(&journey, &message)).unwrap_or_default();
    let decisions: Vec<&str> = decisions.into_iter().map(decide::Verb::name).collect();
    Ok(answer(&json!({
        "verdict": told.verdict, "lines": told.lines, "zone": zone, "decisions": decisions, "journey": journey,
    })))
}

/// `GET /failed`
async fn failures(
    State(state): State<Arc<OperatorState>>,
    Extension(person): Extension<Person>,
) -> Result<Response, Failure> {
    let mut groups = failed::failed(state.store()).await?;
    groups.retain(|group| person.sees(&group.channel));
    Ok(answer(&json!({ "groups": groups })))
}

/// `GET /settings`
async fn in_force(State(state): State<Arc<OperatorState>>) -> Response {
    answer(&json!({ "settings": settings::settings(&state.config()) }))
}

/// `GET /audit`
async fn audit_page(State(state): State<Arc<OperatorState>>, RawQuery(query): RawQuery) -> Result<Response, Failure> {
    let mut parameters = QueryParameters::new(query.as_deref(), &AUDIT_PARAMETERS)?;
    let limit = parameters.limit(audit::PAGE, audit::MOST)?;
    let (before, about) = (parameters.take("before"), parameters.take("about"));
    Ok(answer(&audit::audit(state.store(), before.as_deref(), about.as_deref(), limit).await?))
}

/// `POST /calls`
async fn calls(
    State(state): State<Arc<OperatorState>>,
    Extension(person): Extension<Person>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let mut parameters = QueryParameters::new(query.as_deref(), &CALL_PARAMETERS)?;
    let seconds =
        parameters.take("seconds").and_then(|given| given.parse().ok()).filter(|given| (1..=CALLS_FOR).contains(given));
    let seconds = seconds.ok_or_else(|| Failure::Request(format!("seconds takes a number from 1 to {CALLS_FOR}")))?;
    let by = Operator::new(&person.name, Means::Api, None);
    state.store().operators().note_deed(by, "capture calls", "calls".to_owned(), None, now_ms()).await?;
    tracing::info!(
        who = person.name,
        "keeps the next call of each kind in memory, for {seconds} s at most, as a person asks"
    );
    let kept = state.calls.next(Duration::from_secs(seconds), state.stopping()).await;
    let kept =
        kept.map_err(|_| Failure::Conflict("somebody else waits for calls: try again when that is over".into()))?;
    Ok(answer(&json!({ "calls": without_persons(&kept) })))
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    r#as: SettleAs,
    why: Option<String>,
}

#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SettleAs {
    Delivered,
    Failed,
    SendAgain,
    Noted,
}

/// `POST /messages/{mId}/settle`
async fn settle(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about: m_id, by, body, .. } =
        order(request, None, |body: &Settle| body.why.as_deref()).await?;
    let decision = match body.r#as {
        SettleAs::Delivered => Decision::Delivered,
        SettleAs::Failed => Decision::Failed,
        SettleAs::SendAgain => Decision::SendAgain,
        SettleAs::Noted => Decision::Noted,
    };
    decided(decide::settle(state.store(), &state.config(), m_id, decision, by).await?)
}

/// `POST /messages/{mId}/retry`
async fn retry(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about: m_id, by, .. } =
        order(request, Some(Reason::default()), |body| body.why.as_deref()).await?;
    decided(decide::retry(state.store(), m_id, by).await?)
}

/// `POST /messages/{mId}/discard`
async fn discard(State(state): State<Arc<OperatorState>>, request: Request) -> Result<Response, Failure> {
    let OperatorRequest { about: m_id, by, .. } =
        order(request, Some(Reason::default()), |body| body.why.as_deref()).await?;
    decided(decide::discard(state.store(), &state.config(), m_id, by).await?)
}

fn decided(outcome: Decided) -> Result<Response, Failure> {
    let m_id = known(&outcome.m_id);
    let outcome = Decided { m_id, ..outcome };
    let sentence = outcome.sentence(Language::En);
    match outcome.result {
        Ok(_) => Ok(answer(&json!({ "done": sentence }))),
        Err(Refused::Missing) => Err(Failure::Missing(sentence)),
        Err(Refused::Wiped | Refused::State(_)) => Err(Failure::Conflict(sentence)),
    }
}
