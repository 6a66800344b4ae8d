//! One row of an Afilnet read, after tolerant parsing (afilnet.md section 3.7).

use super::Destination;

/// Who wrote a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// The customer.
    Inbound,
    /// The business: through the bridge or through Afilnet's own panel.
    Outbound,
    /// The field is missing or has another value.
    Unknown,
}

impl Direction {
    /// Returns one letter, for identities.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Inbound => "i",
            Self::Outbound => "o",
            Self::Unknown => "u",
        }
    }
}

/// A row's time, as given and as parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowTime {
    /// As it was on the wire, for identities.
    pub(crate) raw: String,
    /// Epoch milliseconds, if it could be parsed.
    pub(crate) epoch_ms: Option<i64>,
}

/// One row. Unreadable fields are missing here, never an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AfilnetRow {
    pub(crate) destination: Destination,
    /// Afilnet's message id; `None` if it is missing, empty or `0`.
    pub(crate) id: Option<String>,
    pub(crate) direction: Direction,
    pub(crate) time: RowTime,
    /// The text unchanged; empty if the row has none.
    pub(crate) text: String,
    /// Afilnet's word or number for the row's state, opaque.
    pub(crate) status: Option<String>,
}
