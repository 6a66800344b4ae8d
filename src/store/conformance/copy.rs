//! A copy of a store from one engine to the other: every row, once, or nothing.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::*;
use crate::domain::excerpt::Excerpt;
use crate::domain::journey::Step;
use crate::store::copy::{CopyError, copy, reopen};
use crate::store::open::{PostgresStore, SqliteStore};
use crate::testkit::postgres::{available, fresh_schema};

/// A SQLite store with a row of everything, which is not served, and an empty schema; `None` without PostgreSQL.
async fn both() -> Option<(tempfile::TempDir, PathBuf, String)> {
    if !available() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&file).unwrap());
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.store_initial_snapshot(&channel(), Vec::new(), 5).await.unwrap();
    let words =
        ["plain", "tab\there", "two\r\nlines", "back\\slash \\N \\.", "emoji 👍🏽 ñ", "'; DROP TABLE outbound; --"];
    for (n, words) in words.iter().enumerate() {
        store.accept(message(u32::try_from(n).unwrap(), words, 10)).await.unwrap();
    }
    let mut keyed = message(1, "named", 11);
    keyed.key = Some("a-key".parse().unwrap());
    store.accept(keyed).await.unwrap();
    store.accept(message(50, "failed", 12)).await.unwrap();
    let mut begun = take(&store, epoch, 20).await;
    let mut failed = begun.pop().unwrap();
    for attempt in begun.into_iter().take(2) {
        let sent = Settlement::Sent { afilnet_id: Some("7".into()), more: false };
        store.settle(&attempt, sent, 21).await.unwrap();
    }
    assert_eq!(failed.contact, contact(50));
    failed.note = Some(StepRecord {
        step: Step::LookupFailed { fault: "INCORRECT_FILEURL".into() },
        excerpt: Excerpt::new("no such\tfile", []),
    });
    store.settle(&failed, Settlement::Failed { fault: Fault::FileUrl, notice: None }, 22).await.unwrap();
    store.retry(failed.m_id.to_string().into(), by(), 22).await.unwrap();
    store.record(reading(9, &[("r1", "hello"), ("r2", "NUL \0 and so on")])).await.unwrap();
    let further = ConversationRead { destination: "+34600000009".parse().unwrap(), ..reading(9, &[("r1", "there")]) };
    store.record(further).await.unwrap();
    store.close().await;
    let pause = "INSERT INTO operator_pauses (channel, what, since_ms, who, why) VALUES ('support', 'drain', 23, 'ana', 'tab\there')";
    change(&file, pause);
    Some((folder, file, fresh_schema().await?))
}

/// All rows of both sides, table by table, each value as text.
async fn compare(file: &Path, url: &str) -> usize {
    let here = Connection::open(file).unwrap();
    let mut there = PgConnection::connect(url).await.unwrap();
    let mut count = 0;
    for table in [
        "audit",
        "channels",
        "conversations",
        "destinations",
        "events",
        "excerpts",
        "idempotency",
        "operator_pauses",
        "outbound",
        "seen",
        "steps",
    ] {
        let mut statement = here.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let value = |row: &rusqlite::Row<'_>, at: usize| match row.get(at).unwrap() {
            rusqlite::types::Value::Null => None,
            rusqlite::types::Value::Integer(n) => Some(n.to_string()),
            rusqlite::types::Value::Text(text) => Some(text.replace('\0', "\u{fffd}")),
            other => panic!("{other:?}"),
        };
        let row = |row: &rusqlite::Row<'_>| Ok((0..columns.len()).map(|at| value(row, at)).collect());
        let mut ours: Vec<Vec<Option<String>>> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
        let select = format!("SELECT {} FROM {table}", columns.join(", "));
        let rows = there.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(select))).await.unwrap();
        let row =
            |row: &sqlx::postgres::PgRow| (0..columns.len()).map(|at| row.try_get_unchecked(at).unwrap()).collect();
        let mut theirs: Vec<Vec<Option<String>>> = rows.iter().map(row).collect();
        ours.sort();
        theirs.sort();
        assert!(!ours.is_empty(), "{table} is empty and proves nothing");
        assert_eq!(ours, theirs, "{table}");
        count += ours.len();
    }
    count
}

/// Tables in the target, with or without rows.
async fn tables(url: &str) -> i64 {
    let mut link = PgConnection::connect(url).await.unwrap();
    let count = "SELECT COUNT(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
    sqlx::query_scalar(count).fetch_one(&mut link).await.unwrap()
}

fn change(file: &Path, statements: &str) {
    Connection::open(file).unwrap().execute_batch(statements).unwrap();
}

fn refused(file: &Path) -> String {
    SqliteStore::open(file).err().unwrap().to_string()
}

