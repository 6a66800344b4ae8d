//! `[admin.people.NAME]`: who signs in to the operators' page with a token of their own.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret as _, SecretString};

use super::checker::{Checker, Uniqueness};
use super::names::is_person_name;
use super::{May, Person, raw};

/// Characters of a person's token, at least: the page can be guessed at from any browser that reaches it.
const LEAST_TOKEN: usize = 16;

/// Returns every valid person, by name, and notes the problems of the others.
pub(super) fn check(checker: &mut Checker, admin_token: Option<&SecretString>) -> BTreeMap<String, Person> {
    let mut tokens = Uniqueness::default();
    if let Some(token) = admin_token {
        tokens.earlier_holder(vec![token.expose_secret().to_owned()], "admin.token");
    }
    let mut names: Vec<String> = checker.layers.people().into_iter().filter(|name| is_person_name(name)).collect();
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
    let channels = raw.channels.map(|channels| channels.0);
    // An empty variable is a key that is left out, elsewhere: here that would be more than was meant.
    let is_empty = channels.as_ref().map_or(checker.layers.is_set(&key("channels")), BTreeSet::is_empty);
    if is_empty {
        let what = "names no channel, so that it is not clear whether this person sees all or none. Leave the key out for \
                    all channels, or name those that the person sees";
        checker.note(&key("channels"), what);
    }
    let channels = channels.unwrap_or_default();
    let configured = checker.layers.channels();
    if let Some(unknown) = channels.iter().find(|channel| !configured.iter().any(|name| name == channel.as_str())) {
        checker.note(&key("channels"), format!("names `{unknown}`, and there is no table [channels.{unknown}]"));
    }
    Some(Person { token: token?, may: may?, channels })
}
