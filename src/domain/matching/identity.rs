//! What each row is called for good, so that it makes its events once: by Afilnet's id where that proves stable, else by
//! what the row says and when, and where it stands among equals. No id, no time and no unread flag is trusted: a page is
//! laid against the one that was read before (afilnet.md section 5.3, U4, U7, U8).

use std::collections::{HashMap, HashSet};

use super::{RowShape, content_fingerprint};
use crate::domain::{AfilnetRow, Direction};

/// Identities that are kept of a page: its newest.
pub(crate) const TAIL: usize = 64;

/// A window of fewer rows than this is not full: of such a page nothing slides out, so counting tells all.
const LEAST_TAIL: usize = 10;

/// Rows without an equal that must stand alike in two pages to prove how they lie to each other.
const LEAST_ANCHORS: usize = 3;

/// What is known of one conversation's rows.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// Identities of the rows that were seen, each with the fingerprint of the row's content where it is known.
    fingerprints: HashMap<&'a str, Option<&'a str>>,
    /// The shape of each row seen, where it was kept.
    shapes: HashMap<&'a str, RowShape>,
    /// Identities of the newest rows that the last read showed, in order.
    tail: &'a [String],
}

impl<'a> Known<'a> {
    /// The rows seen, as (identity, stored fingerprint), and the tail of the last page.
    pub(crate) fn new(seen: impl IntoIterator<Item = (&'a str, Option<&'a str>)>, tail: &'a [String]) -> Self {
        let fingerprints = seen
            .into_iter()
            .map(|(identity, fingerprint)| (identity, fingerprint.or_else(|| fingerprint_in(identity))))
            .collect();
        Self { fingerprints, shapes: HashMap::new(), tail }
    }

    /// The same with the shapes that are stored of the rows seen.
    pub(crate) fn shaped(self, shapes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let parsed = |(identity, shape)| Some((identity, RowShape::parse(shape)?));
        Self { shapes: shapes.into_iter().filter_map(parsed).collect(), ..self }
    }

    /// Returns whether ids were not believed when the page was read before.
    fn was_named_by_content(&self) -> bool {
        self.tail.iter().any(|name| name.starts_with('h'))
    }

    pub(crate) fn holds(&self, identity: &str) -> bool {
        self.fingerprints.contains_key(identity)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// The identities by stems of what says something.
    fn stems(&self) -> HashMap<&str, &'a str> {
        self.shapes
            .iter()
            .filter(|(_, shape)| shape.says_something())
            .map(|(name, shape)| (shape.stem(), *name))
            .collect()
    }

    /// The identities of each fingerprint, those counted lowest first.
    fn by_fingerprint(&self) -> HashMap<&'a str, Vec<&'a str>> {
        let mut by_fingerprint: HashMap<&str, Vec<&str>> = HashMap::new();
        for (identity, fingerprint) in &self.fingerprints {
            if let Some(fingerprint) = fingerprint {
                by_fingerprint.entry(fingerprint).or_default().push(identity);
            }
        }
        for identities in by_fingerprint.values_mut() {
            identities.sort_unstable_by_key(|identity| (identity.len(), *identity));
        }
        by_fingerprint
    }
}

/// The fingerprint that an identity by content holds.
fn fingerprint_in(identity: &str) -> Option<&str> {
    let (_, rest) = identity.strip_prefix('h')?.split_once(':')?;
    rest.split('#').next()
}

/// The identity without its number among equals.
pub(crate) fn base(identity: &str) -> &str {
    match identity.rsplit_once('#') {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => base,
        Some(_) | None => identity,
    }
}

