//! Names for contacts that may stand in the log.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::ContactId;

/// Whether contacts are written as they are. Off until `init` has read `log.contacts`.
static IN_FULL: AtomicBool = AtomicBool::new(false);

/// Characters at the end that stay.
const SHOWN: usize = 3;
/// Shorter ids would show too much of themselves.
const TOO_SHORT: usize = 5;

pub(super) fn show_in_full(full: bool) {
    IN_FULL.store(full, Ordering::Relaxed);
}

/// A contact's name of either platform, written as `log.contacts` says.
pub(crate) struct Masked<'a>(pub(crate) &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if IN_FULL.load(Ordering::Relaxed) { f.write_str(self.0) } else { mask(self.0, f) }
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `+34600111222` as `+********222`: a `+` in front and the last three characters stay, and the length.
pub(super) fn mask(name: &str, out: &mut impl fmt::Write) -> fmt::Result {
    let length = name.chars().count();
    name.chars().enumerate().try_for_each(|(at, c)| {
        let shown = length >= TOO_SHORT && (at + SHOWN >= length || (at == 0 && c == '+'));
        out.write_char(if shown { c } else { '*' })
    })
}

/// How a contact stands in the log.
pub(crate) fn contact(id: &ContactId) -> impl fmt::Display + fmt::Debug + '_ {
    Masked(id.as_str())
}
