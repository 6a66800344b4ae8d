//! What BonyChat accepts at its webhook, by the strictest reading of bonychat.md sections 2.1 to 2.4 and of the "emit"
//! column of section 6. Each rule that is broken is named with its path.

use serde_json::{Map, Value};

use super::IdType;

/// Epoch milliseconds below this are seconds in disguise (bonychat.md A10).
const LEAST_MS: i64 = 100_000_000_000;
/// How far a timestamp may be ahead of the simulator's clock.
const AHEAD_MS: i64 = 60_000;

/// Content of one accepted body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Post {
    pub(super) contact_id: String,
    pub(super) kind: String,
    pub(super) m_id: String,
    pub(super) timestamp_ms: i64,
    /// `message` or `status`, depending on the kind.
    pub(super) content: Value,
    pub(super) contact: Option<Value>,
}

/// Parses one body sent with the token of channel `channel_id`, or returns every rule that it breaks.
pub(super) fn read(body: &[u8], channel_id: &str, id_type: IdType, now_ms: i64) -> Result<Post, Vec<String>> {
    let root: Value = serde_json::from_slice(body).map_err(|e| vec![format!("body: not JSON ({e})")])?;
    let mut check = Check::default();
    let post = check.post(&root, channel_id, id_type, now_ms);
    match post {
        Some(post) if check.broken.is_empty() => Ok(post),
        _ if check.broken.is_empty() => Err(vec!["body: not an object".into()]),
        _ => Err(check.broken),
    }
}

#[derive(Default)]
struct Check {
    broken: Vec<String>,
}

impl Check {
    fn rule(&mut self, holds: bool, path: &str, rule: &str) {
        if !holds {
            self.broken.push(format!("{path}: {rule}"));
        }
    }

