//! Constants that the operations of both engines share.

/// An equal call later than this after the first is a new message, even if the first response was lost: people do write
/// the same again.
pub(super) const REPEAT_WITHIN_MS: i64 = 10 * 60 * 1000;

/// A `message_status` is due this long after its message went out or failed, so that the response to `POST /message`
/// with its mId arrives first (bonychat.md A16).
pub(super) const STATUS_AFTER_MS: i64 = 500;

/// A row that was missing for longer does not count as lag: there was another cause.
pub(super) const LONGEST_LAG_MS: i64 = 10 * 60_000;

/// A clock that is behind by less than this is not treated as set back: clocks that are kept in time are corrected by as
/// much between the end of one process and the start of the next.
pub(super) const ROLLBACK_FROM_MS: i64 = 1000;

/// A job to whose set nobody has added for longer was left by who made it: nothing of it is decided.
pub(super) const FILLING_MS: i64 = 5 * 60 * 1000;

/// Stored as the fault of a message that an operator settled.
pub(super) const SETTLED_BY_HAND: &str = "settled_by_hand";

/// Stored in place of a match where a row may show one of the bridge's own sends in other words.
pub(super) const MAYBE_OURS: &str = "?";
