//! What must not be in a capture: the secrets of the configuration, every contact and every text of the store.

use std::collections::HashSet;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::{Config, StoreUrl, Transport};
use crate::domain::canary::{self, Outgoing};
use crate::domain::find::Side;
use crate::store::Store;

/// Secrets and contacts; texts are read one after the other.
pub(super) struct Canaries {
    secrets: Vec<String>,
    contacts: HashSet<String>,
    /// Digits of the contacts, and the last nine of each.
    numbers: HashSet<String>,
    tails: HashSet<String>,
}

/// The canaries that were found.
pub(super) struct CanaryScan {
    /// The kind of what was found, never its value.
    pub(super) hit: Option<&'static str>,
    pub(super) looked_for: usize,
}

impl Canaries {
    /// Gathers them; the store's where there is one.
    pub(super) async fn gather(config: &Config, store: Option<&dyn Store>) -> Result<Self, String> {
        let mut contacts = HashSet::new();
        if let Some(store) = store {
            let failed = |error: crate::store::StoreError| format!("the store cannot be read ({error})");
            let mut after = 0;
            while let Some(page) = store.operators().contacts(after).await.map_err(failed)? {
                contacts.extend(page.values.into_iter().filter(|value| !value.is_empty()));
                after = page.next;
            }
        }
        let digits = |contact: &String| contact.chars().filter(char::is_ascii_digit).collect::<String>();
        let numbers: HashSet<String> = contacts.iter().map(digits).collect();
        let tails = numbers.iter().filter_map(|number| canary::tail(number)).map(str::to_owned).collect();
        Ok(Self { secrets: secrets(config), contacts, numbers, tails })
    }

    /// Returns whether a number is that of a contact: no replacement may be.
    pub(super) fn is_number(&self, number: &str) -> bool {
        canary::is_one_of(number, &self.numbers, &self.tails)
    }

    /// Looks for each of them, and for every text of the store.
    pub(super) async fn found_in(&self, out: &Outgoing, store: Option<&dyn Store>) -> Result<CanaryScan, String> {
        let mut looked_for = self.secrets.len() + self.contacts.len();
        let mut hit = None;
        if self.secrets.iter().any(|secret| out.holds_secret(secret)) {
            hit = Some("a user, a password or a token of the configuration");
        } else if self.contacts.iter().any(|contact| out.holds_contact(contact)) {
            hit = Some("a contact of the store");
        }
        for side in Side::BOTH.into_iter().filter(|_| store.is_some()) {
            let (Some(store), mut from) = (store, 0) else { break };
            while let Some(texts) = store.operators().texts(side, from).await.map_err(|error| error.to_string())? {
                looked_for += texts.folded.len();
                if hit.is_none() && texts.folded.iter().any(|text| out.holds_text(text)) {
                    hit = Some("a text of the store");
                }
                from = texts.next;
            }
        }
        Ok(CanaryScan { hit, looked_for })
    }
}

fn secrets(config: &Config) -> Vec<String> {
    let mut secrets = Vec::new();
    let mut add = |secret: &SecretString| secrets.push(secret.expose_secret().to_owned());
    config.admin.token.iter().for_each(&mut add);
    config.admin.people.values().for_each(|person| add(&person.token));
    if let StoreUrl::Postgres(url) = &config.store.url {
        add(url);
    }
    if let Some(anna) = &config.anna {
        add(&anna.company_hash);
        add(&anna.password);
    }
    for channel in config.channels.values() {
        add(&channel.api_token);
        channel.previous_api_token.iter().for_each(&mut add);
        add(&channel.afilnet.password);
        if let Transport::Json(oauth) = &channel.afilnet.transport {
            add(&oauth.client_secret);
        }
    }
    for channel in config.channels.values() {
        secrets.push(channel.afilnet.user.clone());
    }
    secrets
}
