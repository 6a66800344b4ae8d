//! Statements of decisions on many messages at once. For both engines, as in [`super::sql`]; those that take a list of ids are in two
//! forms, `SQLITE` and `POSTGRES`.

/// What the statements that describe messages have in common. `$1` ids; `$2` state, `$3` channel, `$4` fault, `$5` and `$6` since and
/// until. What a person settled or discarded is described where its fault is named. The conversation of a message has moved on where a
/// later one was sent, or may have been; in two, for the indexes of those with their texts and those without.
macro_rules! outbound_bulk {
    ($source:literal) => {
        concat!(
            "SELECT o.id, o.conversation, o.m_id, c.channel, c.contact, o.kind, o.accepted_ms, COALESCE(o.fault, ''), o.content, \
             EXISTS (SELECT 1 FROM outbound n WHERE n.conversation = o.conversation AND n.content IS NOT NULL AND n.id > o.id \
             AND (n.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed') OR n.part > 0)) \
             OR EXISTS (SELECT 1 FROM outbound n WHERE n.conversation = o.conversation AND n.content IS NULL AND n.id > o.id \
             AND (n.state IN ('sent', 'unconfirmed') OR n.part > 0)), o.since_ms FROM ",
            $source,
            " AND o.state = $2 AND ($3 IS NULL OR c.channel = $3) \
             AND (o.fault = $4 OR ($4 IS NULL AND COALESCE(o.fault, '') NOT IN ('discarded', 'settled_by_hand'))) \
             AND o.accepted_ms >= $5 AND o.accepted_ms < $6 ORDER BY o.id"
        )
    };
}

/// The same of events that were given up then. A conversation does not move on from what its customer wrote.
macro_rules! events_bulk {
    ($source:literal) => {
        concat!(
            "SELECT e.id, e.conversation, e.m_id, c.channel, c.contact, e.kind, COALESCE(e.done_ms, e.recorded_ms), \
             COALESCE(e.fault, ''), e.event, 1 = 0, e.recorded_ms FROM ",
            $source,
            " AND e.state = $2 AND ($3 IS NULL OR c.channel = $3) \
             AND (e.fault = $4 OR ($4 IS NULL AND COALESCE(e.fault, '') <> 'discarded')) \
             AND COALESCE(e.done_ms, e.recorded_ms) >= $5 AND COALESCE(e.done_ms, e.recorded_ms) < $6 ORDER BY e.id"
        )
    };
}

/// Statements of one engine that take a list of ids, written as a JSON array.
#[derive(Debug, Clone, Copy)]
pub(super) struct BulkByIds {
    pub(super) outbound: &'static str,
    pub(super) events: &'static str,
}

pub(super) const SQLITE: BulkByIds = BulkByIds {
    outbound: outbound_bulk!(
        "json_each($1) j CROSS JOIN outbound o CROSS JOIN conversations c WHERE o.id = j.value AND c.id = o.conversation"
    ),
    events: events_bulk!(
        "json_each($1) j CROSS JOIN events e CROSS JOIN conversations c WHERE e.id = j.value AND c.id = e.conversation"
    ),
};

pub(super) const POSTGRES: BulkByIds = BulkByIds {
    outbound: outbound_bulk!(
        "outbound o CROSS JOIN conversations c WHERE o.id = ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) \
         AND c.id = o.conversation"
    ),
    events: events_bulk!(
        "events e CROSS JOIN conversations c WHERE e.id = ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) \
         AND c.id = e.conversation"
    ),
};

/// Behind a place, in the order of the index of what waits.
pub(super) const QUEUED_IDS: &str = "SELECT conversation, id FROM outbound WHERE state IN ('queued', 'sending', 'unknown', 'held') \
     AND state = 'queued' AND (conversation, id) > ($1, $2) ORDER BY conversation, id LIMIT $3";

pub(super) const FAILED_IDS: &str = "SELECT id FROM outbound WHERE state IN ('failed', 'unknown', 'held', 'unconfirmed') \
     AND state = 'failed' AND id > $1 ORDER BY id LIMIT $2";

pub(super) const DEAD_IDS: &str = "SELECT id FROM events WHERE state = 'dead' AND id > $1 ORDER BY id LIMIT $2";

