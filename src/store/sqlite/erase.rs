//! Erases everything of one person, for a command beside a running bridge or without one.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::db::recall;
use super::{change, decode, execute, one, rows, unavailable};
use crate::domain::{ChannelName, ContactId};
use crate::store::{ConversationRead, Erase, Erasure, Person, StoreError, erasure, sql};

pub(super) fn erase(db: &Connection, person: &Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError> {
    let [one_name, other] = &person.names;
    let found: Vec<(i64, String, String)> =
        rows(db, erasure::PERSON, params![person.channel, one_name, other], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let mut there = Erasure::default();
    for (conversation, ..) in &found {
        let messages: Vec<(i64, i64, i64)> =
            rows(db, erasure::PERSON_OUTBOUND, params![conversation, now_ms - erasure::READ_WITHIN_MS], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })?;
        let events: Vec<(i64, i64)> =
            rows(db, erasure::PERSON_EVENTS, params![conversation], |r| Ok((r.get(0)?, r.get(1)?)))?;
        there.add(messages.first().copied().unwrap_or_default(), events.first().copied().unwrap_or_default());
    }
    if !there.may(how) {
        return Ok(there);
    }
    for (conversation, channel, contact) in &found {
        let (channel, contact): (ChannelName, ContactId) =
            (decode("conversations", channel)?, decode("conversations", contact)?);
        for statement in [erasure::ERASE_KEYS, erasure::ERASE_OUTBOUND, erasure::ERASE_EVENTS, erasure::ERASE_POSTPONED]
        {
            execute(db, statement, params![conversation])?;
        }
        change(db, erasure::ERASE_NAMES, params![contact.erased(&channel).as_str(), conversation])?;
    }
    Ok(Erasure { done: true, ..there })
}

/// Returns the id of the conversation of a read, which is created if new. An erased one stays erased until the read
/// holds something new of it.
pub(super) fn meet(db: &Connection, reading: &ConversationRead) -> Result<i64, StoreError> {
    let ConversationRead { channel, contact, destination, .. } = reading;
    let erased = contact.erased(channel);
    let kept: Option<i64> = db
        .prepare_cached(sql::CONVERSATION)
        .and_then(|mut s| s.query_row(params![channel.as_str(), erased.as_str()], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    let recalled = match kept {
        Some(_) if reading.has_content() => recall(db, channel, contact, destination)?,
        kept => kept,
    };
    match recalled {
        Some(conversation) => Ok(conversation),
        None => one(db, sql::MEET, params![channel.as_str(), contact.as_str(), destination.as_str()]),
    }
}
