//! Messages of unknown outcome, and what settles them.

use super::Attempt;

/// A message of unknown outcome that is due for a lookup, with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct InDoubtSend {
    /// The attempt in question.
    pub(crate) attempt: Attempt,
    /// When its outcome became unknown.
    pub(crate) unknown_ms: i64,
    /// Lookups made.
    pub(crate) lookups: u32,
    /// Lookups that proved its absence, and when the first did.
    pub(crate) absences: u32,
    pub(crate) absent_ms: Option<i64>,
    /// Identity of the newest row that was known when the attempt began.
    pub(crate) anchor: Option<String>,
    /// The channel has shown rows of certainly sent messages of its kind.
    pub(crate) shows: bool,
    /// The longest time that the channel was observed not to show a row of a certainly sent message.
    pub(crate) settle_lag_ms: i64,
    /// When the attempt began.
    pub(crate) began_ms: i64,
    /// What the look in hand showed, in words: kept with what follows from it.
    pub(crate) evidence: Option<String>,
}

/// What the rows seen so far show of a send in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// A row matches it.
    pub(crate) found: bool,
    /// Whether a row matches the last certain send of its conversation before it; `None` if there is none.
    pub(crate) before_shown: Option<bool>,
    /// A row that appeared since its attempt began may show it in other words.
    pub(crate) doubtful: bool,
    /// The account has shown first sends to destinations of this numbering area where they went.
    pub(crate) new_shown: bool,
}

/// Result of a lookup that settled nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupResult {
    /// The read failed: proves nothing and does not count.
    Failed,
    /// The read proves nothing.
    Inconclusive,
    /// The message was absent.
    Absent,
}

/// What an operator decides about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Delivered,
    Failed,
    SendAgain,
    /// Nobody can tell, and it stays so: it counts no more as one that a person must settle.
    Noted,
}