/// Whether the conversation of a message has moved on from it, as above.
pub(super) const MOVED_ON: &str = "SELECT EXISTS (SELECT 1 FROM outbound n WHERE n.conversation = $1 AND n.content IS NOT NULL \
     AND n.id > $2 AND (n.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed') OR n.part > 0)) \
     OR EXISTS (SELECT 1 FROM outbound n WHERE n.conversation = $1 AND n.content IS NULL AND n.id > $2 \
     AND (n.state IN ('sent', 'unconfirmed') OR n.part > 0))";

pub(super) const ADD_JOB: &str = "INSERT INTO jobs \
     (at_ms, who, means, why, action, subject, state, filter, moved_on, spacing_ms, total, worked_ms, next_ms, filled) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $1, $1, 0) RETURNING id";

pub(super) const ADD_PART: &str = "INSERT INTO job_parts (job, nth, ids) VALUES ($1, $2, $3)";

/// Locks the job until the end of the transaction.
pub(super) const FILL: &str = "UPDATE jobs SET total = total + $1, worked_ms = $2, next_ms = $2, filled = $3 \
     WHERE id = $4 AND filled = 0 AND cancelled_ms IS NULL";

/// Ends those to which nobody has added for long: whoever made them was interrupted.
pub(super) const END_UNFILLED: &str =
    "UPDATE jobs SET cancelled_ms = $1 WHERE filled = 0 AND cancelled_ms IS NULL AND worked_ms < $2";

pub(super) const STOP_JOB: &str =
    "UPDATE jobs SET stopped = $1, worked_ms = $2 WHERE id = $3 AND ended_ms IS NULL AND cancelled_ms IS NULL";

pub(super) const RESUME_JOB: &str =
    "UPDATE jobs SET stopped = NULL, worked_ms = $1 WHERE id = $2 AND stopped IS NOT NULL";

/// Locks the job until the end of the transaction.
pub(super) const HOLD_JOB: &str =
    "UPDATE jobs SET next_ms = next_ms WHERE id = $1 AND ended_ms IS NULL AND cancelled_ms IS NULL";

pub(super) const NEXT_PART: &str = "SELECT nth, ids FROM job_parts WHERE job = $1 ORDER BY nth LIMIT 1";

/// One dead event: its conversation, and whether its text is still there.
pub(super) const DEAD_EVENT: &str =
    "SELECT conversation, event IS NOT NULL FROM events WHERE id = $1 AND state = 'dead'";

/// Whether any channel is paused by hand in this way.
pub(super) const PAUSED: &str = "SELECT EXISTS (SELECT 1 FROM operator_pauses WHERE what = $1 AND ended_ms IS NULL)";

/// Whether sending of the channel of this message is paused by hand.
pub(super) const PAUSED_MESSAGE: &str = "SELECT EXISTS (SELECT 1 FROM outbound o \
     CROSS JOIN conversations c CROSS JOIN operator_pauses p WHERE o.m_id = $1 AND c.id = o.conversation \
     AND p.channel = c.channel AND p.what = 'out' AND p.ended_ms IS NULL)";

/// Whether posting of the channel of this event is paused by hand.
pub(super) const PAUSED_EVENT: &str = "SELECT EXISTS (SELECT 1 FROM events e \
     CROSS JOIN conversations c CROSS JOIN operator_pauses p WHERE e.id = $1 AND c.id = e.conversation \
     AND p.channel = c.channel AND p.what = 'in' AND p.ended_ms IS NULL)";

/// It waits for the end of a pause.
pub(super) const WAITED: &str = "UPDATE jobs SET paused = 1, worked_ms = $1, next_ms = $2 WHERE id = $3";

pub(super) const DROP_PART: &str = "DELETE FROM job_parts WHERE job = $1 AND nth = $2";

/// It has ended where no part is left.
pub(super) const WORKED: &str = "UPDATE jobs SET done = done + $1, skipped = skipped + $2, paused = 0, \
     next_ms = $3, worked_ms = $4, \
     ended_ms = CASE WHEN EXISTS (SELECT 1 FROM job_parts p WHERE p.job = jobs.id) THEN NULL ELSE CAST($4 AS BIGINT) END \
     WHERE id = $5";

pub(super) const CANCEL_JOB: &str =
    "UPDATE jobs SET cancelled_ms = $1 WHERE id = $2 AND ended_ms IS NULL AND cancelled_ms IS NULL";

