//! The tables of keys in `docs/configuration.md` and `config/default.toml`.

use std::collections::{BTreeMap, BTreeSet};

use super::text;

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
