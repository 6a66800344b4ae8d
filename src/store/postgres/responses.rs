//! Which responses to `POST /message` reached their callers.

use super::db::{Db, args};
use super::{outbound, sql as own};
use crate::domain::{ChannelName, ContactId, MId};
use crate::store::{Epoch, StoreError, sql};

pub(super) type Conversation = (ChannelName, ContactId);

/// A message may be gone by now, or be answered already under a key: then nothing changes.
pub(super) async fn settle(db: &mut Db, accept: &[(MId, bool)]) -> Result<(), StoreError> {
    let mut accept: Vec<&(MId, bool)> = accept.iter().collect();
    accept.sort_by_key(|(m_id, _)| m_id.as_str()); // locks are taken in one order
    for (m_id, reached) in accept {
        if *reached {
            db.execute(sql::ANSWERED, args![m_id.as_str()]).await?;
        } else {
            lose(db, m_id).await?;
        }
    }
    Ok(())
}

/// An answer is lost that this process was to give.
pub(super) async fn lose(db: &mut Db, m_id: &MId) -> Result<(), StoreError> {
    let me = db.me();
    db.execute(own::ANSWER_LOST, args![m_id.as_str(), me]).await.map(drop)
}

/// Locks a conversation, where there is one. A commit that was under way on the server has ended by then, as it holds the
/// lock.
pub(super) async fn lock(db: &mut Db, of: &Conversation) -> Result<(), StoreError> {
    let _: Option<(i64,)> = db.optional(own::CONVERSATION_LOCKED, args![of.0.as_str(), of.1.as_str()]).await?;
    Ok(())
}

/// Takes a channel over. Whoever had it died before it knew what became of these answers.
pub(super) async fn take_ownership(db: &mut Db, channel: &ChannelName) -> Result<Epoch, StoreError> {
    let epoch = outbound::take_ownership(db, channel).await?; // locks the channel, which comes before its rows
    db.execute(sql::ANSWERS_LOST, args![channel.as_str()]).await?;
    Ok(epoch)
}
