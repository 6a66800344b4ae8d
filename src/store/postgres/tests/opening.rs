//! Databases that are refused, migrated, or shared.

use super::*;
use crate::store::postgres::open::{MIGRATIONS, OpenError};
use crate::store::postgres::open::{is_unverified, options};

#[test]
fn both_engines_take_the_same_steps_and_this_one_those_of_a_cluster() {
    let names = |engine: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(engine);
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files.collect();
        names.sort();
        names
    };
    let of_a_cluster = |name: &String| name.ends_with("_leases.sql");
    let (shared, own): (Vec<String>, Vec<String>) = names("postgres").into_iter().partition(|name| !of_a_cluster(name));
    assert_eq!((shared, own.len()), (names("sqlite"), 1));
    let known = MIGRATIONS.iter().map(|(_, name, _)| format!("{name}.sql"));
    assert_eq!(known.collect::<Vec<_>>(), names("postgres"));
    for (number, name, _) in MIGRATIONS {
        assert!(name.starts_with(&format!("{number:04}_")), "{name}");
    }
}

#[tokio::test]
async fn a_visitor_makes_and_migrates_nothing() {
    if !available() {
        return;
    }
    let url = fresh_schema().await.unwrap();
    let missing = PostgresStore::visit(&url).await.err().unwrap();
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    drop(PostgresStore::open(&url).await.unwrap());
    PostgresStore::visit(&url).await.unwrap();
    beside(&url, "DELETE FROM bridge_steps WHERE step > 1").await;
    let older = PostgresStore::visit(&url).await.err().unwrap();
    assert!(matches!(older, OpenError::Older { found: 1, .. }), "{older}");
}

#[tokio::test]
async fn an_older_store_is_brought_forward_with_what_it_holds() {
    if !available() {
        return;
    }
    let url = fresh_schema().await.unwrap();
    let old = format!(
        "CREATE TABLE bridge_steps (step BIGINT PRIMARY KEY, name TEXT NOT NULL, done_ms BIGINT NOT NULL); \
         INSERT INTO bridge_steps VALUES (1, '0001_start', 1); {}; \
         INSERT INTO conversations (channel, contact, destination, outbound_due_ms) VALUES ('support', '+34600000001', '34600000001', 7); \
         INSERT INTO outbound (conversation, m_id, state, kind, content, due_ms, accepted_ms) VALUES \
             (1, 'a', 'unknown', 'text', NULL, 5, 5), (1, 'b', 'queued', 'text', '{}', 7, 7)",
        MIGRATIONS[0].2,
        serde_json::to_string(&message(1, "kept").content).unwrap()
    );
    beside(&url, &old).await;
    let store = PostgresStore::open(&url).await.unwrap();
    assert_eq!(store.show("a".into()).await.unwrap().unwrap().state, "unconfirmed");
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let begun = store.begin(&channel(), epoch, 100, 0, 9, &Wordings::default()).await.unwrap().attempts;
    assert_eq!(
        begun.iter().map(|attempt| (words(attempt), attempt.since_ms)).collect::<Vec<_>>(),
        [("kept".into(), 7)]
    );
}

#[tokio::test]
async fn a_newer_store_is_refused_unchanged() {
    let Some((_store, url)) = fresh().await else { return };
    beside(&url, "INSERT INTO bridge_steps VALUES (999, '0999_later', 1)").await;
    for error in [PostgresStore::open(&url).await.err().unwrap(), PostgresStore::visit(&url).await.err().unwrap()] {
        assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
        assert!(error.to_string().contains("newer bridge"));
    }
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused_unchanged() {
    if !available() {
        return;
    }
    let url = fresh_schema().await.unwrap();
    beside(&url, "CREATE TABLE theirs (x BIGINT)").await;
    for error in [PostgresStore::open(&url).await.err().unwrap(), PostgresStore::visit(&url).await.err().unwrap()] {
        assert!(matches!(&error, OpenError::Foreign { table, .. } if table == "theirs"), "{error}");
    }
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema()").await, ["1"]);
}

#[tokio::test]
async fn processes_that_start_together_make_the_schema_once() {
    if !available() {
        return;
    }
    let url = fresh_schema().await.unwrap();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::open(&url).await.map(drop) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    assert_eq!(beside(&url, "SELECT COUNT(*) FROM bridge_steps").await, [MIGRATIONS.len().to_string()]);
}

/// Returns the whole chain of an error, as it is shown.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_without_its_password() {
    for url in [
        "postgres://u:hunter2@127.0.0.1:1/d",
        "postgres://u:hunter2@127.0.0.1:1/d?sslmode=hunter2",
        "postgres://u@127.0.0.1:1/d?password=hunter2",
        "postgres://u:hunter2@127.0.0.1:1/d?pgbouncer=hunter2",
        "postgres://u:hunter2@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=/nowhere&sslpassword=hunter2",
    ] {
        let error = PostgresStore::open(url).await.err().unwrap();
        let said = chain(&error);
        assert!(said.contains("store.url"), "{said}");
        assert!(!said.replace("unknown value \"hunter2\" for `ssl_mode`", "").contains("hunter2"), "{said}");
    }
}

#[test]
fn a_server_elsewhere_that_proves_nothing_is_warned_of() {
    for (url, unverified) in [
        ("postgres://u@db.example.com/d", true),
        ("postgres://u@db.example.com/d?sslmode=require", true),
        ("postgres://u@10.0.0.1/d?sslmode=disable", true),
        ("postgres://u@db.example.com/d?sslmode=require&sslrootcert=/ca.pem", false),
        ("postgres://u@db.example.com/d?sslmode=verify-full", false),
        ("postgres://u@db.example.com/d?sslrootcert=system", false),
        ("postgres://u@localhost/d", false),
        ("postgres://u@127.0.0.1/d", false),
        ("postgres:///d?host=/run/postgresql", false),
    ] {
        assert_eq!(is_unverified(&options(url).unwrap().0), unverified, "{url}");
    }
}
