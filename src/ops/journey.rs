//! What happened to one message, as data and in words.

use jiff::tz::TimeZone;

use crate::config::{Config, LogContacts};
use crate::domain::Language;
use crate::domain::clock::wall_ms;
use crate::domain::journey::words::{JourneyText, Words, tell as put};
use crate::domain::journey::{Journey, Means};
use crate::store::{Store, StoreError};

/// A journey, in words too.
pub(crate) struct Account {
    pub(crate) journey: Journey,
    pub(crate) told: JourneyText,
    /// Zone of the times in the words.
    pub(crate) zone: String,
}

/// Returns what happened to a message or to the events of one mId; `None` if there is neither. Contacts are masked as the
/// configuration has it, unless the caller wants them in full.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn journey(
    store: &dyn Store,
    config: &Config,
    m_id: &str,
    language: Option<Language>,
    contacts_in_full: bool,
) -> Result<Option<Account>, StoreError> {
    let Some(mut journey) = store.journey(m_id.to_owned()).await? else { return Ok(None) };
    if !contacts_in_full
        && config.log.contacts == LogContacts::Masked
        && let Ok(contact) = journey.contact.parse()
    {
        journey.contact = crate::telemetry::contact(&contact).to_string();
    }
    let channel = journey.channel.parse().ok().and_then(|name| config.channels.get(&name));
    let zone = channel.map_or(TimeZone::UTC, |channel| channel.afilnet.time_zone.clone());
    let words = Words {
        language: language.unwrap_or(config.language),
        zone: &zone,
        now_ms: wall_ms(),
        means: Means::Cli,
        may_act: true,
        looks: config.outbound.look_after.len(),
    };
    let told = put(&words, &journey);
    let zone = zone.iana_name().unwrap_or("UTC").to_owned();
    Ok(Some(Account { journey, told, zone }))
}

/// Returns the sentence for an mId of which the store has nothing.
pub(crate) fn missing(m_id: &str) -> String {
    format!(
        "there is no message and no event `{m_id}` in this store: was it another bridge, or longer ago than keep_rows?"
    )
}
