//! The platform's side of `/message`: what BonyChat does when an agent, a workflow or a broadcast writes
//! (bonychat.md section 3.1).

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::World;

/// How long a call may take in all.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An idle connection is kept this long: less than the bridge keeps it, which otherwise could close it while a call is
/// being sent on it.
const IDLE: Duration = Duration::from_secs(5);

/// Returns the client of one simulator; its connections are kept alive.
#[expect(clippy::disallowed_methods, reason = "a platform of its own, with its own client")]
pub(super) fn http() -> reqwest::Result<reqwest::Client> {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(TIMEOUT).pool_idle_timeout(IDLE).build()
}

/// Result of one call to `/message`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SendOutcome {
    /// The HTTP status; 0 if no whole response came.
    pub status: u16,
    /// The body as JSON; as a JSON string if it is not JSON, or why no response came.
    pub body: Value,
    /// The message id, if the status was 200 and the body has one.
    pub m_id: Option<String>,
    /// From the call to the last byte of the response.
    #[serde(skip)]
    pub elapsed: Duration,
}

impl World {
    /// Writes to a contact through the bridge: `POST <base>/message` with the channel's token. For an unknown channel,
    /// sends an empty token.
    pub async fn send(&self, base_url: &str, channel_id: &str, contact_id: &str, message: Value) -> SendOutcome {
        let token = self.token(channel_id).unwrap_or_default();
        let body = json!({"channelId": channel_id, "contactId": contact_id, "message": message});
        let outcome = self.post(base_url, &token, body.to_string()).await;
        self.note(&outcome);
        outcome
    }

    /// Sends a text message.
    pub async fn text(&self, base_url: &str, channel_id: &str, contact_id: &str, text: &str) -> SendOutcome {
        self.send(base_url, channel_id, contact_id, json!({"type": "text", "text": text})).await
    }

    /// Sends a file of `image`, `video`, `audio` or `file` by its link.
    pub async fn attachment(
        &self,
        base_url: &str,
        channel_id: &str,
        contact_id: &str,
        kind: &str,
        url: &str,
    ) -> SendOutcome {
        let message = json!({"type": "attachment", "attachment": {"type": kind, "url": url}});
        self.send(base_url, channel_id, contact_id, message).await
    }

    /// Posts any bytes with any token to `<base>/message`; an empty token sends no header.
    pub async fn post(&self, base_url: &str, token: &str, body: impl Into<reqwest::Body>) -> SendOutcome {
        let started = Instant::now();
        let url = format!("{}/message", base_url.trim_end_matches('/'));
        let mut request = self.http.post(url).header("content-type", "application/json").body(body);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        let (status, body) = match answer.await {
            Ok((status, bytes)) => (status, bytes),
            Err(e) => {
                let body = Value::String(format!("{:#}", anyhow::Error::from(e)));
                return SendOutcome { status: 0, body, m_id: None, elapsed: started.elapsed() };
            }
        };
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        let m_id = body.get("mId").and_then(Value::as_str).filter(|_| status == 200).map(str::to_owned);
        SendOutcome { status, body, m_id, elapsed: started.elapsed() }
    }
}
