//! Error responses: the one place that chooses status codes and texts.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::bonychat::wire;
use crate::domain::Language;
use crate::store::StoreError;

/// An extension of a response of which the reason is logged already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged;

/// Why a request is refused. The texts are for the agent or integrator who reads them: what happened, whether the
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
    /// The body is compressed, or not JSON at all.
    UnsupportedBody,
    /// The request ended before its body did.
    BrokenOff,
    /// The broken rules as text; logged where they were found.
    BadRequest(String),
    /// Why Afilnet refused it for good, as text; logged by the sender.
    Refused(String),
    /// Its Idempotency-Key belongs to another message.
    KeyTaken,
    /// The caller is gone, or may have called again at another process.
    CallerGone,
    /// A person has the channel accept nothing for now.
    Drained,
    /// Another process has not said whether its caller received the response to an equal message.
    EqualPending,
    /// Nothing can be stored now.
    Store(StoreError),
    NotReady(String),
    /// A bug.
    Inside,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into_response_in(Language::En)
    }
}

impl ApiError {
    /// Returns the response in the agents' language.
    pub(super) fn into_response_in(self, language: Language) -> Response {
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
            Self::CallerGone | Self::Drained | Self::EqualPending | Self::Store(_) | Self::NotReady(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
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
            Self::CallerGone => (
                "The bridge stood still while it took the request, so the message was not sent. Send it again.",
                "El puente se detuvo mientras recibía la petición, así que el mensaje no se ha enviado. Vuelva a enviarlo.",
            ),
            Self::Drained => (
                "The bridge takes no messages of this channel at the moment: its operator has paused it. This message was not \
                 taken and is not sent. Send it again later.",
                "El puente no acepta mensajes de este canal en este momento: su operador lo ha puesto en pausa. Este mensaje \
                 no se ha aceptado y no se envía. Vuelva a enviarlo más tarde.",
            ),
            Self::EqualPending => (
                "The bridge took an equal message for this customer a moment ago, and does not know yet whether this is the \
                 same one, so this request was not taken. The first one goes out. Send this one again in a minute if the \
                 customer has not got it, or was to get it twice.",
                "El puente aceptó hace un momento un mensaje igual para este cliente y aún no sabe si este es el mismo, así \
                 que esta petición no se ha aceptado. El primero sigue su curso. Vuelva a enviar este dentro de un minuto si \
                 el cliente no lo ha recibido o debía recibirlo dos veces.",
            ),
            Self::Store(_) => (
                "The bridge cannot store messages at the moment, so the message was not sent. Send it again in a minute.",
                "El puente no puede guardar mensajes en este momento, así que el mensaje no se ha enviado. Vuelva a \
                 enviarlo dentro de un minuto.",
            ),
            // For operators and their tools: English only.
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

/// Returns a JSON response.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.into()).into_response()
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
            ApiError::CallerGone,
            ApiError::Drained,
            ApiError::EqualPending,
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
