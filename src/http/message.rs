//! `POST /message`: BonyChat sends a message (bonychat.md section 3).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Door;
use super::edge::{self, ApiError, DoorChannel};
use crate::bonychat::wire;
use crate::domain::MId;
use crate::domain::clock::{millis, now_ms};
use crate::domain::sentence::{Got, sentence};
use crate::store::{Answer, NewOutbound};

/// Keeps the message, waits for its first verdict where one can come in time, answers.
pub(super) async fn take(State(door): State<Arc<Door>>, request: Request) -> Result<Response, ApiError> {
    let started = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let channel = door.channels.by_token(&parts.headers)?;
    let body = edge::body(&parts, body, door.body_limit_bytes).await?;
    let call = parse(&door, channel, &body, edge::says_json(&parts.headers))?;
    let request_id = edge::request_id(&parts.headers);
    let (m_id, contact) = (MId::fresh(), call.contact.clone());
    let answer = accept(&door, channel, call, &m_id, &request_id).await?;
    tracing::info!(
        channel.name = %channel.name,
        message.id = %m_id,
        contact = %crate::telemetry::contact(&contact),
        request.id = request_id,
        answer = if answer == Answer::Accepted { "accepted" } else { "refused" },
        duration_ms = millis(started.elapsed()),
        "took message `{m_id}`"
    );
    match answer {
        Answer::Accepted => Ok(edge::json(StatusCode::OK, wire::accepted(&m_id))),
        Answer::Refused(fault) => Err(ApiError::Refused(sentence(&fault, Got::No, door.language))),
    }
}

/// Body to message, with every broken rule named.
fn parse(door: &Door, channel: &DoorChannel, body: &[u8], says_json: bool) -> Result<wire::Call, ApiError> {
    let call = wire::parse(body, channel.id_type).map_err(|rejected| {
        if !rejected.is_json() && !says_json {
            return ApiError::UnsupportedBody;
        }
        ApiError::BadRequest(rejected.in_words(door.language))
    })?;
    if let Some(id) = call.channel_id.as_deref().filter(|id| *id != channel.id.as_str()) {
        if door.channels.is_another(id, channel) {
            return Err(ApiError::BadRequest("channelId: belongs to another channel than the API token.".into()));
        }
        tracing::warn!(channel.name = %channel.name, "a call bears this channel's token and an unknown channelId; the token decides");
    }
    Ok(call)
}

/// The durable step, and the wait for the first verdict.
async fn accept(
    door: &Door,
    channel: &DoorChannel,
    call: wire::Call,
    m_id: &MId,
    request_id: &str,
) -> Result<Answer, ApiError> {
    let destination = channel
        .id_type
        .destination_of(&call.contact)
        .map_err(|rule| ApiError::BadRequest(format!("contactId: {rule}.")))?;
    // Asked for before the commit, so that a quick verdict finds someone to tell.
    let caller = door.store.signals().await_verdict(m_id);
    let expected = channel.signals.as_ref().is_some_and(|signals| signals.verdict_expected(door.answer_within));
    let accepted = door
        .store
        .accept(NewOutbound {
            m_id: m_id.clone(),
            channel: channel.name.clone(),
            contact: call.contact,
            destination,
            content: call.content,
            request_id: request_id.to_owned(),
            accepted_ms: now_ms(),
        })
        .await
        .map_err(ApiError::Store)?;
    let limit = if expected && !accepted.ahead { door.answer_within } else { Duration::ZERO };
    Ok(caller.answer(limit).await)
}
