//! How much a row's words are like those of a send, whatever a platform made of them: damaged character sets, entities,
//! markup, replaced links and emoji, signatures, cuts. Pure.

mod damage;
mod readings;
mod signs;

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use self::damage::{holds_damaged, is_damage};
use self::readings::{link_at, readings};
use self::signs::{is_line_of_stand_ins, is_mark};
use super::sent_form::SentForm;
use crate::domain::entities;
use crate::domain::placeholder::{Piece, pieces};

/// Letters that two texts must share at their ends, or one hold of the other, before that means something.
const LEAST_SHARED: usize = 8;

/// Letters of a text that are searched for runs which it shares with another, at most.
const LONGEST_COMPARED: usize = 240;

/// Shares of pairs of letters from which two texts are like each other for certain, and perhaps.
const STRONG_SHARE: f64 = 0.8;
const WEAK_SHARE: f64 = 0.6;

/// Letters of a row that may stand for a file or for a send without letters ("Foto", "imagen", ":wave:"), at most.
const PLACEHOLDER: usize = 24;

/// A file name shorter than this proves nothing.
const LEAST_FILE_NAME: usize = 4;

/// How much a row is like a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// It cannot be that send in any form that is known.
    Unlike,
    /// It can be excluded by nothing that it says.
    Weak,
    /// It says the same in other words: no proof, neither of the send nor of a foreign row.
    Strong,
    /// The same, by the same letters.
    Same,
    /// It says exactly the same, once what a platform did is undone.
    Equal,
}

/// What in a text a platform may rewrite. A set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Features(i64);

impl Features {
    pub(crate) const WORDS: Self = Self(1);
    pub(crate) const FILE: Self = Self(2);
    pub(crate) const LINK: Self = Self(4);
    pub(crate) const ACCENT: Self = Self(8);
    pub(crate) const SIGN: Self = Self(16);
    pub(crate) const BREAK: Self = Self(32);
    pub(crate) const MARKUP: Self = Self(64);
    pub(crate) const NUMBER: Self = Self(128);
    pub(crate) const LONG: Self = Self(256);

    /// Characters of a text that a platform takes as one SMS or one line.
    const SHORT: usize = 160;
    /// Digits in a row that make a number which platforms spell in their own way.
    const DIGITS: usize = 5;

    pub(crate) fn bits(self) -> i64 {
        self.0
    }

    pub(crate) fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those that a platform rewrites where it rewrites a send with these: the special ones, or the words themselves.
    pub(crate) fn rewritable(self) -> Self {
        let special = self.without(Self::WORDS);
        if special == Self::default() { self } else { special }
    }

    fn of(text: &str) -> Self {
        let mut found = Self::WORDS;
        let mut digits = 0;
        for c in text.chars() {
            digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
            found = found.with(match c {
                '\n' | '\r' => Self::BREAK,
                '<' | '>' | '&' | '"' | '\'' | '*' | '_' | '~' | '`' | '\\' => Self::MARKUP,
                c if c.is_ascii() => Self::default(),
                c if c.is_alphanumeric() || c < '\u{2000}' => Self::ACCENT,
                _ => Self::SIGN,
            });
            if digits >= Self::DIGITS {
                found = found.with(Self::NUMBER);
            }
        }
        if has_link(text) {
            found = found.with(Self::LINK);
        }
        if text.chars().count() > Self::SHORT { found.with(Self::LONG) } else { found }
    }
}

/// What a row that shows a send may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendForms {
    /// The words, or a file's link or caption.
    forms: Vec<Form>,
    /// What its row may hold among other things: a file's link, its name. Normal forms.
    holds: Vec<String>,
    is_file: bool,
    /// The kind of the file, as far as its link tells.
    ending: Option<String>,
    features: Features,
    /// Of words whose placeholders were filled in.
    filled: Option<FilledForms>,
}

/// What is known of words whose placeholders were filled in: the words are not stored (anna.md section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
struct FilledForms {
    /// Digests of the words of each attempt.
    digests: Vec<SentForm>,
    /// The text around the placeholders. It counts as text with a link, so that links in rows are not compared with it.
    around: Form,
}

impl FilledForms {
    fn new(template: &str, digests: Vec<SentForm>) -> Self {
        let texts = pieces(template).unwrap_or_default().into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Placeholder(_) => None,
        });
        Self { digests, around: Form { linked: true, ..Form::new(&texts.collect::<String>()) } }
    }

    /// How much a row is like the text around the placeholders, in which something stood: a short part of it is not.
    fn likeness(&self, reading: &Form) -> Likeness {
        let around = &self.around;
        if around.letters.is_empty() {
            return if reading.linked { Likeness::Weak } else { Likeness::Unlike };
        }
        let is_part = count(&reading.letters) * 2 < count(&around.letters);
        if is_part { Likeness::Unlike } else { compare(around, reading, false) }
    }

    fn says(&self, reading: &Form) -> bool {
        !reading.lossy && self.digests.iter().any(|digest| digest.is(&reading.normal))
    }
}

