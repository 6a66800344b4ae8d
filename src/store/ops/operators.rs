//! What operators alone read.

use std::collections::BTreeMap;

use super::audit::{self, Deed};
use super::find::folded;
use super::{account_traits, admin, journey};
use crate::domain::clock::now_ms;
use crate::domain::find::Side;
use crate::store::operators::{Activity, AuditEntry, Contacts, FailedGroup, ObservedTraits, Texts};
use crate::store::tx::{Tx, values};
use crate::store::{StoreError, sql as common, sql_find, sql_operators as sql};

/// Ids whose texts are read at once.
const AT_ONCE: i64 = 2000;

/// Messages of each way among which the last of a channel is looked for.
const NEWEST: i64 = 20_000;

/// How long a failed attempt tells why nothing is sent.
const RECENT_MS: i64 = 60 * 60 * 1000;

/// A row of `AUDIT`.
type AuditRow = (i64, i64, String, String, String, String, Option<String>);

pub(in crate::store) async fn audit(
    db: &mut impl Tx,
    before: Option<i64>,
    about: Option<&str>,
    limit: u32,
) -> Result<Vec<AuditEntry>, StoreError> {
    let rows: Vec<AuditRow> = db.rows(sql::AUDIT, values![before.unwrap_or(i64::MAX), about, limit]).await?;
    let entry =
        |(id, at_ms, who, means, what, target, detail)| AuditEntry { id, at_ms, who, means, what, target, detail };
    Ok(rows.into_iter().map(entry).collect())
}

pub(in crate::store) async fn note_deed(db: &mut impl Tx, deed: &Deed<'_>, now_ms: i64) -> Result<(), StoreError> {
    audit::record(db, deed, now_ms).await.map(drop)
}

pub(in crate::store) async fn activity(db: &mut impl Tx) -> Result<BTreeMap<String, Activity>, StoreError> {
    let mut channels: BTreeMap<String, Activity> = BTreeMap::new();
    let after = newest(db, Side::Out).await?;
    for (channel, sent_ms) in db.rows::<(String, Option<i64>)>(sql::LAST_SENT, values![after]).await? {
        channels.entry(channel).or_default().sent_ms = sent_ms;
    }
    let searched_from: Option<(i64,)> = db.optional(sql::SEARCHED_FROM, values![after]).await?;
    if let Some((from_ms,)) = searched_from {
        for channel in admin::channel_names(db).await? {
            channels.entry(channel).or_default().searched_from_ms = Some(from_ms);
        }
    }
    let after_event = newest(db, Side::In).await?;
    for (channel, published_ms) in db.rows::<(String, Option<i64>)>(sql::LAST_PUBLISHED, values![after_event]).await? {
        channels.entry(channel).or_default().published_ms = published_ms;
    }
    for (channel, received_ms) in db.rows::<(String, Option<i64>)>(sql::LAST_RECEIVED, values![after_event]).await? {
        channels.entry(channel).or_default().received_ms = received_ms;
    }
    for (channel, oldest_ms) in db.rows::<(String, Option<i64>)>(sql::OLDEST_EVENT, values![]).await? {
        channels.entry(channel).or_default().oldest_event_ms = oldest_ms;
    }
    let since_ms = now_ms().saturating_sub(RECENT_MS);
    for channel in admin::channel_names(db).await? {
        if let Some(fault) = journey::channel_fault(db, &channel, since_ms).await? {
            channels.entry(channel).or_default().fault = Some(fault);
        }
    }
    Ok(channels)
}

/// A row of `FAILED_MESSAGES`.
type FailedRow = (String, String, i64, i64, i64);

pub(in crate::store) async fn failed(db: &mut impl Tx) -> Result<Vec<FailedGroup>, StoreError> {
    let mut groups = Vec::new();
    for (side, statement) in [(Side::Out, sql::FAILED_MESSAGES), (Side::In, sql::FAILED_EVENTS)] {
        let rows: Vec<FailedRow> = db.rows(statement, values![]).await?;
        groups.extend(rows.into_iter().map(|(channel, fault, count, oldest_ms, newest_ms)| FailedGroup {
            channel,
            side,
            fault,
            count: u64::try_from(count).unwrap_or(0),
            oldest_ms,
            newest_ms,
        }));
    }
    Ok(groups)
}

/// Returns the id after which the newest messages are.
async fn newest(db: &mut impl Tx, side: Side) -> Result<i64, StoreError> {
    let (_, last) = bounds(db, side).await?;
    Ok(last.unwrap_or_default().saturating_sub(NEWEST))
}

/// Returns the least and the greatest id.
async fn bounds(db: &mut impl Tx, side: Side) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let bounds = if side == Side::Out { sql_find::OUTBOUND_IDS } else { sql_find::EVENT_IDS };
    Ok(db.optional(bounds, values![]).await?.unwrap_or_default())
}

pub(in crate::store) async fn learned(db: &mut impl Tx, channel: &str) -> Result<ObservedTraits, StoreError> {
    let traits = account_traits::account_traits(db, channel).await?;
    let areas: Option<(String,)> = db.optional(common::NEW_DESTINATIONS, values![channel]).await?;
    let areas = areas.unwrap_or_default().0.split_whitespace().map(str::to_owned).collect();
    Ok(ObservedTraits { traits, areas })
}

pub(in crate::store) async fn texts(db: &mut impl Tx, side: Side, from: i64) -> Result<Option<Texts>, StoreError> {
    let statement = if side == Side::Out { sql_find::OUTBOUND_TEXTS } else { sql_find::EVENT_TEXTS };
    let (Some(first_id), Some(last_id)) = bounds(db, side).await? else { return Ok(None) };
    let from: i64 = from.max(first_id);
    if from > last_id {
        return Ok(None);
    }
    let next = from.saturating_add(AT_ONCE);
    let rows: Vec<(i64, String)> = db.rows(statement, values![from, next]).await?;
    Ok(Some(Texts { folded: rows.iter().map(|(_, json)| folded(side, json)).collect(), next }))
}

/// Conversations that are read at once.
const CONVERSATIONS_AT_ONCE: i64 = 1000;

pub(in crate::store) async fn contacts(db: &mut impl Tx, after: i64) -> Result<Option<Contacts>, StoreError> {
    let rows: Vec<(i64, String, String)> = db.rows(sql::CONTACTS, values![after, CONVERSATIONS_AT_ONCE]).await?;
    let Some((next, ..)) = rows.last() else { return Ok(None) };
    let next = *next;
    let mut values: Vec<String> =
        rows.into_iter().flat_map(|(_, contact, destination)| [contact, destination]).collect();
    let further: Vec<(String,)> = db.rows(sql::FURTHER_DESTINATIONS, values![after, next]).await?;
    values.extend(further.into_iter().map(|(destination,)| destination));
    Ok(Some(Contacts { values, next }))
}
