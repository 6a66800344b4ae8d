//! The document and the parser agree. Bodies are made from the document's own schema: both edges of every limit, and
//! for every constraint a body that breaks it alone. The parser takes the first and refuses the second at the right
//! path, except for the tolerances listed here, each of which must be used.

mod walk;

use std::collections::BTreeSet;

use self::walk::{Broken, Walk};
use super::*;
use crate::testkit::fuzz_input::{InputRng, cases, seed};

/// How often the whole document is walked, at least; what a constraint does not affect varies each time.
const ROUNDS: u64 = 8;

/// Cases of the fuzzing for which its constraints are broken once, each alone: the longer of the two walks.
const CASES_OF_A_ROUND: u64 = 10_000;

/// What section 6 of the contract accepts although the document forbids it: path, keyword, what is sent instead. `*` is
/// any; for a missing key `with` is `nothing`. Accepted as well, but not generated here: other nestings of a file and
/// of a place (A19, A22), types outside the four (A25), the type's word in capitals or between spaces, an attachment
/// under its own kind as the type (A20), phone numbers with spaces or 00 (A5), and U+0000, which no limit counts.
const TOLERATED: &[(&str, &str, &str)] = &[
    // A4: the token decides the channel, and an id may be a number.
    ("channelId", "required", "nothing"),
    ("channelId", "type", "null"),
    ("channelId", "type", "a number"),
    // A5: a phone number may be a number.
    ("contactId", "type", "a number"),
    // A25: any type is accepted if the message holds a text.
    ("message.type", "const", "another word beside text"),
    // A18, A20: the hints of an attachment are never refused.
    ("message.attachment.type", "*", "*"),
    ("message.attachment.mimeType", "*", "*"),
    // A18, A11: null counts as absent.
    ("message.attachment.fileName", "type", "null"),
    ("message.attachment.description", "type", "null"),
    ("message.address", "type", "null"),
    // A22: numbers may be texts.
    ("message.latitude", "type", "a numeric text"),
    ("message.longitude", "type", "a numeric text"),
    // A23: replies may be numbers, or objects with a title or a text.
    ("message.replies[]", "type", "a number"),
    ("message.replies[]", "type", "an object with a title"),
    ("message.replies[]", "type", "an object with a text"),
    // A35: plain http on the same machine, for tests; schemes are read in any case, white space around is ignored.
    ("message.attachment.url", "pattern", "http on loopback"),
    ("message.attachment.url", "pattern", "the scheme in capitals"),
    ("message.attachment.url", "pattern", "white space before"),
];

impl Broken {
    /// Returns which tolerance it is, if any.
    fn tolerance(&self) -> Option<usize> {
        let path: String =
            self.path.split_inclusive('[').map(|part| part.trim_start_matches(char::is_numeric)).collect();
        let is = |rule: &str, it: &str| rule == "*" || rule == it;
        TOLERATED.iter().position(|(p, keyword, with)| *p == path && is(keyword, self.keyword) && is(with, self.with))
    }
}

fn walks(rounds: u64) -> impl Iterator<Item = Walk> {
    let walk = |id_type, round| Walk { document: openapi::document(""), id_type, rng: InputRng::new(seed(), round) };
    (0..rounds).flat_map(move |round| [walk(IdType::Phone, round), walk(IdType::Custom, round)])
}

fn schema() -> Value {
    json!({ "$ref": "#/components/schemas/Call" })
}

fn shown(body: &Value) -> String {
    body.to_string().chars().take(300).collect()
}

#[test]
fn what_the_document_allows_is_taken() {
    let mut taken = 0;
    for mut walk in walks(ROUNDS.max(cases() / CASES_OF_A_ROUND)) {
        for body in walk.kept("", &schema()) {
            let read = parse(body.to_string().as_bytes(), walk.id_type, Reach::ThisMachine);
            assert!(read.is_ok(), "BRIDGE_FUZZ_SEED={} {:?}: {read:?} for {}", seed(), walk.id_type, shown(&body));
            taken += 1;
        }
    }
    assert!(taken > 1000, "{taken}");
}

#[test]
fn what_breaks_one_constraint_of_the_document_is_refused_there_or_a_listed_tolerance() {
    let (mut refused, mut met) = (0, BTreeSet::new());
    for mut walk in walks((cases() / CASES_OF_A_ROUND).max(1)) {
        for broken in walk.broken("", &schema()) {
            let read = parse(broken.value.to_string().as_bytes(), walk.id_type, Reach::ThisMachine);
            let Broken { path, keyword, with, .. } = &broken;
            let case = || {
                let (seed, id_type, body) = (seed(), walk.id_type, shown(&broken.value));
                format!("BRIDGE_FUZZ_SEED={seed} {id_type:?}, {path}, {keyword}, {with}: {read:?} for {body}")
            };
            if let Some(at) = broken.tolerance() {
                assert!(read.is_ok(), "no tolerance any more: {}", case());
                met.insert(at);
                continue;
            }
            let path = if path.is_empty() { "body" } else { path };
            let there = |rejected: &Rejected| rejected.problems.iter().all(|problem| problem.path == path);
            assert!(read.as_ref().is_err_and(there), "{}", case());
            refused += 1;
        }
    }
    assert!(refused > 1000, "{refused}");
    let unmet: Vec<_> = (0..TOLERATED.len()).filter(|at| !met.contains(at)).map(|at| TOLERATED[at]).collect();
    assert!(unmet.is_empty(), "no generator for {unmet:?}");
}

#[test]
fn the_examples_of_the_document_are_taken() {
    let document = openapi::document("/bony");
    let examples =
        &document["paths"]["/bony/message"]["post"]["requestBody"]["content"]["application/json"]["examples"];
    for (name, example) in examples.as_object().unwrap() {
        let call = parse(example["value"].to_string().as_bytes(), IdType::Phone, Reach::ThisMachine);
        assert!(call.is_ok_and(|call| call.content.kind().replace('_', "") == name.to_lowercase()), "{name}");
    }
}
