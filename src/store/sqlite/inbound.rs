//! Inbound rows: positions and seen rows.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    account_traits, change, corrupt, decode, erase, events, execute, matches, pending_question, rows, unavailable,
};
use crate::domain::{ChannelName, ContactId, Destination};
use crate::store::reading::{active, row_from_text, row_to_text};
use crate::store::{
    ConversationRead, NewRow, Position, PostponedRow, Postponement, Recorded, RowNews, SeenRow, SeenRows, StoreError,
    sql,
};

pub(super) fn baseline_ms(db: &Connection, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    let row: Option<Option<i64>> = db
        .prepare_cached(sql::BASELINE_MS)
        .and_then(|mut s| s.query_row(params![channel.as_str()], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    Ok(row.flatten())
}

pub(super) fn take_baseline(
    db: &Connection,
    channel: &ChannelName,
    conversations: &[Position],
    now_ms: i64,
) -> Result<(), StoreError> {
    for there in conversations {
        let (contact, destination) = (there.contact.as_str(), there.destination.as_str());
        execute(db, sql::ADD_BASELINE, params![channel.as_str(), contact, destination, there.baseline])?;
    }
    change(db, sql::SET_BASELINE_MS, params![now_ms, channel.as_str()])
}

pub(super) fn note_unread(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    unread: &str,
) -> Result<(), StoreError> {
    change(db, sql::NOTE_UNREAD, params![unread, channel.as_str(), contact.as_str(), contact.erased(channel).as_str()])
}

pub(super) fn position(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<Option<Position>, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>);
    let found: Option<Row> = db
        .prepare_cached(sql::POSITION)
        .and_then(|mut s| {
            let read = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?));
            s.query_row(params![channel.as_str(), contact.as_str(), contact.erased(channel).as_str()], read).optional()
        })
        .map_err(unavailable)?;
    let Some((destination, read_to, baseline, unread)) = found else { return Ok(None) };
    let destination = decode("conversations", &destination)?;
    Ok(Some(Position { contact: contact.clone(), destination, read_to, baseline, unread }))
}

/// Returns the positions that decode; one that does not is logged and left out, as if its conversation had never been
/// read.
pub(super) fn positions(db: &Connection, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>, Option<String>);
    let found: Vec<Row> = rows(db, sql::POSITIONS, params![channel.as_str()], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
    })?;
    let mut positions = Vec::with_capacity(found.len());
    for (contact, destination, read_to, baseline, unread) in found {
        match (decode("conversations", &contact), decode("conversations", &destination)) {
            (Ok(contact), Ok(destination)) => {
                positions.push(Position { contact, destination, read_to, baseline, unread });
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a conversation cannot be read from the store"
                );
            }
        }
    }
    Ok(positions)
}

