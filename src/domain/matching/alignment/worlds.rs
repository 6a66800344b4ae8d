//! The alignment alone, in made-up conversations that a platform rewrote: a send that was carried out is never absent, a
//! row of the bridge is never foreign, and what an agent typed is not taken for the bridge's.
//!
//! `BRIDGE_SEEDS=100000 cargo test --features crashpoints --lib -- --nocapture whatever_a_platform_rewrites` plays so many
//! conversations, `BRIDGE_SEED=17 BRIDGE_SEEDS=1` one again.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::super::testing::row;
use super::*;
use crate::testkit::rewriting::{AGENTS, OPERATORS, Rewriting, composed, from_environment};

/// Conversations where nothing else is asked for.
const SEEDS: u64 = 400;

/// What became of sends in doubt.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    shown: u64,
    undecidable: u64,
    absent: u64,
}

/// One row, and the send that it is; `None`: an agent typed it.
struct Shown {
    row: AfilnetRow,
    send: Option<usize>,
}

struct Conversation {
    rng: StdRng,
    rewritings: Vec<Rewriting>,
    account: AccountTraits,
    said: Vec<&'static str>,
    sends: Vec<UnmatchedSend>,
    /// Whether each was carried out.
    carried_out: Vec<bool>,
    shown: Vec<Shown>,
}

fn matched(number: usize) -> Match {
    Match { m_id: MId::derived(&["alignment", &number.to_string()]), part: 0, last: true }
}

const LATER: OpenRow = OpenRow { read_before_ms: Some(0), seen_ms: Some(1000), flag_settled: true, due: true };

impl Conversation {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let rewritings = composed(&mut rng);
        let account = AccountTraits { prompt_flags: true, ..AccountTraits::default() };
        let (said, sends, carried_out, shown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut conversation = Self { rng, rewritings, account, said, sends, carried_out, shown };
        conversation.acquaint();
        conversation.write();
        conversation
    }

    fn rewritten(&mut self, text: &str) -> String {
        let rewritings = self.rewritings.clone();
        rewritings.into_iter().fold(text.to_owned(), |text, rewriting| rewriting.of_words(&text, &mut self.rng))
    }

    /// The account was seen to show some sends: all kinds where it shows them word for word.
    fn acquaint(&mut self) {
        let kinds = if self.rewritings.is_empty() { AGENTS.len() } else { self.rng.random_range(0..4) };
        for text in &AGENTS[..kinds] {
            let send = UnmatchedSend::new(matched(99), Some(text), None, 0);
            let mut rows = [row("", Direction::Outbound, 1, &self.rewritten(text))];
            let (attributions, _) = attribute(&mut rows, &[Some(LATER)], vec![send.clone()], &self.account);
            if let Attribution::Ours { how, .. } = attributions[0] {
                let (verbatim, rewritten) = self.account.learned(send.features(), how == ShownAs::Verbatim);
                self.account = AccountTraits { shows_texts: true, verbatim, rewritten, ..self.account };
            }
        }
    }

    /// Sends with all verdicts, and foreign rows in between.
    fn write(&mut self) {
        for number in 0..self.rng.random_range(1..6) {
            while self.rng.random_ratio(1, 3) {
                let typed = *OPERATORS.choose(&mut self.rng).unwrap();
                self.shown.push(Shown { row: row("", Direction::Outbound, 2, typed), send: None });
            }
            let text = *AGENTS.choose(&mut self.rng).unwrap();
            let doubtful = self.rng.random_ratio(1, 3);
            let carried_out = !doubtful || self.rng.random_ratio(1, 2);
            let verdict = if doubtful { SendVerdict::InDoubt } else { SendVerdict::Taken };
            self.sends.push(UnmatchedSend::new(matched(number), Some(text), None, 0).with(verdict, false));
            self.said.push(text);
            self.carried_out.push(carried_out);
            if carried_out {
                let shows = row("", Direction::Outbound, 2, &self.rewritten(text));
                self.shown.push(Shown { row: shows, send: Some(number) });
            }
        }
    }

    /// Returns whether a row says what the bridge sent, or both are links: nothing tells them apart.
    fn may_be_the_bridges(&self, text: &str) -> bool {
        let is_link = text.starts_with("https://");
        self.said.iter().any(|said| *said == text || (is_link && said.contains("https://")))
    }

