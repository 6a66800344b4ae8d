//! The edge: who calls, with what, and the one place where an error gets its status code.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tower_http::request_id::{MakeRequestId, RequestId};

use crate::bonychat::wire;
use crate::config::Config;
use crate::domain::{ChannelId, ChannelName, IdType, IdempotencyKey, Language, Reach};
use crate::store::{ChannelWakeups, StoreError, Wakeups};

/// Most unknown channelIds that a channel remembers.
const STRANGE: usize = 100;

/// On an answer whose reason the log holds already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged;

/// Every way in which the door refuses. Words are for the agent or integrator who reads them: what happened, whether the
/// customer got the message, what to do.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No or a wrong token; both look the same.
    Unauthorized,
    NotFound,
    /// As `Unauthorized`, after too many of those from one address.
    TooManyWrongTokens,
    MethodNotAllowed,
    UriTooLong,
    BodyTooLarge {
        limit_bytes: usize,
    },
    BodyTooSlow,
    /// A body in a form that is not read: compressed, or not JSON at all.
    UnsupportedBody,
    /// The request ended before its body did.
    BrokenOff,
    /// Rules broken, in words; logged where they were found.
    BadRequest(String),
    /// Afilnet refused it for good, in words; logged by who asked Afilnet.
    Refused(String),
    /// Its Idempotency-Key names another message.
    KeyTaken,
    /// Its caller is gone, or may have called again elsewhere.
    Deserted,
    /// Nothing can be stored now.
    Store(StoreError),
    NotReady(String),
    /// A bug.
    Inside,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.answer(Language::En)
    }
}

