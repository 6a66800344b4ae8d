//! What the store tells operators, and what they ask of it.

/// How much of one channel waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Its name as it was when the messages came.
    pub(crate) channel: String,
    /// Outbound messages.
    pub(crate) outbound: u64,
    /// Conversations with events to publish.
    pub(crate) events: u64,
}

/// How deep the queues of one channel are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QueueDepth {
    pub(crate) channel: String,
    /// Outbound messages that wait or are under way.
    pub(crate) outbound: u64,
    /// Since when the oldest of those waits.
    pub(crate) oldest_ms: Option<i64>,
    /// Events to publish.
    pub(crate) events: u64,
    /// Outbound messages whose outcome a person must settle.
    pub(crate) unconfirmed: u64,
}

/// One outbound message for a person's eyes.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct ListedMessage {
    pub(crate) m_id: String,
    pub(crate) channel: String,
    pub(crate) contact: String,
    pub(crate) state: String,
    pub(crate) kind: String,
    pub(crate) attempt: i64,
    pub(crate) accepted_ms: i64,
    pub(crate) done_ms: Option<i64>,
    pub(crate) fault: Option<String>,
}

/// What a person's command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManualOutcome {
    /// It was done to the outbound message.
    Message,
    /// It was done to so many events.
    Events(usize),
    /// Its text is gone: nothing can go out any more.
    Wiped,
    /// It is in this state, in which it cannot be done.
    Not(String),
    /// Nothing bears this id.
    Missing,
}

/// What an agent is told of a message that a person discards while it waits.
#[derive(Debug, Clone)]
pub(crate) struct DiscardNotices {
    pub(crate) not_sent: String,
    pub(crate) perhaps_sent: String,
}

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) state: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) limit: u32,
}

/// Events of one channel that were given up for one reason and can be posted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) channel: String,
    /// Code of the last fault.
    pub(crate) fault: String,
    pub(crate) events: u64,
}
