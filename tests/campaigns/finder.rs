//! Searches among a million messages while others are stored, as an operator makes them: by the command, beside a running bridge.
//!
//! `cargo test --release --features crashpoints --test campaigns -- --ignored --nocapture finder`

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::support::workload::number;
use crate::support::{CHANNEL, House, until_within};

/// Words of most messages, and their accents.
const WORDS: [&str; 40] = [
    "gracias",
    "mañana",
    "pedido",
    "factura",
    "envío",
    "número",
    "dirección",
    "código",
    "llegó",
    "canción",
    "pago",
    "tarjeta",
    "cuenta",
    "cliente",
    "soporte",
    "ayuda",
    "horario",
    "tienda",
    "talla",
    "color",
    "precio",
    "oferta",
    "cambio",
    "devolución",
    "garantía",
    "teléfono",
    "correo",
    "mensaje",
    "urgente",
    "favor",
    "buenos",
    "días",
    "tardes",
    "noches",
    "señor",
    "señora",
    "recibo",
    "entrega",
    "semana",
    "lunes",
];
/// Contacts of the channel that is quiet: all of its messages are among the oldest.
const QUIET: u64 = 50;

/// One row each way.
struct Row {
    conversation: u64,
    m_id: String,
    event_m_id: String,
    text: String,
    state: &'static str,
    event_state: &'static str,
    at_ms: u64,
}

/// Numbers that are the same in every run.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ (n >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
}

fn row(n: u64, all: u64, contacts: u64, newest_ms: u64) -> Row {
    let random = mixed(n);
    let quiet = n <= all / 200 && n.is_multiple_of(10);
    let conversation = if quiet { 1 + random % QUIET } else { QUIET + 1 + random % (contacts - QUIET) };
    let mut text = String::new();
    for at in 0..6 + random % 12 {
        let _ = write!(text, "{} ", WORDS[(mixed(n * 31 + at) % 40) as usize]);
    }
    if n.is_multiple_of(100_000) {
        text.push_str("xilófono ");
    }
    if n == 1 {
        text.push_str("Zanzíbar ");
    }
    let _ = write!(text, "{n}");
    let state = match n % 10_000 {
        17 => "failed",
        18 => "unconfirmed",
        _ => "sent",
    };
    Row {
        conversation,
        m_id: format!("{n:032x}"),
        event_m_id: format!("e{n:031x}"),
        text,
        state,
        event_state: if n % 10_000 == 19 { "dead" } else { "done" },
        at_ms: newest_ms - (all - n) * 1000,
    }
}

fn channel(conversation: u64) -> String {
    if conversation <= QUIET { "quiet".to_owned() } else { format!("c{}", conversation % 19) }
}

fn phone(conversation: u64) -> String {
    format!("{}", 34_600_000_000 + conversation)
}

/// The columns of each table and their values, parted by tabs.
fn conversations(contacts: u64) -> impl Iterator<Item = Vec<String>> {
    (1..=contacts).map(|n| vec![n.to_string(), channel(n), format!("+{}", phone(n)), phone(n)])
}

