//! Erases everything of one person, for a command beside running bridges or without one.

use super::text_index;
use crate::domain::find::Side;
use crate::domain::{ChannelName, ContactId};
use crate::store::tx::{Tx, decode, values};
use crate::store::{Erase, Erasure, Person, StoreError, erasure, sql_journey};

pub(in crate::store) async fn erase(
    db: &mut impl Tx,
    person: &Person,
    how: Erase,
    now_ms: i64,
) -> Result<Erasure, StoreError> {
    let [one_name, other] = &person.names;
    let named = values![person.channel.as_deref(), one_name.as_str(), other.as_str()];
    let met: Vec<(i64, String, String, String)> = db.rows(erasure::PERSON, named).await?;
    for (conversation, ..) in met {
        db.lock(conversation).await?;
    }
    let found: Vec<(i64, String, String, String)> = db.rows(erasure::PERSON, named).await?;
    let mut there = Erasure::default();
    for (conversation, ..) in &found {
        let messages: Option<(i64, i64, i64)> =
            db.optional(erasure::PERSON_OUTBOUND, values![*conversation, now_ms - erasure::READ_WITHIN_MS]).await?;
        let events: Option<(i64, i64)> = db.optional(erasure::PERSON_EVENTS, values![*conversation]).await?;
        there.add(messages.unwrap_or_default(), events.unwrap_or_default());
    }
    if !there.may(how) {
        return Ok(there);
    }
    let (mut outbound, mut events) = (Vec::new(), Vec::new());
    for (conversation, channel, contact, first) in &found {
        let (channel, contact): (ChannelName, ContactId) =
            (decode("conversations", channel)?, decode("conversations", contact)?);
        for statement in [
            erasure::ERASE_KEYS,
            sql_journey::ERASE_MESSAGE_REASONS,
            sql_journey::ERASE_EVENT_REASONS,
            sql_journey::ERASE_MESSAGE_EXCERPTS,
            sql_journey::ERASE_EVENT_EXCERPTS,
            sql_journey::ERASE_MESSAGE_STEPS,
            sql_journey::ERASE_EVENT_STEPS,
        ] {
            db.execute(statement, values![*conversation]).await?;
        }
        outbound.extend(db.ids(erasure::ERASE_OUTBOUND, values![*conversation]).await?);
        events.extend(db.ids(erasure::ERASE_EVENTS, values![*conversation]).await?);
        db.execute(erasure::ERASE_POSTPONED, values![*conversation]).await?;
        let further: Vec<(i64, String)> = db.rows(erasure::FURTHER, values![*conversation]).await?;
        for (nth, destination) in further {
            let hashed = erasure::hashed(&channel, &destination)?;
            db.change(erasure::ERASE_FURTHER, values![hashed, *conversation, nth]).await?;
        }
        let first = erasure::hashed(&channel, first)?;
        let erased = contact.erased(&channel);
        db.change(erasure::ERASE_NAMES, values![erased.as_str(), first, *conversation]).await?;
    }
    // Last, as in every transaction that erases texts: none waits for a row while it holds the index.
    text_index::forget(db, Side::Out, &outbound).await?;
    text_index::forget(db, Side::In, &events).await?;
    Ok(Erasure { done: true, ..there })
}
