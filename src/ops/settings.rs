//! The settings in force, each with where it came from; of secrets their length alone.

use serde::Serialize;

use crate::config::{Config, Setting, Source};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SettingRow<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    /// `default`, `file` or `environment`.
    pub(crate) from: &'static str,
    /// The same in full: with the file and its line, or the name of the variable.
    pub(crate) source: String,
}

/// Returns all of them, by key.
pub(crate) fn settings(config: &Config) -> Vec<SettingRow<'_>> {
    config.settings.iter().map(shown).collect()
}

fn shown(Setting { key, value, source }: &Setting) -> SettingRow<'_> {
    let from = match source {
        Source::Default => "default",
        Source::File { .. } => "file",
        Source::Environment(_) => "environment",
    };
    SettingRow { key, value, from, source: source.to_string() }
}
