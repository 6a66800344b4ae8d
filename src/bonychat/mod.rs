//! BonyChat's wire, both ways.

mod event;
mod files;
pub(crate) mod inbound;
pub(crate) mod wire;

pub(crate) use self::event::event_body;
