//! Inbound rows: positions and seen rows.

use rusqlite::{Connection, OptionalExtension, params};

use super::db::SqliteTx;
use super::{change, execute, rows, unavailable};
use crate::domain::{ChannelName, Chat, ContactId};
use crate::store::ops::{account_traits, conversations, events, matches, pending_question, places};
use crate::store::places::{FIRST, Place, Places, StoredPlace};
use crate::store::reading::{Heard, active, row_from_text, row_to_text};
use crate::store::tx::{at_once, corrupt, decode};
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
        if execute(db, sql::ADD_BASELINE, params![channel.as_str(), contact, destination, there.baseline])? == 1 {
            continue;
        }
        // Written to before the first run, or listed under another destination as well.
        let Place { conversation, nth } =
            at_once(places::meet(&mut SqliteTx(db), channel, &there.contact, &there.destination))?;
        if nth == FIRST {
            change(db, sql::SET_BASELINE, params![there.baseline, conversation])?;
        } else {
            change(db, sql::SET_BASELINE_AT, params![there.baseline, conversation, nth])?;
        }
    }
    change(db, sql::SET_BASELINE_MS, params![now_ms, channel.as_str()])
}

pub(super) fn note_unread(
    db: &Connection,
    channel: &ChannelName,
    Chat { contact, destination }: &Chat,
    unread: &str,
) -> Result<(), StoreError> {
    let (erased, hashed) = (contact.erased(channel), destination.erased(channel));
    let values =
        params![unread, channel.as_str(), contact.as_str(), erased.as_str(), destination.as_str(), hashed.as_str()];
    if execute(db, sql::NOTE_UNREAD, values)? == 1 {
        return Ok(());
    }
    change(db, sql::NOTE_UNREAD_AT, values)
}

/// Returns the position of each destination, the first destination first.
pub(super) fn positions_of(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<Vec<Position>, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>);
    let erased = contact.erased(channel);
    let mut found: Vec<Row> = Vec::new();
    for statement in [sql::POSITION, sql::FURTHER_POSITION] {
        let values = params![channel.as_str(), contact.as_str(), erased.as_str()];
        found.extend(rows(db, statement, values, |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?);
    }
    let position = |(destination, read_to, baseline, unread): Row| {
        let destination = decode("conversations", &destination)?;
        Ok(Position { contact: contact.clone(), destination, read_to, baseline, unread })
    };
    found.into_iter().map(position).collect()
}

/// See [`crate::store::Store::known_contacts`].
pub(super) fn known_contacts(
    db: &Connection,
    channel: &ChannelName,
    contacts: Vec<ContactId>,
) -> Result<Vec<ContactId>, StoreError> {
    let mut known = Vec::new();
    for contact in contacts {
        let found: Vec<String> = rows(db, sql::IS_KNOWN, params![channel.as_str(), contact.as_str()], |r| r.get(0))?;
        known.extend((!found.is_empty()).then_some(contact));
    }
    Ok(known)
}

/// Returns the positions that decode; one that does not is logged and left out, as if its conversation had never been
/// read.
pub(super) fn positions(db: &Connection, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>, Option<String>);
    let mut found: Vec<Row> = Vec::new();
    for statement in [sql::POSITIONS, sql::FURTHER_POSITIONS] {
        found.extend(rows(db, statement, params![channel.as_str()], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
        })?);
    }
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
pub(super) fn active_since(db: &Connection, channel: &ChannelName, since_ms: i64) -> Result<Vec<Chat>, StoreError> {
    let found: Vec<(String, String)> =
        rows(db, sql::ACTIVE, params![channel.as_str(), since_ms], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(found.iter().filter_map(|(contact, destination)| active(contact, destination)).collect())
}

/// A match, a page or a destination that does not decode counts as none.
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
    let found: Vec<StoredPlace> = self::rows(db, sql::PLACES, params![channel, contact, erased], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
    })?;
    let (page, places) = Places::parse(found);
    let postponed = postponed.into_iter().flatten().collect();
    Ok(SeenRows { rows, page, postponed, places, ..SeenRows::default() })
}

