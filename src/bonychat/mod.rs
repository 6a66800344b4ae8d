//! BonyChat's wire, both ways.

mod files;
pub(crate) mod wire;
