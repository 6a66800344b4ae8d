//! Named points at which a test may end the process as `kill -9` would, in builds with the feature `crashpoints` alone.
//! `BRIDGE_CRASHPOINT="NAME, WHEN"` names one, such as `"settle, before its commit"`; the suffix `:3` means the third
//! time.

/// Before the transaction of an operation of the store is committed, and after.
pub const BEFORE_COMMIT: &str = "before its commit";
/// See [`BEFORE_COMMIT`].
pub const AFTER_COMMIT: &str = "after its commit";
/// Before the first byte of a call to a platform is sent, and after its response or its absence.
pub const BEFORE_CALL: &str = "before its call";
/// See [`BEFORE_CALL`].
pub const AFTER_CALL: &str = "after its call";

/// The operations of the store that write.
pub const OPERATIONS: &[&str] = &[
    "accept",
    "add_job",
    "begin",
    "cancel_job",
    "decide",
    "discard",
    "erase",
    "fail_stale",
    "fill_job",
    "follow_clock",
    "index_texts",
    "interrupted",
    "mark_dead",
    "note_deed",
    "note_unread",
    "notify_failed",
    "pause",
    "prepare_call",
    "probe",
    "published",
    "purge",
    "record",
    "record_lookup",
    "record_responses",
    "resolve",
    "resume",
    "resume_job",
    "retry",
    "set_paused_by",
    "settle",
    "stop_job",
    "take_baseline",
    "take_ownership",
    "work_job",
];

/// Those of a store that several processes share, in addition to [`OPERATIONS`].
pub const SHARED_OPERATIONS: &[&str] =
    &["acquire", "deregister", "heartbeat", "journal_responses", "release", "take_verdict"];

/// The calls to a platform: Afilnet's by their method, and the webhook.
pub const CALLS: &[&str] = &[
    "sendmessage",
    "sendfile",
    "getchats",
    "getmessages",
    "getunreadmessages",
    "getbalance",
    "getchatchannels",
    "webhook",
];

/// Ends the process here if the environment names this point.
#[cfg(not(feature = "crashpoints"))]
pub(crate) fn hit(_name: &str, _when: &str) {}

/// Ends the process here if the environment names this point.
#[cfg(feature = "crashpoints")]
pub(crate) fn hit(name: &str, when: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ORDER: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static HITS: AtomicU32 = AtomicU32::new(0);
    let order = ORDER.get_or_init(|| {
        let order = std::env::var("BRIDGE_CRASHPOINT").ok()?;
        let (point, nth) = order.rsplit_once(':').unwrap_or((&order, "1"));
        Some((point.to_owned(), nth.parse().ok()?))
    });
    let Some((point, nth)) = order else { return };
    if point.strip_prefix(name).and_then(|rest| rest.strip_prefix(", ")) == Some(when)
        && HITS.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        tracing::error!(point, "crash point reached: the process ends here");
        crate::telemetry::end("");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_that_writes_is_a_point_and_every_point_is_one() {
        let engine = [
            include_str!("store/sqlite/mod.rs"),
            include_str!("store/sqlite/bulk.rs"),
            include_str!("store/sqlite/operators.rs"),
        ];
        let named = |at: &str| at.split('"').nth(1).map(str::to_owned);
        let writes = |text: &'static str| {
            let calls = [".write(", ".run_and_notify("];
            calls.into_iter().flat_map(|call| text.match_indices(call)).filter_map(move |(at, _)| named(&text[at..]))
        };
        let mut found: Vec<String> = engine.into_iter().flat_map(writes).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, OPERATIONS);
    }

    #[test]
    fn every_operation_of_a_shared_store_is_a_point_too() {
        let shared = [
            include_str!("store/postgres/mod.rs"),
            include_str!("store/postgres/accept.rs"),
            include_str!("store/postgres/bulk.rs"),
            include_str!("store/postgres/leases.rs"),
            include_str!("store/postgres/notifier.rs"),
            include_str!("store/postgres/operators.rs"),
            include_str!("store/postgres/response_journal.rs"),
            include_str!("store/postgres/in_doubt_commits.rs"),
            include_str!("store/postgres/remote_verdicts.rs"),
        ];
        let named = |at: &str| at.split('"').nth(1).map(str::to_owned);
        let writes = |text: &'static str| {
            let calls = [".write(", ".write_owned("];
            calls.into_iter().flat_map(|call| text.match_indices(call)).filter_map(move |(at, _)| named(&text[at..]))
        };
        let mut found: Vec<String> = shared.into_iter().flat_map(writes).collect();
        found.sort_unstable();
        found.dedup();
        let mut all = [OPERATIONS, SHARED_OPERATIONS].concat();
        all.sort_unstable();
        assert_eq!(found, all);
    }
}
