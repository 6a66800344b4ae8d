//! What the calls of the API have in common: errors, responses, and the order of a person.

use axum::Extension;
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::journey::{Means, Operator};
use crate::http::body;
use crate::http::error::{self, Logged};
use crate::http::ops::reply::refused;
use crate::ops::find::Refusal;
use crate::ops::sign_in::Person;
use crate::store::StoreError;

/// Largest body of an order, in bytes.
const BODY: usize = 16 * 1024;

/// Why a call is not answered.
pub(super) enum Failure {
    Request(String),
    /// This person may not see it.
    Forbidden(&'static str),
    /// There is no such thing.
    Missing(String),
    /// Not possible in the current state (409).
    Conflict(String),
    /// Whether it was done is not known.
    Unclear(String),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(error) => Self::Store(error),
            refusal => Self::Request(refusal.words("")),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Request(why) => refused(StatusCode::BAD_REQUEST, &why),
            Self::Forbidden(why) => refused(StatusCode::FORBIDDEN, why),
            Self::Missing(why) => refused(StatusCode::NOT_FOUND, &why),
            Self::Conflict(why) => refused(StatusCode::CONFLICT, &why),
            Self::Unclear(why) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
            Self::Store(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an operator's call could not be answered");
                let words = if error.may_be_committed() {
                    "the store broke off before it said whether this was done: it may have been done, or not. Look first \
                     (GET /api/v1/audit lists what was done), and try again only if it was not"
                } else {
                    "the store cannot be read or written now, and nothing was changed: see the log, and try again in a minute"
                };
                let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, words);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
                response.extensions_mut().insert(Logged);
                response
            }
        }
    }
}

pub(super) fn answer(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(json) => error::json(StatusCode::OK, json),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON: report it"),
    }
}

/// Returns an mId as a refusal may repeat it: what else was sent in its place may be a number.
pub(super) fn known(m_id: &str) -> String {
    let legal = m_id.len() == 32 && m_id.bytes().all(|b| b.is_ascii_hexdigit());
    if legal { m_id.to_owned() } else { crate::telemetry::foreign_id(m_id) }
}

/// What an order is about (an mId, a channel, a plan, a job: what the path names; empty where it names nothing), who gives it, and the body.
pub(super) struct OperatorRequest<T> {
    pub(super) about: String,
    pub(super) person: Person,
    pub(super) by: Operator,
    pub(super) body: T,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    pub(super) why: Option<String>,
}

/// Reads the order of a person; `empty` is what an empty body means.
pub(super) async fn order<T: DeserializeOwned>(
    request: Request,
    empty: Option<T>,
    why: impl Fn(&T) -> Option<&str>,
) -> Result<OperatorRequest<T>, Failure> {
    let (mut parts, given) = request.into_parts();
    let about =
        Path::<String>::from_request_parts(&mut parts, &()).await.map_or_else(|_| String::new(), |Path(about)| about);
    let Extension(person) = Extension::<Person>::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Failure::Request("nobody is signed in; nothing was changed".to_owned()))?;
    let bytes = body::read(&parts, given, BODY).await.map_err(|_| {
        Failure::Request(format!("the body cannot be read, or is larger than {BODY} bytes; nothing was changed"))
    })?;
    let body = match (bytes.is_empty(), empty) {
        (true, Some(empty)) => empty,
        _ => serde_json::from_slice(&bytes).map_err(|error| {
            // The text of the error may quote the body.
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::Request(format!(
                "the body is not as GET /api/v1/openapi.json describes it ({place}); nothing was changed"
            ))
        })?,
    };
    let by = Operator::new(&person.name, Means::Api, why(&body));
    Ok(OperatorRequest { about, person, by, body })
}
