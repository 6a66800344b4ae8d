//! What stands in the places of placeholders: links and numbers of one contact, within one budget (anna.md section 8).
//! What AnnA does not give in time is left to the fallback; nothing is kept but who was refused a moment ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::client::AnnaClient;
use super::error::AnnaError;
use super::wire::{Filters, Person, Request, key};
use crate::config::{UserIdRule, UserIdSource};
use crate::domain::placeholder::PlaceholderKind;
use crate::domain::{ChannelName, ContactId, Placeholder, PlaceholderResolver, Replacement};
use crate::telemetry::{self, metrics};

/// Time for which AnnA is not asked again about a contact that it refused.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// Refusals that are kept, at most.
const MOST_REFUSED: usize = 10_000;
/// Most characters of a link.
const MOST_LINK: usize = 2000;
/// Digits of a number that names a person (anna.md section 8).
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 6..=15;

/// Contacts and what was refused for them, until when.
type Refused = HashMap<(String, PlaceholderKind), Instant>;

/// Fills in the placeholders of one channel.
pub(crate) struct AnnaResolver {
    channel: ChannelName,
    client: Arc<AnnaClient>,
    refused: Arc<Mutex<Refused>>,
}

/// Why there is no value.
#[derive(Debug)]
enum NoValue {
    /// The contact has no user id.
    Contact,
    /// Refused a moment ago.
    Known,
    /// The budget is spent.
    Budget,
    Anna(AnnaError),
}

impl NoValue {
    fn reason(&self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Known => "api",
            Self::Budget => "budget",
            Self::Anna(error) => error.class(),
        }
    }
}

impl AnnaResolver {
    pub(crate) fn new(channel: ChannelName, client: &Arc<AnnaClient>) -> Self {
        Self { channel, client: Arc::clone(client), refused: Arc::default() }
    }

    fn fallback(&self, placeholder: &Placeholder) -> String {
        let settings = &self.client.settings;
        placeholder.fallback.clone().unwrap_or_else(|| match placeholder.kind {
            PlaceholderKind::ChatUrl { .. } | PlaceholderKind::MessengerLink => settings.fallback_url.clone(),
            PlaceholderKind::Pending => settings.fallback_pending.clone(),
        })
    }

    /// Returns the values of all kinds that are asked for, each asked for once, concurrently.
    async fn values(
        &self,
        contact: &ContactId,
        placeholders: &[Placeholder],
    ) -> HashMap<PlaceholderKind, Result<SecretString, NoValue>> {
        let mut values: HashMap<PlaceholderKind, Result<SecretString, NoValue>> = HashMap::new();
        for placeholder in placeholders {
            values.insert(placeholder.kind.clone(), Err(NoValue::Budget));
        }
        let Some(user_id) = user_id(&self.client.settings.user_id, contact) else {
            for value in values.values_mut() {
                *value = Err(NoValue::Contact);
            }
            return values;
        };
        let deadline = Instant::now() + self.client.settings.budget;
        let mut asked = JoinSet::new(); // what still runs at the deadline ends with it
        for kind in values.keys().cloned() {
            let (client, refused, user_id) = (Arc::clone(&self.client), Arc::clone(&self.refused), user_id.clone());
            asked.spawn(async move {
                let value = remembering(&client, &refused, &user_id, &kind).await;
                (kind, value)
            });
        }
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, asked.join_next()).await {
            if let Ok((kind, value)) = ended {
                values.insert(kind, value);
            }
        }
        values
    }
}

