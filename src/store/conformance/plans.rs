//! Cost of the statements: the indices that they use, and that no step grows with what is stored or waits.

use rusqlite::{Connection, StatementStatus, ToSql, params};

use super::*;
use crate::store::{sql_bulk, sql_find, sql_operators, sql_pauses, sql_stale, sql_tail};

/// A fresh store, and a second connection to its file.
fn beside() -> (FreshStore, Connection) {
    let fresh = FreshStore::sqlite();
    let Home::Sqlite(folder) = &fresh.folder else { unreachable!("a SQLite store has a folder") };
    let db = Connection::open(folder.path().join("bridge.db")).unwrap();
    (fresh, db)
}

/// The lines of `EXPLAIN QUERY PLAN`.
fn plan(db: &Connection, statement: &str) -> Vec<String> {
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let mut rows = explain.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get(3).unwrap());
    }
    lines
}

/// Indices of only what waits, is rare or is old: these may be scanned.
const SMALL: &[&str] = &[
    "conversations_outbound",
    "conversations_live",
    "conversations_events",
    "conversations_choice",
    "outbound_active",
    "outbound_sending",
    "outbound_looks",
    "outbound_trouble",
    "outbound_unanswered",
    "events_active",
    "events_dead",
    // Rows that wait for a decision, for minutes.
    "postponed",
    // Further destinations, of the few contacts that have several.
    "SCAN d",
    // Pauses by hand, of which there are few.
    "operator_pauses",
    "channel_pauses",
    // The newest 500 steps.
    "SCAN steps",
    "SCAN s",
    // A list of ids.
    "SCAN j",
];

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn every_statement_goes_through_its_index_and_none_walks_a_table() {
    let (fresh, db) = beside();
    let by_key = "INTEGER PRIMARY KEY";
    for (name, statement, through) in [
        ("CONVERSATION", sql::CONVERSATION, &["(channel=? AND contact=?)"][..]),
        ("UNANSWERED", sql::UNANSWERED, &["outbound_unanswered (conversation=?)"]),
        ("ANSWER_AGAIN", sql::ANSWER_AGAIN, &["(m_id=?)"]),
        ("ANSWERED", sql::ANSWERED, &["(m_id=?)"]),
        ("ANSWER_LOST", sql::ANSWER_LOST, &["(m_id=?)"]),
        ("ANSWERS_LOST", sql::ANSWERS_LOST, &["outbound_unanswered", by_key]),
        ("KEY", sql::KEY, &["(channel=? AND key=?)", "(m_id=?)"]),
        ("DROP_KEYS", sql::DROP_KEYS, &["(channel=? AND key=?)", "idempotency_old (at_ms"]),
        ("OPEN_OUTBOUND_LANE", sql::OPEN_OUTBOUND_LANE, &[by_key, "outbound_active"]),
        ("SET_OUTBOUND_LANE", sql::SET_OUTBOUND_LANE, &[by_key, "outbound_active"]),
        ("STALE_HEADS", sql_stale::STALE_HEADS, &["conversations_outbound", "outbound_active", by_key]),
        ("STALE", sql_stale::STALE, &[by_key]),
        ("FAIL_STALE", sql_stale::FAIL_STALE, &[by_key]),
        ("NOTED", sql::NOTED, &[by_key]),
        ("QUEUED_IDS", sql_bulk::QUEUED_IDS, &["outbound_active"]),
        ("FAILED_IDS", sql_bulk::FAILED_IDS, &["outbound_trouble"]),
        ("DEAD_IDS", sql_bulk::DEAD_IDS, &["events_dead"]),
        (
            "BULK_OUTBOUND",
            sql_bulk::SQLITE.outbound,
            &[by_key, "outbound_spoken (conversation=?", "outbound_wiped (conversation=?"],
        ),
        ("BULK_EVENTS", sql_bulk::SQLITE.events, &[by_key]),
        ("MOVED_ON", sql_bulk::MOVED_ON, &["outbound_spoken (conversation=?", "outbound_wiped (conversation=?"]),
        ("WORKED", sql_bulk::WORKED, &[by_key, "(job=?)"]),
        ("NEXT_PART", sql_bulk::NEXT_PART, &["(job=?)"]),
        ("DEAD_EVENT", sql_bulk::DEAD_EVENT, &[by_key]),
        ("PAUSED", sql_bulk::PAUSED, &["operator_pauses_lasting"]),
        ("PAUSED_MESSAGE", sql_bulk::PAUSED_MESSAGE, &["(m_id=?)", by_key, "operator_pauses_lasting"]),
        ("PAUSED_EVENT", sql_bulk::PAUSED_EVENT, &[by_key, "operator_pauses_lasting"]),
        ("END_LEFT_JOB", sql_bulk::END_LEFT_JOB, &[by_key]),
        (
            "DUE_LIVE",
            sql::DUE_LIVE,
            &["conversations_live", "outbound_active", "operator_pauses_lasting (channel=? AND what=?)"],
        ),
        ("DUE_ANY", sql::DUE_ANY, &["conversations_outbound", "outbound_active"]),
        ("BEGIN", sql::BEGIN, &[by_key, "operator_pauses_of (channel=? AND what=?)"]),
        ("SENT", sql::SENT, &[by_key]),
        ("PART_SENT", sql::PART_SENT, &[by_key]),
        ("REQUEUE", sql::REQUEUE, &[by_key]),
        ("ENDED", sql::ENDED, &[by_key]),
        ("SET_ASIDE", sql::MARK_UNREADABLE, &[by_key]),
        ("DOUBTED", sql::SET_UNKNOWN, &[by_key]),
        ("SHIFT_OUTBOUND", sql::SHIFT_OUTBOUND, &["outbound_active"]),
        ("SHIFT_EVENTS", sql::SHIFT_EVENTS, &["events_active"]),
        ("SHIFT_OUTBOUND_LANES", sql::SHIFT_OUTBOUND_LANES, &["conversations_outbound"]),
        ("SHIFT_EVENT_LANES", sql::SHIFT_EVENT_LANES, &["conversations_events"]),
        ("NOT_AHEAD_OUTBOUND", sql::NOT_AHEAD_OUTBOUND, &[by_key]),
        ("NOT_AHEAD_EVENTS", sql::NOT_AHEAD_EVENTS, &[by_key]),
        ("LEFT_SENDING", sql::LEFT_SENDING, &["outbound_sending"]),
        ("DUE_LOOKS", sql::DUE_LOOKS, &["outbound_looks"]),
        ("NEXT_LOOK_MS", sql::NEXT_LOOK_MS, &["outbound_looks"]),
        ("CLAIMED", sql::IS_MATCHED, &["seen_claim"]),
        ("DOUBTFUL_SINCE", sql::MAYBE_SHOWN_SINCE, &["seen_claim", by_key]),
        ("SENT_BEFORE", sql::SENT_BEFORE, &["outbound_spoken"]),
        ("LOOKED", sql::LOOKED, &[by_key]),
        ("SHOWN", sql::SHOWN, &["(m_id=?)"]),
        ("STATE_OF", sql::STATE_OF, &["(m_id=?)"]),
        ("DECIDED", sql::DECIDED, &[by_key]),
        ("SENT_AGAIN", sql::SENT_AGAIN, &[by_key]),
        ("POSITION", sql::POSITION, &["(channel=? AND contact=?)"]),
        ("ACTIVE", sql::ACTIVE, &["(channel=?)", "(conversation=? AND identity=?)", "outbound_spoken (conversation=?"]),
        ("SET_NEWEST", sql::SET_NEWEST, &[by_key]),
        ("MARK_UNKNOWN", sql::MARK_UNKNOWN, &[by_key]),
        ("NEXT_OUTBOUND_MS", sql::NEXT_OUTBOUND_MS, &["conversations_outbound"]),
        ("WAITING", sql::WAITING, &["outbound_active"]),
        ("WAITING_EVENTS", sql::WAITING_EVENTS, &["conversations_events"]),
        ("DEPTH_OUTBOUND", sql::DEPTH_OUTBOUND, &["outbound_active"]),
        ("SINCE_MS", sql::SINCE_MS, &[by_key]),
        ("DEPTH_EVENTS", sql::DEPTH_EVENTS, &["events_active"]),
        ("DEPTH_DEAD", sql::DEPTH_DEAD, &["events_dead"]),
        ("DEPTH_UNCONFIRMED", sql::DEPTH_UNCONFIRMED, &["outbound_trouble"]),
        ("SEEN", sql::SEEN, &["(channel=? AND contact=?)", "(conversation=?)"]),
        ("POSTPONED", sql::POSTPONED, &["(channel=? AND contact=?)", "(conversation=?)"]),
        ("UNDECIDED", sql::UNDECIDED, &[by_key]),
        ("END_POSTPONED", sql::END_POSTPONED, &["(conversation=? AND identity=?)"]),
        ("DROP_POSTPONED", sql::DROP_POSTPONED, &["(conversation=? AND identity=?)", "postponed_since (since_ms"]),
        ("DECIDE_SEEN", sql::DECIDE_SEEN, &["(conversation=? AND identity=?)"]),
        ("FILL_SEEN", sql::FILL_SEEN, &["(conversation=? AND identity=?)"]),
        ("EVIDENCE", sql::EVIDENCE, &["(m_id=?)"]),
        ("NOTE_EVIDENCE", sql::NOTE_EVIDENCE, &[by_key]),
        ("PLACES", sql::PLACES, &["(channel=? AND contact=?)", "(conversation=?)"]),
        ("FURTHER_POSITIONS", sql::FURTHER_POSITIONS, &[by_key]),
        ("FURTHER_POSITION", sql::FURTHER_POSITION, &["(channel=? AND contact=?)", "(conversation=?)"]),
        ("FURTHER", sql::FURTHER, &["(conversation=? AND destination=?)"]),
        ("NAME_FURTHER", sql::NAME_FURTHER, &["(conversation=? AND nth=?)"]),
        ("SET_NEWEST_AT", sql::SET_NEWEST_AT, &["(conversation=? AND nth=?)"]),
        ("SET_PAGE_AT", sql::SET_PAGE_AT, &["(conversation=? AND nth=?)"]),
        ("SET_READ_TO_AT", sql::SET_READ_TO_AT, &["(conversation=? AND nth=?)"]),
        ("SET_SNAPSHOT_ROW_AT", sql::SET_SNAPSHOT_ROW_AT, &["(conversation=? AND nth=?)"]),
        ("NOTE_UNREAD", sql::NOTE_UNREAD, &["(channel=? AND contact=?)"]),
        ("NOTE_UNREAD_AT", sql::NOTE_UNREAD_AT, &["(channel=? AND contact=?)", "(conversation=? AND destination=?)"]),
        ("MET", sql::MET, &[by_key]),
        ("HEARD", sql::HEARD, &[by_key]),
        ("IS_KNOWN", sql::IS_KNOWN, &["(channel=? AND contact=?)"]),
        ("SET_PAGE", sql::SET_PAGE, &[by_key]),
        ("MATCHED_SEND", sql::MATCHED_SEND, &["(m_id=?)"]),
        ("KEEP_LESSON", sql::KEEP_LESSON, &["(m_id=?)"]),
        ("UNTOLD", sql::UNREPORTED, &["(channel=? AND contact=?)", "outbound_spoken (conversation=?"]),
        ("TELL", sql::SET_STATUS, &["(m_id=?)"]),
        ("LEARNED", sql::ACCOUNT_TRAITS, &["(channel=?)"]),
        ("LEARN_TEXTS", sql::SHOWS_TEXTS, &["(channel=?)"]),
        ("LEARN_FILES", sql::SHOWS_FILES, &["(channel=?)"]),
        ("LEARN_LAG", sql::SETTLE_LAG, &["(channel=?)"]),
        ("EVENT_MS", sql::EVENT_MS, &[by_key]),
        ("SET_EVENT_MS", sql::SET_EVENT_MS, &[by_key]),
        ("FORGET", sql::FORGET, &["(conversation=? AND identity=?)"]),
        ("SET_EVENT_LANE", sql::SET_EVENT_LANE, &[by_key, "events_active"]),
        ("DUE_EVENTS", sql::DUE_EVENTS, &["conversations_events", "events_active"]),
        ("EVENT", sql::EVENT, &[by_key, "operator_pauses_of (channel=? AND what=?)"]),
        (
            "NEXT_EVENT_MS",
            sql::NEXT_EVENT_MS,
            &["conversations_events", "operator_pauses_lasting (channel=? AND what=?)"],
        ),
        ("LASTING_PAUSE", sql_pauses::LASTING_PAUSE, &["operator_pauses_lasting (channel=? AND what=?)"]),
        ("LASTING_PAUSES", sql_pauses::LASTING_PAUSES, &["operator_pauses_lasting"]),
        ("END_PAUSE", sql_pauses::END_PAUSE, &["operator_pauses_lasting (channel=? AND what=?)"]),
        ("END_FAULT", sql_pauses::END_FAULT, &["channel_pauses_lasting (channel=?)"]),
        ("FAULT_AGAIN", sql_pauses::FAULT_AGAIN, &[by_key, "channel_pauses_of (channel=?)"]),
        (
            "PAUSES_WITHIN",
            sql_pauses::PAUSES_WITHIN,
            &["operator_pauses_of (channel=? AND what=?", "channel_pauses_of (channel=?"],
        ),
        ("DROP_FAULTS", sql_pauses::DROP_FAULTS, &[by_key, "channel_pauses_ended (ended_ms"]),
        ("DROP_PAUSES", sql_pauses::DROP_PAUSES, &[by_key, "operator_pauses_ended (ended_ms"]),
        ("EVENT_ENDED", sql::EVENT_ENDED, &[by_key]),
        ("EVENT_AGAIN", sql::EVENT_AGAIN, &[by_key]),
        ("SHOW", sql::SHOW, &["(m_id=?)"]),
        ("SHOW_EVENT", sql::SHOW_EVENT, &["events_m_id (m_id=?)"]),
        ("BY_HAND", sql::BY_HAND, &["(m_id=?)"]),
        ("DEAD_BY_HAND", sql::DEAD_EVENTS, &["events_m_id (m_id=?)"]),
        ("RETRY_OUTBOUND", sql::RETRY_OUTBOUND, &[by_key]),
        ("RETRY_EVENT", sql::RETRY_EVENT, &[by_key]),
        ("DISCARD_OUTBOUND", sql::DISCARD_OUTBOUND, &[by_key]),
        ("DISCARD_EVENT", sql::DISCARD_EVENT, &[by_key]),
        ("UNDER_WAY", sql::UNDER_WAY, &["outbound_active"]),
        ("CLOSE_OUTBOUND_LANE", sql::CLOSE_OUTBOUND_LANE, &[by_key]),
        ("NEWEST_STEP", sql_journey::NEWEST_STEP, &["steps_of (subject=? AND subject_id=?)"]),
        ("COUNT_STEPS", sql_journey::COUNT_STEPS, &["steps_of (subject=? AND subject_id=?)"]),
        ("STEP_AGAIN", sql_journey::STEP_AGAIN, &[by_key]),
        ("WIPE_EXCERPTS", sql_journey::WIPE_EXCERPTS, &["(step=?)", "steps_of (subject=? AND subject_id=?)"]),
        ("DELETE_STEPS", sql_journey::DELETE_STEPS, &["steps_of (subject=? AND subject_id=?)"]),
        ("STEPS", sql_journey::STEPS, &["steps_of (subject=? AND subject_id=?)", "(step=?)"]),
        ("MESSAGE_NAMED", sql_journey::MESSAGE_NAMED, &["(m_id=?)"]),
        ("MESSAGE", sql_journey::MESSAGE, &["(m_id=?)", by_key]),
        ("SHOWN_MS", sql_journey::SHOWN_MS, &["seen_claim (conversation=? AND claim=?)"]),
        ("WAITED_FOR", sql_journey::WAITED_FOR, &["outbound_spoken (conversation=?", "outbound_wiped (conversation=?"]),
        (
            "KEPT_WAITING",
            sql_journey::KEPT_WAITING,
            &["outbound_spoken (conversation=?", "outbound_wiped (conversation=?"],
        ),
        ("BEFORE", sql_journey::BEFORE, &["outbound_active"]),
        ("HEAD", sql_journey::HEAD, &[by_key]),
        ("CHANNEL_FAULT", sql_journey::CHANNEL_FAULT, &[by_key]),
        ("EVENTS_NAMED", sql_journey::EVENTS_NAMED, &["events_m_id (m_id=?)", by_key]),
        ("ERASE_MESSAGE_REASONS", sql_journey::ERASE_MESSAGE_REASONS, &["audit_target (target=?)"]),
        ("ERASE_EVENT_REASONS", sql_journey::ERASE_EVENT_REASONS, &["audit_target (target=?)"]),
        ("AUDIT", sql_operators::AUDIT, &[by_key]),
        ("LAST_SENT", sql_operators::LAST_SENT, &[by_key]),
        (
            "SEARCHED_FROM",
            sql_operators::SEARCHED_FROM,
            &["n USING INTEGER PRIMARY KEY", "o EXISTS USING INTEGER PRIMARY KEY"],
        ),
        ("LAST_RECEIVED", sql_operators::LAST_RECEIVED, &[by_key]),
        ("LAST_PUBLISHED", sql_operators::LAST_PUBLISHED, &[by_key]),
        ("FAILED_MESSAGES", sql_operators::FAILED_MESSAGES, &["outbound_trouble", by_key]),
        ("FAILED_EVENTS", sql_operators::FAILED_EVENTS, &["events_dead", by_key]),
        ("OLDEST_EVENT", sql_operators::OLDEST_EVENT, &["events_active", by_key]),
        ("DROP_AUDIT", sql_journey::DROP_AUDIT, &[by_key, "audit_old (at_ms<?)"]),
        ("ACCEPTED", sql_tail::ACCEPTED, &["INTEGER PRIMARY KEY (rowid>?)"]),
        ("ENDED", sql_tail::ENDED, &["outbound_text (done_ms>?)"]),
        ("ENDED_WIPED", sql_tail::ENDED_WIPED, &["outbound_done (done_ms>?)"]),
        ("RECORDED", sql_tail::RECORDED, &["INTEGER PRIMARY KEY (rowid>?)"]),
        ("PUBLISHED", sql_tail::PUBLISHED, &["events_text (done_ms>?)"]),
        ("STEPPED", sql_tail::STEPPED, &[by_key]),
        (
            "HAPPENED",
            sql_tail::HAPPENED,
            &[
                "INTEGER PRIMARY KEY (rowid>?)",
                "outbound_text (done_ms>?)",
                "outbound_done (done_ms>?)",
                "events_text (done_ms>?)",
            ],
        ),
        ("WIPE_OUTBOUND", sql::WIPE_OUTBOUND, &["outbound_text (done_ms"]),
        ("DROP_OUTBOUND", sql::DROP_OUTBOUND, &["outbound_done (done_ms"]),
        ("WIPE_CHOICES", sql::WIPE_CHOICES, &["conversations_choice (choice_ms"]),
        ("WIPE_EVENTS", sql::WIPE_EVENTS, &["events_text (done_ms"]),
        ("DROP_EVENTS", sql::DROP_EVENTS, &["events_done (done_ms"]),
    ] {
        let lines = plan(&db, statement);
        for index in through {
            assert!(lines.iter().any(|line| line.contains(index)), "{name} does not use {index}: {lines:#?}");
        }
        for line in lines.iter().filter(|line| line.starts_with("SCAN") && *line != "SCAN CONSTANT ROW") {
            assert!(SMALL.iter().any(|index| line.contains(index)), "{name} walks a table: {lines:#?}");
        }
    }
    fresh.store.close().await;
}