/// Returns the digest of the words that call number `part` is about to send. `key` is random.
pub(crate) fn sent_form(part: u32, key: [u8; 16], words: &str) -> SentForm {
    SentForm::new(part, key, &normal(words))
}

/// One text in the forms that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    normal: String,
    /// Letters and digits without accents, folded.
    letters: String,
    /// Those of ASCII as they stand: what damage to a character set leaves.
    ascii: String,
    /// The letters without the links.
    unlinked: String,
    linked: bool,
    links: Vec<String>,
    /// Something was left out of what stood there.
    lossy: bool,
}

impl Form {
    fn new(text: &str) -> Self {
        let normal = normal(text);
        let linked = has_link(&normal);
        let letters = letters(&normal);
        let unlinked = if linked { self::letters(&without_links(&normal)) } else { letters.clone() };
        let links = normal.split(' ').filter_map(|word| Some(word[link_at(word)?..].to_owned())).collect();
        let ascii = normal.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        Self { normal, letters, ascii, unlinked, linked, links, lossy: false }
    }
}

/// A row's words in every reading that undoes what a platform may have done.
#[derive(Debug, Clone)]
pub(crate) struct RowWords {
    readings: Vec<Form>,
    /// It is one link and nothing else.
    one_link: bool,
    /// The kind of the file to which the one link leads.
    ending: Option<String>,
    /// A line of it is what stands for signs and nothing else.
    line_of_stand_ins: bool,
}

impl RowWords {
    pub(crate) fn new(text: &str) -> Self {
        let texts = readings(text);
        let link = texts.iter().find(|(text, _)| is_one_link(text));
        Self {
            one_link: link.is_some(),
            ending: link.and_then(|(text, _)| ending(text)),
            line_of_stand_ins: texts.iter().any(|(text, _)| text.lines().any(is_line_of_stand_ins)),
            readings: texts.iter().map(|(text, lossy)| Form { lossy: *lossy, ..Form::new(text) }).collect(),
        }
    }

    /// Returns whether it shows nothing at all, or only what damage leaves.
    pub(crate) fn is_blank(&self) -> bool {
        self.readings[0].normal.chars().all(|c| c.is_whitespace() || matches!(c, '?' | '\u{fffd}' | '.'))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.readings[0].normal.is_empty()
    }

    pub(crate) fn is_one_link(&self) -> bool {
        self.one_link
    }

    /// Returns whether it has a sign between these two, or nothing.
    pub(crate) fn is_sign_within(&self, before: &str, after: &str) -> bool {
        self.readings.iter().any(|reading| {
            let inside = reading.normal.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            inside.is_some_and(|inside| !inside.contains(char::is_alphanumeric))
        })
    }

    /// Returns whether both say exactly the same, once what a platform did is undone.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        let whole = |reading: &&Form| !reading.lossy && !reading.normal.is_empty();
        self.readings
            .iter()
            .filter(whole)
            .any(|one| other.readings.iter().filter(whole).any(|two| one.normal == two.normal))
    }
}

impl SendForms {
    /// Of a call that said `words`, or sent the file at this link with these words as its caption.
    pub(crate) fn new(words: Option<&str>, file_url: Option<&str>) -> Self {
        let texts: Vec<&str> = words.into_iter().chain(file_url).collect();
        let name = file_url.and_then(file_name);
        let said = words.map(Features::of).unwrap_or_default();
        let features = if file_url.is_some() { said.without(Features::WORDS).with(Features::FILE) } else { said };
        Self {
            forms: texts.iter().map(|text| Form::new(text)).collect(),
            holds: file_url.into_iter().chain(name).map(normal).collect(),
            is_file: file_url.is_some(),
            ending: file_url.and_then(ending),
            features,
            filled: None,
        }
    }

    /// Of a call that said `template` with its placeholders filled in, or sent the file at this link with that as its
    /// caption. Each digest is that of the words of one attempt.
    pub(crate) fn filled(template: &str, digests: Vec<SentForm>, file_url: Option<&str>) -> Self {
        let filled = FilledForms::new(template, digests);
        let of_file = Self::new(None, file_url);
        let features = if file_url.is_some() {
            of_file.features
        } else {
            Features::of(&filled.around.normal).with(Features::LINK)
        };
        Self { features, filled: Some(filled), ..of_file }
    }

