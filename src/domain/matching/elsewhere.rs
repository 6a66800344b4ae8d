//! Rows of one contact that are known under another of its destinations: Afilnet may show the same rows under several
//! spellings of a number. Pure.

use std::collections::HashSet;

use super::content_fingerprint;
use super::identity::base;
use crate::domain::AfilnetRow;

/// The rows that were seen under the other destinations of a contact.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere<'a> {
    /// Afilnet's id, where the row is named by it, and fingerprint of content and time.
    named: HashSet<(Option<&'a str>, &'a str)>,
    /// The fingerprints alone.
    fingerprints: HashSet<&'a str>,
}

impl<'a> Elsewhere<'a> {
    /// The rows as (identity, stored fingerprint).
    pub(crate) fn new(seen: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut rows = Self::default();
        for (identity, fingerprint) in seen {
            let id = identity.strip_prefix('i').and_then(|rest| base(rest).split_once(':')).map(|(_, id)| id);
            rows.named.insert((id, fingerprint));
            rows.fingerprints.insert(fingerprint);
        }
        rows
    }

    /// Returns whether `row` is one of them: by its id, content and time. Without ids only a row with a time that says
    /// something: two chats of a contact may both hold an "ok".
    pub(crate) fn holds(&self, row: &AfilnetRow) -> bool {
        if self.fingerprints.is_empty() {
            return false;
        }
        let fingerprint = content_fingerprint(row);
        let says_something = row.time.epoch_ms.is_some() && !row.text.trim().is_empty();
        match row.id.as_deref() {
            Some(id) => {
                self.named.contains(&(Some(id), &fingerprint))
                    || (says_something && self.named.contains(&(None, &fingerprint)))
            }
            None => says_something && self.fingerprints.contains(fingerprint.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::row;
    use super::*;
    use crate::domain::Direction;

    #[test]
    fn a_row_is_known_elsewhere_by_its_id_and_content_and_without_ids_by_what_it_said_when() {
        let customer = |id: &str, text: &str| row(id, Direction::Inbound, 7, text);
        let fingerprint = |text: &str| content_fingerprint(&customer("", text));
        let (hello, ok, nothing) = (fingerprint("hello"), fingerprint("ok"), fingerprint(""));
        let by_id = Elsewhere::new([("ii:8", hello.as_str()), ("io:9#2", &ok), ("ii:7", &nothing)]);
        assert!(by_id.holds(&customer("8", "hello")) && by_id.holds(&customer("9", "ok")));
        assert!(by_id.holds(&customer("7", "")));
        assert!(!by_id.holds(&customer("1", "hello")) && !by_id.holds(&customer("8", "bye")));
        let without = |text: &str| AfilnetRow { id: None, ..customer("", text) };
        assert!(by_id.holds(&without("hello")) && !by_id.holds(&without("")));
        let timeless = |text: &str| {
            let mut row = without(text);
            row.time.epoch_ms = None;
            row
        };
        assert!(!by_id.holds(&timeless("ok")), "a second one may have been written");
        let name = format!("hi:{hello}");
        let by_content = Elsewhere::new([(name.as_str(), hello.as_str())]);
        assert!(by_content.holds(&customer("1", "hello")) && by_content.holds(&without("hello")));
        assert!(!Elsewhere::new([]).holds(&customer("8", "hello")));
    }
}
