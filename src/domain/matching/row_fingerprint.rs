//! How a row is known again without trusting its id.

use crate::domain::AfilnetRow;
use crate::domain::ids::fingerprint;

/// How far a conversation is recorded: the row that `getchats` showed, as `id mark status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowFingerprint {
    id: String,
    content: String,
    status: String,
}

impl RowFingerprint {
    /// The mark of a row.
    pub(crate) fn of(row: &AfilnetRow) -> Self {
        Self {
            id: row.id.clone().unwrap_or_default(),
            content: content_fingerprint(row),
            status: fingerprint(&[row.status.as_deref().unwrap_or_default()])[..8].to_owned(),
        }
    }

    /// Its stored form.
    pub(crate) fn to_text(&self) -> String {
        format!("{} {} {}", self.content, self.status, self.id)
    }

    /// Reads the stored form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let (content, status, id) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { id: id.to_owned(), content: content.to_owned(), status: status.to_owned() })
    }

    /// Which of these rows (oldest first) is the row marked: the one that is it by id and content, else the first by
    /// content, else the one by id. Of equals of one time the first: a later one may have come after the mark was made.
    pub(crate) fn find(&self, rows: &[AfilnetRow]) -> Option<usize> {
        let says = |row: &&AfilnetRow| content_fingerprint(row) == self.content;
        let named = |row: &&AfilnetRow| row.id.as_ref().is_some_and(|id| *id == self.id);
        let at = |is: &dyn Fn(&&AfilnetRow) -> bool| rows.iter().position(|row| is(&row));
        at(&|row| named(row) && says(row)).or_else(|| at(&says)).or_else(|| at(&named))
    }

    /// Whether `row` is the row marked. Ids decide only where they agree: they may differ between methods
    /// (afilnet.md U8).
    pub(crate) fn is(&self, row: &AfilnetRow) -> bool {
        row.id.as_ref().is_some_and(|id| *id == self.id) || content_fingerprint(row) == self.content
    }
}

/// Time as given and text. Not the direction: its field differs between methods.
pub(crate) fn content_fingerprint(row: &AfilnetRow) -> String {
    fingerprint(&[&row.time.raw, &row.text])
}
