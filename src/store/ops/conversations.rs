//! The conversation that an operation is on: found, restored after an erasure, or created.

use super::places;
use crate::domain::{ChannelName, ContactId, Destination};
use crate::store::places::Place;
use crate::store::tx::{Tx, values};
use crate::store::{ConversationRead, StoreError, erasure, sql};

/// Returns the id of the conversation with a contact, or else with the other spelling of its number, and locks it; it is
/// created if new.
pub(in crate::store) async fn conversation<T: Tx>(
    db: &mut T,
    channel: &ChannelName,
    contact: &ContactId,
    other_spelling: Option<&ContactId>,
    destination: &Destination,
) -> Result<i64, StoreError> {
    for contact in std::iter::once(contact).chain(other_spelling) {
        if let Some(id) = known(db, channel, contact, None).await? {
            return Ok(id);
        }
        if let Some(id) = recall(db, channel, contact, destination).await? {
            return Ok(id);
        }
    }
    let values = values![channel.as_str(), contact.as_str(), destination.as_str()];
    db.one(T::ADD_CONVERSATION, values).await
}

/// Returns the id of the conversation with a contact, or else with the other spelling of its number; none is created or restored.
pub(in crate::store) async fn known<T: Tx>(
    db: &mut T,
    channel: &ChannelName,
    contact: &ContactId,
    other_spelling: Option<&ContactId>,
) -> Result<Option<i64>, StoreError> {
    for contact in std::iter::once(contact).chain(other_spelling) {
        let known: Option<(i64,)> =
            db.optional(T::FIND_CONVERSATION, values![channel.as_str(), contact.as_str()]).await?;
        if let Some((id,)) = known {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Restores contact and destination of an erased conversation. Returns its id.
async fn recall(
    db: &mut impl Tx,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<Option<i64>, StoreError> {
    let erased = contact.erased(channel);
    let values = values![contact.as_str(), destination.as_str(), channel.as_str(), erased.as_str()];
    let recalled: Option<(i64,)> = db.optional(erasure::RECALL, values).await?;
    Ok(recalled.map(|(id,)| id))
}

/// Returns the place of a read; its conversation is created if new. An erased one stays erased until the read
/// holds something new of it.
pub(in crate::store) async fn meet(db: &mut impl Tx, reading: &ConversationRead) -> Result<Place, StoreError> {
    let ConversationRead { channel, contact, destination, .. } = reading;
    let erased = contact.erased(channel);
    let kept: Option<(i64,)> = db.optional(sql::CONVERSATION, values![channel.as_str(), erased.as_str()]).await?;
    let recalled = match kept {
        Some(_) if reading.has_content() => recall(db, channel, contact, destination).await?,
        kept => kept.map(|(id,)| id),
    };
    match recalled {
        Some(conversation) => places::of(db, conversation, channel, contact, destination).await,
        None => places::meet(db, channel, contact, destination).await,
    }
}
