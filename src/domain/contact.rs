//! One contact, two names: BonyChat's contact id and Afilnet's destination, and the way between them.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::ids::{BadId, CONTACT_ID_SIGNS};
use super::{ContactId, Destination};

/// Digits of a phone number, country code included.
pub(crate) const PHONE_DIGITS: RangeInclusive<usize> = 8..=15;

/// What a channel's contact ids hold (bonychat.md section 1, step 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdType {
    /// `+` and 8 to 15 digits; Afilnet's side is the digits alone.
    Phone,
    /// Afilnet's destination under a reversible escape.
    Custom,
}

impl IdType {
    /// The one form of a contact id as BonyChat sends it, whatever its spelling: for a phone with or without `+`, a
    /// leading `00`, spaces (bonychat.md A5); a custom id as it came (A6).
    pub(crate) fn contact(self, spelled: &str) -> Result<ContactId, BadId> {
        match self {
            Self::Phone => format!("+{}", phone_digits(spelled)?).parse(),
            Self::Custom => spelled.parse(),
        }
    }

    /// BonyChat's name of what Afilnet calls `destination`.
    pub(crate) fn contact_of(self, destination: &Destination) -> Result<ContactId, BadId> {
        match self {
            Self::Phone => self.contact(destination.as_str()),
            Self::Custom => escape(destination.as_str())
                .parse()
                .map_err(|_| BadId { rule: "a destination's custom contact id must fit into 50 characters" }),
        }
    }

    /// Afilnet's name of `contact`.
    pub(crate) fn destination_of(self, contact: &ContactId) -> Result<Destination, BadId> {
        match self {
            Self::Phone => contact.as_str().trim_start_matches('+').parse(),
            Self::Custom => unescape(contact.as_str()).parse(),
        }
    }
}

/// The digits of an international number: 8 to 15, country code first.
fn phone_digits(spelled: &str) -> Result<String, BadId> {
    const RULE: BadId = BadId { rule: "a phone contact id is + and 8 to 15 digits, country code first" };
    let bare: String = spelled.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = match bare.strip_prefix('+') {
        Some(rest) => rest,
        None => bare.strip_prefix("00").unwrap_or(&bare),
    };
    if !PHONE_DIGITS.contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.starts_with('0') {
        return Err(RULE);
    }
    Ok(digits.to_owned())
}

/// Whether `c` may stand in a custom contact id.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || CONTACT_ID_SIGNS.contains(c)
}

/// Whether `bytes` begins with two upper-case hex digits, so that an `=` before it would read as an escape.
fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    Some(nibble(*bytes.first()?)? << 4 | nibble(*bytes.get(1)?)?)
}

/// `text` unchanged where every character is legal; else each illegal byte as `=` and two upper-case hex digits, and an
/// `=` that would read as such an escape as `=3D` (bonychat.md A6).
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let reads_as_escape = c == '=' && hex_pair(&text.as_bytes()[at + 1..]).is_some();
        if plain(c) && !reads_as_escape {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "={byte:02X}");
            }
        }
    }
    out
}

/// The text that `escape` was given; what no escape could have made is kept as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex_pair(&bytes[at + 1..])) {
            (b'=', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_phone_is_one_contact() {
        for spelled in ["+34600111222", "34600111222", "0034600111222", " + 34 600 111 222 ", "34\u{a0}600111222"] {
            let contact = IdType::Phone.contact(spelled).unwrap();
            assert_eq!(contact.as_str(), "+34600111222", "{spelled}");
            assert_eq!(IdType::Phone.destination_of(&contact).unwrap().as_str(), "34600111222");
        }
        for bad in
            ["", "+", "+1234567", "+1234567890123456", "+34x00111222", "3460011122a", "++34600111222", "+0034600111"]
        {
            assert!(IdType::Phone.contact(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_destination_becomes_a_contact_and_comes_back() {
        let destination: Destination = "34600111222".parse().unwrap();
        let contact = IdType::Phone.contact_of(&destination).unwrap();
        assert_eq!(contact.as_str(), "+34600111222");
        let visitor: Destination = "visitor-7.a".parse().unwrap();
        let contact = IdType::Custom.contact_of(&visitor).unwrap();
        assert_eq!(contact.as_str(), "visitor=2D7=2Ea");
        assert_eq!(IdType::Custom.destination_of(&contact).unwrap(), visitor);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(IdType::Custom.contact_of(&"-".repeat(17).parse().unwrap()).is_err());
        assert!(IdType::Phone.contact_of(&"visitor".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn the_escape_is_reversible_and_legal(text in "\\PC{0,20}|[=A-F0-9é-]{0,20}") {
            let escaped = escape(&text);
            prop_assert!(escaped.chars().all(plain));
            prop_assert_eq!(unescape(&escaped), text);
        }
    }
}
