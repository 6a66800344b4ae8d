//! A call of `POST /message` as `BonyChat` makes it (bonychat.md section 3.1), and what its response means (3.3): for
//! `bridge send`.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{beginning, client};

/// What to send.
#[derive(Debug)]
pub(crate) enum OutgoingMessage {
    Text(String),
    /// `kind`: image, video, audio, file. `description` may be empty.
    File {
        url: String,
        kind: String,
        description: String,
    },
}

/// Result of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// The bridge has stored it, and delivers it if it has not yet.
    Taken { m_id: String },
    /// It was not stored, or not sent and given up. `words`: the text of the bridge's response.
    Refused { status: u16, words: String },
    /// No connection.
    Nobody(String),
    /// The request was sent and no clear response came: it may have been stored.
    NoResponse(String),
}

/// Calls the bridge that listens at `address`, under `prefix`, with a channel's token. `within`: total timeout.
///
/// # Errors
/// No HTTP client can be built.
pub(crate) async fn call(
    address: SocketAddr,
    prefix: &str,
    token: &SecretString,
    contact: &str,
    message: &OutgoingMessage,
    within: Duration,
) -> Result<SendOutcome, reqwest::Error> {
    let call = client(within, &[])?.post(format!("http://{address}{prefix}/message"));
    let call = call.bearer_auth(token.expose_secret().trim()).header(CONTENT_TYPE, "application/json");
    let webhook_status = call.body(body(contact, message)).send().await;
    Ok(match webhook_status {
        Ok(mut response) => {
            let status = response.status().as_u16();
            read(status, &beginning(&mut response).await)
        }
        Err(error) if error.is_connect() => SendOutcome::Nobody(words(error)),
        Err(error) => SendOutcome::NoResponse(words(error)),
    })
}

/// Returns the body of a call; the token decides the channel.
fn body(contact: &str, message: &OutgoingMessage) -> String {
    let message = match message {
        OutgoingMessage::Text(text) => json!({ "type": "text", "text": text }),
        OutgoingMessage::File { url, kind, description } => {
            json!({ "type": "attachment", "attachment": { "type": kind, "url": url, "description": description } })
        }
    };
    json!({ "contactId": contact, "message": message }).to_string()
}

/// Returns what a response means. A 200 without an mId, or what a broken server sends, counts as no response.
fn read(status: u16, body: &[u8]) -> SendOutcome {
    let response: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = response["error"]["message"].as_str();
    match (status, response["mId"].as_str(), words) {
        (200, Some(m_id), _) => SendOutcome::Taken { m_id: m_id.to_owned() },
        (400..=499 | 503, _, Some(words)) => SendOutcome::Refused { status, words: words.to_owned() },
        (_, _, words) => {
            SendOutcome::NoResponse(format!("HTTP {status}: {}", words.unwrap_or("not an answer of the bridge")))
        }
    }
}

/// Returns an error with its causes, in one line.
fn words(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::new(error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bonychat::wire;
    use crate::domain::content::{AttachmentKind, Text};
    use crate::domain::{Content, IdType, Reach};

    #[test]
    fn a_body_is_read_as_what_was_meant() {
        let text = body("+34600111222", &OutgoingMessage::Text("hello \"there\"".into()));
        let call = wire::parse(text.as_bytes(), IdType::Phone, Reach::ThisMachine).unwrap();
        assert_eq!((call.contact.as_str(), call.channel_id), ("+34600111222", None));
        assert_eq!(call.content, Content::Text { text: Text::new("hello \"there\"").unwrap() });
        for description in ["", "a menu"] {
            let file = OutgoingMessage::File {
                url: "https://files.test/menu.pdf".into(),
                kind: "file".into(),
                description: description.into(),
            };
            let call = wire::parse(body("someone", &file).as_bytes(), IdType::Custom, Reach::ThisMachine).unwrap();
            let Content::Attachment(file) = call.content else { panic!("{:?}", call.content) };
            assert_eq!((file.kind, file.url.as_str()), (AttachmentKind::File, "https://files.test/menu.pdf"));
            assert_eq!(file.description.as_ref().map_or("", |description| description.as_str()), description);
        }
    }

    #[test]
    fn only_the_bridges_own_refusal_says_that_nothing_was_sent() {
        assert_eq!(read(200, br#"{"mId":"abc"}"#), SendOutcome::Taken { m_id: "abc".into() });
        for status in [400, 401, 413, 503] {
            let refused = SendOutcome::Refused { status, words: "not sent".into() };
            assert_eq!(read(status, br#"{"error":{"message":"not sent"}}"#), refused);
        }
        for (status, body) in [
            (200, "hello"),
            (200, "{}"),
            (302, ""),
            (400, "<html>"),
            (502, r#"{"error":{"message":"?"}}"#),
            (500, r#"{"error":{"message":"a bug"}}"#),
        ] {
            assert!(matches!(read(status, body.as_bytes()), SendOutcome::NoResponse(_)), "{status} {body}");
        }
    }

    #[tokio::test]
    async fn only_where_nobody_was_reached_nothing_went_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (token, message) = (SecretString::from("token"), OutgoingMessage::Text("hello".into()));
        let call = || call(address, "", &token, "someone", &message, Duration::from_millis(500));
        let (cut, ()) = tokio::join!(call(), async { drop(listener.accept().await.unwrap()) });
        assert!(matches!(cut.unwrap(), SendOutcome::NoResponse(_)), "cut off");
        assert!(matches!(call().await.unwrap(), SendOutcome::NoResponse(_)), "no answer in time");
        drop(listener);
        assert!(matches!(call().await.unwrap(), SendOutcome::Nobody(_)));
    }
}
