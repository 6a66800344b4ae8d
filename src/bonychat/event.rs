//! The body of `BonyChat`'s webhook: one event per POST (bonychat.md sections 2.1 to 2.4, A13). Keys that would be null
//! or empty are left out (A11).

use rlibphonenumber::PHONE_NUMBER_UTIL;
use rlibphonenumber::enums::Region;
use serde::Serialize;

use crate::domain::content::{Attachment, AttachmentKind, Label, Location, QuickReply};
use crate::domain::{ChannelId, ContactId, Content, Event, EventBody, StatusValue};

/// Returns the whole body for one event of one contact. A receipt carries no `contact` (2.3).
pub(crate) fn event_body(channel_id: &ChannelId, contact: &ContactId, event: &Event) -> Vec<u8> {
    let about = match event.body {
        EventBody::Message { .. } | EventBody::MessageEcho { .. } => About::of(contact),
        EventBody::MessageStatus { .. } => None,
    };
    let (message, status) = match &event.body {
        EventBody::Message { content } | EventBody::MessageEcho { content } => (Some(content.into()), None),
        EventBody::MessageStatus { value, message } => (None, Some(Status::new(*value, message))),
    };
    let entry =
        Entry { kind: event.body.kind(), m_id: event.m_id.as_str(), timestamp: event.timestamp_ms, message, status };
    let body = Body { channel_id: channel_id.as_str(), contact_id: contact.as_str(), events: [entry], contact: about };
    // Only text, finite numbers and string keys: always serialisable.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    channel_id: &'a str,
    contact_id: &'a str,
    events: [Entry<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<About<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "mId")]
    m_id: &'a str,
    /// Epoch milliseconds (F7).
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

/// `events[].message`, by type (2.4).
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    Text {
        text: &'a str,
    },
    Attachment {
        attachment: Media<'a>,
    },
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<&'a str>,
    },
    QuickReply {
        title: &'a str,
        replies: Vec<&'a str>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Media<'a> {
    #[serde(rename = "type")]
    kind: AttachmentKind,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

impl<'a> From<&'a Content> for Message<'a> {
    fn from(content: &'a Content) -> Self {
        match content {
            Content::Text { text } => Self::Text { text: text.as_str() },
            Content::Attachment(file) => Self::Attachment { attachment: file.into() },
            Content::Location(place) => Self::from(place),
            Content::QuickReply(question) => Self::from(question),
        }
    }
}

impl<'a> From<&'a Attachment> for Media<'a> {
    fn from(file: &'a Attachment) -> Self {
        let images_only = file.description.as_ref().filter(|_| file.kind == AttachmentKind::Image); // A18
        Self {
            kind: file.kind,
            url: file.url.as_str(),
            mime_type: file.mime_type.as_deref().filter(|mime| !mime.is_empty()),
            file_name: file.file_name.as_ref().map(Label::as_str),
            description: images_only.map(Label::as_str),
        }
    }
}

impl<'a> From<&'a Location> for Message<'a> {
    fn from(place: &'a Location) -> Self {
        Self::Location {
            latitude: place.latitude(),
            longitude: place.longitude(),
            address: place.address.as_ref().map(Label::as_str),
        }
    }
}

impl<'a> From<&'a QuickReply> for Message<'a> {
    fn from(question: &'a QuickReply) -> Self {
        Self::QuickReply {
            title: question.title.as_str(),
            replies: question.replies().iter().map(Label::as_str).collect(),
        }
    }
}

/// `events[].status` (2.3).
#[derive(Serialize)]
struct Status<'a> {
    value: StatusValue,
    message: &'a str,
}

impl<'a> Status<'a> {
    /// With a text for the agent, or that of the contract's samples: never empty (A15).
    fn new(value: StatusValue, message: &'a str) -> Self {
        let words = match value {
            _ if !message.trim().is_empty() => message,
            StatusValue::Delivered | StatusValue::Read => "ok",
            StatusValue::Failed => "failed",
        };
        Self { value, message: words }
    }
}

/// `contact`: what a phone number shows about its owner (2.2). Nothing is known of a contact that is not a phone
/// number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'a> {
    phone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    country_code: Option<String>,
}

impl<'a> About<'a> {
    fn of(contact: &'a ContactId) -> Option<Self> {
        let phone = contact.as_str();
        let digits = phone.strip_prefix('+')?;
        let is_phone = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_phone.then(|| Self { phone, country_code: country_code(phone) })
    }
}

