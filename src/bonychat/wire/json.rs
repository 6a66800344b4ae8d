//! Bytes to JSON, leniently: a byte order mark, repeated keys (the last one counts) and unpaired surrogates are
//! accepted. JavaScript writes an unpaired surrogate where it cuts a text inside an emoji.

use std::borrow::Cow;

use serde_json::Value;

/// Most objects and lists inside one another. The documented form has four.
pub(super) const MOST_DEPTH: usize = 32;

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Where it stops being JSON; both count from 1.
    NotJson { line: usize, column: usize },
    /// It nests deeper than [`MOST_DEPTH`].
    TooDeep,
}

/// Parses the body as JSON.
pub(super) fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if is_too_deep(body) {
        return Err(Unreadable::TooDeep);
    }
    serde_json::from_slice(body).or_else(|error| {
        let place = Unreadable::NotJson { line: error.line(), column: error.column() };
        match without_half_pairs(body) {
            Cow::Owned(whole) => serde_json::from_slice(&whole).map_err(|_| place),
            Cow::Borrowed(_) => Err(place),
        }
    })
}

/// Returns true if objects and lists nest deeper than [`MOST_DEPTH`]. serde_json's own limit, 128, cannot be set.
fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_text) = (0_usize, false);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                bytes.next(); // an escaped quotation mark does not end the text
            }
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Returns `body` with the escape of U+FFFD in place of every unpaired escaped surrogate.
fn without_half_pairs(body: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Cow::Borrowed(body);
    let mut at = 0;
    while at < body.len() {
        if body[at] != b'\\' {
            at += 1;
            continue;
        }
        at += match (surrogate(body, at), surrogate(body, at + 6)) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                mended.to_mut()[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            (None, _) => 2, // any other escape: its second byte does not start one
        };
    }
    mended
}

enum Half {
    High,
    Low,
}

/// Returns which half of a surrogate pair the escape at `at` is, if any.
fn surrogate(body: &[u8], at: usize) -> Option<Half> {
    let escape = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let unit = u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()?;
    match unit {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_pair_becomes_one_replacement_character() {
        for (body, expected) in [
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00 b""#, "\u{fffd} b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\\ud83d\udC00""#, "\\ud83d\u{fffd}"),
            (r#""\ud83dx\u00e9""#, "\u{fffd}xé"),
        ] {
            assert_eq!(read(body.as_bytes()), Ok(Value::String(expected.into())), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_says_where() {
        assert_eq!(read(b"{\n  \"a\": }"), Err(Unreadable::NotJson { line: 2, column: 8 }));
        assert!(matches!(read(b""), Err(Unreadable::NotJson { line: 1, .. })));
        assert!(read(br#""\ud83d"#).is_err());
        assert!(read(br#""\u+d83""#).is_err());
        assert!(read(b"\"\xff\"").is_err());
    }

    #[test]
    fn objects_and_lists_nest_thirty_two_deep_and_no_deeper() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"]\":[", "]}]")] {
            let levels = open.matches(['[', '{']).count();
            let nested = |times: usize| format!("{}\"[{{\\\"[\"{}", open.repeat(times), close.repeat(times));
            let most = MOST_DEPTH / levels;
            assert!(read(nested(most).as_bytes()).is_ok(), "{open}");
            assert_eq!(read(nested(most + 1).as_bytes()), Err(Unreadable::TooDeep), "{open}");
        }
        let wide = format!("[{}[]]", "[[]],".repeat(1000));
        assert!(read(wide.as_bytes()).is_ok(), "many, side by side");
    }

    #[test]
    fn a_byte_order_mark_is_no_fault() {
        assert_eq!(read(b"\xEF\xBB\xBFtrue"), Ok(Value::Bool(true)));
    }
}
