//! Erases everything of one person, for a command beside a running bridge or without one.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::db::{SqliteTx, recall};
use super::{change, execute, rows, unavailable};
use crate::domain::{ChannelName, ContactId};
use crate::store::ops::places;
use crate::store::places::Place;
use crate::store::tx::{at_once, decode};
use crate::store::{ConversationRead, Erase, Erasure, Person, StoreError, erasure, sql};

pub(super) fn erase(db: &Connection, person: &Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError> {
    let [one_name, other] = &person.names;
    let found: Vec<(i64, String, String, String)> =
        rows(db, erasure::PERSON, params![person.channel, one_name, other], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })?;
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
    for (conversation, channel, contact, first) in &found {
        let (channel, contact): (ChannelName, ContactId) =
            (decode("conversations", channel)?, decode("conversations", contact)?);
        for statement in [erasure::ERASE_KEYS, erasure::ERASE_OUTBOUND, erasure::ERASE_EVENTS, erasure::ERASE_POSTPONED]
        {
            execute(db, statement, params![conversation])?;
        }
        let further: Vec<(i64, String)> =
            rows(db, erasure::FURTHER, params![conversation], |r| Ok((r.get(0)?, r.get(1)?)))?;
        for (nth, destination) in further {
            let hashed = erasure::hashed(&channel, &destination)?;
            change(db, erasure::ERASE_FURTHER, params![hashed, conversation, nth])?;
        }
        let first = erasure::hashed(&channel, first)?;
        change(db, erasure::ERASE_NAMES, params![contact.erased(&channel).as_str(), first, conversation])?;
    }
    Ok(Erasure { done: true, ..there })
}

/// Returns the place of a read; its conversation is created if new. An erased one stays erased until the read
/// holds something new of it.
pub(super) fn meet(db: &Connection, reading: &ConversationRead) -> Result<Place, StoreError> {
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
        Some(conversation) => at_once(places::of(&mut SqliteTx(db), conversation, channel, contact, destination)),
        None => at_once(places::meet(&mut SqliteTx(db), channel, contact, destination)),
    }
}
