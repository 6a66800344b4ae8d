//! `[anna]`: where AnnA is, who the bridge is there, and what is sent where AnnA gives nothing (anna.md section 8).

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::address::is_loopback;
use super::read::{Leaf, Requirement, Scalar};
use crate::domain::placeholder::{LINK_WIDTH, is_fallback};

/// Least `text_limit` of a channel that fills in placeholders: what is kept free for a link must fit into one message.
pub(super) const LEAST_TEXT_LIMIT: usize = LINK_WIDTH;

/// `[anna]`
#[derive(Debug, Clone)]
pub struct Anna {
    /// Where its API is: https, or http on loopback only. Ends in a slash.
    pub base_url: Url,
    /// The company's hash, which goes into every call.
    pub company_hash: SecretString,
    /// Login.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// What is sent in place of a link.
    pub fallback_url: String,
    /// What is sent in place of a number.
    pub fallback_pending: String,
    /// How a contact is named there.
    pub user_id: UserIdRule,
    /// Whether a contact without a user gets one.
    pub create_users: bool,
    /// What `chat_url` opens where the placeholder names nothing.
    pub start_service: String,
    /// Type of document by which contacts are named; empty: by user id.
    pub doc_type: String,
    /// Hosts that links may lead to, in lower case; none: any.
    pub link_hosts: Vec<String>,
    /// Time for all calls before one send.
    pub budget: Duration,
    /// Calls at the same time.
    pub max_parallel: usize,
    /// Roots trusted beside the system's.
    pub ca: Vec<reqwest::Certificate>,
}

/// `anna.user_id`: a prefix, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdRule {
    /// Literal text in front.
    pub prefix: String,
    /// What follows.
    pub source: UserIdSource,
}

/// What a user id is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserIdSource {
    /// The digits of a phone number; a contact that is none has no user.
    Digits,
    /// The contact id as it is.
    Contact,
}

impl Leaf for UserIdRule {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        const RULE: Requirement = Requirement::Borrowed(
            "must end in {digits} or {contact}, behind at most 32 letters, digits and - _ . of your own, such as \"wa-{digits}\"",
        );
        let Scalar::Text(text) = scalar else { return Err(RULE) };
        let text = text.trim();
        let (prefix, source) = match (text.strip_suffix("{digits}"), text.strip_suffix("{contact}")) {
            (Some(prefix), _) => (prefix, UserIdSource::Digits),
            (None, Some(prefix)) => (prefix, UserIdSource::Contact),
            (None, None) => return Err(RULE),
        };
        // AnnA writes COMPANY_HASH@USER_ID: an `@` would be ambiguous (anna.md section 2).
        let plain = prefix.len() <= 32 && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if plain { Ok(Self { prefix: prefix.to_owned(), source }) } else { Err(RULE) }
    }
}

/// A public page, as it is written.
pub(super) struct FallbackUrl(pub(super) String);

impl Leaf for FallbackUrl {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = String::read(scalar)?;
        let https = Url::parse(&text).is_ok_and(|url| url.scheme() == "https" && url.host().is_some());
        if !https || text.contains(char::is_whitespace) || text.chars().count() > LINK_WIDTH {
            return Err(
                "must be the https URL of a page that every customer may see, of at most 1000 characters".into()
            );
        }
        Ok(Self(text))
    }
}

/// What stands in the place of a number.
pub(super) struct FallbackText(pub(super) String);

impl Leaf for FallbackText {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = String::read(scalar)?;
        if !is_fallback(&text) {
            return Err("must be one line of 1 to 200 characters without braces".into());
        }
        if text == "0" { Err("must not be 0: unknown is not none".into()) } else { Ok(Self(text)) }
    }
}

/// Names of hosts: a list, or text with commas.
pub(super) struct Hosts(pub(super) Vec<String>);

impl Leaf for Hosts {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        const RULE: Requirement = Requirement::Borrowed("must be a list of host names, such as [\"chat.example.com\"]");
        let items = match scalar {
            Scalar::List(items) => items,
            Scalar::Text(text) => text.split(',').map(|item| Scalar::Text(item.to_owned())).collect(),
            _ => return Err(RULE),
        };
        let host = |item| {
            let Scalar::Text(text) = item else { return Err(RULE) };
            let host = text.trim().to_ascii_lowercase();
            let url = Url::parse(&format!("https://{host}/")).map_err(|_| RULE)?;
            if url.host_str() == Some(host.as_str()) { Ok(host) } else { Err(RULE) }
        };
        items.into_iter().map(host).collect::<Result<_, _>>().map(Self)
    }
}

impl Anna {
    /// Returns its address for the summary of the configuration.
    pub(super) fn summary(&self) -> String {
        let host = self.base_url.host_str().unwrap_or_default();
        let place = if is_loopback(&self.base_url) { " (this machine)" } else { "" };
        format!("{host}{place}, budget {:?}, {} at the same time", self.budget, self.max_parallel)
    }
}
