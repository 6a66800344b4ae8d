//! The bodies of `tests/fixtures/bonychat`, family by family, and absurd bodies.

mod agreement;
mod captures;
mod fuzz;

use std::sync::LazyLock;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::domain::Language;

/// One body and its result. `message` or `contact` stand for a `body` with valid other parts; `{"$repeat": [text, n]}`
/// stands for a long text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "phone")]
    id_type: IdType,
    body: Option<Value>,
    message: Option<Value>,
    #[serde(default, deserialize_with = "even_null")]
    contact: Option<Value>,
    raw: Option<Value>,
    /// Of a captured call: its kind, its length and its content type.
    #[serde(rename = "kind")]
    _kind: Option<String>,
    #[serde(rename = "length")]
    _length: Option<usize>,
    #[serde(rename = "content_type")]
    _content_type: Option<String>,
    reads: Option<Value>,
    content: Option<Value>,
    reads_contact: Option<Value>,
    refused: Option<Vec<String>>,
    #[serde(rename = "refusado")]
    refused_es: Option<Vec<String>>,
    #[serde(default)]
    not_json: bool,
}

fn phone() -> IdType {
    IdType::Phone
}

fn even_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Case {
    fn body(&self) -> Vec<u8> {
        let text = json!({ "type": "text", "text": "Hi" });
        let body = match (&self.raw, &self.body, &self.message, &self.contact) {
            (Some(raw), None, None, None) => return expanded(raw.clone()).as_str().unwrap().as_bytes().to_vec(),
            (None, Some(body), None, None) => body.clone(),
            (None, None, Some(message), None) => json!({ "contactId": "+34600111222", "message": message }),
            (None, None, None, Some(contact)) => json!({ "contactId": contact, "message": text }),
            _ => panic!("{}: one of raw, body, message, contact", self.name),
        };
        expanded(body).to_string().into_bytes()
    }

    fn expected(&self) -> Result<Value, &[String]> {
        let hi = json!({ "type": "text", "text": "Hi" });
        match (&self.reads, &self.content, &self.reads_contact, &self.refused) {
            (Some(call), None, None, None) => Ok(expanded(call.clone())),
            (None, Some(content), None, None) => Ok(expanded(json!({ "contact": "+34600111222", "content": content }))),
            (None, None, Some(contact), None) => Ok(expanded(json!({ "contact": contact, "content": hi }))),
            (None, None, None, Some(problems)) => Err(problems),
            _ => panic!("{}: one of reads, content, reads_contact, refused", self.name),
        }
    }
}

fn expanded(value: Value) -> Value {
    match value {
        Value::Object(map) => match map.get("$repeat").and_then(Value::as_array).map(Vec::as_slice) {
            Some([Value::String(text), times]) => {
                Value::String(text.repeat(usize::try_from(times.as_u64().unwrap()).unwrap()))
            }
            _ => Value::Object(map.into_iter().map(|(key, value)| (key, expanded(value))).collect()),
        },
        Value::Array(list) => Value::Array(list.into_iter().map(expanded).collect()),
        other => other,
    }
}

/// A call as the fixtures write it, without keys for what is missing.
fn written(call: &MessageRequest) -> Value {
    let mut content = serde_json::to_value(&call.content).unwrap();
    content.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let mut written = json!({ "contact": call.contact, "content": content });
    if let Some(channel_id) = &call.channel_id {
        written["channelId"] = json!(channel_id);
    }
    written
}

