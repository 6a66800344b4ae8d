//! The access token of the JSON transport (OAuth 2.0, RFC 6749 sections 4.3 and 4.4; afilnet.md 2.6): in memory only, one
//! request for it at a time. Afilnet publishes none of it, so all of it is configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::classify::Failure;
use super::failure::failure;
use super::withheld::basic_credentials;
use crate::config;
use crate::domain::Fault;
use crate::telemetry::trouble;

/// Lifetime of a token without `expires_in`.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(10);
/// Shortest and longest lifetime that is believed.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_hours(24);
/// Most bytes of the token endpoint's response.
const MOST_BYTES: usize = 64 << 10;

/// The access tokens of all channels: one for each account, because a new token may end an older one.
#[derive(Default)]
pub(crate) struct AccessTokens(Mutex<HashMap<String, Arc<OAuth>>>);

impl AccessTokens {
    /// Returns the token of `user`. The settings are the same for all accounts.
    pub(super) fn of(&self, settings: &config::OAuth, user: &str, password: &SecretString) -> Arc<OAuth> {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(OAuth::new(settings.clone(), user.to_owned(), password.clone()));
        Arc::clone(tokens.entry(user.to_owned()).or_insert_with(new))
    }
}

/// A token, and until when it is used.
#[derive(Debug, Clone)]
struct AccessToken {
    value: SecretString,
    renew_at: Instant,
}

/// The token of one account.
pub(super) struct OAuth {
    settings: config::OAuth,
    user: String,
    password: SecretString,
    current: Mutex<Option<AccessToken>>,
    /// The one before it: a response that comes late may quote it.
    former: Mutex<Option<SecretString>>,
    /// Held by the call that asks for a token; when the last one failed, and why.
    request: tokio::sync::Mutex<Option<(Instant, Fault)>>,
}

impl OAuth {
    fn new(settings: config::OAuth, user: String, password: SecretString) -> Self {
        let (current, former, request) = (Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self { settings, user, password, current, former, request }
    }

    fn current(&self) -> MutexGuard<'_, Option<AccessToken>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Option<SecretString> {
        self.current().as_ref().filter(|token| Instant::now() < token.renew_at).map(|token| token.value.clone())
    }

    /// Returns the token, and asks for one if there is none or it is old. A failure is always one before the send: no
    /// message has left. Callers that waited for the same request share its failure, so that nobody waits longer than
    /// two timeouts.
    pub(super) async fn token(&self, http: &Client, timeout: Duration) -> Result<SecretString, Failure> {
        if let Some(token) = self.usable() {
            return Ok(token);
        }
        let since = Instant::now();
        let mut failed = self.request.lock().await;
        if let Some(token) = self.usable() {
            return Ok(token);
        }
        if let Some((_, fault)) = failed.as_ref().filter(|(at, _)| *at >= since) {
            return Err(Failure::BeforeSend(fault.clone()));
        }
        match self.fetch(http, timeout).await {
            Ok(token) => {
                self.retire(self.current().replace(token.clone()));
                Ok(token.value)
            }
            Err(fault) => {
                *failed = Some((Instant::now(), fault.clone()));
                Err(Failure::BeforeSend(fault))
            }
        }
    }

    /// Drops `token`, which Afilnet refused, unless there is a newer one already.
    pub(super) fn refused(&self, token: &str) {
        self.retire(self.current().take_if(|current| current.value.expose_secret() == token));
    }

    /// Drops the token, whichever it is.
    pub(super) fn forget(&self) {
        self.retire(self.current().take());
    }