    /// An object with no keys but these.
    fn object<'a>(&mut self, value: Option<&'a Value>, path: &str, keys: &[&str]) -> Option<&'a Map<String, Value>> {
        let object = value.and_then(Value::as_object);
        self.rule(object.is_some(), path, "must be an object");
        for key in object.into_iter().flat_map(Map::keys) {
            self.rule(keys.contains(&key.as_str()), &format!("{path}.{key}"), "is not a documented key");
        }
        object
    }

    /// Text of 1 to `most` characters that is not only white space.
    fn text<'a>(&mut self, object: &'a Map<String, Value>, path: &str, key: &str, most: usize) -> Option<&'a str> {
        let text = object.get(key).and_then(Value::as_str);
        let path = format!("{path}.{key}");
        self.rule(text.is_some(), &path, "must be a string");
        let text = text?;
        self.rule(!text.trim().is_empty(), &path, "must not be empty");
        self.rule(text.chars().count() <= most, &path, &format!("must be at most {most} characters"));
        Some(text)
    }

    /// The same for a key that may be left out; null counts as present.
    fn optional<'a>(&mut self, object: &'a Map<String, Value>, path: &str, key: &str, most: usize) -> Option<&'a str> {
        if object.contains_key(key) { self.text(object, path, key, most) } else { None }
    }

    fn number(&mut self, object: &Map<String, Value>, path: &str, key: &str, most: f64) {
        let number = object.get(key).and_then(Value::as_f64);
        let fits = number.is_some_and(|n| n.abs() <= most);
        self.rule(fits, &format!("{path}.{key}"), &format!("must be a number within ±{most}"));
    }

    fn post(&mut self, root: &Value, channel_id: &str, id_type: IdType, now_ms: i64) -> Option<Post> {
        let root = self.object(Some(root), "body", &["channelId", "contactId", "events", "contact"])?;
        let channel = root.get("channelId").and_then(Value::as_str);
        self.rule(channel == Some(channel_id), "channelId", "must be the id of the channel whose token was sent");
        let contact_id = root.get("contactId").and_then(Value::as_str).unwrap_or_default();
        self.rule(id_type.fits(contact_id), "contactId", id_type.rule());
        let events = root.get("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.rule(events.len() == 1, "events", "must hold exactly one event");
        let event = self.object(events.first(), "events[0]", &["type", "mId", "timestamp", "message", "status"])?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let m_id = event.get("mId").and_then(Value::as_str).unwrap_or_default();
        let plain = (1..=50).contains(&m_id.len()) && m_id.bytes().all(|b| b.is_ascii_alphanumeric());
        self.rule(plain, "events[0].mId", "must be 1 to 50 letters and digits");
        let timestamp_ms = event.get("timestamp").and_then(Value::as_i64).unwrap_or_default();
        let path = "events[0].timestamp";
        self.rule(timestamp_ms >= LEAST_MS, path, "must be an integer of milliseconds since 1970");
        self.rule(timestamp_ms <= now_ms + AHEAD_MS, path, "must not be in the future");
        let (named, other) = if kind == "message_status" { ("status", "message") } else { ("message", "status") };
        self.rule(!event.contains_key(other), &format!("events[0].{other}"), "does not belong to this type");
        match kind {
            "message" | "message_echo" => self.message(event.get("message")),
            "message_status" => {
                self.status(event.get("status"));
                self.rule(!root.contains_key("contact"), "contact", "must be left out of a status");
            }
            _ => self.rule(false, "events[0].type", "must be message, message_echo or message_status"),
        }
        if root.contains_key("contact") {
            self.contact(root.get("contact"));
        }
        Some(Post {
            contact_id: contact_id.to_owned(),
            kind: kind.to_owned(),
            m_id: m_id.to_owned(),
            timestamp_ms,
            content: event.get(named).cloned().unwrap_or_default(),
            contact: root.get("contact").cloned(),
        })
    }

    fn status(&mut self, status: Option<&Value>) {
        let path = "events[0].status";
        let Some(status) = self.object(status, path, &["value", "message"]) else { return };
        let value = status.get("value").and_then(Value::as_str).unwrap_or_default();
        let known = ["delivered", "read", "failed"].contains(&value);
        self.rule(known, &format!("{path}.value"), "must be delivered, read or failed");
        self.text(status, path, "message", 7000);
    }

    fn message(&mut self, message: Option<&Value>) {
        let path = "events[0].message";
        let kind = message.and_then(|m| m.get("type")).and_then(Value::as_str).unwrap_or_default();
        let keys: &[&str] = match kind {
            "text" => &["type", "text"],
            "attachment" => &["type", "attachment"],
            "location" => &["type", "latitude", "longitude", "address"],
            "quick_reply" => &["type", "title", "replies"],
            _ => {
                return self.rule(false, &format!("{path}.type"), "must be text, attachment, location or quick_reply");
            }
        };
        let Some(message) = self.object(message, path, keys) else { return };
        match kind {
            "text" => {
                self.text(message, path, "text", 7000);
            }
            "attachment" => self.attachment(message.get("attachment"), &format!("{path}.attachment")),
            "location" => {
                self.number(message, path, "latitude", 90.0);
                self.number(message, path, "longitude", 180.0);
                self.optional(message, path, "address", 256);
            }
            _ => {
                self.text(message, path, "title", 256);
                let replies = message.get("replies").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let fits =
                    |reply: &Value| reply.as_str().is_some_and(|r| !r.trim().is_empty() && r.chars().count() <= 256);
                let right = (1..=10).contains(&replies.len()) && replies.iter().all(fits);
                self.rule(right, &format!("{path}.replies"), "must be 1 to 10 strings of 1 to 256 characters");
            }
        }
    }

    fn attachment(&mut self, attachment: Option<&Value>, path: &str) {
        let keys = ["type", "url", "mimeType", "fileName", "description"];
        let Some(attachment) = self.object(attachment, path, &keys) else { return };
        let kind = attachment.get("type").and_then(Value::as_str).unwrap_or_default();
        let known = ["image", "video", "audio", "file"].contains(&kind);
        self.rule(known, &format!("{path}.type"), "must be image, video, audio or file");
        let link = self.text(attachment, path, "url", 2000).unwrap_or_default();
        self.rule(is_link(link), &format!("{path}.url"), "must be an http or https link");
        if let Some(mime) = self.optional(attachment, path, "mimeType", 256) {
            self.rule(mime.contains('/'), &format!("{path}.mimeType"), "must be a MIME type");
        }
        self.optional(attachment, path, "fileName", 256);
        if self.optional(attachment, path, "description", 256).is_some() {
            self.rule(kind == "image", &format!("{path}.description"), "belongs to images only");
        }
    }

    fn contact(&mut self, contact: Option<&Value>) {
        let path = "contact";
        let keys =
            ["firstName", "lastName", "profilePic", "locale", "countryCode", "timezone", "email", "phone", "language"];
        let Some(contact) = self.object(contact, path, &keys) else { return };
        self.rule(!contact.is_empty(), path, "must be left out rather than empty");
        for (key, most) in [("firstName", 50), ("lastName", 50), ("locale", 20), ("email", 50)] {
            self.optional(contact, path, key, most);
        }
        if let Some(url) = self.optional(contact, path, "profilePic", 2000) {
            self.rule(is_link(url), "contact.profilePic", "must be an http or https link");
        }
        if let Some(code) = self.optional(contact, path, "countryCode", 2) {
            let letters = code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
            self.rule(letters, "contact.countryCode", "must be two capital letters");
        }
        if let Some(language) = self.optional(contact, path, "language", 2) {
            let letters = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
            self.rule(letters, "contact.language", "must be two small letters");
        }
        if let Some(phone) = self.optional(contact, path, "phone", 18) {
            self.rule(IdType::Phone.fits(phone), "contact.phone", "must be + and 8 to 15 digits");
        }
        if contact.contains_key("timezone") {
            self.number(contact, path, "timezone", 24.0);
        }
    }
}

