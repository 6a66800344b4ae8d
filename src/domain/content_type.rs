//! What of a `Content-Type` is given away: type and character set, which say how a body is read. Pure.

/// Longest type and character set.
const LONGEST: usize = 60;
/// From so many digits in a row they may identify a person.
const TELLING_DIGITS: usize = 5;

/// Returns `type/subtype; charset=…` without other parameters; `None` for what has not that form.
pub(crate) fn without_persons(header: &str) -> Option<String> {
    let mut parts = header.split(';');
    let kind = word(parts.next()?)?;
    let (of, within) = kind.split_once('/')?;
    if of.is_empty() || within.is_empty() || within.contains('/') {
        return None;
    }
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| word(value.trim().trim_matches('"')))?
    });
    Some(charset.map_or(kind.clone(), |charset| format!("{kind}; charset={charset}")))
}

fn word(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    let legal = |c: char| c.is_ascii_alphanumeric() || "/.+-_".contains(c);
    let digits = word.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    (word.len() <= LONGEST && word.chars().all(legal) && digits < TELLING_DIGITS).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_character_set_are_kept_and_nothing_else() {
        for (header, expected) in [
            ("application/json", Some("application/json")),
            ("Application/JSON; charset=UTF-8", Some("application/json; charset=utf-8")),
            ("text/html;x=ana; Charset=\"iso-8859-1\"", Some("text/html; charset=iso-8859-1")),
            ("text/html; charset=windows-1252; boundary=34600111222", Some("text/html; charset=windows-1252")),
            ("text/html; charset=34600111222", Some("text/html")),
            ("text/34600111222", None),
            ("json", None),
            ("a/b/c", None),
            ("", None),
        ] {
            assert_eq!(without_persons(header).as_deref(), expected, "{header}");
        }
    }
}
