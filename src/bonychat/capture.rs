//! Calls of `/message` for `bridge doctor --capture` (bonychat.md section 8), and what of their bodies the parser depends on.

use bytes::Bytes;

use crate::domain::ChannelName;
use crate::domain::redaction::Rules;

/// The kind of a call that was refused with HTTP 400.
pub(crate) const REFUSED: &str = "refused";
/// Kinds of calls of which one each is kept: those of contents, and calls that were refused.
pub(crate) const KINDS: [&str; 5] = ["text", "attachment", "location", "quick_reply", REFUSED];

/// A call with a good token, as it came. Of its headers it holds the content type alone.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) kind: &'static str,
    pub(crate) channel: ChannelName,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

/// Types of messages and of files (bonychat.md sections 2.4, 3.1 and 3.2).
const TYPES: &[&str] = &[
    "text",
    "attachment",
    "location",
    "quick_reply",
    "image",
    "video",
    "audio",
    "voice",
    "file",
    "document",
    "email",
    "custom_payload",
    "whatsapp_template",
];
/// MIME types that chats use.
const MIME_TYPES: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "video/mp4",
    "video/3gpp",
    "video/quicktime",
    "audio/ogg",
    "audio/mpeg",
    "audio/mp4",
    "audio/amr",
    "audio/aac",
    "application/pdf",
    "application/zip",
    "application/octet-stream",
    "text/plain",
    "text/csv",
    "text/vcard",
];

/// Names of fields are kept, types and MIME types that are known; nothing of what agents write, nor of their contacts.
pub(crate) const RULES: Rules = Rules {
    codes: &[("type", 40), ("mimeType", 40)],
    words: [TYPES, MIME_TYPES],
    bare: &[],
    times: &[],
    texts: &["text", "title", "replies", "address", "description", "fileName"],
    places: &["latitude", "longitude"],
};
