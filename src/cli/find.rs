//! `bridge messages find` and `list`: both ways, newest first, by what is known of a message.

use std::io::Write as _;

use super::output::{Failure, print};
use crate::config::Config;
use crate::domain::find::{Cursor, MessageState, PAGE, Side};
use crate::ops::export::Format;
use crate::ops::find::{Refusal, Request, SearchResult, find, time};
use crate::store::{FoundMessage, ListedMessage, Store};
use crate::telemetry::{harmless, harmless_json};

/// Names of the states, for the help.
const STATES: [&str; 9] = ["queued", "sending", "unknown", "sent", "failed", "unconfirmed", "noted", "done", "dead"];

/// What messages fulfil.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only those of this channel (its name in the configuration)
    #[arg(long)]
    channel: Option<String>,
    /// Only those to the customer (out), or from the customer and from Afilnet's panel (in)
    #[arg(long, value_parser = ["out", "in"])]
    direction: Option<String>,
    /// Only those in this state: queued, sending, unknown, sent, failed, unconfirmed, noted (unconfirmed, and left so); of
    /// events done (BonyChat has it) and dead (given up)
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    /// Only those whose last fault has this code, of those that failed, are in doubt or were given up, or are in --state
    #[arg(long)]
    fault: Option<String>,
    /// Only what was stored then or later: a time ago (90s, 2h, 3d), a day (2026-11-14) or a time (2026-11-14T10:02)
    #[arg(long)]
    since: Option<String>,
    /// Only what was stored before
    #[arg(long)]
    until: Option<String>,
    /// Only those of this contact: its number, or its custom contact id
    #[arg(long)]
    contact: Option<String>,
    /// Go on behind the page that ended with this
    #[arg(long, value_name = "CURSOR")]
    before: Option<String>,
    /// Contacts in full, where the configuration masks them
    #[arg(long)]
    contacts: bool,
    /// At most so many
    #[arg(long, default_value_t = PAGE)]
    limit: u32,
    /// JSON, one object a line
    #[arg(long)]
    json: bool,
    /// CSV that is safe to open in a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Arguments of `messages find`.
#[derive(Debug, clap::Args)]
pub(super) struct FindArgs {
    /// An mId; a number or 5 and more digits of one; or words of the text, without regard to case and accents. In quotes
    /// ('"the words"') as they follow each other
    #[arg(required = true)]
    query: Vec<String>,
    #[command(flatten)]
    filters: Filters,
}

/// Arguments of `messages list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filters: Filters,
}

/// Prints a page of what is found, and on stderr how far it was searched.
pub(super) async fn run(arguments: FindArgs, config: &Config, store: &dyn Store) -> Result<(), Failure> {
    let format = arguments.filters.format();
    let request = request(arguments.filters, arguments.query.join(" "), false)?;
    let SearchResult { messages, next, notes, .. } = find(store, config, request).await.map_err(failure)?;
    print(&lines(&messages, format, found_line))?;
    let nothing = messages.is_empty().then(|| "nothing was found".to_owned());
    let more = next.map(|next| go_on(&next));
    let notes = notes.iter().map(|note| note.words("--"));
    for note in nothing.into_iter().chain(notes).chain(more) {
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&note)); // a reader may have gone away
    }
    Ok(())
}

/// Prints messages to the customer, or those of the direction or state that is asked for.
pub(super) async fn list(arguments: ListArgs, config: &Config, store: &dyn Store) -> Result<(), Failure> {
    let format = arguments.filters.format();
    let mut request = request(arguments.filters, String::new(), true)?;
    let of_events = request.state.is_some_and(|state| !state.is_of(Side::Out));
    request.side = request.side.or(Some(if of_events { Side::In } else { Side::Out }));
    let SearchResult { messages, next, .. } = find(store, config, request).await.map_err(failure)?;
    // JSON of one direction alone, as `messages show` has it.
    let text = match format {
        Some(Format::JsonLines) => messages.iter().map(|found| line(&found.message, true)).collect(),
        format => lines(&messages, format, |found| line(&found.message, false)),
    };
    print(&text)?;
    if let Some(next) = next {
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&go_on(&next))); // a reader may have gone away
    }
    Ok(())
}

fn go_on(next: &Cursor) -> String {
    format!("there may be more: go on with --before {next}")
}

impl Filters {
    /// Returns the format that is asked for; `None`: lines for a person.
    fn format(&self) -> Option<Format> {
        if self.csv { Some(Format::Csv) } else { self.json.then_some(Format::JsonLines) }
    }
}

fn lines(messages: &[FoundMessage], format: Option<Format>, plain: impl Fn(&FoundMessage) -> String) -> String {
    let row = |found| format.map_or_else(|| plain(found), |format| format.row(found));
    let head = format.map(Format::head).unwrap_or_default();
    std::iter::once(head).chain(messages.iter().map(row)).collect()
}

fn request(filters: Filters, query: String, to_the_end: bool) -> Result<Request, Failure> {
    let state = filters.state.as_deref().map(str::parse::<MessageState>).transpose();
    let side = filters.direction.as_deref().map(|direction| if direction == "out" { Side::Out } else { Side::In });
    Ok(Request {
        query,
        side,
        channel: filters.channel,
        state: state.map_err(|error| Failure::Usage(error.to_string()))?,
        fault: filters.fault,
        since: filters.since,
        until: filters.until,
        contact: filters.contact,
        before: filters.before,
        limit: filters.limit,
        to_the_end,
        contacts_in_full: filters.contacts,
    })
}

/// Returns how a command fails of which nothing was searched.
pub(super) fn failure(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Store(error) => Failure::Work(error.into()),
        refusal => Failure::Usage(harmless(&refusal.words("--"))),
    }
}

/// Returns a message as a list has it.
pub(super) fn line(row: &ListedMessage, json: bool) -> String {
    if json {
        return harmless_json(&serde_json::to_string(row).unwrap_or_default()) + "\n";
    }
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        row.m_id,
        row.channel,
        harmless(&row.contact),
        row.state,
        row.kind,
        row.attempt,
        time(row.accepted_ms),
        row.done_ms.map_or_else(|| "-".to_owned(), time),
        harmless(row.fault.as_deref().unwrap_or("-"))
    )
}

/// As a list has it, with the direction behind the contact.
fn found_line(found: &FoundMessage) -> String {
    let FoundMessage { side, message } = found;
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        message.m_id,
        message.channel,
        harmless(&message.contact),
        side.as_str(),
        message.state,
        message.kind,
        message.attempt,
        time(message.accepted_ms),
        message.done_ms.map_or_else(|| "-".to_owned(), time),
        harmless(message.fault.as_deref().unwrap_or("-"))
    )
}
