//! `GET /messages?…&format=csv` (or `jsonl`): what the search finds, all pages of it, as a file. A link of the page, without script.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::OperatorState;
use super::page::{Page, notice};
use super::stream::{self, BrokenOff, Writer};
use crate::domain::clock::{now_ms, wall};
use crate::domain::journey::{Means, Operator};
use crate::ops::export::{Export, Format, MOST, Piece, Then};
use crate::ops::find::{Refusal, Request};
use crate::ops::sign_in::Person;

/// Longest time of one.
const LONGEST: Duration = Duration::from_mins(10);
/// Pieces that wait for a connection, at most.
const AHEAD: usize = 2;

/// Returns the file. Who made it is in the audit before anything of it is sent.
///
/// # Errors
/// Nothing was searched, and why.
pub(super) async fn file(
    shared: Arc<OperatorState>,
    page: Page,
    person: Person,
    request: Request,
    format: Format,
) -> Result<Response, Refusal> {
    let Ok(turn) = Arc::clone(&shared.exports).try_acquire_owned() else { return Ok(busy(&page)) };
    let target = request.channel.clone().unwrap_or_else(|| "messages".to_owned());
    let what = if request.contacts_in_full { "export with contacts" } else { "export" };
    let mut export = Export::new(request, MOST);
    let first = export.next(shared.store(), &shared.config(), person.channels()).await?;
    let by = Operator::new(&person.name, Means::Page, None);
    let detail = serde_json::json!({ "format": format.name() }).to_string();
    shared.store().operators().note_deed(by, what, target, Some(detail), now_ms()).await?;
    let (writer, body) = stream::body(AHEAD);
    tokio::spawn(Making { shared, page, person, format, writer, _turn: turn }.run(export, first));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    let name = wall().strftime("messages-%Y%m%d-%H%M%S");
    if let Ok(attachment) = HeaderValue::try_from(format!("attachment; filename=\"{name}.{}\"", format.name())) {
        headers.insert(header::CONTENT_DISPOSITION, attachment);
    }
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn busy(page: &Page) -> Response {
    let words = page.say(
        "Two files are being made already. Nothing was searched: try again in a minute.",
        "Ya se están creando dos archivos. No se ha buscado nada: inténtelo otra vez dentro de un minuto.",
    );
    let title = page.say("Not now", "Ahora no");
    let mut response = notice(page, StatusCode::SERVICE_UNAVAILABLE, title, words);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

/// A file that is being made.
struct Making {
    shared: Arc<OperatorState>,
    page: Page,
    person: Person,
    format: Format,
    writer: Writer,
    _turn: OwnedSemaphorePermit,
}

impl Making {
    /// Ends with the connection, at the stop of the bridge, or after [`LONGEST`].
    async fn run(self, export: Export, first: Piece) {
        tokio::select! {
            () = self.shared.stopping().cancelled() => {}
            () = tokio::time::sleep(LONGEST) => {}
            () = self.writer.closed() => {}
            done = self.write(export, first) => if done { return },
        }
        let _ = self.writer.send(Err(BrokenOff)).await; // it may have ended
    }

    /// Returns whether the file is whole, as far as it may be.
    async fn write(&self, mut export: Export, first: Piece) -> bool {
        let mut text = self.format.head();
        let mut piece = first;
        loop {
            text.extend(piece.messages.iter().map(|found| self.format.row(found)));
            if let Then::Cut(next) = &piece.then {
                text.push_str(&self.format.cut(&self.cut(next), Some(next)));
            }
            if !text.is_empty() && self.writer.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
                return true;
            }
            if piece.then != Then::More {
                return true;
            }
            piece = match export.next(self.shared.store(), &self.shared.config(), self.person.channels()).await {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a file of messages could not be made whole"
                    );
                    return false;
                }
            };
        }
    }

    fn cut(&self, next: &str) -> String {
        let (before, after) = (
            self.page.say(
                "Cut: a file takes 100,000 messages, and older ones are left out. For these add to the address of this file",
                "Cortado: un archivo admite 100.000 mensajes, y los más antiguos faltan. Para ellos añada a la dirección de este archivo",
            ),
            self.page.say("or choose a time, a channel or a state.", "o elija una hora, un canal o un estado."),
        );
        format!("{before} &before={next}, {after}")
    }
}
