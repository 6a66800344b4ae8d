//! Black box: the real binary on real sockets between the simulators, counted at their ledgers. The developer's loop: what
//! kills processes, takes minutes or needs crash points is in `tests/campaigns`.

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

mod alerts;
mod anna;
mod bulk;
mod bulk_half;
mod capture;
mod causes;
mod cli;
mod clock;
mod copy;
mod cuts;
mod destinations;
mod doctor;
mod early_answers;
mod echoes;
mod export;
mod failed_messages;
mod farside;
mod find;
mod first_run;
mod guards;
mod http_listener;
mod identity;
mod in_doubt;
mod inbound;
mod journey;
mod journey_lines;
mod learned;
mod live;
mod malformed;
mod metrics;
mod observers;
mod operators;
mod outage;
mod outbound;
mod page;
mod page_many;
mod page_pauses;
mod pauses;
mod people;
mod postgres;
mod proxy;
mod refusals;
mod reload;
mod repeat;
mod rewriting;
mod send;
mod stale;
mod stop;
mod store;
mod tail;
mod tls;
mod transports;
mod unconfirmed;
mod wrong_tokens;
