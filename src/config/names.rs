//! Names that operators choose, as far as they are keys or values of others.

use std::collections::BTreeSet;

use super::read::{Leaf, Requirement, Scalar};
use crate::domain::ChannelName;

/// The person of `admin.token`.
const ADMIN: &str = "admin";

/// Returns whether this may be the name of a person: it is a part of a variable, of a cookie and of the audit.
pub(super) fn is_person_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=40).contains(&name.len()) && name.bytes().all(plain) && name != ADMIN
}

/// Names of channels: a list, or text with commas.
pub(super) struct ChannelNames(pub(super) BTreeSet<ChannelName>);

impl Leaf for ChannelNames {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        const RULE: &str = "must be a list of names of channels, such as [\"support\", \"sales\"]";
        let items = match scalar {
            Scalar::List(items) => items,
            Scalar::Text(text) => text.split(',').map(|item| Scalar::Text(item.trim().to_owned())).collect(),
            _ => return Err(RULE.into()),
        };
        let name = |item| match item {
            Scalar::Text(text) => text.parse::<ChannelName>().map_err(|_| Requirement::from(RULE)),
            _ => Err(RULE.into()),
        };
        items.into_iter().map(name).collect::<Result<_, _>>().map(Self)
    }
}
