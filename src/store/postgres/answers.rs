//! Which calls got their answers, and what that makes of an equal call: a message of its own, or a repeat.

use super::db::{Db, args, corrupt, decode};
use super::unsure::Call;
use super::{outbound, sql as own};
use crate::domain::ids::fingerprint;
use crate::domain::{ChannelName, IdempotencyKey, MId};
use crate::store::{Accepted, Epoch, Kept, NewOutbound, StoreError, sql};

/// An equal call later than this after the first is a message of its own, whatever became of the first one's answer:
/// people do write the same again.
pub(super) const REPEAT_WITHIN_MS: i64 = 10 * 60 * 1000;

pub(super) async fn accept(db: &mut Db, call: &Call) -> Result<Accepted, StoreError> {
    let new = &call.message;
    let content = serde_json::to_string(&new.content).map_err(|e| corrupt("outbound")(Box::new(e)))?;
    let known = match &new.key {
        Some(key) => {
            db.execute(own::LOCK_KEY, args![format!("{} {}", new.channel.as_str(), key.as_str())]).await?;
            named(db, new, key, &content).await?
        }
        None => None,
    };
    if let Some(kept) = known {
        return Ok(Accepted { ahead: false, kept });
    }
    // Locked before the row gets its id: ids of one conversation are in the order of its commits.
    let conversation = db.conversation(&new.channel, &new.contact, &new.destination).await?;
    // A commit that was under way on the server has ended by now, as it held the lock too.
    for m_id in &call.lost {
        db.execute(sql::ANSWER_LOST, args![m_id.as_str()]).await?;
    }
    // Calls with keys say themselves which of them are one.
    if new.key.is_none()
        && let Some(first) = unanswered(db, conversation, &content, new.accepted_ms - REPEAT_WITHIN_MS).await?
    {
        call.keeps(&first);
        return repeat(db, first).await.map(|kept| Accepted { ahead: false, kept });
    }
    call.keeps(&new.m_id);
    let ahead = outbound::add(db, conversation, new, &content).await?;
    if let Some(key) = &new.key {
        let (channel, digest) = (new.channel.as_str(), digest(new, &content));
        db.execute(sql::SET_KEY, args![channel, key.as_str(), digest, new.m_id.as_str(), new.accepted_ms]).await?;
    }
    Ok(Accepted { ahead, kept: Kept::New })
}

/// The oldest equal message since `since_ms` whose answer was lost.
async fn unanswered(db: &mut Db, conversation: i64, content: &str, since_ms: i64) -> Result<Option<MId>, StoreError> {
    let first: Option<(String,)> = db.optional(sql::UNANSWERED, args![conversation, since_ms, content]).await?;
    first.map(|(m_id,)| decode("outbound", &m_id)).transpose()
}

/// What a key comes to that was used before. A message that surely was not sent leaves its key to the next.
async fn named(
    db: &mut Db,
    new: &NewOutbound,
    key: &IdempotencyKey,
    content: &str,
) -> Result<Option<Kept>, StoreError> {
    let known: Option<(String, String, Option<String>)> =
        db.optional(sql::KEY, args![new.channel.as_str(), key.as_str()]).await?;
    match known {
        None => Ok(None),
        Some((known, ..)) if known != digest(new, content) => Ok(Some(Kept::KeyTaken)),
        Some((_, _, state)) if state.as_deref() == Some("failed") => Ok(None),
        Some((_, m_id, _)) => repeat(db, decode("idempotency", &m_id)?).await.map(Some),
    }
}

/// Its answer is the one that counts from now on: an equal call after it is a repeat only if this one is lost too.
async fn repeat(db: &mut Db, first: MId) -> Result<Kept, StoreError> {
    db.execute(sql::ANSWER_AGAIN, args![first.as_str()]).await?;
    Ok(Kept::RepeatOf(first))
}

fn digest(new: &NewOutbound, content: &str) -> String {
    fingerprint(&[new.contact.as_str(), content])
}

/// A message may be gone by now, or be answered already under a key: then nothing changes.
pub(super) async fn settle(db: &mut Db, answers: &[(MId, bool)]) -> Result<(), StoreError> {
    let mut answers: Vec<&(MId, bool)> = answers.iter().collect();
    answers.sort_by_key(|(m_id, _)| m_id.as_str()); // locks are taken in one order
    for (m_id, reached) in answers {
        db.execute(if *reached { sql::ANSWERED } else { sql::ANSWER_LOST }, args![m_id.as_str()]).await?;
    }
    Ok(())
}

/// Takes a channel over. Whoever had it died before it knew what became of these answers.
pub(super) async fn own(db: &mut Db, channel: &ChannelName) -> Result<Epoch, StoreError> {
    let epoch = outbound::own(db, channel).await?; // locks the channel, which comes before its rows
    db.execute(sql::ANSWERS_LOST, args![channel.as_str()]).await?;
    Ok(epoch)
}