fn is_link(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_767_225_600_000;

    fn broken(change: impl FnOnce(&mut Value)) -> String {
        let mut body = json!({
            "channelId": "c", "contactId": "+34600111222",
            "events": [{"type": "message", "mId": "abc123", "timestamp": NOW,
                        "message": {"type": "text", "text": "Hi"}}],
            "contact": {"phone": "+34600111222", "countryCode": "ES", "firstName": "Ana", "timezone": 1,
                        "language": "es"}
        });
        change(&mut body);
        let read = read(body.to_string().as_bytes(), "c", IdType::Phone, NOW);
        read.err().unwrap_or_default().join("; ")
    }

    fn message(message: Value) -> String {
        broken(|body| body["events"][0]["message"] = message)
    }

    #[test]
    fn the_documented_bodies_are_taken() {
        assert_eq!(broken(|_| ()), "");
        for body in [
            json!({"type": "text", "text": "ñ".repeat(7000)}),
            json!({"type": "attachment", "attachment": {"type": "image", "url": "https://x.example/a.jpg",
                   "mimeType": "image/jpeg", "fileName": "a.jpg", "description": "caption"}}),
            json!({"type": "location", "latitude": 3.139, "longitude": 101.7, "address": "Kuala Lumpur"}),
            json!({"type": "quick_reply", "title": "Which day?", "replies": ["Monday", "Tuesday"]}),
        ] {
            assert_eq!(message(body.clone()), "", "{body}");
        }
        let status = broken(|body| {
            body["events"][0] = json!({"type": "message_status", "mId": "a", "timestamp": NOW,
                                       "status": {"value": "failed", "message": "no"}});
            body.as_object_mut().unwrap().remove("contact");
        });
        assert_eq!(status, "");
    }

    #[test]
    fn each_broken_rule_is_named_with_its_path() {
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 22] = [
            ("channelId: ", |b| b["channelId"] = json!("other")),
            ("channelId: ", |b| b["channelId"] = json!(1)),
            ("contactId: ", |b| b["contactId"] = json!("34600111222")),
            ("contactId: ", |b| b["contactId"] = json!(null)),
            ("events: ", |b| b["events"] = json!([])),
            ("events: ", |b| b["events"] = json!([b["events"][0], b["events"][0]])),
            ("events[0].mId: ", |b| b["events"][0]["mId"] = json!("web_1")),
            ("events[0].mId: ", |b| b["events"][0]["mId"] = json!("a".repeat(51))),
            ("events[0].mId: ", |b| b["events"][0]["mId"] = json!("")),
            ("events[0].timestamp: ", |b| b["events"][0]["timestamp"] = json!(NOW / 1000)),
            ("events[0].timestamp: ", |b| b["events"][0]["timestamp"] = json!(NOW + 60_001)),
            ("events[0].timestamp: ", |b| b["events"][0]["timestamp"] = json!("1767225600000")),
            ("events[0].type: ", |b| b["events"][0]["type"] = json!("note")),
            ("events[0].status: ", |b| b["events"][0]["status"] = json!({})),
            ("contact.phone: ", |b| b["contact"]["phone"] = json!(null)),
            ("contact.firstName: ", |b| b["contact"]["firstName"] = json!("")),
            ("contact.countryCode: ", |b| b["contact"]["countryCode"] = json!("es")),
            ("contact.timezone: ", |b| b["contact"]["timezone"] = json!(25)),
            ("contact.language: ", |b| b["contact"]["language"] = json!("ES")),
            ("contact.profilePic: ", |b| b["contact"]["profilePic"] = json!("data:x")),
            ("contact: ", |b| b["contact"] = json!({})),
            ("body.extra: ", |b| b["extra"] = json!(1)),
        ];
        for (path, change) in cases {
            let broken = broken(change);
            assert!(broken.starts_with(path), "{path}: {broken}");
        }
    }

    #[test]
    fn messages_keep_their_limits() {
        for body in [
            json!({"type": "text", "text": " \n"}),
            json!({"type": "text", "text": "x".repeat(7001)}),
            json!({"type": "image", "url": "https://x.example/a.jpg"}),
            json!({"type": "attachment", "attachment": {"type": "voice", "url": "https://x.example/a"}}),
            json!({"type": "attachment", "attachment": {"type": "file", "url": "data:text/plain,x"}}),
            json!({"type": "attachment", "attachment": {"type": "file", "url": "https://x.eu/a", "fileName": null}}),
            json!({"type": "attachment", "attachment": {"type": "file", "url": "https://x.eu/a", "description": "d"}}),
            json!({"type": "location", "latitude": "3", "longitude": 1}),
            json!({"type": "location", "latitude": 91, "longitude": 1}),
            json!({"type": "quick_reply", "title": "t", "replies": []}),
            json!({"type": "quick_reply", "title": "t", "replies": [1]}),
            json!(null),
        ] {
            assert!(message(body.clone()).starts_with("events[0].message"), "{body}");
        }
        assert!(!broken(|b| b["events"][0]["type"] = json!("message_status")).is_empty());
        assert_eq!(read(b"{", "c", IdType::Phone, NOW).unwrap_err().len(), 1);
        assert_eq!(read(b"[]", "c", IdType::Phone, NOW).unwrap_err().len(), 1);
    }
}
