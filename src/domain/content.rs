//! Content of a message, in either direction. Values of these types are within the limits of bonychat.md section 2.4.

use serde::{Deserialize, Serialize};
use url::Url;

use super::blank::is_blank;
use super::link::{self, Reach};
use super::placeholder;

/// Most characters of a text message.
pub(crate) const MOST_TEXT: usize = 7000;
/// Most characters of a short text.
pub(crate) const MOST_LABEL: usize = 256;
/// Most characters of a link.
pub(crate) const MOST_LINK: usize = 2000;
/// Most replies of one question.
pub(crate) const MOST_REPLIES: usize = 10;
/// Degrees from the equator, either way.
pub(crate) const MOST_LATITUDE: f64 = 90.0;
/// Degrees from Greenwich, either way.
pub(crate) const MOST_LONGITUDE: f64 = 180.0;

/// The rule that a value breaks. The text names the rule and never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadContent(pub(crate) &'static str);

/// Text of `MIN..=MAX` characters (Unicode scalar values, not bytes) that is not blank when `MIN` > 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Bounded<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Bounded<MIN, MAX> {
    /// Accepts `text` whole, or refuses it.
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, BadContent> {
        let text = text.into();
        if MIN > 0 && is_blank(&text) {
            return Err(BadContent("must not be empty"));
        }
        Self::measured(text)
    }

    /// As [`Self::new`], for a `text` that may be blank.
    fn measured(text: String) -> Result<Self, BadContent> {
        let chars = text.chars().count();
        if chars < MIN || chars > MAX {
            return Err(BadContent("is longer than its limit of characters"));
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Bounded<MIN, MAX> {
    type Error = BadContent;
    /// Accepts what a store holds: earlier versions accepted blank texts.
    fn try_from(text: String) -> Result<Self, BadContent> {
        Self::measured(text)
    }
}

impl<const MIN: usize, const MAX: usize> From<Bounded<MIN, MAX>> for String {
    fn from(text: Bounded<MIN, MAX>) -> String {
        text.0
    }
}

/// Words of a text message: 1 to 7,000 characters.
pub(crate) type Text = Bounded<1, MOST_TEXT>;
/// A short text: file name, description, address, title, one reply.
pub(crate) type Label = Bounded<1, MOST_LABEL>;

/// An absolute `http` or `https` URL in its legal spelling (RFC 3986), which is the written one if that is legal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct FileUrl(String);

impl FileUrl {
    /// Accepts a link of at most 2,000 characters as written; its legal spelling may be longer.
    pub(crate) fn new(text: impl Into<String>) -> Result<Self, BadContent> {
        let text = text.into();
        if text.chars().count() > MOST_LINK {
            return Err(BadContent("is longer than its limit of characters"));
        }
        Self::try_from(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it is public.
    pub(crate) fn is_public(&self, reach: Reach) -> bool {
        Url::parse(&self.0).is_ok_and(|url| link::is_public(&url, reach))
    }
}

impl TryFrom<String> for FileUrl {
    type Error = BadContent;
    /// Accepts what a store holds.
    fn try_from(text: String) -> Result<Self, BadContent> {
        let url = Url::parse(&text).map_err(|_| BadContent("must be an absolute URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(BadContent("must be an http or https URL with a host"));
        }
        Ok(Self(link::legal(&text, &url)))
    }
}

impl From<FileUrl> for String {
    fn from(url: FileUrl) -> String {
        url.0
    }
}

/// BonyChat's four kinds of attachment (bonychat.md section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AttachmentKind {
    Image,
    Video,
    Audio,
    File,
}

impl AttachmentKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 4] = [Self::Image, Self::Video, Self::Audio, Self::File];
}

/// A file by its public link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) kind: AttachmentKind,
    pub(crate) url: FileUrl,
    pub(crate) mime_type: Option<String>,
    pub(crate) file_name: Option<Label>,
    pub(crate) description: Option<Label>,
}

/// A place. Built only in range: latitude within ±90, longitude within ±180, both finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Location {
    latitude: f64,
    longitude: f64,
    pub(crate) address: Option<Label>,
}

impl Location {
    pub(crate) fn new(latitude: f64, longitude: f64, address: Option<Label>) -> Result<Self, BadContent> {
        if !(-MOST_LATITUDE..=MOST_LATITUDE).contains(&latitude) {
            return Err(BadContent("latitude is out of range"));
        }
        if !(-MOST_LONGITUDE..=MOST_LONGITUDE).contains(&longitude) {
            return Err(BadContent("longitude is out of range"));
        }
        Ok(Self { latitude, longitude, address })
    }

    pub(crate) fn latitude(&self) -> f64 {
        self.latitude
    }

    pub(crate) fn longitude(&self) -> f64 {
        self.longitude
    }
}

/// A question with 1 to 10 replies to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuickReply {
    pub(crate) title: Label,
    replies: Vec<Label>,
}

impl QuickReply {
    pub(crate) fn new(title: Label, replies: Vec<Label>) -> Result<Self, BadContent> {
        if !(1..=MOST_REPLIES).contains(&replies.len()) {
            return Err(BadContent("holds no replies or too many"));
        }
        Ok(Self { title, replies })
    }

    pub(crate) fn replies(&self) -> &[Label] {
        &self.replies
    }

    /// Returns whether a text of it may hold a placeholder.
    pub(crate) fn may_hold_placeholders(&self) -> bool {
        std::iter::once(&self.title).chain(&self.replies).any(|label| label.as_str().contains(placeholder::OPENING))
    }
}

/// The content of one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Content {
    Text { text: Text },
    Attachment(Attachment),
    Location(Location),
    QuickReply(QuickReply),
}

impl Content {
    /// Every kind.
    pub(crate) const KINDS: [&str; 4] = ["text", "attachment", "location", "quick_reply"];

    /// Returns its kind, for logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Attachment(_) => "attachment",
            Self::Location(_) => "location",
            Self::QuickReply(_) => "quick_reply",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_characters_not_bytes() {
        assert!(Text::new("ñ".repeat(7000)).is_ok());
        assert!(Text::new("ñ".repeat(7001)).is_err());
        assert!(Label::new("日".repeat(256)).is_ok());
        assert!(Label::new("").is_err());
        assert!(Text::new(" \n\u{200b}\u{2800}\u{3164}").is_err());
    }

    #[test]
    fn places_are_on_earth() {
        assert!(Location::new(90.0, -180.0, None).is_ok());
        assert!(Location::new(90.1, 0.0, None).is_err());
        assert!(Location::new(0.0, f64::NAN, None).is_err());
    }

    #[test]
    fn links_are_links() {
        assert!(FileUrl::new("https://files.example.com/a b.jpg").is_ok());
        for bad in ["", "photo.jpg", "javascript:alert(1)", "file:///etc/passwd", "data:image/png;base64,AA"] {
            assert!(FileUrl::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn content_survives_its_stored_form() {
        let content = Content::QuickReply(
            QuickReply::new(Label::new("Day?").unwrap(), vec![Label::new("Monday").unwrap()]).unwrap(),
        );
        let stored = serde_json::to_string(&content).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&stored).unwrap(), content);
    }
}
