//! A made-up Afilnet with one conversation, those who write in it, and the ledger of what really happened.

use std::collections::HashMap;
use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::bridge::{Bridge, Told};
use crate::domain::{AfilnetRow, Direction, RowTime};
use crate::testkit::rewriting::{AGENTS, OPERATORS, Rewriting};

/// Who wrote a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// The bridge, for this message.
    Bridge(usize),
    Operator,
    Customer,
}

/// A row as it was written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) author: Author,
    pub(super) text: String,
    pub(super) file: Option<String>,
    at_ms: i64,
    visible_ms: i64,
    /// Until then it says nothing.
    blank_until_ms: i64,
    flagged_ms: i64,
}

/// A text or a file, as an agent wrote it.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) file: Option<String>,
}

/// Result of one world.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) confirmed: u64,
    pub(super) unconfirmed: u64,
    pub(super) repeated: u64,
    /// Rows of the panel that a send of the bridge explained.
    pub(super) explained: u64,
    /// The list did not show the conversation for some time.
    pub(super) list_cut: bool,
    pub(super) faults: Vec<String>,
}

pub(super) struct World {
    rng: StdRng,
    rewritings: Vec<Rewriting>,
    pub(super) now_ms: i64,
    pub(super) rows: Vec<Written>,
    pub(super) agents: Vec<Message>,
    /// How often each message of an agent was carried out.
    pub(super) carried_out: Vec<u32>,
    window: usize,
    /// While others write, a cut list does not show this conversation.
    unlisted_ms: Option<Range<i64>>,
    lag_ms: i64,
    started_ms: i64,
    reads: u64,
}

const CUSTOMERS: [&str; 9] = [
    "si",
    "gracias",
    "\u{bf}a qu\u{e9} hora?",
    "no me llega",
    "mire esto https://fotos.example/a/1.jpg",
    "https://fotos.example/a/2.jpg",
    "si",
    "vale \u{1f600}",
    "ma\u{f1}ana paso",
];

impl World {
    pub(super) fn new(mut rng: StdRng, rewritings: Vec<Rewriting>) -> Self {
        let lag_ms = if rewritings.contains(&Rewriting::RowsLate) { rng.random_range(5..40) * 1000 } else { 0 };
        let window = if rng.random_ratio(1, 5) { 20 } else { usize::MAX };
        let started_ms = 1_700_000_000_000;
        // Of a generator of its own: worlds whose list is whole are what they were without.
        let mut lists = StdRng::seed_from_u64(rng.clone().random::<u64>() ^ 1);
        let unlisted_ms = lists.random_ratio(1, 5).then(|| {
            let from_ms = started_ms + lists.random_range(5_000..60_000);
            let ends = lists.random_ratio(1, 2);
            from_ms..if ends { from_ms + lists.random_range(20_000..150_000) } else { i64::MAX }
        });
        Self {
            rng,
            rewritings,
            now_ms: started_ms,
            rows: Vec::new(),
            agents: Vec::new(),
            carried_out: Vec::new(),
            window,
            unlisted_ms,
            lag_ms,
            started_ms,
            reads: 0,
        }
    }

    fn has(&self, rewriting: Rewriting) -> bool {
        self.rewritings.contains(&rewriting)
    }

    /// Somebody writes a row.
    pub(super) fn write(&mut self, author: Author, message: &Message) {
        let ours = matches!(author, Author::Bridge(_));
        let (now_ms, lag_ms) = (self.now_ms, if ours { self.lag_ms } else { 0 });
        let never = ours && self.has(Rewriting::RowsNever);
        let late = message.file.is_some()
            && ((ours && self.has(Rewriting::FilesLate))
                || (author == Author::Customer && self.has(Rewriting::CustomersFilesLate)));
        self.rows.push(Written {
            author,
            text: message.text.clone(),
            file: message.file.clone(),
            at_ms: now_ms,
            visible_ms: if never { i64::MAX } else { now_ms + lag_ms },
            blank_until_ms: if late { now_ms + lag_ms + 6000 } else { 0 },
            flagged_ms: if ours && self.has(Rewriting::FlagsLate) { now_ms + lag_ms + 5000 } else { 0 },
        });
    }

    /// What Afilnet shows, each row with its number in the ledger; sorted as the bridge sorts.
    pub(super) fn page(&mut self) -> Vec<(usize, AfilnetRow)> {
        self.reads += 1;
        let now_ms = self.now_ms;
        let shown: Vec<usize> = (0..self.rows.len()).filter(|at| self.rows[*at].visible_ms <= now_ms).collect();
        let shown = &shown[shown.len().saturating_sub(self.window)..];
        let mut page: Vec<(usize, AfilnetRow)> =
            shown.iter().enumerate().map(|(place, at)| (*at, self.render(*at, place))).collect();
        page.sort_by_key(|(at, row)| (row.time.epoch_ms, *at));
        page
    }

