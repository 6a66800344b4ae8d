//! Messages whose outcome is unknown, and what settles them.

use super::Attempt;

/// A message whose outcome is unknown and is to be looked up now, with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct InDoubtSend {
    /// The attempt in question.
    pub(crate) attempt: Attempt,
    /// Since when its outcome is unknown.
    pub(crate) unknown_ms: i64,
    /// Looks made.
    pub(crate) looks: u32,
    /// Of these, how many proved that it was not there, and when the first did.
    pub(crate) absences: u32,
    pub(crate) absent_ms: Option<i64>,
    /// Identity of the newest row that was known when the attempt began.
    pub(crate) anchor: Option<String>,
    /// The channel has shown rows of its kind that were surely sent.
    pub(crate) shows: bool,
    /// The longest time that the channel was seen not to show a row that was surely sent.
    pub(crate) settle_lag_ms: i64,
}

/// What the rows seen so far say of a doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// A row shows it.
    pub(crate) found: bool,
    /// Whether a row shows the last call of its conversation that was surely sent before it; `None` where there is none.
    pub(crate) before_shown: Option<bool>,
    /// A row has come up since its attempt began that may show it in other words.
    pub(crate) doubtful: bool,
}

/// What one look came to, where it settled nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Could not look: proves nothing and does not count.
    Failed,
    /// Looked, and what was shown proves nothing.
    Unclear,
    /// It was not there.
    Absent,
}

/// What a person says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Delivered,
    Failed,
    SendAgain,
}
