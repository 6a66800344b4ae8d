//! What rows of own sends show: that the account shows them, how soon, and their delivery status.

use super::events;
use crate::domain::clock::wall_ms;
use crate::domain::matching::{AccountTraits, Features, Match, ShownAs};
use crate::domain::reconcile::numbering_area;
use crate::domain::{Event, EventBody, StatusValue};
use crate::store::tx::{Tx, decode, values};
use crate::store::{ConversationRead, Lesson, Receipt, StoreError, UnreportedSend, rules, sql};

/// Updates the account's traits from a row that matches a certainly sent message.
pub(in crate::store) async fn from_row(
    db: &mut impl Tx,
    reading: &ConversationRead,
    conversation: i64,
    (matched, lesson): (&Match, Option<Lesson>),
    read_before_ms: Option<i64>,
) -> Result<(), StoreError> {
    let channel = reading.channel.as_str();
    let sent: Option<(String, Option<i64>, Option<String>)> =
        db.optional(sql::MATCHED_SENT, values![matched.m_id.as_str(), conversation]).await?;
    let Some((kind, done_ms, new_destination)) = sent else { return Ok(()) };
    if let Some(Lesson { features, how }) = lesson {
        learn_features(db, channel, features, how).await?;
    }
    // A row under another destination than the send went to proves the contrary.
    if new_destination.is_some_and(|sent_to| sent_to == reading.destination.as_str()) {
        let area = numbering_area(&reading.destination);
        let between = format!("% {area} %");
        db.execute(sql::LEARN_NEW_DESTINATION, values![format!("{area} "), channel, between]).await?;
    }
    let learn = if kind == "attachment" { sql::SHOWS_FILES } else { sql::SHOWS_TEXTS };
    db.execute(learn, values![channel]).await?;
    // The time of a send is stored for the last part only.
    if let (true, Some(done_ms), Some(read_before_ms)) = (matched.last, done_ms, read_before_ms) {
        let lag_ms = read_before_ms - done_ms;
        if (1..=rules::LONGEST_LAG_MS).contains(&lag_ms) {
            db.execute(sql::SETTLE_LAG, values![lag_ms, channel]).await?;
        }
    }
    Ok(())
}

/// Stores what a row teaches about rewriting. Where that is nothing new the channel's row is not locked: every poll of the
/// channel would wait for it. Where it is, it is worked out again under the lock, so that no other lesson is undone.
async fn learn_features(db: &mut impl Tx, channel: &str, features: Features, how: ShownAs) -> Result<(), StoreError> {
    for locked in [false, true] {
        if locked {
            db.lock_channel(channel).await?;
        }
        let known = account_traits(db, channel).await?;
        let learned = known.learned(features, how == ShownAs::Verbatim);
        if learned == (known.verbatim, known.rewritten) {
            return Ok(());
        }
        if locked {
            db.execute(sql::LEARN_FEATURES, values![learned.0.bits(), learned.1.bits(), channel]).await?;
        }
    }
    Ok(())
}

/// Queues the status on the row of an own send, if it goes beyond the last one published. Returns whether it does.
pub(in crate::store) async fn queue_status(
    db: &mut impl Tx,
    conversation: i64,
    receipt: &Receipt,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let (rank, part) = (receipt.value.rank(), i64::from(receipt.part));
    let part = if receipt.value == StatusValue::Failed { -1 } else { part };
    let done: Option<(Option<i64>,)> =
        db.optional(sql::SET_STATUS, values![rank, receipt.m_id.as_str(), conversation, part]).await?;
    let Some((done_ms,)) = done else { return Ok(false) };
    let body = EventBody::MessageStatus { value: receipt.value, message: receipt.message.clone() };
    let event = Event { m_id: receipt.m_id.clone(), timestamp_ms: wall_ms(), body };
    let due_ms = now_ms.max(done_ms.unwrap_or(now_ms) + rules::STATUS_AFTER_MS);
    events::add_events(db, conversation, std::slice::from_ref(&event), due_ms, now_ms).await?;
    Ok(true)
}

pub(in crate::store) async fn unreported_sends(
    db: &mut impl Tx,
    channel: &str,
    contact: &str,
    limit: usize,
) -> Result<Vec<UnreportedSend>, StoreError> {
    type Row = (String, u32, String, i64, i64);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<Row> = db.rows(sql::UNREPORTED, values![channel, contact, most]).await?;
    let of = |(m_id, part, state, told, since_ms): Row| {
        Ok(UnreportedSend { m_id: decode("outbound", &m_id)?, part, sent: state == "sent", told, since_ms })
    };
    found.into_iter().map(of).collect()
}

pub(in crate::store) async fn account_traits(db: &mut impl Tx, channel: &str) -> Result<AccountTraits, StoreError> {
    let found: Option<(i64, i64, i64, i64, i64, i64)> = db.optional(sql::ACCOUNT_TRAITS, values![channel]).await?;
    let of = |(texts, files, settle_lag_ms, verbatim, rewritten, late_flags)| AccountTraits {
        shows_texts: texts != 0,
        shows_files: files != 0,
        settle_lag_ms,
        verbatim: Features::from_bits(verbatim),
        rewritten: Features::from_bits(rewritten),
        late_flags: late_flags == 1,
        prompt_flags: late_flags == -1,
    };
    Ok(found.map(of).unwrap_or_default())
}