/// See [`crate::store::Store::active_since`]. A conversation that does not decode is left out.
pub(super) fn active_since(
    db: &Connection,
    channel: &ChannelName,
    since_ms: i64,
) -> Result<Vec<(ContactId, Destination)>, StoreError> {
    let found: Vec<(String, String)> =
        rows(db, sql::ACTIVE, params![channel.as_str(), since_ms], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(found.iter().filter_map(|(contact, destination)| active(contact, destination)).collect())
}

/// A match or a page that does not decode counts as none.
pub(super) fn seen(db: &Connection, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError> {
    let erased = contact.erased(channel);
    let (channel, contact, erased) = (channel.as_str(), contact.as_str(), erased.as_str());
    let rows = rows(db, sql::SEEN, params![channel, contact, erased], |r| {
        let matched: Option<String> = r.get(3)?;
        let matched = matched.as_deref().and_then(matches::parse);
        Ok(SeenRow { identity: r.get(0)?, seen_ms: r.get(1)?, mark: r.get(2)?, matched, shape: r.get(4)? })
    })?;
    let postponed: Vec<Option<PostponedRow>> =
        self::rows(db, sql::POSTPONED, params![channel, contact, erased], |r| {
            let postponement = Postponement { read_before_ms: r.get(3)?, due_ms: r.get(4)? };
            let (identity, content, since_ms): (String, String, i64) = (r.get(0)?, r.get(1)?, r.get(2)?);
            Ok(row_from_text(&content).map(|row| PostponedRow { identity, row, since_ms, postponement }))
        })?;
    let page: Option<Option<String>> = db
        .prepare_cached(sql::PAGE)
        .and_then(|mut s| s.query_row(params![channel, contact, erased], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    let page = page.flatten().and_then(|page| serde_json::from_str(&page).ok()).unwrap_or_default();
    Ok(SeenRows { rows, page, postponed: postponed.into_iter().flatten().collect() })
}

/// Returns what it recorded, and whether a row shows a send that was in doubt.
pub(super) fn record(db: &Connection, reading: &ConversationRead) -> Result<(Recorded, bool), StoreError> {
    let (channel, now_ms) = (reading.channel.as_str(), reading.now_ms);
    let conversation = erase::meet(db, reading)?;
    let (mut recorded, mut heard, mut any_matched, mut shown) = (0, false, false, 0);
    for (seq, row) in (0i64..).zip(&reading.rows) {
        let matched = matches::free(db, conversation, row)?;
        if keep(db, conversation, seq, row, matched.as_deref(), now_ms)? {
            events::add_events(db, conversation, &row.events, now_ms, now_ms)?;
            recorded += row.events.len();
            heard |= row.from_customer && !row.events.is_empty();
            if let (Some(_), Some(matched)) = (&matched, &row.matched) {
                any_matched = true;
                // Of one that waited for its decision nobody asks how late it showed.
                let read_before_ms = reading.read_before_ms.filter(|_| row.news == RowNews::Itself);
                account_traits::from_row(db, channel, conversation, (matched, row.lesson), read_before_ms)?;
                let whole = i64::from(matched.last);
                shown += execute(db, sql::SHOWN, params![now_ms, matched.m_id.as_str(), matched.part, whole])?;
            }
        }
    }
    if reading.late_flags {
        execute(db, sql::LEARN_LATE_FLAGS, params![channel])?;
    }
    if reading.prompt_flags {
        execute(db, sql::LEARN_PROMPT_FLAGS, params![channel])?;
    }
    for receipt in &reading.receipts {
        recorded += usize::from(account_traits::queue_status(db, conversation, receipt, now_ms)?);
    }
    if let Some(m_id) = &reading.answered {
        pending_question::close(db, conversation, m_id)?;
    }
    for identity in &reading.forget {
        execute(db, sql::FORGET, params![conversation, identity])?;
    }
    if heard {
        change(db, sql::HEARD, params![now_ms, conversation])?;
    }
    if let Some(newest) = &reading.newest {
        change(db, sql::SET_NEWEST, params![newest, conversation])?;
    }
    if let Some(page) = &reading.page {
        let page = serde_json::to_string(page).map_err(|e| corrupt("conversations")(Box::new(e)))?;
        change(db, sql::SET_PAGE, params![page, conversation])?;
    }
    if let Some(position) = &reading.position {
        change(db, sql::SET_READ_TO, params![position, conversation])?;
    }
    if shown > 0 {
        super::outbound::follow_head(db, conversation)?; // what was to be sent again waits for the lookup
    }
    let account_traits = if any_matched { Some(account_traits::account_traits(db, channel)?) } else { None };
    Ok((Recorded { events: recorded, account_traits }, shown > 0))
}

/// Keeps a row as seen, or what is new of it. Returns whether it was new, so that it makes its events.
fn keep(
    db: &Connection,
    conversation: i64,
    seq: i64,
    row: &NewRow,
    matched: Option<&str>,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let NewRow { identity, mark, shape, .. } = row;
    match row.news {
        RowNews::Itself => {
            let new = execute(db, sql::ADD_SEEN, params![conversation, identity, now_ms, matched, mark, shape])? == 1;
            if let (true, Some((content, postponement))) = (new, &row.postponed) {
                let Postponement { read_before_ms, due_ms } = postponement;
                let content = row_to_text(content);
                execute(
                    db,
                    sql::POSTPONE,
                    params![conversation, identity, seq, content, now_ms, read_before_ms, due_ms],
                )?;
            }
            Ok(new)
        }
        RowNews::Decision => {
            let decided = execute(db, sql::END_POSTPONED, params![conversation, identity])? == 1;
            if decided {
                execute(db, sql::DECIDE_SEEN, params![matched, mark, shape, conversation, identity])?;
            }
            Ok(decided)
        }
        RowNews::Words => Ok(execute(db, sql::FILL_SEEN, params![mark, shape, conversation, identity])? == 1),
    }
}

/// See [`crate::store::Store::undecided`]. A conversation that does not decode is left out.
pub(super) fn undecided(db: &Connection, channel: &ChannelName) -> Result<Vec<ContactId>, StoreError> {
    let found: Vec<String> = rows(db, sql::UNDECIDED, params![channel.as_str()], |r| r.get(0))?;
    Ok(found.into_iter().filter_map(|contact| contact.parse().ok()).collect())
}
