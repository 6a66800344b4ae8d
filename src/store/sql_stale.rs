//! The statements of messages that waited for too long (`outbound.stale_after`).

/// Heads of queues that are due by `$2` (now) and were accepted before `$3`, of which no attempt may have sent anything. `since_ms` is
/// later than `accepted_ms` where a person had it sent again, which no age ends.
pub(super) const STALE_HEADS: &str = "SELECT c.id, c.contact, o.id FROM conversations c CROSS JOIN outbound o \
     WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.outbound_due_ms <= $2 AND o.id = \
     (SELECT h.id FROM outbound h WHERE h.conversation = c.id AND h.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY h.id LIMIT 1) \
     AND o.state = 'queued' AND o.part = 0 AND o.unknown_ms IS NULL AND o.since_ms <= o.accepted_ms AND o.since_ms < $3 \
     ORDER BY c.outbound_due_ms LIMIT $4";

/// A message that [`STALE_HEADS`] would return, by its id; its conversation is locked.
pub(super) const STALE: &str = "SELECT m_id, accepted_ms FROM outbound \
     WHERE id = $1 AND state = 'queued' AND part = 0 AND unknown_ms IS NULL AND since_ms <= accepted_ms AND since_ms < $2";

pub(super) const FAIL_STALE: &str = "UPDATE outbound SET state = 'failed', done_ms = $1, fault = 'stale', told = 2 \
     WHERE id = $2 AND state = 'queued'";
