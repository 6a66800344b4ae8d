//! Inbound rows: positions and seen rows.

use super::{account_traits, conversations, events, matches, pending_question, places};
use crate::domain::{ChannelName, Chat, ContactId};
use crate::store::places::{FIRST, Place, Places, StoredPlace};
use crate::store::reading::{Heard, active, row_from_text, row_to_text};
use crate::store::tx::{Tx, corrupt, decode, values};
use crate::store::{
    ConversationRead, NewRow, Position, PostponedRow, Postponement, Recorded, RowChange, SeenRow, SeenRows, StoreError,
    sql,
};

pub(in crate::store) async fn snapshot_ms(db: &mut impl Tx, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
    let row: Option<(Option<i64>,)> = db.optional(sql::SNAPSHOT_MS, values![channel.as_str()]).await?;
    Ok(row.and_then(|(ms,)| ms))
}

pub(in crate::store) async fn store_initial_snapshot(
    db: &mut impl Tx,
    channel: &ChannelName,
    conversations: &[Position],
    now_ms: i64,
) -> Result<(), StoreError> {
    db.lock_channel(channel.as_str()).await?;
    let mut conversations: Vec<&Position> = conversations.iter().collect();
    conversations.sort_by_key(|there| there.contact.as_str()); // one order of locks, against deadlocks
    for there in conversations {
        let values = values![channel.as_str(), there.contact.as_str(), there.destination.as_str(), &there.snapshot_row];
        if db.execute(sql::ADD_SNAPSHOT_ROW, values).await? == 1 {
            continue;
        }
        // Written to before the first run, or listed under another destination as well.
        let Place { conversation, nth } = places::meet(db, channel, &there.contact, &there.destination).await?;
        if nth == FIRST {
            db.change(sql::SET_SNAPSHOT_ROW, values![&there.snapshot_row, conversation]).await?;
        } else {
            db.change(sql::SET_SNAPSHOT_ROW_AT, values![&there.snapshot_row, conversation, nth]).await?;
        }
    }
    db.change(sql::SET_SNAPSHOT_MS, values![now_ms, channel.as_str()]).await
}

pub(in crate::store) async fn note_unread(
    db: &mut impl Tx,
    channel: &ChannelName,
    Chat { contact, destination }: &Chat,
    unread: &str,
) -> Result<(), StoreError> {
    let (erased, hashed) = (contact.erased(channel), destination.erased(channel));
    let (channel, contact, destination) = (channel.as_str(), contact.as_str(), destination.as_str());
    let values = values![unread, channel, contact, erased.as_str(), destination, hashed.as_str()];
    if db.execute(sql::NOTE_UNREAD, values).await? == 1 {
        return Ok(());
    }
    db.change(sql::NOTE_UNREAD_AT, values).await
}

/// Returns the position of each destination, the first destination first.
pub(in crate::store) async fn positions_of(
    db: &mut impl Tx,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<Vec<Position>, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>);
    let erased = contact.erased(channel);
    let values = values![channel.as_str(), contact.as_str(), erased.as_str()];
    let mut found: Vec<Row> = db.rows(sql::POSITION, values).await?;
    found.extend(db.rows::<Row>(sql::FURTHER_POSITION, values).await?);
    let position = |(destination, read_to, snapshot_row, unread): Row| {
        let destination = decode("conversations", &destination)?;
        Ok(Position { contact: contact.clone(), destination, read_to, snapshot_row, unread })
    };
    found.into_iter().map(position).collect()
}

/// See [`crate::store::Store::known_contacts`].
pub(in crate::store) async fn known_contacts(
    db: &mut impl Tx,
    channel: &ChannelName,
    contacts: &[ContactId],
) -> Result<Vec<ContactId>, StoreError> {
    let contacts: Vec<String> = contacts.iter().map(|contact| contact.as_str().to_owned()).collect();
    let known = db.known_contacts(channel.as_str(), contacts).await?;
    known.iter().map(|contact| decode("conversations", contact)).collect()
}

