//! Translates content into Afilnet's calls (design.md section 3, step 4; afilnet.md 3.2 and 3.3). Pure.

use std::fmt::Write as _;

use super::reserve::split_template;
use super::split::split;
use crate::domain::content::{Attachment, AttachmentKind, Label, Location, QuickReply};
use crate::domain::placeholder::{Piece, pieces, push_text};
use crate::domain::{Content, Language, Template};

/// Most characters of a file's caption with its placeholders filled in: WhatsApp takes no more.
const MOST_CAPTION: usize = 1024;

/// One call that sends something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendCall {
    /// `sendmessage`.
    Text(String),
    /// `sendfile`.
    File {
        kind: FileType,
        url: String,
        /// Left out if there is none, never blank (afilnet.md 3.3).
        message: Option<String>,
    },
}

/// The values of sendfile's `type` (afilnet.md section 1: the Spanish page's list).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    Image,
    Video,
    Audio,
    Voice,
    Document,
    Contact,
}

impl FileType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Contact => "contact",
        }
    }
}

impl SendCall {
    /// Returns Afilnet's `method`.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Text(_) => "sendmessage",
            Self::File { .. } => "sendfile",
        }
    }

    /// Returns the call with these words in place of its own.
    pub(super) fn saying(self, words: &str) -> Self {
        match self {
            Self::Text(_) => Self::Text(words.to_owned()),
            Self::File { kind, url, .. } => Self::File { kind, url, message: Some(words.to_owned()) },
        }
    }

    /// Returns the parameters beyond those of every call to a conversation.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Text(text) => vec![("message", text)],
            Self::File { kind, url, message } => {
                let fixed = [("type", kind.as_str()), ("fileurl", url.as_str())];
                fixed.into_iter().chain(message.as_deref().map(|text| ("message", text))).collect()
            }
        }
    }
}

/// How a channel formats texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Formatter {
    /// Longest text of one call, in characters.
    pub(super) text_limit: usize,
    /// Whether quick replies are numbered.
    pub(super) number_quick_replies: bool,
    /// Template of a location.
    pub(super) location_text: String,
    pub(super) language: Language,
    /// Whether placeholders are filled in.
    pub(super) placeholders: bool,
}

/// A call as the agent wrote it, and the template of its words where placeholders are to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Worded {
    pub(super) call: SendCall,
    pub(super) template: Option<Template>,
}

impl Formatter {
    /// Returns the calls that send `content`, in order; at least one.
    pub(super) fn calls(&self, content: &Content) -> Vec<SendCall> {
        match content {
            Content::Text { text } => self.texts(text.as_str()),
            Content::Attachment(attachment) => vec![file(attachment)],
            Content::Location(location) => self.texts(&place(location, &self.location_text)),
            Content::QuickReply(question) => self.texts(&self.question(question)),
        }
    }

    fn texts(&self, text: &str) -> Vec<SendCall> {
        split(text, self.text_limit).into_iter().map(SendCall::Text).collect()
    }

    /// As [`Self::calls`], each with its template.
    pub(super) fn worded(&self, content: &Content) -> Vec<Worded> {
        match self.with_placeholders(content) {
            Some(worded) => worded,
            None => self.calls(content).into_iter().map(|call| Worded { call, template: None }).collect(),
        }
    }

    /// Returns the calls of a content with placeholders where they are filled in: in a text, a question's title, a
    /// file's description.
    fn with_placeholders(&self, content: &Content) -> Option<Vec<Worded>> {
        if !self.placeholders {
            return None;
        }
        match content {
            Content::Text { text } => Some(self.templates(pieces(text.as_str())?)),
            Content::QuickReply(question) => {
                let title = question.title.as_str();
                let mut all = pieces(title)?;
                push_text(&mut all, self.question(question).split_off(title.len()));
                Some(self.templates(all))
            }
            Content::Attachment(attachment) => {
                let description = attachment.description.as_ref().map(Label::as_str)?;
                let template = Template::new(pieces(description)?, self.text_limit.min(MOST_CAPTION));
                Some(vec![Worded { call: file(attachment), template: Some(template) }])
            }
            Content::Location(_) => None,
        }
    }

    fn templates(&self, pieces: Vec<Piece>) -> Vec<Worded> {
        let worded = |template: Template| {
            let call = SendCall::Text(template.typed());
            Worded { call, template: Some(template).filter(|template| !template.placeholders().is_empty()) }
        };
        split_template(pieces, self.text_limit).into_iter().map(worded).collect()
    }

