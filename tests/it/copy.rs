//! A store in use moves from SQLite to PostgreSQL: `bridge store copy`, and the bridge continues with the same two
//! platforms.

use std::path::Path;
use std::time::{Duration, Instant};

use bridge::sim::postgres::fresh_schema;
use rusqlite::Connection;
use serde_json::json;

use crate::support::{CHANNEL, House, SOON, contact, until};
use crate::workload::{Workload, number};

/// A setup on a file, and the URL of an empty schema of its own; `None` without PostgreSQL.
async fn house_and_schema() -> Option<(House, String)> {
    let url = fresh_schema().await?;
    let name = url.rsplit("search_path%3D").next().unwrap().to_owned();
    Some((House::new().on_a_file(), format!("{url}&application_name={name}")))
}

impl House {
    fn source(&self) -> String {
        format!("sqlite:{}", self.database().display())
    }

    /// `bridge store copy` of this house's file.
    fn copy(&self, to: &str) -> std::process::Output {
        self.run(&["store", "copy", "--from", &self.source(), "--to", to])
    }

    /// Runs `bridge serve`, which is refused. Returns its output.
    fn refused(&self) -> String {
        let refused = self.command(&["serve"]).env("BRIDGE__SERVER__LISTEN", "127.0.0.1:0").output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        String::from_utf8(refused.stderr).unwrap()
    }
}

fn said(output: &std::process::Output) -> (Option<i32>, String) {
    let words = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(words).unwrap())
}

