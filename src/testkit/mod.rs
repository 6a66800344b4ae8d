//! What the unit tests of several rooms need; built for them alone. It names no room.

pub(crate) mod fuzz_input;