#[async_trait]
impl PlaceholderResolver for AnnaResolver {
    async fn resolve(&self, contact: &ContactId, placeholders: &[Placeholder]) -> Vec<Replacement> {
        let values = self.values(contact, placeholders).await;
        for (kind, value) in &values {
            let Err(why) = value else { continue };
            metrics::anna::fallback(&self.channel, kind.name(), why.reason());
            let detail = match why {
                NoValue::Anna(error) => error.to_string(),
                NoValue::Contact => "the contact has no user id by anna.user_id".to_owned(),
                NoValue::Known => "refused a moment ago".to_owned(),
                NoValue::Budget => "not within anna.budget".to_owned(),
            };
            tracing::warn!(
                channel_name = %self.channel,
                contact = %telemetry::contact(contact),
                placeholder = kind.name(),
                reason = why.reason(),
                detail,
                "AnnA gave nothing for {{{{anna.{}}}}}: the message goes out with its fallback ({detail})", kind.name()
            );
        }
        let replacement = |placeholder: &Placeholder| Replacement {
            value: values.get(&placeholder.kind).and_then(|value| value.as_ref().ok()).cloned(),
            fallback: self.fallback(placeholder),
        };
        placeholders.iter().map(replacement).collect()
    }

    fn fallbacks(&self, placeholders: &[Placeholder]) -> Vec<Replacement> {
        placeholders.iter().map(|one| Replacement { value: None, fallback: self.fallback(one) }).collect()
    }
}

fn lock(refused: &Mutex<Refused>) -> MutexGuard<'_, Refused> {
    refused.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns one value, unless AnnA refused it within [`REFUSED_FOR`].
async fn remembering(
    client: &Arc<AnnaClient>,
    refused: &Mutex<Refused>,
    user_id: &str,
    kind: &PlaceholderKind,
) -> Result<SecretString, NoValue> {
    let place = (user_id.to_owned(), kind.clone());
    if lock(refused).get(&place).is_some_and(|until| Instant::now() < *until) {
        return Err(NoValue::Known);
    }
    let value = ask(client, user_id, kind).await;
    if matches!(value, Err(AnnaError::Api { .. })) {
        let now = Instant::now();
        let mut refused = lock(refused);
        if refused.len() >= MOST_REFUSED {
            refused.retain(|_, until| now < *until);
        }
        if refused.len() < MOST_REFUSED {
            refused.insert(place, now + REFUSED_FOR);
        }
    }
    value.map_err(NoValue::Anna)
}

/// Asks AnnA for one value.
async fn ask(client: &Arc<AnnaClient>, user_id: &str, kind: &PlaceholderKind) -> Result<SecretString, AnnaError> {
    let settings = &client.settings;
    let by_document = Person { user_id: "", doc_type: &settings.doc_type, doc_value: user_id };
    let by_id = Person { user_id, doc_type: "", doc_value: "" };
    let person = if settings.doc_type.is_empty() { by_id } else { by_document };
    let link = |link: &Value| checked_link(link, &settings.link_hosts);
    let chat_url = |access: &Value| link(key(access, "ChatURL").unwrap_or(&Value::Null));
    match kind {
        PlaceholderKind::ChatUrl { alias } => {
            let start_service = alias.as_deref().unwrap_or(&settings.start_service);
            match client.ask_for(&Request::UserHash { user_id, start_service }, chat_url).await {
                // Somebody closed an inactive account on purpose; a user who is there keeps the name that is stored:
                // failures of the server and a wrong alias say nothing of the user.
                Err(AnnaError::Api { other_reason: false, server: false, .. })
                    if settings.create_users && alias.is_none() =>
                {
                    let request = Request::UserHashForced { user_id, user_name: user_id, start_service };
                    client.ask_for(&request, chat_url).await
                }
                other => other,
            }
        }
        PlaceholderKind::MessengerLink => client.ask_for(&Request::Link(person), link).await,
        PlaceholderKind::Pending => {
            client.ask_for(&Request::AlertCounter(person, Filters::default()), checked_number).await
        }
    }
}

/// AnnA's id of a contact; `None` where it has none: letters are never cut away, since two people would become one
/// user.
fn user_id(rule: &UserIdRule, contact: &ContactId) -> Option<String> {
    let contact = contact.as_str();
    let named = match rule.source {
        UserIdSource::Digits => {
            let digits = contact.strip_prefix('+').unwrap_or(contact);
            let number = NUMBER_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            number.then_some(digits)?
        }
        UserIdSource::Contact => contact,
    };
    // AnnA writes COMPANY_HASH@USER_ID (anna.md section 2).
    (!named.contains('@')).then(|| format!("{}{named}", rule.prefix))
}