/// Returns the positions that decode; one that does not is logged and left out, as if its conversation had never been
/// read.
pub(in crate::store) async fn positions(db: &mut impl Tx, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
    type Row = (String, String, Option<String>, Option<String>, Option<String>);
    let mut found: Vec<Row> = db.rows(sql::POSITIONS, values![channel.as_str()]).await?;
    found.extend(db.rows::<Row>(sql::FURTHER_POSITIONS, values![channel.as_str()]).await?);
    let mut positions = Vec::with_capacity(found.len());
    for (contact, destination, read_to, snapshot_row, unread) in found {
        match (decode("conversations", &contact), decode("conversations", &destination)) {
            (Ok(contact), Ok(destination)) => {
                positions.push(Position { contact, destination, read_to, snapshot_row, unread });
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
pub(in crate::store) async fn active_since(
    db: &mut impl Tx,
    channel: &ChannelName,
    since_ms: i64,
) -> Result<Vec<Chat>, StoreError> {
    let found: Vec<(String, String)> = db.rows(sql::ACTIVE, values![channel.as_str(), since_ms]).await?;
    Ok(found.iter().filter_map(|(contact, destination)| active(contact, destination)).collect())
}

/// A match, a page or a destination that does not decode counts as none.
pub(in crate::store) async fn seen(
    db: &mut impl Tx,
    channel: &ChannelName,
    contact: &ContactId,
) -> Result<SeenRows, StoreError> {
    type Row = (String, i64, Option<String>, Option<String>, Option<String>);
    let erased = contact.erased(channel);
    let (channel, contact, erased) = (channel.as_str(), contact.as_str(), erased.as_str());
    let rows: Vec<Row> = db.rows(sql::SEEN, values![channel, contact, erased]).await?;
    let row = |(identity, seen_ms, fingerprint, matched, shape): Row| {
        let matched = matched.as_deref().and_then(matches::parse);
        SeenRow { identity, seen_ms, fingerprint, shape, matched }
    };
    let waiting: Vec<(String, String, i64, Option<i64>, i64)> =
        db.rows(sql::POSTPONED, values![channel, contact, erased]).await?;
    let postponed = |(identity, content, since_ms, read_before_ms, due_ms): (String, String, i64, Option<i64>, i64)| {
        let postponement = Postponement { read_before_ms, due_ms };
        row_from_text(&content).map(|row| PostponedRow { identity, row, since_ms, postponement })
    };
    let postponed = waiting.into_iter().filter_map(postponed).collect();
    let found: Vec<StoredPlace> = db.rows(sql::PLACES, values![channel, contact, erased]).await?;
    let (page, places) = Places::parse(found);
    Ok(SeenRows { rows: rows.into_iter().map(row).collect(), page, postponed, places, ..SeenRows::default() })
}

/// Returns what it recorded, and whether a row shows a send that was in doubt.
pub(in crate::store) async fn record<T: Tx>(
    db: &mut T,
    reading: &ConversationRead,
) -> Result<(Recorded, bool), StoreError> {
    let (channel, now_ms) = (reading.channel.as_str(), reading.now_ms);
    let place = conversations::meet(db, reading).await?;
    let Place { conversation, nth } = place;
    let (mut recorded, mut heard, mut any_matched, mut shown) = (0, Heard::of(reading), false, 0);
    for (seq, row) in (0i64..).zip(&reading.rows) {
        let matched = matches::free(db, conversation, row).await?;
        if keep(db, place, seq, row, matched.as_deref(), now_ms).await? {
            events::add_events(db, conversation, &row.events, now_ms, now_ms).await?;
            recorded += row.events.len();
            heard.add(row);
            if let (Some(_), Some(matched)) = (&matched, &row.matched) {
                any_matched = true;
                // A row that waited for its decision shows nothing of how late rows appear.
                let read_before_ms = reading.read_before_ms.filter(|_| row.change == RowChange::New);
                account_traits::from_row(db, reading, conversation, (matched, row.lesson), read_before_ms).await?;
                let values = values![now_ms, matched.m_id.as_str(), matched.part, i64::from(matched.last)];
                shown += db.execute(sql::SHOWN, values).await?;
            }
        }
    }
    if reading.late_flags {
        db.execute(sql::LEARN_LATE_FLAGS, values![channel]).await?;
    }
    if reading.prompt_flags {
        db.execute(sql::LEARN_PROMPT_FLAGS, values![channel]).await?;
    }
    for receipt in &reading.receipts {
        recorded += usize::from(account_traits::queue_status(db, conversation, receipt, now_ms).await?);
    }
    if let Some(m_id) = &reading.answered {
        pending_question::close(db, conversation, m_id).await?;
    }
    for identity in &reading.forget {
        db.execute(sql::FORGET, values![conversation, T::indexed(&place.stored(identity)).as_ref()]).await?;
    }
    if heard.any {
        let values = values![now_ms, heard.destination(reading), heard.written_ms, conversation];
        db.change(sql::HEARD, values).await?;
    }
    if let Some(newest) = &reading.newest {
        if nth == FIRST {
            db.change(sql::SET_NEWEST, values![newest, conversation]).await?;
        } else {
            db.change(sql::SET_NEWEST_AT, values![newest, conversation, nth]).await?;
        }
    }
    if let Some(page) = &reading.page {
        let page = serde_json::to_string(page).map_err(|e| corrupt("conversations")(Box::new(e)))?;
        if nth == FIRST {
            db.change(sql::SET_PAGE, values![page, conversation]).await?;
        } else {
            db.change(sql::SET_PAGE_AT, values![page, conversation, nth]).await?;
        }
    }
    if let Some(position) = &reading.position {
        if nth == FIRST {
            db.change(sql::SET_READ_TO, values![position, conversation]).await?;
        } else {
            db.change(sql::SET_READ_TO_AT, values![position, conversation, nth]).await?;
        }
    }
    if shown > 0 {
        db.change(sql::SET_OUTBOUND_LANE, values![conversation]).await?; // what was to be sent again waits for the lookup
    }
    let account_traits = if any_matched { Some(account_traits::account_traits(db, channel).await?) } else { None };
    Ok((Recorded { events: recorded, account_traits }, shown > 0))
}

/// Keeps a row as seen, or what is new of it. Returns whether it was new, so that it makes its events.
async fn keep<T: Tx>(
    db: &mut T,
    place: Place,
    seq: i64,
    row: &NewRow,
    matched: Option<&str>,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let (conversation, identity) = (place.conversation, place.stored(&row.identity));
    let (identity, fingerprint, shape) = (T::indexed(&identity), &row.fingerprint, &row.shape);
    match row.change {
        RowChange::New => {
            let seen = values![conversation, identity.as_ref(), now_ms, matched, fingerprint, shape];
            let new = db.execute(sql::ADD_SEEN, seen).await? == 1;
            if let (true, Some((content, postponement))) = (new, &row.postponed) {
                let Postponement { read_before_ms, due_ms } = postponement;
                let content = row_to_text(content);
                let values = values![conversation, identity.as_ref(), seq, content, now_ms, read_before_ms, due_ms];
                db.execute(sql::POSTPONE, values).await?;
            }
            Ok(new)
        }
        RowChange::Decided => {
            let decided = db.execute(sql::END_POSTPONED, values![conversation, identity.as_ref()]).await? == 1;
            if decided {
                db.execute(sql::DECIDE_SEEN, values![matched, fingerprint, shape, conversation, identity.as_ref()])
                    .await?;
            }
            Ok(decided)
        }
        RowChange::GainedWords => {
            Ok(db.execute(sql::FILL_SEEN, values![fingerprint, shape, conversation, identity.as_ref()]).await? == 1)
        }
    }
}

/// See [`crate::store::Store::chats_with_postponed`]. One that does not decode is left out.
pub(in crate::store) async fn chats_with_postponed(
    db: &mut impl Tx,
    channel: &ChannelName,
) -> Result<Vec<Chat>, StoreError> {
    let found: Vec<(String, String)> = db.rows(sql::UNDECIDED, values![channel.as_str()]).await?;
    let parsed = |(contact, destination): (String, String)| {
        Some(Chat { contact: contact.parse().ok()?, destination: destination.parse().ok()? })
    };
    Ok(found.into_iter().filter_map(parsed).collect())
}
