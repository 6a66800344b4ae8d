//! Which responses to `POST /message` reached their callers.

use crate::domain::{ChannelName, MId};
use crate::store::tx::{Tx, values};
use crate::store::{Epoch, StoreError, sql};

/// Records which responses were received. Does nothing for a message that was deleted, or of which another response
/// with the same mId was received. Waits for no lock; returns those of which the row is locked by another transaction.
pub(in crate::store) async fn record(
    db: &mut impl Tx,
    responses: &[(MId, bool)],
) -> Result<Vec<(MId, bool)>, StoreError> {
    let locked = db.lock_responses(responses.iter().map(|(m_id, _)| m_id.as_str().to_owned()).collect()).await?;
    let (left, free): (Vec<_>, Vec<_>) =
        responses.iter().partition(|(m_id, _)| locked.iter().any(|locked| locked == m_id.as_str()));
    for (m_id, reached) in free {
        if *reached {
            db.execute(sql::ANSWERED, values![m_id.as_str()]).await?;
        } else {
            db.lose_response(m_id).await?;
        }
    }
    Ok(left.into_iter().cloned().collect())
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
