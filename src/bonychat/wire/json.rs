//! From bytes to JSON, as tolerantly as JSON allows: a byte order mark, repeated keys (the last one counts) and halves
//! of surrogate pairs are taken. JavaScript writes such a half where it cuts a text inside an emoji.

use std::borrow::Cow;

use serde_json::Value;

/// Where a body stops being JSON; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotJson {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The body as JSON.
pub(super) fn read(body: &[u8]) -> Result<Value, NotJson> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    serde_json::from_slice(body).or_else(|error| {
        let place = NotJson { line: error.line(), column: error.column() };
        match without_half_pairs(body) {
            Cow::Owned(whole) => serde_json::from_slice(&whole).map_err(|_| place),
            Cow::Borrowed(_) => Err(place),
        }
    })
}

/// `body` with the escape of U+FFFD in the place of every escaped surrogate that has no partner.
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
            (None, _) => 2, // any other escape: its second byte is not looked at as the start of one
        };
    }
    mended
}

enum Half {
    High,
    Low,
}

/// Which half of a pair the escape at `at` stands for, if any.
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
        assert_eq!(read(b"{\n  \"a\": }"), Err(NotJson { line: 2, column: 8 }));
        assert_eq!(read(b"").map_err(|e| e.line), Err(1));
        assert!(read(br#""\ud83d"#).is_err());
        assert!(read(br#""\u+d83""#).is_err());
        assert!(read(b"\"\xff\"").is_err());
    }

    #[test]
    fn a_byte_order_mark_is_no_fault() {
        assert_eq!(read(b"\xEF\xBB\xBFtrue"), Ok(Value::Bool(true)));
    }
}
