//! A row's words without what a platform may have done to them: entities, damaged character sets, markup, counters in
//! links, names of emoji. Pure.

use crate::domain::entities;

/// Readings of one row's words, at most: each undoes some of what a platform may have done.
const MOST_READINGS: usize = 12;

/// A row's words as they stand, and as they would be without what a platform may have done, one after the other; each with
/// whether something was left out.
pub(super) fn readings(text: &str) -> Vec<(String, bool)> {
    let mut found = vec![(text.to_owned(), false)];
    let mut at = 0;
    while let Some((text, lossy)) = found.get(at).cloned() {
        at += 1;
        let undone = [
            Some(entities::decoded(&text)),
            without_double_encoding(&text),
            without_tags(&text),
            without_queries(&text),
        ];
        let undone = undone.into_iter().flatten().map(|text| (text, lossy));
        let lossily = without_names(&text).into_iter().chain(without_raised_entities(&text)).map(|text| (text, true));
        for (text, lossy) in undone.chain(lossily) {
            if found.len() < MOST_READINGS && found.iter().all(|(known, _)| *known != text) {
                found.push((text, lossy));
            }
        }
    }
    found
}

/// What Windows-1252 has at 0x80 to 0x9F; where it has nothing, the control character of that number.
pub(super) const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}', '\u{2030}',
    '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}',
    '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}',
    '\u{17e}', '\u{178}',
];

/// `text` in small letters with its entities decoded, where it was raised with them (`&AMP;`).
fn without_raised_entities(text: &str) -> Option<String> {
    if !text.contains('&') {
        return None;
    }
    let small = text.to_lowercase();
    let decoded = entities::decoded(&small);
    (decoded != small).then_some(decoded)
}

/// The text of which `text` is the UTF-8 read as Latin-1 or Windows-1252; `None`: it is that of none.
fn without_double_encoding(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let byte = |c: char| match u8::try_from(u32::from(c)) {
        Ok(byte) => Some(byte),
        Err(_) => (0x80..).zip(WINDOWS_1252).find(|(_, there)| *there == c).map(|(byte, _)| byte),
    };
    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// `text` without what stands behind `?` in its links, where something does: platforms add signatures and counters there.
fn without_queries(text: &str) -> Option<String> {
    let bare = |word: &str| match link_at(word) {
        Some(at) => word[at..].find('?').map_or(word.len(), |query| at + query),
        None => word.len(),
    };
    let shorter: Vec<&str> = text.split(' ').map(|word| &word[..bare(word)]).collect();
    let shorter = shorter.join(" ");
    (shorter != text).then_some(shorter)
}

/// `text` without HTML tags, where it holds some; those that end a line are a blank.
fn without_tags(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut any) = (text, false);
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let inside = from[1..].trim_start_matches('/');
        let end = from.find('>').filter(|_| inside.starts_with(|c: char| c.is_ascii_alphabetic()));
        if let Some(end) = end {
            let name: String = inside.chars().take_while(char::is_ascii_alphanumeric).collect();
            if matches!(name.to_ascii_lowercase().as_str(), "br" | "p" | "div" | "li" | "tr" | "td") {
                out.push(' ');
            }
            any = true;
            rest = &from[end + 1..];
        } else {
            out.push('<');
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    any.then_some(out)
}

/// `text` without the names that stand for emoji (`:wave:`), where it holds some.
fn without_names(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_name = |part: &str| {
        part.len() >= 2
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-'))
            && part.bytes().any(|b| b.is_ascii_alphabetic())
    };
    let (mut out, mut at, mut any) = (parts[0].to_owned(), 1, false);
    while at < parts.len() {
        if at + 1 < parts.len() && is_name(parts[at]) {
            any = true;
            out.push_str(parts[at + 1]);
            at += 2;
        } else {
            out.push(':');
            out.push_str(parts[at]);
            at += 1;
        }
    }
    any.then_some(out)
}

/// Where a link begins in a word: one with its scheme, or as platforms shorten it.
pub(super) fn link_at(word: &str) -> Option<usize> {
    let word = word.to_ascii_lowercase();
    ["http://", "https://", "www."].iter().filter_map(|start| word.find(start)).min()
}
