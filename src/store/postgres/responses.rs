//! Which responses to `POST /message` reached their callers.

use super::db::{Db, args};
use super::{outbound, sql as engine_sql};
use crate::domain::{ChannelName, ContactId, MId};
use crate::store::{Epoch, StoreError, sql};

pub(super) type Conversation = (ChannelName, ContactId);

/// Records which responses were received. Does nothing for a message that was deleted, or of which another response
/// with the same mId was received.
pub(super) async fn settle(db: &mut Db, responses: &[(MId, bool)]) -> Result<(), StoreError> {
    let mut responses: Vec<&(MId, bool)> = responses.iter().collect();
    responses.sort_by_key(|(m_id, _)| m_id.as_str()); // one order of locks, against deadlocks
    for (m_id, reached) in responses {
        if *reached {
            db.execute(sql::ANSWERED, args![m_id.as_str()]).await?;
        } else {
            lose(db, m_id).await?;
        }
    }
    Ok(())
}

/// Records that a response of this process was lost.
pub(super) async fn lose(db: &mut Db, m_id: &MId) -> Result<(), StoreError> {
    let me = db.me();
    db.execute(engine_sql::ANSWER_LOST, args![m_id.as_str(), me]).await.map(drop)
}

/// Locks a conversation, if it exists. An in-doubt commit has ended on the server by then, since it holds this lock.
pub(super) async fn lock(db: &mut Db, of: &Conversation) -> Result<(), StoreError> {
    let _: Option<(i64,)> = db.optional(engine_sql::CONVERSATION_LOCKED, args![of.0.as_str(), of.1.as_str()]).await?;
    Ok(())
}

/// Takes a channel over. Responses that its former owner had not recorded count as lost.
pub(super) async fn take_ownership(db: &mut Db, channel: &ChannelName) -> Result<Epoch, StoreError> {
    let epoch = outbound::take_ownership(db, channel).await?; // locks the channel, before its rows
    db.execute(sql::ANSWERS_LOST, args![channel.as_str()]).await?;
    Ok(epoch)
}
