//! What a search returns, and how far the index of words is.

use super::ListedMessage;
use crate::domain::find::{Cursor, Side};

/// A message of either way.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct FoundMessage {
    #[serde(rename = "direction")]
    pub(crate) side: Side,
    #[serde(flatten)]
    pub(crate) message: ListedMessage,
}

/// Result of a search.
#[derive(Debug, Clone)]
pub(crate) struct FoundMessages {
    /// Newest first.
    pub(crate) messages: Vec<FoundMessage>,
    /// Where the next page begins; `None` after the last.
    pub(crate) next: Option<Cursor>,
    /// The time was up before all was searched. Then all messages since then were.
    pub(crate) cut: bool,
    pub(crate) searched_back_to_ms: Option<i64>,
}

/// What became of a turn of the index of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Indexing {
    /// A block was indexed; there may be more.
    More,
    /// A block of which a text was erased was indexed again; there may be more.
    Again,
    /// All blocks that are complete and old enough are indexed.
    Done,
    /// Messages are being stored: they go first.
    Busy,
}
