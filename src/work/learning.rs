//! What this process has learned about a channel's account from the rows of its own messages: in the store for good, and
//! here at hand, with the numbers that tell how well rows and messages agree.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::store::Learned;

/// One channel's.
#[derive(Debug, Default)]
pub(super) struct Learning {
    shows_texts: AtomicBool,
    shows_files: AtomicBool,
    settle_lag_ms: AtomicI64,
    calls: AtomicU64,
    claimed: AtomicU64,
    doubtful: AtomicU64,
    gaps: AtomicU64,
}

impl Learning {
    /// What the store knows by now.
    pub(super) fn set(&self, learned: Learned) {
        self.shows_texts.store(learned.shows_texts, Ordering::Relaxed);
        self.shows_files.store(learned.shows_files, Ordering::Relaxed);
        self.settle_lag_ms.store(learned.settle_lag_ms, Ordering::Relaxed);
    }

    /// Whether a row of a call that surely was made has ever been found, by its kind.
    pub(super) fn shows(&self, file: bool) -> bool {
        let texts = self.shows_texts.load(Ordering::Relaxed);
        texts && (!file || self.shows_files.load(Ordering::Relaxed))
    }

    /// One call of ours was taken by Afilnet.
    pub(super) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// So many rows were found to show calls of ours, and so many may.
    pub(super) fn count_rows(&self, claimed: usize, doubtful: usize) {
        self.claimed.fetch_add(claimed as u64, Ordering::Relaxed);
        self.doubtful.fetch_add(doubtful as u64, Ordering::Relaxed);
    }

    /// A read did not go on where the one before it ended.
    pub(super) fn count_gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that Afilnet took, rows that were found to show one, rows that may show one.
    pub(super) fn correlation(&self) -> (u64, u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.calls), load(&self.claimed), load(&self.doubtful))
    }

    pub(super) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Longest time after its sending that a row was seen not to show.
    pub(super) fn settle_lag_ms(&self) -> i64 {
        self.settle_lag_ms.load(Ordering::Relaxed)
    }
}