/// Returns the ISO 3166-1 code of a number's country; `None` if it belongs to none or to the whole world.
fn country_code(phone: &str) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(phone, None).ok()?;
    let region = PHONE_NUMBER_UTIL.get_region_for_number(&number)?;
    (region != Region::World).then(|| region.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::content::{FileUrl, Text};

    fn body(contact: &str, body: EventBody) -> String {
        let event = Event { m_id: "3f1c7a52e0b84d6c9a11".parse().unwrap(), timestamp_ms: 1_767_225_600_000, body };
        let channel_id = "gfd8g7fd89dgfd".parse().unwrap();
        String::from_utf8(event_body(&channel_id, &contact.parse().unwrap(), &event)).unwrap()
    }

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    fn text(text: &str) -> Content {
        Content::Text { text: Text::new(text).unwrap() }
    }

    /// Returns the `message` object of `content` alone.
    fn message(content: Content) -> String {
        let body = body("visitor", EventBody::Message { content });
        let start = r#"{"channelId":"gfd8g7fd89dgfd","contactId":"visitor","events":[{"type":"message","mId":"3f1c7a52e0b84d6c9a11","timestamp":1767225600000,"message":"#;
        body.strip_prefix(start).and_then(|rest| rest.strip_suffix("}]}")).expect(&body).to_owned()
    }

    #[test]
    fn a_customer_s_text_tells_who_wrote() {
        assert_eq!(
            body("+60177872890", EventBody::Message { content: text("Hello \"World\"\n") }),
            r#"{"channelId":"gfd8g7fd89dgfd","contactId":"+60177872890","events":[{"type":"message","mId":"3f1c7a52e0b84d6c9a11","timestamp":1767225600000,"message":{"type":"text","text":"Hello \"World\"\n"}}],"contact":{"phone":"+60177872890","countryCode":"MY"}}"#
        );
    }

    #[test]
    fn an_echo_differs_by_its_type_alone() {
        assert_eq!(
            body("+34600111222", EventBody::MessageEcho { content: text("Sent from the phone") }),
            r#"{"channelId":"gfd8g7fd89dgfd","contactId":"+34600111222","events":[{"type":"message_echo","mId":"3f1c7a52e0b84d6c9a11","timestamp":1767225600000,"message":{"type":"text","text":"Sent from the phone"}}],"contact":{"phone":"+34600111222","countryCode":"ES"}}"#
        );
    }

    #[test]
    fn a_receipt_has_a_status_and_no_contact() {
        let status =
            |value, message: &str| body("+34600111222", EventBody::MessageStatus { value, message: message.into() });
        assert_eq!(
            status(StatusValue::Failed, "Invalid token"),
            r#"{"channelId":"gfd8g7fd89dgfd","contactId":"+34600111222","events":[{"type":"message_status","mId":"3f1c7a52e0b84d6c9a11","timestamp":1767225600000,"status":{"value":"failed","message":"Invalid token"}}]}"#
        );
        assert!(status(StatusValue::Delivered, "").contains(r#""status":{"value":"delivered","message":"ok"}"#));
        assert!(status(StatusValue::Read, " ").contains(r#""status":{"value":"read","message":"ok"}"#));
        assert!(status(StatusValue::Failed, "").contains(r#""status":{"value":"failed","message":"failed"}"#));
    }

    #[test]
    fn an_attachment_is_nested_and_only_images_have_a_description() {
        let file = |kind| Attachment {
            kind,
            url: FileUrl::new("https://files.example.com/a1/photo.jpg").unwrap(),
            mime_type: Some("image/jpeg".into()),
            file_name: Some(label("photo.jpg")),
            description: Some(label("caption")),
        };
        assert_eq!(
            message(Content::Attachment(file(AttachmentKind::Image))),
            r#"{"type":"attachment","attachment":{"type":"image","url":"https://files.example.com/a1/photo.jpg","mimeType":"image/jpeg","fileName":"photo.jpg","description":"caption"}}"#
        );
        for (kind, word) in
            [(AttachmentKind::Video, "video"), (AttachmentKind::Audio, "audio"), (AttachmentKind::File, "file")]
        {
            let sent = message(Content::Attachment(file(kind)));
            assert!(sent.contains(&format!(r#""attachment":{{"type":"{word}","#)), "{sent}");
            assert!(!sent.contains("description"), "{sent}");
        }
        let bare = Attachment { mime_type: Some(String::new()), file_name: None, ..file(AttachmentKind::File) };
        assert_eq!(
            message(Content::Attachment(bare)),
            r#"{"type":"attachment","attachment":{"type":"file","url":"https://files.example.com/a1/photo.jpg"}}"#
        );
    }

    #[test]
    fn a_location_is_flat() {
        let place = |address| Content::Location(Location::new(3.139, -101.0, address).unwrap());
        assert_eq!(
            message(place(Some(label("Kuala Lumpur")))),
            r#"{"type":"location","latitude":3.139,"longitude":-101.0,"address":"Kuala Lumpur"}"#
        );
        assert_eq!(message(place(None)), r#"{"type":"location","latitude":3.139,"longitude":-101.0}"#);
    }

    #[test]
    fn replies_are_strings() {
        let question = QuickReply::new(label("Which day?"), vec![label("Monday"), label("Tuesday")]).unwrap();
        assert_eq!(
            message(Content::QuickReply(question)),
            r#"{"type":"quick_reply","title":"Which day?","replies":["Monday","Tuesday"]}"#
        );
    }

    #[test]
    fn only_a_phone_has_a_contact_and_only_a_known_one_a_country() {
        for (contact, about) in [
            ("+34600111222", Some(("+34600111222", Some("ES")))),
            ("+12125550123", Some(("+12125550123", Some("US")))),
            ("+14165550123", Some(("+14165550123", Some("CA")))),
            ("+525512345678", Some(("+525512345678", Some("MX")))),
            ("+5491123456789", Some(("+5491123456789", Some("AR")))),
            ("+447400123456", Some(("+447400123456", Some("GB")))),
            ("+88213123456", Some(("+88213123456", None))),
            ("+80012345678", Some(("+80012345678", None))),
            ("+99912345678", Some(("+99912345678", None))),
            ("+999999999999999", Some(("+999999999999999", None))),
            ("+1234567", None),
            ("+1234567890123456", None),
            ("34600111222", None),
            ("+34600=2D", None),
            ("visitor=2D7", None),
        ] {
            let about = about.map(|(phone, country)| {
                let country = country.map(|code| format!(r#","countryCode":"{code}""#)).unwrap_or_default();
                format!(r#","contact":{{"phone":"{phone}"{country}}}"#)
            });
            let sent = body(contact, EventBody::Message { content: text("x") });
            let end = sent.rsplit_once(']').unwrap().1;
            assert_eq!(end, format!("{}}}", about.unwrap_or_default()), "{contact}");
        }
    }
}
