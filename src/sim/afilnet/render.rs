//! Responses on the wire under the current switches: rows, lists, envelopes.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value, json};

use super::state::Row;
use super::switches::{
    Charset, ContentType, DatetimeFormat, DirectionField, DirectionMeaning, DirectionValues, Escape, FileInMessage,
    FileLinks, IdStable, IdType, ListShape, OwnWords, RowStatusForm, SendResult, StatusCase, Switches, Zone,
};
use super::{RowStatus, rewriting};
use crate::sim::seeded_rng;
use crate::sim::wire::Reply;

/// The three reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Chats,
    Messages,
    Unread,
}

/// What all rows of one read have in common.
pub(super) struct Lens<'a> {
    pub(super) switches: &'a Switches,
    pub(super) read: Read,
    pub(super) platform: &'a str,
    pub(super) platformid: &'a str,
    pub(super) now_ms: i64,
    /// Age at which a sent row counts as delivered.
    pub(super) delivered_after_ms: Option<i64>,
    /// Number of the request.
    pub(super) turn: u64,
    zone: TimeZone,
}

impl<'a> Lens<'a> {
    pub(super) fn new(switches: &'a Switches, read: Read, channel: (&'a str, &'a str), now_ms: i64) -> Self {
        let zone = match switches.time_zone {
            // The zones are compiled in.
            Zone::Madrid => TimeZone::get("Europe/Madrid").unwrap_or(TimeZone::UTC),
            Zone::Utc => TimeZone::UTC,
            Zone::AccountOffset => TimeZone::fixed(Offset::constant(-3)),
        };
        let (platform, platformid) = channel;
        Self { switches, read, platform, platformid, now_ms, delivered_after_ms: None, turn: 0, zone }
    }

    /// One row of a list.
    pub(super) fn row(&self, destination: &str, row: &Row) -> Value {
        let mut fields = Map::new();
        fields.insert("platformid".into(), json!(self.platformid));
        fields.insert("platform".into(), json!(self.platform));
        fields.insert("message".into(), json!(self.message(row)));
        fields.insert("destination".into(), json!(destination));
        if let Some(id) = self.id(row) {
            fields.insert("messageid".into(), id);
        }
        if let Some(flag) = self.direction(row) {
            let name = match (self.switches.direction_field, self.read) {
                (DirectionField::AlwaysSent, _) | (DirectionField::AsDocumented, Read::Chats | Read::Messages) => {
                    "sent"
                }
                (DirectionField::AlwaysIssent, _) | (DirectionField::AsDocumented, Read::Unread) => "issent",
            };
            fields.insert(name.into(), flag);
        }
        fields.insert("status".into(), self.status(row));
        fields.insert("datetime".into(), self.datetime(row));
        Value::Object(fields)
    }

    fn id(&self, row: &Row) -> Option<Value> {
        let id = match (self.switches.id_stable_across_methods, self.read) {
            (IdStable::Yes, _) => row.id,
            (IdStable::No, Read::Chats) => row.id * 10 + 1,
            (IdStable::No, Read::Messages) => row.id * 10 + 2,
            (IdStable::No, Read::Unread) => row.id * 10 + 3,
            (IdStable::Never, _) => row.id * 1_000_000 + self.turn % 1_000_000,
        };
        match self.switches.id_type {
            IdType::StringDigits => Some(json!(id.to_string())),
            IdType::Number => Some(json!(id)),
            IdType::Hex => Some(json!(format!("{:016x}", seeded_rng::random(0, 0x1D, id)))),
            IdType::Missing => None,
        }
    }

    fn direction(&self, row: &Row) -> Option<Value> {
        let set = !row.by_api || self.switches.own_flag_after.has_passed(row.at_ms, self.now_ms);
        let flag = (row.outgoing && set) || self.switches.direction_meaning == DirectionMeaning::Dispatched;
        match self.switches.direction_values {
            DirectionValues::Text => Some(json!(if flag { "1" } else { "0" })),
            DirectionValues::Number => Some(json!(u8::from(flag))),
            DirectionValues::Bool => Some(json!(flag)),
            DirectionValues::Absent => None,
        }
    }

    fn message(&self, row: &Row) -> String {
        let escape = |text: &str| match self.switches.escape {
            Escape::None => text.to_owned(),
            Escape::HtmlEntities => entities(text),
        };
        let Some(url) = &row.file else {
            let words = if row.by_api { self.switches.own_words } else { OwnWords::AsSent };
            return escape(&rewriting::own_words(words, &row.text));
        };
        if !self.switches.file_visible_after.has_passed(row.at_ms, self.now_ms) {
            return String::new();
        }
        let url = &match self.switches.file_links {
            FileLinks::SignedAtEveryRead => rewriting::signed(url, self.turn),
            FileLinks::Elsewhere if row.by_api => rewriting::elsewhere(row.id, url),
            FileLinks::AsSent | FileLinks::Elsewhere => url.clone(),
        };
        match self.switches.file_in_message {
            FileInMessage::Url => escape(url),
            FileInMessage::CaptionOnly => escape(&row.text),
            FileInMessage::Empty => String::new(),
            FileInMessage::HtmlAnchor => {
                let label = if row.text.is_empty() { url } else { &row.text };
                format!("<a href=\"{url}\">{}</a>", entities(label))
            }
        }
    }

