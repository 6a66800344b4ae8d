//! One line of the log: JSON for machines, text for people. Either way one event is one line, whatever its values hold:
//! a newline, an escape sequence or a character that reverses the text stays visible and harmless.

use std::error::Error;
use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogLine {
    /// Text, not JSON.
    pub(super) text: bool,
    /// With colours.
    pub(super) ansi: bool,
}

/// Names of the line's own fields; another field of that name gets the suffix `_`.
const OWN: [&str; 3] = ["timestamp", "level", "span"];

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut span_name = None;
        // From the innermost span outwards: the nearest value of a name counts, that of the event first.
        for span in context.event_scope().into_iter().flatten() {
            span_name.get_or_insert(span.name());
            if let Some(text) = span.extensions().get::<FormattedFields<N>>() {
                for (name, value) in serde_json::from_str::<Map<String, Value>>(&text.fields).unwrap_or_default() {
                    fields.add(&name, value);
                }
            }
        }
        let time = format!("{:.6}", crate::domain::clock::wall()); // RFC 3339, UTC
        let level = *event.metadata().level();
        if self.text {
            self.text(&mut out, &time, level, &fields)?;
        } else {
            json(&mut out, &time, level, span_name, &fields)?;
        }
        writeln!(out)
    }
}

impl LogLine {
    /// `2026-11-21T10:00:00.000000Z  INFO sent message attempt=1`
    fn text(self, out: &mut Writer<'_>, time: &str, level: Level, fields: &Fields) -> fmt::Result {
        let colour = match level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            Level::DEBUG => "34",
            Level::TRACE => "35",
        };
        if self.ansi {
            write!(out, "\u{1b}[2m{time}\u{1b}[0m \u{1b}[{colour}m{level:>5}\u{1b}[0m ")?;
        } else {
            write!(out, "{time} {level:>5} ")?;
        }
        Harmless(out).write_str(&fields.message)?;
        for (name, value) in &fields.named {
            match (self.ansi, value) {
                (true, _) => write!(out, " \u{1b}[2m{name}=\u{1b}[0m")?,
                (false, _) => write!(out, " {name}=")?,
            }
            match value {
                Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
                    write!(Harmless(out), "{:?}", Quoted(text))?;
                }
                Value::String(text) => Harmless(out).write_str(text)?,
                other => write!(out, "{other}")?,
            }
        }
        Ok(())
    }
}

/// `{"timestamp":…,"level":…,"message":…,"span":…, fields…}`
fn json(out: &mut Writer<'_>, time: &str, level: Level, span: Option<&str>, fields: &Fields) -> fmt::Result {
    write!(out, r#"{{"timestamp":"{time}","level":"{level}","message":{}"#, quoted(&fields.message))?;
    if let Some(span) = span {
        write!(out, r#","span":{}"#, quoted(span))?;
    }
    for (name, value) in &fields.named {
        write!(out, ",{}:", quoted(name))?;
        match value {
            Value::String(text) => out.write_str(&quoted(text))?,
            other => write!(out, "{other}")?,
        }
    }
    out.write_char('}')
}

/// Returns a JSON string. In addition to JSON's rules, invisible and reversing characters are escaped: a terminal may
/// show this.
fn quoted(text: &str) -> String {
    harmless_json(&Value::from(text).to_string())
}

/// Returns equivalent JSON with invisible and reversing characters in strings escaped.
pub(crate) fn harmless_json(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        if is_harmful(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c)); // all of them are below U+10000
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns whether it is a control character, a line separator, or a mark that changes the direction of text.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns foreign text for a terminal: harmful characters are escaped as in Rust.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_harmful(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// Writes harmful characters escaped as in Rust.
struct Harmless<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            if is_harmful(c) { write!(self.0, "{}", c.escape_default()) } else { self.0.write_char(c) }
        })
    }
}

/// Writes text in quotes, with quotes inside escaped.
struct Quoted<'a>(&'a str);

impl fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\\\""))
    }
}

/// An event's message, and its fields in the order given.
#[derive(Default)]
struct Fields {
    message: String,
    named: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, name: &str, value: Value) {
        // Log stores read a dot as nesting, and refuse a line that holds both `message` and `message.id`.
        let mut name = name.replace('.', "_");
        if OWN.contains(&name.as_str()) {
            name.push('_');
        }
        if !self.named.iter().any(|(known, _)| *known == name) {
            self.named.push((name, value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.add(field.name(), format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field.name(), value.into());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    /// Records the error and its causes: "cannot read page: connection lost".
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(next) = cause {
            let _ = write!(text, ": {next}");
            cause = next.source();
        }
        self.add(field.name(), text.into());
    }
}
