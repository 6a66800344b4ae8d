//! The two names of a contact: BonyChat's contact id and Afilnet's destination, and the conversion between them.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::ids::{BadId, CONTACT_ID_SIGNS};
use super::phone_number;
use super::{ContactId, Destination};

/// Why a custom contact id is refused that spells its destination otherwise than the bridge does.
const OTHER_SPELLING: &str =
    "a custom contact id holds each character as it is, and = with two digits only for what it cannot hold";

/// Digits of a phone number, country code included.
pub(crate) const PHONE_DIGITS: RangeInclusive<usize> = 8..=15;

/// What Afilnet keeps of one contact under one destination: the rows of one `getmessages`. A contact has several where
/// Afilnet keeps its number in several spellings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Chat {
    pub(crate) contact: ContactId,
    pub(crate) destination: Destination,
}

/// What a channel's contact ids hold (bonychat.md section 1, step 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdType {
    /// `+` and 8 to 15 digits; Afilnet's side is the digits alone.
    Phone,
    /// Afilnet's destination under a reversible escape.
    Custom,
}

impl IdType {
    /// Returns the normal form of a contact id as BonyChat sends it: a phone number with or without `+`, a leading
    /// `00`, spaces (bonychat.md A5); a custom id unchanged (A6), which must be the normal spelling of its destination:
    /// with a second spelling, the same person would have two conversations.
    pub(crate) fn contact(self, spelled: &str) -> Result<ContactId, BadId> {
        match self {
            Self::Phone => format!("+{}", phone_digits(spelled)?).parse(),
            Self::Custom => {
                let contact: ContactId = spelled.parse()?;
                if escape(&unescape(spelled)) == spelled { Ok(contact) } else { Err(BadId { rule: OTHER_SPELLING }) }
            }
        }
    }

    /// Returns BonyChat's contact id of `destination`.
    pub(crate) fn contact_of(self, destination: &Destination) -> Result<ContactId, BadId> {
        match self {
            Self::Phone => self.contact(bare_number(destination).unwrap_or(destination.as_str())),
            Self::Custom => escape(destination.as_str())
                .parse()
                .map_err(|_| BadId { rule: "a destination's custom contact id must fit into 50 characters" }),
        }
    }

    /// Returns Afilnet's destination of `contact`.
    pub(crate) fn destination_of(self, contact: &ContactId) -> Result<Destination, BadId> {
        match self {
            Self::Phone => contact.as_str().trim_start_matches('+').parse(),
            Self::Custom => unescape(contact.as_str()).parse(),
        }
    }

    /// Returns the other spelling of a contact's number, which is the same person; `None` where there is one alone
    /// ([`phone_number`]).
    pub(crate) fn other_spelling(self, contact: &ContactId) -> Option<ContactId> {
        match self {
            Self::Phone => {
                format!("+{}", phone_number::other_spelling(contact.as_str().strip_prefix('+')?)?).parse().ok()
            }
            Self::Custom => None,
        }
    }
}

/// Returns whether two destinations of one contact hold the same digits: only their signs differ.
pub(crate) fn same_digits(one: &Destination, other: &Destination) -> bool {
    let digits =
        |destination: &Destination| phone_digits(bare_number(destination).unwrap_or(destination.as_str())).ok();
    one == other || digits(one).is_some_and(|digits_of_one| digits(other) == Some(digits_of_one))
}

/// Returns the number of a destination with a WhatsApp suffix (`34600111222@s.whatsapp.net`), also with a device number
/// (`34600111222:3@c.us`). Other suffixes, such as `@lid` and `@g.us`, do not follow a number.
pub(crate) fn bare_number(destination: &Destination) -> Option<&str> {
    let (number, ending) = destination.as_str().split_once('@')?;
    let (digits, device) = number.split_once(':').unwrap_or((number, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (matches!(ending, "s.whatsapp.net" | "c.us") && are_digits(digits) && are_digits(device)).then_some(digits)
}

/// Returns the digits of an international number: 8 to 15, country code first.
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

/// Returns whether a custom contact id may contain `c`.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || CONTACT_ID_SIGNS.contains(c)
}

/// Returns the value of two upper-case hex digits at the start of `bytes`, with which an `=` before them is an escape.
fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    Some(nibble(*bytes.first()?)? << 4 | nibble(*bytes.get(1)?)?)
}

/// Returns `text` unchanged if every character is legal; else each illegal byte as `=` and two upper-case hex digits,
/// and an `=` that would be read as such an escape as `=3D` (bonychat.md A6).
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

