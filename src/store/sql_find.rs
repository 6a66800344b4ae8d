//! Statements that find messages, and those of the index of words. For both engines, as in [`super::sql`]; those that take a list of
//! ids are in two forms, `SQLITE` and `POSTGRES`.

/// What every statement that returns outbound messages has in common. `$1` and `$2` are in its source; `$3` state, `$4` channel,
/// `$5` fault, `$6` and `$7` since and until, `$8` and `$9` patterns of contacts, `$10` whether a text is wanted, `$11` how many.
/// `CROSS JOIN` and `$4 IS NULL` keep SQLite from walking the conversations of a channel.
macro_rules! outbound_rows {
    ($source:literal) => {
        concat!(
            "SELECT o.id, o.m_id, c.channel, c.contact, o.state, o.kind, o.attempt, o.accepted_ms, o.done_ms, o.fault, \
             CASE WHEN o.state = 'unconfirmed' THEN o.noted_ms END, o.content FROM ",
            $source,
            " AND ($3 IS NULL OR (o.state = $3 AND (o.state <> 'unconfirmed' OR o.noted_ms IS NULL)) \
             OR (o.state = 'held' AND $3 = 'unconfirmed') \
             OR (o.state = 'unconfirmed' AND $3 = 'noted' AND o.noted_ms IS NOT NULL)) AND ($4 IS NULL OR c.channel = $4) \
             AND ($5 IS NULL OR o.fault = $5) AND o.accepted_ms >= $6 AND o.accepted_ms < $7 \
             AND ($8 IS NULL OR c.contact LIKE $8 OR c.contact LIKE $9) AND ($10 = 0 OR o.content IS NOT NULL) \
             ORDER BY o.id DESC LIMIT $11"
        )
    };
}

/// The same of events; `$11` whether statuses too, `$12` how many.
macro_rules! event_rows {
    ($source:literal) => {
        concat!(
            "SELECT e.id, e.m_id, c.channel, c.contact, e.state, e.kind, e.attempt, e.recorded_ms, e.done_ms, e.fault, \
             CAST(NULL AS BIGINT), e.event FROM ",
            $source,
            " AND ($3 IS NULL OR (e.state = $3 AND COALESCE(e.fault, '') <> 'discarded')) AND ($4 IS NULL OR c.channel = $4) \
             AND ($5 IS NULL OR e.fault = $5) AND e.recorded_ms >= $6 AND e.recorded_ms < $7 \
             AND ($8 IS NULL OR c.contact LIKE $8 OR c.contact LIKE $9) AND ($10 = 0 OR e.event IS NOT NULL) \
             AND ($11 = 1 OR e.kind <> 'message_status') ORDER BY e.id DESC LIMIT $12"
        )
    };
}

/// Rows with ids from `$1` to below `$2`.
pub(super) const OUTBOUND_BETWEEN: &str =
    outbound_rows!("outbound o CROSS JOIN conversations c WHERE c.id = o.conversation AND o.id >= $1 AND o.id < $2");

pub(super) const EVENTS_BETWEEN: &str =
    event_rows!("events e CROSS JOIN conversations c WHERE c.id = e.conversation AND e.id >= $1 AND e.id < $2");

/// Statements of one engine that take a list of ids, written as a JSON array.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByIds {
    /// The rows with these ids, below `$2`.
    pub(super) outbound: &'static str,
    pub(super) events: &'static str,
    /// Ids of the rows of these conversations, below `$2`, `$3` at most. Sorted by a term, so that no engine walks the whole table
    /// backwards to save the sorting.
    pub(super) outbound_of: &'static str,
    pub(super) events_of: &'static str,
}

pub(super) const SQLITE: ByIds = ByIds {
    outbound: outbound_rows!(
        "json_each($1) j CROSS JOIN outbound o CROSS JOIN conversations c WHERE o.id = j.value AND c.id = o.conversation AND o.id < $2"
    ),
    events: event_rows!(
        "json_each($1) j CROSS JOIN events e CROSS JOIN conversations c WHERE e.id = j.value AND c.id = e.conversation AND e.id < $2"
    ),
    outbound_of: "SELECT n.id FROM (SELECT o.id FROM json_each($1) j CROSS JOIN outbound o \
         WHERE o.conversation = j.value AND o.content IS NOT NULL AND o.id < $2 UNION ALL \
         SELECT o.id FROM json_each($1) j CROSS JOIN outbound o \
         WHERE o.conversation = j.value AND o.content IS NULL AND o.id < $2) n ORDER BY n.id + 0 DESC LIMIT $3",
    events_of: "SELECT n.id FROM (SELECT e.id FROM json_each($1) j CROSS JOIN events e \
         WHERE e.conversation = j.value AND e.event IS NOT NULL AND e.id < $2 UNION ALL \
         SELECT e.id FROM json_each($1) j CROSS JOIN events e \
         WHERE e.conversation = j.value AND e.event IS NULL AND e.id < $2) n ORDER BY n.id + 0 DESC LIMIT $3",
};

