//! What the rows of sends that were certainly taken have shown of an account.

use super::likeness::{Features, Likeness, RowWords, SendForms};

/// A row that took so long to show is late: others may come up before it.
const LATE_MS: i64 = 5000;

/// How a channel's account shows what the bridge sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "traits that have nothing to do with each other")]
pub(crate) struct AccountTraits {
    /// Rows of texts that were certainly sent were found.
    pub(crate) shows_texts: bool,
    /// The same of files.
    pub(crate) shows_files: bool,
    /// Longest time after its sending that a row was seen not to show.
    pub(crate) settle_lag_ms: i64,
    /// Of these it has shown sends word for word, and rewritten none since.
    pub(crate) verbatim: Features,
    /// Of these it has shown sends in other words.
    pub(crate) rewritten: Features,
    /// A row of the bridge bore the flag of the customer's at first.
    pub(crate) late_flags: bool,
    /// Rows of the bridge bore the business's flag at once, and none ever did not.
    pub(crate) prompt_flags: bool,
}

impl AccountTraits {
    /// Returns whether a row of such a send has ever been found.
    pub(crate) fn shows(&self, send: &SendForms) -> bool {
        self.shows_texts && (!send.is_file() || self.shows_files)
    }

    /// Returns whether it shows such a send word for word.
    pub(super) fn is_faithful_to(&self, send: &SendForms) -> bool {
        self.shows(send) && self.verbatim.holds(send.features())
    }

    /// How much a row of it is like a send.
    pub(super) fn likeness(&self, send: &SendForms, row: &RowWords) -> Likeness {
        send.likeness(row, self.is_faithful_to(send))
    }

    /// Whether it is known to rewrite something that such a send holds, and not to show rows late: what is like a send and
    /// comes up after it is then that.
    pub(super) fn rewrites_promptly(&self, send: &SendForms) -> bool {
        self.rewritten.meets(send.features().rewritable()) && self.settle_lag_ms < LATE_MS
    }

    /// Whether a row with the customer's flag may be a send: anything that is like it, unless flags are known to come at
    /// once. For files and links alone only another link, or nothing yet: short words are the customer's.
    pub(super) fn may_be_flagged_late(&self, send: &SendForms, row: &RowWords) -> bool {
        match self.likeness(send, row) {
            _ if self.prompt_flags => false,
            Likeness::Equal => true,
            Likeness::Unlike => false,
            _ if send.is_within(row) => true,
            _ if row.is_blank() => send.is_file() || send.is_silent(),
            _ if send.is_file() || send.is_one_link() => row.is_one_link(),
            // Customers answer in words of the question.
            Likeness::Same | Likeness::Strong | Likeness::Weak => send.is_silent() || !send.is_much_longer_than(row),
        }
    }

    /// Returns the features that are shown verbatim and rewritten, once a row has shown a send with these, word for word or not.
    pub(crate) fn learned(&self, features: Features, verbatim: bool) -> (Features, Features) {
        let rewritable = features.rewritable();
        if verbatim {
            (self.verbatim.with(features), self.rewritten.without(rewritable))
        } else {
            (self.verbatim.without(rewritable), self.rewritten.with(rewritable))
        }
    }
}
