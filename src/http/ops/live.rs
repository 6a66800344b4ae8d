//! `GET /live`: what happened in the last minutes, and what happens from then on, by server-sent events. Without script the page
//! shows the former, and is loaded again by hand.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::OperatorState;
use super::page::{Page, html};
use super::reply::refused;
use super::stream::{self, Writer};
use super::words::{self, Moment, moment, way};
use crate::config::Config;
use crate::domain::Language;
use crate::ops::find::Refusal;
use crate::ops::live::{Heard, LISTENERS, Listener, newest, recent};
use crate::ops::sign_in::Person;
use crate::ops::tail::Line;

/// Proxies close a connection on which nothing comes for a minute.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// A stream ends after this time, and the browser asks anew: with a cookie that may be over by then.
const LONGEST: Duration = Duration::from_mins(30);
/// Events that wait for a connection, at most; what comes then waits with the lines of all listeners.
const AHEAD: usize = 16;

#[derive(Template)]
#[template(path = "live.html", config = "src/http/ops/askama.toml")]
struct Shows<'a> {
    page: &'a Page,
    rows: Vec<Row>,
    /// More happened than is shown.
    left_out: bool,
}

/// Something that happened.
struct Row {
    m_id: String,
    at: Moment,
    channel: String,
    contact: String,
    sign: &'static str,
    way: &'static str,
    words: String,
}

impl Row {
    fn new(language: Language, config: &Config, line: &Line) -> Self {
        let (sign, way) = way(language, line.side);
        Self {
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
    match recent(shared.store(), &config).await {
        Ok(news) => {
            let lines = newest(news.lines, |line| person.sees(&line.channel));
            let rows = lines.iter().map(|line| Row::new(page.language, &config, line)).collect();
            html(StatusCode::OK, &Shows { page: &page, rows, left_out: news.left_out.is_some() })
        }
        Err(Refusal::Store(error)) => words::unreadable(&page, &error),
        Err(refusal) => refused(StatusCode::BAD_REQUEST, &refusal.words("")),
    }
}

/// `GET /live/events`: lines as they happen, `text/event-stream`. Ends when the bridge stops.
pub(super) async fn events(
    State(shared): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    Extension(person): Extension<Person>,
) -> Response {
    let config = shared.config();
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
    let feed = Feed { sender, person, language: page.language, config };
    tokio::spawn(feed.run(listener, shared.stopping().clone()));
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
}

impl Feed {
    /// Ends with the connection, at the stop of the bridge, or after [`LONGEST`].
    async fn run(self, listener: Listener, stopping: CancellationToken) {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(LONGEST) => {}
            () = self.sender.closed() => {}
            () = self.pass_on(listener) => {}
        }
    }

    async fn pass_on(&self, mut listener: Listener) {
        let mut text = "retry: 3000\nevent: begins\ndata: {}\n\n".to_owned();
        loop {
            if self.sender.send(Ok(text.into())).await.is_err() {
                return;
            }
            text = loop {
                match tokio::time::timeout(ALIVE_EVERY, listener.next()).await {
                    Err(_) => break ":\n\n".to_owned(),
                    Ok(None) => return,
                    Ok(Some(heard)) => {
                        if let Some(event) = self.event(&heard) {
                            break event;
                        }
                    }
                }
            };
        }
    }

    /// Returns what is written of it; `None` where this person does not see it.
    fn event(&self, heard: &Heard) -> Option<String> {
        Some(match heard {
            Heard::LeftOut => "event: gap\ndata: {}\n\n".to_owned(),
            Heard::Unreadable => "event: unreadable\ndata: {}\n\n".to_owned(),
            Heard::Line(line) if !self.person.sees(&line.channel) => return None,
            Heard::Line(line) => {
                let Row { m_id, at, channel, contact, sign, way, words } = Row::new(self.language, &self.config, line);
                let data = json!({
                    "mId": m_id, "local": at.local, "utc": at.utc, "channel": channel, "contact": contact,
                    "sign": sign, "way": way, "words": words,
                });
                // JSON has no line ends of its own: one field of one line.
                format!("event: line\ndata: {data}\n\n")
            }
        })
    }
}
