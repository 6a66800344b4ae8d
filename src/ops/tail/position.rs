//! The position of a tail, from which another continues: a page, and the stream that follows it.

use std::fmt;
use std::str::FromStr;

/// Written as `12-34-1795000000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailPosition {
    pub(super) outbound_id: i64,
    pub(super) event_id: i64,
    pub(super) since_ms: i64,
}

impl TailPosition {
    /// The same, and nothing that happened before this time.
    pub(crate) fn not_before(self, at_ms: i64) -> Self {
        Self { since_ms: self.since_ms.max(at_ms), ..self }
    }

    /// Returns when what it is followed by happened, at the earliest, epoch milliseconds.
    pub(crate) fn since_ms(self) -> i64 {
        self.since_ms
    }
}

impl fmt::Display for TailPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.outbound_id, self.event_id, self.since_ms)
    }
}

/// The text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidPosition;

impl FromStr for TailPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.split('-').map(|part| part.parse::<i64>().map_err(|_| InvalidPosition));
        let mut next = || parts.next().ok_or(InvalidPosition)?;
        let position = Self { outbound_id: next()?, event_id: next()?, since_ms: next()? };
        if parts.next().is_some() { Err(InvalidPosition) } else { Ok(position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written_and_nothing_else_is_one() {
        let position = TailPosition { outbound_id: 12, event_id: 0, since_ms: 1_795_000_000_000 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for wrong in ["", "1", "1-2", "1-2-3-4", "a-b-c", "-1-2-3", "1--2-3", "99999999999999999999-1-1"] {
            assert_eq!(wrong.parse::<TailPosition>(), Err(InvalidPosition), "{wrong}");
        }
    }
}
