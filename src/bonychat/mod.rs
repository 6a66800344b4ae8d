//! `BonyChat`'s wire, both ways: bodies of `/message` (`wire`), bodies of the webhook (`event`, `inbound`), and the
//! client that posts them. `http` uses `wire` and `capture`, `cli` uses `client_call`; `work` gets the rest as `dyn Webhook` from
//! `app`.

pub(crate) mod capture;
pub(crate) mod client_call;
mod event;
mod files;
mod inbound;
#[cfg(test)]
mod tests;
mod webhook_status;

pub(crate) mod wire;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::ExposeSecret as _;
use url::{Position, Url};

use self::event::event_body;
use crate::config;
use crate::crashpoint;
use crate::domain::charset::Charset;
use crate::domain::excerpt::Excerpt;
use crate::domain::{
    Called, ChannelId, ChannelName, ContactId, Content, Delivery, Event, Language, LeaseDeadline, Reach, Response,
    Webhook, clock,
};
use crate::telemetry::trouble;

/// Longest time to connect; part of the total.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a response that are read. The contract describes no body (section 2.5).
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// Why a channel's webhook cannot be called as configured. The text names the correction and holds no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadWebhook {
    /// Not a URL, or one of another scheme.
    #[error("webhook_url: must be an absolute https URL, copied from BonyChat's dialog")]
    NotAUrl,
    /// It holds a user name, a password or a fragment, which are not sent.
    #[error("webhook_url: must not hold a user name, a password or a #fragment")]
    Extras,
    /// Sending it would change it, and BonyChat might not know the changed one (bonychat.md A1).
    #[error("webhook_url: its path and query must be written as they are sent: percent-encoded, without . or .. parts")]
    WouldChange,
    /// Not sendable in a header.
    #[error("api_token: must be visible ASCII characters, copied from BonyChat's dialog")]
    Token,
}

/// Returns the HTTP client of all webhooks. `ca` is trusted beside the system's roots. `timeout` is the total for one
/// call unless a channel sets its own. No redirect is followed, no proxy of the environment is used, and only the
/// publisher retries.
///
/// # Errors
/// The system has no CA certificates.
#[expect(clippy::disallowed_methods, reason = "the builder of this platform's clients")]
pub(crate) fn client(timeout: Duration, ca: &[reqwest::Certificate]) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .tls_certs_merge(ca.iter().cloned())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// `BonyChat`'s side of one channel.
#[derive(Debug)]
pub(crate) struct WebhookClient {
    name: ChannelName,
    channel_id: ChannelId,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    attachments: bool,
    reach: Reach,
    language: Language,
    http: reqwest::Client,
    /// No call starts after it.
    lease_deadline: LeaseDeadline,
}

impl WebhookClient {
    /// The webhook of `channel`, called through `http` (from [`client`]). `attachments`: whether a row that is one link
    /// to a file becomes an attachment.
    ///
    /// # Errors
    /// The channel's URL or token cannot be sent as they are. Makes no call.
    pub(crate) fn new(
        channel: &config::Channel,
        attachments: bool,
        language: Language,
        http: reqwest::Client,
    ) -> Result<Self, BadWebhook> {
        let bearer = format!("Bearer {}", channel.api_token.expose_secret().trim());
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| BadWebhook::Token)?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]);
        Ok(Self {
            name: channel.name.clone(),
            channel_id: channel.channel_id.clone(),
            url: kept(&channel.bonychat.webhook_url)?,
            headers,
            timeout: channel.bonychat.timeout,
            attachments,
            reach: channel.reach(),
            language,
            http,
            lease_deadline: LeaseDeadline::unlimited(),
        })
    }

    /// Returns it with a lease deadline for its calls.
    pub(crate) fn behind(self, lease_deadline: &LeaseDeadline) -> Self {
        Self { lease_deadline: lease_deadline.clone(), ..self }
    }

    async fn post(&self, body: Vec<u8>, event: &Event) -> Result<Called<Delivery>, reqwest::Error> {
        let sent = Bytes::from(body);
        let body = reqwest::Body::wrap(self.lease_deadline.guard(sent.clone()));
        let call = self.http.post(self.url.clone()).headers(self.headers.clone()).timeout(self.timeout).body(body);
        crashpoint::hit("webhook", crashpoint::BEFORE_CALL);
        let host = self.url.host_str().unwrap_or_default();
        let mut response = call.send().await.inspect_err(|error| {
            if error.is_connect() {
                trouble::began(host, error);
            }
        })?;
        trouble::ended(host);
        crashpoint::hit("webhook", crashpoint::AFTER_CALL);
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| clock::retry_after(value, clock::wall()));
        let charset = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let charset = charset.map_or(Charset::Undeclared, Charset::of_content_type);
        let response_body = charset.decoded(beginning(&mut response).await);
        let delivery = webhook_status::delivery(status, asked, &response_body);
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(
                channel_name = %self.name,
                event_id = %event.m_id,
                http_status = status.as_u16(),
                webhook_status = webhook_status::codes(&response_body, &sent),
                answer_bytes = response_body.len(),
                "BonyChat answered {} to event `{}`", status.as_u16(), event.m_id
            );
        }
        let excerpt = (delivery != Delivery::Done).then(|| self.excerpt(&response_body, &sent)).flatten();
        Ok(Called { outcome: delivery, response: Response { http: Some(status.as_u16()), excerpt } })
    }

    /// Returns what is kept of a response that is no success, for the journey of the event.
    fn excerpt(&self, response_body: &[u8], sent: &[u8]) -> Option<Excerpt> {
        let token = self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let values = webhook_status::values(sent);
        let values = values.iter().map(String::as_str).chain([token, self.url.as_str()]);
        Excerpt::new(&String::from_utf8_lossy(response_body), values)
    }
}

#[async_trait]
impl Webhook for WebhookClient {
    fn contents(&self, text: &str) -> Vec<Content> {
        inbound::contents(text, self.attachments.then_some(self.reach), self.language)
    }

    async fn publish(&self, contact: &ContactId, event: &Event) -> Called<Delivery> {
        let body = event_body(&self.channel_id, contact, event);
        self.post(body, event).await.unwrap_or_else(|error| {
            let error = error.without_url();
            tracing::debug!(
                channel_name = %self.name,
                event_id = %event.m_id,
                error = &error as &dyn std::error::Error,
                "no answer from BonyChat to event `{}`", event.m_id
            );
            webhook_status::no_response(&error).into()
        })
    }
}

/// Returns the start of a response body, as far as it arrived: an error while reading does not change what its status
/// means.
async fn beginning(response: &mut reqwest::Response) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_LIMIT_BYTES - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() == ANSWER_LIMIT_BYTES {
            break;
        }
    }
    read
}

/// Returns the URL as it will be sent, or why that differs from what was written. Only these may differ: white space
/// around it, upper case and non-ASCII letters of the host, a default port that was spelled out, and no path at all,
/// which is sent as `/`; all of them name the same resource for every server.
fn kept(written: &str) -> Result<Url, BadWebhook> {
    let written = written.trim();
    let url = Url::parse(written).map_err(|_| BadWebhook::NotAUrl)?;
    let (scheme, rest) = written.split_once("://").ok_or(BadWebhook::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") || !scheme.eq_ignore_ascii_case(url.scheme()) || !url.has_host() {
        return Err(BadWebhook::NotAUrl);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(BadWebhook::Extras);
    }
    let target = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    let sent = &url[Position::BeforePath..Position::AfterQuery];
    if sent == target || sent.strip_prefix('/') == Some(target) { Ok(url) } else { Err(BadWebhook::WouldChange) }
}
