//! Takes persons out of what a platform answered, and leaves what its parsers depend on: structure, names, types, empty
//! values, codes, forms of dates, line ends, entities, emoji. Pure.
//!
//! Everything is replaced that no rule keeps, whatever it is part of: a body that is no JSON loses its words too.

mod numbers;

pub(crate) use numbers::Numbers;

use jiff::Span;
use jiff::civil::Date;

use super::entities;
use super::excerpt::unescaped;

/// From so many digits in a row they may identify a person, whatever they stand in.
const TELLING_DIGITS: usize = 5;
/// Longest name of a field that is kept.
const LONGEST_NAME: usize = 40;
/// Longest entity, with `&` and `;`.
const LONGEST_ENTITY: usize = 12;
/// Tags that a server writes around its answers.
const TAGS: [&str; 25] = [
    "a", "b", "body", "br", "center", "div", "doctype", "em", "font", "h1", "h2", "h3", "head", "hr", "html", "i",
    "li", "meta", "p", "pre", "script", "span", "strong", "title", "ul",
];

/// What is known of a platform's answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Fields of codes, with the longest of each: an upper-case word there is kept, and a number of up to four digits.
    pub(crate) codes: &'static [(&'static str, usize)],
    /// Other words that are kept in those fields, in any case.
    pub(crate) words: [&'static [&'static str]; 2],
    /// Words that are kept outside of strings: parsers look for them.
    pub(crate) bare: &'static [&'static str],
    /// Fields of which a number is a time, in seconds or milliseconds since 1970.
    pub(crate) times: &'static [&'static str],
    /// Fields of what persons write: nothing below them is kept.
    pub(crate) texts: &'static [&'static str],
    /// Fields of coordinates, which have limits: of each number only its length and its side of 90 and 180 are kept.
    pub(crate) places: &'static [&'static str],
}

impl Rules {
    /// Returns the numbers of an answer, which are to be replaced.
    pub(crate) fn numbers(&self, answer: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |run: &str| {
            found.push(run.to_owned());
            run.to_owned()
        };
        Walk::new(self, 0, &mut note).walk(&as_text(answer));
        found
    }

    /// Returns an answer without persons: each letter is `x`, each number that of `numbers`, each date `weeks` earlier. What is
    /// no UTF-8 stays such.
    pub(crate) fn redacted(&self, answer: &[u8], numbers: &Numbers, weeks: i64) -> Vec<u8> {
        let mut replace = |run: &str| numbers.of(run);
        let mut walk = Walk::new(self, weeks, &mut replace);
        walk.walk(&as_text(answer));
        as_bytes(&walk.out)
    }
}

/// Stands for a byte that is no UTF-8: a noncharacter.
const NO_UTF8: char = '\u{10ffff}';
/// What such a byte becomes, which is none either: ñ of Latin-1.
const LATIN_1: u8 = 0xf1;

fn as_text(answer: &[u8]) -> String {
    let mut text = String::with_capacity(answer.len());
    for chunk in answer.utf8_chunks() {
        text.extend(chunk.valid().chars().map(|c| if c == NO_UTF8 { char::REPLACEMENT_CHARACTER } else { c }));
        text.extend(chunk.invalid().iter().map(|_| NO_UTF8));
    }
    text
}

fn as_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            NO_UTF8 => bytes.push(LATIN_1),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// An object or a list that is open, and the field that it is the value of.
struct Open {
    is_object: bool,
    field: Option<String>,
}

struct Walk<'a> {
    rules: &'a Rules,
    weeks: i64,
    number: &'a mut dyn FnMut(&str) -> String,
    out: String,
    open: Vec<Open>,
    /// The field of which the value comes.
    field: Option<String>,
    /// The last character that was not white space.
    before: char,
}

impl<'a> Walk<'a> {
    fn new(rules: &'a Rules, weeks: i64, number: &'a mut dyn FnMut(&str) -> String) -> Self {
        Self { rules, weeks, number, out: String::new(), open: Vec::new(), field: None, before: ' ' }
    }

