//! Finds messages by what an operator knows of them.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::config::{Config, LogContacts};
use crate::domain::clock::{millis, now_ms};
use crate::domain::find::{BadQuery, Cursor, MessageState, Query, Search, Side};
use crate::domain::{ContactId, IdType};
use crate::store::{FoundMessage, FoundMessages, Store, StoreError};

/// Time of one search.
const WITHIN: Duration = Duration::from_millis(250);

/// A search as it was typed; times and contacts are not parsed yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// An mId, a number or part of one, or words; empty for any message.
    pub(crate) query: String,
    pub(crate) side: Option<Side>,
    pub(crate) channel: Option<String>,
    pub(crate) state: Option<MessageState>,
    pub(crate) fault: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) contact: Option<String>,
    /// The cursor of the page before.
    pub(crate) before: Option<String>,
    pub(crate) limit: u32,
    /// Search until all is found, however long that takes.
    pub(crate) to_the_end: bool,
    /// Contacts in full, where the configuration masks them.
    pub(crate) contacts_in_full: bool,
}

/// Messages, newest first, and what the operator should know of the search.
#[derive(Debug, Clone)]
pub(crate) struct SearchResult {
    pub(crate) messages: Vec<FoundMessage>,
    /// Where the next page begins; `None` after the last.
    pub(crate) next: Option<Cursor>,
    pub(crate) notes: Vec<SearchHint>,
}

/// What the operator should know of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SearchHint {
    /// This channel is in the store alone.
    NotConfigured(String),
    /// The time was up before all was searched. All messages since then were; `None`: not even the newest.
    Cut { back_to_ms: Option<i64> },
    /// The search was for words: texts are erased at this age, and cannot be found by words then.
    TextsErased { after: Duration },
}

impl SearchHint {
    /// Returns it in English, the names of parameters with this before them.
    pub(crate) fn words(&self, dashes: &str) -> String {
        match self {
            Self::NotConfigured(channel) => {
                format!("channel `{channel}` is not configured: what is stored of it is kept, and not delivered")
            }
            Self::Cut { back_to_ms } => {
                let reached = back_to_ms.map_or_else(
                    || "the time of a search was up before the newest were searched".to_owned(),
                    |at_ms| format!("searched back to {}, which took the time of a search", time(at_ms)),
                );
                format!("{reached}; {dashes}channel, {dashes}contact, {dashes}since or {dashes}state make it shorter")
            }
            Self::TextsErased { after } => {
                let after = humantime::format_duration(*after);
                format!("texts are erased after {after} (store.keep_text): older messages are not found by words")
            }
        }
    }
}

