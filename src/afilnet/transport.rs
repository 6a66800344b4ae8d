//! Carries calls to Afilnet (afilnet.md section 2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;

use super::classify::{Failure, HttpResponse, Outcome};
use super::failure::{failure, links};
use super::intake::{Intake, READ_AT_ONCE};
use super::oauth::{AccessTokens, OAuth};
use super::soap;
use super::withheld::basic_credentials;
use crate::config;
use crate::domain::charset::Charset;
use crate::domain::clock::{retry_after, wall};
use crate::domain::{Fault, LeaseDeadline};
use crate::telemetry::trouble;

/// Longest query of a GET. Afilnet takes about 4,000 characters in all (afilnet.md 2.2).
const MOST_QUERY_BYTES: usize = 3000;

/// Returns the HTTP client of all channels. `timeout` bounds a call from connect to last byte: the shortest of the
/// channels that share the client. `ca` is trusted beside the system's roots.
///
/// Connecting may take half of it, so that a slow connect is recognised, and as not sent. There are no retries or
/// redirects: a redirect would carry credentials elsewhere, and a retry could send twice. Idle connections are closed
/// after 3 s, because Apache closes its own after 5 s, and a send on a closing connection has an unknown outcome.
#[expect(clippy::disallowed_methods, reason = "the builder of this platform's clients")]
pub(crate) fn client(timeout: Duration, ca: &[reqwest::Certificate]) -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout((timeout / 2).min(Duration::from_secs(5)))
        .timeout(timeout)
        .tls_certs_merge(ca.iter().cloned())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(3))
        .user_agent(concat!("bonychat-afilnet-bridge/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// One transport of a call. The parameters do not include credentials.
#[async_trait]
pub(super) trait HttpTransport: Send + Sync {
    /// Returns the request, or why it cannot be made. `timeout` bounds the call that it may need first.
    async fn request(
        &self,
        http: &Client,
        parameters: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<RequestBuilder, Failure>;

    /// Returns whether a request can carry so much.
    fn fits(&self, _parameters: &[(&str, &str)]) -> bool {
        true
    }

    /// Returns whether a request that was refused with 401 can be made again with other credentials than those in its
    /// `Authorization` header.
    fn renew(&self, _authorization: Option<&HeaderValue>) -> bool {
        false
    }

    /// Takes new credentials for the next call, where it can: Afilnet refused those of the last.
    fn forget_credentials(&self) {}

    /// Returns what makes the JSON envelope of afilnet.md 2.1 from the body of a response, if it is not the body itself.
    fn envelope(&self) -> Option<fn(Vec<u8>) -> Vec<u8>> {
        None
    }

    /// Returns the values that nothing may repeat: the account's user and password, and what stands for them.
    fn secrets(&self) -> Vec<String>;
}

/// URL and credentials.
struct Endpoint {
    url: Url,
    user: String,
    password: SecretString,
}

/// Credentials and parameters in a form body (afilnet.md 2.3).
struct Post(Endpoint);
/// Everything in the URL; diagnostics only (afilnet.md 2.2).
struct Get(Endpoint);
/// Credentials in a header that is never logged, parameters in a form body (afilnet.md 2.4).
struct Basic(Endpoint);

/// An access token in a header that is never logged, parameters in a JSON object (afilnet.md 2.6).
struct Json {
    endpoint: Endpoint,
    oauth: Arc<OAuth>,
}

/// Credentials and parameters as elements (afilnet.md 2.5).
struct Soap {
    endpoint: Endpoint,
    settings: config::Soap,
}

/// Returns the transport that `settings` name. `tokens` is shared by all channels.
pub(super) fn transport(settings: &config::Afilnet, tokens: &AccessTokens) -> Box<dyn HttpTransport> {
    let endpoint =
        Endpoint { url: settings.url.clone(), user: settings.user.clone(), password: settings.password.clone() };
    match &settings.transport {
        config::Transport::Post => Box::new(Post(endpoint)),
        config::Transport::Get => Box::new(Get(endpoint)),
        config::Transport::Basic => Box::new(Basic(Endpoint { url: basic_url(endpoint.url), ..endpoint })),
        config::Transport::Json(oauth) => {
            let oauth = tokens.of(oauth, &endpoint.user, &endpoint.password);
            Box::new(Json { endpoint, oauth })
        }
        config::Transport::Soap(soap) => Box::new(Soap { endpoint, settings: soap.clone() }),
    }
}

/// Returns the URL for Basic: `/api/basic/` in place of `/api/http/` (afilnet.md section 2).
fn basic_url(mut url: Url) -> Url {
    if let Some(stem) = url.path().strip_suffix("/api/http/").map(str::to_owned) {
        url.set_path(&format!("{stem}/api/basic/"));
    }
    url
}

impl Endpoint {
    fn secrets(&self) -> Vec<String> {
        vec![self.user.clone(), self.password.expose_secret().to_owned()]
    }

    /// Returns `parameters` and the credentials, `class` and `method` first as in Afilnet's samples.
    fn all<'a>(&'a self, parameters: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (head, rest) = parameters.split_at(parameters.len().min(2));
        let own = [("user", self.user.as_str()), ("password", self.password.expose_secret())];
        head.iter().copied().chain(own).chain(rest.iter().copied())
    }

    /// As [`Self::all`], in form encoding.
    fn form(&self, parameters: &[(&str, &str)]) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.all(parameters)).finish()
    }
}

