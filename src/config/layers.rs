//! The three layers: the default file, the operator's file over it, the environment over both. Keys are checked in each
//! layer, where the source of a mistake is still known; then `config` merges them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ::config::{Config as Stack, ConfigError, Environment, File, FileFormat, Map, Source as _, Value, ValueKind};

use super::keys::{self, Keys, Kind};
use super::problems::{Problems, Source};
use super::secret::{Unread, oddity};

/// Largest configuration file read, in bytes.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Keys that hold free text of the operator.
const MAY_HAVE_BLANKS: [&str; 1] = ["outbound.location_text"];

/// The merged layers, and where each key came from.
pub(super) struct Layers {
    defaults: Map<String, Value>,
    merged: Map<String, Value>,
    origins: BTreeMap<String, Source>,
    /// Whether the file holds a secret itself.
    pub(super) secrets_in_file: bool,
    /// Suspicious characters in the values of keys.
    pub(super) oddities: BTreeMap<String, &'static str>,
}

impl Layers {
    /// Reads and merges. `None` if the file cannot be read at all.
    pub(super) fn gather(
        defaults: &str,
        file: Option<&Path>,
        env: HashMap<String, String>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let defaults = tree(defaults).map_err(|e| problems.note("", Source::Default, syntax(&e))).ok()?;
        let keys = Keys::of(&defaults);
        let mut layers = Self {
            merged: Map::new(),
            origins: BTreeMap::new(),
            secrets_in_file: false,
            oddities: BTreeMap::new(),
            defaults: defaults.clone(),
        };
        let mut stack = Stack::builder().add_source(Tree(defaults));
        if let Some(path) = file {
            stack = stack.add_source(Tree(layers.read_file(path, &keys, problems)?));
        }
        let env = layers.check_env(env, &keys, problems);
        let env = Environment::with_prefix("BRIDGE").prefix_separator("__").separator("__").source(Some(env));
        let merged = stack.add_source(env).build().and_then(|stack| stack.collect());
        layers.merged = merged.map_err(|e| problems.note("", Source::Default, innermost(&e))).ok()?;
        Some(layers)
    }

    /// Returns where `key` came from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.origins.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Returns whether `key` was set, also if to nothing.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Returns all of them, merged.
    pub(super) fn merged(&self) -> &Map<String, Value> {
        &self.merged
    }

    /// Returns the merged value at `path`.
    pub(super) fn get(&self, path: &[&str]) -> Option<Value> {
        at(&self.merged, path).cloned()
    }

    /// Returns the default at `path`.
    pub(super) fn default(&self, path: &[&str]) -> Option<Value> {
        at(&self.defaults, path).cloned()
    }

