//! Afilnet's responses, one JSON object per case in `tests/fixtures/afilnet/`: each is built from the contract, none
//! was recorded from the live service; a real capture should be added.

use jiff::Timestamp;
use proptest::prelude::*;
use serde::Deserialize;

use super::super::classify::HttpResponse;
use super::*;

/// One case of a file. The body is `body` as compact JSON, or `raw` as it is, or `hex`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    name: String,
    /// Names of the parameters of a captured call.
    #[serde(default, rename = "parameters")]
    _parameters: Vec<String>,
    #[serde(default = "ok")]
    http: u16,
    retry_after: Option<String>,
    /// Of a captured call; its body is in UTF-8 already.
    #[serde(default, rename = "content_type")]
    _content_type: Option<String>,
    body: Option<Value>,
    raw: Option<String>,
    hex: Option<String>,
    /// The reading as a send, in sends.json.
    expect: Option<String>,
    /// The reading as a send, in errors.json.
    send: Option<String>,
    /// The reading as a read, in errors.json.
    read: Option<String>,
    /// The method of the read, in reads.json; getchats if it is missing.
    method: Option<String>,
    /// Ids of its rows in order, in reads.json.
    ids: Option<Vec<String>>,
    #[serde(default)]
    unreadable: usize,
    /// Code of the fault, in reads.json.
    fault: Option<String>,
}

fn ok() -> u16 {
    200
}

const SENDS: &str = include_str!("../../../tests/fixtures/afilnet/sends.json");
const ERRORS: &str = include_str!("../../../tests/fixtures/afilnet/errors.json");
const READS: &str = include_str!("../../../tests/fixtures/afilnet/reads.json");
const ROWS: &str = include_str!("../../../tests/fixtures/afilnet/rows.json");
const GARBAGE: &str = include_str!("../../../tests/fixtures/afilnet/garbage.json");

fn cases(file: &str) -> Vec<Case> {
    serde_json::from_str(file).unwrap()
}

/// The body of every case of every file; rows stand within a list.
pub(super) fn every_body() -> Vec<Vec<u8>> {
    let rows: Vec<RowCase> = serde_json::from_str(ROWS).unwrap();
    let listed = |row: &str| format!(r#"{{"status":"SUCCESS","result":{{"list":[{row}]}}}}"#).into_bytes();
    let rows = rows.iter().map(|case| listed(&case.row));
    [SENDS, ERRORS, READS, GARBAGE].into_iter().flat_map(cases).map(|case| case.bytes()).chain(rows).collect()
}

impl Case {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.raw, &self.hex) {
            (Some(body), None, None) => body.to_string().into_bytes(),
            (None, Some(raw), None) => raw.clone().into_bytes(),
            (None, None, Some(digits)) => hex(digits),
            _ => panic!("{}: one of body, raw and hex", self.name),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as classify takes it")]
    pub(super) fn outcome(&self) -> Outcome {
        let now: Timestamp = "2024-05-10T10:34:56Z".parse().unwrap();
        let asked = self.retry_after.as_deref().and_then(|header| crate::domain::clock::retry_after(header, now));
        Ok(HttpResponse { http: self.http, asked, content_type: None, body: Ok(self.bytes()) })
    }
}

fn asked_in_words(asked: Option<Duration>) -> String {
    asked.map(|asked| format!(", asked {} s", asked.as_secs())).unwrap_or_default()
}

fn verdict_in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Sent { afilnet_id: None } => "sent".into(),
        Verdict::Sent { afilnet_id: Some(id) } => format!("sent {id}"),
        Verdict::NotSent { fault, asked } => format!("not sent: {}{}", fault.code(), asked_in_words(*asked)),
        Verdict::Refused { fault } => format!("refused: {}", fault.code()),
        Verdict::Unknown { fault } => format!("unknown: {}", fault.code()),
    }
}

fn read_in_words(read: &Result<Value, ReadError>) -> String {
    match read {
        Ok(Value::Null) => "no rows".into(),
        Ok(result) => result.to_string(),
        Err(error) => format!("{}{}", error.fault.code(), asked_in_words(error.asked)),
    }
}

#[test]
fn sends_are_read_as_written_down() {
    for case in cases(SENDS) {
        assert_eq!(Some(verdict_in_words(&classify(&case.outcome()))), case.expect, "{}", case.name);
    }
}

#[test]
fn errors_are_read_as_written_down() {
    for case in cases(ERRORS) {
        assert_eq!(Some(verdict_in_words(&classify(&case.outcome()))), case.send, "{}", case.name);
        assert_eq!(Some(read_in_words(&classify_read(&case.outcome()))), case.read, "{}", case.name);
    }
}

#[test]
fn garbage_leaves_a_send_unknown_and_a_read_without_proof() {
    for case in cases(GARBAGE) {
        let outcome = case.outcome();
        assert_eq!(classify(&outcome), Verdict::Unknown { fault: Fault::NotUnderstood }, "{}", case.name);
        assert_eq!(classify_read(&outcome), Err(not_understood()), "{}", case.name);
    }
}

#[test]
fn lists_are_read_as_written_down() {
    let (asked, zone) = ("34600000000".parse().unwrap(), TimeZone::get("Europe/Madrid").unwrap());
    for case in cases(READS) {
        let read = classify_read(&case.outcome()).and_then(|result| match case.method.as_deref() {
            None => wire::rows(Some(&raw(&result)), None, &zone).ok_or_else(not_understood),
            Some(_) => wire::rows_of(Some(&raw(&result)), &asked, &zone).ok_or_else(not_understood),
        });
        match read {
            Ok(read) => {
                let ids = read.rows.iter().map(|row| row.id.clone().unwrap_or("-".into())).collect();
                assert_eq!((Some(ids), read.unreadable), (case.ids, case.unreadable), "{}", case.name);
                assert_eq!(case.fault, None, "{}", case.name);
            }
            Err(error) => assert_eq!((Some(error.fault.code()), None), (case.fault, case.ids), "{}", case.name),
        }
    }
}