    pub(crate) fn is_file(&self) -> bool {
        self.is_file
    }

    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// Returns whether a row says exactly what was sent.
    pub(crate) fn says(&self, row: &RowWords) -> bool {
        let equal = |reading: &Form| {
            !reading.lossy && !reading.normal.is_empty() && self.forms.iter().any(|f| f.normal == reading.normal)
        };
        row.readings.iter().any(equal)
            || self.filled.as_ref().is_some_and(|filled| row.readings.iter().any(|reading| filled.says(reading)))
    }

    /// The same of the words as they stand, entities and spacing apart.
    pub(crate) fn says_as_it_stands(&self, row: &RowWords) -> bool {
        self.forms.iter().any(|form| form.normal == row.readings[0].normal)
            || self.filled.as_ref().is_some_and(|filled| filled.says(&row.readings[0]))
    }

    /// Returns whether a row says all of it and perhaps more.
    pub(crate) fn is_within(&self, row: &RowWords) -> bool {
        self.forms.iter().any(|form| row.readings.iter().any(|reading| is_word_of(form, reading)))
    }

    /// Returns whether a row has less than half of its letters.
    pub(crate) fn is_much_longer_than(&self, row: &RowWords) -> bool {
        let said = self.forms.iter().map(|form| count(&form.letters)).min().unwrap_or_default();
        let shown = row.readings.iter().map(|reading| count(&reading.letters)).max().unwrap_or_default();
        shown * 2 < said
    }

    /// Returns whether it is a text without letters.
    pub(crate) fn is_silent(&self) -> bool {
        !self.is_file && !self.forms.is_empty() && self.forms.iter().all(|form| form.letters.is_empty())
    }

    /// Returns what a row says before and after each of these sends, where that is something; only of words that no other
    /// writes by chance.
    pub(crate) fn wrappings_in(row: &str, sends: &[&Self]) -> Vec<(String, String)> {
        let row = Form::new(row);
        sends.iter().filter_map(|send| send.wrapping_in(&row)).collect()
    }

    fn wrapping_in(&self, row: &Form) -> Option<(String, String)> {
        self.forms.iter().filter(|form| count(&form.letters) >= LEAST_SHARED && is_word_of(form, row)).find_map(
            |form| {
                let (before, after) = row.normal.split_once(form.normal.as_str())?;
                let around = (before.trim().to_owned(), after.trim().to_owned());
                (around.0.len() + around.1.len() > 0).then_some(around)
            },
        )
    }

    pub(crate) fn is_one_link(&self) -> bool {
        self.forms.iter().any(|form| is_one_link(&form.normal))
    }

    /// Returns whether a row holds the file's link or its name.
    pub(crate) fn is_held_by(&self, row: &RowWords) -> bool {
        row.readings.iter().any(|reading| self.holds.iter().any(|held| reading.normal.contains(held.as_str())))
    }

    /// How much a row is like this send. `keeps_links`: the account shows links as they were sent, so that rows with other
    /// links say something else.
    pub(crate) fn likeness(&self, row: &RowWords, keeps_links: bool) -> Likeness {
        if self.says(row) || self.is_held_by(row) {
            return Likeness::Equal;
        }
        let of_words =
            self.forms.iter().flat_map(|form| row.readings.iter().map(|reading| compare(form, reading, keeps_links)));
        let filled = self.filled.iter();
        let of_filled = filled.flat_map(|filled| row.readings.iter().map(|reading| filled.likeness(reading)));
        // The text around a link is never a proof: what stood in between is not known.
        let of_filled = of_filled.max().unwrap_or(Likeness::Unlike).min(Likeness::Strong);
        of_words.max().unwrap_or(Likeness::Unlike).max(of_filled).max(self.without_words(row, keeps_links))
    }