fn outbound(n: u64, row: &Row) -> Vec<String> {
    let at = row.at_ms.to_string();
    let content = format!(r#"{{"type":"text","text":"{}"}}"#, row.text);
    let fault = if row.state == "sent" { "" } else { "http_400" };
    [n.to_string(), row.conversation.to_string(), row.m_id.clone(), row.state.into(), "text".into(), content]
        .into_iter()
        .chain([at.clone(), at.clone(), at.clone(), at, fault.into(), "1".into()])
        .collect()
}

fn event(n: u64, row: &Row) -> Vec<String> {
    let at = (row.at_ms + 500).to_string();
    let text = format!("{} in", row.text);
    let event = format!(
        r#"{{"m_id":"{}","timestamp_ms":1,"body":{{"kind":"message","content":{{"type":"text","text":"{text}"}}}}}}"#,
        row.event_m_id
    );
    let fault = if row.event_state == "done" { "" } else { "http_400" };
    [
        n.to_string(),
        row.conversation.to_string(),
        row.event_m_id.clone(),
        "message".into(),
        row.event_state.into(),
        event,
    ]
    .into_iter()
    .chain([at.clone(), at.clone(), at, fault.into()])
    .collect()
}

const TABLES: [(&str, &str, usize); 3] = [
    ("conversations", "id, channel, contact, destination", 4),
    (
        "outbound",
        "id, conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, done_ms, fault, answered",
        12,
    ),
    ("events", "id, conversation, m_id, kind, state, event, due_ms, recorded_ms, done_ms, fault", 10),
];

fn rows(table: &str, all: u64, contacts: u64, newest_ms: u64) -> Box<dyn Iterator<Item = Vec<String>>> {
    match table {
        "conversations" => Box::new(conversations(contacts)),
        "outbound" => Box::new((1..=all).map(move |n| outbound(n, &row(n, all, contacts, newest_ms)))),
        _ => Box::new((1..=all).map(move |n| event(n, &row(n, all, contacts, newest_ms)))),
    }
}

fn fill_file(file: &Path, all: u64, contacts: u64, newest_ms: u64) {
    let db = rusqlite::Connection::open(file).unwrap();
    db.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
    for (table, columns, count) in TABLES {
        let places = vec!["NULLIF(?, '')"; count].join(", ");
        let mut insert = db.prepare(&format!("INSERT INTO {table} ({columns}) VALUES ({places})")).unwrap();
        for row in rows(table, all, contacts, newest_ms) {
            insert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
    }
    let names: Vec<String> = (0..19).map(|n| format!("('c{n}', 0)")).chain(["('quiet', 0)".to_owned()]).collect();
    db.execute_batch(&format!("INSERT INTO channels (channel, epoch) VALUES {}; COMMIT", names.join(", "))).unwrap();
}

async fn fill_database(url: &str, all: u64, contacts: u64, newest_ms: u64) {
    let mut link = PgConnection::connect(url).await.unwrap();
    for (table, columns, _) in TABLES {
        let mut copy = link.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN WITH (NULL '')")).await.unwrap();
        let mut batch = String::new();
        for row in rows(table, all, contacts, newest_ms) {
            batch.push_str(&row.join("\t"));
            batch.push('\n');
            if batch.len() > 1 << 20 {
                copy.send(std::mem::take(&mut batch).into_bytes()).await.unwrap();
            }
        }
        copy.send(batch.into_bytes()).await.unwrap();
        copy.finish().await.unwrap();
        let restart = format!("ALTER TABLE {table} ALTER COLUMN id RESTART WITH {}", all.max(contacts) + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(restart)).execute(&mut link).await.unwrap();
    }
    let names: Vec<String> = (0..19).map(|n| format!("('c{n}', 0)")).chain(["('quiet', 0)".to_owned()]).collect();
    let names = format!("INSERT INTO channels (channel, epoch) VALUES {}; ANALYZE", names.join(", "));
    sqlx::raw_sql(sqlx::AssertSqlSafe(names)).execute(&mut link).await.unwrap();
}

/// Number of blocks that are indexed.
async fn indexed(house: &House) -> i64 {
    let count = "SELECT COUNT(*) FROM text_lists WHERE part = -1";
    let url = house.setting("STORE__URL").to_owned();
    if url.starts_with("postgres") {
        let mut link = PgConnection::connect(&url).await.unwrap();
        return sqlx::query_scalar(count).fetch_one(&mut link).await.unwrap();
    }
    rusqlite::Connection::open(house.database()).unwrap().query_row(count, [], |row| row.get(0)).unwrap()
}

/// What is asked, fifty times with other values, and the least number of messages that it must find.
type Kind = (&'static str, Box<dyn Fn(u64) -> Vec<String>>, usize);

fn kinds(all: u64, contacts: u64, newest_ms: u64) -> Vec<Kind> {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let some = move |n: u64| 1 + mixed(n + 77) % all;
    let time = |ms: u64| jiff::Timestamp::from_millisecond(ms.cast_signed()).unwrap().to_string();
    let mut kinds: Vec<Kind> = vec![
        ("mId out", Box::new(move |n| vec![format!("{:032x}", some(n))]), 1),
        ("mId in", Box::new(move |n| vec![format!("e{:031x}", some(n))]), 1),
        ("number", Box::new(move |n| vec![format!("+{}", phone(QUIET + 1 + mixed(n) % (contacts - QUIET)))]), 0),
        ("end of number", Box::new(move |n| vec![phone(QUIET + 1 + mixed(n) % (contacts - QUIET))[5..].to_owned()]), 0),
        ("part of all numbers", Box::new(move |_| own(&["34600"])), 50),
        ("common word", Box::new(move |n| own(&[WORDS[(n % 40) as usize]])), 50),
        ("two common words", Box::new(move |n| own(&[WORDS[(n % 40) as usize], WORDS[((n + 7) % 40) as usize]])), 50),
        ("accents", Box::new(move |n| own(&[["CANCION", "dirección", "Ññ", "codigo"][(n % 2) as usize]])), 50),
        ("rare word", Box::new(move |_| own(&["xilofono"])), usize::try_from(2 * (all / 100_000)).unwrap()),
        ("rare number in words", Box::new(move |n| vec![format!("\"{}\"", 100_000 + some(n) % 900_000)]), 0),
        ("oldest word", Box::new(move |_| own(&["zanzibar"])), 2),
        ("no such word", Box::new(move |_| own(&["casadore"])), 0),
        (
            "time",
            Box::new(move |n| {
                let at = newest_ms - (all - some(n).min(all - 200)) * 1000;
                vec!["gracias".into(), "--since".into(), time(at), "--until".into(), time(at + 100_000)]
            }),
            1,
        ),
        ("quiet channel", Box::new(move |n| own(&[["gracias", "pedido"][(n % 2) as usize], "--channel", "quiet"])), 10),
        ("busy channel", Box::new(move |n| vec!["gracias".into(), "--channel".into(), format!("c{}", n % 19)]), 50),
    ];
    for (state, least) in [
        ("queued", 0),
        ("sending", 0),
        ("unknown", 0),
        ("sent", 50),
        ("failed", 1),
        ("unconfirmed", 1),
        ("done", 50),
        ("dead", 1),
    ] {
        kinds.push((state, Box::new(move |_| own(&["gracias", "--state", state])), least));
    }
    kinds.push(("fault", Box::new(move |_| own(&["gracias", "--fault", "http_400"])), 2));
    kinds
}

/// As a search sees it: without case and accents.
fn folded(text: &str) -> String {
    let plain = |c| match c {
        'á' => 'a',
        'é' => 'e',
        'í' => 'i',
        'ó' => 'o',
        'ú' => 'u',
        'ñ' => 'n',
        c => c,
    };
    text.to_lowercase().chars().map(plain).collect()
}

/// Searches of each kind that are compared with a scan.
const COMPARED: u64 = 3;

/// What a search lists at most.
const LISTED: usize = 50;

/// Returns the mIds of what this kind of search is to list, by a scan of all that was stored, newest first; `None` of a kind
/// that is not scanned for.
fn scanned(kind: &str, arguments: &[String], all: u64, contacts: u64, newest_ms: u64) -> Option<Vec<String>> {
    let asked = folded(arguments[0].trim_matches(['"', '+']));
    let matches = |row: &Row, state: &str| {
        let text = || folded(&row.text);
        match kind {
            "number" | "end of number" => Some(phone(row.conversation).contains(&asked)),
            "common word" | "accents" | "rare word" | "rare number in words" | "oldest word" | "no such word" => {
                Some(text().contains(&asked))
            }
            "two common words" => Some(text().contains(&asked) && text().contains(&folded(&arguments[1]))),
            "quiet channel" => Some(row.conversation <= QUIET && text().contains(&asked)),
            "busy channel" => Some(channel(row.conversation) == arguments[2] && text().contains(&asked)),
            "failed" | "unconfirmed" | "sent" | "done" | "dead" => Some(state == kind && text().contains(&asked)),
            _ => None,
        }
    };
    matches(&row(1, all, contacts, newest_ms), "sent")?;
    let mut found = Vec::new();
    for n in (1..=all).rev() {
        let row = row(n, all, contacts, newest_ms);
        for (m_id, state) in [(&row.event_m_id, row.event_state), (&row.m_id, row.state)] {
            if matches(&row, state).is_some_and(|matches| matches) {
                found.push(m_id.clone());
            }
        }
        if found.len() > LISTED {
            break;
        }
    }
    found.truncate(LISTED);
    Some(found)
}

/// Drops what the system keeps in memory of the files of the store.
fn forget(house: &House) {
    for end in ["", "-wal"] {
        let file = format!("{}{end}", house.database().display());
        let (of, flags) = (format!("of={file}"), ["oflag=nocache", "conv=notrunc,fdatasync", "count=0"]);
        let done = Command::new("dd").arg(of).args(flags).stdin(Stdio::null()).stderr(Stdio::null()).status();
        assert!(done.unwrap().success());
    }
}

/// The middle one and that of 99 in a hundred.
fn p50_p99(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Ten searches a second for so long, of every kind in turn.
async fn ten_a_second(house: &House, kinds: &[Kind], lasts: Duration) -> usize {
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let (started, mut searches) = (Instant::now(), Vec::new());
    while started.elapsed() < lasts {
        every.tick().await;
        let n = searches.len();
        let mut command = house.command(&["messages", "find"]);
        command.args((kinds[n % kinds.len()].1)(n as u64)).stdin(Stdio::null());
        searches.push(tokio::task::spawn_blocking(move || command.output().unwrap()));
    }
    let number = searches.len();
    for search in searches {
        let output = search.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    number
}

/// How long calls take without searches and beside ten a second; says where they stand still.
async fn beside_searches(house: &House, engine: &str, kinds: &[Kind], took: &Mutex<Vec<Duration>>) -> Option<String> {
    let lasts = Duration::from_secs(number("BRIDGE_FINDER_SECONDS", 20));
    tokio::time::sleep(lasts).await; // as long as it is measured, not a wait for a state
    let quiet = p50_p99(std::mem::take(&mut took.lock().unwrap()));
    let searches = ten_a_second(house, kinds, lasts).await;
    let busy = p50_p99(std::mem::take(&mut took.lock().unwrap()));
    println!(
        "{engine}: /message without searches: p50 {:.1?}, p99 {:.1?}; beside {searches} searches in {lasts:.0?}: p50 \
         {:.1?}, p99 {:.1?}; p99 {:.2} times",
        quiet.0,
        quiet.1,
        busy.0,
        busy.1,
        busy.1.as_secs_f64() / quiet.1.as_secs_f64()
    );
    if busy.1 > quiet.1 * 50 + Duration::from_secs(5) {
        return Some(format!("{engine}: calls stood still beside searches: p99 {:.0?}", busy.1));
    }
    None
}

/// Returns whether a search listed the newest of what was to be found, beside messages of the flow; all of it unless it says
/// that it was cut.
fn lists(listed: &str, expected: &[String], is_cut: bool) -> bool {
    let m_ids = listed.lines().map(|line| line.split('\t').next().unwrap().to_owned());
    let stored = |m_id: &String| m_id.starts_with("00000000") || m_id.starts_with("e0000000");
    let found: BTreeSet<String> = m_ids.filter(stored).collect();
    // A row's two messages are of the same time: either may be the last that is listed.
    let rows = |m_ids: &mut dyn Iterator<Item = &String>| m_ids.map(|m_id| m_id[1..].to_owned()).collect();
    let (listed_rows, newest): (BTreeSet<String>, BTreeSet<String>) =
        (rows(&mut found.iter()), rows(&mut expected.iter().take(found.len())));
    listed_rows == newest && (found.len() == expected.len() || listed.lines().count() == LISTED || is_cut)
}

async fn search(mut house: House, engine: &str) -> Vec<String> {
    let all = number("BRIDGE_FINDER_MESSAGES", 1_000_000) / 2;
    let contacts = (all / 5).max(200);
    let each = number("BRIDGE_FINDER_SEARCHES", 50);
    house = house.set("STORE__KEEP_TEXT", "3000d").set("STORE__KEEP_ROWS", "3000d");
    let bridge = house.start().await;
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() * 1000;
    let newest_ms = now_ms - 60_000;
    bridge.kill();
    let started = Instant::now();
    if engine == "SQLite" {
        fill_file(&house.database(), all, contacts, newest_ms);
    } else {
        fill_database(house.setting("STORE__URL"), all, contacts, newest_ms).await;
    }
    println!("{engine}: {} messages of {contacts} contacts are stored after {:.0?}", 2 * all, started.elapsed());
    let bridge = house.start().await;
    let started = Instant::now();
    let blocks = 2 * ((all + 1) / 4096).cast_signed();
    // The last whole block of each way waits for a row behind it.
    let mut done = 0;
    until_within(Duration::from_mins(20), "texts are indexed", || {
        done = crate::support::blocking(|| tokio::runtime::Handle::current().block_on(indexed(&house)));
        done >= blocks - 2
    })
    .await;
    println!("{engine}: {done} of {blocks} blocks are indexed after {:.0?}", started.elapsed());

    // A hundred messages a second meanwhile; how long each call took.
    let took = Arc::new(Mutex::new(Vec::new()));
    let (bonychat, url, calls) = (house.bonychat.clone(), bridge.url(), Arc::clone(&took));
    let flow = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(10));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut n, mut refused) = (0_usize, 0_u32);
        loop {
            every.tick().await;
            n += 1;
            let who = format!("+34700{:06}", n % 1000);
            let sent = bonychat.text(&url, CHANNEL, &who, "while it is searched").await;
            refused += u32::from(sent.status != 200);
            calls.lock().unwrap().push(sent.elapsed);
            assert!(refused < 100, "messages are refused");
        }
    });
    let kinds = kinds(all, contacts, newest_ms);
    let mut late: Vec<String> = beside_searches(&house, engine, &kinds, &took).await.into_iter().collect();
    for (kind, arguments, least) in kinds {
        let (mut took, mut cut, mut fewest, mut compared) = (Vec::new(), 0, usize::MAX, 0);
        for n in 0..each {
            let arguments = arguments(n);
            let mut command = vec!["messages", "find"];
            command.extend(arguments.iter().map(String::as_str));
            let started = Instant::now();
            let output = crate::support::blocking(|| house.run(&command));
            took.push(started.elapsed());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {said}");
            let is_cut =
                said.contains("which took the time of a search") || said.contains("the time of a search was up");
            cut += u32::from(is_cut);
            let listed = String::from_utf8_lossy(&output.stdout).into_owned();
            fewest = fewest.min(listed.lines().count());
            // Compared with a plain scan of what was stored before the flow of others.
            let scanned = (n < COMPARED).then(|| scanned(kind, &arguments, all, contacts, newest_ms)).flatten();
            if let Some(expected) = scanned {
                compared += 1;
                if !lists(&listed, &expected, is_cut) {
                    late.push(format!("{engine}: {kind} {arguments:?}: {listed} in place of {expected:?}"));
                }
            }
        }
        if engine == "SQLite" {
            let arguments = arguments(each);
            let command: Vec<&str> =
                ["messages", "find"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
            forget(&house);
            let started = Instant::now();
            assert!(crate::support::blocking(|| house.run(&command)).status.success());
            println!("{engine}: {kind}: {:.0?} with the file dropped from memory", started.elapsed());
        }
        took.sort();
        let p95 = took[took.len() * 95 / 100 - usize::from(took.len() == 1)];
        println!(
            "{engine}: {kind}: p50 {:.0?}, p95 {p95:.0?}, most {:.0?}; at least {fewest} found, {cut} cut, {compared} \
             compared with a scan",
            took[took.len() / 2],
            took[took.len() - 1]
        );
        // As many as there are of a million.
        if fewest < least && cut == 0 && all >= 500_000 {
            late.push(format!("{engine}: {kind}: {fewest} found in place of {least}"));
        }
        if p95 > Duration::from_millis(number("BRIDGE_FINDER_LIMIT_MS", 300)) {
            late.push(format!("{engine}: {kind}: p95 {p95:.0?}"));
        }
    }
    flow.abort();
    drop(bridge);
    late
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes, and figures that mean something in a release build alone"]
async fn a_message_among_a_million_is_found_within_300_ms_while_others_are_stored() {
    let mut late = search(House::new().on_a_file(), "SQLite").await;
    if let Some(house) = House::shared(1).await {
        late.extend(search(house, "PostgreSQL").await);
    }
    assert_eq!(late, [] as [String; 0]);
}
