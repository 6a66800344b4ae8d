//! Bodies without persons, with one key for all of them, which is forgotten.

use std::collections::HashSet;

use crate::domain::redaction::{Numbers, Rules};

/// Weeks by which dates are moved: at least, and how many more at most.
const WEEKS: (i64, i64) = (52, 468);

/// Returns the bodies without persons: equal numbers are equal in all of them, and none becomes one that `is_taken`.
pub(crate) fn redacted(bodies: &[(&Rules, &[u8])], is_taken: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let numbers: HashSet<String> = bodies.iter().flat_map(|(rules, body)| rules.numbers(body)).collect();
    let numbers = Numbers::draw(numbers.iter().map(String::as_str), is_taken, || rand::random_range(0..10));
    let weeks = WEEKS.0 + rand::random_range(0..WEEKS.1);
    bodies.iter().map(|(rules, body)| rules.redacted(body, &numbers, weeks)).collect()
}
