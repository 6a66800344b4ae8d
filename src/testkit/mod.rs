//! What the unit tests of several rooms need; built for them alone. It names no room.
//!
//! `tests/support` includes [`postgres`] by its path: black-box tests do not see what is built for unit tests.

pub(crate) mod captured_log;
pub(crate) mod fuzz_input;
pub mod postgres;
pub(crate) mod rewriting;
