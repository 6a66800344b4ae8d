//! How a row is known again without trusting its id, its words or its time.

use super::likeness::{is_one_link, letters, normal, without_links};
use crate::domain::AfilnetRow;
use crate::domain::ids::fingerprint;

/// What of a row stays the same where a platform signs its link again, moves its time or fills it later: three short
/// hashes, and whether it said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowShape {
    /// Its time and its text without what stands behind `?` in links.
    stem: String,
    /// Its letters without links, or the one link that it is without what stands behind `?`; of whatever time.
    words: String,
    kind: Kind,
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Blank,
    /// Nothing, and no event was published.
    Silent,
    /// One link.
    Link,
    Text,
}

impl Kind {
    fn letter(self) -> &'static str {
        match self {
            Self::Blank => "b",
            Self::Silent => "e",
            Self::Link => "l",
            Self::Text => "t",
        }
    }
}

impl RowShape {
    pub(crate) fn of(row: &AfilnetRow) -> Self {
        let text = normal(&row.text);
        let kind = match &text {
            text if text.is_empty() => Kind::Blank,
            text if is_one_link(text) => Kind::Link,
            _ => Kind::Text,
        };
        let bare: Vec<&str> = text.split(' ').map(|word| word.split(['?', '#']).next().unwrap_or_default()).collect();
        let stem = if text.contains("://") { bare.join(" ") } else { text.clone() };
        // What has no letters is told apart by its signs.
        let said = if kind == Kind::Link { stem.clone() } else { letters(&without_links(&text)) };
        let said = if said.is_empty() && kind == Kind::Text { text } else { said };
        Self { stem: short(&[&row.time.raw, kind.letter(), &stem]), words: short(&[kind.letter(), &said]), kind }
    }

    /// Returns its stored form.
    pub(crate) fn to_text(&self) -> String {
        format!("{}{}{}", self.kind.letter(), self.stem, self.words)
    }

    /// Reads the stored form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let kind = [Kind::Blank, Kind::Silent, Kind::Link, Kind::Text]
            .into_iter()
            .find(|kind| text.starts_with(kind.letter()))?;
        let (stem, words) = (text.get(1..=SHORT)?, text.get(SHORT + 1..)?);
        (words.len() == SHORT).then(|| Self { stem: stem.to_owned(), words: words.to_owned(), kind })
    }

    /// Returns whether it says nothing, and a placeholder was published for it.
    pub(crate) fn is_blank(&self) -> bool {
        self.kind == Kind::Blank
    }

    /// Returns whether it says nothing.
    pub(super) fn says_nothing(&self) -> bool {
        matches!(self.kind, Kind::Blank | Kind::Silent)
    }

    /// The same of a row for which nothing was published: what it says later is not published either.
    pub(crate) fn untold(self) -> Self {
        if self.kind == Kind::Blank { Self { kind: Kind::Silent, ..self } } else { self }
    }

    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// Returns whether it says something by which it can be known.
    pub(super) fn says_something(&self) -> bool {
        !self.says_nothing()
    }

    /// Returns whether it is the same row with another signature in its link.
    pub(super) fn has_stem_of(&self, other: &Self) -> bool {
        self.stem == other.stem
    }

    /// Returns whether it says the same, whenever. Rows without words say nothing that can be compared.
    pub(super) fn has_words_of(&self, other: &Self) -> bool {
        !self.says_nothing() && self.words == other.words
    }

    /// The same where links and rows without words count as equal among themselves.
    pub(super) fn has_kind_and_words_of(&self, other: &Self) -> bool {
        self.words == other.words || (self.kind == Kind::Link && other.kind == Kind::Link)
    }
}

/// Characters of a short hash.
const SHORT: usize = 16;

fn short(parts: &[&str]) -> String {
    fingerprint(parts)[..SHORT].to_owned()
}

