//! The table of metrics in `docs/operations.md`.

use std::collections::BTreeSet;

use super::{files, text};

const PAGE: &str = "docs/operations.md";

/// Returns the names of metrics between quotation marks of this kind.
fn names(text: &str, quote: char) -> BTreeSet<String> {
    let quoted = text.split(quote).skip(1).step_by(2).filter(|word| word.starts_with("bridge_"));
    quoted.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')).map(str::to_owned).collect()
}

#[test]
fn every_metric_has_a_row_and_no_other() {
    let code = files("src/telemetry", "rs").into_iter().map(text).collect::<String>();
    let constants: String = code.lines().filter(|line| line.starts_with("const ")).collect();
    let counted = names(&constants, '"');
    let page = text(PAGE);
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let shown: BTreeSet<String> = cells.flat_map(|cell| names(cell, '`')).collect();
    let missing: Vec<_> = counted.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&counted).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "{PAGE} lacks {missing:?} and invents {unknown:?}");
    assert!(counted.len() > 25, "only {} metrics were found: does this test still read the code?", counted.len());
}