    fn former(&self) -> MutexGuard<'_, Option<SecretString>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retire(&self, token: Option<AccessToken>) {
        if let Some(token) = token {
            *self.former() = Some(token.value);
        }
    }

    /// Returns the values that nothing may repeat.
    pub(super) fn secrets(&self) -> Vec<String> {
        let current = self.current().as_ref().map(|token| token.value.expose_secret().to_owned());
        let former = self.former().as_ref().map(|token| token.expose_secret().to_owned());
        let (id, secret) = (&self.settings.client_id, self.settings.client_secret.expose_secret());
        let own = [id.clone(), secret.to_owned(), basic_credentials(id, secret)];
        own.into_iter().chain(current).chain(former).collect()
    }

    /// Returns the body of the request for a token.
    fn form(&self) -> String {
        let settings = &self.settings;
        let mut form = form_urlencoded::Serializer::new(String::new());
        match settings.grant {
            config::Grant::ClientCredentials => form.append_pair("grant_type", "client_credentials"),
            config::Grant::Password => form
                .append_pair("grant_type", "password")
                .append_pair("username", &self.user)
                .append_pair("password", self.password.expose_secret()),
        };
        if !settings.scope.is_empty() {
            form.append_pair("scope", &settings.scope);
        }
        form.finish()
    }

    async fn fetch(&self, http: &Client, timeout: Duration) -> Result<AccessToken, Fault> {
        let settings = &self.settings;
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (id, secret) = (encoded(&settings.client_id), encoded(settings.client_secret.expose_secret()));
        let request = http
            .post(settings.token_url.clone())
            .basic_auth(id, Some(secret)) // every server must support it (RFC 6749 section 2.3.1)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .timeout(timeout)
            .body(self.form());
        let host = settings.token_url.host_str().unwrap_or_default();
        let mut response = request.send().await.map_err(|error| {
            if error.is_connect() {
                trouble::began(host, &error);
            }
            // This call sends no message, so its effect does not matter.
            match failure(&error) {
                Failure::BeforeSend(fault) | Failure::AfterSend(fault) | Failure::Impossible(fault) => fault,
            }
        })?;
        trouble::ended(host);
        match response.status().as_u16() {
            200..=299 => {}
            status @ (400 | 401 | 403) => return Err(Fault::Credentials(format!("oauth_{status}"))),
            429 => return Err(Fault::Busy),
            status @ (300..=399 | 404) => return Err(Fault::WrongService(format!("oauth_{status}"))),
            status => return Err(Fault::Http(status)),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| Fault::NotUnderstood)? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(Fault::NotUnderstood);
            }
        }
        read(&body).ok_or(Fault::NotUnderstood)
    }
}

/// Returns the token of a successful response (RFC 6749 section 5.1).
fn read(body: &[u8]) -> Option<AccessToken> {
    let response: Value = serde_json::from_slice(body).ok()?;
    let kind = response.get("token_type").and_then(Value::as_str).unwrap_or("bearer");
    let value = response.get("access_token")?.as_str()?;
    let legal = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
    if !kind.eq_ignore_ascii_case("bearer") || !legal {
        return None;
    }
    let expires_in = match response.get("expires_in") {
        Some(Value::Number(seconds)) => seconds.as_u64(),
        Some(Value::String(seconds)) => seconds.trim().parse().ok(),
        _ => None,
    };
    let lifetime = expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs).clamp(SHORTEST, LONGEST);
    Some(AccessToken { value: value.to_owned().into(), renew_at: Instant::now() + lifetime * 4 / 5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_bearer_token_with_or_without_a_lifetime() {
        for good in [
            r#"{"access_token":"a.b-c","token_type":"Bearer","expires_in":3600}"#,
            r#"{"access_token":"t","expires_in":"60"}"#,
            r#"{"access_token":"t","token_type":"bearer","refresh_token":"r"}"#,
        ] {
            assert!(read(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":5}"#,
            r#"{"access_token":"t","token_type":"mac"}"#,
            r#"{"error":"invalid_client"}"#,
        ] {
            assert!(read(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_used_for_four_fifths_of_a_believable_lifetime() {
        for (expires_in, seconds) in [("3600", 2880_u32), ("0", 8), ("99999999", 69_120), ("\"60\"", 48), ("null", 480)]
        {
            let body = format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
            let used = read(body.as_bytes()).unwrap().renew_at.duration_since(Instant::now());
            assert!(used.as_secs_f64() > f64::from(seconds) - 5.0 && used <= Duration::from_secs(seconds.into()));
        }
    }
}
