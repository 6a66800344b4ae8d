//! Foreign text to strict JSON, as tolerant as afilnet.md section 2.1 requires: a BOM, white space, odd characters, and
//! numbers kept exactly as they were written. Pure.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

/// Returns whether `c` may surround the JSON of a response: white space, a BOM, and the NUL of C programs.
pub(super) fn is_around(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}' || c == '\0'
}

/// Returns `text` without such characters around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_around)
}

/// Parses a part of a response after [`tidy`].
pub(super) fn parsed<T: DeserializeOwned>(part: &RawValue) -> Option<T> {
    serde_json::from_str(&tidy(part.get())).ok()
}

/// Returns `json` as strict JSON text, with every number as a string of the same digits, so that an id of twenty digits
/// is not rounded. Invalid JSON stays invalid.
pub(super) fn tidy(json: &str) -> String {
    // Valid UTF-8: only whole characters were copied, and ASCII was added.
    String::from_utf8(tidied(json.as_bytes())).unwrap_or_default()
}

/// `json` with its numbers quoted and, inside strings, raw control characters escaped and half surrogate pairs replaced:
/// one such character in one row would otherwise hide every other row of the answer.
fn tidied(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 8);
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                out.push(b'"');
                at += 1 + string(&json[at + 1..], &mut out);
            }
            b'-' | b'0'..=b'9' => {
                let run = &json[at..];
                let run = &run[..run.iter().position(|b| !b"+-.eE0123456789".contains(b)).unwrap_or(run.len())];
                // What is not a number is left as it is, for the parser to refuse.
                let quote: &[u8] = if serde_json::from_slice::<IgnoredAny>(run).is_ok() { b"\"" } else { b"" };
                out.extend_from_slice(quote);
                out.extend_from_slice(run);
                out.extend_from_slice(quote);
                at += run.len();
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Copies one string from after its opening quote to its closing quote (or the end). Returns its length.
fn string(json: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                out.push(byte);
                return at + 1;
            }
            b'\\' => at += escape(&json[at..], out),
            0..0x20 => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                at += 1;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    at
}

/// Copies one escape sequence. Returns its length.
fn escape(json: &[u8], out: &mut Vec<u8>) -> usize {
    let length = match (unit(json), json.get(6..).and_then(unit)) {
        (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
        (Some(0xD800..0xE000), _) => {
            out.extend_from_slice(b"\\ufffd");
            return 6;
        }
        (Some(_), _) => 6,
        (None, _) => json.len().min(2),
    };
    out.extend_from_slice(&json[..length]);
    length
}

/// Returns the UTF-16 unit of a `\uXXXX` at the start of `json`.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &[u8]) -> Option<Value> {
        serde_json::from_str(&tidy(trimmed(&String::from_utf8_lossy(body)))).ok()
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in ["0", "-1", "98765432109876543210987654321", "1.50", "-0.1e+7", "1E999"] {
            assert_eq!(read(number.as_bytes()), Some(json!(number)), "{number}");
            assert_eq!(read(format!(r#"{{"a":[{number} ,"{number}"]}}"#).as_bytes()), {
                Some(json!({"a": [number, number]}))
            });
        }
        for not in ["-", "01", "1.", ".5", "+1", "1e", "--1", "1-1", "0x10", "NaN", "1 2"] {
            assert_eq!(read(not.as_bytes()), None, "{not}");
        }
    }

    #[test]
    fn what_surrounds_the_json_is_stripped() {
        for around in ["", "\u{feff}", "\r\n", "\u{feff}\u{feff} \t", "\0"] {
            assert_eq!(read(format!("{around}[]{around}").as_bytes()), Some(json!([])), "{around:?}");
        }
        assert_eq!(read(b""), None);
        assert_eq!(read(b"\xef\xbb\xbf"), None);
        assert_eq!(read(b"<html></html>"), None);
    }

    #[test]
    fn a_bad_character_harms_only_itself() {
        assert_eq!(read(b"[\"a\xf1o\"]"), Some(json!(["a\u{fffd}o"])));
        assert_eq!(read(b"[\"a\nb\x01\"]"), Some(json!(["a\nb\u{1}"])));
        assert_eq!(read(br#"["\ud83dx\ude00"]"#), Some(json!(["\u{fffd}x\u{fffd}"])));
        assert_eq!(read(br#"["\ud83d\ude00\u00f1\n\"1\""]"#), Some(json!(["\u{1f600}ñ\n\"1\""])));
        for not in [r#"["\ud8"]"#, r#"["\x"]"#, r#"["\"#, r#"["\ud83d"#, r#"""#] {
            assert_eq!(read(not.as_bytes()), None, "{not}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(read(&b"[".repeat(4 << 20)).is_none());
        assert!(read(format!("{}{}", "[".repeat(1000), "]".repeat(1000)).as_bytes()).is_none());
        assert!(read(format!("{}{}", "[".repeat(100), "]".repeat(100)).as_bytes()).is_some());
    }

    proptest! {
        #[test]
        fn what_was_written_is_what_is_read(text in any::<String>(), n in any::<i128>(), on in any::<bool>()) {
            let body = format!("{{\"t\":{},\"n\":{n},\"on\":{on}}}", json!(text));
            prop_assert_eq!(read(body.as_bytes()), Some(json!({"t": text, "n": n.to_string(), "on": on})));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_json_like_text_is_too_odd(text in r#"[\[\]{}",:\\u0-9a-fD. -]{0,80}"#) {
            let _ = read(text.as_bytes());
        }
    }
}
