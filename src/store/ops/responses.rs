//! Which responses to `POST /message` reached their callers.

use crate::domain::{ChannelName, MId};
use crate::store::tx::{Tx, values};
use crate::store::{Epoch, StoreError, sql};

/// Records which responses were received. Does nothing for a message that was deleted, or of which another response
/// with the same mId was received.
pub(in crate::store) async fn record(db: &mut impl Tx, responses: &[(MId, bool)]) -> Result<(), StoreError> {
    let mut responses: Vec<&(MId, bool)> = responses.iter().collect();
    responses.sort_by_key(|(m_id, _)| m_id.as_str()); // one order of locks, against deadlocks
    for (m_id, reached) in responses {
        if *reached {
            db.execute(sql::ANSWERED, values![m_id.as_str()]).await?;
        } else {
            db.lose_response(m_id).await?;
        }
    }
    Ok(())
}

/// Takes a channel over. Responses that its former owner had not recorded count as lost.
pub(in crate::store) async fn take_ownership(db: &mut impl Tx, channel: &ChannelName) -> Result<Epoch, StoreError> {
    let epoch = next_epoch(db, channel).await?; // locks the channel, before its rows
    db.execute(sql::ANSWERS_LOST, values![channel.as_str()]).await?;
    Ok(epoch)
}

/// Makes this process the owner of a channel, and nothing of what its former owner wrote valid from now on.
pub(in crate::store) async fn next_epoch(db: &mut impl Tx, channel: &ChannelName) -> Result<Epoch, StoreError> {
    db.lock_owner(channel.as_str()).await?;
    db.one(sql::TAKE_OWNERSHIP, values![channel.as_str()]).await.map(Epoch)
}
