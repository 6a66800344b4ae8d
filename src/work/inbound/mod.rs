//! Inbound: conversations at Afilnet are polled and read, and what is new in them is stored as events.

pub(super) mod classify;
pub(super) mod initial_snapshot;
pub(super) mod poller;
pub(super) mod reader;
pub(super) mod receipts;

#[cfg(test)]
mod simulation;
