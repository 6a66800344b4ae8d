//! The known keys: those of `config/default.toml`, those of a channel's table, and the `_file` twin of each secret.

use ::config::{Map, Value, ValueKind};

use super::names::is_person_name;
use crate::domain::ChannelName;

/// Keys of a `[channels.NAME]` table, without the `_file` twins.
pub(super) const CHANNEL: [&str; 13] = [
    "channel_id",
    "api_token",
    "previous_api_token",
    "id_type",
    "platform",
    "platform_id",
    "text_limit",
    "webhook_url",
    "afilnet_user",
    "afilnet_password",
    "anna",
    "poll_active",
    "poll_idle",
];

/// Secrets outside the channels.
const SECRETS: [&str; 6] = [
    "admin.token",
    "afilnet.json.client_secret",
    "afilnet.password",
    "anna.company_hash",
    "anna.password",
    "store.url",
];
/// Secrets of a channel.
const CHANNEL_SECRETS: [&str; 3] = ["api_token", "previous_api_token", "afilnet_password"];

/// Keys of a `[admin.people.NAME]` table, with the `_file` twin of its secret.
const PERSON: [&str; 4] = ["token", "token_file", "may", "channels"];

/// What a key can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// More keys.
    Table,
    /// A value.
    Value,
    /// Nothing: a channel's name that breaks the rule.
    BadChannel,
    /// Nothing: a person's name that breaks the rule.
    BadPerson,
    /// Nothing: there is no such key.
    Unknown,
}

/// The known keys.
pub(super) struct Keys {
    /// Sections of the default file; `inbound.status_map` is one of its own.
    sections: Vec<String>,
    /// `section.key`, channels aside.
    values: Vec<String>,
}

impl Keys {
    /// Collects the keys of the default file, and those that it cannot show.
    pub(super) fn of(defaults: &Map<String, Value>) -> Self {
        let mut keys = Self { sections: vec!["channels".into()], values: SECRETS.map(|s| format!("{s}_file")).into() };
        for (section, value) in defaults {
            keys.sections.push(section.clone());
            if let ValueKind::Table(inner) = &value.kind {
                for (key, value) in inner {
                    let key = format!("{section}.{key}");
                    match &value.kind {
                        ValueKind::Table(inner) => {
                            keys.values.extend(inner.keys().map(|last| format!("{key}.{last}")));
                            keys.sections.push(key);
                        }
                        _ => keys.values.push(key),
                    }
                }
            }
        }
        keys
    }

    /// Returns what `path` can hold.
    pub(super) fn kind(&self, path: &[&str]) -> Kind {
        match path {
            ["channels", name] if name.parse::<ChannelName>().is_err() => Kind::BadChannel,
            ["admin", "people", name, ..] if !is_person_name(name) => Kind::BadPerson,
            ["admin", "people", _, key] if PERSON.contains(key) => Kind::Value,
            ["channels", _] | ["admin", "people"] | ["admin", "people", _] => Kind::Table,
            ["channels", name, _] if name.parse::<ChannelName>().is_err() => Kind::BadChannel,
            ["channels", _, key] if is_channel_key(key) => Kind::Value,
            ["inbound", "status_map", _] => Kind::Value,
            _ => {
                let key = path.join(".");
                if self.sections.contains(&key) {
                    Kind::Table
                } else if self.values.contains(&key) {
                    Kind::Value
                } else {
                    Kind::Unknown
                }
            }
        }
    }

    /// Returns the known key that `path` most likely means: few letters differ, or it is that key of another section.
    pub(super) fn nearest(&self, path: &[&str]) -> Option<String> {
        let wrong = path.join(".").to_lowercase();
        if let Some(shorter) = (1..path.len()).rev().map(|n| &path[..n]).find(|path| self.kind(path) == Kind::Value) {
            return Some(shorter.join("."));
        }
        let channel = match path {
            ["channels", name, _] if name.parse::<ChannelName>().is_ok() => *name,
            _ => "NAME",
        };
        let in_channel = CHANNEL
            .into_iter()
            .flat_map(|key| [key.to_owned(), format!("{key}_file")])
            .filter(|key| is_channel_key(key))
            .map(|key| format!("channels.{channel}.{key}"));
        let known: Vec<String> = self.values.iter().chain(&self.sections).cloned().chain(in_channel).collect();
        let close = known.iter().map(|key| (distance(&wrong, key), key)).min().filter(|(far, _)| *far <= 3);
        let last = path.last()?.to_lowercase();
        let elsewhere = || known.iter().filter(|key| key.rsplit('.').next() == Some(&last)).min();
        close.map(|(_, key)| key).or_else(elsewhere).cloned()
    }
}

/// Returns whether it is a channel's key or the `_file` twin of one of its secrets.
fn is_channel_key(key: &str) -> bool {
    CHANNEL.contains(&key) || key.strip_suffix("_file").is_some_and(|secret| CHANNEL_SECRETS.contains(&secret))
}

/// Returns whether `key` holds a secret itself (a `_file` twin holds a path).
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key)
        || (key.starts_with("admin.people.") && key.rsplit('.').next() == Some("token"))
        || (key.starts_with("channels.") && CHANNEL_SECRETS.iter().any(|s| key.rsplit('.').next() == Some(s)))
}

/// Returns the variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!("BRIDGE__{}", key.replace('.', "__").to_uppercase())
}

/// Returns the number of letters to add, drop or change to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (a, b, far) in [("", "", 0), ("", "abc", 3), ("pasword", "password", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), far, "{a} {b}");
            assert_eq!(distance(b, a), far, "{b} {a}");
        }
    }

    #[test]
    fn secrets_are_known_by_key() {
        for key in
            ["store.url", "admin.token", "afilnet.password", "channels.a.api_token", "channels.a.afilnet_password"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in ["afilnet.user", "afilnet.password_file", "channels.a.api_token_file", "bonychat.webhook_url"] {
            assert!(!is_secret(key), "{key}");
        }
        assert_eq!(variable("channels.a.api_token"), "BRIDGE__CHANNELS__A__API_TOKEN");
    }
}
