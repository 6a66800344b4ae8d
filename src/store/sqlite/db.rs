//! Helpers of this engine's operations for a connection.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::domain::{ChannelName, ContactId, Destination};
use crate::store::{StoreError, erasure, sql};
use std::sync::Arc;

/// The engine could not do it; may work later.
pub(super) fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(Arc::new(error))
}

/// A row that this version cannot read.
pub(super) fn corrupt(table: &'static str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    move |source| StoreError::Corrupt { table, source: Arc::from(source) }
}

/// Returns the id of the conversation with a contact, or else with the other spelling of its number; it is created if new.
pub(super) fn conversation(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    other_spelling: Option<&ContactId>,
    destination: &Destination,
) -> Result<i64, StoreError> {
    for contact in std::iter::once(contact).chain(other_spelling) {
        let known: Option<i64> = db
            .prepare_cached(sql::CONVERSATION)
            .and_then(|mut s| s.query_row(params![channel.as_str(), contact.as_str()], |r| r.get(0)).optional())
            .map_err(unavailable)?;
        let found = if known.is_some() { known } else { recall(db, channel, contact, destination)? };
        if let Some(id) = found {
            return Ok(id);
        }
    }
    one(db, sql::ADD_CONVERSATION, params![channel.as_str(), contact.as_str(), destination.as_str()])
}

/// Returns the value of a statement that always has one.
pub(super) fn one<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
) -> Result<T, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.query_row(params, |r| r.get(0))).map_err(unavailable)
}

/// Returns all rows of a statement.
pub(super) fn rows<T>(
    db: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.query_map(params, read)?.collect()).map_err(unavailable)
}

/// Returns the number of changed rows.
pub(super) fn execute(db: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<usize, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(unavailable)
}

/// Changes exactly one row; `Stale` if it is no longer as expected.
pub(super) fn change(db: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<(), StoreError> {
    if execute(db, sql, params)? == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

/// Parses a stored id or JSON text, naming the table where it does not decode.
pub(super) fn decode<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| corrupt(table)(Box::new(error)))
}

/// Restores contact and destination of an erased conversation. Returns its id.
pub(super) fn recall(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<Option<i64>, StoreError> {
    let erased = contact.erased(channel);
    let values = params![contact.as_str(), destination.as_str(), channel.as_str(), erased.as_str()];
    db.prepare_cached(erasure::RECALL)
        .and_then(|mut s| s.query_row(values, |r| r.get(0)).optional())
        .map_err(unavailable)
}
