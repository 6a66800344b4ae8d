//! Cost of the statements: with much stored and much waiting, none scans a table.

use super::*;
use crate::store::postgres::sql as engine_sql;
use crate::store::{sql, sql_find, sql_journey, sql_tail};

/// Much that is done, and some that waits.
const FILL: &str = "INSERT INTO channels (channel, epoch) SELECT 'c' || n, 1 FROM generate_series(1, 2000) n; \
    INSERT INTO conversations (channel, contact, destination, outbound_due_ms, inbound_ms) \
        SELECT 'c' || n % 20, 'k' || n, 'd' || n, CASE WHEN n <= 2000 THEN n END, n FROM generate_series(1, 20000) n; \
    INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, done_ms) \
        SELECT n, 'a' || n, 'sent', 'text', CASE WHEN n % 2 = 0 THEN '{}' END, n, n, n, n FROM generate_series(1, 20000) n; \
    INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms) \
        SELECT n, 'b' || n, 'queued', 'text', '{}', n, n, n FROM generate_series(1, 2000) n; \
    INSERT INTO events (conversation, m_id, kind, state, event, due_ms, recorded_ms, done_ms) \
        SELECT n, 'e' || n, 'message', 'done', CASE WHEN n % 2 = 0 THEN '{}' END, n, n, n FROM generate_series(1, 20000) n; \
    INSERT INTO seen (conversation, identity, seen_ms) SELECT n, 'i' || n, n FROM generate_series(1, 20000) n; \
    INSERT INTO steps (subject, subject_id, at_ms, until_ms, what, detail) \
        SELECT 'o', n, n, n, 'repeat', '{}' FROM generate_series(1, 20000) n; \
    INSERT INTO excerpts (step, text) SELECT n, 'x' FROM generate_series(1, 20000) n; \
    INSERT INTO destinations (conversation, nth, destination) SELECT n, 1, 'd' || n FROM generate_series(1, 20000) n; \
    INSERT INTO text_lists (side, part, block, lists) SELECT 'out', p, b, 'x' FROM generate_series(0, 255) p, generate_series(1, 100) b; \
    ANALYZE text_lists; ANALYZE channels; ANALYZE conversations; ANALYZE outbound; ANALYZE events; ANALYZE seen; ANALYZE destinations; ANALYZE steps; ANALYZE excerpts;";

/// Walks the contacts, or is of a table of two rows.
const WALKS: &[&str] = &["CONVERSATIONS_LIKE", "INDEXED", "ADVANCE", "NOTE_WIPE"];

/// The plan of a statement for any values, as the server makes it for one that is prepared.
async fn plan(link: &mut PgConnection, statement: &str) -> String {
    let mut values = 0;
    for after in statement.split('$').skip(1) {
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        values = values.max(digits.parse::<usize>().unwrap());
    }
    let list = if values == 0 { String::new() } else { format!("({})", vec!["NULL"; values].join(", ")) };
    // A value that is only compared with NULL has no type of its own.
    let types = match () {
        () if statement.contains("$12") => {
            " (TEXT, BIGINT, TEXT, TEXT, TEXT, BIGINT, BIGINT, TEXT, TEXT, BIGINT, BIGINT, BIGINT)"
        }
        () if statement.contains("$11") => {
            " (TEXT, BIGINT, TEXT, TEXT, TEXT, BIGINT, BIGINT, TEXT, TEXT, BIGINT, BIGINT)"
        }
        () if statement.contains("$2 IS NULL") => " (TEXT, TEXT, BIGINT, BIGINT)",
        () if statement.contains("$1 IS NULL") => " (TEXT, BIGINT, BIGINT)",
        () => "",
    };
    let types = if statement.contains("o.id >= $1") || statement.contains("e.id >= $1") {
        types.replacen("TEXT", "BIGINT", 1)
    } else {
        types.to_owned()
    };
    let all = format!("PREPARE p{types} AS {statement}; EXPLAIN EXECUTE p{list}; DEALLOCATE p;");
    let rows = link.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(all.clone()))).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {all}"));
    rows.iter().map(|row| row.try_get_unchecked::<String, _>(0).unwrap() + "\n").collect()
}