fn check(family: &str) -> usize {
    let cases: Vec<Case> = serde_json::from_str(family).unwrap();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    for case in &cases {
        let name = &case.name;
        match (parse(&case.body(), case.id_type, Reach::ThisMachine), case.expected()) {
            (Ok(call), Ok(expected)) => assert_eq!(written(&call), expected, "{name}"),
            (Err(rejected), Err(problems)) => {
                assert_eq!(rejected.to_string(), problems.join("; "), "{name}");
                if let Some(problems) = &case.refused_es {
                    assert_eq!(rejected.in_words(Language::Es), problems.join("; "), "{name}");
                }
                assert_eq!(rejected.is_json(), !case.not_json, "{name}");
            }
            (Ok(call), Err(problems)) => panic!("{name}: read as {}, expected {problems:?}", written(&call)),
            (Err(rejected), Ok(_)) => panic!("{name}: {rejected}"),
        }
    }
    cases.len()
}

const TEXT: &str = include_str!("../../../tests/fixtures/bonychat/text.json");
const ATTACHMENT: &str = include_str!("../../../tests/fixtures/bonychat/attachment.json");
const LOCATION: &str = include_str!("../../../tests/fixtures/bonychat/location.json");
const QUICK_REPLY: &str = include_str!("../../../tests/fixtures/bonychat/quick_reply.json");
const OTHER: &str = include_str!("../../../tests/fixtures/bonychat/other.json");
const CONTACT: &str = include_str!("../../../tests/fixtures/bonychat/contact.json");
const MALFORMED: &str = include_str!("../../../tests/fixtures/bonychat/malformed.json");

#[test]
fn texts_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(TEXT) > 0);
}

#[test]
fn attachments_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(ATTACHMENT) > 0);
}

#[test]
fn locations_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(LOCATION) > 0);
}

#[test]
fn quick_replies_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(QUICK_REPLY) > 0);
}

#[test]
fn other_types_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(OTHER) > 0);
}

#[test]
fn contacts_and_channels_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(CONTACT) > 0);
}

#[test]
fn malformed_bodies_are_read_or_refused_as_the_fixtures_say() {
    assert!(check(MALFORMED) > 0);
}

#[test]
fn bytes_that_are_no_text_are_not_json() {
    let body = b"{\"contactId\":\"+34600111222\",\"message\":{\"type\":\"text\",\"text\":\"\xff\xfe\"}}";
    assert!(!parse(body, IdType::Phone, Reach::ThisMachine).unwrap_err().is_json());
}

#[test]
fn no_problem_repeats_what_was_sent() {
    let sent = "s3nt-valu3-".repeat(700);
    let message = |message: Value| json!({ "channelId": [sent], "contactId": sent, "message": message });
    for body in [
        message(json!({ "type": "text", "text": sent })),
        message(json!({ "type": sent })),
        message(json!({ "type": "attachment", "attachment": { "type": sent, "url": sent, "fileName": sent } })),
        message(json!({ "type": "location", "latitude": sent, "longitude": 1234.5, "address": sent })),
        message(json!({ "type": "quick_reply", "title": sent, "replies": [sent, { "text": sent }] })),
    ] {
        let rejected = parse(body.to_string().as_bytes(), IdType::Phone, Reach::ThisMachine).unwrap_err();
        for told in [rejected.to_string(), rejected.in_words(Language::Es), format!("{rejected:?}")] {
            assert!(!told.contains("s3nt") && !told.contains("1234"), "{told}");
        }
    }
}

#[test]
fn answers_have_the_contract_s_form() {
    let m_id: MId = "3f1c7a52e0b84d6c9a11".parse().unwrap();
    assert_eq!(accepted(&m_id), r#"{"mId":"3f1c7a52e0b84d6c9a11"}"#);
    assert_eq!(error_body("a \"b\"\n"), r#"{"error":{"message":"a \"b\"\n"}}"#);
}

/// Every body of the fixtures that is not long.
static BODIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [TEXT, ATTACHMENT, LOCATION, QUICK_REPLY, OTHER, CONTACT, MALFORMED]
        .into_iter()
        .flat_map(|family| serde_json::from_str::<Vec<Case>>(family).unwrap())
        .map(|case| case.body())
        .filter(|body| body.len() < 4000)
        .collect()
});

