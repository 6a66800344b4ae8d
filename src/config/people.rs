//! `[admin.people.NAME]`: who signs in to the operators' page with a token of their own.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret as _, SecretString};

use super::checker::{Checker, Uniqueness};
use super::read::{Leaf, Requirement, Scalar};
use super::{May, Person, raw};
use crate::domain::ChannelName;

/// Characters of a person's token, at least: the page can be guessed at from any browser that reaches it.
const LEAST_TOKEN: usize = 16;
/// The person of `admin.token`.
const ADMIN: &str = "admin";

/// Returns whether this may be the name of a person: it is a part of a variable, of a cookie and of the audit.
pub(super) fn is_name(name: &str) -> bool {
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

/// Returns every valid person, by name, and notes the problems of the others.
pub(super) fn check(checker: &mut Checker, admin_token: Option<&SecretString>) -> BTreeMap<String, Person> {
    let mut tokens = Uniqueness::default();
    if let Some(token) = admin_token {
        tokens.earlier_holder(vec![token.expose_secret().to_owned()], "admin.token");
    }
    let mut names: Vec<String> = checker.layers.people().into_iter().filter(|name| is_name(name)).collect();
    names.sort();
    let people = names.into_iter().filter_map(|name| person(checker, &mut tokens, &name).map(|person| (name, person)));
    people.collect()
}

fn person(checker: &mut Checker, tokens: &mut Uniqueness, name: &str) -> Option<Person> {
    let key = |last: &str| format!("admin.people.{name}.{last}");
    let raw = raw::take::<raw::Person>(&checker.layers, &mut checker.problems, &["admin", "people", name])?;
    let token = checker.token(&key("token"), raw.token, raw.token_file);
    let token = checker.required(&key("token"), token);
    let may: Option<May> = checker.required(&key("may"), raw.may);
    if let Some(token) = &token {
        let of_file = checker.layers.is_set(&key("token_file")) && !checker.layers.is_set(&key("token"));
        let at = if of_file { key("token_file") } else { key("token") };
        if token.expose_secret().len() < LEAST_TOKEN {
            let what = format!("must have at least {LEAST_TOKEN} characters. Make one with `openssl rand -hex 32`");
            checker.note(&at, what);
        } else if let Some(first) = tokens.earlier_holder(vec![token.expose_secret().to_owned()], &key("token")) {
            checker
                .note(&at, format!("is the same token as {first}. The token tells people apart: each needs their own"));
        }
    }
    let channels = raw.channels.map(|channels| channels.0).unwrap_or_default();
    let configured = checker.layers.channels();
    if let Some(unknown) = channels.iter().find(|channel| !configured.iter().any(|name| name == channel.as_str())) {
        checker.note(&key("channels"), format!("names `{unknown}`, and there is no table [channels.{unknown}]"));
    }
    Some(Person { token: token?, may: may?, channels })
}