/// The identity of each row of one reading (oldest first). Never empty, never twice in one page. Rows that may be known
/// are called what they are known by: what is in doubt is not new.
pub(crate) fn identify(rows: &[AfilnetRow], known: &Known<'_>) -> Vec<String> {
    let fingerprints: Vec<String> = rows.iter().map(content_fingerprint).collect();
    let by_fingerprint = known.by_fingerprint();
    let mut naming = Naming {
        rows,
        fingerprints: &fingerprints,
        known,
        by_fingerprint: &by_fingerprint,
        taken: HashSet::new(),
        names: vec![None; rows.len()],
    };
    let by_id = ids_hold(rows, &fingerprints, known, &by_fingerprint);
    if by_id {
        naming.by_id();
    } else if let Some(overlap) = Overlap::find(&fingerprints, known) {
        for (at, from) in (overlap.at..overlap.at + overlap.len).zip(overlap.from..) {
            naming.take(at, known.tail[from].clone());
        }
        for at in overlap.at + overlap.len..rows.len() {
            let fresh = naming.fresh(at);
            naming.take(at, fresh);
        }
    }
    naming.by_count(by_id);
    naming.by_sequence(by_id);
    naming.rest()
}

/// The identities of rows of which nothing is known.
#[cfg(test)]
pub(crate) fn identities(rows: &[AfilnetRow]) -> Vec<String> {
    identify(rows, &Known::new([], &[]))
}

/// What to keep as the tail after a page with these identities; `None`: the one there is. A page that shows nothing new
/// and less than the one before is a short read: it takes nothing away. One that goes on but leaves out rows in between is
/// no ground to stand on: of it so few are kept that nothing is laid against them, and a page that leaves out one of
/// these is none either.
pub(crate) fn next_tail(identities: &[String], known: &Known<'_>) -> Option<Vec<String>> {
    let mut newest = &identities[identities.len().saturating_sub(TAIL)..];
    let brings = identities.iter().any(|identity| !known.holds(identity));
    let apart = !identities.iter().any(|identity| known.holds(identity));
    let shown: HashSet<&String> = identities.iter().collect();
    let slid = known.tail.iter().take_while(|name| !shown.contains(name)).count();
    let goes_on = known.tail.is_empty()
        || (slid < known.tail.len() && known.tail[slid..].iter().all(|name| shown.contains(name)));
    let whole = goes_on && newest.len() >= known.tail.len();
    if !brings && !whole {
        return None;
    }
    if !goes_on && !apart {
        newest = &newest[newest.len().saturating_sub(LEAST_TAIL - 1)..];
    }
    (newest != known.tail).then(|| newest.to_vec())
}

/// Whether the ids of a page name its rows. They are doubted on positive evidence alone, whatever became of words, links
/// and times: what a row says was known under another id, which does not name it any more. Among equals (same words, same
/// second) that is no evidence while one of them has the id by which it is known: the page leaves one out and shows
/// another that was not known. Where ids were doubted when the page was read before, more of them must name what they
/// named than not.
fn ids_hold(
    rows: &[AfilnetRow],
    fingerprints: &[String],
    known: &Known<'_>,
    by_fingerprint: &HashMap<&str, Vec<&str>>,
) -> bool {
    let stems: HashMap<&str, &str> = known.stems();
    let here: HashMap<&str, &str> = rows
        .iter()
        .zip(fingerprints)
        .filter_map(|(row, fingerprint)| Some((row.id.as_deref()?, fingerprint.as_str())))
        .collect();
    let is_known_by_id = |row: &AfilnetRow, fingerprint: &str| {
        id_identity(row).is_some_and(|identity| known.fingerprints.get(identity.as_str()) == Some(&Some(fingerprint)))
    };
    let held: HashSet<&str> = (rows.iter().zip(fingerprints).map(|(row, fingerprint)| (row, fingerprint.as_str())))
        .filter_map(|(row, fingerprint)| is_known_by_id(row, fingerprint).then_some(fingerprint))
        .collect();
    let (mut same, mut other, mut moved) = (0, 0, 0);
    for (row, fingerprint) in rows.iter().zip(fingerprints) {
        let Some((id, identity)) = row.id.as_deref().zip(id_identity(row)) else { continue };
        let names = by_fingerprint.get(fingerprint.as_str()).map_or(&[][..], Vec::as_slice);
        // Rows that say nothing say the same: of them only one with an id that is gone is evidence.
        let is_said = |there: &str| !row.text.trim().is_empty() && there != fingerprint;
        let elsewhere = |name: &&&str| {
            id_in(name).is_some_and(|known| known != id && here.get(known).is_none_or(|there| is_said(there)))
        };
        match known.fingerprints.get(identity.as_str()) {
            Some(Some(stored)) if *stored != fingerprint.as_str() => {
                other += 1;
                moved += usize::from(names.iter().any(|name| elsewhere(&name)));
            }
            Some(_) => same += 1,
            None if names.iter().any(|name| id_in(name) == Some(id)) => same += 1, // its flag alone is another
            // The same with another signature in its link counts as well.
            None if names.is_empty() => {
                let there = stems.get(RowShape::of(row).stem()).and_then(|name| id_in(name));
                moved += usize::from(there.is_some_and(|known| known != id && !here.contains_key(known)));
            }
            None if held.contains(fingerprint.as_str()) => {}
            None => moved += usize::from(names.iter().any(|name| elsewhere(&name))),
        }
    }
    let doubted = known.was_named_by_content() && (other > 0 || same == 0);
    rows.iter().any(|row| row.id.is_some()) && moved == 0 && (!doubted || (same > 0 && same >= other))
}

