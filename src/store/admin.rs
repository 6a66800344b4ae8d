//! What operators read from the store and do with it.

/// What waits in one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Name of the channel when the messages arrived.
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
    /// Outbound messages that are queued or being sent.
    pub(crate) outbound: u64,
    /// When the oldest of those was accepted.
    pub(crate) oldest_ms: Option<i64>,
    /// Events to publish.
    pub(crate) events: u64,
    /// Outbound messages that an operator must settle.
    pub(crate) unconfirmed: u64,
    /// Events that were given up and can be posted again.
    pub(crate) dead_events: u64,
}

/// One outbound message as commands list it.
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
    /// When an operator noted that nobody can tell what became of it; only while it is unconfirmed.
    pub(crate) noted_ms: Option<i64>,
    /// When it is tried or looked up next; only of one that waits, and where one message is asked for, as what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_ms: Option<i64>,
    /// The part that is sent next, was sent last, or is in doubt.
    #[serde(skip)]
    pub(crate) part: u32,
    /// When the last attempt began.
    #[serde(skip)]
    pub(crate) began_ms: i64,
    /// What each look showed while its outcome was unknown, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) looks: Vec<String>,
}

/// mId, channel, contact, state, kind, attempts, when it was stored, when it was done, fault, when it was noted.
pub(super) type ListedRow =
    (String, String, String, String, String, i64, i64, Option<i64>, Option<String>, Option<i64>);

impl From<ListedRow> for ListedMessage {
    fn from((m_id, channel, contact, state, kind, attempt, accepted_ms, done_ms, fault, noted_ms): ListedRow) -> Self {
        // A held one differs from an unconfirmed one by having no end time.
        let state = if state == "held" { "unconfirmed".into() } else { state };
        Self {
            m_id,
            channel,
            contact,
            state,
            kind,
            attempt,
            accepted_ms,
            done_ms,
            fault,
            noted_ms,
            next_ms: None,
            part: 0,
            began_ms: 0,
            looks: Vec::new(),
        }
    }
}

impl ListedMessage {
    /// Returns its state as it is shown; only where one message was asked for. The same state later is another one: `attempt`
    /// starts again with each part and where a person retries, so the part and the times tell them apart; that of the end also
    /// tells `held`, which has none, from `unconfirmed`.
    pub(crate) fn seen(&self) -> ShownState {
        let Self { state, part, attempt, began_ms, done_ms, noted_ms, .. } = self;
        let time = |at_ms: Option<i64>| at_ms.map_or_else(|| "none".to_owned(), |at_ms| at_ms.to_string());
        ShownState(format!("{state}-{part}-{attempt}-{began_ms}-{}-{}", time(*done_ms), time(*noted_ms)))
    }
}

/// The state of a message that a person has seen ([`ListedMessage::seen`]), or what a form says that it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownState(String);

impl ShownState {
    /// Returns what a form says; of what no page has shown, no message is.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person decides on: a message, or the dead events of an mId.
#[derive(Debug, Clone)]
pub(crate) struct DecisionTarget {
    pub(crate) m_id: String,
    /// The decision is on this state alone: in another nothing is changed, and the store returns `Stale`.
    pub(crate) seen: Option<ShownState>,
}

impl From<String> for DecisionTarget {
    fn from(m_id: String) -> Self {
        Self { m_id, seen: None }
    }
}

/// Result of an operator's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManualOutcome {
    /// Done to the outbound message.
    Message,
    /// Done to this number of events.
    Events(usize),
    /// Its text is erased: it cannot be sent.
    Wiped,
    /// Not possible in this state.
    Not(String),
    /// No message or event has this id.
    Missing,
}

/// Notices for the agent of a message that is discarded while it is queued.
#[derive(Debug, Clone)]
pub(crate) struct DiscardNotices {
    pub(crate) not_sent: String,
    pub(crate) perhaps_sent: String,
}

/// Which messages a test lists.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) state: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) limit: u32,
}

/// Dead events of one channel with the same fault that can be posted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) channel: String,
    /// Code of the last fault.
    pub(crate) fault: String,
    pub(crate) events: u64,
}
