//! Enforces the plan of the source tree: which rooms may use which, no circles between files, and no file of the sources
//! or the tests with two reasons to change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, at most. A file has one reason to change; a limit of 400 had split files with one reason.
const LONGEST: usize = 600;

/// Which rooms each room may use.
const PLAN: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("crashpoint", &["telemetry"]),
    ("config", &["domain"]),
    ("telemetry", &["domain", "config"]),
    ("store", &["domain", "config", "telemetry", "crashpoint"]),
    ("bonychat", &["domain", "config", "telemetry", "crashpoint"]),
    ("afilnet", &["domain", "config", "telemetry", "crashpoint"]),
    ("anna", &["domain", "config", "telemetry"]),
    ("ops", &["domain", "config", "telemetry", "store", "bonychat", "afilnet"]),
    ("http", &["domain", "config", "telemetry", "store", "bonychat", "crashpoint", "ops"]),
    ("work", &["domain", "config", "telemetry", "store", "lifecycle"]),
    ("lifecycle", &[]),
    ("app", &["domain", "config", "telemetry", "store", "bonychat", "afilnet", "anna", "http", "work", "lifecycle"]),
    (
        "cli",
        &[
            "domain",
            "config",
            "telemetry",
            "store",
            "bonychat",
            "afilnet",
            "anna",
            "ops",
            "lifecycle",
            "app",
            "bench",
            "sim",
        ],
    ),
    ("sim", &["config", "telemetry", "lifecycle", "app"]),
    ("bench", &["config", "app"]),
    (TESTKIT, &[]),
    ("main", &[]),
    ("lib", &[]),
];

/// The room that is built for unit tests alone. The tests of every room may name it; it names none.
const TESTKIT: &str = "testkit";

/// Words of one wire or of SQL, and the only rooms that may hold them (the simulators and the benchmark speak both wires).
const KEPT: &[(&str, &[&str])] = &[
    ("\"channelId\"", &["bonychat", "sim", "bench"]),
    ("\"sendmessage\"", &["afilnet", "sim", "bench", "crashpoint"]),
    ("\"getchats\"", &["afilnet", "sim", "crashpoint"]),
    ("\"accessData\"", &["anna", "sim"]),
    ("messengerLink", &["anna", "sim"]),
    ("INSERT INTO", &["store"]),
    ("SELECT ", &["store"]),
];

/// A file of `src`.
struct Source {
    path: PathBuf,
    text: String,
    /// Its module: `work::limits::poison`; empty for the root.
    module: Vec<String>,
}

impl Source {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    fn name(&self) -> String {
        self.module.join("::")
    }
}

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

/// Returns each source file.
fn house() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&src).unwrap().with_extension("");
        let mut module: Vec<String> = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        let text = fs::read_to_string(&path).unwrap();
        Source { path, text, module }
    };
    files.into_iter().map(read).collect()
}

/// Returns the text without its unit tests, and these.
fn parts(text: &str) -> (&str, &str) {
    text.find("#[cfg(test)]\nmod tests").map_or((text, ""), |at| text.split_at(at))
}

/// Returns the tokens of Rust without comments: identifiers, `::`, and every other character alone.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let line = line.split(" // ").next().unwrap();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            if !token.trim().is_empty() {
                tokens.push(token);
            }
            rest = after;
        }
    }
    tokens
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the path that starts at `at`, with all paths of its groups. Adds each as segments, with the name that it is
/// imported as; returns where it ends.
fn path(tokens: &[&str], mut at: usize, mut so_far: Vec<String>, found: &mut Vec<(Vec<String>, String)>) -> usize {
    while let Some(word) = tokens.get(at).filter(|token| is_word(token)) {
        so_far.push((*word).to_owned());
        at += 1;
        if tokens.get(at).is_none_or(|token| *token != "::") {
            break;
        }
        match tokens.get(at + 1).copied() {
            Some("{") => {
                at += 2;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    let before = at;
                    at = path(tokens, at, so_far.clone(), found);
                    at += usize::from(tokens.get(at).is_some_and(|token| *token == ",") || at == before);
                }
                return at + 1;
            }
            Some(next) if is_word(next) => at += 1,
            _ => break,
        }
    }
    let mut name = so_far.last().cloned().unwrap_or_default();
    if name == "self" {
        so_far.pop();
        name = so_far.last().cloned().unwrap_or_default();
    }
    if tokens.get(at).is_some_and(|token| *token == "as") {
        name = tokens.get(at + 1).map(|token| (*token).to_owned()).unwrap_or_default();
        at += 2;
    }
    found.push((so_far, name));
    at
}

