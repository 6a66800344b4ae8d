//! What is known of a channel's account from the rows of our own messages: in the store for good, and here at hand.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::Learned;

/// One channel's.
#[derive(Debug, Default)]
pub(in crate::work) struct Learning {
    shows_texts: AtomicBool,
    shows_files: AtomicBool,
}

impl Learning {
    /// What the store knows by now.
    pub(in crate::work) fn set(&self, learned: Learned) {
        self.shows_texts.store(learned.shows_texts, Ordering::Relaxed);
        self.shows_files.store(learned.shows_files, Ordering::Relaxed);
    }

    /// Whether a row of a call that surely was made has ever been found, by its kind.
    pub(in crate::work) fn shows(&self, file: bool) -> bool {
        let texts = self.shows_texts.load(Ordering::Relaxed);
        texts && (!file || self.shows_files.load(Ordering::Relaxed))
    }
}
