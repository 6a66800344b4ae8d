//! The statements of steps, excerpts and the audit, for both engines; see `sql.rs`.

pub(super) const NEWEST_STEP: &str =
    "SELECT id, detail FROM steps WHERE subject = $1 AND subject_id = $2 ORDER BY id DESC LIMIT 1";

pub(super) const COUNT_STEPS: &str = "SELECT COUNT(*) FROM steps WHERE subject = $1 AND subject_id = $2";

pub(super) const ADD_STEP: &str = "INSERT INTO steps (subject, subject_id, at_ms, until_ms, what, detail) \
     VALUES ($1, $2, $3, $3, $4, $5) RETURNING id";

/// The same once more.
pub(super) const STEP_AGAIN: &str = "UPDATE steps SET times = times + 1, detail = $1, \
     until_ms = CASE WHEN until_ms > $2 THEN until_ms ELSE $2 END WHERE id = $3";

pub(super) const SET_EXCERPT: &str = "INSERT INTO excerpts (step, text) VALUES ($1, $2) \
     ON CONFLICT (step) DO UPDATE SET text = EXCLUDED.text";

pub(super) const WIPE_EXCERPTS: &str = "DELETE FROM excerpts WHERE step IN \
     (SELECT id FROM steps WHERE subject = $1 AND subject_id = $2)";

pub(super) const DELETE_STEPS: &str = "DELETE FROM steps WHERE subject = $1 AND subject_id = $2";

pub(super) const STEPS: &str = "SELECT s.at_ms, s.until_ms, s.times, s.detail, x.text FROM steps s \
     LEFT JOIN excerpts x ON x.step = s.id WHERE s.subject = $1 AND s.subject_id = $2 ORDER BY s.id";

pub(super) const MESSAGE_NAMED: &str = "SELECT id FROM outbound WHERE m_id = $1";

pub(super) const MESSAGE: &str = "SELECT o.id, o.conversation, c.channel, c.contact, o.kind, o.state, o.part, o.attempt, \
     o.accepted_ms, o.began_ms, o.done_ms, o.due_ms, o.unknown_ms, o.look_ms, o.fault, o.request_id, o.answered, \
     o.content IS NOT NULL, o.since_ms FROM outbound o JOIN conversations c ON c.id = o.conversation WHERE o.m_id = $1";

/// When a row was seen that shows a call, word for word or by its likeness.
pub(super) const SHOWN_MS: &str = "SELECT MIN(seen_ms) FROM seen WHERE conversation = $1 AND claim IN ($2, $3)";

/// Messages that go out before this one, and the first of them.
pub(super) const BEFORE: &str = "SELECT COUNT(*), MIN(id) FROM outbound \
     WHERE conversation = $1 AND state IN ('queued', 'sending', 'unknown', 'held') AND id < $2";

/// Messages of the conversation before this one that ended within its wait, from `$3` to `$4`. In two halves, each with its index.
pub(super) const WAITED_FOR: &str = "SELECT \
     (SELECT COUNT(*) FROM outbound WHERE conversation = $1 AND content IS NOT NULL AND id < $2 AND done_ms > $3 AND done_ms <= $4) + \
     (SELECT COUNT(*) FROM outbound WHERE conversation = $1 AND content IS NULL AND id < $2 AND done_ms > $3 AND done_ms <= $4)";

/// Messages behind this one that waited at `$3`, when it ended: how many, and since when the first did. In two halves, each a row.
pub(super) const KEPT_WAITING: &str = "SELECT COUNT(*), MIN(since_ms) FROM outbound \
     WHERE conversation = $1 AND content IS NOT NULL AND id > $2 AND since_ms < $3 AND (began_ms >= $3 OR began_ms = 0) \
     AND (done_ms IS NULL OR done_ms >= $3) UNION ALL \
     SELECT COUNT(*), MIN(since_ms) FROM outbound \
     WHERE conversation = $1 AND content IS NULL AND id > $2 AND since_ms < $3 AND began_ms >= $3";

pub(super) const HEAD: &str = "SELECT m_id, state, fault FROM outbound WHERE id = $1";

/// Of the newest steps, the last attempt of a channel that failed since `$2`.
pub(super) const CHANNEL_FAULT: &str = "SELECT s.until_ms, s.detail FROM \
     (SELECT subject, subject_id, what, until_ms, detail FROM steps ORDER BY id DESC LIMIT 500) s \
     JOIN outbound o ON o.id = s.subject_id JOIN conversations c ON c.id = o.conversation \
     WHERE c.channel = $1 AND s.subject = 'o' AND s.what = 'attempt' AND s.until_ms >= $2 ORDER BY s.until_ms DESC LIMIT 1";

/// The fault by which a channel is paused.
pub(super) const PAUSED_BY: &str =
    "SELECT paused_ms, paused_by FROM channels WHERE channel = $1 AND paused_by IS NOT NULL";

pub(super) const SET_PAUSED_BY: &str = "UPDATE channels SET paused_by = $1, paused_ms = $2 \
     WHERE channel = $3 AND COALESCE(paused_by, '') <> COALESCE($1, '')";

/// Oldest first.
pub(super) const EVENTS_NAMED: &str = "SELECT e.id, c.channel, c.contact, e.kind, e.state, e.recorded_ms, e.due_ms, \
     e.done_ms, e.attempt, e.fault, e.event FROM events e JOIN conversations c ON c.id = e.conversation \
     WHERE e.m_id = $1 ORDER BY e.id LIMIT 50";

pub(super) const ADD_AUDIT: &str = "INSERT INTO audit (at_ms, who, means, what, target, detail, once) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (once) DO NOTHING";

pub(super) const DROP_AUDIT: &str =
    "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";

// Of one conversation, for erasing a person.

/// What a person gave as the reason may name the customer. In two halves, each with its index.
pub(super) const ERASE_MESSAGE_REASONS: &str = "UPDATE audit SET detail = NULL WHERE detail IS NOT NULL \
     AND target IN (SELECT m_id FROM outbound WHERE conversation = $1 AND content IS NOT NULL \
     UNION ALL SELECT m_id FROM outbound WHERE conversation = $1 AND content IS NULL)";

pub(super) const ERASE_EVENT_REASONS: &str = "UPDATE audit SET detail = NULL WHERE detail IS NOT NULL \
     AND target IN (SELECT m_id FROM events WHERE conversation = $1 AND event IS NOT NULL \
     UNION ALL SELECT m_id FROM events WHERE conversation = $1 AND event IS NULL)";

pub(super) const ERASE_MESSAGE_EXCERPTS: &str = "DELETE FROM excerpts WHERE step IN (SELECT s.id FROM outbound o \
     JOIN steps s ON s.subject = 'o' AND s.subject_id = o.id WHERE o.conversation = $1)";

pub(super) const ERASE_EVENT_EXCERPTS: &str = "DELETE FROM excerpts WHERE step IN (SELECT s.id FROM events e \
     JOIN steps s ON s.subject = 'e' AND s.subject_id = e.id WHERE e.conversation = $1)";

pub(super) const ERASE_MESSAGE_STEPS: &str =
    "DELETE FROM steps WHERE subject = 'o' AND subject_id IN (SELECT id FROM outbound WHERE conversation = $1)";

pub(super) const ERASE_EVENT_STEPS: &str =
    "DELETE FROM steps WHERE subject = 'e' AND subject_id IN (SELECT id FROM events WHERE conversation = $1)";
