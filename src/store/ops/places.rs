//! The destination of a conversation that a read is of: its first or a further one, which is added if new.

use crate::domain::{ChannelName, ContactId, Destination, same_digits};
use crate::store::places::{FIRST, Place};
use crate::store::tx::{Tx, values};
use crate::store::{StoreError, sql};

/// A conversation as it is met: its id, where messages go, its first destination, and whether anything of that was read.
type PlaceRow = (i64, String, String, i64);

/// Returns the place of a destination; its conversation is created if new.
pub(in crate::store) async fn meet(
    db: &mut impl Tx,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<Place, StoreError> {
    let values = values![channel.as_str(), contact.as_str(), destination.as_str()];
    let there: Option<PlaceRow> = db.optional(sql::MEET, values).await?;
    locate(db, channel, contact, destination, there.ok_or(StoreError::Stale)?).await
}

/// As [`meet`], in a conversation that is known.
pub(in crate::store) async fn of(
    db: &mut impl Tx,
    conversation: i64,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<Place, StoreError> {
    let there: Option<PlaceRow> = db.optional(sql::MET, values![conversation]).await?;
    locate(db, channel, contact, destination, there.ok_or(StoreError::Stale)?).await
}

async fn locate(
    db: &mut impl Tx,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
    (conversation, goes_to, first, is_read): PlaceRow,
) -> Result<Place, StoreError> {
    let name = destination.as_str();
    let at = |nth| Ok(Place { conversation, nth });
    if first == name {
        return at(FIRST);
    }
    if is_read == 0 {
        let respelled = goes_to.parse().is_ok_and(|goes_to| same_digits(&goes_to, destination));
        db.change(if respelled { sql::SPELLED } else { sql::READ_FROM }, values![name, conversation]).await?;
        return at(FIRST);
    }
    let (erased, hashed) = (contact.erased(channel), destination.erased(channel));
    let stays_erased = goes_to == erased.as_str();
    if first == erased.as_str() {
        return at(FIRST);
    }
    if first == hashed.as_str() {
        if !stays_erased {
            db.change(sql::READ_FROM, values![name, conversation]).await?;
        }
        return at(FIRST);
    }
    let further: Option<(i64, String)> =
        db.optional(sql::FURTHER, values![conversation, name, hashed.as_str()]).await?;
    if let Some((nth, stored)) = further {
        if stored != name && !stays_erased {
            db.change(sql::NAME_FURTHER, values![name, conversation, nth]).await?;
        }
        return at(nth);
    }
    let name = if stays_erased { hashed.as_str() } else { name };
    at(db.one(sql::ADD_FURTHER, values![conversation, name]).await?)
}
