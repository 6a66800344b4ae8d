//! The tables of guarantees in `tests/README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{files, root, spans, text};

/// Returns the names of all functions of the sources and the tests, and of their files, which are modules.
fn names() -> BTreeSet<String> {
    let paths = files("src", "rs").into_iter().chain(files("tests", "rs"));
    let modules = paths.clone().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let functions = |path| text(path).split("fn ").skip(1).map(name).collect::<Vec<String>>();
    paths.flat_map(functions).chain(modules).collect()
}

#[test]
fn every_named_test_exists() {
    let known = names();
    let page = text("tests/README.md");
    let (mut missing, mut count) = (Vec::new(), 0);
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split(" | ").collect();
        // Crash points and methods are named there too; names of tests are sentences.
        let named = spans(cells.get(2).unwrap_or(&"")).filter(|span| span.matches('_').count() > 2);
        // A command ends with its filter, which is part of a name.
        let filters = spans(cells.get(1).unwrap_or(&"")).filter(|span| span.contains("cargo test "));
        let filters = filters.filter_map(|command| command.rsplit(' ').next());
        count += named.clone().count();
        missing.extend(named.filter(|name| !known.contains(*name)));
        missing.extend(filters.filter(|filter| !known.iter().any(|name| name.contains(*filter))));
    }
    assert!(missing.is_empty(), "no test has these names: {missing:#?}");
    assert!(count > 200, "only {count} names were found: does this test still read the page?");
}

/// Returns the sources of a path in the second column: a file with the modules below it, or a folder. `before` is the
/// path named before it, since a file beside that one is named without its folder.
fn source(path: &str, before: Option<&Path>) -> Option<PathBuf> {
    let beside = before.and_then(Path::parent).map(|folder| folder.join(path));
    let here = [Some(PathBuf::from(path)), Some(Path::new("src").join(path)), beside];
    here.into_iter().flatten().find(|path| root().join(path).exists())
}

fn code_of(path: &Path) -> String {
    let folder = if path.file_name().is_some_and(|name| name == "mod.rs") {
        path.parent().unwrap().to_owned()
    } else {
        path.with_extension("")
    };
    let below = if root().join(&folder).is_dir() { files(folder.to_str().unwrap(), "rs") } else { Vec::new() };
    let file = root().join(path).is_file().then(|| path.to_owned());
    file.into_iter().chain(below).map(text).collect()
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word)
}

#[test]
fn what_the_second_column_names_is_in_the_file_named_before_it() {
    let page = text("tests/README.md");
    let (mut missing, mut count) = (Vec::new(), 0);
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let mut named: Option<(PathBuf, String)> = None;
        for span in spans(line.split(" | ").nth(1).unwrap_or("")) {
            if span.strip_suffix(".rs").is_some() || span.starts_with("src/") {
                let path = source(span, named.as_ref().map(|(path, _)| path.as_path()));
                missing.extend(path.is_none().then(|| format!("no file {span}")));
                named = path.map(|path| (path.clone(), code_of(&path)));
                continue;
            }
            let is_name = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            };
            let Some((path, code)) = named.as_ref().filter(|_| span.split("::").all(is_name)) else { continue };
            count += 1;
            let absent = span.split("::").filter(|part| !has_word(code, part));
            missing.extend(absent.map(|part| format!("{part} is not in {}", path.display())));
        }
    }
    assert!(missing.is_empty(), "the code has other names by now: {missing:#?}");
    assert!(count > 300, "only {count} names were found: does this test still read the page?");
}
