//! Replacements of numbers that keep their length, their leading zeros, their order and which of them are equal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// From so many digits on no replacement is a number that was there.
const TELLING_DIGITS: usize = 5;
/// Draws for one replacement before one is taken as it is.
const MOST_DRAWS: usize = 10_000;

/// A replacement for each number; whoever has it can undo the redaction.
pub(crate) struct Numbers(HashMap<String, String>);

impl Numbers {
    /// Draws a replacement for each of these numbers. `digit` returns random digits; none that `is_taken` is given.
    pub(crate) fn draw<'n>(
        numbers: impl IntoIterator<Item = &'n str>,
        is_taken: impl Fn(&str) -> bool,
        mut digit: impl FnMut() -> u8,
    ) -> Self {
        let mut by_length: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for number in numbers {
            let number = significant(number);
            if !number.is_empty() {
                by_length.entry(number.len()).or_default().insert(number);
            }
        }
        let mut drawn = HashMap::new();
        for (length, there) in by_length {
            let mut instead: BTreeSet<String> = BTreeSet::new();
            let mut tries = 0;
            while instead.len() < there.len() {
                let number: String = (0..length)
                    .map(|at| char::from(b'0' + if at == 0 { 1 + digit() % 9 } else { digit() % 10 }))
                    .collect();
                tries += 1;
                let given = length >= TELLING_DIGITS && (there.contains(number.as_str()) || is_taken(&number));
                if !given || tries > MOST_DRAWS * there.len() {
                    instead.insert(number);
                }
            }
            drawn.extend(there.into_iter().map(str::to_owned).zip(instead));
        }
        Self(drawn)
    }

    /// Returns the replacement of a number; zeros for one that was not known.
    pub(super) fn of(&self, number: &str) -> String {
        let rest = significant(number);
        let zeros = "0".repeat(number.len() - rest.len());
        let instead = self.0.get(rest).cloned().unwrap_or_else(|| "0".repeat(rest.len()));
        zeros + &instead
    }
}

fn significant(number: &str) -> &str {
    number.trim_start_matches('0')
}
