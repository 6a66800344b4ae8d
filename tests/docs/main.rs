//! Holds the documentation to the code: configuration keys, cited clauses, names of tests, links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Returns the files below `folder` with this extension, as paths from the root of the repository.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Returns the lines of a Markdown text that are not in a fenced code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let delimiter = line.trim_start().starts_with("```");
        fenced ^= delimiter;
        !fenced && !delimiter
    })
}

/// Returns the code spans of a line.
fn spans(line: &str) -> impl Iterator<Item = &str> + Clone {
    line.split('`').skip(1).step_by(2)
}

mod configuration {
    //! The tables of keys in `docs/configuration.md` and `config/default.toml`.

    use super::*;

    const PAGE: &str = "docs/configuration.md";

    /// Key to default, as TOML writes it; `None` if the file shows an example and no default.
    type Keys = BTreeMap<String, Option<String>>;

    /// Returns the keys of the default file: those set, and those of the channel that it shows in comments.
    fn keys_of_the_file() -> Keys {
        let mut keys = Keys::new();
        let (mut section, mut commented) = (String::new(), false);
        for line in text("config/default.toml").lines() {
            let (line, comment) = line.strip_prefix("# ").map_or((line, false), |line| (line, true));
            if let Some((header, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                section = header.replace("channels.support", "channels.NAME").replace("people.ana", "people.NAME");
                commented = comment;
                // A table with keys that the operator chooses is one row.
                if section == "inbound.status_map" {
                    keys.insert(section.clone(), None);
                }
            } else if let Some((key, value)) = line.split_once(" = ").filter(|_| comment == commented) {
                let default = (!comment).then(|| value.to_owned());
                keys.insert(format!("{section}.{key}"), default);
            }
        }
        keys
    }

    /// Returns the rows of the page that begin with a key: `| section.key | unit | range | default | reason |`.
    fn keys_of_the_page() -> Keys {
        let mut keys = Keys::new();
        for line in text(PAGE).lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let ["", key, unit, range, default, _reason, ""] = cells[..] else { continue };
            let Some(key) = code(key).filter(|key| key.contains('.')) else { continue };
            assert!(!unit.is_empty() && !range.is_empty(), "{key} has no unit or no range");
            let twice = keys.insert(key.to_owned(), code(default).map(str::to_owned));
            assert!(twice.is_none(), "{key} has two rows");
        }
        keys
    }

    /// Returns the content of a cell that is one code span.
    fn code(cell: &str) -> Option<&str> {
        cell.strip_prefix('`')?.strip_suffix('`').filter(|inside| !inside.contains('`'))
    }

    #[test]
    fn has_every_key_and_no_other() {
        let names = |keys: Keys| keys.into_keys().collect::<BTreeSet<String>>();
        let (file, page) = (names(keys_of_the_file()), names(keys_of_the_page()));
        let missing: Vec<_> = file.difference(&page).collect();
        let unknown: Vec<_> = page.difference(&file).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{PAGE} lacks {missing:?} and invents {unknown:?}");
        assert!(file.len() > 45, "only {} keys were found: does this test still read the file?", file.len());
    }

    #[test]
    fn shows_the_defaults_as_they_are() {
        let page = keys_of_the_page();
        for (key, default) in keys_of_the_file() {
            if default.is_some() {
                assert_eq!(page.get(&key).cloned().flatten(), default, "{key}");
            }
        }
    }
}

mod citations {
    //! Clauses and sections that code and documentation cite, as `bonychat.md A29`, `afilnet.md section 4` or
    //! `design.md section 5, step 2`.

    use super::*;

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
                (Some(document), Cited::Step(section, step)) => {
                    document.steps.contains(&(section.clone(), step.clone()))
                }
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
}

mod guarantees {
    //! The tables of guarantees in `tests/README.md`.

    use super::*;

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
}

mod targets {
    //! The test targets that `tests/README.md` names before the names of tests.

    use super::*;

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
}

mod architecture {
    //! The tables of files and functions in `docs/architecture.md`.

    use super::*;

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
}

mod metrics {
    //! The table of metrics in `docs/operations.md`.

    use super::*;

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
}

mod links {
    //! Relative links, with their anchors.

    use super::*;

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
}