    /// The same where words prove nothing: for files, damage and signs.
    fn without_words(&self, row: &RowWords, keeps_links: bool) -> Likeness {
        let letters = row.readings.iter().map(|reading| count(&reading.letters)).min().unwrap_or_default();
        if self.is_file {
            return match letters {
                _ if row.one_link && keeps_links => Likeness::Unlike,
                _ if row.one_link && self.ending.is_some() && self.ending != row.ending => Likeness::Weak,
                _ if row.one_link => Likeness::Strong,
                0 => Likeness::Strong, // a sign alone may stand for a file
                1..=PLACEHOLDER if row.readings[0].normal.split(' ').count() <= 3 => Likeness::Weak,
                _ => Likeness::Unlike,
            };
        }
        if row.is_blank() {
            return Likeness::Weak;
        }
        let silent = self.is_silent();
        // Signs come as their names, or as the letters and controls that damage makes of them; a signature may follow.
        let damaged = row.readings.iter().any(|reading| reading.normal.chars().any(is_damage));
        let begins_with_signs = row.readings.iter().any(|reading| {
            let first = reading.normal.split(' ').next().unwrap_or_default();
            !first.is_empty() && !first.chars().any(char::is_alphanumeric)
        });
        // With a name before it and a signature behind little is left of a sign, or nothing.
        let holds_marks = row.readings.iter().any(|reading| reading.lossy || reading.normal.split(' ').any(is_mark));
        let is_wrapped = row.line_of_stand_ins || (letters <= PLACEHOLDER && holds_marks);
        let may_be_signs = silent && (letters <= PLACEHOLDER / 2 || damaged || begins_with_signs || is_wrapped);
        // Nobody types what damage leaves.
        let is_mostly_damage = |reading: &Form| {
            let is_pair =
                |c: char| is_damage(c) || ('\u{c2}'..='\u{c3}').contains(&c) || c == '\u{e2}' || c == '\u{f0}';
            let left = reading.normal.chars().filter(|c| is_pair(*c)).count();
            left * 2 >= count(&reading.normal)
        };
        let may_be_damage = damaged
            && self.features.meets(Features::ACCENT.with(Features::SIGN))
            && row.readings.iter().any(is_mostly_damage);
        if may_be_signs || may_be_damage { Likeness::Weak } else { Likeness::Unlike }
    }
}

/// Words as they compare, whatever a platform did to their form: NFC, entities decoded, white space trimmed and each
/// run of it one space (so that CRLF is LF), nothing that is not to be seen.
pub(crate) fn normal(text: &str) -> String {
    let composed: String = entities::decoded(text).nfc().filter(|c| !is_invisible(*c)).collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Zero width, byte order mark, variation selector.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe0e}' | '\u{fe0f}')
}

/// Letters and digits alone, without accents, folded.
pub(crate) fn letters(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !is_combining_mark(*c) && c.is_alphanumeric());
    plain.flat_map(char::to_lowercase).collect()
}