#[async_trait]
impl HttpTransport for Post {
    async fn request(
        &self,
        http: &Client,
        parameters: &[(&str, &str)],
        _timeout: Duration,
    ) -> Result<RequestBuilder, Failure> {
        Ok(form_post(http, &self.0.url, self.0.form(parameters)))
    }

    fn secrets(&self) -> Vec<String> {
        self.0.secrets()
    }
}

#[async_trait]
impl HttpTransport for Get {
    async fn request(
        &self,
        http: &Client,
        parameters: &[(&str, &str)],
        _timeout: Duration,
    ) -> Result<RequestBuilder, Failure> {
        if !self.fits(parameters) {
            return Err(Failure::Impossible(Fault::TooLong));
        }
        let query = self.0.form(parameters);
        let mut url = self.0.url.clone();
        url.set_query(Some(&query));
        Ok(http.get(url))
    }

    fn fits(&self, parameters: &[(&str, &str)]) -> bool {
        self.0.form(parameters).len() <= MOST_QUERY_BYTES
    }

    fn secrets(&self) -> Vec<String> {
        self.0.secrets()
    }
}

#[async_trait]
impl HttpTransport for Basic {
    async fn request(
        &self,
        http: &Client,
        parameters: &[(&str, &str)],
        _timeout: Duration,
    ) -> Result<RequestBuilder, Failure> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        // reqwest marks the header as sensitive, so that it is not printed.
        Ok(form_post(http, &self.0.url, form).basic_auth(&self.0.user, Some(self.0.password.expose_secret())))
    }

    fn secrets(&self) -> Vec<String> {
        let Endpoint { user, password, .. } = &self.0;
        let header = basic_credentials(user, password.expose_secret());
        self.0.secrets().into_iter().chain([header]).collect()
    }
}

#[async_trait]
impl HttpTransport for Json {
    async fn request(
        &self,
        http: &Client,
        parameters: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<RequestBuilder, Failure> {
        let token = self.oauth.token(http, timeout).await?;
        let object: Map<String, Value> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        let request = http.post(self.endpoint.url.clone()).header(CONTENT_TYPE, "application/json");
        Ok(request.bearer_auth(token.expose_secret()).body(Value::Object(object).to_string()))
    }

    fn renew(&self, authorization: Option<&HeaderValue>) -> bool {
        let token = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        token.is_some_and(|token| {
            self.oauth.refused(token);
            true
        })
    }

    fn forget_credentials(&self) {
        self.oauth.forget();
    }

    fn secrets(&self) -> Vec<String> {
        self.endpoint.secrets().into_iter().chain(self.oauth.secrets()).collect()
    }
}

#[async_trait]
impl HttpTransport for Soap {
    async fn request(
        &self,
        http: &Client,
        parameters: &[(&str, &str)],
        _timeout: Duration,
    ) -> Result<RequestBuilder, Failure> {
        let body = soap::request(&self.settings, self.endpoint.all(parameters));
        let body = body.ok_or_else(|| Failure::Impossible(Fault::Other("NOT_XML_TEXT".into())))?;
        let request = http.post(self.endpoint.url.clone()).header(CONTENT_TYPE, "text/xml; charset=utf-8");
        Ok(request.header("SOAPAction", format!("\"{}\"", self.settings.action)).body(body))
    }

    fn envelope(&self) -> Option<fn(Vec<u8>) -> Vec<u8>> {
        Some(soap::envelope)
    }