/// One case of rows.json; what is missing is expected to be missing in the row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowCase {
    name: String,
    row: String,
    #[serde(default = "asked")]
    destination: String,
    id: Option<String>,
    direction: Option<String>,
    time: Option<String>,
    #[serde(default)]
    text: String,
    status: Option<String>,
}

fn asked() -> String {
    "34600999999".into()
}

#[test]
fn rows_are_read_as_written_down() {
    let zone = TimeZone::get("Europe/Madrid").unwrap();
    let cases: Vec<RowCase> = serde_json::from_str(ROWS).unwrap();
    for case in cases {
        let body = format!(r#"{{"status":"SUCCESS","result":[{}]}}"#, case.row).into_bytes();
        let result =
            classify_read(&Ok(HttpResponse { http: 200, asked: None, content_type: None, body: Ok(body) })).unwrap();
        let read = wire::rows(Some(&raw(&result)), Some(&asked().parse().unwrap()), &zone).unwrap();
        assert_eq!((read.rows.len(), read.unreadable), (1, 0), "{}", case.name);
        let row = &read.rows[0];
        let time = row.time.epoch_ms.map(|ms| Timestamp::from_millisecond(ms).unwrap().to_string());
        assert_eq!(row.destination.as_str(), case.destination, "{}", case.name);
        assert_eq!(row.id, case.id, "{}", case.name);
        assert_eq!(row.direction.letter(), case.direction.as_deref().unwrap_or("u"), "{}", case.name);
        assert_eq!(time, case.time, "{}", case.name);
        assert_eq!(row.text, case.text, "{}", case.name);
        assert_eq!(row.status, case.status, "{}", case.name);
    }
}

#[test]
fn a_time_that_cannot_be_read_is_kept_as_it_stood() {
    let read = |datetime: &str| {
        let result = json::tidy(&format!(r#"[{{"messageid":1,"datetime":{datetime}}}]"#));
        wire::rows(Some(serde_json::from_str(&result).unwrap()), Some(&asked().parse().unwrap()), &TimeZone::UTC)
            .unwrap()
            .rows
            .remove(0)
            .time
            .raw
    };
    assert_eq!(read(r#"" 10/05/2024 12:34 ""#), " 10/05/2024 12:34 ");
    assert_eq!(read("1715337296.50"), "1715337296.50");
    assert_eq!(read("null"), "");
}

#[test]
fn an_id_beyond_reason_is_no_id() {
    let result = |length: usize| Value::String("7".repeat(length));
    assert_eq!(wire::sent_id(&result(200)).map(|id| id.len()), Some(200));
    assert_eq!(wire::sent_id(&result(201)), None);
    assert_eq!(wire::sent_id(&Value::String("1\u{1b}2".into())), None);
}

#[test]
fn channels_are_listed_and_odd_ones_left_out() {
    let result = json::tidy(
        r#"{"list":[{"platformid":"100","platform":"whatsapp","name":"Ventas"},{"platformid":7,"platform":"telegram"},
            {"platform":"webchat","name":"sin número"},{"platformid":"","platform":"x"},null]}"#,
    );
    let listed = |platform: &str, id: &str, name: &str| Listed {
        platform: platform.into(),
        platform_id: id.into(),
        name: name.into(),
    };
    let expected = vec![listed("whatsapp", "100", "Ventas"), listed("telegram", "7", "")];
    assert_eq!(wire::channels(Some(serde_json::from_str(&result).unwrap())), Some(expected));
    assert_eq!(wire::channels(None), Some(vec![]));
    assert_eq!(wire::channels(Some(&raw(&Value::String("none".into())))), None);
}

/// Every way of reading, on any bytes.
fn read_all(body: &[u8], http: u16) {
    let outcome = Ok(HttpResponse { http, asked: None, content_type: None, body: Ok(body.to_vec()) });
    let _ = classify(&outcome);
    if let Ok(result) = classify_read(&outcome) {
        let result = raw(&result);
        let _ = wire::channels(Some(&result));
        let _ = wire::rows(Some(&result), None, &TimeZone::UTC);
        let _ = wire::rows_of(Some(&result), &asked().parse().unwrap(), &TimeZone::UTC);
    }
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(body in prop::collection::vec(any::<u8>(), 0..200), http in 0u16..1000) {
        read_all(&body, http);
    }

    #[test]
    fn no_mutation_of_a_valid_answer_is_too_odd(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..8),
    ) {
        let bodies: Vec<_> = [SENDS, ERRORS, READS].iter().flat_map(|file| cases(file)).map(|case| case.bytes()).collect();
        let mut body = which.get(&bodies).clone();
        for (at, edit, byte) in edits {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match edit {
                0 => body[at] = byte,
                1 => body.truncate(at),
                _ => body.insert(at, byte),
            }
        }
        read_all(&body, 200);
    }

    #[test]
    fn a_send_is_called_sent_only_where_the_answer_says_success(body in "[\\[\\]{}\":,a-z ]{0,40}", http in 0u16..1000) {
        let outcome = Ok(HttpResponse { http, asked: None, content_type: None, body: Ok(body.into_bytes()) });
        let sent = matches!(classify(&outcome), Verdict::Sent { .. });
        prop_assert!(!sent);
    }
}
