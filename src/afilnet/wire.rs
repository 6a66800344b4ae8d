//! Reads Afilnet's responses with the tolerance of afilnet.md sections 2.1, 3.7 and 5.3: the envelope, the lists that a
//! result may hold, and their rows. One bad row does not fail its list. Pure.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::list::each_item;
use super::{date_parser, json, noise, sort};
use crate::domain::{AfilnetRow, Destination, Direction, RowTime};

/// Longest row status kept, in characters.
const LONGEST_STATUS: usize = 60;
/// Longest id kept, in characters. A longer one does not count as an id; the row's identity is made from its other
/// fields.
const LONGEST_ID: usize = 200;

/// A response with an envelope.
pub(super) struct ParsedResponse {
    text: String,
    /// Where its envelope is in `text`.
    at: Range<usize>,
    /// The text around the envelope.
    pub(super) noise: Option<String>,
}

/// The envelope of a response.
#[derive(Debug)]
pub(super) enum Envelope<'a> {
    /// `status` is success; the `result` if there is one.
    Success(Option<&'a RawValue>),
    /// `status` is error; its `error` as text, empty if there is none.
    Error(Cow<'a, str>),
}

impl ParsedResponse {
    /// Reads `body`; `None` if it holds no envelope, or `status` is neither success nor error (afilnet.md 2.1).
    /// `alone`: the body must be the envelope and nothing else.
    pub(super) fn new(body: Vec<u8>, alone: bool) -> Option<Self> {
        let text = match String::from_utf8(body) {
            Ok(text) => text,
            Err(odd) => String::from_utf8_lossy(odd.as_bytes()).into_owned(),
        };
        let whole = json::trimmed(&text);
        // A large list without odd characters is not copied.
        if envelope(whole).is_some() {
            let at = text.len() - text.trim_start_matches(json::is_around).len();
            let at = at..at + whole.len();
            return Some(Self { text, at, noise: None });
        }
        let tidy = json::tidy(whole);
        if envelope(&tidy).is_some() {
            return Some(Self { at: 0..tidy.len(), text: tidy, noise: None });
        }
        drop(tidy);
        let is_envelope = |json: &str| envelope(&json::tidy(json)).is_some();
        let (found, around) = Some(whole).filter(|_| !alone).and_then(|text| noise::envelope(text, is_envelope))?;
        let tidy = json::tidy(found);
        Some(Self { at: 0..tidy.len(), text: tidy, noise: Some(around) })
    }

    /// Returns its envelope.
    pub(super) fn envelope(&self) -> Option<Envelope<'_>> {
        envelope(self.text.get(self.at.clone())?)
    }
}

fn envelope(json: &str) -> Option<Envelope<'_>> {
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    let status: String = json::parsed(fields.status?)?;
    if status.trim().eq_ignore_ascii_case("success") {
        Some(Envelope::Success(fields.result))
    } else if status.trim().eq_ignore_ascii_case("error") {
        Some(Envelope::Error(fields.error.map(error_text).unwrap_or_default()))
    } else {
        None
    }
}

/// Returns the `error` of an envelope as text; an object or an array as its JSON.
fn error_text(error: &RawValue) -> Cow<'_, str> {
    match error.get() {
        "null" => Cow::default(),
        text => json::parsed(error).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// The fields of an envelope, unread; the last one of each name.
#[derive(Default)]
struct Fields<'a> {
    status: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an envelope")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    match name.as_ref() {
                        "status" => fields.status = Some(value),
                        "result" => fields.result = Some(value),
                        "error" => fields.error = Some(value),
                        _ => {}
                    }
                }
                Ok(fields)
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// Returns an opaque word of Afilnet's: no control characters, at most 60 characters, objects and arrays as their JSON
/// text.
fn word(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.trim().chars().take(LONGEST_STATUS).collect::<String>().trim_end().to_owned()
}

/// Returns a `result` without lists as a value, with all numbers as strings of the same digits; `Null` if there is
/// none.
pub(super) fn value(result: Option<&RawValue>) -> Value {
    result.and_then(json::parsed).unwrap_or_default()
}

/// Returns the id in a send's `result`: a scalar, or its `messageid` (afilnet.md F5 and 3.2).
pub(super) fn sent_id(result: &Value) -> Option<String> {
    id(result.get("messageid").unwrap_or(result))
}

