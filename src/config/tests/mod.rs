//! The configuration from outside: files and variables in, a `Config` or all its problems out.

mod anna;
mod channels;
mod layers;
mod secrets;
mod values;

use std::collections::HashMap;

use super::{Config, Problems};

/// A channel that lacks only the secrets and the account.
const CHANNEL: &str = r#"
[channels.support]
channel_id = "gfd8g7fd89dgfd"
id_type = "phone"
platform = "whatsapp"
platform_id = "100"
"#;

/// What makes `CHANNEL` complete.
const REST: [(&str, &str); 4] = [
    ("BRIDGE__AFILNET__USER", "someone@example.com"),
    ("BRIDGE__AFILNET__PASSWORD", "canary-password"),
    ("BRIDGE__BONYCHAT__WEBHOOK_URL", "https://hooks.example.com/custom/webhook"),
    ("BRIDGE__CHANNELS__SUPPORT__API_TOKEN", "canary-token-of-support"),
];

fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads `toml` as a file (only its owner may read it) under the variables `pairs`.
fn load(toml: &str, pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    let file = tempfile::Builder::new().prefix("bridge").suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    Config::load(Some(file.path()), env(pairs))
}

/// Loads the complete channel with `toml` added and `pairs` over all.
fn load_over(toml: &str, pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    let all: Vec<_> = REST.into_iter().chain(pairs.iter().copied()).collect();
    load(&format!("{toml}\n{CHANNEL}"), &all)
}

/// Every problem as "key: what", sorted by key.
fn wrong(result: Result<Config, Problems>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| format!("{}: {}", problem.key, problem.what)).collect(),
    }
}

/// The keys that have a problem.
fn wrong_keys(result: Result<Config, Problems>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.key.clone()).collect(),
    }
}
