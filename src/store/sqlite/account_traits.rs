//! What rows of own sends show: that the account shows them, how soon, and their delivery status.

use rusqlite::{Connection, OptionalExtension, params};

use super::{decode, events, execute, rows, unavailable};
use crate::domain::clock::wall_ms;
use crate::domain::matching::{AccountTraits, Features, Match, ShownAs};
use crate::domain::reconcile::numbering_area;
use crate::domain::{Event, EventBody, StatusValue};
use crate::store::{ConversationRead, Lesson, Receipt, StoreError, UnreportedSend, rules, sql};

/// Updates the account's traits from a row that matches a certainly sent message.
pub(super) fn from_row(
    db: &Connection,
    reading: &ConversationRead,
    conversation: i64,
    (matched, lesson): (&Match, Option<Lesson>),
    read_before_ms: Option<i64>,
) -> Result<(), StoreError> {
    let channel = reading.channel.as_str();
    let sent: Option<(String, Option<i64>, Option<String>)> = db
        .prepare_cached(sql::MATCHED_SENT)
        .and_then(|mut s| {
            let read = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?));
            s.query_row(params![matched.m_id.as_str(), conversation], read).optional()
        })
        .map_err(unavailable)?;
    let Some((kind, done_ms, new_destination)) = sent else { return Ok(()) };
    if let Some(Lesson { features, how }) = lesson {
        let known = account_traits(db, channel)?;
        let taught = known.taught(features, how == ShownAs::Verbatim);
        if taught != (known.verbatim, known.rewritten) {
            execute(db, sql::LEARN_FEATURES, params![taught.0.bits(), taught.1.bits(), channel])?;
        }
    }
    // A row under another destination than the send went to proves the contrary.
    if new_destination.is_some_and(|sent_to| sent_to == reading.destination.as_str()) {
        let area = numbering_area(&reading.destination);
        let between = format!("% {area} %");
        execute(db, sql::LEARN_NEW_DESTINATION, params![format!("{area} "), channel, between])?;
    }
    let learn = if kind == "attachment" { sql::SHOWS_FILES } else { sql::SHOWS_TEXTS };
    execute(db, learn, params![channel])?;
    // The time of a send is stored for the last part only.
    if let (true, Some(done_ms), Some(read_before_ms)) = (matched.last, done_ms, read_before_ms) {
        let lag_ms = read_before_ms - done_ms;
        if (1..=rules::LONGEST_LAG_MS).contains(&lag_ms) {
            execute(db, sql::SETTLE_LAG, params![lag_ms, channel])?;
        }
    }
    Ok(())
}

/// Queues the status on the row of an own send, if it goes beyond the last one published. Returns whether it does.
pub(super) fn queue_status(
    db: &Connection,
    conversation: i64,
    receipt: &Receipt,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let (rank, part) = (receipt.value.rank(), i64::from(receipt.part));
    let part = if receipt.value == StatusValue::Failed { -1 } else { part };
    let done: Option<Option<i64>> = db
        .prepare_cached(sql::SET_STATUS)
        .and_then(|mut s| {
            s.query_row(params![rank, receipt.m_id.as_str(), conversation, part], |r| r.get(0)).optional()
        })
        .map_err(unavailable)?;
    let Some(done_ms) = done else { return Ok(false) };
    let body = EventBody::MessageStatus { value: receipt.value, message: receipt.message.clone() };
    let event = Event { m_id: receipt.m_id.clone(), timestamp_ms: wall_ms(), body };
    let due_ms = now_ms.max(done_ms.unwrap_or(now_ms) + rules::STATUS_AFTER_MS);
    events::add_events(db, conversation, std::slice::from_ref(&event), due_ms, now_ms)?;
    Ok(true)
}

pub(super) fn unreported_sends(
    db: &Connection,
    channel: &str,
    contact: &str,
    limit: usize,
) -> Result<Vec<UnreportedSend>, StoreError> {
    type Row = (String, u32, String, i64, i64);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<Row> = rows(db, sql::UNREPORTED, params![channel, contact, most], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
    })?;
    let of = |(m_id, part, state, told, since_ms): Row| {
        Ok(UnreportedSend { m_id: decode("outbound", &m_id)?, part, sent: state == "sent", told, since_ms })
    };
    found.into_iter().map(of).collect()
}

pub(super) fn account_traits(db: &Connection, channel: &str) -> Result<AccountTraits, StoreError> {
    let read = |r: &rusqlite::Row<'_>| -> rusqlite::Result<AccountTraits> {
        let (shows_texts, shows_files, late_flags): (i64, i64, i64) = (r.get(0)?, r.get(1)?, r.get(5)?);
        Ok(AccountTraits {
            shows_texts: shows_texts != 0,
            shows_files: shows_files != 0,
            settle_lag_ms: r.get(2)?,
            verbatim: Features::from_bits(r.get(3)?),
            rewritten: Features::from_bits(r.get(4)?),
            late_flags: late_flags == 1,
            prompt_flags: late_flags == -1,
        })
    };
    let found = db.prepare_cached(sql::ACCOUNT_TRAITS).and_then(|mut s| s.query_row(params![channel], read).optional());
    Ok(found.map_err(unavailable)?.unwrap_or_default())
}
