//! Fields that deserialise with any type of value, so that one bad field does not hide the others, and the rules that
//! `validator` checks on them.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use validator::{ValidateLength, ValidateRange, ValidationError};

use super::rejected::Rule;
use crate::domain::Reach;
use crate::domain::blank::is_blank;
use crate::domain::link;

/// A value of the expected type, or of another. Null and absent are the `None` around it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    Is(T),
    Odd(IgnoredAny),
}

impl<T> Lenient<T> {
    pub(super) fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Odd(_) => None,
        }
    }
}

/// Serialised as null: `validator` copies the values it checks into its errors, which must not hold them.
impl<T> Serialize for Lenient<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

/// Text without U+0000, which chats do not show and `PostgreSQL` cannot store.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub(super) struct Words(pub(super) String);

impl From<String> for Words {
    fn from(mut text: String) -> Self {
        text.retain(|c| c != '\0');
        Self(text)
    }
}

/// An id: text or a number (A4, A5), as text.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Name(pub(super) String);

impl TryFrom<Value> for Name {
    type Error = &'static str;
    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Self(text)),
            // Whole numbers stay whole if written as 34600111222.0 or 3.4600111222e10.
            Value::Number(number) => Ok(Self(match number.as_f64() {
                Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 && float.abs() < 1e18 => {
                    format!("{float:.0}")
                }
                _ => number.to_string(),
            })),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err("neither text nor a number"),
        }
    }
}

/// A number, or text that parses as one (A22). Finite.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Figure(pub(super) f64);

impl TryFrom<Value> for Figure {
    type Error = &'static str;
    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let figure = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        figure.filter(|figure: &f64| figure.is_finite()).map(Self).ok_or("not a number")
    }
}

impl ValidateLength<usize> for Lenient<Words> {
    fn length(&self) -> Option<usize> {
        self.get().map(|words| words.0.chars().count())
    }
}

impl ValidateRange<f64> for Lenient<Figure> {
    fn greater_than(&self, max: f64) -> Option<bool> {
        self.get().map(|figure| figure.0 > max)
    }

    fn less_than(&self, min: f64) -> Option<bool> {
        self.get().map(|figure| figure.0 < min)
    }
}

fn check(kept: bool, rule: &Rule) -> Result<(), ValidationError> {
    if kept { Ok(()) } else { Err(ValidationError::new(rule.code())) }
}

/// Requires text, perhaps empty.
pub(super) fn text(lenient: &Lenient<Words>) -> Result<(), ValidationError> {
    check(lenient.get().is_some(), &Rule::Text)
}

/// Requires text that is not blank.
pub(super) fn words(lenient: &Lenient<Words>) -> Result<(), ValidationError> {
    text(lenient)?;
    check(lenient.get().is_some_and(|words| !is_blank(&words.0)), &Rule::NotBlank)
}

/// Requires text or a number.
pub(super) fn name(lenient: &Lenient<Name>) -> Result<(), ValidationError> {
    check(lenient.get().is_some(), &Rule::TextOrNumber)
}

/// Requires a number.
pub(super) fn figure(lenient: &Lenient<Figure>) -> Result<(), ValidationError> {
    check(lenient.get().is_some(), &Rule::Number)
}

/// Requires, of text, a public link (A35), or one to this machine, which the caller may refuse. White space
/// around it is ignored.
pub(super) fn public_link(lenient: &Lenient<Words>) -> Result<(), ValidationError> {
    let Some(words) = lenient.get().map(|words| words.0.trim()).filter(|words| !is_blank(words)) else {
        return Ok(()); // `words` reports that already
    };
    let public = |url: url::Url| link::is_public(&url, Reach::ThisMachine);
    check(!words.contains(char::is_control) && url::Url::parse(words).is_ok_and(public), &Rule::PublicLink)
}
