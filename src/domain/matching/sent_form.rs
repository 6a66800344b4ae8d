//! The words of a call that was sent with placeholders filled in, as far as they are kept: a keyed digest of their normal
//! form, never the words, which may hold a link that signs its holder in (anna.md section 8). Pure.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a key.
const KEY: usize = 16;
/// Bytes of a digest that are kept.
const DIGEST: usize = 24;

/// A keyed digest of the words of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentForm {
    /// Which call of its message, from 0.
    pub(crate) part: u32,
    key: [u8; KEY],
    digest: [u8; DIGEST],
}

/// A stored form that does not decode.
#[derive(Debug, thiserror::Error)]
#[error("not the digest of a call's words")]
pub(crate) struct BadSentForm;

impl SentForm {
    /// The digest of these words in their normal form. `key` is random: equal words have different digests.
    pub(super) fn new(part: u32, key: [u8; KEY], normal: &str) -> Self {
        Self { part, key, digest: digest(key, normal) }
    }

    /// Whether a row with these words in their normal form shows the call.
    pub(super) fn is(&self, normal: &str) -> bool {
        digest(self.key, normal) == self.digest
    }
}

fn digest(key: [u8; KEY], normal: &str) -> [u8; DIGEST] {
    let mut digest = [0; DIGEST];
    // A key of any length is taken.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) {
        mac.update(normal.as_bytes());
        digest.copy_from_slice(&mac.finalize().into_bytes()[..DIGEST]);
    }
    digest
}

impl fmt::Display for SentForm {
    /// The stored form: part, key and digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.part)?;
        self.key.iter().chain(&self.digest).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SentForm {
    type Err = BadSentForm;
    fn from_str(text: &str) -> Result<Self, BadSentForm> {
        let (part, digits) = text.split_once(':').ok_or(BadSentForm)?;
        let mut bytes = [0; KEY + DIGEST];
        if digits.len() != 2 * bytes.len() || !digits.is_ascii() {
            return Err(BadSentForm);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| BadSentForm)?;
        }
        let (mut key, mut digest) = ([0; KEY], [0; DIGEST]);
        key.copy_from_slice(&bytes[..KEY]);
        digest.copy_from_slice(&bytes[KEY..]);
        Ok(Self { part: part.parse().map_err(|_| BadSentForm)?, key, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_outlives_its_stored_form_and_holds_nothing_of_the_words() {
        let form = SentForm::new(3, [7; KEY], "see https://x.test/?u=secret");
        let stored = form.to_string();
        assert_eq!(stored.parse::<SentForm>().unwrap(), form);
        assert!(!stored.contains("secret") && stored.len() < 90, "{stored}");
        assert!(form.is("see https://x.test/?u=secret") && !form.is("see https://x.test/?u=other"));
        assert_ne!(SentForm::new(3, [8; KEY], "a").to_string(), SentForm::new(3, [7; KEY], "a").to_string());
        for bad in ["", "3", "3:", "x:00", &stored[..stored.len() - 1], &stored.replace(':', ":zz")] {
            assert!(bad.parse::<SentForm>().is_err(), "{bad}");
        }
    }
}