/// Of jobs that are over.
pub(super) const DROP_PARTS: &str = "DELETE FROM job_parts WHERE (job, nth) IN (SELECT p.job, p.nth FROM jobs j \
     CROSS JOIN job_parts p WHERE p.job = j.id AND (j.ended_ms IS NOT NULL OR j.cancelled_ms IS NOT NULL) LIMIT $1)";

macro_rules! jobs {
    ($which:literal) => {
        concat!(
            "SELECT id, at_ms, who, means, why, action, subject, state, filter, moved_on, spacing_ms, total, done, skipped, \
             worked_ms, next_ms, paused, ended_ms, cancelled_ms, filled, stopped FROM jobs ",
            $which
        )
    };
}

pub(super) const JOB: &str = jobs!("WHERE id = $1");

pub(super) const JOBS: &str = jobs!("ORDER BY id DESC LIMIT $1");

/// Those that nobody has gone on with for as long as texts are kept.
pub(super) const LEFT_JOBS: &str =
    "SELECT id FROM jobs WHERE ended_ms IS NULL AND cancelled_ms IS NULL AND next_ms < $1 ORDER BY id LIMIT $2";

/// Ends one of them, unless somebody has gone on with it since it was listed.
pub(super) const END_LEFT_JOB: &str = "UPDATE jobs SET cancelled_ms = $1 \
     WHERE id = $2 AND ended_ms IS NULL AND cancelled_ms IS NULL AND next_ms < $3";

/// As far back as the times of what waits are moved.
pub(super) const SHIFT_JOBS: &str = "UPDATE jobs SET worked_ms = worked_ms - $1, next_ms = next_ms - $1 \
     WHERE ended_ms IS NULL AND cancelled_ms IS NULL";

/// Those that are over for as long as rows are kept, after their parts.
pub(super) const DROP_JOBS: &str = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs \
     WHERE (ended_ms IS NOT NULL OR cancelled_ms IS NOT NULL) AND next_ms < $1 \
     AND NOT EXISTS (SELECT 1 FROM job_parts p WHERE p.job = jobs.id) LIMIT $2)";

#[cfg(test)]
pub(super) const ALL: &[(&str, &str)] = &[
    ("QUEUED_IDS", QUEUED_IDS),
    ("FAILED_IDS", FAILED_IDS),
    ("DEAD_IDS", DEAD_IDS),
    ("MOVED_ON", MOVED_ON),
    ("ADD_JOB", ADD_JOB),
    ("ADD_PART", ADD_PART),
    ("FILL", FILL),
    ("END_UNFILLED", END_UNFILLED),
    ("STOP_JOB", STOP_JOB),
    ("RESUME_JOB", RESUME_JOB),
    ("HOLD_JOB", HOLD_JOB),
    ("NEXT_PART", NEXT_PART),
    ("DEAD_EVENT", DEAD_EVENT),
    ("PAUSED", PAUSED),
    ("PAUSED_MESSAGE", PAUSED_MESSAGE),
    ("PAUSED_EVENT", PAUSED_EVENT),
    ("WAITED", WAITED),
    ("DROP_PART", DROP_PART),
    ("WORKED", WORKED),
    ("CANCEL_JOB", CANCEL_JOB),
    ("DROP_PARTS", DROP_PARTS),
    ("JOB", JOB),
    ("JOBS", JOBS),
    ("LEFT_JOBS", LEFT_JOBS),
    ("END_LEFT_JOB", END_LEFT_JOB),
    ("SHIFT_JOBS", SHIFT_JOBS),
    ("DROP_JOBS", DROP_JOBS),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// As in [`crate::store::sql`]: SQLite numbers `$n` by first appearance.
    #[test]
    fn placeholders_of_bulk_statements_first_appear_in_their_order() {
        let by_ids = [SQLITE, POSTGRES].into_iter().flat_map(|by| [by.outbound, by.events]);
        for statement in ALL.iter().map(|(_, statement)| *statement).chain(by_ids) {
            let mut highest = 0;
            for after in statement.split('$').skip(1) {
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                let n: u32 = digits.parse().unwrap();
                assert!(n <= highest + 1, "${n} comes too early in {statement}");
                highest = highest.max(n);
            }
        }
    }
}