/// How far a conversation is recorded: the row that `getchats` showed, as `content.shape status id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowFingerprint {
    id: String,
    content: String,
    /// `None` where an older version kept it.
    shape: Option<RowShape>,
    status: String,
}

impl RowFingerprint {
    /// Returns the fingerprint of a row.
    pub(crate) fn of(row: &AfilnetRow) -> Self {
        Self {
            id: row.id.clone().unwrap_or_default(),
            content: content_fingerprint(row),
            shape: Some(RowShape::of(row)),
            status: status_fingerprint(row),
        }
    }

    /// Returns its stored form.
    pub(crate) fn to_text(&self) -> String {
        let shape = self.shape.as_ref().map(|shape| format!(".{}", shape.to_text())).unwrap_or_default();
        format!("{}{shape} {} {}", self.content, self.status, self.id)
    }

    /// Reads the stored form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let (content, status, id) = (parts.next()?, parts.next()?, parts.next()?);
        let (content, shape) =
            content.split_once('.').map_or((content, None), |(content, shape)| (content, Some(shape)));
        let shape = shape.and_then(RowShape::parse);
        Some(Self { id: id.to_owned(), content: content.to_owned(), shape, status: status.to_owned() })
    }

    /// Returns whether `row` is the row that this is of, and nothing of it has changed that matters.
    pub(crate) fn still_is(&self, row: &AfilnetRow) -> bool {
        let id = row.id.as_deref().unwrap_or_default();
        self.id == id
            && self.status == status_fingerprint(row)
            && (self.content == content_fingerprint(row) || self.is_unchanged(&Self::of(row)))
    }

    /// Returns whether both are of one row of which nothing has changed that matters: its link may be signed again at every
    /// read, and where it has an id its time may move.
    fn is_unchanged(&self, other: &Self) -> bool {
        let alike = |(one, two): (&RowShape, &RowShape)| {
            one.has_stem_of(two) || (!self.id.is_empty() && one.has_kind_and_words_of(two))
        };
        self.id == other.id
            && self.status == other.status
            && (self.content == other.content || self.shape.as_ref().zip(other.shape.as_ref()).is_some_and(alike))
    }

    /// Returns which of these rows (oldest first) is the row that this is of: by id and content, else the first by
    /// content, else the one by id, else the first by its shape. Of equals of one time the first: a later one may have come
    /// after the fingerprint was taken.
    pub(crate) fn find(&self, rows: &[AfilnetRow]) -> Option<usize> {
        let says = |row: &&AfilnetRow| content_fingerprint(row) == self.content;
        let named = |row: &&AfilnetRow| row.id.as_ref().is_some_and(|id| *id == self.id);
        let shaped = |row: &&AfilnetRow| self.is_shaped_like(row);
        let at = |is: &dyn Fn(&&AfilnetRow) -> bool| rows.iter().position(|row| is(&row));
        at(&|row| named(row) && says(row)).or_else(|| at(&says)).or_else(|| at(&named)).or_else(|| at(&shaped))
    }

    /// Returns whether `row` is the row that this is of. Ids decide only where they agree: they may differ between methods
    /// (afilnet.md U8).
    pub(crate) fn is(&self, row: &AfilnetRow) -> bool {
        row.id.as_ref().is_some_and(|id| *id == self.id)
            || content_fingerprint(row) == self.content
            || self.is_shaped_like(row)
    }

    fn is_shaped_like(&self, row: &AfilnetRow) -> bool {
        self.shape.as_ref().is_some_and(|shape| shape.has_stem_of(&RowShape::of(row)))
    }
}

fn status_fingerprint(row: &AfilnetRow) -> String {
    fingerprint(&[row.status.as_deref().unwrap_or_default()])[..8].to_owned()
}

/// Time as given and text. Not the direction: its field differs between methods.
pub(crate) fn content_fingerprint(row: &AfilnetRow) -> String {
    fingerprint(&[&row.time.raw, &row.text])
}
