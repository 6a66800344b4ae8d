//! What an account puts around the words of sends: an agent's name, a signature. Pure.

use super::likeness::{RowWords, SendForms};
use crate::domain::{AfilnetRow, Direction};

/// What stands before and after the words of sends.
pub(super) struct Wrappings(Vec<(String, String)>);

impl Wrappings {
    /// As the rows show that were taken for these sends by their likeness.
    pub(super) fn of(rows: &[AfilnetRow], shown: &[&SendForms]) -> Self {
        if shown.is_empty() {
            return Self(Vec::new());
        }
        let business = rows.iter().filter(|row| row.direction == Direction::Outbound);
        let mut found: Vec<(String, String)> =
            business.flat_map(|row| SendForms::wrappings_in(&row.text, shown)).collect();
        found.sort();
        found.dedup();
        Self(found)
    }

    /// Returns whether a row has one of them around a sign, or around nothing.
    pub(super) fn hold_a_sign(&self, row: &RowWords) -> bool {
        self.0.iter().any(|(before, after)| row.is_sign_within(before, after))
    }
}
