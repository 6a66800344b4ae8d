//! The beginning of a platform's response, as far as it may be stored and shown: nothing of the call, no numbers of
//! persons. Pure.

use std::collections::HashSet;

use super::entities;

/// Most characters.
const LONGEST: usize = 300;
/// Characters of the response that are looked at.
const LOOKED_AT: usize = 4000;
/// Characters that are shown of a string of JSON.
const LONGEST_STRING: usize = 40;
/// From so many adjacent digits they may be of a phone number.
const PHONE_LIKE: usize = 5;
/// From so many digits in groups, as `+34 (600) 11-12-22`.
const PHONE_LIKE_IN_GROUPS: usize = 7;
/// Most characters between two groups of one number, as in `(34) - 600`.
const MOST_BETWEEN_GROUPS: usize = 4;
/// A text that shares so many characters with a value of the call repeats it.
const SHARED: usize = 5;

/// One line: tags and control characters left out, long strings of JSON cut, and `*` for what the call held and for
/// digits that may be of a phone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt(String);

impl Excerpt {
    /// Returns that of a response; `None` where it holds nothing visible. `withheld`: the values of the call. Of a value of
    /// fewer than five characters each word is recognised, where it is a word of its own.
    pub(crate) fn new<'v>(response: &str, withheld: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        let start: String = response.chars().take(LOOKED_AT).collect();
        let mut chars: Vec<char> =
            without_markup(entities::decoded(&unescaped(&cut_strings(&start))).chars()).chars().collect();
        chars.truncate(LONGEST + LOOKED_AT / 10); // what is cut off may complete what is to be hidden
        let mut hidden = vec![false; chars.len()];
        hide_values(&chars, withheld, &mut hidden);
        hide_digits(&chars, &mut hidden);
        let shown: String =
            chars.iter().zip(&hidden).take(LONGEST).map(|(c, hidden)| if *hidden { '*' } else { *c }).collect();
        let shown = shown.trim();
        (!shown.is_empty()).then(|| Self(shown.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the text with `*` for digits that may be of a phone number.
pub(super) fn without_numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut hidden = vec![false; chars.len()];
    hide_digits(&chars, &mut hidden);
    chars.iter().zip(&hidden).map(|(c, hidden)| if *hidden { '*' } else { *c }).collect()
}

/// Cuts strings of JSON that are longer than [`LONGEST_STRING`].
fn cut_strings(text: &str) -> String {
    let mut cut = String::with_capacity(text.len());
    let (mut length, mut inside, mut escaped) = (0, false, false);
    for c in text.chars() {
        if c == '"' && !escaped {
            (length, inside) = (0, !inside);
            cut.push(c);
            continue;
        }
        escaped = inside && c == '\\' && !escaped;
        if !inside || length < LONGEST_STRING {
            cut.push(c);
        } else if length == LONGEST_STRING {
            cut.push('…');
        }
        length += 1;
    }
    cut
}

/// Returns the text with JSON's escapes decoded, so that an escaped repetition of the call is recognised.
pub(super) fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = rest.strip_prefix("\\u").and_then(|after| u16::from_str_radix(after.get(..4)?, 16).ok());
        let (unit, length) = match (code, rest.as_bytes().get(1)) {
            (Some(code), _) => (Some(code), 6),
            (None, Some(b'n' | b'r' | b't')) if c == '\\' => (Some(u16::from(b' ')), 2),
            (None, Some(b'/' | b'"' | b'\\')) if c == '\\' => (rest[1..].encode_utf16().next(), 2),
            (None, _) => (None, c.len_utf8()),
        };
        match unit {
            Some(unit) => units.push(unit),
            None => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
        }
        rest = &rest[length..];
    }
    String::from_utf16_lossy(&units)
}

/// Returns the text without tags and control characters, with single white space.
pub(crate) fn without_markup(text: impl Iterator<Item = char>) -> String {
    let mut inside = false;
    let mut bare = String::new();
    for c in text {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                bare.push(' ');
            }
            _ if inside => {}
            c if c.is_control() => bare.push(' '),
            c => bare.push(c),
        }
    }
    spaced(&bare)
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One character in place of one.
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn hide_values<'v>(chars: &[char], withheld: impl IntoIterator<Item = &'v str>, hidden: &mut [bool]) {
    let lowered: Vec<char> = chars.iter().copied().map(lower).collect();
    let (mut windows, mut words): (HashSet<Vec<char>>, HashSet<Vec<char>>) = (HashSet::new(), HashSet::new());
    for value in withheld {
        let value: Vec<char> = spaced(value).chars().map(lower).collect();
        if value.len() < SHARED {
            words.extend(value.chunk_by(|a, b| sort(*a) == sort(*b)).map(<[char]>::to_vec));
        } else {
            windows.extend(value.windows(SHARED).map(<[char]>::to_vec));
        }
    }
    for (at, window) in lowered.windows(SHARED).enumerate() {
        if windows.contains(window) {
            hidden[at..at + SHARED].fill(true);
        }
    }
    let mut at = 0;
    for run in lowered.chunk_by(|a, b| sort(*a) == sort(*b)) {
        if sort(run[0]) != Sort::Punctuation && words.contains(run) {
            hidden[at..at + run.len()].fill(true);
        }
        at += run.len();
    }
}

/// What a character is to a word: a word holds characters of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Alphanumeric,
    /// Also white space.
    Punctuation,
    /// An emoji, for example.
    Symbol,
}

fn sort(c: char) -> Sort {
    match c {
        c if c.is_alphanumeric() => Sort::Alphanumeric,
        c if c.is_ascii() || c.is_whitespace() => Sort::Punctuation,
        _ => Sort::Symbol,
    }
}

