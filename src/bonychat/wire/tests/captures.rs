//! What `bridge doctor --capture` keeps of calls: all that they are read by.

use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::bonychat::capture::RULES;
use crate::domain::redaction::Numbers;

fn without_persons(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let numbers: HashSet<String> = bodies.iter().flat_map(|body| RULES.numbers(body)).collect();
    let numbers = Numbers::draw(numbers.iter().map(String::as_str), |_| false, || rand::random_range(0..10));
    bodies.iter().map(|body| RULES.redacted(body, &numbers, 104)).collect()
}

/// Kind and, of a refusal, every rule that it breaks.
fn outcome(body: &[u8]) -> String {
    match parse(body, IdType::Phone, Reach::ThisMachine) {
        Ok(call) => call.content.kind().to_owned(),
        Err(rejected) => rejected.to_string(),
    }
}

/// Types that are not known are others afterwards, and so are links with an address of numbers, a port, a user or escapes, those to
/// this machine by its name, numbers with an exponent and digits that are not ASCII.
fn is_kept(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).into_owned();
    let plain = |link: &str| {
        let link = &link[..link.find(['"', '\\', ' ']).unwrap_or(link.len())];
        !link.is_empty()
            && !link.starts_with("localhost")
            && link.chars().all(|c| c.is_ascii_alphabetic() || "./-_".contains(c))
    };
    let known = !outcome(body).contains("is not supported") && !text.chars().any(|c| c.is_numeric() && !c.is_ascii());
    known && !text.contains("e+") && text.split("://").skip(1).all(plain)
}

#[test]
fn captured_calls_loaded_as_fixtures_are_read_as_the_originals() {
    let bodies: Vec<Vec<u8>> = BODIES.iter().filter(|body| is_kept(body)).cloned().collect();
    let (mut kinds, mut changed, mut others) = (BTreeSet::new(), 0, Vec::new());
    for (body, after) in bodies.iter().zip(without_persons(&bodies)) {
        let before = outcome(body);
        let case = json!({
            "name": "captured", "kind": "text", "id_type": "phone", "length": body.len(), "content_type": "application/json",
            "raw": String::from_utf8(after).unwrap(),
        });
        let case: Case = serde_json::from_value(case).unwrap();
        if outcome(&case.body()) != before {
            others.push([body, &case.body()].map(|body| String::from_utf8_lossy(body).into_owned()));
        }
        changed += usize::from(*body != case.body());
        kinds.insert(before);
    }
    assert!(others.is_empty(), "{others:#?}");
    assert!(bodies.len() > 100 && changed > 100 && kinds.len() > 10, "{} {changed} {kinds:?}", bodies.len());
}
