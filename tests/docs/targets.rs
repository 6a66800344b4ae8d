//! The test targets that `tests/README.md` names before the names of tests.

use std::collections::BTreeSet;

use super::{files, spans, text};

/// Test functions below this folder.
fn tests(folder: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let all = files(folder, "rs").into_iter();
    all.flat_map(|path| text(path).split("fn ").skip(1).map(name).collect::<Vec<String>>()).collect()
}

#[test]
fn every_black_box_test_is_named_behind_its_target() {
    let targets = ["it", "campaigns"].map(|target| (target, tests(&format!("tests/{target}"))));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in text("tests/README.md").lines().filter(|line| line.starts_with('|')) {
        let mut named = "";
        for span in spans(line.split(" | ").nth(2).unwrap_or("")) {
            if targets.iter().any(|(target, _)| *target == span) {
                named = span;
            }
            let home = targets.iter().find(|(_, tests)| span.matches('_').count() > 2 && tests.contains(span));
            count += usize::from(home.is_some());
            wrong.extend(home.filter(|(target, _)| *target != named).map(|(target, _)| format!("{target} {span}")));
        }
    }
    assert!(wrong.is_empty(), "not named behind their target: {wrong:#?}");
    assert!(count > 100, "only {count} tests were found: does this test still read the page?");
}