#[tokio::test]
async fn no_search_walks_a_table_or_sorts_one() {
    let (fresh, db) = beside();
    let sql_find::ByIds { outbound, events, outbound_of, events_of } = sql_find::SQLITE;
    let by_ids = [("OUTBOUND", outbound), ("EVENTS", events), ("OUTBOUND_OF", outbound_of), ("EVENTS_OF", events_of)];
    let through = |name: &str| match name {
        "OUTBOUND_BETWEEN" | "EVENTS_BETWEEN" => {
            &["INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "c USING INTEGER PRIMARY KEY"][..]
        }
        "OUTBOUND" | "EVENTS" => &["SCAN j VIRTUAL TABLE", "c USING INTEGER PRIMARY KEY"],
        "OUTBOUND_OF" => &["outbound_spoken (conversation=?", "outbound_wiped (conversation=?"],
        "EVENTS_OF" => &["events_spoken (conversation=?", "events_wiped (conversation=?"],
        "OUTBOUND_OF_M_ID" => &["(m_id=?"],
        "EVENTS_OF_M_ID" => &["events_m_id (m_id=?"],
        "OUTBOUND_IN_TROUBLE" => &["outbound_trouble"],
        "OUTBOUND_SENDING" => &["outbound_sending"],
        "OUTBOUND_QUEUED" => &["outbound_active"],
        "EVENTS_QUEUED" => &["events_active"],
        "EVENTS_DEAD" => &["events_dead"],
        "CONVERSATIONS_OF_CHANNEL" => &["COVERING INDEX", "(channel=?)"],
        "CONVERSATIONS_LIKE" => &["SCAN conversations USING COVERING INDEX conversations_contact"],
        "CONVERSATIONS_WITH" => &["conversations_contact (contact=?)"],
        "LISTS" | "INDEXED_BLOCKS" => &["(side=? AND part=? AND block>? AND block<?)"],
        "DROP_LISTS" => &["text_lists_block (block=?)"],
        "DROP_LISTS_BELOW" => &["text_lists_block (block<?)"],
        "INDEXED" | "ADVANCE" | "NOTE_WIPE" => &["(side=?)"],
        "OUTBOUND_IDS" | "EVENT_IDS" => &["SEARCH"],
        "ADD_LISTS" => &[],
        _ => &["INTEGER PRIMARY KEY"],
    };
    let few =
        ["SCAN j ", "SCAN n", "SCAN CONSTANT ROW", "SCAN conversations USING COVERING INDEX conversations_contact"];
    for (name, statement) in sql_find::ALL.iter().copied().chain(by_ids) {
        let lines = plan(&db, statement);
        for index in through(name) {
            assert!(lines.iter().any(|line| line.contains(index)), "{name} does not use {index}: {lines:#?}");
        }
        for line in lines.iter().filter(|line| line.starts_with("SCAN")) {
            let small =
                few.iter().any(|start| line.starts_with(start)) || SMALL.iter().any(|index| line.contains(index));
            assert!(small, "{name} walks a table: {lines:#?}");
        }
        // Only what was named by ids or belongs to few conversations is sorted.
        let sorts = lines.iter().any(|line| line.contains("TEMP B-TREE FOR ORDER BY"));
        assert!(
            !sorts || by_ids.iter().any(|(sorted, _)| *sorted == name) || name == "EVENTS_OF_M_ID",
            "{name}: {lines:#?}"
        );
    }
    fresh.store.close().await;
}

#[tokio::test]
async fn the_oldest_that_are_due_come_out_of_the_index_in_their_order() {
    let (fresh, db) = beside();
    // The oldest due come out of the index in their order: sorting them would look at each that waits.
    for statement in [sql::DUE_ANY, sql::DUE_EVENTS] {
        let lines = plan(&db, statement);
        assert!(!lines.iter().any(|line| line.contains("TEMP B-TREE")), "{lines:#?}");
    }
    fresh.store.close().await;
}

/// Conversations that each have one queued message and one settled one, the first 50 of them live, and a hundred events.
fn fill(db: &Connection, conversations: u32) {
    let content = serde_json::to_string(&text("waits")).unwrap();
    let fill = "BEGIN IMMEDIATE; \
        CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < COUNT) SELECT n FROM n; \
        INSERT INTO conversations (channel, contact, destination, outbound_due_ms, inbound_ms) \
            SELECT 'support', '+346' || (10000000 + n), '346' || (10000000 + n), 10 + n, CASE WHEN n <= 50 THEN 900 ELSE 0 END FROM n; \
        INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, done_ms, answered) \
            SELECT n, 'a' || n, 'sent', 'text', 'CONTENT', 10 + n, 10 + n, 10 + n, 20 + n, 1 FROM n; \
        INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, answered) \
            SELECT n, 'b' || n, 'queued', 'text', 'CONTENT', 10 + n, 10 + n, 10 + n, 1 FROM n; \
        DROP TABLE n; COMMIT;";
    db.execute_batch(&fill.replace("COUNT", &conversations.to_string()).replace("CONTENT", &content)).unwrap();
}

/// Steps of SQLite's virtual machine for a statement: the same on every machine under any load.
fn steps(db: &Connection, statement: &str, params: &[&dyn ToSql]) -> i32 {
    let mut prepared = db.prepare(statement).unwrap();
    for (at, param) in params.iter().enumerate() {
        prepared.raw_bind_parameter(at + 1, param).unwrap();
    }
    let mut rows = prepared.raw_query();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    prepared.get_status(StatementStatus::VmStep)
}

#[tokio::test]
async fn two_hundred_thousand_waiting_cost_a_message_no_more_than_two_thousand() {
    let mut costs: Vec<Vec<(&str, i32)>> = Vec::new();
    for size in [2_000, 200_000] {
        let (FreshStore { store, folder: _folder }, db) = beside();
        let epoch = store.take_ownership(&channel()).await.unwrap();
        fill(&db, size);
        let far = i64::MAX;
        let (row, new): (i64, i64) = (i64::from(size) + 1, 1);
        costs.push(vec![
            ("begin: live", steps(&db, sql::DUE_LIVE, params!["support", 500, far, 16])),
            ("begin: any", steps(&db, sql::DUE_ANY, params!["support", far, 16])),
            ("begin: mark", steps(&db, sql::BEGIN, params![epoch.0, 100, "", "", row, "support"])),
            ("begin: lane", steps(&db, sql::CLOSE_OUTBOUND_LANE, params![new])),
            ("settle: lane", steps(&db, sql::SET_OUTBOUND_LANE, params![new])),
            ("accept: conversation", steps(&db, sql::CONVERSATION, params!["support", "+34610000007"])),
            ("accept: repeat", steps(&db, sql::UNANSWERED, params![new, 0, "none"])),
            ("accept: lane", steps(&db, sql::OPEN_OUTBOUND_LANE, params![far, new])),
            ("next", steps(&db, sql::NEXT_OUTBOUND_MS, params!["support"])),
            ("take_ownership", steps(&db, sql::TAKE_OWNERSHIP, params!["support"])),
            ("interrupted", steps(&db, sql::LEFT_SENDING, params!["support", far])),
            ("events", steps(&db, sql::DUE_EVENTS, params!["support", far, 16])),
            ("list of unknown", steps(&db, sql_find::OUTBOUND_IN_TROUBLE, params!["unknown", None::<String>, far, 20])),
            ("wipe", steps(&db, sql::WIPE_OUTBOUND, params![far, 100])),
            ("drop", steps(&db, sql::DROP_OUTBOUND, params![5, 100])),
        ]);
        // The operations themselves work on it; what waits is counted, which grows with it and with nothing else.
        assert_eq!(store.waiting().await.unwrap()[0].outbound, u64::from(size));
        let epoch = store.take_ownership(&channel()).await.unwrap();
        assert_eq!(store.interrupted(&channel(), epoch, 20, 10).await.unwrap().len(), 1);
        assert!(store.accept(message(1, "one more", 5)).await.is_ok());
        assert_eq!(
            store.begin(&channel(), epoch, 1_000_000, 500, 60, &Wordings::default()).await.unwrap().attempts.len(),
            60
        );
        store.close().await;
    }
    for ((what, few), (_, many)) in costs[0].iter().zip(&costs[1]) {
        assert!(*many <= 2 * few + 50, "{what}: {few} steps with 2,000 that wait, {many} with 200,000");
    }
}
