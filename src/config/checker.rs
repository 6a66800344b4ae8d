//! Where rules across keys note their problems, and the checks that several of them share.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Certificate;
use secrecy::{ExposeSecret as _, SecretString};

use super::keys::variable;
use super::layers::Layers;
use super::problems::Problems;
use super::{keys, secret};

/// Largest file of certificates read, in bytes.
const CA_LIMIT: u64 = 4 * 1024 * 1024;

/// A shorter token is warned about: random letters and digits of this length cannot be guessed over a network.
const SHORTEST_TOKEN: usize = 16;

/// Context of the rules: the layers for sources, and the two lists that they fill.
pub(super) struct Checker {
    pub(super) layers: Layers,
    pub(super) problems: Problems,
    pub(super) warnings: Vec<String>,
}

impl Checker {
    /// Notes a problem, with the place where `key` was set.
    pub(super) fn note(&mut self, key: &str, what: impl Into<String>) {
        self.problems.note(key, self.layers.source(key), what);
    }

    /// Returns whether none of `keys` has a problem, so that a rule about all of them makes sense.
    pub(super) fn clean(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.problems.has(key))
    }

    /// Returns a required value; notes a problem if it is missing.
    pub(super) fn required<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.clean(&[&format!("{key}_file")]) {
            let (variable, twin) = (variable(key), format!("{key}_file"));
            let from_file =
                if keys::is_secret(key) { format!(", or name a file that holds it as {twin}") } else { String::new() };
            self.note(key, format!("is not set. Set it in the configuration file or as {variable}{from_file}"));
        }
        value
    }

    /// Returns the secret of `key`, from itself or from the file that its `_file` twin names.
    pub(super) fn secret(
        &mut self,
        key: &str,
        direct: Option<SecretString>,
        file: Option<String>,
    ) -> Option<SecretString> {
        let twin = format!("{key}_file");
        let Some(file) = file else { return direct };
        if direct.is_some() && self.layers.is_set(key) {
            let other = self.layers.source(key);
            self.note(&twin, format!("is set, and so is {key} ({other}). Keep one of them"));
            return None;
        }
        let path = Path::new(&file);
        match secret::read_secret(path) {
            Ok(text) => {
                if let Some(odd) = secret::oddity(&text) {
                    self.layers.oddities.insert(twin.clone(), odd);
                }
                if secret::open_to_all(path) {
                    self.warnings.push(format!("{twin}: every user of this machine may read {file}; chmod o-r it"));
                }
                Some(text.into())
            }
            Err(why) => {
                self.note(&twin, format!("names a file that {why}"));
                None
            }
        }
    }

    /// Returns the certificates in the PEM file that `key` names.
    pub(super) fn certificates(&mut self, key: &str, file: Option<String>) -> Vec<Certificate> {
        let Some(file) = file else { return Vec::new() };
        let text = match secret::read(Path::new(&file), CA_LIMIT) {
            Ok(text) => text,
            Err(why) => {
                self.note(key, format!("names a file that {why}"));
                return Vec::new();
            }
        };
        let found = Certificate::from_pem_bundle(text.as_bytes()).unwrap_or_default();
        // Only building a client parses them.
        #[expect(clippy::disallowed_methods, reason = "it makes no call")]
        let sound = || reqwest::Client::builder().tls_certs_only(found.clone()).build().is_ok();
        if found.is_empty() || !sound() {
            self.note(key, format!("names a file that holds no certificates in PEM form, or a broken one: {file}"));
            return Vec::new();
        }
        found
    }

    /// As [`Self::secret`], for one that is sent in an `Authorization` header.
    pub(super) fn token(
        &mut self,
        key: &str,
        direct: Option<SecretString>,
        file: Option<String>,
    ) -> Option<SecretString> {
        let token = self.secret(key, direct, file)?;
        if !token.expose_secret().bytes().all(|b| b.is_ascii_graphic()) {
            let twin = format!("{key}_file");
            let from_file = self.layers.is_set(&twin) && !self.layers.is_set(key);
            let what = "must be made of visible ASCII characters without white space. Copy it again";
            self.note(if from_file { &twin } else { key }, what);
        } else if token.expose_secret().len() < SHORTEST_TOKEN {
            self.warnings.push(format!(
                "{key}: the token has fewer than {SHORTEST_TOKEN} characters, and whoever guesses it can write in your name. \
                 Take a longer one, at random"
            ));
        }
        Some(token)
    }
}

/// The first holder of each value, to name both if two must differ.
#[derive(Default)]
pub(super) struct Uniqueness(BTreeMap<Vec<String>, String>);

impl Uniqueness {
    /// Returns the earlier holder of `value`, if there is one.
    pub(super) fn earlier_holder(&mut self, value: Vec<String>, holder: &str) -> Option<String> {
        if let Some(first) = self.0.get(&value) {
            return Some(first.clone());
        }
        self.0.insert(value, holder.to_owned());
        None
    }
}