    /// Returns the names of the channels, unparsed.
    pub(super) fn channels(&self) -> Vec<String> {
        match self.merged.get("channels").map(|value| &value.kind) {
            Some(ValueKind::Table(channels)) => channels.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the names of the people, unchecked.
    pub(super) fn people(&self) -> Vec<String> {
        match at(&self.merged, &["admin", "people"]).map(|value| &value.kind) {
            Some(ValueKind::Table(people)) => people.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn read_file(&mut self, path: &Path, keys: &Keys, problems: &mut Problems) -> Option<Map<String, Value>> {
        let whole = Source::File { path: path.to_owned(), line: None };
        let text = match super::secret::read(path, FILE_LIMIT) {
            Ok(text) => text,
            Err(why) => {
                let advice = match why {
                    Unread::Path(_) => ". Check the path given by --config or BRIDGE_CONFIG",
                    Unread::Content(_) => "",
                };
                problems.note("", whole, format!("the configuration file {why}{advice}"));
                return None;
            }
        };
        let mut table = tree(&text).map_err(|e| problems.note("", whole, syntax_at(&e, &text))).ok()?;
        let lines = lines(&text);
        let source = |key: &str| Source::File { path: path.to_owned(), line: lines.get(key).copied() };
        self.walk(&mut table, &[], keys, &source, problems);
        Some(table)
    }

    /// Removes unknown keys from a file's table, and notes them.
    fn walk(
        &mut self,
        table: &mut Map<String, Value>,
        above: &[&str],
        keys: &Keys,
        source: &dyn Fn(&str) -> Source,
        problems: &mut Problems,
    ) {
        table.retain(|name, value| {
            let path = [above, &[name.as_str()]].concat();
            let key = path.join(".");
            match (keys.kind(&path), &mut value.kind) {
                (Kind::Table, ValueKind::Table(inner)) => self.walk(inner, &path, keys, source, problems),
                (Kind::Value, kind) if !matches!(kind, ValueKind::Table(_)) => {
                    self.secrets_in_file |=
                        keys::is_secret(&key) && !matches!(kind, ValueKind::String(text) if text.is_empty());
                    self.origins.insert(key.clone(), source(&key));
                    if let ValueKind::String(text) = kind {
                        self.look_at(&key, text);
                    }
                }
                (kind, _) => {
                    let what = misplaced(kind, &path, keys, &|key| format!("`{key}`"));
                    problems.note(&key, source(&key), what);
                    return false;
                }
            }
            true
        });
    }

    /// Notes suspicious characters in a value; a higher layer replaces what was noted for a lower one.
    fn look_at(&mut self, key: &str, value: &str) {
        self.oddities.remove(key);
        if let Some(odd) = oddity(value).filter(|_| !MAY_HAVE_BLANKS.contains(&key)) {
            self.oddities.insert(key.to_owned(), odd);
        }
    }

    /// Returns the variables that are keys, and notes the others. Names are compared without regard to case, as
    /// `config` does.
    fn check_env(&mut self, env: HashMap<String, String>, keys: &Keys, problems: &mut Problems) -> Map<String, String> {
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let mut known = Map::new();
        for (name, value) in env {
            let lower = name.to_lowercase();
            let Some(rest) = lower.strip_prefix("bridge__") else { continue };
            let path: Vec<&str> = rest.split("__").collect();
            let key = path.join(".");
            let source = Source::Environment(name.clone());
            let plain =
                path.iter().all(|part| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            match keys.kind(&path) {
                Kind::Value if plain && matches!(self.origins.get(&key), Some(Source::Environment(_))) => {
                    problems.note(&key, source, "is set by two variables that differ only in case. Keep one");
                }
                Kind::Value if plain => {
                    self.origins.insert(key.clone(), source);
                    self.look_at(&key, &value);
                    known.insert(name, value);
                }
                kind => {
                    let kind = if kind == Kind::Value { Kind::Unknown } else { kind };
                    problems.note(&key, source, misplaced(kind, &path, keys, &keys::variable));
                }
            }
        }
        known
    }
}

/// Returns why nothing can be set at `path`; `show` writes a key as its layer does.
fn misplaced(kind: Kind, path: &[&str], keys: &Keys, show: &dyn Fn(&str) -> String) -> String {
    match kind {
        Kind::Table => format!("is a table of keys and cannot have a value. Set {}, for one", show(&first_key(path))),
        Kind::Value => "must be a single value, not a table".to_owned(),
        Kind::BadChannel => {
            "is not a channel name: 1 to 40 characters out of a-z, 0-9 and _. Rename the table, in small letters"
                .to_owned()
        }
        Kind::BadPerson => {
            "is not the name of a person: 1 to 40 characters out of a-z, 0-9 and _, and not admin, who has \
                            admin.token. Rename the table, in small letters"
                .to_owned()
        }
        Kind::Unknown => match keys.nearest(path) {
            Some(key) => format!("is not a key. Did you mean {}? If not, remove it", show(&key)),
            None => "is not a key. Remove it; `bridge config` lists all keys".to_owned(),
        },
    }
}

/// Returns a key that the table at `path` could hold, as an example.
fn first_key(path: &[&str]) -> String {
    match path {
        ["channels"] => "channels.NAME.channel_id".to_owned(),
        ["channels", name] => format!("channels.{name}.channel_id"),
        ["inbound", "status_map"] => "inbound.status_map.2".to_owned(),
        ["admin", "people"] => "admin.people.NAME.token".to_owned(),
        ["admin", "people", name] => format!("admin.people.{name}.token"),
        ["admin" | "server"] => format!("{}.listen", path[0]),
        ["store" | "afilnet"] => format!("{}.url", path[0]),
        ["afilnet", inner] => format!("afilnet.{inner}.url"),
        ["anna"] => "anna.base_url".to_owned(),
        ["bonychat"] => "bonychat.webhook_url".to_owned(),
        ["outbound"] => "outbound.answer_within".to_owned(),
        ["inbound"] => "inbound.poll_idle".to_owned(),
        ["retry"] => "retry.max".to_owned(),
        _ => "log.level".to_owned(),
    }
}

fn at<'a>(table: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    match (&value.kind, rest) {
        (_, []) => Some(value),
        (ValueKind::Table(inner), rest) => at(inner, rest),
        _ => None,
    }
}

/// One layer as a source of `config`, after its keys were checked.
#[derive(Debug, Clone)]
struct Tree(Map<String, Value>);

impl ::config::Source for Tree {
    fn clone_into_box(&self) -> Box<dyn ::config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn tree(text: &str) -> Result<Map<String, Value>, ConfigError> {
    Stack::builder().add_source(File::from_str(text, FileFormat::Toml)).build()?.collect()
}

/// Returns the text of a TOML error without the line that it quotes, which may hold a secret.
fn syntax(error: &ConfigError) -> String {
    let text = innermost(error);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or("TOML parse error");
    let why = lines.rfind(|line| !line.contains(" | ")).map(|line| format!(": {line}")).unwrap_or_default();
    format!("is not valid TOML, nothing of it was read. {first}{why}")
}

/// As [`syntax`], with the line number if the parser does not name it, for example that of a number that is too large.
fn syntax_at(error: &ConfigError, text: &str) -> String {
    let said = syntax(error);
    if said.contains("line ") {
        return said;
    }
    let same = |line: &str| tree(line).is_err_and(|alone| innermost(&alone) == innermost(error));
    match text.lines().position(same) {
        Some(above) => format!("{said}, in line {}", above + 1),
        None => said,
    }
}

/// Returns the error without the keys and origins that `config` wraps around it.
pub(super) fn innermost(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, .. } => innermost(error),
        ConfigError::FileParse { cause, .. } | ConfigError::Foreign(cause) => cause.to_string(),
        ConfigError::Message(text) => text.clone(),
        _ => "is not readable".to_owned(), // the others quote values
    }
}

/// Returns the line (from 1) of each `section.key` of a TOML text, for plain headers and keys.
fn lines(text: &str) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let mut section = String::new();
    let bare = |name: &str| name.replace(['"', '\'', ' ', '\t'], "");
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = bare(header);
            found.entry(section.clone()).or_insert(number);
        } else if let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let key = if section.is_empty() { bare(name) } else { format!("{section}.{}", bare(name)) };
            found.entry(key).or_insert(number);
        }
    }
    found
}
