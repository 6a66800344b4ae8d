//! The terms of `docs/glossary.md`.

use super::{files, text};

const PAGE: &str = "docs/glossary.md";

/// Returns letters and digits alone, in lower case, so that `in_sync`, `InSync` and `in sync` are one word.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[test]
fn every_term_is_used_in_the_code_and_the_page_stays_short() {
    let page = text(PAGE);
    let code: Vec<String> = files("src", "rs").into_iter().map(|path| plain(&text(path))).collect();
    let rows = page.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let cells = rows.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let terms: Vec<&str> = cells.flat_map(|cell| cell.split(", ")).collect();
    let unused = terms.iter().filter(|term| !code.iter().any(|code| code.contains(&plain(term))));
    let unused: Vec<_> = unused.collect();
    assert!(unused.is_empty(), "no source file has these terms: {unused:?}");
    assert!(terms.len() > 40, "only {} terms were found: does this test still read the page?", terms.len());
    assert!(page.lines().count() <= 55, "{PAGE} has {} lines: only what cannot be guessed", page.lines().count());
}
