//! What `bridge doctor --capture` keeps of answers: all that they are read by.

use std::collections::{BTreeMap, HashSet};

use super::super::capture::RULES;
use super::super::classify::HttpResponse;
use super::responses::{Case, every_body};
use super::*;
use crate::domain::redaction::Numbers;

/// Weeks by which dates are moved here: summer time begins and ends in other weeks, so that times are compared in UTC.
const WEEKS: i64 = 104;

/// Redacts all of these with one key.
fn redacted(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let numbers: HashSet<String> = bodies.iter().flat_map(|body| RULES.numbers(body)).collect();
    let numbers = Numbers::draw(numbers.iter().map(String::as_str), |_| false, || rand::random_range(0..10));
    bodies.iter().map(|body| RULES.redacted(body, &numbers, WEEKS)).collect()
}

/// As a capture has it, read as a fixture.
fn loaded(body: &[u8], http: u16) -> Case {
    let case = if let Ok(text) = std::str::from_utf8(body) {
        serde_json::json!({"name": "captured", "parameters": ["class"], "http": http, "content_type": "text/html", "raw": text})
    } else {
        let hex: Vec<String> = body.iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({"name": "captured", "http": http, "hex": hex.concat()})
    };
    serde_json::from_value(case).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "what is classified is a result")]
fn outcome(body: &[u8], http: u16) -> Outcome {
    Ok(HttpResponse { http, asked: None, content_type: None, body: Ok(body.to_vec()) })
}

/// A verdict without the id that Afilnet gave.
fn verdict(outcome: &Outcome) -> String {
    match classify(outcome) {
        Verdict::Sent { afilnet_id } => format!("sent {}", afilnet_id.is_some()),
        other => format!("{other:?}"),
    }
}

fn rows(outcome: &Outcome, of: Option<&str>) -> Result<Rows, String> {
    let result = classify_read(outcome).map_err(|error| format!("{error:?}"))?;
    let result = raw(&result);
    let zone = TimeZone::UTC;
    let rows = match of {
        None => wire::rows(Some(&result), None, &zone),
        Some(of) => wire::rows_of(Some(&result), &of.parse().unwrap(), &zone),
    };
    rows.ok_or_else(|| "no rows".to_owned())
}

/// Asserts that rows differ in nothing but words, numbers and the weeks of their times.
fn assert_alike(name: &str, before: &Rows, after: &Rows) {
    assert_eq!((before.rows.len(), before.unreadable), (after.rows.len(), after.unreadable), "{name}");
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    for (before, after) in before.rows.iter().zip(&after.rows) {
        assert_eq!(before.direction, after.direction, "{name}");
        assert_eq!(before.status, after.status, "{name}");
        assert_eq!(before.text.is_empty(), after.text.is_empty(), "{name}: {before:?} {after:?}");
        assert_eq!(before.text.lines().count(), after.text.lines().count(), "{name}");
        assert_eq!(before.id.as_deref().map(str::len), after.id.as_deref().map(str::len), "{name}");
        let moved = before.time.epoch_ms.map(|ms| ms - WEEKS * 7 * 24 * 3600 * 1000);
        assert_eq!(moved, after.time.epoch_ms, "{name}: {before:?} {after:?}");
        let pairs = [(before.id.as_deref(), after.id.as_deref())];
        let all = pairs.into_iter().chain([(Some(before.destination.as_str()), Some(after.destination.as_str()))]);
        for (before, after) in all.filter_map(|(before, after)| Some((before?.to_owned(), after?.to_owned()))) {
            assert_eq!(*numbers.entry(before.clone()).or_insert_with(|| after.clone()), after, "{name}: {before}");
        }
    }
    let different: HashSet<&String> = numbers.values().collect();
    let digits = |text: &String| text.bytes().all(|b| b.is_ascii_digit());
    let all = numbers.iter().filter(|(before, _)| digits(before)).count();
    assert!(different.len() >= all, "{name}: different ones became equal: {numbers:?}");
}

#[test]
fn captures_loaded_as_fixtures_are_read_as_the_originals() {
    // A status with an escaped control character is not known as the word that it is read as.
    let mut bodies = every_body();
    bodies.retain(|body| !String::from_utf8_lossy(body).contains("\\u001b"));
    assert!(bodies.len() > 100, "{}", bodies.len());
    let after = redacted(&bodies);
    let (mut verdicts, mut lists, mut changed) = (HashSet::new(), 0, 0);
    for (body, after) in bodies.iter().zip(&after) {
        let shown = String::from_utf8_lossy(body).into_owned();
        changed += usize::from(body != after);
        for http in [200, 500] {
            let loaded = loaded(after, http);
            assert_eq!(&loaded.bytes(), after, "{shown}");
            let (before, after) = (outcome(body, http), loaded.outcome());
            assert_eq!(verdict(&before), verdict(&after), "{shown} {}", String::from_utf8_lossy(&loaded.bytes()));
            verdicts.insert(verdict(&before));
            for of in [None, Some("34600999999")] {
                match (rows(&before, of), rows(&after, of)) {
                    (Ok(before), Ok(after)) => {
                        lists += usize::from(!before.rows.is_empty());
                        assert_alike(&shown, &before, &after);
                    }
                    (before, after) => assert_eq!(before, after, "{shown}"),
                }
            }
        }
    }
    assert!(verdicts.len() > 10 && lists > 50 && changed > 50, "{} {lists} {changed}", verdicts.len());
}