    /// Returns whether a read shows any row.
    pub(super) fn shows_any(&self) -> bool {
        self.rows.iter().any(|row| row.visible_ms <= self.now_ms)
    }

    /// The row that the list of conversations shows: the newest. `None` where it does not show the conversation.
    pub(super) fn last(&mut self) -> Option<AfilnetRow> {
        let now_ms = self.now_ms;
        if self.unlisted_ms.as_ref().is_some_and(|unlisted| unlisted.contains(&now_ms)) {
            return None;
        }
        let shown = self.rows.iter().filter(|row| row.visible_ms <= now_ms).count();
        let at = self.rows.iter().rposition(|row| row.visible_ms <= now_ms)?;
        self.reads += 1;
        Some(self.render(at, shown.min(self.window) - 1))
    }

    fn render(&mut self, at: usize, place: usize) -> AfilnetRow {
        let row = self.rows[at].clone();
        let ours = matches!(row.author, Author::Bridge(_));
        let mut text = match &row.file {
            Some(_) if row.blank_until_ms > self.now_ms => String::new(),
            Some(file) if ours && self.has(Rewriting::FilesElsewhere) => {
                format!("https://media.afilnet.example/out/{at:06x}.{}", &file[file.len() - 3..])
            }
            Some(file) => file.clone(),
            None => row.text.clone(),
        };
        for rewriting in self.rewritings.clone() {
            if ours && row.file.is_none() {
                text = rewriting.of_words(&text, &mut self.rng);
            } else if !text.is_empty() {
                text = rewriting.of_anybodys_words(&text, &mut self.rng);
            }
        }
        let mut at_ms = row.at_ms / 1000 * 1000;
        if ours && self.has(Rewriting::OwnTimesMoved) {
            at_ms -= 7_200_000;
        }
        if self.has(Rewriting::AllTimesMoved) && self.now_ms > self.started_ms + 60_000 {
            at_ms += 3_600_000;
        }
        let id = if self.has(Rewriting::IdsAbsent) {
            None
        } else if self.has(Rewriting::IdsAtEveryRead) {
            Some((at as u64 * 1_000_000 + self.reads).to_string())
        } else if self.has(Rewriting::IdsOfPlaces) {
            Some((place + 1).to_string())
        } else {
            Some((at + 100).to_string())
        };
        let outbound = row.author != Author::Customer && row.flagged_ms <= self.now_ms;
        AfilnetRow {
            destination: "34600111222".parse().unwrap(),
            id,
            direction: if outbound { Direction::Outbound } else { Direction::Inbound },
            time: RowTime { raw: at_ms.to_string(), epoch_ms: Some(at_ms) },
            text,
            status: None,
        }
    }

    /// Plays a conversation to its end and holds what the bridge told against the ledger.
    pub(super) fn play(mut self) -> Outcome {
        let mut bridge = Bridge::default();
        self.acquaint(&mut bridge);
        for _ in 0..45 {
            self.now_ms += self.rng.random_range(500..3000);
            if self.rng.random_ratio(2, 5) {
                self.act(&mut bridge);
            }
            bridge.tick(&mut self);
        }
        for _ in 0..80 {
            self.now_ms += 3000;
            bridge.tick(&mut self);
        }
        // What was carried out late is decided late.
        for _ in 0..200 {
            if bridge.is_settled() {
                break;
            }
            self.now_ms += 3000;
            bridge.tick(&mut self);
        }
        let reads = bridge.reads;
        for _ in 0..20 {
            self.now_ms += 3000;
            bridge.tick(&mut self);
        }
        let mut outcome = self.judge(&bridge);
        outcome.list_cut = self.unlisted_ms.is_some();
        let unstable = self.has(Rewriting::IdsAtEveryRead) || self.has(Rewriting::IdsOfPlaces);
        if bridge.reads > reads + 1 && !unstable {
            outcome.faults.push(format!("{} reads of a conversation in which nothing changes", bridge.reads - reads));
        }
        outcome
    }

    /// On an account that shows rows word for word, sends of every kind were seen before.
    fn acquaint(&mut self, bridge: &mut Bridge) {
        let kinds = if self.rewritings.is_empty() { AGENTS.len() } else { self.rng.random_range(0..4) };
        for text in &AGENTS[..kinds] {
            self.now_ms += 5000;
            bridge.send(self, &Message { text: (*text).to_owned(), file: None }, true);
            bridge.tick(self);
        }
        if self.rewritings.is_empty() {
            bridge.send(self, &a_file(0), true);
        }
        for _ in 0..4 {
            self.now_ms += 5000;
            bridge.tick(self);
        }
    }

