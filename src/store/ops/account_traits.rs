//! What rows of own sends show: that the account shows them, how soon, and their delivery status.

use serde::{Deserialize, Serialize};

use super::events;
use crate::domain::clock::wall_ms;
use crate::domain::matching::{AccountTraits, Features, Match, ShownAs};
use crate::domain::reconcile::numbering_area;
use crate::domain::{Event, EventBody, StatusValue};
use crate::store::tx::{Tx, corrupt, decode, values};
use crate::store::{ConversationRead, Lesson, Receipt, StoreError, UnreportedSend, rules, sql};

/// What a row teaches of its account, provided that its send was certainly taken.
#[derive(Serialize, Deserialize)]
struct AccountLesson {
    is_file: bool,
    /// The bits of the send's features, and whether the row shows it word for word.
    features: Option<(i64, bool)>,
    /// Of a new destination, under which the row is: its numbering area.
    area: Option<String>,
}

/// Updates the account's traits from a row that matches a certainly sent message. What it teaches of one that is under way is kept for
/// [`from_early_row`].
pub(in crate::store) async fn from_row(
    db: &mut impl Tx,
    reading: &ConversationRead,
    conversation: i64,
    (matched, lesson): (&Match, Option<Lesson>),
    read_before_ms: Option<i64>,
) -> Result<(), StoreError> {
    let (channel, m_id) = (reading.channel.as_str(), matched.m_id.as_str());
    let found: Option<(String, Option<i64>, Option<String>, bool)> =
        db.optional(sql::MATCHED_SEND, values![matched.part, m_id, conversation]).await?;
    let Some((kind, done_ms, new_destination, taken)) = found else { return Ok(()) };
    let lesson = AccountLesson {
        is_file: kind == "attachment",
        features: lesson.map(|lesson| (lesson.features.bits(), lesson.how == ShownAs::Verbatim)),
        // A row under another destination than the send went to proves the contrary.
        area: new_destination
            .is_some_and(|sent_to| sent_to == reading.destination.as_str())
            .then(|| numbering_area(&reading.destination).to_owned()),
    };
    if !taken {
        let early = serde_json::to_string(&lesson).map_err(|e| corrupt("outbound")(Box::new(e)))?;
        return db.change(sql::KEEP_LESSON, values![early, m_id, conversation]).await;
    }
    learn(db, channel, &lesson).await?;
    // The time of a send is stored for the last part only.
    if let (true, Some(done_ms), Some(read_before_ms)) = (matched.last, done_ms, read_before_ms) {
        let lag_ms = read_before_ms - done_ms;
        if (1..=rules::LONGEST_LAG_MS).contains(&lag_ms) {
            db.execute(sql::SETTLE_LAG, values![lag_ms, channel]).await?;
        }
    }
    Ok(())
}

/// Updates the account's traits from what a row has shown of a send that was under way then and is certainly taken by now.
pub(super) async fn from_early_row(db: &mut impl Tx, channel: &str, early: &str) -> Result<(), StoreError> {
    // One that does not decode must not keep the verdict from being stored.
    let Ok(lesson) = serde_json::from_str(early) else { return Ok(()) };
    learn(db, channel, &lesson).await
}

async fn learn(db: &mut impl Tx, channel: &str, lesson: &AccountLesson) -> Result<(), StoreError> {
    let AccountLesson { is_file, features, area } = lesson;
    if let Some((bits, verbatim)) = features {
        learn_features(db, channel, Features::from_bits(*bits), *verbatim).await?;
    }
    if let Some(area) = area {
        let between = format!("% {area} %");
        db.execute(sql::LEARN_NEW_DESTINATION, values![format!("{area} "), channel, between]).await?;
    }
    let shows = if *is_file { sql::SHOWS_FILES } else { sql::SHOWS_TEXTS };
    db.execute(shows, values![channel]).await.map(drop)
}

/// Stores what a row teaches about rewriting. Where that is nothing new the channel's row is not locked: every poll of the
/// channel would wait for it. Where it is, it is worked out again under the lock, so that no other lesson is undone.
async fn learn_features(db: &mut impl Tx, channel: &str, features: Features, verbatim: bool) -> Result<(), StoreError> {
    for locked in [false, true] {
        if locked {
            db.lock_channel(channel).await?;
        }
        let known = account_traits(db, channel).await?;
        let learned = known.learned(features, verbatim);
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