/// Returns every path in a text, and those of its imports by their local names.
fn paths(text: &str) -> (Vec<Vec<String>>, BTreeMap<String, Vec<String>>) {
    let tokens = tokens(text);
    let (mut all, mut imports) = (Vec::new(), BTreeMap::new());
    let mut at = 0;
    while at < tokens.len() {
        // Not `pub(in path)`: that is a visibility, not a use.
        let scope = at > 1 && tokens[at - 1] == "in" && tokens[at - 2] == "(";
        if !is_word(tokens[at]) || (at > 0 && tokens[at - 1] == "::") || scope {
            at += 1;
            continue;
        }
        let import = tokens[at] == "use";
        let mut found = Vec::new();
        let end = path(&tokens, at + usize::from(import), Vec::new(), &mut found);
        at = end.max(at + 1);
        for (path, name) in found {
            if import {
                imports.insert(name, path.clone());
            }
            if path.len() > 1 || import {
                all.push(path);
            }
        }
    }
    (all, imports)
}

/// Re-exports that are followed, at most.
const MOST_IMPORTS: u32 = 8;

/// The tree of modules, to resolve paths.
struct Tree<'a> {
    modules: BTreeMap<&'a [String], BTreeMap<String, Vec<String>>>,
}

impl<'a> Tree<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let modules = sources.iter().map(|source| (source.module.as_slice(), paths(parts(&source.text).0).1)).collect();
        Self { modules }
    }

    fn is_module(&self, module: &[String]) -> bool {
        self.modules.contains_key(module)
    }

    /// Returns the module that defines what `path` in `module` names; `None` outside this crate.
    fn holds(&self, module: &[String], path: &[String], depth: u32) -> Option<Vec<String>> {
        let mut here = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (here, rest) = (Vec::new(), &path[1..]),
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            "self" => rest = &path[1..],
            first => {
                here.push(first.to_owned());
                let child = self.is_module(&here);
                here.pop();
                if !child {
                    return None;
                }
            }
        }
        for (index, part) in rest.iter().enumerate() {
            here.push(part.clone());
            if self.is_module(&here) {
                continue;
            }
            here.pop();
            let import = self.modules.get(here.as_slice()).and_then(|imports| imports.get(part));
            let Some(import) = import.filter(|_| depth > 0) else { return Some(here) };
            let import = [import.as_slice(), &rest[index + 1..]].concat();
            return self.holds(&here, &import, depth - 1).or(Some(here));
        }
        Some(here)
    }

    /// Returns the modules of which a text of `module` uses items.
    fn named(&self, module: &[String], text: &str) -> BTreeSet<Vec<String>> {
        let of = |path: &Vec<String>| self.holds(module, path, MOST_IMPORTS);
        paths(text).0.iter().filter_map(of).filter(|named| named != module).collect()
    }
}

/// Returns the modules that are built for tests only, with all below them.
fn for_tests(sources: &[Source]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for source in sources {
        for after in source.text.split("#[cfg(test)]").skip(1) {
            let declared = tokens(after.lines().find(|line| !line.trim().is_empty()).unwrap_or(""));
            let at = declared
                .iter()
                .position(|token| *token == "mod")
                .filter(|_| declared.last().is_some_and(|token| *token == ";"));
            if let Some(name) = at.and_then(|at| declared.get(at + 1)) {
                found.push([source.module.as_slice(), &[(*name).to_owned()]].concat());
            }
        }
    }
    found
}

/// The modules that one file uses.
struct Names<'a> {
    source: &'a Source,
    /// Outside its tests.
    shipped: BTreeSet<Vec<String>>,
    /// In its tests.
    tested: BTreeSet<Vec<String>>,
}

/// Returns the modules that each file uses.
fn named(sources: &[Source]) -> Vec<Names<'_>> {
    let (tree, tests) = (Tree::of(sources), for_tests(sources));
    let mut all = Vec::with_capacity(sources.len());
    for source in sources {
        let (shipped, tested) = parts(&source.text);
        let (mut shipped, mut tested) = (tree.named(&source.module, shipped), tree.named(&source.module, tested));
        if tests.iter().any(|test| source.module.starts_with(test)) {
            tested.append(&mut shipped);
        }
        all.push(Names { source, shipped, tested });
    }
    all
}

#[test]
fn no_file_outgrows_its_room() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let long = files.iter().map(|path| (path.display(), lines(path))).filter(|(_, lines)| *lines > LONGEST);
    let long: Vec<String> = long.map(|(path, lines)| format!("{path}: {lines} lines")).collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:#?}");
}

/// Returns whether the plan lets `room` use `named`.
fn may_name(room: &str, named: &[String]) -> bool {
    let may = PLAN.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, may)| may);
    named.first().is_none_or(|named| named == room || may.contains(&named.as_str()))
}