    fn act(&mut self, bridge: &mut Bridge) {
        match self.rng.random_range(0..10) {
            0..5 => {
                let message = if self.rng.random_ratio(1, 6) {
                    a_file(self.agents.len())
                } else {
                    Message { text: (*AGENTS.choose(&mut self.rng).unwrap()).to_owned(), file: None }
                };
                if bridge.is_free() {
                    bridge.send(self, &message, false);
                }
            }
            5..7 => {
                let equal = self.rng.random_ratio(1, 12);
                let text = match self.agents.last().filter(|last| equal && last.file.is_none()) {
                    Some(last) => last.text.clone(),
                    None => (*OPERATORS.choose(&mut self.rng).unwrap()).to_owned(),
                };
                self.write(Author::Operator, &Message { text, file: None });
            }
            _ => {
                let file = self.has(Rewriting::CustomersFilesLate) && self.rng.random_ratio(1, 2);
                let text = (*CUSTOMERS.choose(&mut self.rng).unwrap()).to_owned();
                let message = if file { a_file(900 + self.rows.len()) } else { Message { text, file: None } };
                self.write(Author::Customer, &message);
            }
        }
    }

    /// The verdict of an attempt and whether it was carried out.
    pub(super) fn attempt(&mut self, surely: bool, again: bool) -> (Attempt, bool) {
        match self.rng.random_range(0..100) {
            _ if surely => (Attempt::Taken, true),
            0..62 => (Attempt::Taken, true),
            62..66 if !again => (Attempt::Refused, false),
            62..83 => (Attempt::InDoubt, true),
            _ => (Attempt::InDoubt, false),
        }
    }

    pub(super) fn flips(&mut self) -> bool {
        self.rng.random_ratio(1, 3)
    }

    /// Returns whether the bridge sent the same, or a file or a link where a platform may show another.
    fn may_be_the_bridges(&self, text: &str) -> bool {
        let is_link = text.starts_with("https://") && !text.contains(' ');
        self.agents.iter().any(|message| {
            message.text == text || (is_link && (message.file.is_some() || message.text.contains("https://")))
        })
    }

    fn judge(&self, bridge: &Bridge) -> Outcome {
        let operators = self.rows.iter().filter(|row| row.author == Author::Operator).map(|row| row.text.as_str());
        let mut outcome = bridge.outcome(&operators.collect::<Vec<_>>(), &self.carried_out);
        let fault = |outcome: &mut Outcome, words: String| outcome.faults.push(words);
        for (at, times) in self.carried_out.iter().enumerate().filter(|(_, times)| **times > 1) {
            fault(&mut outcome, format!("carried out {times} times: {:?}", self.agents[at]));
        }
        let mut told: HashMap<usize, Vec<&Told>> = HashMap::new();
        for event in &bridge.told {
            told.entry(event.row).or_default().push(event);
        }
        let none = Vec::new();
        // Where somebody writes what the bridge sends, the two rows cannot be told apart: one of them is echoed.
        let mut own_echoed: Vec<&str> = Vec::new();
        let mut missing: Vec<(usize, &Written)> = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let events = told.get(&at).unwrap_or(&none);
            match row.author {
                Author::Bridge(_) if events.is_empty() => {}
                Author::Bridge(_) if events.iter().all(|event| event.echo) => own_echoed.push(&row.text),
                Author::Bridge(_) => fault(&mut outcome, format!("published as the customer's: {row:?}")),
                Author::Operator if events.len() == 1 && events[0].echo => {}
                Author::Operator if events.is_empty() => missing.push((at, row)),
                Author::Operator => fault(&mut outcome, format!("told {} times: {row:?}", events.len())),
                Author::Customer => {
                    let blank = events.iter().filter(|event| event.blank).count();
                    let published = events.iter().filter(|event| !event.blank).count();
                    if published != 1
                        || blank > usize::from(row.file.is_some())
                        || events.iter().any(|event| event.echo)
                    {
                        fault(&mut outcome, format!("told {published} times (and {blank} placeholders): {row:?}"));
                    }
                }
            }
        }
        for (_, row) in missing {
            if let Some(instead) = own_echoed.iter().position(|text| **text == row.text) {
                own_echoed.remove(instead);
            } else if self.may_be_the_bridges(&row.text) {
                outcome.explained += 1; // the bridge said the same, or a link that may have been replaced
            } else {
                fault(&mut outcome, format!("never echoed: {row:?}"));
            }
        }
        for text in own_echoed {
            fault(&mut outcome, format!("own words echoed: {text:?}"));
        }
        let order: Vec<usize> =
            bridge.told.iter().filter(|event| !event.echo && !event.words).map(|event| event.row).collect();
        if !self.has(Rewriting::AllTimesMoved) && !order.is_sorted() {
            fault(&mut outcome, format!("out of order: {order:?}"));
        }
        outcome
    }
}

/// Verdict of an attempt, as the bridge sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Taken,
    Refused,
    InDoubt,
}

fn a_file(number: usize) -> Message {
    Message { text: String::new(), file: Some(format!("https://cdn.example/u/IMG_{number:04}.jpg")) }
}