/// The id that an identity by id holds.
fn id_in(identity: &str) -> Option<&str> {
    base(identity).strip_prefix('i')?.split_once(':').map(|(_, id)| id)
}

fn id_identity(row: &AfilnetRow) -> Option<String> {
    row.id.as_ref().map(|id| format!("i{}:{id}", row.direction.letter()))
}

/// The rows of a page on their way to their identities.
struct Naming<'a> {
    rows: &'a [AfilnetRow],
    fingerprints: &'a [String],
    known: &'a Known<'a>,
    by_fingerprint: &'a HashMap<&'a str, Vec<&'a str>>,
    taken: HashSet<String>,
    names: Vec<Option<String>>,
}

impl Naming<'_> {
    fn take(&mut self, at: usize, name: String) {
        self.taken.insert(name.clone());
        self.names[at] = Some(name);
    }

    /// Names the rows that have an id by it.
    fn by_id(&mut self) {
        let mut equals: HashMap<String, u32> = HashMap::new();
        let mut unseen = Vec::new();
        for at in 0..self.rows.len() {
            let Some(identity) = id_identity(&self.rows[at]) else { continue };
            let nth = equals.entry(identity.clone()).or_default();
            *nth += 1;
            let name = numbered(&identity, *nth);
            if self.known.holds(&name) { self.take(at, name) } else { unseen.push((at, name)) }
        }
        for (at, name) in unseen {
            // It may have been recorded by its content, while ids did not hold, or with another flag.
            let before = self.known_as(at, |identity| identity.starts_with('h')).or_else(|| self.with_another_flag(at));
            self.take(at, before.unwrap_or(name));
        }
    }

    /// Returns the identity of a known row with this id and another flag, where no other row of the page is it.
    fn with_another_flag(&self, at: usize) -> Option<String> {
        let row = &self.rows[at];
        let id = row.id.as_deref()?;
        let shape = RowShape::of(row);
        let same = |identity: &str| {
            self.known
                .fingerprints
                .get(identity)
                .is_some_and(|fingerprint| *fingerprint == Some(self.fingerprints[at].as_str()))
                || (self.known.shapes.get(identity))
                    .is_some_and(|known| known.says_nothing() || known.has_kind_and_words_of(&shape))
        };
        let others = [Direction::Inbound, Direction::Outbound, Direction::Unknown].map(Direction::letter);
        let others = others.iter().filter(|letter| **letter != row.direction.letter());
        let names = others.map(|letter| (*letter, format!("i{letter}:{id}")));
        let here =
            |letter: &str| self.rows.iter().any(|other| other.id == row.id && other.direction.letter() == letter);
        names
            .into_iter()
            .find(|(letter, name)| !here(letter) && !self.taken.contains(name) && same(name))
            .map(|(_, name)| name)
    }

    /// Names rows that are known by words and time: the first of equals are those that are known. Then those whose flag
    /// alone is another.
    fn by_count(&mut self, ids_hold: bool) {
        for flag_counts in [true, false] {
            for at in 0..self.rows.len() {
                if self.names[at].is_none()
                    && (flag_counts || !ids_hold || self.rows[at].id.is_none())
                    && let Some(name) = if flag_counts { self.known_as(at, |_| true) } else { self.known_of_any(at) }
                {
                    self.take(at, name);
                }
            }
        }
    }

    fn known_of_any(&self, at: usize) -> Option<String> {
        let equals = self.by_fingerprint.get(self.fingerprints[at].as_str())?;
        equals.iter().find(|identity| !self.taken.contains(**identity)).map(|identity| (*identity).to_owned())
    }

    /// Names rows without an id that holds by where they stand: between rows that are known, a row that is like one
    /// which was there and is gone is that row, and rows that say the same in the same order are the same, whatever their
    /// times.
    fn by_sequence(&mut self, ids_hold: bool) {
        let tail = self.known.tail;
        let places: HashMap<&str, usize> = tail.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let place = |name: &Option<String>| name.as_ref().and_then(|name| places.get(name.as_str()).copied());
        let unnamed =
            |naming: &Self, at: usize| naming.names[at].is_none() && !(ids_hold && naming.rows[at].id.is_some());
        if tail.is_empty() || !(0..self.rows.len()).any(|at| unnamed(self, at)) {
            return;
        }
        let shapes: Vec<RowShape> = self.rows.iter().map(RowShape::of).collect();
        if self.names.iter().all(Option::is_none) && !ids_hold && self.by_words(&shapes) {
            return;
        }
        // The flag of the business may come late: where no row with the old flag is it.
        for flag_counts in [true, false] {
            let (mut left, mut next) = (None, 0);
            for (at, shape) in shapes.iter().enumerate() {
                if let Some(found) = place(&self.names[at]) {
                    (left, next) = (Some(found), found + 1);
                    continue;
                }
                if !unnamed(self, at) {
                    continue;
                }
                let end = self.names[at..].iter().find_map(place).unwrap_or(tail.len());
                let found = (next..end.max(next)).find(|from| {
                    let name = tail[*from].as_str();
                    !self.taken.contains(name)
                        && self.has_direction_of(at, name, flag_counts)
                        && self.is_like(shape, name, left.is_some() || end < tail.len())
                });
                if let Some(from) = found {
                    self.take(at, tail[from].clone());
                    next = from + 1;
                }
            }
        }
    }

    /// Whether a row may be one that is known by its direction. Unless `flag_counts` that may have become the business's.
    fn has_direction_of(&self, at: usize, name: &str, flag_counts: bool) -> bool {
        let (letter, unknown) = (self.rows[at].direction.letter(), Direction::Unknown.letter());
        let known = name.get(1..2).unwrap_or_default();
        let came = known == Direction::Inbound.letter() && letter == Direction::Outbound.letter();
        known == letter || known == unknown || letter == unknown || (!flag_counts && came)
    }

    /// Whether a row is like one that is known and gone; `beside_known`: it stands behind or before one that is known.
    fn is_like(&self, shape: &RowShape, name: &str, beside_known: bool) -> bool {
        let Some(there) = self.known.shapes.get(name) else { return false };
        there.has_stem_of(shape) || (beside_known && (there.has_words_of(shape) || there.says_nothing()))
    }

    /// Names a page of which no row is known by words and time: where it says in order what the tail's end said, all times
    /// have moved. As many rows as these may have come in between, late.
    fn by_words(&mut self, shapes: &[RowShape]) -> bool {
        let tail = self.known.tail;
        let said: Option<Vec<&RowShape>> = tail.iter().map(|name| self.known.shapes.get(name.as_str())).collect();
        let Some(said) = said else { return false };
        let places = |len: usize| -> Option<Vec<usize>> {
            let (mut places, mut next, mut anchors) = (Vec::new(), 0, 0);
            for (one, name) in said.iter().zip(tail).skip(said.len() - len) {
                let is_it = |at: &usize| {
                    self.has_direction_of(*at, name, one.says_nothing())
                        && (one.says_nothing() || one.has_kind_and_words_of(&shapes[*at]))
                };
                let at = (next..shapes.len()).find(is_it)?;
                anchors += usize::from(one.has_words_of(&shapes[at]));
                places.push(at);
                next = at + 1;
            }
            // Where something slid out of the window, what is left begins it.
            let begins = len == said.len() || places.first() == Some(&0);
            let enough = anchors > 0 && (len >= LEAST_ANCHORS || len == said.len());
            (begins && enough && next <= 2 * len).then_some(places)
        };
        let Some(places) = (1..=said.len().min(shapes.len())).rev().find_map(places) else { return false };
        let from = tail.len() - places.len();
        for (at, name) in places.into_iter().zip(&tail[from..]) {
            self.take(at, name.clone());
        }
        true
    }

    /// Names what is left as new.
    fn rest(mut self) -> Vec<String> {
        for at in 0..self.rows.len() {
            if self.names[at].is_none() {
                let name = self.fresh(at);
                self.take(at, name);
            }
        }
        self.names.into_iter().flatten().collect()
    }

    /// An identity by which a row with these words and this time is known and that no other row of the page has.
    fn known_as(&self, at: usize, form: impl Fn(&str) -> bool) -> Option<String> {
        let equals = self.by_fingerprint.get(self.fingerprints[at].as_str())?;
        let unknown = Direction::Unknown.letter();
        let letter = self.rows[at].direction.letter();
        let direction = |identity: &&&str| identity.get(1..2).unwrap_or_default() == letter;
        let undirected = |identity: &&&str| letter == unknown || identity.get(1..2) == Some(unknown);
        let free = || equals.iter().filter(|identity| form(identity) && !self.taken.contains(**identity));
        free().find(direction).or_else(|| free().find(undirected)).map(|identity| (*identity).to_owned())
    }

    /// The first number among equals that nothing has.
    fn fresh(&self, at: usize) -> String {
        let base = format!("h{}:{}", self.rows[at].direction.letter(), self.fingerprints[at]);
        let names = (1..).map(|nth| numbered(&base, nth));
        let mut free = names.filter(|name| !self.known.holds(name) && !self.taken.contains(name));
        free.next().unwrap_or(base)
    }
}