/// Rows of one read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<AfilnetRow>,
    /// Number of items that could not be read as a row.
    pub(super) unreadable: usize,
}

/// Returns the rows of `result`, in the order given. `asked`: the conversation of the read, if it was for one; a row
/// without a valid destination of its own belongs to it. `None` as in [`each_item`].
pub(super) fn rows(result: Option<&RawValue>, asked: Option<&Destination>, zone: &TimeZone) -> Option<Rows> {
    let mut read = Rows::default();
    each_item(result, |item| match item.as_object().and_then(|fields| row(fields, asked, zone)) {
        Some(row) => read.rows.push(row),
        None => read.unreadable += 1,
    })?;
    Some(read)
}

/// As [`rows`] for one conversation, oldest first.
pub(super) fn rows_of(result: Option<&RawValue>, asked: &Destination, zone: &TimeZone) -> Option<Rows> {
    let read = rows(result, Some(asked), zone)?;
    Some(Rows { rows: sort::oldest_first(read.rows), unreadable: read.unreadable })
}

/// Returns one row (afilnet.md 3.7); `None` without a destination, or without anything of a message.
fn row(fields: &Map<String, Value>, asked: Option<&Destination>, zone: &TimeZone) -> Option<AfilnetRow> {
    if !["message", "messageid", "datetime", "sent", "issent"].iter().any(|name| fields.contains_key(*name)) {
        return None;
    }
    let destination = fields.get("destination").and_then(Value::as_str).and_then(|text| text.trim().parse().ok());
    let raw = fields.get("datetime").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(AfilnetRow {
        destination: destination.or_else(|| asked.cloned())?,
        id: fields.get("messageid").and_then(id),
        direction: direction(fields),
        time: RowTime { epoch_ms: date_parser::epoch_ms(&raw, zone), raw },
        text: fields.get("message").map(words).unwrap_or_default(),
        status: fields.get("status").map(word).filter(|status| !status.is_empty()),
    })
}

/// Returns an id as it was written, without white space around it; `None` for values that mean "no id".
fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let odd = text.is_empty() || text == "0" || text.chars().any(char::is_control);
    (!odd && text.chars().count() <= LONGEST_ID).then(|| text.to_owned())
}

/// Returns the text of a message unchanged. A value of another type becomes its JSON text: an odd text is better than a
/// lost one.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Returns who wrote the row: `sent` in getchats and getmessages, `issent` in getunreadmessages, true for the business
/// (afilnet.md F8 and 3.7). If both are there, the first that can be read counts.
fn direction(fields: &Map<String, Value>) -> Direction {
    let outgoing = ["sent", "issent"].iter().find_map(|name| flag(fields.get(*name)?));
    match outgoing {
        Some(true) => Direction::Outbound,
        Some(false) => Direction::Inbound,
        None => Direction::Unknown,
    }
}

fn flag(value: &Value) -> Option<bool> {
    let word = match value {
        Value::Bool(flag) => return Some(*flag),
        Value::String(word) => word.trim().to_ascii_lowercase(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match word.as_str() {
        "1" | "true" | "yes" => Some(true),
        "0" | "false" | "no" | "" => Some(false),
        _ => None,
    }
}

/// One channel of the account (afilnet.md 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// `webchat`, `whatsapp`, …, as Afilnet writes it.
    pub(crate) platform: String,
    /// Its id within the platform.
    pub(crate) platform_id: String,
    /// Its name in Afilnet's panel; empty if it has none.
    pub(crate) name: String,
}

/// Returns the channels of `result`; an item without a platform or an id is left out. `None` as in [`each_item`].
pub(super) fn channels(result: Option<&RawValue>) -> Option<Vec<Listed>> {
    let text = |item: &Value, name| Some(item.get(name)?.as_str()?.trim().to_owned()).filter(|text| !text.is_empty());
    let channel = |item: &Value| {
        Some(Listed {
            platform: text(item, "platform")?,
            platform_id: text(item, "platformid")?,
            name: text(item, "name").unwrap_or_default(),
        })
    };
    let mut channels = Vec::new();
    each_item(result, |item| channels.extend(channel(&item)))?;
    Some(channels)
}
