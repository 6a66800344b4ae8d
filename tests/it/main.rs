//! Black box: the real binary on real sockets between the simulators, counted at their ledgers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests talk to whoever runs them")]
#![expect(clippy::disallowed_methods, reason = "tests have clocks of their own")]

mod anna;
mod broadcast;
mod cli;
mod cluster;
#[cfg(feature = "crashpoints")]
mod cluster_crashpoints;
mod cluster_repeats;
mod connections;
mod copy;
mod crash;
#[cfg(feature = "crashpoints")]
mod crashpoints;
mod disk;
mod door;
mod doubts;
mod early_answers;
mod echoes;
mod erase;
mod farside;
mod faults;
mod first_run;
mod guards;
mod identity;
mod inbound;
mod malformed;
mod metrics;
mod observers;
mod outage;
mod outbound;
mod person;
mod postgres;
mod process;
mod proxy;
mod recovery;
mod refusals;
mod reload;
mod repeat;
mod send;
mod stop;
mod store;
mod store_files;
mod support;
mod switches;
mod times;
mod tls;
mod workload;
mod wrong_tokens;
