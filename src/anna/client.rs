//! Calls to AnnA: over one client, with one token, few at a time, none while it fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use super::circuit_breaker::{CircuitBreaker, Conclusion};
use super::error::{self, AnnaError};
use super::token::{Token, Tokens};
use super::wire::{self, Endpoint, Request};
use crate::config;
use crate::domain::clock::{retry_after, wall};
use crate::telemetry::metrics;

/// Longest call, from connecting to the last byte. A message waits for `anna.budget` at most.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MOST_BYTES: usize = 256 << 10;

/// Returns the HTTP client for AnnA. `ca` is trusted beside the system's roots. Nothing is repeated or followed: a
/// redirect would carry the bearer token elsewhere (anna.md section 5).
#[expect(clippy::disallowed_methods, reason = "one of the builders")]
fn http(ca: &[reqwest::Certificate]) -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(LONGEST_CALL / 2)
        .timeout(LONGEST_CALL)
        .tls_certs_merge(ca.iter().cloned())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(3))
        .user_agent(concat!("bonychat-afilnet-bridge/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// One company at AnnA.
pub(crate) struct AnnaClient {
    pub(super) settings: config::Anna,
    http: Client,
    /// Locked by whoever renews the token: there is one renewal at a time.
    tokens: Arc<Mutex<Tokens>>,
    breaker: CircuitBreaker,
    parallel: Semaphore,
}

impl AnnaClient {
    pub(crate) fn new(settings: &config::Anna) -> Result<Arc<Self>, reqwest::Error> {
        Ok(Arc::new(Self {
            http: http(&settings.ca)?,
            tokens: Arc::default(),
            breaker: CircuitBreaker::new(settings.budget.min(LONGEST_CALL)),
            parallel: Semaphore::new(settings.max_parallel),
            settings: settings.clone(),
        }))
    }

    /// Makes one call with the token, and returns its payload; `Null` where the endpoint has none.
    pub(crate) async fn ask(self: &Arc<Self>, request: &Request<'_>) -> Result<Value, AnnaError> {
        self.ask_for(request, |payload| Ok(payload.clone())).await
    }

    /// Makes one call with the token, and returns what `read` makes of its payload: what it does not accept counts as
    /// any other failure of the call. Where AnnA does not accept the token, it is renewed and the call made again, once
    /// (anna.md section 3); where it does not accept a token that it has just given, it refuses this call.
    pub(super) async fn ask_for<T: Send>(
        self: &Arc<Self>,
        request: &Request<'_>,
        read: impl Fn(&Value) -> Result<T, AnnaError> + Send + Sync,
    ) -> Result<T, AnnaError> {
        let endpoint = request.endpoint();
        let body = request.body(self.settings.company_hash.expose_secret());
        let mut again = false;
        loop {
            let (token, new) = self.token().await?;
            let why = match self.exchange(endpoint, body.clone(), Some(&token), request.person(), &read).await {
                Err(AnnaError::Auth(why)) => why,
                other => return other,
            };
            if !self.tokens.lock().await.refused(&token, new || again) {
                let message = format!("{why}, though the token is new");
                return Err(AnnaError::Api { message, other_reason: true, server: false });
            }
            again = true;
        }
    }

    /// Gets a token, and returns how long it is used.
    pub(crate) async fn token_lifetime(self: &Arc<Self>) -> Result<Duration, AnnaError> {
        Ok(self.token().await?.0.lifetime())
    }

    /// Returns the token, renewed where it is due, and whether it was. The renewal goes on though its caller has given
    /// up: others wait for it.
    async fn token(self: &Arc<Self>) -> Result<(Token, bool), AnnaError> {
        let tokens = Arc::clone(&self.tokens).lock_owned().await;
        if let Some(known) = tokens.known() {
            return known.map(|token| (token, false));
        }
        let this = Arc::clone(self);
        let renewal = tokio::spawn(async move { this.renew(tokens).await });
        let renewed = renewal.await.unwrap_or(Err(AnnaError::Transport("the renewal of the token broke off".into())));
        renewed.map(|token| (token, true))
    }

    async fn renew(&self, mut tokens: OwnedMutexGuard<Tokens>) -> Result<Token, AnnaError> {
        let settings = &self.settings;
        let body =
            wire::login(settings.company_hash.expose_secret(), &settings.user, settings.password.expose_secret());
        let read = |data: &Value| Token::read(data, wall()).ok_or(AnnaError::Protocol("GetToken brought no token"));
        tokens.keep(self.exchange(Endpoint::GetToken, body, None, ["", ""], read).await)
    }

    /// Makes one call about a person, once.
    async fn exchange<T>(
        &self,
        endpoint: Endpoint,
        body: Vec<u8>,
        token: Option<&Token>,
        person: [&str; 2],
        read: impl Fn(&Value) -> Result<T, AnnaError>,
    ) -> Result<T, AnnaError> {
        let _place = self.parallel.acquire().await.map_err(|_| AnnaError::Transport("the client is closed".into()))?;
        let Some(admission) = self.breaker.admit() else { return Err(AnnaError::Open) };
        let answered = self.post(endpoint, body, token).await.and_then(|(status, asked, body)| {
            let (settings, [user_id, doc_value]) = (&self.settings, person);
            let (hash, password) = (settings.company_hash.expose_secret(), settings.password.expose_secret());
            let bearer = token.map_or("", |token| token.value().expose_secret());
            let private = [hash, &settings.user, password, bearer, user_id, doc_value];
            wire::classify(endpoint, status, asked, &body, &private).and_then(|payload| read(&payload))
        });
        admission.conclude(Conclusion::of(&answered));
        let outcome = answered.as_ref().err().map_or("ok", AnnaError::class);
        metrics::anna::call(endpoint.name(), outcome);
        tracing::debug!(anna_endpoint = endpoint.name(), outcome, "AnnA was asked");
        answered
    }

    async fn post(
        &self,
        endpoint: Endpoint,
        body: Vec<u8>,
        token: Option<&Token>,
    ) -> Result<(u16, Option<Duration>, Bytes), AnnaError> {
        let url = self.settings.base_url.join(endpoint.path()).map_err(|_| AnnaError::Protocol("no such address"))?;
        let host = self.settings.base_url.host_str().unwrap_or_default();
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(body);
        let request = match token {
            Some(token) => request.bearer_auth(token.value().expose_secret()), // a header that is never printed
            None => request,
        };
        let response = request.send().await.map_err(|error| error::no_response(host, &error))?;
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = header.and_then(|header| retry_after(header, wall()));
        Ok((status, asked, read(response).await?))
    }
}

/// Reads the whole body.
async fn read(mut response: Response) -> Result<Bytes, AnnaError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error::no_response("", &error))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(AnnaError::Protocol("the answer is longer than 256 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(url: &str) -> String {
        let host = url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
        let client = http(&[]).unwrap();
        error::no_response(&host, &client.get(url).send().await.unwrap_err()).to_string()
    }

    #[tokio::test]
    async fn why_anna_cannot_be_reached_is_said_in_plain_words() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = asked(&format!("http://{nobody}/")).await;
        assert!(refused.contains("127.0.0.1: the connection was refused: nothing listens at that port"), "{refused}");
        // Some machines have no DNS server that could say so.
        let unknown = asked("http://anna.invalid/").await;
        let causes = ["anna.invalid: there is no such host", "anna.invalid: its name could not be looked up"];
        assert!(causes.iter().any(|cause| unknown.contains(cause)), "{unknown}");
        for words in [refused, unknown] {
            assert!(words.contains("check anna.base_url") && !words.contains("os error"), "{words}");
        }
    }
}
