//! The `message` of a body, type by type (bonychat.md sections 2.4, 3.1 and 3.2): wire structs that are validated, then
//! converted to domain types.

use serde::Deserialize;
use serde_json::{Map, Value};
use validator::{Validate, ValidationError};

use super::lenient::{self, Figure, Lenient, Words};
use super::{Problem, Rule, measured};
use crate::bonychat::files;
use crate::domain::blank::is_blank;
use crate::domain::content::{
    Attachment, AttachmentKind, BadContent, FileUrl, Label, Location, MOST_LABEL, MOST_LATITUDE, MOST_LINK,
    MOST_LONGITUDE, MOST_REPLIES, MOST_TEXT, QuickReply, Text,
};
use crate::domain::{Content, Reach};

/// `{"type":"text","text":…}`; also what other types hold as text.
#[derive(Deserialize, Validate)]
struct TextMessage {
    #[serde(rename = "text")]
    #[validate(required, custom(function = "lenient::words"), length(max = MOST_TEXT))]
    itself: Option<Lenient<Words>>,
}

/// The `attachment` object. Its type and MIME type are hints that are never refused (A18, A20).
#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Media {
    #[serde(rename = "type")]
    kind: Option<Lenient<Words>>,
    #[validate(required, custom(function = "lenient::words"), custom(function = "lenient::public_link"), length(max = MOST_LINK))]
    url: Option<Lenient<Words>>,
    mime_type: Option<Lenient<Words>>,
    #[validate(custom(function = "lenient::text"), length(max = MOST_LABEL))]
    file_name: Option<Lenient<Words>>,
    #[validate(custom(function = "lenient::text"), length(max = MOST_LABEL))]
    description: Option<Lenient<Words>>,
}

/// The keys of a location, at any level (A22).
#[derive(Deserialize, Validate)]
struct Place {
    #[validate(required, custom(function = "lenient::figure"), range(min = -MOST_LATITUDE, max = MOST_LATITUDE))]
    latitude: Option<Lenient<Figure>>,
    #[validate(required, custom(function = "lenient::figure"), range(min = -MOST_LONGITUDE, max = MOST_LONGITUDE))]
    longitude: Option<Lenient<Figure>>,
    #[validate(custom(function = "lenient::text"), length(max = MOST_LABEL))]
    address: Option<Lenient<Words>>,
}

/// A quick reply; the number of replies is checked before.
#[derive(Deserialize, Validate)]
struct Question {
    #[validate(required, custom(function = "lenient::words"), length(max = MOST_LABEL))]
    title: Option<Lenient<Words>>,
    #[validate(nested)]
    replies: Vec<Reply>,
}

/// One reply: text, a number, or an object with `title` or `text` (A23).
#[derive(Deserialize, Validate)]
#[serde(from = "Value")]
struct Reply {
    #[validate(required(code = "text"), custom(function = "lenient::words"), length(max = MOST_LABEL))]
    itself: Option<Lenient<Words>>,
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        let text = match value {
            Value::Object(mut reply) => ["title", "text"]
                .into_iter()
                .filter_map(|key| reply.remove(key))
                .filter_map(written)
                .reduce(|first, second| if is_blank(&first) { second } else { first }),
            value => written(value),
        };
        Self { itself: text.map(|text| Lenient::Is(text.into())) }
    }
}

