//! Outbound: stored messages are sent to Afilnet; those whose outcome is unknown are looked up there.

mod expansion;
mod outcome;
pub(super) mod reconciler;
pub(super) mod sender;
pub(super) mod stale;
