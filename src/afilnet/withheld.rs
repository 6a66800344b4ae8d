//! Which parts of Afilnet's responses may be shown to agents, logged and stored: its codes, and nothing that the call
//! itself held. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use crate::domain::excerpt::{Excerpt, without_markup};

/// Replaces every code that may not be shown.
pub(super) const UNKNOWN_ERROR: &str = "UNKNOWN_ERROR";
/// Longest code, in characters.
const LONGEST_CODE: usize = 60;
/// From this number of digits in a row they may be a phone number.
const PHONE_LIKE: usize = 7;
/// Characters of a foreign text that are shown.
const SHOWN: usize = 120;
/// Characters that are looked at: enough for what is shown, even if much of it is removed.
const LOOKED_AT: usize = SHOWN * 8;
/// A text that shares this number of characters with a value of the call repeats it. A shorter value counts as a whole.
const SHARED: usize = 5;

/// The values of one call that must not be repeated: the account's user and password, the contact, the text, the link.
#[derive(Debug, Default)]
pub(super) struct Withheld(Vec<String>);

impl Withheld {
    /// For a call with these values, in every form in which a response may quote them.
    pub(super) fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> Self {
        let forms = |value: &'v str| {
            let encoded = form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
            let json = Value::String(value.to_owned()).to_string().trim_matches('"').to_owned();
            [value.to_owned(), encoded, json]
        };
        let mut all: Vec<String> = values.into_iter().filter(|value| !value.is_empty()).flat_map(forms).collect();
        all.sort();
        all.dedup();
        Self(all)
    }

    /// Returns `word` if it is code-like and repeats nothing of the call, else [`UNKNOWN_ERROR`]. Code-like: 1 to 60
    /// out of `A-Z`, `0-9` and `_`, as every code of afilnet.md section 4 is, and no digits that may be a phone number.
    pub(super) fn code(&self, word: &str) -> String {
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let code_like = (1..=LONGEST_CODE).contains(&word.len()) && word.chars().all(legal) && !phone_like(word);
        if code_like && !self.is_repeated_by(word) { word.to_owned() } else { UNKNOWN_ERROR.to_owned() }
    }

    fn is_repeated_by(&self, word: &str) -> bool {
        let word = word.to_ascii_lowercase();
        self.0.iter().map(|value| value.to_ascii_lowercase()).any(|value| {
            value == word
                || (value.len() >= SHARED && word.contains(&value))
                || (word.len() >= SHARED && value.contains(&word))
        })
    }

    /// Returns whether one of the values may hold an envelope, so that a response which quotes it could be misread.
    pub(super) fn may_hold_an_envelope(&self) -> bool {
        self.0.iter().any(|value| value.contains('{'))
    }

    /// Returns what is kept of a response for the journey of its message.
    pub(super) fn excerpt(&self, response: &[u8]) -> Option<Excerpt> {
        Excerpt::new(&String::from_utf8_lossy(response), self.0.iter().map(String::as_str))
    }

    /// Returns the beginning of a foreign text, safe for the log: one line without tags, `*` for digits that may be a
    /// phone number and for what it shares with the call.
    pub(super) fn shown(&self, text: &str) -> String {
        let mut chars: Vec<char> = without_markup(text.chars().take(LOOKED_AT)).chars().take(SHOWN).collect();
        let mut hidden = vec![false; chars.len()];
        for value in &self.0 {
            let window = value.chars().count().min(SHARED);
            for at in 0..(chars.len() + 1).saturating_sub(window) {
                let part: String = chars[at..at + window].iter().collect();
                if value.contains(&part) {
                    hidden[at..at + window].fill(true);
                }
            }
        }
        let mut at = 0;
        for run in chars.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
            if run.len() >= PHONE_LIKE && run[0].is_ascii_digit() {
                hidden[at..at + run.len()].fill(true);
            }
            at += run.len();
        }
        chars.iter_mut().zip(hidden).filter(|(_, hidden)| *hidden).for_each(|(c, _)| *c = '*');
        chars.into_iter().collect()
    }
}

/// Returns the header of Basic authentication for these credentials, without its padding.
pub(super) fn basic_credentials(user: &str, password: &str) -> String {
    STANDARD_NO_PAD.encode(format!("{user}:{password}"))
}

fn phone_like(word: &str) -> bool {
    word.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= PHONE_LIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_call() -> Withheld {
        Withheld::new(["ana@example.com", "CANARYpw9X!", "34600111222", "Mi clave es GATO2024", "T"])
    }

    #[test]
    fn only_words_of_a_machine_are_codes() {
        let longest = "A".repeat(60);
        for code in ["NO_SUCH_THING", "X1", "1042", "T2", &longest] {
            assert_eq!(of_call().code(code), code);
        }
        let beyond = "A".repeat(61);
        for word in [
            "",
            " ",
            "no_such_thing",
            "Not found",
            "[\"X\"]",
            "{\"code\":\"X1\"}",
            "ÑO",
            "A-B",
            "A\u{0}B",
            "\u{1b}[31mX",
            &beyond,
            "34600111222",
            "CONTACT_34600111222",
            "1234567",
        ] {
            assert_eq!(of_call().code(word), UNKNOWN_ERROR, "{word:?}");
        }
    }

    #[test]
    fn a_code_repeats_nothing_of_the_call() {
        let withheld = Withheld::new(["USER_7", "CANARY9", "34600111", "Mi clave es GATO2024", "T"]);
        for word in ["USER_7", "CANARY9", "canary9", "XCANARY9X", "GATO2024", "GATO20", "T"] {
            assert_eq!(withheld.code(word), UNKNOWN_ERROR, "{word}");
        }
        assert_eq!(withheld.code("TOO_MANY"), "TOO_MANY");
    }

    #[test]
    fn what_is_shown_holds_nothing_of_the_call() {
        for (text, shown) in [
            (
                "<br />\n<b>Notice</b>: Undefined index: status in /a.php on line 3",
                "Notice : Undefined index: status in /a.php on line 3",
            ),
            ("bad password CANARYpw9X! of ana@example.com", "bad password *********** of ***************"),
            ("user=ana%40example.com&password=CANARYpw9X%21&x", "user=*****************&password=*************&x"),
            ("to 34600111222, not 346001 or 34699999999", "to ***********, not ****** or ***********"),
            ("said: clave es GATO", "said:**************"),
            ("a\u{1b}[2J\u{7f}b\u{0}\r\nc", "a [2J b c"),
        ] {
            assert_eq!(of_call().shown(text), shown, "{text:?}");
        }
        assert_eq!(of_call().shown(&"ñ ".repeat(500)).chars().count(), SHOWN);
        assert_eq!(of_call().shown(""), "");
    }

    #[test]
    fn words_that_may_be_an_envelope_are_noticed() {
        assert!(Withheld::new([r#"x {"\u0073tatus" : "ERROR"}"#]).may_hold_an_envelope());
        assert!(!of_call().may_hold_an_envelope());
    }
}