fn written(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Requires the message to be an object.
pub(super) fn object(message: &Lenient<Map<String, Value>>) -> Result<(), ValidationError> {
    message.get().map(|_| ()).ok_or_else(|| ValidationError::new(Rule::Object.code()))
}

/// Converts the message by its type. `reach`: which hosts its file may be on.
pub(super) fn content(mut message: Map<String, Value>, reach: Reach) -> Result<Content, Vec<Problem>> {
    let kind = match message.get("type") {
        None | Some(Value::Null) => return broken("message.type", Rule::Present),
        Some(Value::String(kind)) if kind.trim().is_empty() => return broken("message.type", Rule::NotBlank),
        Some(Value::String(kind)) => kind.trim().to_owned(),
        Some(_) => return broken("message.type", Rule::Text),
    };
    match kind.to_ascii_lowercase().as_str() {
        "text" => text("message.text", message.remove("text")),
        "attachment" => attachment(message, None, reach),
        "location" => location(message),
        "quick_reply" => quick_reply(message),
        word => match named_kind(word) {
            Some(named) if holds_file(&message) => attachment(message, Some(named), reach),
            _ => other(&kind, message),
        },
    }
}

fn broken<T>(path: &str, rule: Rule) -> Result<T, Vec<Problem>> {
    Err(vec![Problem::at(path, rule)])
}

/// Reads, validates and converts one object.
fn converted<T>(path: &str, value: Value) -> Result<Content, Vec<Problem>>
where
    T: serde::de::DeserializeOwned + Validate,
    Content: TryFrom<T, Error = BadContent>,
{
    let mut problems = Vec::new();
    let Some(read) = measured::<T>(path, value, &mut problems) else { return broken(path, Rule::Object) };
    if !problems.is_empty() {
        return Err(problems);
    }
    Content::try_from(read).map_err(|BadContent(_)| vec![Problem::at(path, Rule::Valid)])
}

fn text(path: &str, text: Option<Value>) -> Result<Content, Vec<Problem>> {
    converted::<TextMessage>(path, Value::Object(text.map(|text| ("text".to_owned(), text)).into_iter().collect()))
}

/// Converts a type outside the four: its text if it holds one; `message` is the text of some e-mails (section 3.2,
/// A25).
fn other(kind: &str, mut message: Map<String, Value>) -> Result<Content, Vec<Problem>> {
    let says = |key: &str| message.get(key).and_then(Value::as_str).is_some_and(|text| !is_blank(text));
    if says("text") {
        return text("message.text", message.remove("text"));
    }
    if says("message") {
        return text("message.message", message.remove("message"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let word = (kind.len() <= 40 && kind.chars().all(plain)).then(|| kind.to_owned());
    broken("message.type", Rule::Supported(word))
}

/// Converts an attachment, nested as in 2.4, in a list of one, or flat (A19). `named` is the kind that the message's
/// own type names. A second file of a list would be lost silently, so it is refused.
fn attachment(
    mut message: Map<String, Value>,
    named: Option<AttachmentKind>,
    reach: Reach,
) -> Result<Content, Vec<Problem>> {
    let (path, mut file) = match (present(&mut message, "attachment"), present(&mut message, "attachments")) {
        (Some(file), _) => ("message.attachment", file),
        (None, Some(Value::Array(mut files))) if files.len() == 1 => ("message.attachments[0]", files.remove(0)),
        (None, Some(Value::Array(files))) if !files.is_empty() => return broken("message.attachments", Rule::OneFile),
        (None, Some(Value::Array(_)) | None) if holds_file(&message) => {
            message.remove("type");
            ("message", Value::Object(message))
        }
        (None, Some(Value::Array(_)) | None) => return broken("message.attachment", Rule::Present),
        (None, Some(_)) => return broken("message.attachments", Rule::List),
    };
    if let (Some(kind), Some(file)) = (named, file.as_object_mut())
        && file.get("type").is_none_or(Value::is_null)
    {
        file.insert("type".into(), serde_json::to_value(kind).unwrap_or_default());
    }
    match converted::<Media>(path, file)? {
        Content::Attachment(file) if !file.url.is_public(reach) => broken(&format!("{path}.url"), Rule::PublicLink),
        content => Ok(content),
    }
}

fn present(message: &mut Map<String, Value>, key: &str) -> Option<Value> {
    message.remove(key).filter(|value| !value.is_null())
}

fn holds_file(message: &Map<String, Value>) -> bool {
    holds(message, &["url", "attachment", "attachments"])
}

fn holds(message: &Map<String, Value>, keys: &[&str]) -> bool {
    keys.iter().any(|key| message.get(*key).is_some_and(|value| !value.is_null()))
}

fn location(mut message: Map<String, Value>) -> Result<Content, Vec<Problem>> {
    let flat = holds(&message, &["latitude", "longitude"]);
    match present(&mut message, "location") {
        Some(place) if !flat => converted::<Place>("message.location", place),
        _ => converted::<Place>("message", Value::Object(message)),
    }
}

fn quick_reply(mut message: Map<String, Value>) -> Result<Content, Vec<Problem>> {
    let (mut replies, rule) = match present(&mut message, "replies") {
        Some(Value::Array(replies)) if (1..=MOST_REPLIES).contains(&replies.len()) => (replies, None),
        Some(Value::Array(replies)) => (replies, Some(Rule::Entries(MOST_REPLIES))),
        Some(_) => (Vec::new(), Some(Rule::List)),
        None => (Vec::new(), Some(Rule::Present)),
    };
    replies.truncate(MOST_REPLIES);
    message.insert("replies".into(), Value::Array(replies));
    let mut problems: Vec<Problem> = rule.map(|rule| Problem::at("message.replies", rule)).into_iter().collect();
    match converted::<Question>("message", Value::Object(message)) {
        Ok(content) if problems.is_empty() => Ok(content),
        Ok(_) => Err(problems),
        Err(found) => {
            // Missing replies have been reported already, and so has what the conversion found in their place.
            problems.extend(found.into_iter().filter(|problem| problem.path != "message"));
            Err(problems)
        }
    }
}

/// `BonyChat`'s kinds and other names for them (A20).
fn named_kind(word: &str) -> Option<AttachmentKind> {
    match word {
        "image" => Some(AttachmentKind::Image),
        "video" => Some(AttachmentKind::Video),
        "audio" | "voice" => Some(AttachmentKind::Audio),
        "file" | "document" => Some(AttachmentKind::File),
        _ => None,
    }
}

impl TryFrom<TextMessage> for Content {
    type Error = BadContent;
    fn try_from(message: TextMessage) -> Result<Self, BadContent> {
        Ok(Self::Text { text: Text::new(compulsory(message.itself)?)? })
    }
}

impl TryFrom<Media> for Content {
    type Error = BadContent;
    fn try_from(file: Media) -> Result<Self, BadContent> {
        let url = compulsory(file.url)?.trim().to_owned();
        let mime_type = optional(file.mime_type).map(|mime| mime.trim().to_owned());
        let mime_type = mime_type.filter(|mime| mime.len() <= 255 && !mime.contains(char::is_control));
        let kind = match optional(file.kind) {
            Some(word) => named_kind(&word.trim().to_ascii_lowercase()).unwrap_or(AttachmentKind::File),
            None => kind_of(mime_type.as_deref(), &url),
        };
        Ok(Self::Attachment(Attachment {
            kind,
            url: FileUrl::new(url)?,
            mime_type,
            file_name: label(file.file_name)?,
            description: label(file.description)?,
        }))
    }
}

/// Returns the kind of a file that names none.
fn kind_of(mime_type: Option<&str>, url: &str) -> AttachmentKind {
    let by_name = || {
        let link = url::Url::parse(url).ok()?;
        Some(files::by_extension(files::extension(&link)?)?.0)
    };
    mime_type.and_then(files::by_mime).or_else(by_name).unwrap_or(AttachmentKind::File)
}

impl TryFrom<Place> for Content {
    type Error = BadContent;
    fn try_from(place: Place) -> Result<Self, BadContent> {
        let figure = |lenient: Option<Lenient<Figure>>| lenient.as_ref().and_then(Lenient::get).map(|figure| figure.0);
        match (figure(place.latitude), figure(place.longitude)) {
            (Some(latitude), Some(longitude)) => {
                Location::new(latitude, longitude, label(place.address)?).map(Self::Location)
            }
            _ => Err(BadContent("must be numbers")),
        }
    }
}

impl TryFrom<Question> for Content {
    type Error = BadContent;
    fn try_from(question: Question) -> Result<Self, BadContent> {
        let replies: Result<Vec<Label>, BadContent> =
            question.replies.into_iter().map(|reply| Label::new(compulsory(reply.itself)?)).collect();
        QuickReply::new(Label::new(compulsory(question.title)?)?, replies?).map(Self::QuickReply)
    }
}

fn compulsory(lenient: Option<Lenient<Words>>) -> Result<String, BadContent> {
    optional(lenient).ok_or(BadContent("must not be empty"))
}

/// Returns the text unless it is null or blank, which count as absent (A18).
fn optional(lenient: Option<Lenient<Words>>) -> Option<String> {
    match lenient {
        Some(Lenient::Is(words)) => Some(words.0).filter(|text| !is_blank(text)),
        Some(Lenient::Odd(_)) | None => None,
    }
}

fn label(lenient: Option<Lenient<Words>>) -> Result<Option<Label>, BadContent> {
    optional(lenient).map(Label::new).transpose()
}