    /// Returns the title, one reply per line and, if they are numbered, how to answer.
    fn question(&self, question: &QuickReply) -> String {
        let mut text = question.title.as_str().to_owned();
        for (n, reply) in (1..).zip(question.replies()) {
            let reply = reply.as_str();
            let _ = if self.number_quick_replies { write!(text, "\n{n}. {reply}") } else { write!(text, "\n{reply}") };
        }
        if self.number_quick_replies {
            text.push_str(match self.language {
                Language::En => "\nReply with the number",
                Language::Es => "\nResponda con el número",
            });
        }
        text
    }
}

fn file(attachment: &Attachment) -> SendCall {
    SendCall::File {
        kind: file_type(attachment),
        url: attachment.url.as_str().to_owned(),
        message: attachment.description.as_ref().map(|text| text.as_str().to_owned()),
    }
}

fn file_type(attachment: &Attachment) -> FileType {
    match attachment.kind {
        AttachmentKind::Image => FileType::Image,
        AttachmentKind::Video => FileType::Video,
        AttachmentKind::Audio if is_voice(attachment) => FileType::Voice,
        AttachmentKind::Audio => FileType::Audio,
        AttachmentKind::File if is_contact(attachment) => FileType::Contact,
        AttachmentKind::File => FileType::Document,
    }
}

/// Returns whether a sound is OGG/Opus, as voice notes are. OGG may hold other codecs, which its type then names.
fn is_voice(attachment: &Attachment) -> bool {
    match specific_type(attachment) {
        Some((essence, codec)) => {
            let other = codec.contains("vorbis") || codec.contains("flac") || codec.contains("speex");
            matches!(essence.as_str(), "audio/ogg" | "audio/opus" | "application/ogg" | "audio/x-opus+ogg") && !other
        }
        None => matches!(extension(attachment).as_str(), "ogg" | "oga" | "opus"),
    }
}

fn is_contact(attachment: &Attachment) -> bool {
    match specific_type(attachment) {
        Some((essence, _)) => matches!(essence.as_str(), "text/vcard" | "text/x-vcard" | "text/directory"),
        None => matches!(extension(attachment).as_str(), "vcf" | "vcard"),
    }
}

/// Returns the media type and its parameters in lower case; `None` if there is none, or only a generic one.
fn specific_type(attachment: &Attachment) -> Option<(String, String)> {
    let given = attachment.mime_type.as_deref()?.to_ascii_lowercase();
    let (essence, rest) = given.split_once(';').unwrap_or((&given, ""));
    let essence = essence.trim();
    let says_nothing =
        matches!(essence, "" | "application/octet-stream" | "binary/octet-stream") || !essence.contains('/');
    (!says_nothing).then(|| (essence.to_owned(), rest.to_owned()))
}

/// Returns what follows the last dot of the file's name, or of the link's path if there is no name, in lower case.
fn extension(attachment: &Attachment) -> String {
    let of = |name: &str| name.trim().rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let by_name = attachment.file_name.as_ref().and_then(|name| of(name.as_str()));
    let by_link = || {
        let link = url::Url::parse(attachment.url.as_str()).ok()?;
        of(link.path_segments()?.next_back()?)
    };
    by_name.or_else(by_link).unwrap_or_default()
}

/// Returns `template` with `{address}`, `{latitude}` and `{longitude}` filled in, in one pass, so that an address is
/// never read as a template. Without an address, a line that holds it and no coordinate is left out.
fn place(location: &Location, template: &str) -> String {
    let address = location.address.as_ref().map_or("", |address| address.as_str().trim());
    let (latitude, longitude) = (degrees(location.latitude()), degrees(location.longitude()));
    let empty = |line: &&str| {
        address.is_empty()
            && line.contains("{address}")
            && !line.contains("{latitude}")
            && !line.contains("{longitude}")
    };
    let lines: Vec<&str> = template.split('\n').filter(|line| !empty(line)).collect();
    let text =
        fill(&lines.join("\n"), &[("{address}", address), ("{latitude}", &latitude), ("{longitude}", &longitude)]);
    match text.trim() {
        "" => format!("{latitude},{longitude}"),
        text => text.to_owned(),
    }
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = values.iter().find(|(name, _)| rest.starts_with(name));
        let (value, length) = found.map_or((&rest[..1], 1), |(name, value)| (*value, name.len()));
        text.push_str(value);
        rest = &rest[length..];
    }
    text.push_str(rest);
    text
}

/// Returns degrees in plain digits: no exponent, at most seven decimals (a centimetre), no zeros at the end.
fn degrees(value: f64) -> String {
    let text = format!("{value:.7}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        digits => digits.to_owned(),
    }
}
