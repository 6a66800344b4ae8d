//! `GET /live`: what happened in the last minutes, and what happens from then on, by server-sent events. Without script the page
//! shows the former, and is loaded again by hand.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::OperatorState;
use super::form::Form;
use super::page::{Page, html};
use super::reply::refused;
use super::stream::{self, Writer};
use super::words::{self, Moment, moment, way};
use crate::config::Config;
use crate::domain::Language;
use crate::ops::find::Refusal;
use crate::ops::live::{LISTENERS, Listener, LiveUpdate, recent, since};
use crate::ops::sign_in::Person;
use crate::ops::tail::{TailLine, TailPosition};

/// Proxies close a connection on which nothing comes for a minute.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// A stream ends after this time, and the browser connects again: with a cookie that may have expired.
const LONGEST: Duration = Duration::from_mins(30);
/// Events that wait for a connection, at most; what comes then waits with the lines of all listeners.
const AHEAD: usize = 16;

#[derive(Template)]
#[template(path = "live.html", config = "src/http/ops/askama.toml")]
struct Shows<'a> {
    page: &'a Page,
    rows: Vec<Row>,
    /// What is said where more happened than is shown.
    left_out: Option<String>,
    /// From which the stream goes on.
    position: TailPosition,
}

/// Something that happened.
struct Row {
    key: String,
    m_id: String,
    at: Moment,
    channel: String,
    contact: String,
    sign: &'static str,
    way: &'static str,
    words: String,
}

impl Row {
    fn new(language: Language, config: &Config, line: &TailLine) -> Self {
        let (sign, way) = way(language, line.side);
        Self {
            key: line.key.clone(),
            m_id: line.m_id.clone(),
            at: moment(&config.time_zone_of(&line.channel), line.at_ms),
            channel: line.channel.clone(),
            contact: line.contact.clone(),
            sign,
            way,
            words: line.words_in(language).to_owned(),
        }
    }
}

/// `GET /live`
pub(super) async fn show(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
) -> Response {
    let config = shared.config();
    let sees_all = person.channels().is_none();
    match recent(shared.store(), &config, sees_all, |line| person.sees(&line.channel)).await {
        Ok((seen, position)) => {
            let rows = seen.lines.iter().map(|line| Row::new(page.language, &config, line)).collect();
            let left_out = seen.left_out.map(|lines| left_out(page.language, lines));
            html(StatusCode::OK, &Shows { page: &page, rows, left_out, position })
        }
        Err(Refusal::Store(error)) => words::unreadable(&page, &error),
        Err(refusal) => refused(StatusCode::BAD_REQUEST, &refusal.words("")),
    }
}

/// Returns the sentence on lines that were left out; 0: the number is not known.
fn left_out(language: Language, lines: u64) -> String {
    match (language, lines) {
        (Language::En, 0) => "More happened than is shown here.".to_owned(),
        (Language::Es, 0) => "Pasó más de lo que se muestra aquí.".to_owned(),
        (Language::En, lines) => format!("More happened than is shown here; lines left out, at least: {lines}."),
        (Language::Es, lines) => format!("Pasó más de lo que se muestra aquí; líneas que faltan, al menos: {lines}."),
    }
}

/// `GET /live/events?from=`: lines as they happen, `text/event-stream`; first those since a position, of the page or, where a browser
/// connects again, of the last line that it had. Some may be repeated, under the same key. Ends when the bridge stops.
pub(super) async fn events(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let config = shared.config();
    let query = Form::parse(uri.query().unwrap_or_default().as_bytes());
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok());
    let from = last.or(query.get("from")).and_then(|position| position.parse().ok());
    let Some(listener) = shared.listen(&config) else {
        let mut response = refused(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!(
                "{LISTENERS} pages look at what happens already: close one of them, or load this one again by hand"
            ),
        );
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        return response;
    };
    let (sender, body) = stream::body(AHEAD);
    let feed = Feed { sender, person, language: page.language, config, shared: Arc::clone(&shared) };
    tokio::spawn(feed.run(listener, from, shared.stopping().clone()));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // nginx passes on at once what it would gather.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What is written to one connection.
struct Feed {
    sender: Writer,
    person: Person,
    language: Language,
    config: Arc<Config>,
    shared: Arc<OperatorState>,
}

impl Feed {
    /// Ends with the connection, at the stop of the bridge, or after [`LONGEST`].
    async fn run(self, listener: Listener, from: Option<TailPosition>, stopping: CancellationToken) {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(LONGEST) => {}
            () = self.sender.closed() => {}
            () = self.pass_on(listener, from) => {}
        }
    }

    async fn pass_on(&self, mut listener: Listener, mut from: Option<TailPosition>) {
        let mut text = "retry: 3000\nevent: begins\ndata: {}\n\n".to_owned();
        loop {
            if self.sender.send(Ok(text.into())).await.is_err() {
                return;
            }
            text = loop {
                tokio::select! {
                    // What was missed is read once later updates are sent: nothing is lost between.
                    () = listener.begun(), if from.is_some() => {
                        if let Some(position) = from.take() {
                            break self.missed(position).await;
                        }
                    }
                    heard = listener.next() => match heard {
                        None => return,
                        Some(heard) => if let Some(event) = self.event(&heard) {
                            break event;
                        },
                    },
                    () = tokio::time::sleep(ALIVE_EVERY) => break ":\n\n".to_owned(),
                }
            };
        }
    }

    /// Returns what happened since a position.
    async fn missed(&self, position: TailPosition) -> String {
        let sees_all = self.person.channels().is_none();
        match since(self.shared.store(), &self.config, position, sees_all, |line| self.person.sees(&line.channel)).await
        {
            Ok(seen) => {
                let gap = seen.left_out.map(|lines| self.gap(lines)).unwrap_or_default();
                seen.lines.iter().fold(gap, |text, line| text + &self.line(line))
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "what a page has missed could not be read");
                self.gap(0)
            }
        }
    }

    fn gap(&self, lines: u64) -> String {
        format!("event: gap\ndata: {}\n\n", json!({ "words": left_out(self.language, lines) }))
    }

    /// Returns what is written of it; `None` where this person does not see it.
    fn event(&self, heard: &LiveUpdate) -> Option<String> {
        Some(match heard {
            // Of all channels.
            LiveUpdate::LeftOut(lines) => self.gap(if self.person.channels().is_none() { *lines } else { 0 }),
            LiveUpdate::Unreadable => "event: unreadable\ndata: {}\n\n".to_owned(),
            LiveUpdate::Position(position) => format!("id: {position}\n\n"),
            LiveUpdate::TailLine(line) => return self.person.sees(&line.channel).then(|| self.line(line)),
        })
    }

    fn line(&self, line: &TailLine) -> String {
        let Row { key, m_id, at, channel, contact, sign, way, words } = Row::new(self.language, &self.config, line);
        let data = json!({
            "key": key, "mId": m_id, "local": at.local, "utc": at.utc, "channel": channel, "contact": contact,
            "sign": sign, "way": way, "words": words,
        });
        // JSON has no line ends of its own: one field of one line.
        format!("event: line\ndata: {data}\n\n")
    }
}
