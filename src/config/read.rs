//! Single values: from TOML or a variable to a type that cannot be wrong. Each refusal is the rule as text and does not
//! repeat the value. Numbers and booleans may be text, since variables are.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{DirectionBy, FirstRun, Grant, LogContacts, LogFormat, May, OnUnconfirmed, TransportName};
use crate::domain::{ChannelId, IdType, Language, Platform, StatusValue, ids::PlatformId};

/// Longest accepted duration, in days: a longer one may overflow when added to a clock.
const LONGEST_DAYS: u64 = 3650;

/// The rule that a value breaks, as text.
pub(super) type Requirement = Cow<'static, str>;

/// A value before it is interpreted. Reading one never fails, so no error quotes it.
pub(super) enum Scalar {
    Text(String),
    Whole(i64),
    Switch(bool),
    List(Vec<Scalar>),
    Other,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(number))
            }
            fn visit_bool<E>(self, switch: bool) -> Result<Scalar, E> {
                Ok(Scalar::Switch(switch))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar, A::Error> {
                Ok(Scalar::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                let mut scalars = Vec::new();
                while let Some(scalar) = list.next_element()? {
                    scalars.push(scalar);
                }
                Ok(Scalar::List(scalars))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A type that a key can hold.
pub(super) trait Leaf: Sized {
    /// Parses, or returns the broken rule.
    fn read(scalar: Scalar) -> Result<Self, Requirement>;
}

/// Reads a key that always has a value.
pub(super) fn leaf<'de, D: Deserializer<'de>, T: Leaf>(deserializer: D) -> Result<T, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) if text.trim().is_empty() => {
            Err(D::Error::custom("must not be empty. Leave the key out to get its default"))
        }
        scalar => T::read(scalar).map_err(D::Error::custom),
    }
}

/// Reads a key that may be left out; `""` is the same as leaving it out.
pub(super) fn maybe<'de, D: Deserializer<'de>, T: Leaf>(deserializer: D) -> Result<Option<T>, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) if text.is_empty() => Ok(None),
        scalar => T::read(scalar).map(Some).map_err(D::Error::custom),
    }
}

/// Reads a text that may be empty.
pub(super) fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Ok(text),
        _ => Err(D::Error::custom("must be text in quotes")),
    }
}

/// A [`Leaf`] as a value of a map.
pub(super) struct Of<T>(pub(super) T);

impl<'de, T: Leaf> Deserialize<'de> for Of<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        leaf(deserializer).map(Self)
    }
}

impl Leaf for String {
    /// Text without outer white space. A whole number is taken as its digits: ids look like numbers.
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = match scalar {
            Scalar::Text(text) => text.trim().to_owned(),
            Scalar::Whole(number) => number.to_string(),
            _ => return Err("must be text in quotes".into()),
        };
        if text.is_empty() {
            return Err("must not be white space alone".into());
        }
        if text.chars().any(char::is_control) { Err("must not hold control characters".into()) } else { Ok(text) }
    }
}

impl Leaf for SecretString {
    /// Quoted text, unchanged: a number would lose its leading zeros.
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        match scalar {
            Scalar::Text(text) => Ok(text.into()),
            _ => Err("must be text in quotes".into()),
        }
    }
}

impl Leaf for u32 {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let number = match scalar {
            Scalar::Whole(number) => u32::try_from(number).ok(),
            Scalar::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or("must be a whole number".into())
    }
}

impl Leaf for bool {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = match scalar {
            Scalar::Switch(switch) => return Ok(switch),
            Scalar::Text(text) => text.trim().to_lowercase(),
            Scalar::Whole(number) => number.to_string(),
            _ => String::new(),
        };
        match text.as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }
}

impl Leaf for Duration {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        const RULE: &str = "must be a duration with its unit, such as \"500ms\", \"5s\", \"10m\", \"24h\" or \"7d\"";
        let Scalar::Text(text) = scalar else { return Err(RULE.into()) };
        let duration = humantime::parse_duration(text.trim()).map_err(|_| RULE)?;
        if duration > Duration::from_hours(LONGEST_DAYS * 24) {
            return Err(format!("must be at most {LONGEST_DAYS}d").into());
        }
        Ok(duration)
    }
}

impl Leaf for Vec<Duration> {
    /// A list, or text with commas.
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let items = match scalar {
            Scalar::List(items) => items,
            Scalar::Text(text) => text.split(',').map(|item| Scalar::Text(item.to_owned())).collect(),
            _ => return Err("must be a list of durations, such as [\"5s\", \"15s\"]".into()),
        };
        items.into_iter().map(Duration::read).collect()
    }
}

/// A size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Size(pub(super) usize);

impl Leaf for Size {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = match scalar {
            Scalar::Whole(number) => number.to_string(),
            Scalar::Text(text) => text,
            _ => String::new(),
        };
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim() {
            "" | "B" => Some(1),
            "KiB" => Some(1024),
            "MiB" => Some(1024 * 1024),
            _ => None,
        };
        let bytes = unit.and_then(|unit| number.parse::<usize>().ok()?.checked_mul(unit));
        bytes.map(Self).ok_or("must be a size, such as \"256 KiB\", \"1 MiB\" or a plain number of bytes".into())
    }
}

impl Leaf for SocketAddr {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        const RULE: Requirement =
            Cow::Borrowed("must be an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"");
        let Scalar::Text(text) = scalar else { return Err(RULE) };
        text.trim().parse().map_err(|_| RULE)
    }
}

/// Parses one of an enum's words.
fn word<T: DeserializeOwned>(scalar: Scalar) -> Result<T, Requirement> {
    let Scalar::Text(text) = scalar else { return Err("must be a word in quotes".into()) };
    let text = text.trim().to_lowercase();
    T::deserialize(text.as_str().into_deserializer()).map_err(|e: serde::de::value::Error| {
        let all = e.to_string().rsplit_once(", expected ").map(|(_, all)| all.to_owned()).unwrap_or_default();
        format!("must be {all}").into()
    })
}

macro_rules! words {
    ($($name:ty),+) => {
        $(impl Leaf for $name {
            fn read(scalar: Scalar) -> Result<Self, Requirement> {
                word(scalar)
            }
        })+
    };
}
words!(
    DirectionBy,
    FirstRun,
    Grant,
    IdType,
    Language,
    LogContacts,
    LogFormat,
    May,
    OnUnconfirmed,
    Platform,
    StatusValue,
    TransportName
);

macro_rules! ids {
    ($($name:ty),+) => {
        $(impl Leaf for $name {
            fn read(scalar: Scalar) -> Result<Self, Requirement> {
                String::read(scalar)?.parse::<Self>().map_err(|bad| format!("does not fit: {bad}").into())
            }
        })+
    };
}
ids!(ChannelId, PlatformId);
