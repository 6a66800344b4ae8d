//! Both platforms and AnnA, simulated: the backend of black-box tests, of the demo and of `bridge simulate`.
//!
//! [`afilnet::Afilnet`] and [`bonychat::BonyChat`] keep ledgers of what reached them, so that a test can compare whole
//! conversations on both sides. They use none of the bridge's wire rooms: a misreading of the contracts there must not
//! be repeated here. People and other programs drive them over HTTP ([`control`]).

pub mod afilnet;
pub mod anna;
pub mod bonychat;
pub mod control;
pub mod demo;

mod faults;
mod form;
mod latency;
mod seeded_rng;
mod server;
mod simulate;
mod switchable_listener;
#[cfg(test)]
mod tests;
mod wire;

pub use faults::{BadRule, Fault, FaultKind, FaultRule, When};
pub use latency::{BadLatency, Latency};
pub use simulate::{SimulateArgs, simulate};
