//! Statements of what operators alone read, for both engines; see `sql.rs`.

/// `$2`: a person or a target; null for all.
pub(super) const AUDIT: &str = "SELECT id, at_ms, who, means, what, target, detail FROM audit WHERE id < $1 \
     AND ($2 IS NULL OR who = $2 OR target = $2) ORDER BY id DESC LIMIT $3";

/// Of the newest messages alone, after the id `$1`: no index has the times of a channel. What a person has settled was not sent then.
pub(super) const LAST_SENT: &str = "SELECT c.channel, MAX(o.done_ms) FROM outbound o CROSS JOIN conversations c \
     WHERE c.id = o.conversation AND o.id > $1 AND o.state = 'sent' AND COALESCE(o.fault, '') <> 'settled_by_hand' \
     GROUP BY c.channel";

/// No row where no message is older than those after the id `$1`.
pub(super) const SEARCHED_FROM: &str = "SELECT n.accepted_ms FROM outbound n WHERE n.id > $1 \
     AND EXISTS (SELECT 1 FROM outbound o WHERE o.id <= $1) ORDER BY n.id LIMIT 1";

pub(super) const LAST_RECEIVED: &str = "SELECT c.channel, MAX(e.recorded_ms) FROM events e CROSS JOIN conversations c \
     WHERE c.id = e.conversation AND e.id > $1 AND e.kind = 'message' GROUP BY c.channel";

pub(super) const LAST_PUBLISHED: &str = "SELECT c.channel, MAX(e.done_ms) FROM events e CROSS JOIN conversations c \
     WHERE c.id = e.conversation AND e.id > $1 AND e.state = 'done' GROUP BY c.channel";

pub(super) const OLDEST_EVENT: &str = "SELECT c.channel, MIN(e.recorded_ms) FROM events e \
     JOIN conversations c ON c.id = e.conversation WHERE e.state = 'queued' GROUP BY c.channel";

/// Conversations after the id `$1`, `$2` at most.
pub(super) const CONTACTS: &str =
    "SELECT id, contact, destination FROM conversations WHERE id > $1 ORDER BY id LIMIT $2";

/// Of the conversations after `$1` to `$2`.
pub(super) const FURTHER_DESTINATIONS: &str =
    "SELECT destination FROM destinations WHERE conversation > $1 AND conversation <= $2";

/// All states of the index of those that failed or are in doubt, so that it is used.
pub(super) const FAILED_MESSAGES: &str = "SELECT c.channel, COALESCE(o.fault, ''), COUNT(*), \
     MIN(COALESCE(o.done_ms, o.accepted_ms)), MAX(COALESCE(o.done_ms, o.accepted_ms)) \
     FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE o.state IN ('failed', 'unknown', 'held', 'unconfirmed') AND o.state = 'failed' \
     AND COALESCE(o.fault, '') <> 'discarded' GROUP BY c.channel, COALESCE(o.fault, '')";

pub(super) const FAILED_EVENTS: &str = "SELECT c.channel, COALESCE(e.fault, ''), COUNT(*), \
     MIN(COALESCE(e.done_ms, e.recorded_ms)), MAX(COALESCE(e.done_ms, e.recorded_ms)) \
     FROM events e JOIN conversations c ON c.id = e.conversation \
     WHERE e.state = 'dead' AND COALESCE(e.fault, '') <> 'discarded' GROUP BY c.channel, COALESCE(e.fault, '')";
