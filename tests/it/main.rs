//! Black box: the real binary on real sockets between the simulators, counted at their ledgers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests talk to whoever runs them")]

mod cli;
mod crash;
mod door;
mod guards;
mod inbound;
mod metrics;
mod outage;
mod outbound;
mod person;
mod stop;
mod store;
mod support;
mod switches;
mod times;
mod tls;
