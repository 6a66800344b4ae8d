//! What an operator wants to know of the engine beneath a store.

use std::time::Duration;

/// The engine, as it was examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Examination {
    /// Its name and version.
    pub(crate) engine: String,
    /// What its own check of the data found.
    pub(crate) data: DataCheck,
    /// `None` if the engine is part of this process.
    pub(crate) server: Option<DatabaseServer>,
}

/// What an engine's own check of its data found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataCheck {
    /// Nothing, or it has no such check.
    Sound,
    /// This fault.
    Damaged(String),
    /// It was ended because it took too long.
    NotFinished,
}

/// A database server that other programs may use too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseServer {
    /// 150004 for 15.4.
    pub(crate) version: i64,
    /// `UTF8`, for example.
    pub(crate) encoding: String,
    /// Connections that it can still accept.
    pub(crate) connections_left: i64,
    /// Time of one question and its answer.
    pub(crate) round_trip: Duration,
    /// It may be another than the one that is meant: it is elsewhere and need not prove its identity.
    pub(crate) unverified: bool,
    /// A pooler stands before it that gives each transaction any of its processes.
    pub(crate) pooler: bool,
    /// Its clock, in epoch milliseconds.
    pub(crate) clock_ms: i64,
}
