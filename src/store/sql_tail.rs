//! The statements of the tail, what happens as it happens; for both engines, see `sql.rs`. Each goes along an index from a bound, and
//! ends at a limit: the newest are kept.

/// The newest ids.
pub(super) const NEWEST: &str =
    "SELECT (SELECT COALESCE(MAX(id), 0) FROM outbound), (SELECT COALESCE(MAX(id), 0) FROM events)";

pub(super) const ACCEPTED: &str = "SELECT o.id, o.accepted_ms, c.channel, c.contact, o.m_id, o.kind FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE o.id > $1 ORDER BY o.id DESC LIMIT $2";

/// In two, each with its index; those without their text were discarded.
pub(super) const ENDED: &str = "SELECT o.id, o.done_ms, c.channel, c.contact, o.m_id, o.state, o.fault FROM outbound o \
     JOIN conversations c ON c.id = o.conversation \
     WHERE o.done_ms IS NOT NULL AND o.content IS NOT NULL AND o.done_ms >= $1 ORDER BY o.done_ms DESC LIMIT $2";

pub(super) const ENDED_WIPED: &str = "SELECT o.id, o.done_ms, c.channel, c.contact, o.m_id, o.state, o.fault FROM outbound o \
     JOIN conversations c ON c.id = o.conversation \
     WHERE o.done_ms IS NOT NULL AND o.content IS NULL AND o.done_ms >= $1 ORDER BY o.done_ms DESC LIMIT $2";

pub(super) const RECORDED: &str = "SELECT e.id, e.recorded_ms, c.channel, c.contact, e.m_id, e.kind FROM events e \
     JOIN conversations c ON c.id = e.conversation WHERE e.id > $1 ORDER BY e.id DESC LIMIT $2";

pub(super) const PUBLISHED: &str = "SELECT e.id, e.done_ms, c.channel, c.contact, e.m_id, e.state, e.fault FROM events e \
     JOIN conversations c ON c.id = e.conversation \
     WHERE e.done_ms IS NOT NULL AND e.event IS NOT NULL AND e.done_ms >= $1 ORDER BY e.done_ms DESC LIMIT $2";

/// How many were stored and how many ended since then, each counted up to `$2`.
pub(super) const HAPPENED: &str = "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM outbound o WHERE o.id > $1 LIMIT $2) s) \
     + (SELECT COUNT(*) FROM (SELECT 1 FROM events e WHERE e.id > $3 LIMIT $2) s) \
     + (SELECT COUNT(*) FROM (SELECT 1 FROM outbound o \
      WHERE o.done_ms IS NOT NULL AND o.content IS NOT NULL AND o.done_ms >= $4 LIMIT $2) s) \
     + (SELECT COUNT(*) FROM (SELECT 1 FROM outbound o \
      WHERE o.done_ms IS NOT NULL AND o.content IS NULL AND o.done_ms >= $4 LIMIT $2) s) \
     + (SELECT COUNT(*) FROM (SELECT 1 FROM events e \
      WHERE e.done_ms IS NOT NULL AND e.event IS NOT NULL AND e.done_ms >= $4 LIMIT $2) s)";

/// Of the newest `$1` steps, those that were added or repeated since `$2`.
pub(super) const STEPPED: &str = "SELECT s.id, s.until_ms, \
     CASE WHEN s.subject = 'o' THEN (SELECT c.channel FROM outbound o JOIN conversations c ON c.id = o.conversation WHERE o.id = s.subject_id) \
      ELSE (SELECT c.channel FROM events e JOIN conversations c ON c.id = e.conversation WHERE e.id = s.subject_id) END, \
     CASE WHEN s.subject = 'o' THEN (SELECT c.contact FROM outbound o JOIN conversations c ON c.id = o.conversation WHERE o.id = s.subject_id) \
      ELSE (SELECT c.contact FROM events e JOIN conversations c ON c.id = e.conversation WHERE e.id = s.subject_id) END, \
     CASE WHEN s.subject = 'o' THEN (SELECT o.m_id FROM outbound o JOIN conversations c ON c.id = o.conversation WHERE o.id = s.subject_id) \
      ELSE (SELECT e.m_id FROM events e JOIN conversations c ON c.id = e.conversation WHERE e.id = s.subject_id) END, \
     s.subject, s.times, s.detail \
     FROM (SELECT id, subject, subject_id, until_ms, times, detail FROM steps ORDER BY id DESC LIMIT $1) s \
     WHERE s.until_ms >= $2 ORDER BY s.until_ms, s.id";