/// Returns a link that may be sent: https, to a host that is allowed, nothing in it that is no part of a URL.
fn checked_link(link: &Value, hosts: &[String]) -> Result<SecretString, AnnaError> {
    let link = link.as_str().filter(|link| !link.is_empty()).ok_or(AnnaError::Protocol("it gave no link"))?;
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let url = Url::parse(link).ok().filter(|url| url.scheme() == "https" && url.host_str().is_some());
    let Some(url) = url.filter(|_| !link.contains(odd) && link.chars().count() <= MOST_LINK) else {
        return Err(AnnaError::Protocol("its link is no https link of at most 2,000 characters"));
    };
    let allowed = hosts.is_empty() || url.host_str().is_some_and(|host| hosts.iter().any(|known| known == host));
    let plain = url.username().is_empty() && url.password().is_none();
    if !allowed || !plain {
        return Err(AnnaError::Protocol("its link leads to a host that anna.link_hosts does not name"));
    }
    Ok(link.to_owned().into())
}

/// Returns a count as digits.
fn checked_number(number: &Value) -> Result<SecretString, AnnaError> {
    let count = match number {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    count.map(|count: u64| count.to_string().into()).ok_or(AnnaError::Protocol("its count is no number"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_contact_has_a_user_id_only_where_it_is_surely_that_person() {
        let rule = |prefix: &str, source| UserIdRule { prefix: prefix.to_owned(), source };
        let digits = rule("", UserIdSource::Digits);
        let contact = rule("wa-", UserIdSource::Contact);
        for (given, by_digits, by_contact) in [
            ("+34600111222", Some("34600111222"), Some("wa-+34600111222")),
            ("34600111222", Some("34600111222"), Some("wa-34600111222")),
            ("123456", Some("123456"), Some("wa-123456")),
            ("12345", None, Some("wa-12345")),
            ("1234567890123456", None, Some("wa-1234567890123456")),
            ("34600a111222", None, Some("wa-34600a111222")),
            ("a=40b", None, Some("wa-a=40b")),
            ("34600111222@lid", None, None),
            ("++34600111222", None, Some("wa-++34600111222")),
        ] {
            let id: ContactId = given.parse().unwrap();
            assert_eq!(user_id(&digits, &id).as_deref(), by_digits, "{given}");
            assert_eq!(user_id(&contact, &id).as_deref(), by_contact, "{given}");
        }
    }

    #[test]
    fn links_that_could_lead_astray_are_no_links() {
        let hosts = ["chat.test".to_owned()];
        let good = "https://chat.test/w5/?u=1&v=a+b%2B#x";
        assert_eq!(checked_link(&json!(good), &hosts).unwrap().expose_secret(), good);
        assert!(checked_link(&json!("https://other.test/"), &[]).is_ok());
        let long = format!("https://chat.test/{}", "a".repeat(2000));
        for bad in [
            json!(null),
            json!(5),
            json!(""),
            json!("chat.test/x"),
            json!("http://chat.test/x"),
            json!("javascript:alert(1)"),
            json!("https://chat.test/a b"),
            json!("https://chat.test/a\nb"),
            json!("https://chat.test/a\u{2028}b"),
            json!("https://other.test/"),
            json!("https://chat.test.evil.test/"),
            json!("https://chat.test@evil.test/"),
            json!("https://user:p@chat.test/"),
            json!(long),
        ] {
            assert!(checked_link(&bad, &hosts).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_are_numbers_however_they_are_written() {
        for (given, count) in [(json!(0), "0"), (json!(17), "17"), (json!(" 3 "), "3")] {
            assert_eq!(checked_number(&given).unwrap().expose_secret(), count, "{given}");
        }
        for bad in [json!(-1), json!(1.5), json!("many"), json!(""), json!(null), json!([1])] {
            assert!(checked_number(&bad).is_err(), "{bad}");
        }
    }
}
