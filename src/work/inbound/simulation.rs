//! Everything that is decided about rows and sends, against a world that rewrites: sends with all verdicts, customers,
//! an agent in Afilnet's panel, lags, windows, and rewritings composed at random. The store alone is a model.
//!
//! `BRIDGE_SEED=17 BRIDGE_SEEDS=1 cargo test --lib -- --nocapture a_world_that_rewrites` plays one seed again;
//! `BRIDGE_SEEDS=100000` plays so many.

#![expect(clippy::print_stdout, reason = "it tells how often each rewriting ended in which way")]

mod bridge;
mod world;

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use self::world::{Outcome, World};
use crate::testkit::rewriting::{composed, from_environment};

/// Seeds that are played where nothing else is asked for.
const SEEDS: u64 = 60;

/// How often each rewriting ended how.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    worlds: u64,
    confirmed: u64,
    unconfirmed: u64,
    repeated: u64,
    explained: u64,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.worlds += 1;
        self.confirmed += outcome.confirmed;
        self.unconfirmed += outcome.unconfirmed;
        self.repeated += outcome.repeated;
        self.explained += outcome.explained;
    }
}

#[test]
fn a_world_that_rewrites_is_told_nothing_twice_and_loses_nothing() {
    let first = from_environment("BRIDGE_SEED", 1);
    let seeds = from_environment("BRIDGE_SEEDS", SEEDS);
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut faults: Vec<String> = Vec::new();
    for seed in first..first + seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let rewritings = composed(&mut rng);
        let outcome = World::new(rng, rewritings.clone()).play();
        faults.extend(outcome.faults.iter().map(|fault| format!("seed {seed} {rewritings:?}: {fault}")));
        if rewritings.is_empty() && outcome.unconfirmed > 0 {
            faults.push(format!(
                "seed {seed}: a faithful account leaves nothing unconfirmed, and {} are",
                outcome.unconfirmed
            ));
        }
        if rewritings.is_empty() {
            tallies.entry("(faithful)".to_owned()).or_default().add(&outcome);
        }
        if outcome.list_cut {
            tallies.entry("(list cut)".to_owned()).or_default().add(&outcome);
        }
        for rewriting in &rewritings {
            tallies.entry(format!("{rewriting:?}")).or_default().add(&outcome);
        }
    }
    println!("{seeds} seeds from {first}; in doubt and then …");
    println!(
        "{:<24}{:>8}{:>11}{:>13}{:>10}{:>11}",
        "rewriting", "worlds", "confirmed", "unconfirmed", "repeated", "explained"
    );
    for (name, Tally { worlds, confirmed, unconfirmed, repeated, explained }) in &tallies {
        println!("{name:<24}{worlds:>8}{confirmed:>11}{unconfirmed:>13}{repeated:>10}{explained:>11}");
    }
    assert!(faults.is_empty(), "{} fault(s), of which:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
}
