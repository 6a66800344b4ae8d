//! Campaigns: kills at random moments and at every crash point, clusters, full disks, long outages, broadcasts, hostile
//! crowds. Black box like `tests/it`, and beside it because they take minutes.
//!
//! `cargo test --features crashpoints --test campaigns`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests talk to whoever runs them")]
#![expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]
#![expect(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    reason = "shared support is public, so that no target warns of what only the other uses"
)]

#[path = "../support/mod.rs"]
pub mod support;

mod broadcast;
mod cluster;
mod cluster_crashpoints;
mod cluster_repeats;
mod connections;
mod copy;
mod crash;
mod crashpoints;
mod disk;
mod erase;
mod faults;
mod finder;
mod live;
mod observers;
mod outage;
mod quotes;
mod recovery;
mod refusals;
mod store_files;
mod switches;
