//! The fold under which equal words are equal: without case, accents, width and invisible characters. Pure.

use unicode_normalization::UnicodeNormalization as _;

/// Returns `text` without differences of case, accents (of the Latin, Greek and Cyrillic scripts), width, white space,
/// script of digits and invisible characters. Keycaps become their digits.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    let seen = text.replace('🔟', "10").replace(['‘', '’'], "'");
    let marks = |c: &char| !matches!(c, '\u{300}'..='\u{36f}');
    let cased = |c: char| c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase); // ẞ, ß: ss
    for c in seen.chars().filter(|c| !unseen(*c)).nfkd().filter(marks).map(digit).flat_map(cased) {
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// The zero of each set of decimal digits (Unicode 17, general category Nd) that is followed by its other nine, without
/// those that NFKD converts to ASCII.
const ZEROS: &[char] = &[
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{104a0}',
    '\u{10d30}',
    '\u{10d40}',
    '\u{11066}',
    '\u{110f0}',
    '\u{11136}',
    '\u{111d0}',
    '\u{112f0}',
    '\u{11450}',
    '\u{114d0}',
    '\u{11650}',
    '\u{116c0}',
    '\u{116d0}',
    '\u{116da}',
    '\u{11730}',
    '\u{118e0}',
    '\u{11950}',
    '\u{11bf0}',
    '\u{11c50}',
    '\u{11d50}',
    '\u{11da0}',
    '\u{11de0}',
    '\u{11f50}',
    '\u{16130}',
    '\u{16a60}',
    '\u{16ac0}',
    '\u{16b50}',
    '\u{16d70}',
    '\u{1e140}',
    '\u{1e2f0}',
    '\u{1e4f0}',
    '\u{1e5f1}',
    '\u{1e950}',
];

/// Returns the ASCII digit for a decimal digit of any script.
fn digit(c: char) -> char {
    let set = ZEROS.partition_point(|zero| *zero <= c).checked_sub(1).and_then(|at| ZEROS.get(at));
    let value = set.and_then(|zero| char::from_digit(u32::from(c) - u32::from(*zero), 10));
    value.unwrap_or(c)
}

/// Returns whether a character has no shape of its own: variation selectors, the keycap's frame, and marks of direction
/// and of line breaks.
fn unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}'
            | '\u{20e3}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_digit_of_any_script_is_its_value() {
        assert!(ZEROS.is_sorted());
        for zero in ZEROS {
            for value in 0..10 {
                let c = char::from_u32(u32::from(*zero) + value).unwrap();
                assert!(c.is_numeric(), "{c:?}");
                assert_eq!(digit(c), char::from_digit(value, 10).unwrap(), "{c:?}");
            }
        }
        for c in ['0', '9', 'a', 'ñ', '一', '½', '\u{10}', '\u{65f}', '\u{66a}', '\u{10ffff}'] {
            assert_eq!(digit(c), c, "{c:?}");
        }
    }
}
