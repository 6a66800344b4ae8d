//! Carries calls to Afilnet (afilnet.md section 2), and classifies calls without a response.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::classify::{Failure, HttpResponse, Outcome};
use super::intake::Intake;
use crate::config;
use crate::domain::clock::{retry_after, wall};
use crate::domain::lease_deadline::LeaseExpired;
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
#[expect(clippy::disallowed_methods, reason = "one of the two builders")]
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
pub(super) trait HttpTransport: Send + Sync {
    /// Returns the request, or why it cannot be made.
    fn request(&self, http: &Client, parameters: &[(&str, &str)]) -> Result<RequestBuilder, Fault>;

    /// Returns the account's user and password.
    fn credentials(&self) -> [&str; 2];
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

/// Returns the transport that `settings` name.
pub(super) fn transport(settings: &config::Afilnet) -> Box<dyn HttpTransport> {
    let endpoint =
        Endpoint { url: settings.url.clone(), user: settings.user.clone(), password: settings.password.clone() };
    match settings.transport {
        config::Transport::Post => Box::new(Post(endpoint)),
        config::Transport::Get => Box::new(Get(endpoint)),
        config::Transport::Basic => Box::new(Basic(Endpoint { url: basic_url(endpoint.url), ..endpoint })),
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
    fn credentials(&self) -> [&str; 2] {
        [&self.user, self.password.expose_secret()]
    }

    /// Returns `parameters` and the credentials in form encoding, `class` and `method` first as in Afilnet's samples.
    fn form(&self, parameters: &[(&str, &str)]) -> String {
        let (head, rest) = parameters.split_at(parameters.len().min(2));
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(head)
            .append_pair("user", &self.user)
            .append_pair("password", self.password.expose_secret())
            .extend_pairs(rest)
            .finish()
    }
}

impl HttpTransport for Post {
    fn request(&self, http: &Client, parameters: &[(&str, &str)]) -> Result<RequestBuilder, Fault> {
        Ok(form_post(http, &self.0.url, self.0.form(parameters)))
    }

    fn credentials(&self) -> [&str; 2] {
        self.0.credentials()
    }
}

impl HttpTransport for Get {
    fn request(&self, http: &Client, parameters: &[(&str, &str)]) -> Result<RequestBuilder, Fault> {
        let query = self.0.form(parameters);
        if query.len() > MOST_QUERY_BYTES {
            return Err(Fault::TooLong);
        }
        let mut url = self.0.url.clone();
        url.set_query(Some(&query));
        Ok(http.get(url))
    }

    fn credentials(&self) -> [&str; 2] {
        self.0.credentials()
    }
}

impl HttpTransport for Basic {
    fn request(&self, http: &Client, parameters: &[(&str, &str)]) -> Result<RequestBuilder, Fault> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        // reqwest marks the header as sensitive, so that it is not printed.
        Ok(form_post(http, &self.0.url, form).basic_auth(&self.0.user, Some(self.0.password.expose_secret())))
    }

    fn credentials(&self) -> [&str; 2] {
        self.0.credentials()
    }
}

fn form_post(http: &Client, url: &Url, form: String) -> RequestBuilder {
    http.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
}

/// Makes one call, once, unless `lease_deadline` has passed before its first byte. `intake` bounds its response.
pub(super) async fn exchange(
    http: &Client,
    transport: &dyn HttpTransport,
    parameters: &[(&str, &str)],
    timeout: Duration,
    lease_deadline: &LeaseDeadline,
    intake: &mut Intake,
) -> Outcome {
    let request = transport.request(http, parameters).map_err(Failure::Impossible)?;
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
    let response = http.execute(request).await.map_err(|error| {
        if error.is_connect() {
            trouble::began(&host, &error);
        }
        failure(&error)
    })?;
    trouble::ended(&host);
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Ok(HttpResponse {
        http: response.status().as_u16(),
        asked: header.and_then(|header| retry_after(header, wall())),
        body: body(response, intake).await,
    })
}

/// Returns the whole body, or why there is none.
async fn body(mut response: Response, intake: &mut Intake) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::with_capacity(intake.announced(response.content_length()).ok_or(Fault::NotUnderstood)?);
    while let Some(chunk) = response.chunk().await.map_err(|e| cut_short(&e))? {
        intake.admit(body.len() + chunk.len()).await.ok_or(Fault::NotUnderstood)?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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

/// Returns why no response came (afilnet.md section 4): a failed connect has sent no byte, any other failure may have.
pub(super) fn failure(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::BeforeSend(Fault::WrongService("request_not_built".into()));
    }
    if error.is_connect() {
        // rustls's error type is not accessible here; this is its text for a bad certificate (rustls 0.23).
        let certificate = links(error).any(|link| link.to_string().contains("invalid peer certificate"));
        return Failure::BeforeSend(if certificate { Fault::Certificate } else { Fault::Unreachable });
    }
    if links(error).any(<dyn std::error::Error>::is::<LeaseExpired>) {
        return Failure::BeforeSend(Fault::Interrupted);
    }
    Failure::AfterSend(if error.is_timeout() { Fault::TimedOut } else { Fault::ConnectionLost })
}

/// Returns the causes of `error`, outermost first, without `error` itself, which prints the URL.
fn links(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |link| (**link).source())
}
