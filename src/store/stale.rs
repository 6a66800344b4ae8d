//! Which messages waited for too long.

use super::Epoch;
use crate::domain::{ChannelName, ContactId, MId};

/// Applies to messages that are queued, of which no attempt may have sent anything, and that no person has had sent again.
#[derive(Debug, Clone)]
pub(crate) struct StaleRule {
    /// Those that were accepted before.
    pub(crate) before_ms: i64,
    /// What their agents are told.
    pub(crate) notice: String,
}

/// Where [`StaleRule`] is applied to what waits, whether anything may be begun or not.
#[derive(Debug, Clone)]
pub(crate) struct StaleQuery {
    pub(crate) channel: ChannelName,
    pub(crate) epoch: Epoch,
    pub(crate) rule: StaleRule,
}

/// A message that failed by the rule.
#[derive(Debug, Clone)]
pub(crate) struct StaleMessage {
    pub(crate) m_id: MId,
    pub(crate) contact: ContactId,
    pub(crate) accepted_ms: i64,
}
