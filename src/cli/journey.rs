//! `bridge messages journey`: what happened to one message, in words.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::output::Failure;
use crate::config::{Config, LogContacts};
use crate::domain::Language;
use crate::domain::clock::wall_ms;
use crate::domain::journey::words::{Words, tell as put};
use crate::store::Store;
use crate::telemetry::harmless;

/// Returns it for the terminal: the verdict, an empty line, and a line for each step. Times are those of the channel's
/// account, which the first line of the steps names.
pub(super) async fn tell(
    store: &dyn Store,
    config: &Config,
    m_id: &str,
    language: Option<&str>,
    contacts: bool,
) -> Result<String, Failure> {
    let Some(mut journey) = store.journey(m_id.to_owned()).await.map_err(anyhow::Error::new)? else {
        return Err(Failure::Work(anyhow::anyhow!(
            "there is no message and no event `{m_id}` in this store: was it another bridge, or longer ago than keep_rows?"
        )));
    };
    if !contacts
        && config.log.contacts == LogContacts::Masked
        && let Ok(contact) = journey.contact.parse()
    {
        journey.contact = crate::telemetry::contact(&contact).to_string();
    }
    let language = match language {
        Some("es") => Language::Es,
        Some(_) => Language::En,
        None => config.language,
    };
    let channel = journey.channel.parse().ok().and_then(|name| config.channels.get(&name));
    let zone = channel.map_or(TimeZone::UTC, |channel| channel.afilnet.time_zone.clone());
    let told = put(&Words { language, zone: &zone, now_ms: wall_ms() }, &journey);
    let mut text = told.verdict.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", harmless(line));
        text
    });
    let _ = writeln!(text, "\n{} ({})", harmless(m_id), zone.iana_name().unwrap_or("UTC"));
    for line in told.lines {
        let _ = writeln!(text, "{}", harmless(&line));
    }
    Ok(text)
}
