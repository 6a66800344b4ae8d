//! What operators read: the log on stderr, redaction of contacts in it, and metrics.

pub(crate) mod delivery;
mod log_format;
pub(crate) mod metrics;
mod queue;
mod redaction;
mod refusals;
#[cfg(test)]
mod tests;
pub(crate) mod trouble;

use std::io::IsTerminal as _;
use std::panic::Location;
use std::time::Duration;

use anyhow::Context as _;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry};

pub(crate) use log_format::{harmless, harmless_json};
pub(crate) use redaction::{contact, destination, foreign_id, foreign_path};
pub(crate) use refusals::Refusal;

use crate::config::{Log, LogContacts, LogFormat};
use log_format::LogLine;

/// Starts the log and sets how contacts are written. Panics are logged from here on, without their message, which may
/// hold personal data.
///
/// # Errors
///
/// The level is invalid, it is the second call, or the log's thread cannot be started.
pub fn init(log: &Log) -> anyhow::Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let text = log.format == LogFormat::Text || (log.format_is_default && terminal);
    let queue = queue::stderr().context("cannot start the log")?;
    let subscriber = subscriber(&log.level, LogLine { text, ansi: text && terminal }, queue)?;
    tracing::subscriber::set_global_default(subscriber).context("the log is started twice")?;
    redaction::show_in_full(log.contacts == LogContacts::Full);
    std::panic::set_hook(Box::new(|panic| report_panic(panic.location())));
    Ok(())
}

/// Longest wait at the end of the process for a reader of stderr.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// Ends the log: writes `words` after its last line, and waits a second at most for the reader of stderr.
pub(crate) fn end(words: &str) {
    if let Ok(queue) = queue::stderr() {
        queue.add(words.as_bytes());
        queue.flush(LAST_WORDS_WITHIN);
    }
}

/// Returns the subscriber, for `init` and for tests.
fn subscriber<W>(level: &str, log_format: LogLine, writer: W) -> anyhow::Result<impl Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(directives(level)).context("log.level cannot be read")?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(log_format.ansi)
        .log_internal_errors(false) // they would go to stderr unformatted, and panic if it is closed
        .fmt_fields(JsonFields::new())
        .event_format(log_format);
    Ok(Registry::default().with(filter).with(layer))
}

/// A bare `debug` or `trace` applies to the bridge alone: at these levels libraries log URLs and headers.
fn directives(level: &str) -> String {
    match level.trim().to_lowercase().as_str() {
        loud @ ("debug" | "trace") => format!("info,bridge={loud}"),
        _ => level.to_owned(),
    }
}

fn report_panic(location: Option<&Location<'_>>) {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    tracing::error!(panic_location = place, panic_thread = thread, "a thread panicked at {place}");
}