    fn secrets(&self) -> Vec<String> {
        self.endpoint.secrets()
    }
}

fn form_post(http: &Client, url: &Url, form: String) -> RequestBuilder {
    http.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
}

/// Makes one call unless `lease_deadline` has passed before its first byte. `intake` bounds its response. The call is made
/// once; again only if it was refused with 401, so that it was not carried out, and [`HttpTransport::renew`] allows it.
pub(super) async fn exchange(
    http: &Client,
    transport: &dyn HttpTransport,
    parameters: &[(&str, &str)],
    timeout: Duration,
    lease_deadline: &LeaseDeadline,
    intake: &mut Intake,
) -> Outcome {
    let request = transport.request(http, parameters, timeout).await?;
    let (mut response, authorization) = execute(http, request, timeout, lease_deadline).await?;
    if response.status() == StatusCode::UNAUTHORIZED && transport.renew(authorization.as_ref()) {
        let request = transport.request(http, parameters, timeout).await?;
        (response, _) = execute(http, request, timeout, lease_deadline).await?;
    }
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.map(str::to_owned);
    let charset = content_type.as_deref().map_or(Charset::Undeclared, Charset::of_content_type);
    report_unknown(&charset);
    Ok(HttpResponse {
        http: response.status().as_u16(),
        asked: header.and_then(|header| retry_after(header, wall())),
        content_type,
        body: match body(response, &charset, intake).await {
            Ok(body) => as_json(body, charset == Charset::Undeclared, transport.envelope()).await,
            Err(fault) => Err(fault),
        },
    })
}

/// Logs once in this process that a response declares a character set that is not known.
fn report_unknown(charset: &Charset) {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if let Charset::Unknown(label) = charset
        && !REPORTED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(
            charset = label,
            "Afilnet declares its answers to be in the character set `{label}`, which is not known; they are read as UTF-8, \
             and signs beyond ASCII may be damaged. Tell Afilnet"
        );
    }
}

/// Sends `request` once. Returns the response, and the `Authorization` header that was sent.
async fn execute(
    http: &Client,
    request: RequestBuilder,
    timeout: Duration,
    lease_deadline: &LeaseDeadline,
) -> Result<(Response, Option<HeaderValue>), Failure> {
    let mut request = request.timeout(timeout).build().map_err(|e| failure(&e))?;
    if !lease_deadline.is_valid() {
        return Err(Failure::BeforeSend(Fault::Interrupted));
    }
    if let Some(body) = request.body_mut()
        && let Some(bytes) = body.as_bytes()
    {
        *body = Body::wrap(lease_deadline.guard(Bytes::copy_from_slice(bytes)));
    }
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let authorization = request.headers().get(AUTHORIZATION).cloned();
    let response = http.execute(request).await.map_err(|error| {
        if error.is_connect() {
            trouble::began(&host, &error);
        }
        failure(&error)
    })?;
    trouble::ended(&host);
    Ok((response, authorization))
}

/// Returns the body as the JSON envelope, made by `envelope` on a blocking thread if it is long. Where the header declared no
/// character set (`undeclared`), an XML declaration counts; otherwise the body is UTF-8 by now, whatever that declares
/// (RFC 7303 section 3).
async fn as_json(body: Vec<u8>, undeclared: bool, envelope: Option<fn(Vec<u8>) -> Vec<u8>>) -> Result<Vec<u8>, Fault> {
    let Some(envelope) = envelope else { return Ok(body) };
    let charset = if undeclared { Charset::of_xml(&body) } else { Charset::Utf8 };
    report_unknown(&charset);
    let length = body.len();
    let make = move || envelope(charset.decoded(body));
    if length <= READ_AT_ONCE {
        return Ok(make());
    }
    tokio::task::spawn_blocking(make).await.map_err(|_| Fault::NotUnderstood)
}

/// Returns the whole body as UTF-8, or why there is none.
async fn body(mut response: Response, charset: &Charset, intake: &mut Intake) -> Result<Vec<u8>, Fault> {
    let mut body = charset.body(intake.announced(response.content_length()).ok_or(Fault::NotUnderstood)?);
    while let Some(chunk) = response.chunk().await.map_err(|e| cut_short(&e))? {
        intake.admit(body.len() + chunk.len()).await.ok_or(Fault::NotUnderstood)?;
        body.push(&chunk);
    }
    Ok(body.finish())
}

/// Returns why a body ended early: by timeout, by a broken connection, or by an orderly end before its announced
/// length.
fn cut_short(error: &reqwest::Error) -> Fault {
    let broke = |link: &std::io::Error| link.kind() != std::io::ErrorKind::UnexpectedEof;
    if error.is_timeout() {
        Fault::TimedOut
    } else if links(error).any(|link| link.downcast_ref().is_some_and(broke)) {
        Fault::ConnectionLost
    } else {
        Fault::NotUnderstood
    }
}
