//! Both platforms and AnnA, simulated: the backend of black-box tests, of the demo and of `bridge simulate`.
//!
//! [`afilnet::Afilnet`] and [`bonychat::BonyChat`] keep ledgers of what reached them, so that a test can compare whole
//! conversations on both sides. Nothing in them uses the rooms of the bridge: what the bridge misreads in the contracts
//! must not be misread here in the same way. People and other programs drive them over HTTP ([`control`]).

pub mod afilnet;
pub mod anna;
pub mod bench;
pub mod bonychat;
pub mod control;
pub mod demo;
pub mod postgres;

mod faults;
mod form;
mod latency;
mod seeded_rng;
mod simulate;
mod switchable_listener;
#[cfg(test)]
mod tests;
mod wire;

pub use faults::{BadRule, Fault, FaultKind, Rule, When};
pub use latency::{BadLatency, Latency};
pub use simulate::{SimulateArgs, simulate};