    fn walk(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = match c {
                '"' => self.string(rest),
                '{' | '[' => {
                    let field = self.field().map(str::to_owned);
                    self.open.push(Open { is_object: c == '{', field });
                    self.field = None;
                    self.plain(c)
                }
                '}' | ']' => {
                    self.open.pop();
                    self.field = None;
                    self.plain(c)
                }
                '<' => self.tag(rest),
                '&' => self.entity(rest),
                c if c.is_ascii_digit() => self.bare_number(rest),
                c if c.is_alphanumeric() => self.bare_word(rest),
                c => self.plain(c),
            };
            let (done, next) = rest.split_at(length);
            if let Some(last) = done.chars().rfind(|c| !c.is_whitespace()) {
                self.before = last;
            }
            rest = next;
        }
    }

    /// Returns the field that a value here belongs to; that of the list for an item of a list.
    fn field(&self) -> Option<&str> {
        match self.open.last() {
            Some(open) if !open.is_object => open.field.as_deref(),
            _ => self.field.as_deref(),
        }
    }

    fn is_in_text(&self) -> bool {
        let mut fields = self.open.iter().map(|open| open.field.as_deref()).chain([self.field()]).flatten();
        fields.any(|field| self.rules.texts.contains(&field))
    }

    fn plain(&mut self, c: char) -> usize {
        self.out.push(c);
        c.len_utf8()
    }

    fn string(&mut self, rest: &str) -> usize {
        let inside = &rest[1..];
        let mut escaped = false;
        let end = inside.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let content = &inside[..end.unwrap_or(inside.len())];
        let behind = end.map_or("", |end| &inside[end + 1..]);
        let names = self.open.last().is_some_and(|open| open.is_object)
            && matches!(self.before, '{' | ',')
            && behind.trim_start().starts_with(':');
        self.out.push('"');
        if names {
            self.name(content);
            self.field = Some(content.to_owned());
        } else {
            self.value(content, true);
        }
        if end.is_some() {
            self.out.push('"');
        }
        1 + content.len() + usize::from(end.is_some())
    }

    /// A name is kept unless it may be a person's: `34600111222` as the key of a conversation.
    fn name(&mut self, name: &str) {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-$@.".contains(c);
        let digits = name.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
        // `@type` is a name, `ana@example.org` an address.
        let is_address = name.rfind('@').is_some_and(|at| at > 0 || name.contains('.'));
        if name.len() <= LONGEST_NAME && name.chars().all(legal) && digits < TELLING_DIGITS && !is_address {
            self.out.push_str(name);
        } else {
            self.letters(name, true);
        }
    }

    fn value(&mut self, content: &str, quoted: bool) {
        if !self.is_in_text() {
            if let Some(earlier) = self.earlier(content) {
                self.out.push_str(&earlier);
                return;
            }
            if self.is_code(content) {
                self.out.push_str(content);
                return;
            }
        }
        let start = content.len() - content.trim_start().len();
        let begins =
            |scheme: &&str| content[start..].get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
        let scheme = ["https:", "http:"].into_iter().find(begins).unwrap_or_default();
        let (kept, rest) = content.split_at(start + scheme.len());
        self.out.push_str(kept);
        self.letters(rest, quoted);
    }

    fn is_code(&self, content: &str) -> bool {
        let Some(field) = self.field() else { return false };
        let Some((_, longest)) = self.rules.codes.iter().find(|(known, _)| *known == field) else { return false };
        let readable = unescaped(content);
        let word = readable.trim();
        let digits = word.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let has_letter = word.bytes().any(|b| b.is_ascii_uppercase());
        let upper = word.len() <= *longest && word.chars().all(legal) && has_letter;
        let short = (1..TELLING_DIGITS).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
        let known = self.rules.words.iter().copied().flatten().any(|known| known.eq_ignore_ascii_case(word));
        known || short || (upper && digits < TELLING_DIGITS)
    }

    /// Returns a value that is a date, with or without a time of day, moved by whole weeks.
    fn earlier(&self, content: &str) -> Option<String> {
        let value = content.trim();
        let moved = if self.field().is_some_and(|field| self.rules.times.contains(&field)) && is_number(value) {
            let (whole, fraction) = value.split_at(value.find('.').unwrap_or(value.len()));
            let unit = match whole.len() {
                9 | 10 => 1,
                12 | 13 => 1000,
                _ => return None,
            };
            let moved = (whole.parse::<i64>().ok()? - self.weeks * 7 * 24 * 3600 * unit).to_string();
            if moved.len() != whole.len() {
                return None;
            }
            moved + fraction
        } else {
            let (date, time) = value.split_at_checked(10)?;
            let moved = date.parse::<Date>().ok().filter(|_| is_time_of_day(time))?;
            format!("{}{time}", moved.checked_sub(Span::new().try_weeks(self.weeks).ok()?).ok()?)
        };
        let indent = content.len() - content.trim_start().len();
        Some(format!("{}{moved}{}", &content[..indent], &content[indent + value.len()..]))
    }

    fn bare_word(&mut self, rest: &str) -> usize {
        let word: &str = &rest[..rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())];
        if matches!(word, "true" | "false" | "null") || self.rules.bare.contains(&word) {
            self.out.push_str(word);
        } else {
            self.letters(word, false);
        }
        word.len()
    }

    fn bare_number(&mut self, rest: &str) -> usize {
        let number = &rest[..number_length(rest)];
        if self.is_in_text() || (!self.is_code(number) && self.earlier(number).is_none()) {
            let mut left = number;
            while let Some(c) = left.chars().next() {
                let length = if c.is_ascii_digit() { self.digits(left) } else { self.plain(c) };
                left = &left[length..];
            }
        } else {
            self.value(number, false);
        }
        number.len()
    }

    /// A tag is kept, and nothing that stands in it.
    fn tag(&mut self, rest: &str) -> usize {
        let signs = rest.len() - rest.trim_start_matches(['<', '/', '!', '?', '-']).len();
        let behind = &rest[signs..];
        let name = &behind[..behind.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(behind.len())];
        self.out.push_str(&rest[..signs]);
        if TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name)) {
            self.out.push_str(name);
            return signs + name.len();
        }
        signs
    }

    /// Replaces what no rule keeps.
    fn letters(&mut self, text: &str, escapes: bool) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = match c {
                '\\' if escapes => self.escape(rest),
                '&' => self.entity(rest),
                c if c.is_ascii_digit() => self.digits(rest),
                c => {
                    self.out.push(if c.is_alphanumeric() { 'x' } else { c });
                    c.len_utf8()
                }
            };
            rest = &rest[length..];
        }
    }

    fn digits(&mut self, rest: &str) -> usize {
        let run = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        if self.field().is_some_and(|field| self.rules.places.contains(&field)) {
            let is_fraction = self.out.ends_with(['.', ',']);
            let digit = if !is_fraction && is_beyond(run, rest) { '9' } else { '1' };
            self.out.extend(run.chars().map(|_| digit));
            return run.len();
        }
        let replaced = (self.number)(run);
        self.out.push_str(&replaced);
        run.len()
    }

    /// An escaped letter or digit is replaced by an escaped one.
    fn escape(&mut self, rest: &str) -> usize {
        let unit = |at: usize| u16::from_str_radix(rest.get(at..at + 4)?, 16).ok();
        if rest.as_bytes().get(1) != Some(&b'u') {
            let length = rest.chars().take(2).map(char::len_utf8).sum();
            self.out.push_str(&rest[..length]);
            return length;
        }
        let Some(first) = unit(2) else { return self.plain('\\') };
        let second = rest.get(6..8).filter(|sign| *sign == "\\u").and_then(|_| unit(8));
        let pair =
            second.and_then(|second| char::decode_utf16([first, second]).next()?.ok()).filter(|c| *c > '\u{ffff}');
        let (c, length) = match pair {
            Some(c) => (Some(c), 12),
            None => (char::from_u32(u32::from(first)), 6),
        };
        match c {
            Some(c) if c.is_ascii_digit() => self.out.push_str("\\u0037"),
            Some(c) if c.is_alphanumeric() => self.out.push_str("\\u0078"),
            _ => self.out.push_str(&rest[..length]),
        }
        length
    }

    /// An entity of a letter or a digit is replaced by one of its kind.
    fn entity(&mut self, rest: &str) -> usize {
        let end = rest.bytes().take(LONGEST_ENTITY).position(|b| b == b';');
        let Some(entity) = end.and_then(|end| rest.get(..=end)) else { return self.plain('&') };
        let decoded = entities::decoded(entity);
        let mut decoded = decoded.chars();
        let (Some(c), None) = (decoded.next(), decoded.next()) else { return self.plain('&') };
        let kept = match c {
            c if !c.is_alphanumeric() => entity,
            c if c.is_ascii_digit() => "&#55;",
            _ if entity.starts_with("&#x") || entity.starts_with("&#X") => "&#x78;",
            _ if entity.starts_with("&#") => "&#120;",
            _ => "&aacute;",
        };
        self.out.push_str(kept);
        entity.len()
    }
}

