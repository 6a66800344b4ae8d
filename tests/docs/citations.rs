//! Clauses and sections that code and documentation cite, as `bonychat.md A29`, `afilnet.md section 4` or
//! `design.md section 5, step 2`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{files, prose, text};

/// What a document can be cited by.
#[derive(Default)]
struct Document {
    /// `A29`: the first word of a table row, heading or list item.
    clauses: BTreeSet<String>,
    /// `4`, `3.7`: the number of a heading.
    sections: BTreeSet<String>,
    /// `4, 2`: a numbered list item of a section.
    steps: BTreeSet<(String, String)>,
}

impl Document {
    fn read(text: &str) -> Self {
        let mut document = Self::default();
        let mut section = String::new();
        for line in prose(text) {
            let word = line.trim_start_matches(['|', '#', '*', '-', ' ']).split([' ', '.', '*', '|']).next();
            let number = line.trim_start_matches(['#', ' ']).split(' ').next().unwrap().trim_end_matches('.');
            if line.starts_with('#') && is_number(number) {
                number.clone_into(&mut section);
                document.sections.insert(section.clone());
            } else if let Some((step, _)) = line.trim_start().split_once(". ").filter(|(step, _)| is_number(step)) {
                document.steps.insert((section.clone(), step.to_owned()));
            }
            document.clauses.extend(word.filter(|word| is_clause(word)).map(str::to_owned));
        }
        document
    }

    /// Returns whether there is such a section; `4.5` may also be step 5 of section 4.
    fn has_section(&self, number: &str) -> bool {
        let step = number.rsplit_once('.').map(|(section, step)| (section.to_owned(), step.to_owned()));
        self.sections.contains(number) || step.is_some_and(|step| self.steps.contains(&step))
    }
}

/// Returns the documents that can be cited, by file name.
fn documents() -> BTreeMap<String, Document> {
    let paths = files("docs", "md").into_iter();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.map(|path| (name(&path), Document::read(&text(&path)))).collect()
}

/// `A29`.
fn is_clause(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_uppercase())
        && (2..=3).contains(&word.len())
        && letters.all(|c| c.is_ascii_digit())
}

/// `4`, `3.7`.
fn is_number(word: &str) -> bool {
    !word.is_empty() && word.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
}

/// One cited clause, section or step, with the document that is named before it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cited {
    Document,
    Clause(String),
    Section(String),
    Step(String, String),
}

/// Returns what a passage cites of these documents; the name of the document is `None` if the passage names none
/// before. After an RFC or a URL the numbers belong to that.
fn cited(passage: &str) -> Vec<(Option<String>, Cited)> {
    let (mut document, mut section, mut found) = (None, None, Vec::new());
    // Numbers count only directly after a document's name, "section", "step", or another cited number.
    let (mut numbers, mut step, mut foreign) = (false, false, false);
    for word in passage.split([' ', '(', ')', ';', '`', '[', ']', '"']).filter(|word| !word.is_empty()) {
        let word = word.trim_end_matches(['.', ',', ':', '?', '!']).trim_end_matches("'s");
        if let Some(name) = word.rsplit('/').next().filter(|name| name.strip_suffix(".md").is_some()) {
            (document, numbers, step, foreign) = (Some(name.to_owned()), true, false, false);
            found.push((document.clone(), Cited::Document));
        } else if foreign || word == "RFC" || word.contains("://") {
            foreign = true;
        } else if is_clause(word) {
            found.push((document.clone(), Cited::Clause(word.to_owned())));
        } else if let Some(section) = section.as_ref().filter(|_| step && is_number(word)) {
            found.push((document.clone(), Cited::Step(String::clone(section), word.to_owned())));
        } else if numbers && is_number(word) {
            section = Some(word.to_owned());
            found.push((document.clone(), Cited::Section(word.to_owned())));
        } else {
            numbers = matches!(word, "section" | "sections") || (numbers && matches!(word, "and" | "to" | "or"));
            step = matches!(word, "step" | "steps") || (step && matches!(word, "and" | "to" | "or"));
        }
    }
    found
}