    fn status(&self, row: &Row) -> Value {
        let delivered = self.delivered_after_ms.is_some_and(|after| self.now_ms >= row.at_ms + after);
        let status = if row.status == RowStatus::Sent && delivered { RowStatus::Delivered } else { row.status };
        let (number, word) = match (row.outgoing, row.read, status) {
            (false, false, _) => ("0", "unread"),
            (false, true, _) => ("1", "read"),
            (true, _, RowStatus::Sent) => ("1", "sent"),
            (true, _, RowStatus::Delivered) => ("2", "delivered"),
            (true, _, RowStatus::Read) => ("3", "read"),
            (true, _, RowStatus::Failed) => ("4", "failed"),
        };
        match self.switches.row_status {
            RowStatusForm::Numeric => json!(number),
            RowStatusForm::Words => json!(word),
            RowStatusForm::Null => Value::Null,
        }
    }

    fn datetime(&self, row: &Row) -> Value {
        let seconds = row.at_ms.div_euclid(1000);
        let instant = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
        match self.switches.datetime_format {
            DatetimeFormat::SpaceSeconds => json!(instant.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            DatetimeFormat::Rfc3339 => json!(instant.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
            DatetimeFormat::Epoch => json!(seconds),
        }
    }
}

/// Returns the special characters of HTML, and everything beyond ASCII, as entities.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#039;"),
            c if c.is_ascii() => out.push(c),
            c => {
                out.push_str("&#");
                out.push_str(&u32::from(c).to_string());
                out.push(';');
            }
        }
    }
    out
}

/// Rows as the `result` of a read.
pub(super) fn list(mut rows: Vec<Value>, shape: ListShape) -> Value {
    match shape {
        ListShape::ResultArray => Value::Array(rows),
        ListShape::NullWhenEmpty if rows.is_empty() => json!({"list": null}),
        ListShape::ListSingleObject if rows.len() == 1 => json!({"list": rows.pop()}),
        ListShape::ResultList | ListShape::NullWhenEmpty | ListShape::ListSingleObject => json!({"list": rows}),
    }
}

/// The `result` of a send that made row `id`; `None`: the key is absent.
pub(super) fn send_result(form: SendResult, id: u64) -> Option<Value> {
    match form {
        SendResult::EmptyArray => Some(json!([])),
        SendResult::Absent => None,
        SendResult::Null => Some(Value::Null),
        SendResult::EmptyObject => Some(json!({})),
        SendResult::EmptyString => Some(json!("")),
        SendResult::IdScalar => Some(json!(id.to_string())),
        SendResult::IdObject => Some(json!({"messageid": id.to_string()})),
    }
}

/// The envelope: one line of compact JSON under HTTP 200, `status` first.
pub(super) fn envelope(switches: &Switches, outcome: &Result<Option<Value>, &str>) -> Reply {
    let upper = switches.status_case == StatusCase::Upper;
    let text = match outcome {
        Ok(result) => {
            let status = if upper { "SUCCESS" } else { "success" };
            let result = result.as_ref().map_or_else(String::new, |result| format!(",\"result\":{result}"));
            format!("{{\"status\":\"{status}\"{result}}}")
        }
        Err(code) => {
            let status = if upper { "ERROR" } else { "error" };
            format!("{{\"status\":\"{status}\",\"error\":{}}}", json!(code))
        }
    };
    let (media_type, mark) = match switches.content_type {
        ContentType::Html => ("text/html; charset=UTF-8", ""),
        ContentType::Json => ("application/json", ""),
        ContentType::HtmlBom => ("text/html; charset=UTF-8", "\u{feff}"),
        ContentType::JsonBom => ("application/json", "\u{feff}"),
    };
    Reply::new(200, media_type, format!("{mark}{text}"))
}

/// Returns a response in the character set of the switch, which it declares. Characters that this does not have are escaped,
/// as PHP escapes them.
pub(super) fn in_charset(charset: Charset, mut reply: Reply) -> Reply {
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.trim_start_matches('\u{feff}');
    let is_xml = text.starts_with('<');
    if charset == Charset::Utf8 || (!is_xml && !text.starts_with('{')) {
        return reply;
    }
    let mut body = Vec::with_capacity(text.len());
    for c in text.replacen("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\"", usize::from(is_xml)).chars() {
        match u8::try_from(c) {
            Ok(byte @ (..0x80 | 0xA0..)) => body.push(byte),
            _ if is_xml => body.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes()),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    body.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    for (_, value) in reply.headers.iter_mut().filter(|(name, _)| *name == "content-type") {
        let media_type = value.split(';').next().unwrap_or_default();
        *value = format!("{media_type}; charset=iso-8859-1");
    }
    reply.body = body;
    reply
}