/// Returns whether a coordinate is beyond the limit that its digits before the point can pass: 90 or 180.
fn is_beyond(whole: &str, rest: &str) -> bool {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(rest.len());
    let number: f64 = rest[..end].replace(',', ".").parse().unwrap_or_default();
    match whole.len() {
        ..=2 => number > 90.0,
        3 => number > 180.0,
        _ => true,
    }
}

fn is_number(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit() || b == b'.') && value.bytes().filter(|b| *b == b'.').count() <= 1
}

/// Returns the length of the number that a text begins with, with its signs and its exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_exponent = |at: usize| {
        at > 0
            && is_digit(at - 1)
            && (is_digit(at + 1) || (matches!(bytes.get(at + 1), Some(b'+' | b'-')) && is_digit(at + 2)))
    };
    let belongs = |(at, byte): &(usize, &u8)| match byte {
        b'0'..=b'9' | b'.' | b'+' | b'-' => true,
        b'e' | b'E' => is_exponent(*at),
        _ => false,
    };
    bytes.iter().enumerate().take_while(belongs).count()
}

/// Takes one of these signs and two digits from the beginning of a text.
fn two(text: &mut &str, sign: &[char]) -> Option<()> {
    let rest = text.strip_prefix(sign)?;
    let digits = rest.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    *text = &rest[digits.len()..];
    Some(())
}

/// Returns whether this may stand behind a date: nothing, or `12:34:56.789+02:00`. Nothing else: it is kept as it is.
fn is_time_of_day(text: &str) -> bool {
    let mut rest = text;
    if rest.is_empty() {
        return true;
    }
    if two(&mut rest, &['T', 't', ' ']).is_none() || two(&mut rest, &[':']).is_none() {
        return false;
    }
    let _ = two(&mut rest, &[':']);
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if !(1..=6).contains(&digits) {
            return false;
        }
        rest = &fraction[digits..];
    }
    let zone = rest.trim_start();
    let mut offset = zone;
    let is_offset = two(&mut offset, &['+', '-']).is_some()
        && matches!(offset.strip_prefix(':').unwrap_or(offset), minutes
            if minutes.is_empty() || (minutes.len() == 2 && minutes.bytes().all(|b| b.is_ascii_digit())));
    zone.is_empty() || matches!(zone, "Z" | "z") || is_offset
}

#[cfg(test)]
mod tests;