impl ApiError {
    /// The answer, in the language of the agents who read it.
    pub(super) fn answer(self, language: Language) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(error = error as &dyn std::error::Error, "a message could not be stored: answered 503");
        }
        let status = self.status();
        let logged = matches!(self, Self::BadRequest(_) | Self::Refused(_) | Self::KeyTaken);
        let mut response = json(status, wire::error_body(&self.in_words(language)));
        if logged {
            response.extensions_mut().insert(Logged);
        }
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            _ => {}
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooManyWrongTokens => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BrokenOff | Self::BadRequest(_) | Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::KeyTaken => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Deserted | Self::Store(_) | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Inside => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn in_words(self, language: Language) -> String {
        let (english, spanish) = match self {
            Self::Unauthorized => (
                "The API token is missing or wrong, so the message was not sent. Copy the channel's API token from \
                 BonyChat into the bridge's configuration.",
                "El token de API falta o es incorrecto, así que el mensaje no se ha enviado. Copie el token de API del \
                 canal desde BonyChat a la configuración del puente.",
            ),
            Self::TooManyWrongTokens => (
                "The API token is missing or wrong, as it was in many calls of the last minute, so the message was not \
                 sent. Copy the channel's API token from BonyChat into the bridge's configuration.",
                "El token de API falta o es incorrecto, como en muchas llamadas del último minuto, así que el mensaje no \
                 se ha enviado. Copie el token de API del canal desde BonyChat a la configuración del puente.",
            ),
            Self::UriTooLong => (
                "The address of this call is too long, so nothing was sent. Messages go to POST /message.",
                "La dirección de esta llamada es demasiado larga, así que no se ha enviado nada. Los mensajes van a POST \
                 /message.",
            ),
            Self::NotFound => (
                "There is nothing at this address, so nothing was sent. Messages go to POST /message.",
                "No hay nada en esta dirección, así que no se ha enviado nada. Los mensajes van a POST /message.",
            ),
            Self::MethodNotAllowed => (
                "This address does not take this method, so nothing was sent. Messages go to POST /message.",
                "Esta dirección no admite este método, así que no se ha enviado nada. Los mensajes van a POST /message.",
            ),
            Self::BodyTooLarge { limit_bytes } => {
                return match language {
                    Language::En => format!(
                        "The request is larger than {limit_bytes} bytes, so the message was not sent. Make it shorter."
                    ),
                    Language::Es => format!(
                        "La petición ocupa más de {limit_bytes} bytes, así que el mensaje no se ha enviado. Acórtelo."
                    ),
                };
            }
            Self::BodyTooSlow => (
                "The request did not arrive in time, so the message was not sent. Send it again.",
                "La petición no llegó a tiempo, así que el mensaje no se ha enviado. Vuelva a enviarlo.",
            ),
            Self::UnsupportedBody => (
                "The request is not uncompressed JSON, so the message was not sent. Send it as application/json.",
                "La petición no es JSON sin comprimir, así que el mensaje no se ha enviado. Envíela como application/json.",
            ),
            Self::BrokenOff => (
                "The message was not sent. The request broke off or is not valid HTTP.",
                "El mensaje no se ha enviado. La petición se cortó o no es HTTP válido.",
            ),
            Self::BadRequest(rules) => {
                return match language {
                    Language::En => format!("The message was not sent. {rules}"),
                    Language::Es => format!("El mensaje no se ha enviado. {rules}"),
                };
            }
            Self::Refused(failure_text) => return failure_text,
            Self::KeyTaken => (
                "The Idempotency-Key of this request was used for another message before, so this message was not sent. \
                 Send it again under a key of its own.",
                "La Idempotency-Key de esta petición ya se usó para otro mensaje, así que este mensaje no se ha enviado. \
                 Vuelva a enviarlo con una clave propia.",
            ),
            Self::Deserted => (
                "The bridge stood still while it took the request, so the message was not sent. Send it again.",
                "El puente se detuvo mientras recibía la petición, así que el mensaje no se ha enviado. Vuelva a enviarlo.",
            ),
            Self::Store(_) => (
                "The bridge cannot store messages at the moment, so the message was not sent. Send it again in a minute.",
                "El puente no puede guardar mensajes en este momento, así que el mensaje no se ha enviado. Vuelva a \
                 enviarlo dentro de un minuto.",
            ),
            // For operators, whose tools look for the English.
            Self::NotReady(reason) => return format!("not ready: {reason}"),
            Self::Inside => (
                "Something broke inside the bridge. The message may have been taken: look whether the customer got it \
                 before sending it again.",
                "Algo ha fallado dentro del puente. Es posible que el mensaje se haya aceptado: compruebe si el cliente \
                 lo ha recibido antes de volver a enviarlo.",
            ),
        };
        match language {
            Language::En => english,
            Language::Es => spanish,
        }
        .to_owned()
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.into()).into_response()
}

/// One channel as the door knows it.
#[derive(Debug)]
pub(super) struct DoorChannel {
    pub(super) name: ChannelName,
    pub(super) id: ChannelId,
    pub(super) id_type: IdType,
    /// Where files may be that its messages link to.
    pub(super) reach: Reach,
    pub(super) wakeups: Option<Arc<ChannelWakeups>>,
    /// Unknown channelIds that calls bore, to be named once each; at most [`STRANGE`].
    strange: Mutex<BTreeSet<String>>,
    /// Digests of the tokens it goes by.
    tokens: Vec<[u8; 32]>,
}

impl DoorChannel {
    /// Whether this unknown channelId is met for the first time, as far as is remembered.
    pub(super) fn is_news(&self, id: &str) -> bool {
        let mut strange = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
        strange.len() < STRANGE && strange.insert(id.chars().take(100).collect())
    }
}

/// All channels. The token decides which one a call is for.
#[derive(Debug)]
pub(super) struct Channels(Vec<DoorChannel>);

impl Channels {
    pub(super) fn new(config: &Config, wakeups: &Wakeups) -> Self {
        let channels = config.channels.values().map(|channel| {
            let current = std::iter::once(&channel.api_token);
            let tokens = current.chain(&channel.previous_api_token).map(digest_secret).collect();
            DoorChannel {
                name: channel.name.clone(),
                id: channel.channel_id.clone(),
                id_type: channel.id_type,
                reach: channel.reach(),
                wakeups: wakeups.channel(&channel.name),
                strange: Mutex::default(),
                tokens,
            }
        });
        Self(channels.collect())
    }

