//! Relative links, with their anchors.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{files, prose, root, spans, text};

fn pages() -> Vec<PathBuf> {
    let rest = ["README.md", "CHANGELOG.md", "tests/README.md"].map(PathBuf::from);
    files("docs", "md").into_iter().chain(rest).collect()
}

/// Returns the anchors of a page, as GitHub derives them from its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone()).chain(numbered).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// Returns the targets of a line's links, without code spans.
fn targets(line: &str) -> Vec<&str> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|target| !target.contains('`') && !target.contains("://")).collect()
}

#[test]
fn every_link_and_its_anchor_resolves() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        let here = text(&page);
        for target in prose(&here).flat_map(targets) {
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let there = fs::read_to_string(root().join(&file)).ok();
            let resolves = match &there {
                Some(there) => anchor.is_empty() || anchors(there).contains(anchor),
                None => anchor.is_empty() && root().join(&file).exists(),
            };
            if !resolves {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere: {wrong:#?}");
    assert!(count > 50, "only {count} links were found: does this test still read them?");
}

/// Returns whether a code span names a file or folder of the sources: `http/error.rs`, `src/store/`, `tests/it/`.
fn is_path(span: &str) -> bool {
    let inside = span.trim_end_matches('/').contains('/') || span.strip_suffix('/').is_some();
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c));
    inside && plain && !span.starts_with(['/', '.']) && (span.strip_suffix(".rs").is_some() || span.ends_with('/'))
}

#[test]
fn every_path_to_a_source_exists() {
    let (mut missing, mut count) = (Vec::new(), 0);
    for page in pages().into_iter().filter(|page| !page.starts_with("docs/contracts")) {
        let here = text(&page);
        for path in prose(&here).flat_map(spans).filter(|span| is_path(span)) {
            count += 1;
            if !root().join(path).exists() && !root().join("src").join(path).exists() {
                missing.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "paths that are not there: {missing:#?}");
    assert!(count > 150, "only {count} paths were found: does this test still read them?");
}

#[test]
fn every_page_is_linked_from_the_readme() {
    let readme = text("README.md");
    let unlinked = pages().into_iter().filter(|page| page.as_os_str() != "README.md");
    let unlinked: Vec<_> = unlinked.filter(|page| !readme.contains(&format!("]({})", page.display()))).collect();
    assert!(unlinked.is_empty(), "README.md does not lead to {unlinked:?}");
}