pub(super) const POSTGRES: ByIds = ByIds {
    outbound: outbound_rows!(
        "outbound o CROSS JOIN conversations c WHERE o.id = ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) \
         AND c.id = o.conversation AND o.id < $2"
    ),
    events: event_rows!(
        "events e CROSS JOIN conversations c WHERE e.id = ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) \
         AND c.id = e.conversation AND e.id < $2"
    ),
    outbound_of: "SELECT n.id FROM (SELECT o.id FROM outbound o WHERE o.conversation = ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) \
         AND o.content IS NOT NULL AND o.id < $2 UNION ALL SELECT o.id FROM outbound o WHERE o.conversation = \
         ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) AND o.content IS NULL AND o.id < $2) n \
         ORDER BY n.id + 0 DESC LIMIT $3",
    events_of: "SELECT n.id FROM (SELECT e.id FROM events e WHERE e.conversation = ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) \
         AND e.event IS NOT NULL AND e.id < $2 UNION ALL SELECT e.id FROM events e WHERE e.conversation = \
         ANY (string_to_array(trim(BOTH '[]' FROM $1), ',')::BIGINT[]) AND e.event IS NULL AND e.id < $2) n \
         ORDER BY n.id + 0 DESC LIMIT $3",
};

/// Least and greatest id.
pub(super) const OUTBOUND_IDS: &str = "SELECT (SELECT MIN(id) FROM outbound), (SELECT MAX(id) FROM outbound)";

pub(super) const EVENT_IDS: &str = "SELECT (SELECT MIN(id) FROM events), (SELECT MAX(id) FROM events)";

/// The earliest of the times of a hundred rows, which rise with their ids but where a person had events posted again, or a clock was
/// set.
pub(super) const OUTBOUND_MS: &str =
    "SELECT MIN(n.at_ms) FROM (SELECT accepted_ms AS at_ms FROM outbound WHERE id >= $1 ORDER BY id LIMIT 100) n";

pub(super) const EVENTS_MS: &str = "SELECT MIN(n.at_ms) FROM (SELECT CASE WHEN due_ms < recorded_ms THEN due_ms \
     ELSE recorded_ms END AS at_ms FROM events WHERE id >= $1 ORDER BY id LIMIT 100) n";

pub(super) const OUTBOUND_OF_M_ID: &str = "SELECT id FROM outbound WHERE m_id = $1 AND id < $2 LIMIT $3";

pub(super) const EVENTS_OF_M_ID: &str =
    "SELECT id FROM events WHERE m_id = $1 AND id < $2 ORDER BY id + 0 DESC LIMIT $3";

/// Those that failed or are in doubt: rare, with an index of their own.
pub(super) const OUTBOUND_IN_TROUBLE: &str = "SELECT id FROM outbound \
     WHERE state IN ('failed', 'unknown', 'held', 'unconfirmed') \
     AND ($1 IS NULL OR state = $1 OR (state = 'held' AND $1 = 'unconfirmed') OR (state = 'unconfirmed' AND $1 = 'noted')) AND ($2 IS NULL OR fault = $2) \
     AND id + 0 < $3 ORDER BY id DESC LIMIT $4";

pub(super) const OUTBOUND_SENDING: &str =
    "SELECT id FROM outbound WHERE state = 'sending' AND id + 0 < $1 ORDER BY id DESC LIMIT $2";

/// In the order of the index of what waits, so that no engine walks the table instead.
pub(super) const OUTBOUND_QUEUED: &str = "SELECT id FROM outbound \
     WHERE state IN ('queued', 'sending', 'unknown', 'held') AND state = 'queued' ORDER BY conversation, id LIMIT $1";

pub(super) const EVENTS_QUEUED: &str =
    "SELECT id FROM events WHERE state = 'queued' ORDER BY conversation, id LIMIT $1";

pub(super) const EVENTS_DEAD: &str = "SELECT id FROM events WHERE state = 'dead' AND COALESCE(fault, '') <> 'discarded' \
     AND ($1 IS NULL OR fault = $1) AND id + 0 < $2 ORDER BY id DESC LIMIT $3";

/// In the order of the index of channels.
pub(super) const CONVERSATIONS_OF_CHANNEL: &str =
    "SELECT id FROM conversations WHERE channel = $1 ORDER BY channel, contact LIMIT $2";

/// Walks the index of contacts.
pub(super) const CONVERSATIONS_LIKE: &str =
    "SELECT id FROM conversations WHERE contact LIKE $1 OR contact LIKE $2 LIMIT $3";

