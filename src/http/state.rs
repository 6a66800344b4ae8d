//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use super::auth::Channels;
use super::dedup::ResponseTracker;
use super::received::ReceivedCalls;
use crate::domain::Language;
use crate::store::Store;

/// What the handlers share.
pub(super) struct AppState {
    pub(super) channels: Channels,
    pub(super) store: Arc<dyn Store>,
    pub(super) responses: Arc<ResponseTracker>,
    pub(super) calls: Arc<ReceivedCalls>,
    pub(super) answer_within: Duration,
    pub(super) body_limit_bytes: usize,
    pub(super) language: Language,
}
