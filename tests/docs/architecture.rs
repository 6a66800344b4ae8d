//! The tables of files and functions in `docs/architecture.md`.

use std::fs;
use std::path::Path;

use super::{files, root, spans, text};

const PAGE: &str = "docs/architecture.md";

/// Returns the rows `| leg | file | functions | number of functions | … |` of each table under this heading.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<(&'p str, Vec<&'p str>, usize)> {
    let (_, section) = page.split_once(heading).unwrap();
    let section = section.split("\n#").next().unwrap();
    let row = |line: &'p str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", _leg, file, functions, count, _what, ""] = cells[..] else { return None };
        Some((spans(file).next()?, spans(functions).collect(), count.parse().ok()?))
    };
    section.lines().filter_map(row).collect()
}

#[test]
fn every_function_on_the_way_of_a_message_is_in_its_file() {
    let page = text(PAGE);
    let mut wrong = Vec::new();
    let mut sums = Vec::new();
    for heading in ["### A text out, file by file", "### A row in, file by file"] {
        let rows = rows(&page, heading);
        for (file, functions, count) in &rows {
            let code = fs::read_to_string(root().join("src").join(file)).unwrap_or_default();
            let is_there =
                |name: &&&str| code.contains(&format!("fn {name}(")) || code.contains(&format!("fn {name}<"));
            wrong.extend(functions.iter().filter(|name| !is_there(name)).map(|name| format!("{file}: {name}")));
            wrong.extend((*count < functions.len()).then(|| format!("{file}: more functions than ran")));
        }
        sums.push(rows.len().to_string());
        sums.push(rows.iter().map(|(.., count)| count).sum::<usize>().to_string());
    }
    assert!(wrong.is_empty(), "{PAGE} names what is not there: {wrong:#?}");
    let total = format!("| all | {} |", sums.join(" | "));
    assert!(page.contains(&total), "{PAGE} should have the sums {total}");
}

/// Returns the number of these files and of the functions in them that ran, for the files of some rooms.
fn sums(rows: &[(&str, Vec<&str>, usize)], rooms: &[&str]) -> [String; 2] {
    let is_of = |file: &str| rooms.iter().any(|room| file.split(['/', '.']).next() == Some(*room));
    let counts: Vec<usize> = rows.iter().filter(|(file, ..)| is_of(file)).map(|(.., count)| *count).collect();
    [counts.len().to_string(), counts.iter().sum::<usize>().to_string()]
}

#[test]
fn the_sums_of_each_room_are_those_of_its_files() {
    let page = text(PAGE);
    let tables = ["### A text out, file by file", "### A row in, file by file"].map(|heading| rows(&page, heading));
    let (_, section) = page.split_once("| | Text out: files |").unwrap();
    let (mut wrong, mut known) = (Vec::new(), Vec::new());
    for line in section.lines().skip(2).take_while(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let rooms: Vec<&str> = spans(cells[1]).collect();
        let expected = tables.each_ref().map(|rows| sums(rows, &rooms)).concat();
        wrong.extend((cells[2..6] != expected).then(|| format!("{rooms:?}: {expected:?}")));
        known.extend(rooms);
    }
    let room = |file: &str| file.split(['/', '.']).next().unwrap().to_owned();
    let unknown = tables.iter().flatten().map(|(file, ..)| room(file)).filter(|room| !known.contains(&room.as_str()));
    wrong.extend(unknown);
    assert!(wrong.is_empty(), "{PAGE} should have these sums: {wrong:#?}");
}

/// Returns the code of a file or folder of `src`.
fn code_of(path: &str) -> String {
    let path = Path::new("src").join(path);
    if root().join(&path).is_dir() {
        files(path.to_str().unwrap(), "rs").into_iter().map(text).collect()
    } else {
        fs::read_to_string(root().join(path)).unwrap_or_default()
    }
}

#[test]
fn what_decides_a_question_is_defined_in_the_file_named_with_it() {
    let page = text(PAGE);
    let (_, section) = page.split_once("## Where is it decided").unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    let clauses = section.lines().filter_map(|line| line.split(" | ").nth(1)).flat_map(|cell| cell.split(';'));
    for clause in clauses {
        let is_name = |span: &&str| span.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
        let code: String = spans(clause).filter(|span| !is_name(span)).map(code_of).collect();
        for name in spans(clause).filter(is_name).flat_map(|span| span.split("::")) {
            count += 1;
            let kinds = ["fn", "struct", "enum", "trait", "const"];
            let defined = |kind: &&str| {
                code.split(&format!("{kind} {name}"))
                    .skip(1)
                    .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            };
            wrong.extend((!kinds.iter().any(defined)).then(|| format!("{name}:{clause}")));
        }
    }
    assert!(wrong.is_empty(), "{PAGE} names what is not there: {wrong:#?}");
    assert!(count > 20, "only {count} names were found: does this test still read the table?");
}
