//! Calls whose commit was not answered: each was answered 503, so its answer is lost, but its message may be stored. Nobody
//! can ask the server then and there; the next call to the same contact says so in its own transaction, before it looks
//! whether it is a repeat.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answers::REPEAT_WITHIN_MS;
use crate::domain::{ChannelName, ContactId, MId};
use crate::store::{Accepted, NewOutbound, StoreError};

type Conversation = (ChannelName, ContactId);

/// Answers that are lost and that the server may not know of, by conversation; with the time of the call.
#[derive(Default)]
pub(super) struct Unsure(Mutex<HashMap<Conversation, Vec<(MId, i64)>>>);

/// A call to be kept.
pub(super) struct Call {
    pub(super) message: NewOutbound,
    /// Answers lost before it, in the same conversation.
    pub(super) lost: Vec<MId>,
    /// The message that it is answered with.
    kept: Mutex<Option<MId>>,
    unsure: Arc<Unsure>,
}

impl Unsure {
    pub(super) fn call(self: &Arc<Self>, message: NewOutbound) -> Call {
        let of = (message.channel.clone(), message.contact.clone());
        let lost = self.all().get(&of).map(|lost| lost.iter().map(|(m_id, _)| m_id.clone()).collect());
        Call { message, lost: lost.unwrap_or_default(), kept: Mutex::default(), unsure: Arc::clone(self) }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Conversation, Vec<(MId, i64)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// The message that it is answered with, should the commit stand.
    pub(super) fn keeps(&self, m_id: &MId) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(m_id.clone());
    }

    /// What came of it. Before the caller is told: it may call again at once.
    pub(super) fn over(&self, outcome: &Result<Accepted, StoreError>) {
        let of = || (self.message.channel.clone(), self.message.contact.clone());
        if outcome.is_ok() && !self.lost.is_empty() {
            let mut all = self.unsure.all();
            if let Some(lost) = all.get_mut(&of()) {
                lost.retain(|(m_id, _)| !self.lost.contains(m_id));
            }
            all.retain(|_, lost| !lost.is_empty());
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Err(error), Some(m_id)) = (outcome, kept)
            && error.may_stand()
        {
            let mut all = self.unsure.all();
            let since_ms = self.message.accepted_ms - REPEAT_WITHIN_MS;
            all.values_mut().for_each(|lost| lost.retain(|(_, at_ms)| *at_ms >= since_ms));
            all.retain(|_, lost| !lost.is_empty());
            all.entry(of()).or_default().push((m_id, self.message.accepted_ms));
        }
    }
}