/// One number out of a file.
fn ask(file: &Path, statement: &str) -> i64 {
    Connection::open(file).unwrap().query_row(statement, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_moves_in_mid_run_and_nothing_is_lost_doubled_or_out_of_order() {
    let Some((house, url)) = house_and_schema().await else { return };
    let seed = number("BRIDGE_KILL_SEED", rand::random::<u32>().into());
    // Lookups are late enough that sends in doubt still are when the process ends.
    let mut house = Workload::settings(house)
        .set("OUTBOUND__LOOK_AFTER", "2s, 3s, 4s")
        .set("AFILNET__TIMEOUT", "1s")
        .set("AFILNET__REQUESTS_PER_SECOND", "150");
    let bridge = house.start().await;
    let base = bridge.url();
    let question = json!({"type": "quick_reply", "title": "Which day?", "replies": ["Monday", "Tuesday"]});
    assert_eq!(house.bonychat.send(&base, CHANNEL, &contact(900), question).await.status, 200);
    let keyed = crate::repeat::m_id(&base, 901, "once", &["idempotency-key: k"]);
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 2).await);
    house.settled().await;
    let load = Workload { contacts: 20, each: 20, pause: Duration::from_millis(150), equal_words: false };
    let running = load.start(&house, &base);
    assert!(house.afilnet.until(SOON, |world| world.sent_count() > 70).await);
    // From here on some are in doubt, some hang, and BonyChat accepts nothing.
    for fault in
        ["sendmessage:reset:1", "sendmessage:reset_stored:8", "sendmessage:hang_stored:16", "sendmessage:hang:17"]
    {
        house.afilnet.fault(fault).unwrap();
    }
    house.bonychat.fault("message:http_503:1-1000000").unwrap();
    house.customer(&contact(902), "and no more");
    let file = house.database();
    let count = |what: &str| ask(&file, &format!("SELECT COUNT(*) FROM {what}"));
    let there = || {
        ["outbound WHERE state = 'queued'", "outbound WHERE state = 'sending'", "outbound WHERE state = 'unknown'"]
            .into_iter()
            .chain(["events WHERE state = 'queued'", "events WHERE event LIKE '%and no more%' AND state = 'queued'"])
            .chain(["conversations WHERE choice IS NOT NULL", "idempotency"])
            .map(|what| (what, count(what)))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    until("something of everything is under way", || {
        found = there();
        found.iter().all(|(_, count)| *count > 0)
    })
    .await;
    bridge.kill();
    println!("seed {seed}; when it ended: {:?}", there());
    house.bonychat.clear_faults();
    let (code, words) = said(&house.copy(&url));
    assert_eq!(code, Some(0), "{words}");
    println!("{words}");
    for table in ["channels", "conversations", "events", "idempotency", "outbound", "seen"] {
        let line = words.lines().find(|line| line.split(' ').next() == Some(table)).unwrap();
        assert!(line.contains(&format!(" {} rows", count(table))), "{line}");
    }
    assert!(house.refused().contains("was copied to database"));
    let mut house = house.set("STORE__URL", &url);
    let bridge = house.start().await;
    let unconfirmed = running.conserved(&house, 0).await;
    assert_eq!(crate::repeat::m_id(&bridge.url(), 901, "once", &["idempotency-key: k"]), keyed);
    house.customer(&contact(900), "2");
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(900)) == ["Tuesday"]).await);
    // No later message opened its lane.
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(902)) == ["and no more"]).await);
    assert_eq!(house.afilnet.texts(&contact(901)[1..]), ["once"]);
    println!("{} messages both ways: lost 0, doubled 0, out of order 0, unconfirmed {unconfirmed}", load.total());
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused_in_words_that_say_what_to_do_and_hold_no_secret() {
    let Some((mut house, url)) = house_and_schema().await else { return };
    let (code, words) = said(&house.copy(&url));
    assert!(
        code == Some(1) && words.contains("there is no store at") && words.contains("nothing was copied"),
        "{words}"
    );
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "kept").await.status, 200);
    house.settled().await;
    let (code, words) = said(&house.copy(&url));
    assert!(code == Some(1) && words.contains("another bridge process uses the store"), "{words}");
    assert!(words.contains("stop it first") && words.contains("nothing was copied"), "{words}");
    drop(bridge);
    let (code, words) = said(&house.copy("postgres://bridge:hunter2@127.0.0.1:1/messages"));
    assert!(code == Some(1) && words.contains("database `messages` at 127.0.0.1:1"), "{words}");
    assert!(!words.contains("hunter2"), "{words}");
    for wrong in [
        &["--from", "postgres://bridge:hunter2@h/d", "--to", &url][..],
        &["--from", &house.source(), "--to", "mysql://bridge:hunter2@h/d"],
        &["--from", &house.source(), "--to-file", "/no/such/file"],
        &["--from", &house.source()],
    ] {
        let (code, words) = said(&house.run(&[&["store", "copy"], wrong].concat()));
        assert!(code == Some(2) && words.contains("--") && !words.contains("hunter2"), "{words}");
    }
    // A target that is used already.
    let mut other = House::new().set("STORE__URL", &url);
    drop(other.start().await);
    let (code, words) = said(&house.copy(&url));
    assert!(
        code == Some(1) && words.contains("holds a store with rows already") && words.contains("DROP SCHEMA"),
        "{words}"
    );
    // After all of that the source is as it was.
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "still served").await.status, 200);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_moved_is_not_served_again_by_mistake_and_a_person_can_take_it_back() {
    let Some((mut house, url)) = house_and_schema().await else { return };
    drop(house.start().await);
    let secret = house.folder.path().join("target");
    std::fs::write(&secret, format!("{url}\n")).unwrap();
    let copied = house.run(&["store", "copy", "--from", &house.source(), "--to-file", secret.to_str().unwrap()]);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let words = house.refused();
    let undo = format!("bridge store reopen --from {} --copy-never-served", house.source());
    assert!(words.contains("set store.url to that one") && words.contains(&undo), "{words}");
    let list = house.run(&["messages", "list"]);
    assert_eq!(list.status.code(), Some(1), "what a person decides there would be lost");
    let (code, words) = said(&house.copy(&url));
    assert!(code == Some(0) && words.contains("nothing was left to copy"), "{words}");
    let (code, words) = said(&house.run(&["store", "reopen", "--from", &house.source()]));
    assert!(
        code == Some(2) && words.contains("would be sent again") && words.contains("nothing was changed"),
        "{words}"
    );
    let reopened = house.run(&["store", "reopen", "--from", &house.source(), "--copy-never-served"]);
    assert!(reopened.status.success(), "{}", String::from_utf8_lossy(&reopened.stderr));
    let bridge = house.start().await;
    let again = house.run(&["store", "reopen", "--from", &house.source(), "--copy-never-served"]);
    assert_eq!(again.status.code(), Some(1));
    drop(bridge);
    house.check();
}

/// Fills a store that was served once.
async fn filled(house: &mut House, messages: u32) {
    drop(house.start().await);
    let db = Connection::open(house.database()).unwrap();
    db.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {conversations})
         INSERT INTO conversations (id, channel, contact, destination, outbound_due_ms)
             SELECT i, 'support', printf('+346%08d', i), printf('346%08d', i), CASE i % 2 WHEN 0 THEN 5 END FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {messages})
         INSERT INTO outbound (id, conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, done_ms, answered)
             SELECT i, 1 + i % {conversations}, printf('m%032d', i), CASE WHEN i % 40 = 1 THEN 'queued' ELSE 'sent' END,
             'text', printf('{{\"type\":\"text\",\"text\":\"message %d, of about the length that a message has, which is short\"}}', i),
             5, i, i, CASE WHEN i % 40 = 1 THEN NULL ELSE i END, 1 FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {messages})
         INSERT INTO seen (conversation, identity, seen_ms, mark) SELECT 1 + i % {conversations}, printf('row %d', i), i, 'x' FROM n;
         COMMIT",
        conversations = messages / 20,
    ))
    .unwrap();
}

/// The first number of a statement in the target.
async fn number_there(url: &str, statement: &str) -> i64 {
    let mut link = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_owned())).fetch_one(&mut link).await.unwrap()
}