#[test]
fn rooms_name_only_the_floors_below() {
    let sources = house();
    let mut wrong = Vec::new();
    for Names { source, shipped, .. } in named(&sources) {
        if PLAN.iter().all(|(name, _)| *name != source.room()) {
            wrong.push(format!("{}: room `{}` is not in the plan", source.path.display(), source.room()));
        }
        let upward = shipped.iter().filter(|named| !may_name(source.room(), named));
        wrong.extend(upward.map(|named| format!("{} names {}", source.name(), named.join("::"))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn tests_too_name_only_the_floors_below() {
    let sources = house();
    let mut upward = BTreeSet::new();
    for Names { source, tested, .. } in named(&sources) {
        let above = tested.iter().filter(|named| !may_name(source.room(), named) && named[0] != TESTKIT);
        upward.extend(above.map(|named| format!("{} names {}", source.name(), named.join("::"))));
    }
    assert!(upward.is_empty(), "{upward:#?}");
}

/// Returns whether `from` uses `to`, directly or through others.
fn reaches(names: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        next.extend(names.get(module).into_iter().flatten().map(String::as_str).filter(|named| reached.insert(*named)));
    }
    reached.contains(to)
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let sources = house();
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Names { source, shipped, .. } in named(&sources) {
        names.insert(source.name(), shipped.iter().map(|module| module.join("::")).collect());
    }
    let circular: Vec<&String> = names.keys().filter(|module| reaches(&names, module, module)).collect();
    assert!(circular.is_empty(), "these name each other, by themselves or through others: {circular:?}");
}

#[test]
fn each_wire_and_sql_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in house() {
        for (word, rooms) in KEPT {
            if parts(&source.text).0.contains(word) && !rooms.contains(&source.room()) {
                wrong.push(format!("{}: holds {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = house().into_iter().filter(|source| !source.text.starts_with("//!"));
    let silent: Vec<PathBuf> = silent.map(|source| source.path).collect();
    assert!(silent.is_empty(), "no //! at the top of {silent:#?}");
}

/// Returns the arguments of a macro call, given the text after its opening bracket, without strings.
fn arguments(text: &str) -> Vec<String> {
    let (mut all, mut one, mut depth, mut chars) = (Vec::new(), String::new(), 0, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                one.push('"');
            }
            ')' if depth == 0 => break,
            ',' if depth == 0 => all.push(std::mem::take(&mut one)),
            _ => {
                depth += i32::from(matches!(c, '(' | '[' | '{')) - i32::from(matches!(c, ')' | ']' | '}'));
                one.push(c);
            }
        }
    }
    all.push(one);
    all
}

/// Returns the name of each field that the sources log, with a file that logs it.
fn log_fields() -> BTreeMap<String, PathBuf> {
    let mut names = BTreeMap::new();
    for Source { path, text, module } in house() {
        if module.iter().any(|part| part == "tests" || part == "conformance") {
            continue;
        }
        // Tests in a file of their own are declared at the top of the file, before what is logged.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for level in ["error", "warn", "info", "debug", "trace", "$level"] {
            for (at, call) in text.match_indices(&format!("tracing::{level}!(")) {
                // Fields come before the message, which may be an argument of a macro of the file.
                let is_field = |field: &String| field.trim() != "\"" && !field.trim().starts_with("$(");
                for field in arguments(&text[at + call.len()..]).into_iter().take_while(is_field) {
                    let name = field.split(" = ").next().unwrap_or_default().trim().trim_start_matches(['%', '?']);
                    names.insert(name.to_owned(), path.clone());
                }
            }
        }
    }
    assert!(names.contains_key("message_id") && names.len() > 60, "only {names:?}: does this still read the sources?");
    names
}

/// Log stores read a dot as nesting: a line with both `message` and `message.id` is lost there.
#[test]
fn no_field_of_the_log_has_a_dot() {
    for (name, path) in log_fields() {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(plain && !name.is_empty(), "{}: `{name}`: let it be as `message_id`", path.display());
    }
}

#[test]
fn every_field_of_the_log_is_in_the_manual_and_no_other() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let (_, section) = page.split_once("## Keys of the log").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next()).flat_map(|cell| cell.split('`').step_by(2));
    let shown: BTreeSet<String> = cells.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let own = ["timestamp", "level", "message", "span"].map(str::to_owned);
    let logged: BTreeSet<String> = log_fields().into_keys().chain(own).collect();
    let missing: Vec<_> = logged.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&logged).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "docs/operations.md lacks {missing:?} and invents {unknown:?}");
}