/// Any JSON, with the keys and words of the contract more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let word = "type|text|attachment|attachments|location|quick_reply|image|url|title|replies|latitude|longitude\
                |message|contactId|channelId|address|fileName|description|mimeType";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("https://x.test/a.jpg")),
        Just(Value::from("+34600111222")),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::vec((word, inner), 0..8).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

#[test]
fn a_file_within_a_network_is_refused_by_its_path() {
    let body = |url: &str| {
        let file = json!({ "type": "image", "url": url });
        json!({ "contactId": "+34600111222", "message": { "type": "attachment", "attachment": file } }).to_string()
    };
    let read =
        |url: &str, reach| parse(body(url).as_bytes(), IdType::Phone, reach).map_err(|rejected| rejected.problems);
    let refused = Err(vec![Problem::at("message.attachment.url", Rule::PublicLink)]);
    for url in [
        "https://169.254.169.254/a.jpg",
        "https://localhost/a.jpg",
        "https://x.test:8443/a.jpg",
        "https://a@x.test/a.jpg",
    ] {
        assert_eq!(read(url, Reach::Public).map(|_| ()), refused, "{url}");
    }
    assert_eq!(read("http://127.0.0.1:9090/metrics", Reach::Public).map(|_| ()), refused);
    for (url, reach) in [("http://127.0.0.1:9090/a.jpg", Reach::ThisMachine), ("https://x.test/a.jpg", Reach::Public)] {
        assert!(read(url, reach).is_ok(), "{url}");
    }
    let flat = json!({ "contactId": "+34600111222", "message": { "type": "image", "url": "https://10.0.0.1/a.jpg" } });
    let rejected = parse(flat.to_string().as_bytes(), IdType::Phone, Reach::Public).unwrap_err();
    assert!(rejected.to_string().starts_with("message.url: must be an https link that is public"), "{rejected}");
}

#[test]
fn a_link_goes_out_as_a_legal_url() {
    let file = json!({ "type": "file", "url": " https://señal.example/Presupuesto Nº 5.pdf\n" });
    let body = json!({ "contactId": "+34600111222", "message": { "type": "attachment", "attachment": file } });
    let call = parse(body.to_string().as_bytes(), IdType::Phone, Reach::Public).unwrap();
    let Content::Attachment(file) = call.content else { panic!("{:?}", call.content) };
    assert_eq!(file.url.as_str(), "https://xn--seal-hqa.example/Presupuesto%20N%C2%BA%205.pdf");
}

/// Any body is a call within the limits, or problems as text.
fn holds(body: &[u8]) {
    for id_type in [IdType::Phone, IdType::Custom] {
        match parse(body, id_type, Reach::ThisMachine) {
            Ok(call) => {
                let stored = serde_json::to_string(&call.content).unwrap();
                assert_eq!(serde_json::from_str::<Content>(&stored).unwrap(), call.content);
            }
            Err(rejected) => {
                assert!(!rejected.problems.is_empty());
                assert!(rejected.to_string().len() < 2000);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..300)) {
        holds(&body);
    }

    #[test]
    fn any_text_is_answered(body in "[\\[\\]{}\",:0-9a-fu\\\\ ]{0,200}") {
        holds(body.as_bytes());
    }

    #[test]
    fn any_json_is_answered(value in any_json(), message in any_json(), contact in any_json()) {
        holds(value.to_string().as_bytes());
        holds(json!({ "contactId": contact, "message": message }).to_string().as_bytes());
        holds(json!({ "contactId": "+34600111222", "message": value }).to_string().as_bytes());
    }

    #[test]
    fn a_changed_body_is_answered(which: prop::sample::Index, at: prop::sample::Index, cut: bool, byte: u8) {
        let mut body = which.get(&BODIES).clone();
        if !body.is_empty() {
            let at = at.index(body.len());
            if cut { body.truncate(at) } else { body[at] = byte }
        }
        holds(&body);
    }
}
