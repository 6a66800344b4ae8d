//! `POST /message`: BonyChat sends a message (bonychat.md section 3).

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::auth::ApiChannel;
use super::dedup::{CallerConnection, Connection, PendingResponse};
use super::error::{self, ApiError};
use super::extract;
use super::state::AppState;
use crate::bonychat::capture::REFUSED;
use crate::bonychat::wire;
use crate::domain::agent_text::{Delivered, failure_text};
use crate::domain::clock::{millis, now_ms};
use crate::domain::operator_pause::PauseKind;
use crate::domain::{IdempotencyKey, Language, MId};
use crate::store::{AcceptOutcome, Caller, FirstVerdict, NewOutbound, StoreError};
use crate::telemetry::metrics;

/// Stores the message, waits for its first verdict if one can be expected in time, and responds; a refusal in the
/// agents' language.
pub(super) async fn take(State(state): State<Arc<AppState>>, request: Request) -> Response {
    taken(&state, request).await.unwrap_or_else(|error| error.into_response_in(state.language))
}

async fn taken(state: &AppState, request: Request) -> Result<Response, ApiError> {
    let started = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let channel = state.channels.by_token(&parts.headers)?;
    let body = super::body::read(&parts, body, state.body_limit_bytes).await?;
    let request_id = extract::request_id(&parts.headers);
    let call = parse(state, channel, &body, extract::says_json(&parts.headers), &request_id);
    let kind = call.as_ref().map_or(REFUSED, |call| call.content.kind());
    state.calls.note(kind, &channel.name, &parts.headers, &body);
    let call = call?;
    let key = extract::idempotency_key(&parts.headers).map_err(|()| {
        explain(channel, &request_id, BAD_KEY.0);
        broken(state, BAD_KEY)
    })?;
    let conn = parts.extensions.get::<Arc<Connection>>();
    // The caller may have called again at another process: accepted here as well, the message would be sent twice.
    if conn.is_some_and(|conn| conn.may_be_abandoned()) {
        return Err(ApiError::CallerGone);
    }
    let contact = call.contact.clone();
    let AcceptedCall { m_id, repeat, verdict, pending } = accept(state, channel, call, key, &request_id, conn).await?;
    tracing::info!(
        channel_name = %channel.name,
        message_id = %m_id,
        contact = %crate::telemetry::contact(&contact),
        request_id,
        answer = if verdict == FirstVerdict::Accepted { "accepted" } else { "refused" },
        repeat,
        duration_ms = millis(started.elapsed()),
        "{} message `{m_id}`", if repeat { "took a repeat of" } else { "took" }
    );
    match verdict {
        FirstVerdict::Accepted => {
            pending.goes_out_on(conn.map(|conn| -> &dyn CallerConnection { &**conn }));
            Ok(error::json(StatusCode::OK, wire::accepted(&m_id)))
        }
        FirstVerdict::Refused(fault) => {
            pending.reached(); // certainly not sent: a repeat is a new message, whether this response is received or not
            Err(ApiError::Refused(failure_text(&fault, Delivered::No, state.language)))
        }
    }
}

/// An accepted call, and its response.
struct AcceptedCall {
    m_id: MId,
    repeat: bool,
    verdict: FirstVerdict,
    pending: PendingResponse,
}

/// Parses the body; the error names every broken rule.
fn parse(
    state: &AppState,
    channel: &ApiChannel,
    body: &[u8],
    says_json: bool,
    request_id: &str,
) -> Result<wire::MessageRequest, ApiError> {
    let call = wire::parse(body, channel.id_type, channel.reach).map_err(|rejected| {
        if !rejected.is_json() && !says_json {
            return ApiError::UnsupportedBody;
        }
        explain(channel, request_id, &rejected.to_string());
        ApiError::BadRequest(rejected.in_words(state.language))
    })?;
    if let Some(id) = call.channel_id.as_deref().filter(|id| *id != channel.id.as_str()) {
        if state.channels.is_another(id, channel) {
            explain(channel, request_id, OTHER_CHANNEL.0);
            return Err(broken(state, OTHER_CHANNEL));
        }
        if channel.is_first_sight(id) {
            tracing::warn!(
                channel_name = %channel.name,
                request_id,
                "a call bears the token of channel `{}` and an unknown channelId; the token decides", channel.name
            );
        }
    }
    Ok(call)
}

/// A text in English and in Spanish, without its full stop.
type BilingualText = (&'static str, &'static str);

const OTHER_CHANNEL: BilingualText = (
    "channelId: belongs to another channel than the API token",
    "channelId: pertenece a un canal distinto del canal del token de API",
);