    /// Plays it and returns what broke a rule.
    fn play(&self, tally: &mut Tally) -> Vec<String> {
        let mut faults = Vec::new();
        let mut rows: Vec<AfilnetRow> = self.shown.iter().map(|shown| shown.row.clone()).collect();
        let attributed = |rows: &mut Vec<AfilnetRow>, open: OpenRow| {
            let open = vec![Some(open); rows.len()];
            attribute(rows, &open, self.sends.clone(), &self.account).0
        };
        for open in [OpenRow { flag_settled: false, due: false, ..LATER }, LATER] {
            let attributions = attributed(&mut rows, open);
            for (shown, attribution) in self.shown.iter().zip(&attributions) {
                let text = &shown.row.text;
                match (shown.send, attribution) {
                    (Some(send), Attribution::Foreign) => {
                        faults.push(format!("{:?} is somebody's {text:?}", self.said[send]));
                    }
                    (None, Attribution::Ours { .. } | Attribution::Explained) if !self.may_be_the_bridges(text) => {
                        faults.push(format!("{text:?} was typed, and is {attribution:?}"));
                    }
                    (_, Attribution::Undecided | Attribution::AwaitsFlag) if open.due => {
                        faults.push(format!("never decided: {text:?}"));
                    }
                    _ => {}
                }
            }
        }
        let attributions = attributed(&mut rows, OpenRow { flag_settled: false, due: false, ..LATER });
        for (number, send) in self.sends.iter().enumerate().filter(|(_, send)| send.verdict == SendVerdict::InDoubt) {
            let shows = |attribution: &Attribution| match attribution {
                Attribution::Ours { matched, .. } if *matched == send.matched => Shows::It,
                Attribution::Ours { .. } => Shows::Another,
                _ => Shows::Nothing,
            };
            let since = rows.iter().zip(&attributions).map(|(row, it)| RowSince { row, shows: shows(it) });
            let (standing, evidence) = standing(send, &since.collect::<Vec<_>>(), 0, &self.account);
            let carried_out = self.carried_out[number];
            match standing {
                SendStanding::Shown => tally.shown += 1,
                SendStanding::Undecidable => tally.undecidable += 1,
                SendStanding::Absent => tally.absent += 1,
            }
            // Of equal sends it is enough that as many rows show some of them.
            let alone = self.said.iter().filter(|said| **said == self.said[number]).count() == 1;
            if standing == SendStanding::Absent && carried_out && alone {
                faults.push(format!("{:?} was carried out and is absent: {evidence}", self.said[number]));
            }
            if standing == SendStanding::Shown && !carried_out && alone {
                faults.push(format!("{:?} was not carried out and is shown", self.said[number]));
            }
            if self.rewritings.is_empty() && !carried_out && alone && standing != SendStanding::Absent {
                faults.push(format!("{:?} is {standing:?} on a faithful account: {evidence}", self.said[number]));
            }
        }
        faults
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "it tells how often sends in doubt ended in which way")]
fn whatever_a_platform_rewrites_no_send_that_is_there_is_absent_and_no_row_of_the_bridge_somebodys() {
    let first = from_environment("BRIDGE_SEED", 1);
    let seeds = from_environment("BRIDGE_SEEDS", SEEDS);
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut faults = Vec::new();
    for seed in first..first + seeds {
        let conversation = Conversation::new(seed);
        let mut tally = Tally::default();
        let rewritings = &conversation.rewritings;
        let found = conversation.play(&mut tally);
        if std::env::var("BRIDGE_TRACE").is_ok() {
            println!("{:?}\n{:?} {:?}", conversation.account, conversation.said, conversation.carried_out);
            for Shown { row, send } in &conversation.shown {
                println!("  {send:?} {:?}", row.text);
            }
        }
        faults.extend(found.into_iter().map(|fault| format!("seed {seed} {rewritings:?}: {fault}")));
        let mut names: Vec<String> = rewritings.iter().map(|rewriting| format!("{rewriting:?}")).collect();
        if names.is_empty() {
            names.push("(faithful)".to_owned());
        }
        for name in names {
            let sum = tallies.entry(name).or_default();
            sum.shown += tally.shown;
            sum.undecidable += tally.undecidable;
            sum.absent += tally.absent;
        }
    }
    println!("{seeds} conversations from {first}; sends in doubt");
    println!("{:<24}{:>8}{:>13}{:>8}", "rewriting", "shown", "undecidable", "absent");
    for (name, Tally { shown, undecidable, absent }) in &tallies {
        println!("{name:<24}{shown:>8}{undecidable:>13}{absent:>8}");
    }
    assert!(faults.is_empty(), "{} fault(s), of which:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
}