fn numbered(base: &str, nth: u32) -> String {
    if nth == 1 { base.to_owned() } else { format!("{base}#{nth}") }
}

/// Where a page goes on from the one before: `len` of its rows from `at` are those from `from` of the tail.
#[derive(Debug, PartialEq, Eq)]
struct Overlap {
    at: usize,
    from: usize,
    len: usize,
}

impl Overlap {
    /// Only what cannot be anything else: everything that counting would not call new rests on it.
    fn find(page: &[String], known: &Known<'_>) -> Option<Self> {
        let fingerprints: Option<Vec<&str>> =
            known.tail.iter().map(|name| known.fingerprints.get(name.as_str()).copied()?).collect();
        let tail = fingerprints.filter(|tail| tail.len() >= LEAST_TAIL)?;
        let (in_page, in_tail) = (counts(page.iter().map(String::as_str)), counts(tail.iter().copied()));
        let holds = |at: usize, from: usize, len: usize| {
            // What stands once in each can only be the same row; what stands there often may be any of its equals.
            let anchors = page[at..at + len].iter().map(String::as_str);
            let anchors = anchors
                .filter(|fingerprint| in_page.get(fingerprint) == Some(&1) && in_tail.get(fingerprint) == Some(&1));
            (0..len).all(|n| page[at + n] == tail[from + n]) && anchors.count() >= LEAST_ANCHORS
        };
        // The whole tail. One that is all of its page is found by counting as well: nothing had slid out.
        if let Some(furthest) = page.len().checked_sub(tail.len()).filter(|_| tail.len() == TAIL)
            && let Some(at) = (0..=furthest).rev().find(|at| holds(*at, 0, tail.len()))
        {
            return Some(Self { at, from: 0, len: tail.len() });
        }
        // The tail's end, where the window did not shrink: a short read proves nothing.
        let longest = if page.len() >= tail.len() { tail.len() - 1 } else { 0 };
        let len = (LEAST_ANCHORS..=longest).rev().find(|len| holds(0, tail.len() - len, *len))?;
        Some(Self { at: 0, from: tail.len() - len, len })
    }
}

fn counts<'a>(fingerprints: impl Iterator<Item = &'a str>) -> HashMap<&'a str, u32> {
    let mut counts = HashMap::new();
    for fingerprint in fingerprints {
        *counts.entry(fingerprint).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
