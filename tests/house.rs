//! The plan of the house, held: who may name whom, and no file that outgrows its room.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, at most. A file has one reason to change; at 400 files were cut where their reasons do not part.
const LONGEST: usize = 600;

/// Which rooms each room may name with `crate::`.
const PLAN: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("crashpoint", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain", "config"]),
    ("store", &["domain", "config", "telemetry", "crashpoint"]),
    ("bonychat", &["domain", "config", "telemetry", "crashpoint"]),
    ("afilnet", &["domain", "config", "telemetry", "crashpoint"]),
    ("http", &["domain", "config", "telemetry", "store", "bonychat", "crashpoint"]),
    ("work", &["domain", "config", "telemetry", "store", "lifecycle"]),
    ("lifecycle", &[]),
    ("app", &["domain", "config", "telemetry", "store", "bonychat", "afilnet", "http", "work", "lifecycle"]),
    ("cli", &["domain", "config", "telemetry", "store", "bonychat", "afilnet", "lifecycle", "app", "sim"]),
    ("sim", &["config", "telemetry", "lifecycle", "app"]),
    ("main", &[]),
    ("lib", &[]),
];

/// Words of one wire or of SQL, and the only rooms that may hold them (the simulators speak both wires).
const KEPT: &[(&str, &[&str])] = &[
    ("\"channelId\"", &["bonychat", "sim"]),
    ("\"sendmessage\"", &["afilnet", "sim", "crashpoint"]),
    ("\"getchats\"", &["afilnet", "sim", "crashpoint"]),
    ("INSERT INTO", &["store"]),
    ("SELECT ", &["store"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// Each source file with its room and its text.
fn house() -> Vec<(PathBuf, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        (path, room, text)
    };
    files.into_iter().map(read).collect()
}

/// Whether a file holds tests alone: those may reach further.
fn tests_alone(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "conformance")
}

/// The text without its unit tests, which may reach further.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn no_file_outgrows_its_room() {
    let long: Vec<String> = house()
        .into_iter()
        .filter(|(_, _, text)| text.lines().count() > LONGEST)
        .map(|(path, _, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:#?}");
}

#[test]
fn rooms_name_only_the_floors_below() {
    let mut wrong = Vec::new();
    for (path, room, text) in house().into_iter().filter(|(path, ..)| !tests_alone(path)) {
        let Some((_, may)) = PLAN.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: room `{room}` is not in the plan", path.display()));
            continue;
        };
        for named in without_tests(&text).split("crate::").skip(1) {
            let named: String = named.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if named != room && PLAN.iter().any(|(name, _)| *name == named) && !may.contains(&named.as_str()) {
                wrong.push(format!("{}: `{room}` names `{named}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_wire_and_sql_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (path, room, text) in house() {
        for (word, rooms) in KEPT {
            if without_tests(&text).contains(word) && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: holds {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = house().into_iter().filter(|(_, _, text)| !text.starts_with("//!")).map(|f| f.0).collect();
    assert!(silent.is_empty(), "no //! at the top of {silent:#?}");
}
