//! What happens as it happens, for an operator beside a running bridge.

use crate::domain::find::Side;
use crate::domain::journey::Step;

/// Where a look at what happened begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailFrom {
    /// Messages and events with greater ids are new.
    pub(crate) outbound_id: i64,
    pub(crate) event_id: i64,
    /// What ended, or took a step, at that time or later.
    pub(crate) since_ms: i64,
    /// Rows of each kind that it takes, at most: the newest.
    pub(crate) most: u32,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailEntry {
    pub(crate) side: Side,
    /// Id of the message or event.
    pub(crate) id: i64,
    pub(crate) at_ms: i64,
    pub(crate) channel: String,
    pub(crate) contact: String,
    pub(crate) m_id: String,
    pub(crate) what: TailStep,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TailStep {
    /// A message was accepted, or an event recorded, of this kind.
    Stored { kind: String },
    /// It ended in this state.
    Ended { state: String, fault: Option<String> },
    /// A step of its journey, so often in a row; `None`: of a kind that this version does not know.
    Step { step: Option<Step>, times: u32 },
}

/// What happened since a [`TailFrom`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tailed {
    /// In the order of time.
    pub(crate) all: Vec<TailEntry>,
    /// There was more than one look takes: where one that leaves the rest out begins.
    pub(crate) cut: bool,
    /// Where it is cut: how much was stored and ended since then, without steps; at least so much.
    pub(crate) happened: u64,
    /// The newest ids.
    pub(crate) newest_outbound_id: i64,
    pub(crate) newest_event_id: i64,
}
