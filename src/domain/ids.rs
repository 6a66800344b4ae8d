//! Ids. Each is built only by parsing, and has its own type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most characters of a contact id (bonychat.md section 1, step 3).
pub(crate) const MOST_CONTACT_ID: usize = 50;
/// Characters of a contact id in addition to letters and digits (the same step).
pub(crate) const CONTACT_ID_SIGNS: &str = "_=+/@";
/// Most letters and digits of a message id (bonychat.md F5).
pub(crate) const MOST_M_ID: usize = 50;

/// An id that breaks its rule. The text names the rule and never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct BadId {
    pub(crate) rule: &'static str,
}

/// Defines a newtype over shared text with `as_str`, `Display`, and serde through its parser. A clone allocates nothing: a
/// channel holds the id of each of its conversations several times.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(BadId { rule: $rule }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// The operator's name of a channel, the key of its `[channels.NAME]` table: 1 to 40 of `a-z 0-9 _`.
    ChannelName,
    "a channel name is 1 to 40 characters out of a-z, 0-9 and _",
    |t| (1..=40).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
);

id!(
    /// BonyChat's id of a channel, opaque text, 1 to 100 characters (bonychat.md section 1, step 4).
    ChannelId,
    "a channel id is 1 to 100 characters without white space",
    |t| (1..=100).contains(&t.chars().count()) && !t.chars().any(|c| c.is_whitespace() || c.is_control())
);

id!(
    /// BonyChat's name of a contact: 1 to 50 of `A-Z a-z 0-9 _ = + / @` (bonychat.md section 1, step 3). Which of them
    /// a channel accepts depends on its [`super::IdType`]; build one through it.
    ContactId,
    "a contact id is 1 to 50 characters out of A-Z, a-z, 0-9, _, =, +, / and @",
    |t| (1..=MOST_CONTACT_ID).contains(&t.len())
        && t.chars().all(|c| c.is_ascii_alphanumeric() || CONTACT_ID_SIGNS.contains(c))
);

id!(
    /// Afilnet's name of a contact, opaque text, trimmed only (afilnet.md section 3).
    Destination,
    "a destination is 1 to 200 characters without control characters or outer white space",
    |t| (1..=200).contains(&t.chars().count()) && t.trim() == t && !t.chars().any(char::is_control)
);

id!(
    /// Id of one message, in either direction: 1 to 50 letters and digits (bonychat.md F5, A8).
    MId,
    "a message id is 1 to 50 letters and digits",
    |t| (1..=MOST_M_ID).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric())
);

id!(
    /// Afilnet's id of a channel within its platform; text, though samples write a number (afilnet.md section 3).
    PlatformId,
    "a platform id is 1 to 100 characters without white space",
    |t| (1..=100).contains(&t.chars().count()) && !t.chars().any(|c| c.is_whitespace() || c.is_control())
);

id!(
    /// A caller's key of a call, taken verbatim: a repeat has the same.
    IdempotencyKey,
    "must be 1 to 255 visible ASCII characters",
    |t| (1..=255).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())
);

/// What ids of erased conversations begin with.
const ERASED: &str = "erased/";

impl ContactId {
    /// Returns the id under which an erased conversation is stored: a hash, by which it is recognised when Afilnet
    /// shows it, and which reveals nothing of the contact.
    pub(crate) fn erased(&self, channel: &ChannelName) -> Self {
        Self(format!("{ERASED}{}", fingerprint(&["erased", channel.as_str(), &self.0])).into())
    }

    /// Returns whether it is such an id.
    pub(crate) fn is_erased(&self) -> bool {
        self.0.starts_with(ERASED)
    }
}

impl Destination {
    /// Returns the destination under which an erased one is stored: a hash, as [`ContactId::erased`].
    pub(crate) fn erased(&self, channel: &ChannelName) -> Self {
        Self(format!("erased/{}", fingerprint(&["erased destination", channel.as_str(), &self.0])).into())
    }

    /// Returns whether it is such a hash, which names nothing that could be read.
    pub(crate) fn is_erased(&self) -> bool {
        self.0
            .strip_prefix("erased/")
            .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

impl MId {
    /// Returns a new id: 32 hex digits that sort by time of creation.
    pub(crate) fn fresh() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string().into())
    }

    /// Returns the id of these parts: 32 hex digits of their hash, so that a repeat of the same source gets the same id
    /// (bonychat.md A9).
    pub(crate) fn derived(parts: &[&str]) -> Self {
        Self(fingerprint(parts).into())
    }
}

/// Returns 32 hex digits of a hash of `parts`, unambiguous as to where one part ends.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()[..16].iter().fold(String::with_capacity(32), |mut hex, byte| {
        use fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Where a channel lives at Afilnet (afilnet.md section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Chat on a web page.
    Webchat,
    /// A WhatsApp number.
    Whatsapp,
    /// A Telegram bot.
    Telegram,
    /// Afilnet's internal operators.
    Operator,
}

impl Platform {
    /// Returns the word on Afilnet's wire and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webchat => "webchat",
            Self::Whatsapp => "whatsapp",
            Self::Telegram => "telegram",
            Self::Operator => "operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_alphabets() {
        assert!("support_1".parse::<ChannelName>().is_ok());
        for bad in ["", "Support", "a-b", "a b", &"x".repeat(41)] {
            assert!(bad.parse::<ChannelName>().is_err(), "{bad}");
        }
        assert!("+34600_=/@".parse::<ContactId>().is_ok());
        for bad in ["", "a-b", "a.b", "a b", "ñ", &"x".repeat(51)] {
            assert!(bad.parse::<ContactId>().is_err(), "{bad}");
        }
        assert!("-100123".parse::<Destination>().is_ok());
        for bad in ["", " 1", "1\n", &"x".repeat(201)] {
            assert!(bad.parse::<Destination>().is_err(), "{bad:?}");
        }
        for bad in ["", "a-b", "web_1", &"x".repeat(51)] {
            assert!(bad.parse::<MId>().is_err(), "{bad}");
        }
        for good in ["k", "\"8e03978e-40d5\"", &"x".repeat(255)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\tb", "ñ", &"x".repeat(256)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fresh_ids_are_legal_and_differ() {
        let (a, b) = (MId::fresh(), MId::fresh());
        assert_ne!(a, b);
        assert!(a.as_str().parse::<MId>().is_ok());
    }

    #[test]
    fn derived_ids_repeat_and_do_not_run_together() {
        assert_eq!(MId::derived(&["a", "b"]), MId::derived(&["a", "b"]));
        assert_ne!(MId::derived(&["ab", ""]), MId::derived(&["a", "b"]));
    }
}
