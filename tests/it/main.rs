//! Black box: the real binary on real sockets between the simulators, counted at their ledgers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests talk to whoever runs them")]

mod cli;
mod crash;
mod door;
mod doubts;
mod guards;
mod inbound;
mod outbound;
mod postgres;
mod stop;
mod support;
mod switches;
mod tls;
