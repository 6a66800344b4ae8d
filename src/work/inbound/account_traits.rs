//! What the rows of sent messages have shown of a channel's account: kept in the store, cached here.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::AccountTraits;

/// The traits of one channel's account.
#[derive(Debug, Default)]
pub(in crate::work) struct SharedAccountTraits {
    shows_texts: AtomicBool,
    shows_files: AtomicBool,
}

impl SharedAccountTraits {
    /// Adds what the store holds: what was shown once stays so, in whichever order two reads end.
    pub(in crate::work) fn add(&self, account_traits: AccountTraits) {
        self.shows_texts.fetch_or(account_traits.shows_texts, Ordering::Relaxed);
        self.shows_files.fetch_or(account_traits.shows_files, Ordering::Relaxed);
    }

    /// Returns whether a row of a message that was certainly sent has ever been found, by its kind.
    pub(in crate::work) fn shows(&self, file: bool) -> bool {
        let texts = self.shows_texts.load(Ordering::Relaxed);
        texts && (!file || self.shows_files.load(Ordering::Relaxed))
    }
}