    /// The channel whose token the request bears. Every token of every channel is compared, each in constant time.
    pub(super) fn by_token(&self, headers: &HeaderMap) -> Result<&DoorChannel, ApiError> {
        let given = bearer(headers).map(|token| digest(token.as_bytes()));
        let mut found = None;
        for channel in &self.0 {
            let mut matches = Choice::from(0);
            for token in &channel.tokens {
                matches |= given.unwrap_or_default().ct_eq(token);
            }
            if given.is_some() && bool::from(matches) {
                found = Some(channel);
            }
        }
        found.ok_or(ApiError::Unauthorized)
    }

    /// Whether `id` is the id of a channel other than `of`.
    pub(super) fn is_another(&self, id: &str, of: &DoorChannel) -> bool {
        id != of.id.as_str() && self.0.iter().any(|channel| channel.id.as_str() == id)
    }
}

/// The bearer token: one Authorization header, scheme in any case, spaces trimmed (bonychat.md A3).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn digest_secret(secret: &SecretString) -> [u8; 32] {
    digest(secret.expose_secret().as_bytes())
}

/// Whether the call says that its body is JSON, or says nothing (bonychat.md A38: JSON is read under any content type).
pub(super) fn says_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")))
}

/// What the caller calls this call: one Idempotency-Key header, verbatim. `Err` where it breaks its rule.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ()> {
    let mut all = headers.get_all("idempotency-key").iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => one.to_str().map_err(drop)?.parse().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// The request's id, as taken or made, fit for the log.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let id = headers.get(super::X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    crate::telemetry::foreign_id(id)
}

/// Makes an id for a request that brings none.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string()).ok().map(RequestId::new)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::Value;

    use super::*;

    fn every_error() -> Vec<ApiError> {
        vec![
            ApiError::Unauthorized,
            ApiError::TooManyWrongTokens,
            ApiError::NotFound,
            ApiError::MethodNotAllowed,
            ApiError::UriTooLong,
            ApiError::BodyTooLarge { limit_bytes: 9 },
            ApiError::BodyTooSlow,
            ApiError::UnsupportedBody,
            ApiError::BrokenOff,
            ApiError::BadRequest("message: is missing".into()),
            ApiError::Refused("No.".into()),
            ApiError::KeyTaken,
            ApiError::Deserted,
            ApiError::Store(StoreError::Closed),
            ApiError::NotReady("starting".into()),
            ApiError::Inside,
        ]
    }

    #[test]
    fn every_refusal_of_a_message_is_said_in_both_languages() {
        for (english, spanish) in every_error().into_iter().zip(every_error()) {
            let same = matches!(english, ApiError::Refused(_) | ApiError::NotReady(_));
            let (english, spanish) = (english.in_words(Language::En), spanish.in_words(Language::Es));
            assert_eq!(english == spanish, same, "{english}");
        }
    }

    #[tokio::test]
    async fn every_refusal_is_in_the_document_and_every_documented_one_is_given() {
        let document = wire::openapi::document("");
        let documented = document["paths"]["/message"]["post"]["responses"].as_object().unwrap();
        let mut given = vec!["200".to_owned()];
        for error in every_error() {
            let response = error.into_response();
            let status = response.status().as_str().to_owned();
            let described = documented.get(&status).unwrap_or_else(|| panic!("{status} is not documented"));
            for name in described["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
                assert!(response.headers().contains_key(name.as_str()), "{status} without {name}");
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{status}: {body}");
            given.push(status);
        }
        given.sort_unstable();
        given.dedup();
        assert_eq!(documented.keys().collect::<Vec<_>>(), given.iter().collect::<Vec<_>>());
    }
}