/// Returns what it recorded, and whether a row shows a send that was in doubt.
pub(super) fn record(db: &Connection, reading: &ConversationRead) -> Result<(Recorded, bool), StoreError> {
    let (channel, now_ms) = (reading.channel.as_str(), reading.now_ms);
    let place = at_once(conversations::meet(&mut SqliteTx(db), reading))?;
    let Place { conversation, nth } = place;
    let (mut recorded, mut heard, mut any_matched, mut shown) = (0, Heard::of(reading), false, 0);
    for (seq, row) in (0i64..).zip(&reading.rows) {
        let matched = at_once(matches::free(&mut SqliteTx(db), conversation, row))?;
        if keep(db, place, seq, row, matched.as_deref(), now_ms)? {
            at_once(events::add_events(&mut SqliteTx(db), conversation, &row.events, now_ms, now_ms))?;
            recorded += row.events.len();
            heard.add(row);
            if let (Some(_), Some(matched)) = (&matched, &row.matched) {
                any_matched = true;
                // A row that waited for its decision shows nothing of how late rows appear.
                let read_before_ms = reading.read_before_ms.filter(|_| row.news == RowNews::Itself);
                at_once(account_traits::from_row(
                    &mut SqliteTx(db),
                    reading,
                    conversation,
                    (matched, row.lesson),
                    read_before_ms,
                ))?;
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
        recorded +=
            usize::from(at_once(account_traits::queue_status(&mut SqliteTx(db), conversation, receipt, now_ms))?);
    }
    if let Some(m_id) = &reading.answered {
        at_once(pending_question::close(&mut SqliteTx(db), conversation, m_id))?;
    }
    for identity in &reading.forget {
        execute(db, sql::FORGET, params![conversation, place.stored(identity)])?;
    }
    if heard.any {
        let values = params![now_ms, heard.destination(reading), heard.written_ms, conversation];
        change(db, sql::HEARD, values)?;
    }
    if let Some(newest) = &reading.newest {
        if nth == FIRST {
            change(db, sql::SET_NEWEST, params![newest, conversation])?;
        } else {
            change(db, sql::SET_NEWEST_AT, params![newest, conversation, nth])?;
        }
    }
    if let Some(page) = &reading.page {
        let page = serde_json::to_string(page).map_err(|e| corrupt("conversations")(Box::new(e)))?;
        if nth == FIRST {
            change(db, sql::SET_PAGE, params![page, conversation])?;
        } else {
            change(db, sql::SET_PAGE_AT, params![page, conversation, nth])?;
        }
    }
    if let Some(position) = &reading.position {
        if nth == FIRST {
            change(db, sql::SET_READ_TO, params![position, conversation])?;
        } else {
            change(db, sql::SET_READ_TO_AT, params![position, conversation, nth])?;
        }
    }
    if shown > 0 {
        super::outbound::follow_head(db, conversation)?; // what was to be sent again waits for the lookup
    }
    let account_traits =
        if any_matched { Some(at_once(account_traits::account_traits(&mut SqliteTx(db), channel))?) } else { None };
    Ok((Recorded { events: recorded, account_traits }, shown > 0))
}

/// Keeps a row as seen, or what is new of it. Returns whether it was new, so that it makes its events.
fn keep(
    db: &Connection,
    place: Place,
    seq: i64,
    row: &NewRow,
    matched: Option<&str>,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let NewRow { mark, shape, .. } = row;
    let (conversation, identity) = (place.conversation, place.stored(&row.identity));
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

/// See [`crate::store::Store::undecided`]. One that does not decode is left out.
pub(super) fn undecided(db: &Connection, channel: &ChannelName) -> Result<Vec<Chat>, StoreError> {
    let found: Vec<(String, String)> =
        rows(db, sql::UNDECIDED, params![channel.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let parsed = |(contact, destination): (String, String)| {
        Some(Chat { contact: contact.parse().ok()?, destination: destination.parse().ok()? })
    };
    Ok(found.into_iter().filter_map(parsed).collect())
}