#[tokio::test]
async fn a_copy_holds_every_value_of_every_row_and_goes_on_with_later_ids() {
    let Some((_folder, file, url)) = both().await else { return };
    let copied = copy(&file, &url).await.unwrap();
    assert!(!copied.before);
    let rows = compare(&file, &url).await;
    assert_eq!(copied.tables.iter().map(|(_, rows)| rows).sum::<u64>(), rows as u64, "{:?}", copied.tables);
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&url).await.unwrap());
    let epoch = store.take_ownership(&channel()).await.unwrap();
    assert_eq!(epoch, Epoch(2), "its owner is a later one");
    assert_eq!(store.interrupted(&channel(), epoch, 30, 30).await.unwrap().len(), 4, "what was being sent is in doubt");
    for n in [2, 40] {
        assert_eq!(store.accept(message(n, "after", 50)).await.unwrap().outcome, AcceptOutcome::New);
        store.record(reading(n, &[("later", "later")])).await.unwrap();
    }
    let mut link = PgConnection::connect(&url).await.unwrap();
    for (table, new) in [("conversations", 1), ("events", 2), ("outbound", 2)] {
        let select = format!("SELECT id FROM {table} ORDER BY id");
        let ids: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(&mut link).await.unwrap();
        let copied = copied.tables.iter().find(|(name, _)| name == table).unwrap().1;
        assert_eq!(ids.len() as u64, copied + new, "{table}");
        assert_eq!(ids[..ids.len() - 1], (1..).take(ids.len() - 1).collect::<Vec<i64>>(), "{table}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_copy_holds_whatever_any_column_may_hold() {
    let Some((_folder, file, url)) = both().await else { return };
    let db = Connection::open(&file).unwrap();
    let mut columns = db
        .prepare(
            "SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND c.pk = 0 AND c.\"notnull\" = 0",
        )
        .unwrap();
    let columns = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let columns: Vec<(String, String, String)> = columns.map(Result::unwrap).collect();
    assert!(columns.len() > 20, "{columns:?}");
    for (n, (table, column, kind)) in columns.into_iter().enumerate() {
        let least_or_most = if n % 2 == 0 { i64::MIN } else { i64::MAX };
        let value: &dyn rusqlite::ToSql = match kind.as_str() {
            "TEXT" => &"\ttab, two\r\nlines, a NUL \0, \\N, \\., \\t, a \\ at the end: \\",
            _ => &least_or_most,
        };
        db.execute(&format!("UPDATE {table} SET {column} = ?1"), [value]).unwrap();
    }
    copy(&file, &url).await.unwrap();
    compare(&file, &url).await;
}

#[tokio::test]
async fn what_was_noted_of_answers_is_in_the_copy() {
    let Some((folder, file, url)) = both().await else { return };
    let m_id: String = {
        let db = Connection::open(&file).unwrap();
        db.execute_batch("UPDATE outbound SET answered = 0").unwrap();
        db.query_row("SELECT m_id FROM outbound WHERE id = 3", [], |row| row.get(0)).unwrap()
    };
    std::fs::write(folder.path().join("bridge.db.answers"), format!("+{m_id}\n")).unwrap();
    copy(&file, &url).await.unwrap();
    let mut link = PgConnection::connect(&url).await.unwrap();
    let answered = "SELECT id FROM outbound WHERE answered = 1";
    assert_eq!(sqlx::query_scalar::<_, i64>(answered).fetch_all(&mut link).await.unwrap(), [3]);
}

#[tokio::test]
async fn a_store_that_was_copied_is_used_no_more_until_a_person_says_so() {
    let Some((_folder, file, url)) = both().await else { return };
    copy(&file, &url).await.unwrap();
    let words = refused(&file);
    assert!(words.contains("was copied to database") && words.contains("store reopen --from"), "{words}");
    assert!(SqliteStore::visit(&file).is_err(), "nor is anything decided in it");
    let elsewhere = fresh_schema().await.unwrap();
    let moved = copy(&file, &elsewhere).await.unwrap_err();
    assert!(matches!(moved, CopyError::Moved { .. }), "{moved}");
    assert_eq!(tables(&elsewhere).await, 0);
    reopen(&file).await.unwrap();
    SqliteStore::open(&file).unwrap();
    assert!(matches!(reopen(&file).await, Err(CopyError::NotMoved { .. })));
    copy(&file, &elsewhere).await.unwrap();
    compare(&file, &elsewhere).await;
}

#[tokio::test]
async fn an_older_bridge_takes_a_store_that_was_copied_for_a_newer_one() {
    let Some((_folder, file, url)) = both().await else { return };
    copy(&file, &url).await.unwrap();
    let step: u32 =
        Connection::open(&file).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert!(step > 1_000_000, "{step}");
}

#[tokio::test]
async fn a_copy_without_its_mark_is_ended_by_the_next_try_and_only_while_the_source_is_the_same() {
    let Some((folder, file, url)) = both().await else { return };
    let unmarked = folder.path().join("before.db");
    change(&file, "PRAGMA wal_checkpoint(TRUNCATE)");
    std::fs::copy(&file, &unmarked).unwrap();
    copy(&file, &url).await.unwrap();
    // The copy has been served since.
    let store = PostgresStore::open(&url).await.unwrap();
    store.accept(message(77, "since", 60)).await.unwrap();
    store.close().await;
    let again = copy(&unmarked, &url).await.unwrap();
    assert!(again.before);
    assert!(refused(&unmarked).contains("was copied to"));
    assert!(copy(&unmarked, &url).await.unwrap().before, "as often as anybody likes");
    reopen(&unmarked).await.unwrap();
    let store = SqliteStore::open(&unmarked).unwrap();
    store.accept(message(78, "served by mistake", 60)).await.unwrap();
    store.close().await;
    drop(store);
    let other = copy(&unmarked, &url).await.unwrap_err();
    assert!(matches!(other, CopyError::Other { .. }), "{other}");
    SqliteStore::open(&unmarked).unwrap();
}

#[tokio::test]
async fn a_store_that_is_served_is_not_copied() {
    let Some((_folder, file, url)) = both().await else { return };
    let _owner = SqliteStore::open(&file).unwrap();
    let error = copy(&file, &url).await.unwrap_err();
    assert!(format!("{:#}", anyhow::Error::new(error)).contains("another bridge process uses the store"));
    assert_eq!(tables(&url).await, 0);
}

#[tokio::test]
async fn a_target_that_holds_anything_is_left_as_it_is() {
    let Some((_folder, file, url)) = both().await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    store.take_ownership(&channel()).await.unwrap();
    let error = copy(&file, &url).await.unwrap_err();
    assert!(matches!(&error, CopyError::NotEmpty { tables, .. } if tables == "channels"), "{error}");
    assert_eq!(store.take_ownership(&channel()).await.unwrap(), Epoch(2));
    store.close().await;
    SqliteStore::open(&file).unwrap();
    let theirs = fresh_schema().await.unwrap();
    PgConnection::connect(&theirs).await.unwrap().execute("CREATE TABLE theirs (x BIGINT)").await.unwrap();
    let error = copy(&file, &theirs).await.unwrap_err();
    assert!(format!("{:#}", anyhow::Error::new(error)).contains("tables of another program"));
    assert_eq!(tables(&theirs).await, 1);
}

#[tokio::test]
async fn an_empty_store_of_this_version_is_filled() {
    let Some((_folder, file, url)) = both().await else { return };
    PostgresStore::open(&url).await.unwrap().close().await;
    copy(&file, &url).await.unwrap();
    compare(&file, &url).await;
}

#[tokio::test]
async fn a_copy_that_meets_what_it_cannot_copy_leaves_nothing_and_the_source_in_use() {
    for (damage, said) in [
        ("UPDATE seen SET claim = X'FF00' WHERE identity = 'r2'", "table `seen`"),
        ("UPDATE outbound SET content = CAST(X'C328' AS TEXT) WHERE id = 3", "row 3 of table `outbound`"),
        ("ALTER TABLE events ADD COLUMN extra TEXT", "the target has no column `extra`"),
        ("CREATE TABLE extra (id BIGINT)", "table `extra`"),
    ] {
        let Some((_folder, file, url)) = both().await else { return };
        change(&file, damage);
        let error = copy(&file, &url).await.unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("nothing was copied"), "{error}");
        assert_eq!(tables(&url).await, 0, "{damage}");
        SqliteStore::open(&file).unwrap();
    }
}