/// Hides what may be of a phone number, with what stands between its groups of digits.
fn hide_digits(chars: &[char], hidden: &mut [bool]) {
    let mut at = 0;
    while at < chars.len() {
        let Number { length, digits, longest } = number(&chars[at..]);
        if longest >= PHONE_LIKE || digits >= PHONE_LIKE_IN_GROUPS {
            hidden[at..at + length].fill(true);
        }
        at += length.max(1);
    }
}

/// Groups of digits that may be one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Number {
    /// In characters, to the last digit.
    length: usize,
    digits: usize,
    /// Digits of the longest group.
    longest: usize,
}

/// Returns the number at the beginning of the text; of length 0 where there is no digit.
fn number(chars: &[char]) -> Number {
    let count = |from: usize, most: usize, of: fn(char) -> bool| {
        chars[from..].iter().take(most).take_while(|c| of(**c)).count()
    };
    let mut number = Number::default();
    let mut from = 0;
    loop {
        let group = count(from, usize::MAX, |c| c.is_ascii_digit());
        if group == 0 {
            return number;
        }
        let length = from + group;
        number = Number { length, digits: number.digits + group, longest: number.longest.max(group) };
        from = length + count(length, MOST_BETWEEN_GROUPS, is_between_groups);
    }
}

fn is_between_groups(c: char) -> bool {
    // With the hyphens and dashes of Unicode.
    c.is_whitespace() || matches!(c, '-' | '.' | '/' | '(' | ')' | '[' | ']' | '\u{2010}'..='\u{2015}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALL: [&str; 4] = ["CANARYpw9X!", "34600111222", "Mañana a las\n10 en el taller", "Sí"];

    fn excerpt(response: &str) -> String {
        Excerpt::new(response, CALL).map(|excerpt| excerpt.0).unwrap_or_default()
    }

    #[test]
    fn what_is_kept_of_a_response_holds_nothing_of_the_call_and_no_number() {
        for (response, kept) in [
            (r#"{"status":"ERROR","error":"NO_CREDITS"}"#, r#"{"status":"ERROR","error":"NO_CREDITS"}"#),
            ("<h1>502 Bad Gateway</h1>\r\n<hr>nginx", "502 Bad Gateway nginx"),
            ("to +34600111222 or 699123456, line 1234", "to +*********** or *********, line 1234"),
            (r#"{"echo":"Ma\u00f1ana a las 10 en el taller"}"#, r#"{"echo":"****************************"}"#),
            ("said: MAÑANA&#32;a las  10 en", "said: ******************"),
            ("password=canarypw9x! is wrong", "password=*********** is wrong"),
            ("sí or síntoma", "** or síntoma"),
            ("to +34 600 11 12 22 and 600-111-222", "to +*************** and ***********"),
            ("+34 (600) 111.222, 91/123/45/67, (34) - 600 11 12", "+****************, ************, (***************"),
            ("600<b>111</b>222 or 600\u{a0}111\u{2011}222", "*********** or ***********"),
            ("HTTP 502, 12.5 s, 10-12, 600 111", "HTTP 502, 12.5 s, 10-12, 600 111"),
            ("a\u{1b}[2J\u{7f}b\u{0}", "a [2J b"),
            (" \r\n <br/>", ""),
            ("", ""),
        ] {
            assert_eq!(excerpt(response), kept, "{response:?}");
        }
        let long = format!(r#"{{"trace":"{}","code":7}}"#, "word ".repeat(30));
        assert_eq!(excerpt(&long), format!(r#"{{"trace":"{}…","code":7}}"#, "word ".repeat(8)));
        assert_eq!(excerpt(&"ñ ".repeat(5000)).chars().count(), LONGEST - 1);
    }

    #[test]
    fn of_a_short_value_each_word_is_hidden() {
        for (value, response, kept) in [
            ("OK!", "said OK", "said **"),
            ("OK!", r#"{"text":"ok!","token":1}"#, r#"{"text":"**!","token":1}"#),
            ("a b", "b, a, ab", "*, *, ab"),
            ("👍", r#"{"text":"👍"}"#, r#"{"text":"*"}"#),
            ("👍 !", "👍, done!", "*, done!"),
            ("?!", "what?! no", "what?! no"),
        ] {
            let excerpt = Excerpt::new(response, [value]).map(|excerpt| excerpt.0).unwrap_or_default();
            assert_eq!(excerpt, kept, "{value:?} in {response:?}");
        }
    }

    proptest! {
        #[test]
        fn seven_digits_in_groups_are_hidden(groups in "[0-9]{1,4}([ ./()-]{1,4}[0-9]{1,4}){3,5}", before in "[a-z ]{0,40}") {
            prop_assume!(groups.chars().filter(char::is_ascii_digit).count() >= PHONE_LIKE_IN_GROUPS);
            let kept = Excerpt::new(&format!("{before}x {groups} x"), []).map(|kept| kept.0).unwrap_or_default();
            prop_assert!(!kept.contains(|c: char| c.is_ascii_digit()), "{kept:?}");
        }

        #[test]
        fn no_five_characters_of_the_words_are_kept(words in "[a-zñ ]{5,60}", before in ".{0,400}", after in ".{0,40}") {
            let kept = Excerpt::new(&format!("{before}{words}{after}"), [&*words]).map(|kept| kept.0).unwrap_or_default();
            let kept: Vec<char> = kept.chars().map(lower).collect();
            let words: Vec<char> = spaced(&words).chars().collect();
            for window in words.windows(SHARED) {
                prop_assert!(!kept.windows(SHARED).any(|at| at == window), "{window:?} in {kept:?}");
            }
        }
    }
}
