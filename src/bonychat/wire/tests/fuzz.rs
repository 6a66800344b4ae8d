//! `/message` bodies by the hundred thousand. Any body is a call within every limit, or problems as text that reveal
//! nothing of what was sent.

use super::*;
use crate::domain::content::{MOST_LABEL, MOST_LATITUDE, MOST_LINK, MOST_LONGITUDE, MOST_REPLIES, MOST_TEXT};
use crate::testkit::fuzz_input::{self, InputRng};

/// Characters of a sent text that no problem may hold.
const TELLING: usize = 12;

#[test]
fn mutated_bodies_are_calls_within_the_limits_or_refused_without_an_echo() {
    let (mut read, mut refused, mut not_json) = (0, 0, 0);
    fuzz_input::fuzz("/message", &BODIES, |body, rng: &mut InputRng| {
        let id_type = *rng.pick(&[IdType::Phone, IdType::Phone, IdType::Phone, IdType::Custom]);
        match parse(body, id_type, Reach::ThisMachine) {
            Ok(call) => {
                keeps_every_limit(&call, id_type);
                read += 1;
            }
            Err(rejected) => {
                tells_nothing(&rejected, body);
                if rejected.is_json() { refused += 1 } else { not_json += 1 }
            }
        }
    });
    let all = read + refused + not_json;
    // The generator must reach each of these.
    assert!(all < 1000 || [read, refused, not_json].iter().all(|n| n * 20 > all), "{read}, {refused}, {not_json}");
}

fn keeps_every_limit(call: &MessageRequest, id_type: IdType) {
    assert_eq!(id_type.contact(call.contact.as_str()).as_ref(), Ok(&call.contact));
    assert!(call.channel_id.as_ref().is_none_or(|id| !id.trim().is_empty()));
    let stored = serde_json::to_value(&call.content).unwrap();
    assert_eq!(serde_json::from_value::<Content>(stored.clone()).unwrap(), call.content);
    let says = |value: &Value, most: usize| {
        let text = value.as_str().unwrap();
        assert!(!text.trim().is_empty() && text.chars().count() <= most && !text.contains('\0'), "{text}");
    };
    let label = |value: &Value| {
        value.is_null() || {
            says(value, MOST_LABEL);
            true
        }
    };
    let within = |value: &Value, most: f64| value.as_f64().is_some_and(|degrees| degrees.abs() <= most);
    match stored["type"].as_str().unwrap() {
        "text" => says(&stored["text"], MOST_TEXT),
        "attachment" => {
            let url = stored["url"].as_str().unwrap();
            assert!(url::Url::parse(url).unwrap().has_host());
            assert!(characters_as_written(url) <= MOST_LINK + LONGEST_HOST, "{url}");
            assert!(label(&stored["file_name"]) && label(&stored["description"]) && label(&stored["mime_type"]));
        }
        "location" => {
            assert!(within(&stored["latitude"], MOST_LATITUDE) && within(&stored["longitude"], MOST_LONGITUDE));
            assert!(label(&stored["address"]));
        }
        "quick_reply" => {
            says(&stored["title"], MOST_LABEL);
            let replies = stored["replies"].as_array().unwrap();
            assert!((1..=MOST_REPLIES).contains(&replies.len()));
            for reply in replies {
                says(reply, MOST_LABEL);
            }
        }
        other => panic!("{other}"),
    }
}

/// Characters of a host name, at most: its ASCII form may be longer than what was written.
const LONGEST_HOST: usize = 253;

/// Characters of a legal URL, with those that are escaped counted as they may have been written.
fn characters_as_written(url: &str) -> usize {
    let mut bytes = Vec::new();
    let mut rest = url.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let escaped = escaped.filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).chars().count()
}

fn tells_nothing(rejected: &Rejected, body: &[u8]) {
    assert!(!rejected.problems.is_empty());
    assert!(rejected.problems.iter().all(|problem| !problem.path.is_empty()));
    assert!(rejected.problems.is_sorted_by(|a, b| a.path <= b.path), "{rejected:?}");
    let Ok(sent) = json::read(body) else { return assert!(!rejected.is_json()) };
    let mut texts = Vec::new();
    collect(&sent, &mut texts);
    // The one value that may be shown: the word for an unknown type.
    let word = sent["message"]["type"].as_str().unwrap_or_default();
    for told in [rejected.to_string(), rejected.in_words(Language::Es), format!("{rejected:?}")] {
        assert!(told.len() < 2000, "{told}");
        let ends: Vec<usize> = told.char_indices().map(|(at, _)| at).chain([told.len()]).collect();
        for chunk in ends.windows(TELLING + 1).map(|ends| &told[ends[0]..ends[TELLING]]) {
            assert!(!texts.iter().any(|text| text.contains(chunk)) || word.contains(chunk), "{chunk:?} in {told}");
        }
    }
}

/// Collects every text within `value` that is long enough to be recognised.
fn collect<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.len() >= TELLING => into.push(text),
        Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
