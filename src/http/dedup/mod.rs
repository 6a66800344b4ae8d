//! Deduplication of calls without a key. BonyChat sends no key, so a repeat differs from a second equal message only by
//! whether the response to the first was received (bonychat.md A29): the tracker holds each response until that is
//! known, and the connection reports it.

mod connection;
mod standstill;
mod tracker;

pub(in crate::http) use connection::{Connection, TrackConnections};
pub(crate) use tracker::ResponseTracker;
pub(in crate::http) use tracker::{CallerConnection, PendingResponse};