/// Returns what an ended copy left: rows of its last table, or -1 without even a schema.
async fn left(url: &str) -> i64 {
    let name = url.rsplit("application_name=").next().unwrap();
    let beside = url.replace(&format!("application_name={name}"), "application_name=beside");
    let under_way = format!("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = '{name}'");
    let deadline = Instant::now() + SOON;
    while number_there(&beside, &under_way).await > 0 {
        assert!(Instant::now() < deadline, "the server still works for a process that has ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let made =
        "SELECT COUNT(*) FROM pg_class WHERE relname = 'outbound' AND relnamespace = current_schema()::regnamespace";
    if number_there(&beside, made).await == 0 {
        return -1;
    }
    number_there(&beside, "SELECT (SELECT COUNT(*) FROM outbound) + (SELECT COUNT(*) FROM seen)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_at_any_moment_leaves_nothing_or_all_of_it() {
    const MESSAGES: u32 = 20_000;
    let Some((mut house, mut url)) = house_and_schema().await else { return };
    filled(&mut house, MESSAGES).await;
    let started = Instant::now();
    assert!(house.copy(&url).status.success());
    let whole = started.elapsed();
    let (mut nothing, mut complete) = (0, 1);
    let tries: u32 = u32::try_from(number("BRIDGE_KILLS", 12)).unwrap();
    for at in 0..tries {
        if left(&url).await >= 0 {
            assert!(house.run(&["store", "reopen", "--from", &house.source(), "--copy-never-served"]).status.success());
            url = house_and_schema().await.unwrap().1;
        }
        let mut copying = house.command(&["store", "copy", "--from", &house.source(), "--to", &url]);
        let mut copying = copying.stdout(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(whole * at / tries).await; // the moment of the kill
        copying.kill().unwrap();
        copying.wait().unwrap();
        match left(&url).await {
            -1 => nothing += 1,
            rows => {
                assert_eq!(rows, i64::from(2 * MESSAGES), "killed after {:?}", whole * at / tries);
                complete += 1;
            }
        }
        // The source can be copied, whatever is left.
        let (code, words) = said(&house.copy(&url));
        assert_eq!(code, Some(0), "{words}");
        assert_eq!(left(&url).await, i64::from(2 * MESSAGES));
    }
    println!("{tries} copies killed within {whole:.1?}: {nothing} left nothing, {complete} were complete");
    assert!(nothing > 0);
}

/// `cargo test --release --test it -- --ignored --nocapture two_hundred_thousand_rows`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn two_hundred_thousand_rows_are_copied_without_all_of_them_in_memory() {
    let Some((mut house, url)) = house_and_schema().await else { return };
    filled(&mut house, 200_000).await;
    let bytes = std::fs::metadata(house.database()).unwrap().len();
    let mut copying = house.command(&["store", "copy", "--from", &house.source(), "--to", &url]);
    let started = Instant::now();
    let mut copying = copying.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut most = 0;
    until("it is copied", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", copying.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = peak.and_then(|kb| kb.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0).max(most);
        copying.try_wait().unwrap().is_some()
    })
    .await;
    let took = started.elapsed();
    assert!(copying.wait().unwrap().success());
    assert_eq!(left(&url).await, 400_000);
    println!(
        "410,000 rows, 200,000 of them messages, a file of {} MiB: {took:.1?}, at most {} MiB of memory",
        bytes >> 20,
        most >> 10
    );
    assert!(most < 100 << 10, "{most} KiB");
}

#[cfg(feature = "crashpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_ends_between_its_two_commits_is_ended_by_the_next_try() {
    use bridge::crashpoint::{AFTER_COMMIT, BEFORE_COMMIT};
    for (point, copied, marked) in [
        (("copy", BEFORE_COMMIT), false, false),
        (("copy", AFTER_COMMIT), true, false),
        (("mark", AFTER_COMMIT), true, true),
    ] {
        let Some((mut house, url)) = house_and_schema().await else { return };
        filled(&mut house, 200).await;
        let mut copying = house.command(&["store", "copy", "--from", &house.source(), "--to", &url]);
        let ended = copying.env("BRIDGE_CRASHPOINT", format!("{}, {}", point.0, point.1)).output().unwrap();
        assert_eq!(ended.status.code(), None, "{point:?}: {}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(left(&url).await, if copied { 400 } else { -1 }, "{point:?}");
        let step = ask(&house.database(), "SELECT user_version FROM pragma_user_version");
        assert_eq!(step > 1_000_000, marked, "{point:?}");
        let (code, words) = said(&house.copy(&url));
        assert_eq!(code, Some(0), "{point:?}: {words}");
        assert_eq!(words.contains("nothing was left to copy"), copied, "{point:?}: {words}");
        assert_eq!(left(&url).await, 400, "{point:?}");
        assert!(house.refused().contains("was copied to"), "{point:?}");
    }
}
