//! Calls that carry no secret and change nothing: whether a host can be reached, by what certificate, at what time of its
//! own, and what it says to a stranger.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, DATE, LOCATION};
use reqwest::tls::TlsInfo;
use reqwest::{Method, StatusCode};
use url::Url;

use super::certificate;
use crate::domain::clock;
use crate::telemetry::{harmless, trouble};

/// Most bytes of an answer that are read.
const ANSWER_LIMIT_BYTES: usize = 512 * 1024;
/// A weekday that does not fit is ignored.
const PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// A host's response.
#[derive(Debug, Clone)]
pub(super) struct ProbeResponse {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: String,
    pub(super) took: Duration,
    /// How far its clock is ahead of this machine's, in milliseconds; `None` without a `Date` header.
    pub(super) ahead_ms: Option<i64>,
    /// Until when its certificate is good, where it has one.
    pub(super) certificate_until: Option<Timestamp>,
}

/// A call.
#[derive(Debug, Clone, Default)]
pub(super) struct ProbeRequest<'a> {
    pub(super) bearer: Option<&'a str>,
    pub(super) json: Option<String>,
}

/// Returns the client of these calls. It follows no redirect and repeats nothing.
#[expect(clippy::disallowed_methods, reason = "as those of the platforms, and it shows their certificates")]
pub(super) fn client(limit: Duration, ca: &[reqwest::Certificate]) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(limit)
        .tls_certs_merge(ca.iter().cloned())
        .tls_info(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"), " doctor"))
        .build()
}

/// Makes one call.
///
/// # Errors
/// The cause in words, and who has to fix it.
pub(super) async fn call(
    client: &reqwest::Client,
    method: Method,
    url: &Url,
    ProbeRequest { bearer, json }: ProbeRequest<'_>,
) -> Result<ProbeResponse, String> {
    let mut request = client.request(method, url.clone());
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    if let Some(json) = json {
        request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(json);
    }
    let started = Instant::now();
    let mut response = request.send().await.map_err(|error| cause(url, error))?;
    let took = started.elapsed();
    let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let certificate_until = certificate.and_then(certificate::not_after);
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let date = header(DATE).and_then(|date| PARSER.parse_timestamp(date).ok());
    let ahead_ms = date.map(|date| date.as_millisecond().saturating_sub(clock::wall_ms()));
    let (status, location) = (response.status(), header(LOCATION).map(harmless));
    let content_type = header(CONTENT_TYPE).map(str::to_owned);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT_BYTES {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(ProbeResponse { status, location, content_type, body, took, ahead_ms, certificate_until })
}

/// Returns why a call had no answer, in words.
fn cause(url: &Url, error: reqwest::Error) -> String {
    let host = url.host_str().unwrap_or_default();
    let error = error.without_url();
    if error.is_connect() {
        trouble::began(host, &error);
        return trouble::of(host).map_or_else(|| "it cannot be reached".to_owned(), |words| format!("{host}: {words}"));
    }
    let what = if error.is_timeout() { "it did not answer in time" } else { "the connection broke off" };
    format!("{host}: {what}")
}

/// Returns the address of a host alone: `https://host:port/`.
pub(super) fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    let _ = (origin.set_username(""), origin.set_password(None)); // only a URL without a host refuses that
    origin
}