/// Reverses `escape`; an `=` that does not start an escape is kept as it is.
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
        for bad in [
            "",
            "+",
            "+1234567",
            "+1234567890123456",
            "+0600111222",
            "٣٤٦٠٠١١١٢٢٢",
            "+３４６００１１１２２２",
            "34600111222@c.us",
            "0000600111222",
            "+34x00111222",
            "3460011122a",
            "++34600111222",
            "+0034600111",
        ] {
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
    fn a_custom_destination_has_one_spelling() {
        for (contact, destination) in [
            ("A", "A"),
            ("a=2Eb", "a.b"),
            ("=3D41", "=41"),
            ("a=b", "a=b"),
            ("=", "="),
            ("=g1", "=g1"),
            ("=C3=B1", "ñ"),
            ("=3DFF", "=FF"),
        ] {
            let contact = IdType::Custom.contact(contact).unwrap();
            let destination: Destination = destination.parse().unwrap();
            assert_eq!(IdType::Custom.destination_of(&contact).unwrap(), destination);
            assert_eq!(IdType::Custom.contact_of(&destination).unwrap(), contact);
        }
        for other in ["=41", "a=62", "=3D", "=3DA", "=40", "=FF", "=C3", "=2Ea=62", "=2F", "=3D=34=31", "=2E=41"] {
            assert!(IdType::Custom.contact(other).is_err(), "{other}");
        }
    }

    #[test]
    fn whatsapps_endings_are_the_number() {
        for destination in [
            "34600111222",
            "+34600111222",
            "34600111222@s.whatsapp.net",
            "34600111222@c.us",
            "34600111222:3@c.us",
            "34600111222:12@s.whatsapp.net",
        ] {
            let contact = IdType::Phone.contact_of(&destination.parse().unwrap());
            assert_eq!(contact.as_ref().map(ContactId::as_str), Ok("+34600111222"), "{destination}");
        }
        for destination in [
            "245896994390182@lid",
            "120363023456789012@g.us",
            "ES.13491208655302741918",
            "34600111222@lid",
            "34600111222@g.us",
            "34600111222@broadcast",
            "34600111222@S.WHATSAPP.NET.x",
            "status@broadcast",
            "34600111222:@c.us",
            "34600111222:x@c.us",
            "34600111222:3:4@c.us",
            "@c.us",
            ":3@c.us",
            "1234567@c.us",
            "0034600111222x@c.us",
            "34600111222@c.us@lid",
        ] {
            assert!(IdType::Phone.contact_of(&destination.parse().unwrap()).is_err(), "{destination}");
        }
        let as_it_is = IdType::Custom.contact_of(&"34600111222@c.us".parse().unwrap());
        assert_eq!(as_it_is.as_ref().map(ContactId::as_str), Ok("34600111222@c=2Eus"));
    }

    #[test]
    fn both_spellings_of_a_number_are_one_person_and_custom_ids_are_as_they_are() {
        let contact = |id: &str| id.parse::<ContactId>().unwrap();
        let (with, without) = (contact("+5491155551234"), contact("+541155551234"));
        assert_eq!(IdType::Phone.other_spelling(&with).as_ref(), Some(&without));
        assert_eq!(IdType::Phone.other_spelling(&without).as_ref(), Some(&with));
        assert_eq!(IdType::Custom.other_spelling(&with), None);
        assert_eq!(IdType::Phone.other_spelling(&contact("+34600111222")), None);
    }

    #[test]
    fn destinations_of_the_same_digits_differ_in_signs_alone() {
        let same = |one: &str, other: &str| same_digits(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("34600111222", "+34600111222") && same("34600111222@c.us", "0034 600111222"));
        assert!(
            !same("5491155551234", "541155551234") && !same("visitor-1", "visitor-2") && same("visitor", "visitor")
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(IdType::Custom.contact_of(&"-".repeat(17).parse().unwrap()).is_err());
        assert!(IdType::Phone.contact_of(&"visitor".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_two_custom_contacts_share_a_destination(a in "[=A-F0-9.a@]{1,8}", b in "[=A-F0-9.a@]{1,8}") {
            if let (Ok(first), Ok(second)) = (IdType::Custom.contact(&a), IdType::Custom.contact(&b)) {
                let same = IdType::Custom.destination_of(&first) == IdType::Custom.destination_of(&second);
                prop_assert_eq!(same, a == b);
            }
        }

        #[test]
        fn the_escape_is_reversible_and_legal(text in "\\PC{0,20}|[=A-F0-9é-]{0,20}") {
            let escaped = escape(&text);
            prop_assert!(escaped.chars().all(plain));
            prop_assert_eq!(unescape(&escaped), text);
        }
    }
}