/// `text` without its links.
pub(crate) fn without_links(text: &str) -> String {
    let words = text.split_whitespace().map(|word| link_at(word).map_or(word, |at| &word[..at]));
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn is_one_link(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.next().is_some_and(|word| link_at(word) == Some(0)) && words.next().is_none()
}

fn has_link(text: &str) -> bool {
    text.split_whitespace().any(|word| link_at(word).is_some())
}

/// The kind of the file to which a link leads, by the ending of its path.
fn ending(url: &str) -> Option<String> {
    let path = url.trim().split(['?', '#']).next()?;
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    let is_one = (1..=5).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    is_one.then(|| if ending == "jpeg" { "jpg".to_owned() } else { ending })
}

/// The last segment of a link's path.
fn file_name(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    path.rsplit('/').next().filter(|name| name.chars().count() >= LEAST_FILE_NAME && name.contains('.'))
}

/// How much two texts are like each other, of which a platform may have made one out of the other.
fn compare(said: &Form, shown: &Form, keeps_links: bool) -> Likeness {
    let whole = is_word_of(said, shown);
    match (said.letters.is_empty(), shown.letters.is_empty()) {
        (true, _) if whole => return Likeness::Strong,
        // Two signs, or a sign and what it is called: nothing tells them apart.
        (true, true) if !said.normal.is_empty() && (shown.lossy || !shown.normal.is_empty()) => {
            return Likeness::Strong;
        }
        (true, _) | (_, true) => return Likeness::Unlike,
        (false, false) => {}
    }
    if said.letters == shown.letters || left_by_damage(said, shown) {
        return Likeness::Same;
    }
    let alike = |one: &str, other: &str| {
        held(one, other).max(at_the_ends(one, other)).max(by_pairs(one, other)).max(in_between(one, other))
    };
    // What damage to everything beyond ASCII leaves, in what was added to it.
    let damaged = if said.ascii.len() < said.letters.len() && said.ascii.len() * 2 >= count(&said.letters) {
        let holds = holds_damaged(&said.normal, &shown.normal, &shown.letters);
        held(&said.ascii, &shown.ascii).max(if holds { Likeness::Weak } else { Likeness::Unlike })
    } else {
        Likeness::Unlike
    };
    if !said.linked && !shown.linked {
        let within = if whole { Likeness::Weak } else { Likeness::Unlike };
        return alike(&said.letters, &shown.letters).max(within).max(damaged);
    }
    // Links are compared as a whole or not at all: all of them begin alike.
    let holds = |link: &String| shown.normal.contains(link.as_str());
    let others_link = keeps_links && said.linked && shown.linked && !(said.links.iter().all(holds));
    let besides = match (said.unlinked.is_empty(), shown.unlinked.is_empty()) {
        (true, true) => Likeness::Weak,
        (true, false) if shown.linked => Likeness::Weak, // and a signature
        (false, true) if said.linked => Likeness::Weak,
        (true, false) | (false, true) => Likeness::Unlike,
        (false, false) => alike(&said.unlinked, &shown.unlinked),
    };
    match besides {
        _ if others_link && (said.unlinked.is_empty() || shown.unlinked.is_empty()) => Likeness::Unlike,
        Likeness::Strong | Likeness::Same | Likeness::Equal if others_link => Likeness::Weak,
        besides => besides.max(if whole { Likeness::Strong } else { Likeness::Unlike }).max(damaged),
    }
}

/// Returns whether a text holds the other as words of its own, in whatever case.
fn is_word_of(said: &Form, shown: &Form) -> bool {
    let (said, shown) = (said.normal.to_lowercase(), shown.normal.to_lowercase());
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    !said.is_empty()
        && shown
            .match_indices(said.as_str())
            .any(|(at, _)| is_edge(shown[..at].chars().next_back()) && is_edge(shown[at + said.len()..].chars().next()))
}

/// Returns whether damage to everything beyond ASCII would explain the difference.
fn left_by_damage(said: &Form, shown: &Form) -> bool {
    said.ascii == shown.ascii && said.ascii.len() >= 3 && said.ascii.len() * 2 >= count(&said.letters)
}

/// Returns whether one holds the other: with a signature, cut off, or a part of it.
fn held(one: &str, other: &str) -> Likeness {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if short.is_empty() || !long.contains(short) {
        return Likeness::Unlike;
    }
    let letters = count(short);
    let at_an_end = long.starts_with(short) || long.ends_with(short);
    let much = letters >= LEAST_SHARED || letters * 2 >= count(long) || (at_an_end && letters >= 4);
    if much {
        Likeness::Strong
    } else if at_an_end || letters >= 4 {
        Likeness::Weak
    } else {
        Likeness::Unlike
    }
}

/// Returns whether they begin and end alike, and differ in between.
fn at_the_ends(one: &str, other: &str) -> Likeness {
    let shorter = count(one).min(count(other));
    let head = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let tail = one.chars().rev().zip(other.chars().rev()).take_while(|(a, b)| a == b).count();
    let shared = (head + tail).min(shorter);
    if shared < LEAST_SHARED {
        Likeness::Unlike
    } else if shared * 4 >= shorter * 3 {
        Likeness::Strong
    } else if shared * 2 >= shorter {
        Likeness::Weak
    } else {
        Likeness::Unlike
    }
}

/// Whether they share a run of letters that is half of the shorter. Of long texts their beginnings are compared.
fn in_between(one: &str, other: &str) -> Likeness {
    let (one, letters) = (chars(one), chars(other));
    let runs: HashSet<&[char]> = one.windows(LEAST_SHARED).collect();
    if !letters.windows(LEAST_SHARED).any(|run| runs.contains(run)) {
        return Likeness::Unlike; // which is quickly told, and most often so
    }
    let mut before: Vec<usize> = vec![0; one.len() + 1];
    let mut longest = 0;
    for c in &letters {
        let mut here = vec![0; one.len() + 1];
        for (at, _) in one.iter().enumerate().filter(|(_, there)| *there == c) {
            here[at + 1] = before[at] + 1;
            longest = longest.max(here[at + 1]);
        }
        before = here;
    }
    if longest * 2 >= one.len().min(letters.len()) { Likeness::Weak } else { Likeness::Unlike }
}

/// By the pairs of letters that they share (Sørensen and Dice).
fn by_pairs(one: &str, other: &str) -> Likeness {
    if one.len().max(other.len()) > 3 * one.len().min(other.len()) {
        return Likeness::Unlike;
    }
    let share = strsim::sorensen_dice(one, other);
    if share >= STRONG_SHARE {
        Likeness::Strong
    } else if share >= WEAK_SHARE {
        Likeness::Weak
    } else {
        Likeness::Unlike
    }
}

fn chars(letters: &str) -> Vec<char> {
    letters.chars().take(LONGEST_COMPARED).collect()
}

fn count(letters: &str) -> usize {
    letters.chars().count()
}

#[cfg(test)]
mod tests;
