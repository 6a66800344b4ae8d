//! The destination of a conversation that a read is of: its first or a further one, which is added if new.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{change, one, unavailable};
use crate::domain::{ChannelName, ContactId, Destination, same_digits};
use crate::store::places::{FIRST, Place};
use crate::store::{StoreError, sql};

/// A conversation as it is met: where messages go, its first destination, and whether anything of that was read.
struct Met {
    conversation: i64,
    goes_to: String,
    first: String,
    is_read: bool,
}

fn met(row: &rusqlite::Row<'_>) -> rusqlite::Result<Met> {
    let is_read: i64 = row.get(3)?;
    Ok(Met { conversation: row.get(0)?, goes_to: row.get(1)?, first: row.get(2)?, is_read: is_read != 0 })
}

/// Returns the place of a destination; its conversation is created if new.
pub(super) fn meet(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<Place, StoreError> {
    let there = db
        .prepare_cached(sql::MEET)
        .and_then(|mut s| s.query_row(params![channel.as_str(), contact.as_str(), destination.as_str()], met))
        .map_err(unavailable)?;
    locate(db, channel, contact, destination, &there)
}

/// As [`meet`], in a conversation that is known.
pub(super) fn of(
    db: &Connection,
    conversation: i64,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<Place, StoreError> {
    let there =
        db.prepare_cached(sql::MET).and_then(|mut s| s.query_row(params![conversation], met)).map_err(unavailable)?;
    locate(db, channel, contact, destination, &there)
}

fn locate(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
    there: &Met,
) -> Result<Place, StoreError> {
    let Met { conversation, goes_to, first, is_read } = there;
    let (conversation, name) = (*conversation, destination.as_str());
    let at = |nth| Ok(Place { conversation, nth });
    if first == name {
        return at(FIRST);
    }
    if !is_read {
        let respelled = goes_to.parse().is_ok_and(|goes_to| same_digits(&goes_to, destination));
        change(db, if respelled { sql::SPELLED } else { sql::READ_FROM }, params![name, conversation])?;
        return at(FIRST);
    }
    let (erased, hashed) = (contact.erased(channel), destination.erased(channel));
    let stays_erased = goes_to == erased.as_str();
    if first == erased.as_str() {
        return at(FIRST);
    }
    if first == hashed.as_str() {
        if !stays_erased {
            change(db, sql::READ_FROM, params![name, conversation])?;
        }
        return at(FIRST);
    }
    let further: Option<(i64, String)> = db
        .prepare_cached(sql::FURTHER)
        .and_then(|mut s| {
            s.query_row(params![conversation, name, hashed.as_str()], |r| Ok((r.get(0)?, r.get(1)?))).optional()
        })
        .map_err(unavailable)?;
    if let Some((nth, stored)) = further {
        if stored != name && !stays_erased {
            change(db, sql::NAME_FURTHER, params![name, conversation, nth])?;
        }
        return at(nth);
    }
    let name = if stays_erased { hashed.as_str() } else { name };
    at(one(db, sql::ADD_FURTHER, params![conversation, name])?)
}