#[tokio::test]
async fn no_statement_walks_a_table() {
    let Some((_store, url)) = fresh().await else { return };
    beside(&url, FILL).await;
    let mut link = PgConnection::connect(&url).await.unwrap();
    link.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    for (name, statement) in [
        ("CONVERSATION_LOCKED", engine_sql::CONVERSATION_LOCKED),
        ("LOCK_CONVERSATION", engine_sql::LOCK_CONVERSATION),
        ("EPOCH_HELD", engine_sql::EPOCH_HELD),
        ("LANES_LIVE", engine_sql::LANES_LIVE),
        ("LANES_ANY", engine_sql::LANES_ANY),
        ("HEADS", engine_sql::HEADS),
        ("CONVERSATIONS_OF", engine_sql::CONVERSATIONS_OF),
        ("PUT_BACK", engine_sql::REQUEUE_BEGUN),
        ("WIPE_OUTBOUND", engine_sql::WIPE_OUTBOUND),
        ("DROP_OUTBOUND", engine_sql::DROP_OUTBOUND),
        ("WIPE_CHOICES", engine_sql::WIPE_CHOICES),
        ("WIPE_EVENTS", engine_sql::WIPE_EVENTS),
        ("DROP_EVENTS", engine_sql::DROP_EVENTS),
        ("ADD_OUTBOUND", engine_sql::ADD_OUTBOUND),
        ("SET_OUTBOUND_LANE", sql::SET_OUTBOUND_LANE),
        ("BEGIN", sql::BEGIN),
        ("SENT", sql::SENT),
        ("SET_ASIDE", sql::MARK_UNREADABLE),
        ("LEFT_SENDING", sql::LEFT_SENDING),
        ("DUE_LOOKS", sql::DUE_LOOKS),
        ("NEXT_LOOK_MS", sql::NEXT_LOOK_MS),
        ("CLAIMED", sql::IS_MATCHED),
        ("SENT_BEFORE", sql::SENT_BEFORE),
        ("SHOWN", sql::SHOWN),
        ("STATE_OF", sql::STATE_OF),
        ("NEXT_OUTBOUND_MS", sql::NEXT_OUTBOUND_MS),
        ("POSITION", sql::POSITION),
        ("SEEN", sql::SEEN),
        ("PLACES", sql::PLACES),
        ("FURTHER_POSITION", sql::FURTHER_POSITION),
        ("FURTHER", sql::FURTHER),
        ("SET_READ_TO_AT", sql::SET_READ_TO_AT),
        ("KNOWN_CONTACTS", engine_sql::KNOWN_CONTACTS),
        ("CLAIMS", sql::MATCHES),
        ("SPOKEN", sql::MAYBE_SENT),
        ("SENT_FORMS", sql::SENT_FORMS),
        ("NOTE_SENT_FORMS", sql::NOTE_SENT_FORMS),
        ("FORGET", sql::FORGET),
        ("SET_EVENT_LANE", sql::SET_EVENT_LANE),
        ("DUE_EVENTS", sql::DUE_EVENTS),
        ("EVENT", sql::EVENT),
        ("NEXT_EVENT_MS", sql::NEXT_EVENT_MS),
        ("EVENT_BEHIND", sql::EVENT_BEHIND),
        ("ACCEPTED", sql_tail::ACCEPTED),
        ("ENDED", sql_tail::ENDED),
        ("ENDED_WIPED", sql_tail::ENDED_WIPED),
        ("RECORDED", sql_tail::RECORDED),
        ("PUBLISHED", sql_tail::PUBLISHED),
        ("STEPPED", sql_tail::STEPPED),
        ("HAPPENED", sql_tail::HAPPENED),
        ("SHOW", sql::SHOW),
        ("SHOW_EVENT", sql::SHOW_EVENT),
        ("NEWEST_STEP", sql_journey::NEWEST_STEP),
        ("COUNT_STEPS", sql_journey::COUNT_STEPS),
        ("WIPE_EXCERPTS", engine_sql::WIPE_EXCERPTS),
        ("DELETE_STEPS", engine_sql::DELETE_STEPS),
        ("STEPS", sql_journey::STEPS),
        ("MESSAGE", sql_journey::MESSAGE),
        ("SHOWN_MS", sql_journey::SHOWN_MS),
        ("BEFORE", sql_journey::BEFORE),
        ("EVENTS_NAMED", sql_journey::EVENTS_NAMED),
        ("FOUND_OUTBOUND", sql_find::POSTGRES.outbound),
        ("FOUND_EVENTS", sql_find::POSTGRES.events),
        ("OUTBOUND_OF", sql_find::POSTGRES.outbound_of),
        ("EVENTS_OF", sql_find::POSTGRES.events_of),
    ]
    .into_iter()
    .chain(sql_find::ALL.iter().copied().filter(|(name, _)| !WALKS.contains(name)))
    {
        let plan = plan(&mut link, statement).await;
        assert!(!plan.contains("Seq Scan"), "{name} walks a table:\n{plan}");
    }
}