/// Returns the comments of a source text: consecutive comment lines are one passage.
fn comments(text: &str) -> Vec<String> {
    let mut passages = vec![String::new()];
    for line in text.lines() {
        if let Some(comment) = line.trim_start().strip_prefix("//") {
            let passage = passages.last_mut().unwrap();
            passage.push(' ');
            passage.push_str(comment.trim_start_matches(['/', '!']));
        } else {
            passages.extend(line.split_once(" // ").map(|(_, comment)| comment.to_owned()));
            passages.push(String::new());
        }
    }
    passages.retain(|passage| !passage.is_empty());
    passages
}

/// Returns the documents that a source file may mean if a comment names none: those that its head names, and the
/// contract of its folder's wire.
fn meant(path: &Path, head: &str) -> Vec<String> {
    let named = cited(head).into_iter().filter_map(|(document, _)| document);
    let wires = ["bonychat", "afilnet"].into_iter();
    let wire = wires.filter(|wire| path.iter().any(|part| Path::new(part).file_stem() == Some(wire.as_ref())));
    named.chain(wire.map(|wire| format!("{wire}.md"))).collect()
}

/// Returns every citation of the sources and the documentation, with the documents that it may mean.
fn all() -> Vec<(PathBuf, Vec<String>, Cited)> {
    let mut all = Vec::new();
    let this = |path: &PathBuf| path.as_path() == Path::new(file!());
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")).filter(|path| !this(path)) {
        let passages = comments(&text(&path));
        let head = passages.first().cloned().unwrap_or_default();
        for (document, cited) in passages.iter().flat_map(|passage| cited(passage)) {
            let documents = document.map_or_else(|| meant(&path, &head), |document| vec![document]);
            all.push((path.clone(), documents, cited));
        }
    }
    // Pages cite each other by name; contracts have notations of their own.
    for path in files("docs", "md").into_iter().filter(|path| !path.starts_with("docs/contracts")) {
        let text = text(&path);
        for (document, cited) in prose(&text).flat_map(cited) {
            all.extend(document.map(|document| (path.clone(), vec![document], cited)));
        }
    }
    all
}

#[test]
fn every_cited_clause_exists() {
    let documents = documents();
    let elsewhere = ["README.md", "CHANGELOG.md"];
    let mut wrong = Vec::new();
    let all = all();
    for (path, meant, cited) in &all {
        let holds = |name: &String| match (documents.get(name), cited) {
            (None, Cited::Document) => elsewhere.contains(&name.as_str()),
            (None, _) => false,
            (Some(_), Cited::Document) => true,
            (Some(document), Cited::Clause(clause)) => document.clauses.contains(clause),
            (Some(document), Cited::Section(number)) => document.has_section(number),
            (Some(document), Cited::Step(section, step)) => document.steps.contains(&(section.clone(), step.clone())),
        };
        if !meant.iter().any(holds) {
            wrong.push(format!("{}: {cited:?} is not in {meant:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(all.len() > 150, "only {} citations were found: does this test still read them?", all.len());
}

#[test]
fn citations_are_read_in_every_form_that_comments_use() {
    let of = |passage| cited(passage).into_iter().skip(1).map(|(_, cited)| cited).collect::<Vec<_>>();
    let section = |number: &str| Cited::Section(number.to_owned());
    let clause = |name: &str| Cited::Clause(name.to_owned());
    let step = |number: &str, step: &str| Cited::Step(number.to_owned(), step.to_owned());
    assert_eq!(of("(afilnet.md F5 and 3.2)"), [clause("F5"), section("3.2")]);
    assert_eq!(of("bonychat.md sections 2.1 to 2.4, A13."), [section("2.1"), section("2.4"), clause("A13")]);
    assert_eq!(of("bonychat.md section 1, step 3"), [section("1"), step("1", "3")]);
    assert_eq!(of("afilnet.md 3.2: 4,096 characters, 2 or 3 parts"), [section("3.2")]);
    assert_eq!(cited("(section 2.5)"), [(None, section("2.5"))]);
    assert_eq!(cited("RFC 9110, section 8.4.1; <https://x.test/>, section 4"), []);
    assert_eq!(of("bonychat.md A3 (RFC 6750 section 2.1) and afilnet.md 2.4").len(), 3);
}
