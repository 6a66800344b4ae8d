//! The bridge between BonyChat custom channels and Afilnet chat.
//!
//! The modules, from the lowest layer up (`tests/house.rs` enforces which may use which):
//!
//! | Layer | Module | What it is for |
//! | --- | --- | --- |
//! | 0 | `domain` | ids, content, verdicts: values that cannot be wrong, and rules without I/O |
//! | 0 | `crashpoint` | where a test may end the process, in builds made for that |
//! | 1 | `config`, `telemetry` | what an operator sets, and what an operator reads |
//! | 2 | `store`, `bonychat`, `afilnet`, `anna` | durable storage, and one module for each platform's wire |
//! | 3 | `ops` | what operators ask and decide, on the store: the verbs that commands and pages share; `bridge doctor` |
//! | 3 | `http`, `work` | the HTTP listeners for BonyChat and for operators; the loops: sender, reconciler, poller, publisher |
//! | 4 | `app`, `lifecycle`, `sim` | assembles and runs the bridge; both platforms simulated |
//! | 4 | `bench` | what a durable accept costs on this machine |
//! | 5 | `cli` | the command line; `main` only calls it |
//! | | `testkit` | what unit tests of several modules need; built for them alone |

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests have clocks and HTTP clients of their own"))]

pub mod app;
pub mod bench;
pub mod cli;
pub mod config;
pub mod crashpoint;
pub mod lifecycle;
pub mod sim;
pub mod telemetry;

mod afilnet;
mod anna;
mod bonychat;
mod domain;
mod http;
mod ops;
mod store;
#[cfg(test)]
pub mod testkit;
mod work;
