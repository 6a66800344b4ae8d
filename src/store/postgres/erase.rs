//! Erases everything of one person, for a command beside running bridges or without one.

use super::db::{Db, args, recall};
use crate::domain::{ChannelName, ContactId};
use crate::store::ops::places;
use crate::store::places::Place;
use crate::store::tx::{Tx as _, decode};
use crate::store::{ConversationRead, Erase, Erasure, Person, StoreError, erasure, sql};

pub(super) async fn erase(db: &mut Db, person: &Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError> {
    let [one_name, other] = &person.names;
    let named = || args![person.channel.as_deref(), one_name.as_str(), other.as_str()];
    let met: Vec<(i64, String, String, String)> = db.rows(erasure::PERSON, named()).await?;
    for (conversation, ..) in met {
        db.lock(conversation).await?;
    }
    let found: Vec<(i64, String, String, String)> = db.rows(erasure::PERSON, named()).await?;
    let mut there = Erasure::default();
    for (conversation, ..) in &found {
        let messages: Option<(i64, i64, i64)> =
            db.optional(erasure::PERSON_OUTBOUND, args![*conversation, now_ms - erasure::READ_WITHIN_MS]).await?;
        let events: Option<(i64, i64)> = db.optional(erasure::PERSON_EVENTS, args![*conversation]).await?;
        there.add(messages.unwrap_or_default(), events.unwrap_or_default());
    }
    if !there.may(how) {
        return Ok(there);
    }
    for (conversation, channel, contact, first) in &found {
        let (channel, contact): (ChannelName, ContactId) =
            (decode("conversations", channel)?, decode("conversations", contact)?);
        for statement in [erasure::ERASE_KEYS, erasure::ERASE_OUTBOUND, erasure::ERASE_EVENTS, erasure::ERASE_POSTPONED]
        {
            db.execute(statement, args![*conversation]).await?;
        }
        let further: Vec<(i64, String)> = db.rows(erasure::FURTHER, args![*conversation]).await?;
        for (nth, destination) in further {
            let hashed = erasure::hashed(&channel, &destination)?;
            db.change(erasure::ERASE_FURTHER, args![hashed, *conversation, nth]).await?;
        }
        let first = erasure::hashed(&channel, first)?;
        let erased = contact.erased(&channel);
        db.change(erasure::ERASE_NAMES, args![erased.as_str(), first, *conversation]).await?;
    }
    Ok(Erasure { done: true, ..there })
}

/// Returns the place of a read; its conversation is created if new. An erased one stays erased until the read
/// holds something new of it.
pub(super) async fn meet(db: &mut Db, reading: &ConversationRead) -> Result<Place, StoreError> {
    let ConversationRead { channel, contact, destination, .. } = reading;
    let erased = contact.erased(channel);
    let kept: Option<(i64,)> = db.optional(sql::CONVERSATION, args![channel.as_str(), erased.as_str()]).await?;
    let recalled = match kept {
        Some(_) if reading.has_content() => recall(db, channel, contact, destination).await?,
        kept => kept.map(|(id,)| id),
    };
    match recalled {
        Some(conversation) => places::of(db, conversation, channel, contact, destination).await,
        None => places::meet(db, channel, contact, destination).await,
    }
}
