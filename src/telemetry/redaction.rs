//! Names for contacts that may stand in the log.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{ContactId, Destination};

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
        if IN_FULL.load(Ordering::Relaxed) { f.write_str(self.0) } else { redaction(self.0, f) }
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `+34600111222` as `+********222`: a `+` in front and the last three characters stay, and the length.
pub(super) fn redaction(name: &str, out: &mut impl fmt::Write) -> fmt::Result {
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

/// Characters of a caller's path that go to the log.
const PATH_CHARS: usize = 100;
/// Characters of a caller's request id that go to the log.
const ID_CHARS: usize = 64;
/// An id with more digits in a row may be a phone number.
const MOST_DIGITS: usize = 4;
/// An id of hexadecimal digits alone is that of a machine from this length on.
const MACHINE_ID_CHARS: usize = 16;

/// A path that a caller chose, without its digits: they may be a phone number.
pub(crate) fn foreign_path(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphabetic() || "/-_.~".contains(c) { c } else { '?' };
    path.chars().take(PATH_CHARS).map(|c| if c.is_ascii_digit() { '*' } else { plain(c) }).collect()
}

/// A request id that a caller or its proxy chose. One that a machine made stays, so that lines of the proxy's log can be
/// found by it; digits of any other are masked, as they may be a phone number.
pub(crate) fn foreign_id(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:;=".contains(c) { c } else { '?' };
    let id: String = id.chars().take(ID_CHARS).map(plain).collect();
    let hexadecimal = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        && id.len() >= MACHINE_ID_CHARS
        && id.chars().any(|c| c.is_ascii_alphabetic());
    let longest = id.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default();
    if hexadecimal || longest <= MOST_DIGITS { id } else { id.replace(|c: char| c.is_ascii_digit(), "*") }
}

/// Endings of WhatsApp's ids. They tell what a destination is and nothing of whose.
const ENDINGS: &[&str] = &["@lid", "@g.us", "@c.us", "@s.whatsapp.net", "@broadcast", "@newsletter"];

/// How Afilnet's name of a contact stands in the log.
pub(crate) fn destination(id: &Destination) -> String {
    let id = id.as_str();
    let ending = ENDINGS.iter().find(|ending| id.ends_with(**ending)).copied().unwrap_or_default();
    format!("{}{ending}", Masked(&id[..id.len() - ending.len()]))
}
