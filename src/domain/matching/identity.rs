//! What each row is called for good, so that it makes its events once: by Afilnet's id where that proves stable, else by
//! what the row says and when, and where it stands among equals. No id, no time and no unread flag is trusted: a page is
//! laid against the one that was read before (afilnet.md section 5.3, U4, U7, U8).

use std::collections::{HashMap, HashSet};

use super::content_fingerprint;
use crate::domain::{AfilnetRow, Direction};

/// Identities that are kept of a page: its newest.
pub(crate) const TAIL: usize = 64;

/// A window of fewer rows than this is nobody's window: of such a page nothing slides out, so counting tells all.
const LEAST_TAIL: usize = 10;

/// Rows without an equal that must stand alike in two pages to prove how they lie to each other.
const LEAST_ANCHORS: usize = 3;

/// What is known of one conversation's rows.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// Identities of the rows that were seen, each with the row's mark where it is known.
    marks: HashMap<&'a str, Option<&'a str>>,
    /// Identities of the newest rows that the last read showed, in order.
    tail: &'a [String],
}

impl<'a> Known<'a> {
    /// The rows seen, as (identity, stored mark), and the tail of the last page.
    pub(crate) fn new(seen: impl IntoIterator<Item = (&'a str, Option<&'a str>)>, tail: &'a [String]) -> Self {
        let marks = seen.into_iter().map(|(identity, mark)| (identity, mark.or_else(|| mark_in(identity)))).collect();
        Self { marks, tail }
    }

    pub(crate) fn holds(&self, identity: &str) -> bool {
        self.marks.contains_key(identity)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The identities of each mark, those counted lowest first.
    fn by_mark(&self) -> HashMap<&'a str, Vec<&'a str>> {
        let mut by_mark: HashMap<&str, Vec<&str>> = HashMap::new();
        for (identity, mark) in &self.marks {
            if let Some(mark) = mark {
                by_mark.entry(mark).or_default().push(identity);
            }
        }
        for identities in by_mark.values_mut() {
            identities.sort_unstable_by_key(|identity| (identity.len(), *identity));
        }
        by_mark
    }
}

/// The mark that an identity by content holds.
fn mark_in(identity: &str) -> Option<&str> {
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
    let marks: Vec<String> = rows.iter().map(content_fingerprint).collect();
    let by_mark = known.by_mark();
    let mut naming =
        Naming { rows, marks: &marks, known, by_mark: &by_mark, taken: HashSet::new(), names: vec![None; rows.len()] };
    if ids_hold(rows, &marks, known, &by_mark) {
        naming.by_id();
    } else if let Some(overlap) = Overlap::find(&marks, known) {
        for (at, from) in (overlap.at..overlap.at + overlap.len).zip(overlap.from..) {
            naming.take(at, known.tail[from].clone());
        }
        for at in overlap.at + overlap.len..rows.len() {
            let fresh = naming.fresh(at);
            naming.take(at, fresh);
        }
    }
    naming.by_count()
}

/// The identities of rows of which nothing is known.
#[cfg(test)]
pub(crate) fn identities(rows: &[AfilnetRow]) -> Vec<String> {
    identify(rows, &Known::new([], &[]))
}

/// What to keep as the tail after a page with these identities; `None`: the one there is. A page that shows nothing new
/// and less than the one before is a short read: it takes nothing away. One that goes on but leaves out rows in between is
/// no ground to stand on: nothing is laid against it.
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
        newest = &[];
    }
    (newest != known.tail).then(|| newest.to_vec())
}

/// Whether the ids of a page name its rows. Not where none of them is known though the rows are, nor where most that
/// are known stand for other rows by now.
fn ids_hold(rows: &[AfilnetRow], marks: &[String], known: &Known<'_>, by_mark: &HashMap<&str, Vec<&str>>) -> bool {
    let (mut same, mut other) = (0, 0);
    for (row, mark) in rows.iter().zip(marks) {
        match id_identity(row).and_then(|identity| known.marks.get(identity.as_str())) {
            Some(Some(stored)) if *stored != mark.as_str() => other += 1,
            Some(_) => same += 1,
            None => {}
        }
    }
    let by_content = || marks.iter().any(|mark| by_mark.contains_key(mark.as_str()));
    rows.iter().any(|row| row.id.is_some()) && ((same > 0 && same >= other) || !by_content())
}

fn id_identity(row: &AfilnetRow) -> Option<String> {
    row.id.as_ref().map(|id| format!("i{}:{id}", row.direction.letter()))
}

/// The rows of a page on their way to their identities.
struct Naming<'a> {
    rows: &'a [AfilnetRow],
    marks: &'a [String],
    known: &'a Known<'a>,
    by_mark: &'a HashMap<&'a str, Vec<&'a str>>,
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
            // It may have been recorded by its content, while ids did not hold.
            let before = self.known_as(at, |identity| identity.starts_with('h'));
            self.take(at, before.unwrap_or(name));
        }
    }

    /// Names the rows that have no name yet: the first of equals are those that are known, the rest are new.
    fn by_count(mut self) -> Vec<String> {
        for at in 0..self.rows.len() {
            if self.names[at].is_none() {
                let name = self.known_as(at, |_| true).unwrap_or_else(|| self.fresh(at));
                self.take(at, name);
            }
        }
        self.names.into_iter().flatten().collect()
    }

    /// An identity by which a row with these words and this time is known and that no other row of the page has.
    fn known_as(&self, at: usize, form: impl Fn(&str) -> bool) -> Option<String> {
        let equals = self.by_mark.get(self.marks[at].as_str())?;
        let unknown = Direction::Unknown.letter();
        let letter = self.rows[at].direction.letter();
        let direction = |identity: &&&str| identity.get(1..2).unwrap_or_default() == letter;
        let undirected = |identity: &&&str| letter == unknown || identity.get(1..2) == Some(unknown);
        let free = || equals.iter().filter(|identity| form(identity) && !self.taken.contains(**identity));
        free().find(direction).or_else(|| free().find(undirected)).map(|identity| (*identity).to_owned())
    }

    /// The first number among equals that nothing has.
    fn fresh(&self, at: usize) -> String {
        let base = format!("h{}:{}", self.rows[at].direction.letter(), self.marks[at]);
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
        let marks: Option<Vec<&str>> = known.tail.iter().map(|name| known.marks.get(name.as_str()).copied()?).collect();
        let tail = marks.filter(|tail| tail.len() >= LEAST_TAIL)?;
        let (in_page, in_tail) = (counts(page.iter().map(String::as_str)), counts(tail.iter().copied()));
        let holds = |at: usize, from: usize, len: usize| {
            // What stands once in each can only be the same row; what stands there often may be any of its equals.
            let anchors = page[at..at + len].iter().map(String::as_str);
            let anchors = anchors.filter(|mark| in_page.get(mark) == Some(&1) && in_tail.get(mark) == Some(&1));
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

fn counts<'a>(marks: impl Iterator<Item = &'a str>) -> HashMap<&'a str, u32> {
    let mut counts = HashMap::new();
    for mark in marks {
        *counts.entry(mark).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