/// For escapes of a custom contact id that no destination has, such as `=00`.
const NOT_A_CONTACT: BilingualText = (
    "contactId: is not an id that this channel's contacts have",
    "contactId: no es un identificador que tengan los contactos de este canal",
);

const BAD_KEY: BilingualText = (
    "Idempotency-Key: must be 1 to 255 visible ASCII characters, in one header",
    "Idempotency-Key: debe tener de 1 a 255 caracteres ASCII visibles, en una sola cabecera",
);

fn broken(state: &AppState, rule: BilingualText) -> ApiError {
    let words = match state.language {
        Language::En => rule.0,
        Language::Es => rule.1,
    };
    ApiError::BadRequest(format!("{words}."))
}

/// Logs a call that breaks rules. Paths and rules hold nothing of what was sent, except for the name of a type.
fn explain(channel: &ApiChannel, request_id: &str, rules: &str) {
    tracing::warn!(
        channel_name = %channel.name,
        request_id,
        http_status = 400,
        rules,
        "refused a message of channel `{}`: {rules}", channel.name
    );
}

/// Returns the caller at the other end of a connection.
fn caller_on(conn: &Arc<Connection>) -> Caller {
    let came_ms = now_ms() - millis(conn.came().elapsed());
    let conn = Arc::clone(conn);
    Caller::new(came_ms, move || !conn.is_over())
}

fn weak(conn: &Arc<Connection>) -> Weak<dyn CallerConnection> {
    Arc::<Connection>::downgrade(conn)
}

/// Stores the message and waits for the first verdict.
async fn accept(
    state: &AppState,
    channel: &ApiChannel,
    call: wire::MessageRequest,
    key: Option<IdempotencyKey>,
    request_id: &str,
    conn: Option<&Arc<Connection>>,
) -> Result<AcceptedCall, ApiError> {
    let destination = channel.id_type.destination_of(&call.contact).map_err(|rule| {
        explain(channel, request_id, &format!("{}: {rule}", NOT_A_CONTACT.0));
        broken(state, NOT_A_CONTACT)
    })?;
    let (pending, earlier) = state.responses.open(&channel.name, &call.contact, &call.content, conn.map(weak));
    if key.is_none() {
        state.responses.settled(earlier).await;
    }
    // Registered before the commit, so that a quick verdict finds its caller.
    let m_id = MId::fresh();
    let waiting = state.store.wakeups().await_verdict(&m_id);
    let expected = channel.wakeups.as_ref().is_some_and(|wakeups| wakeups.verdict_expected(state.answer_within));
    let message = NewOutbound {
        m_id: m_id.clone(),
        channel: channel.name.clone(),
        other_spelling: channel.id_type.other_spelling(&call.contact),
        contact: call.contact,
        destination,
        content: call.content,
        request_id: request_id.to_owned(),
        accepted_ms: now_ms(),
        key,
        waits: if expected { state.answer_within } else { Duration::ZERO },
        is_drained: channel.wakeups.as_ref().is_some_and(|wakeups| wakeups.is_paused(PauseKind::Drain)),
        caller: conn.map_or_else(Caller::stays, caller_on),
    };
    let accepted = pending.store(message).await.map_err(|error| match error {
        StoreError::Stale => ApiError::CallerGone,
        error => ApiError::Store(error),
    })?;
    match accepted.outcome {
        AcceptOutcome::New => {
            metrics::accepted(&channel.name);
            let limit = if expected && !accepted.ahead { state.answer_within } else { Duration::ZERO };
            Ok(AcceptedCall { m_id, repeat: false, verdict: waiting.verdict(limit).await, pending })
        }
        AcceptOutcome::RepeatOf(first) => {
            metrics::repeated(&channel.name);
            Ok(AcceptedCall { m_id: first, repeat: true, verdict: FirstVerdict::Accepted, pending })
        }
        AcceptOutcome::KeyTaken => {
            tracing::warn!(
                channel_name = %channel.name, request_id, http_status = 422,
                "refused a message of channel `{}`: its Idempotency-Key names another message", channel.name
            );
            Err(ApiError::KeyTaken)
        }
        AcceptOutcome::Drained => Err(ApiError::Drained),
        AcceptOutcome::EqualPending => {
            tracing::warn!(
                channel_name = %channel.name, request_id, http_status = 503,
                "refused a message of channel `{}`: another process took an equal one and has not recorded whether its caller got the \
                 response. Is the store slow?", channel.name
            );
            Err(ApiError::EqualPending)
        }
    }
}
