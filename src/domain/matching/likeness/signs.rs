//! What stands in a row for a sign that a platform cannot show, or that it leaves out. Pure.

/// Returns whether a line is nothing but what stands for signs, a name before it apart (`*Ana:* ?`).
pub(super) fn is_line_of_stand_ins(line: &str) -> bool {
    let said = line.rsplit_once(':').map_or(line, |(_, said)| said);
    let mut words = said.trim_start_matches(|c: char| c.is_whitespace() || "*_~".contains(c)).split_whitespace();
    let is_one = |word: &str| word.chars().any(is_stand_in) && is_mark(word);
    words.next().is_some_and(is_one) && words.all(is_one)
}

/// Returns whether a word is a mark: it stands for a sign, or parts what a platform adds from the words. Where other signs
/// are shown, this one would be.
pub(super) fn is_mark(word: &str) -> bool {
    let is_dash = |c: char| matches!(c, '\u{2013}' | '\u{2014}' | '\u{2022}' | '\u{b7}');
    !word.is_empty() && word.chars().all(|c| is_stand_in(c) || c.is_ascii_punctuation() || is_dash(c))
}

/// A question mark, the replacement character, or the box of a font that does not have the sign.
fn is_stand_in(c: char) -> bool {
    matches!(c, '?' | '\u{fffd}' | '\u{25a1}' | '\u{25af}' | '\u{25fb}' | '\u{2b1c}')
}