/// Why nothing was searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Request(String),
    /// In English, the names of parameters with two dashes before them, and in Spanish.
    #[error("{}", .0[0])]
    InBoth([&'static str; 2]),
    /// No such channel is configured or in the store; which ones are.
    #[error("there is no channel `{typed}`")]
    Channel { typed: String, names: Vec<String> },
    /// A parameter with a time that is none.
    #[error("{parameter} takes a time")]
    Time { parameter: &'static str, typed: String },
    /// Not the cursor of a page.
    #[error("before takes {takes}")]
    Cursor { typed: String, takes: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// Returns it in English, the names of parameters with this before them.
    pub(crate) fn words(&self, dashes: &str) -> String {
        match self {
            Self::Request(why) => why.clone(),
            Self::InBoth([english, _]) => english.replace("--", dashes),
            Self::Channel { typed, names } => format!(
                "there is no channel `{typed}`, neither configured nor in this store: use one of {}",
                names.join(", ")
            ),
            Self::Time { parameter, typed } => format!(
                "{dashes}{parameter} takes a time ago (90s, 2h, 3d), a day (2026-11-14) or a time (2026-11-14T10:02, in \
                 afilnet.time_zone): `{typed}` is none of them"
            ),
            Self::Cursor { typed, takes } => format!("{dashes}before takes {takes}; it was `{typed}`"),
            Self::Store(error) => error.to_string(),
        }
    }
}

/// Returns one page of the messages that fulfil all that `request` asks for.
///
/// # Errors
/// A channel, a time or a cursor that means nothing; or the store could not be read.
pub(crate) async fn find(store: &dyn Store, config: &Config, request: Request) -> Result<SearchResult, Refusal> {
    let mut notes = Vec::new();
    if let Some(channel) = &request.channel {
        check_channel(store, config, channel).await?;
        if !config.channels.keys().any(|name| name.as_str() == channel) {
            notes.push(SearchHint::NotConfigured(channel.clone()));
        }
    }
    let (search, within) = (search(config, &request)?, (!request.to_the_end).then_some(WITHIN));
    let by_words = matches!(search.query, Query::Words(_));
    let FoundMessages { mut messages, next, cut, searched_back_to_ms } = store.find(search, within).await?;
    if cut {
        notes.push(SearchHint::Cut { back_to_ms: searched_back_to_ms });
    }
    if by_words {
        notes.push(SearchHint::TextsErased { after: config.store.keep_text });
    }
    if !request.contacts_in_full && config.log.contacts == LogContacts::Masked {
        for FoundMessage { message, .. } in &mut messages {
            if let Ok(contact) = message.contact.parse() {
                message.contact = crate::telemetry::contact(&contact).to_string();
            }
        }
    }
    Ok(SearchResult { messages, next, notes })
}

/// Searches of one page, at most, where most of what is found is of other channels.
const ROUNDS: usize = 8;

/// As [`find`], for these channels only; `None`: for all.
///
/// # Errors
/// As [`find`]; another channel than these is refused as unknown.
pub(crate) async fn find_of(
    store: &dyn Store,
    config: &Config,
    channels: Option<&BTreeSet<String>>,
    mut request: Request,
) -> Result<SearchResult, Refusal> {
    let Some(channels) = channels else { return find(store, config, request).await };
    let only = |refusal| match refusal {
        Refusal::Channel { typed, .. } => Refusal::Channel { typed, names: channels.iter().cloned().collect() },
        refusal => refusal,
    };
    if channels.len() == 1 && request.channel.is_none() {
        request.channel = channels.first().cloned();
    }
    if let Some(typed) = &request.channel {
        if !channels.contains(typed) {
            return Err(only(Refusal::Channel { typed: typed.clone(), names: Vec::new() }));
        }
        return find(store, config, request).await.map_err(only);
    }
    let mut page = SearchResult { messages: Vec::new(), next: None, notes: Vec::new() };
    for _ in 0..ROUNDS {
        let SearchResult { messages, next, notes } = find(store, config, request.clone()).await.map_err(only)?;
        page.messages.extend(messages.into_iter().filter(|found| channels.contains(&found.message.channel)));
        (page.next, page.notes) = (next, notes);
        let is_cut = page.notes.iter().any(|note| matches!(note, SearchHint::Cut { .. }));
        match next {
            Some(next) if page.messages.is_empty() && !is_cut => request.before = Some(next.to_string()),
            Some(_) | None => break,
        }
    }
    Ok(page)
}

/// Refuses a channel that is neither configured nor in the store: an empty answer would read as "nothing there".
///
/// # Errors
/// The names that there are; or the store could not be read.
pub(crate) async fn check_channel(store: &dyn Store, config: &Config, channel: &str) -> Result<(), Refusal> {
    let mut names: BTreeSet<String> = config.channels.keys().map(ToString::to_string).collect();
    names.extend(store.channel_names().await?);
    if names.contains(channel) {
        return Ok(());
    }
    Err(Refusal::Channel { typed: channel.to_owned(), names: names.into_iter().collect() })
}

fn search(config: &Config, request: &Request) -> Result<Search, Refusal> {
    let before = match &request.before {
        None => Cursor::TOP,
        Some(typed) => {
            let takes = "what the page before ended with, such as 1200-900";
            typed.parse().map_err(|_: BadQuery| Refusal::Cursor { typed: typed.clone(), takes })?
        }
    };
    Ok(Search {
        query: Query::parse(&request.query),
        side: request.side,
        channel: request.channel.clone(),
        state: request.state,
        fault: request.fault.clone(),
        since_ms: time_of(config, "since", request.since.as_deref())?,
        until_ms: time_of(config, "until", request.until.as_deref())?,
        contacts: request.contact.as_deref().map(spellings).unwrap_or_default(),
        before,
        limit: request.limit,
    })
}

/// Returns the time that was typed for a parameter, epoch milliseconds.
///
/// # Errors
/// The text is not a time.
pub(crate) fn time_of(config: &Config, parameter: &'static str, typed: Option<&str>) -> Result<Option<i64>, Refusal> {
    let Some(typed) = typed else { return Ok(None) };
    let zone = config.time_zone_of("");
    moment(typed, now_ms(), &zone).map(Some).ok_or_else(|| Refusal::Time { parameter, typed: typed.to_owned() })
}

/// Returns the moment that was typed, epoch milliseconds.
fn moment(typed: &str, now_ms: i64, zone: &TimeZone) -> Option<i64> {
    let typed = typed.trim();
    if let Ok(ago) = humantime::parse_duration(typed) {
        return Some(now_ms.saturating_sub(millis(ago)));
    }
    if let Ok(at) = typed.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let local: DateTime = typed.parse().ok()?;
    Some(local.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

/// Returns the contact ids under which a contact may be stored: of a number, with and without `+`, in both spellings.
pub(crate) fn spellings(typed: &str) -> Vec<String> {
    let bare: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00")).unwrap_or(&bare);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return vec![bare];
    }
    let mut spellings = vec![format!("+{digits}"), digits.to_owned()];
    if let Ok(contact) = spellings[0].parse::<ContactId>() {
        spellings.extend(IdType::Phone.other_spelling(&contact).map(|other| other.to_string()));
    }
    if bare != digits && !bare.starts_with('+') {
        spellings.push(bare);
    }
    spellings
}

/// Returns a time for a person.
pub(crate) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let zone = TimeZone::get("Europe/Madrid").unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        for (typed, expected) in [
            ("2h", Some(at("2026-11-14T08:00:00Z"))),
            ("2026-11-14T09:02:00Z", Some(at("2026-11-14T09:02:00Z"))),
            ("2026-11-14T10:02", Some(at("2026-11-14T09:02:00Z"))),
            ("2026-11-14 10:02", Some(at("2026-11-14T09:02:00Z"))),
            ("2026-11-14", Some(at("2026-11-13T23:00:00Z"))),
            ("2026-07-14", Some(at("2026-07-13T22:00:00Z"))),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(moment(typed, at("2026-11-14T10:00:00Z"), &zone), expected, "{typed}");
        }
    }

    #[test]
    fn a_contact_is_found_however_its_number_is_spelled() {
        for typed in ["+34600111222", "34 600 111 222", "0034600111222"] {
            assert!(spellings(typed).contains(&"+34600111222".to_owned()), "{typed}");
        }
        assert!(spellings("5491155551234").contains(&"+541155551234".to_owned()));
        assert_eq!(spellings("user_7@web"), ["user_7@web"]);
    }
}
