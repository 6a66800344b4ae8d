//! Afilnet's answers, read with the tolerance of afilnet.md sections 2.1, 3.7 and 5.3: the envelope, the lists that a
//! result may hold, and their rows. Nothing here fails a whole list for one row, and nothing panics. Pure.

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::{json, order, when};
use crate::domain::{Destination, Direction, Row, RowTime};

/// Longest code and row status kept, in characters (`Fault::Other`).
const LONGEST_CODE: usize = 60;
/// Longest id kept, in characters. A longer one is no id, and the row's identity is made from its other fields.
const LONGEST_ID: usize = 200;

/// What an answer says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Envelope {
    /// `status` is success; the `result`, `Null` where there is none. Numbers in it are strings of the same digits.
    Success(Value),
    /// `status` is error; its code, clean and verbatim, empty where there is none.
    Error(String),
}

/// The envelope of `body`, or `None` where it is not JSON or `status` is neither success nor error (afilnet.md 2.1).
pub(super) fn envelope(body: &[u8]) -> Option<Envelope> {
    let Value::Object(mut fields) = json::read(body)? else { return None };
    let status = fields.get("status")?.as_str()?.trim();
    if status.eq_ignore_ascii_case("success") {
        Some(Envelope::Success(fields.remove("result").unwrap_or_default()))
    } else if status.eq_ignore_ascii_case("error") {
        Some(Envelope::Error(fields.get("error").map(code).unwrap_or_default()))
    } else {
        None
    }
}

/// Words of a machine, safe to log and to show: no control characters, at most 60 characters. Objects and arrays become
/// their JSON text (afilnet.md 2.1, row `error`).
fn code(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.trim().chars().take(LONGEST_CODE).collect::<String>().trim_end().to_owned()
}

/// The id that a send's `result` carries: a scalar, or its `messageid` (afilnet.md F5 and 3.2).
pub(super) fn sent_id(result: &Value) -> Option<String> {
    id(result.get("messageid").unwrap_or(result))
}

/// The items of a read's `result`: its `list`, or itself where it is the list; one item that came without its list; none
/// for null, an empty text or an empty PHP array. `None` where it is none of these: such an answer proves nothing.
pub(super) fn items(result: Value) -> Option<Vec<Value>> {
    match result {
        Value::Object(mut fields) => match fields.remove("list") {
            Some(Value::Object(list)) => Some(listed(list)),
            Some(list) => plain(list),
            None if fields.is_empty() || by_number(&fields) || looks_like_item(&fields) => Some(listed(fields)),
            None => None,
        },
        result => plain(result),
    }
}

/// A list that is not an object.
fn plain(list: Value) -> Option<Vec<Value>> {
    match list {
        Value::Array(items) => Some(items),
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The items of an object that stands for a list: PHP's array with gaps (`{"1":{},"2":{}}`) in the order of its keys, or
/// one item alone.
fn listed(fields: Map<String, Value>) -> Vec<Value> {
    if fields.is_empty() {
        return Vec::new();
    }
    if !by_number(&fields) {
        return vec![Value::Object(fields)];
    }
    let mut items: Vec<_> = fields.into_iter().collect();
    items.sort_by_key(|(key, _)| key.parse::<u64>().unwrap_or(u64::MAX));
    items.into_iter().map(|(_, item)| item).collect()
}

fn by_number(fields: &Map<String, Value>) -> bool {
    fields.keys().all(|key| !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit()))
}

fn looks_like_item(fields: &Map<String, Value>) -> bool {
    ["destination", "messageid", "message", "platformid"].iter().any(|name| fields.contains_key(*name))
}

/// Rows of one read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// How many items could not be read as a row at all.
    pub(super) unreadable: usize,
}

/// The rows of `result`, in the order given. `asked`: the conversation that the read was for, where it was for one; a
/// row without a legal destination of its own belongs to it. `None` as in [`items`].
pub(super) fn rows(result: Value, asked: Option<&Destination>, zone: &TimeZone) -> Option<Rows> {
    let items = items(result)?;
    let mut read = Rows::default();
    for item in &items {
        match item.as_object().and_then(|fields| row(fields, asked, zone)) {
            Some(row) => read.rows.push(row),
            None => read.unreadable += 1,
        }
    }
    Some(read)
}

/// As [`rows`] for one conversation, oldest first.
pub(super) fn rows_of(result: Value, asked: &Destination, zone: &TimeZone) -> Option<Rows> {
    let read = rows(result, Some(asked), zone)?;
    Some(Rows { rows: order::oldest_first(read.rows), unreadable: read.unreadable })
}

/// One row (afilnet.md 3.7). `None` without a destination, or where it says nothing about a message.
fn row(fields: &Map<String, Value>, asked: Option<&Destination>, zone: &TimeZone) -> Option<Row> {
    if !["message", "messageid", "datetime", "sent", "issent"].iter().any(|name| fields.contains_key(*name)) {
        return None;
    }
    let destination = fields.get("destination").and_then(Value::as_str).and_then(|text| text.trim().parse().ok());
    let raw = fields.get("datetime").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Row {
        destination: destination.or_else(|| asked.cloned())?,
        id: fields.get("messageid").and_then(id),
        direction: direction(fields),
        time: RowTime { epoch_ms: when::epoch_ms(&raw, zone), raw },
        text: fields.get("message").map(words).unwrap_or_default(),
        status: fields.get("status").map(code).filter(|status| !status.is_empty()),
    })
}

/// An id as it was written, but for white space around it. `None` for what stands for no id.
fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let odd = text.is_empty() || text == "0" || text.chars().any(char::is_control);
    (!odd && text.chars().count() <= LONGEST_ID).then(|| text.to_owned())
}

/// Words of a message as they came. What is neither text nor nothing keeps its JSON text: odd words beat lost words.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Who wrote the row: `sent` in getchats and getmessages, `issent` in getunreadmessages, true for the business
/// (afilnet.md F8 and 3.7). Where both are there, the first that can be read.
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
    /// Its name in Afilnet's panel; empty where it has none.
    pub(crate) name: String,
}

/// The channels of `result`; an item without a platform or an id is left out. `None` as in [`items`].
pub(super) fn channels(result: Value) -> Option<Vec<Listed>> {
    let text = |item: &Value, name| Some(item.get(name)?.as_str()?.trim().to_owned()).filter(|text| !text.is_empty());
    let channel = |item: &Value| {
        Some(Listed {
            platform: text(item, "platform")?,
            platform_id: text(item, "platformid")?,
            name: text(item, "name").unwrap_or_default(),
        })
    };
    Some(items(result)?.iter().filter_map(channel).collect())
}
