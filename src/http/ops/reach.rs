//! What a person of some channels reaches: pages and calls that keep to these channels by themselves, and messages of these
//! channels.

use crate::ops::sign_in::Person;
use crate::store::{Store, StoreError};

/// First parts of the paths of pages that show a person no other channels. Every other page is for people of all channels: one
/// that is added is closed to the others until it is named here.
pub(super) const PAGES: &[&str] = &["", "live", "messages", "unconfirmed"];
/// The same of the API.
pub(super) const CALLS: &[&str] = &["channels", "failed", "messages", "openapi.json"];

/// Why a person of some channels does not get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OutOfReach {
    /// It is of all channels together.
    AllChannels,
    /// No message of these channels has this mId; the response is the same whether one of others has it.
    NoSuchMessage(String),
}

/// Returns what keeps a person from a path. `kept`: [`PAGES`] or [`CALLS`].
///
/// # Errors
/// The store could not be read.
pub(super) async fn beyond(
    store: &dyn Store,
    person: &Person,
    kept: &[&str],
    path: &str,
) -> Result<Option<OutOfReach>, StoreError> {
    if person.channels().is_none() {
        return Ok(None);
    }
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let mut parts = path.trim_start_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    if !kept.contains(&first) {
        return Ok(Some(OutOfReach::AllChannels));
    }
    // An mId is hex digits; one that is written otherwise, as in percent-encoding, is not found.
    let Some(m_id) = parts.next().filter(|_| first == "messages") else { return Ok(None) };
    let found = store.show(m_id.to_owned()).await?;
    let is_seen = found.is_some_and(|message| person.sees(&message.channel));
    Ok((!is_seen).then(|| OutOfReach::NoSuchMessage(m_id.to_owned())))
}