#[tokio::test]
async fn a_store_of_an_older_bridge_is_brought_forward_and_copied() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.db");
    let old = include_str!("../migrations/sqlite/0001_start.sql");
    change(
        &file,
        &format!(
            "{old}; PRAGMA application_id = {}; PRAGMA user_version = 1; \
             INSERT INTO conversations (channel, contact, destination) VALUES ('support', '+34600000001', '34600000001'); \
             INSERT INTO outbound (conversation, m_id, state, kind, due_ms, accepted_ms) VALUES (1, 'a', 'unknown', 'text', 5, 5)",
            0x4241_6642
        ),
    );
    let url = fresh_schema().await.unwrap();
    copy(&file, &url).await.unwrap();
    let mut link = PgConnection::connect(&url).await.unwrap();
    let state: String = sqlx::query_scalar("SELECT state FROM outbound").fetch_one(&mut link).await.unwrap();
    assert_eq!(state, "unconfirmed", "as the step between made it");
}

#[tokio::test]
async fn tables_that_tell_of_processes_alone_are_left_out() {
    let Some((_folder, file, url)) = both().await else { return };
    change(&file, "CREATE TABLE IF NOT EXISTS processes (id TEXT); INSERT INTO processes DEFAULT VALUES");
    let copied = copy(&file, &url).await.unwrap();
    assert!(copied.tables.iter().all(|(table, _)| table != "processes"), "{:?}", copied.tables);
}
