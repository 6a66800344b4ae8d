//! The settings as they are in force, each with where it came from; of secrets their length alone.

use std::path::Path;

use ::config::{Map, Value, ValueKind};
use sha2::{Digest as _, Sha256};

use super::keys::is_secret;
use super::layers::Layers;
use super::problems::Source;
use super::secret;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// As text; of a secret that it is set, and how long it is.
    pub value: String,
    /// Where it was set.
    pub source: Source,
}

/// Returns all settings, by key.
pub(super) fn settings(layers: &Layers) -> Vec<Setting> {
    let mut found = Vec::new();
    collect(layers, layers.merged(), "", &mut found);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

fn collect(layers: &Layers, table: &Map<String, Value>, above: &str, found: &mut Vec<Setting>) {
    for (name, value) in table {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        if let ValueKind::Table(inner) = &value.kind {
            collect(layers, inner, &key, found);
            continue;
        }
        let text = match &value.kind {
            ValueKind::Array(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            _ => value.to_string(),
        };
        let twin = key.strip_suffix("_file").filter(|of| is_secret(of));
        let shown = match twin {
            _ if is_secret(&key) && !text.starts_with("sqlite:") => of_secret(&text),
            Some(_) if !text.is_empty() => match secret::read_secret(Path::new(&text)) {
                Ok(secret) => format!("{text} ({})", of_secret(&secret)),
                Err(_) => format!("{text} (it cannot be read now)"),
            },
            _ => text,
        };
        found.push(Setting { source: layers.source(&key), value: shown, key });
    }
}

/// Returns a digest by which two processes tell whether they have the same settings. Of secrets only the length counts, and where
/// the listeners are does not.
pub(super) fn digest(settings: &[Setting]) -> String {
    let counts = |setting: &&Setting| !matches!(setting.key.as_str(), "server.listen" | "admin.listen");
    let mut hash = Sha256::new();
    for Setting { key, value, .. } in settings.iter().filter(counts) {
        hash.update(format!("{}:{key}={}:{value}\n", key.len(), value.len()));
    }
    hash.finalize().iter().take(6).fold(String::new(), |digest, byte| format!("{digest}{byte:02x}"))
}

fn of_secret(secret: &str) -> String {
    match secret.chars().count() {
        0 => "not set".to_owned(),
        length => format!("set, {length} characters"),
    }
}