pub(super) const CONVERSATIONS_WITH: &str = "SELECT id FROM conversations WHERE contact = $1 LIMIT $2";

// The index of words.

pub(super) const INDEXED: &str = "SELECT upto, wipes FROM text_blocks WHERE side = $1";

/// Blocks from `$2` to below `$3` that are indexed.
pub(super) const INDEXED_BLOCKS: &str =
    "SELECT block FROM text_lists WHERE side = $1 AND part = -1 AND block >= $2 AND block < $3";

pub(super) const LISTS: &str =
    "SELECT block, lists FROM text_lists WHERE side = $1 AND part = $2 AND block >= $3 AND block < $4";

/// Texts of rows with ids from `$1` to below `$2`. Statuses have none.
pub(super) const OUTBOUND_TEXTS: &str =
    "SELECT id, content FROM outbound WHERE id >= $1 AND id < $2 AND content IS NOT NULL ORDER BY id";

pub(super) const EVENT_TEXTS: &str = "SELECT id, event FROM events WHERE id >= $1 AND id < $2 AND event IS NOT NULL \
     AND kind <> 'message_status' ORDER BY id";

/// When the first row from `$1` on was stored.
pub(super) const OUTBOUND_FROM_MS: &str = "SELECT accepted_ms FROM outbound WHERE id >= $1 ORDER BY id LIMIT 1";

pub(super) const EVENTS_FROM_MS: &str = "SELECT recorded_ms FROM events WHERE id >= $1 ORDER BY id LIMIT 1";

/// Only where no text was erased since the block was read.
pub(super) const ADVANCE: &str = "UPDATE text_blocks SET upto = $1 WHERE side = $2 AND wipes = $3 AND upto = $4";

pub(super) const ADD_LISTS: &str = "INSERT INTO text_lists (side, part, block, lists) VALUES ($1, $2, $3, $4)";

/// Before the lists are dropped: whoever is about to store a block that was read before waits, and then does not.
pub(super) const NOTE_WIPE: &str = "UPDATE text_blocks SET wipes = wipes + 1 WHERE side = $1";

/// A term of the side, so that SQLite finds them by their block.
pub(super) const DROP_LISTS: &str = "DELETE FROM text_lists WHERE block = $1 AND side || '' = $2";

/// Of rows that were deleted.
pub(super) const DROP_LISTS_BELOW: &str = "DELETE FROM text_lists WHERE block < $1 AND side || '' = $2";

#[cfg(test)]
pub(super) const ALL: &[(&str, &str)] = &[
    ("OUTBOUND_BETWEEN", OUTBOUND_BETWEEN),
    ("EVENTS_BETWEEN", EVENTS_BETWEEN),
    ("OUTBOUND_IDS", OUTBOUND_IDS),
    ("EVENT_IDS", EVENT_IDS),
    ("OUTBOUND_MS", OUTBOUND_MS),
    ("EVENTS_MS", EVENTS_MS),
    ("OUTBOUND_OF_M_ID", OUTBOUND_OF_M_ID),
    ("EVENTS_OF_M_ID", EVENTS_OF_M_ID),
    ("OUTBOUND_IN_TROUBLE", OUTBOUND_IN_TROUBLE),
    ("OUTBOUND_SENDING", OUTBOUND_SENDING),
    ("OUTBOUND_QUEUED", OUTBOUND_QUEUED),
    ("EVENTS_QUEUED", EVENTS_QUEUED),
    ("EVENTS_DEAD", EVENTS_DEAD),
    ("CONVERSATIONS_OF_CHANNEL", CONVERSATIONS_OF_CHANNEL),
    ("CONVERSATIONS_LIKE", CONVERSATIONS_LIKE),
    ("CONVERSATIONS_WITH", CONVERSATIONS_WITH),
    ("INDEXED", INDEXED),
    ("INDEXED_BLOCKS", INDEXED_BLOCKS),
    ("LISTS", LISTS),
    ("OUTBOUND_TEXTS", OUTBOUND_TEXTS),
    ("EVENT_TEXTS", EVENT_TEXTS),
    ("OUTBOUND_FROM_MS", OUTBOUND_FROM_MS),
    ("EVENTS_FROM_MS", EVENTS_FROM_MS),
    ("ADVANCE", ADVANCE),
    ("ADD_LISTS", ADD_LISTS),
    ("NOTE_WIPE", NOTE_WIPE),
    ("DROP_LISTS", DROP_LISTS),
    ("DROP_LISTS_BELOW", DROP_LISTS_BELOW),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// As in [`crate::store::sql`]: SQLite numbers `$n` by first appearance.
    #[test]
    fn placeholders_of_the_finder_first_appear_in_their_order() {
        let by_ids =
            [SQLITE, POSTGRES].into_iter().flat_map(|by| [by.outbound, by.events, by.outbound_of, by.events_of]);
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
