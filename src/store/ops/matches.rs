//! Sends to a conversation, and which of them are matched with rows.

use std::collections::HashSet;

use crate::domain::matching::{Match, ShownAs};
use crate::domain::{MId, Wording};
use crate::store::reading::{earliest_ms, verdict_of};
use crate::store::tx::{Tx, corrupt, decode, values};
use crate::store::{NewRow, SendRecord, StoreError, rules, sent_forms, sql};

/// Returns the stored form of a match.
pub(in crate::store) fn stored(m_id: &str, part: u32) -> String {
    format!("{m_id} {part}")
}

/// Returns the stored form of the match of a row that was taken for a call by its likeness.
fn rewritten(m_id: &str, part: u32) -> String {
    format!("{m_id} {part} ~")
}

/// Returns both stored forms of the match of a row that shows this call.
pub(in crate::store) fn match_keys(m_id: &str, part: u32) -> [String; 2] {
    [stored(m_id, part), rewritten(m_id, part)]
}

/// Returns what to store as a row's match, `None` if another row has it already: each send is matched with one row, and
/// with one more word for word where a row was taken for it by its likeness.
pub(in crate::store) async fn free(
    db: &mut impl Tx,
    conversation: i64,
    row: &NewRow,
) -> Result<Option<String>, StoreError> {
    let Some(Match { m_id, part, .. }) = &row.matched else {
        return Ok(row.doubtful.then(|| rules::MAYBE_OURS.to_owned()));
    };
    let (m_id, part) = (m_id.as_str(), *part);
    if row.lesson.is_some_and(|lesson| lesson.how == ShownAs::Alike) {
        let taken = is_matched(db, conversation, m_id, part).await?;
        return Ok((!taken).then(|| rewritten(m_id, part)));
    }
    let matched = stored(m_id, part);
    let taken: bool = db.one(sql::IS_MATCHED, values![conversation, &matched, &matched]).await?;
    Ok((!taken).then_some(matched))
}

/// Returns whether a seen row is matched with this send.
pub(in crate::store) async fn is_matched(
    db: &mut impl Tx,
    conversation: i64,
    m_id: &str,
    part: u32,
) -> Result<bool, StoreError> {
    db.one(sql::IS_MATCHED, values![conversation, stored(m_id, part), rewritten(m_id, part)]).await
}

/// Reads the stored form.
pub(in crate::store) fn parse(matched: &str) -> Option<(MId, u32)> {
    let mut words = matched.split(' ');
    let (m_id, part) = (words.next()?, words.next()?);
    Some((m_id.parse().ok()?, part.parse().ok()?))
}

/// Returns what was sent to a conversation and has no verbatim row. A message that does not decode was marked
/// unreadable before it was sent, so each of these decodes.
pub(in crate::store) async fn own_sends(
    db: &mut impl Tx,
    channel: &str,
    contact: &str,
    limit: usize,
) -> Result<Vec<SendRecord>, StoreError> {
    type Row = (String, String, u32, String, String, i64, i64, i64, u32, Option<String>, Option<String>);

    let matched_sends: Vec<(String,)> = db.rows(sql::MATCHES, values![channel, contact]).await?;
    let matched_sends: HashSet<String> = matched_sends.into_iter().map(|(matched,)| matched).collect();
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let messages: Vec<Row> = db.rows(sql::MAYBE_SENT, values![channel, contact, most]).await?;
    let mut sends = Vec::new();
    'newest_first: for (m_id, content, current, doubt, state, at_ms, accepted_ms, began_ms, attempt, forms, wording) in
        messages
    {
        let parts = if matches!(doubt.as_str(), "queued" | "failed") { current } else { current + 1 };
        for part in (0..parts).rev().filter(|part| !matched_sends.contains(&stored(&m_id, *part))) {
            if sends.len() == limit {
                break 'newest_first;
            }
            let content = serde_json::from_str(&content).map_err(|e| corrupt("outbound")(Box::new(e)))?;
            let shown_rewritten = matched_sends.contains(&rewritten(&m_id, part));
            let verdict = verdict_of(&state, part < current);
            let earliest_ms = earliest_ms(accepted_ms, began_ms, attempt, current);
            let (m_id, sent_forms) = (decode("outbound", &m_id)?, sent_forms::of(forms.as_deref(), part)?);
            let wording = wording.clone().map(Wording::new);
            sends.push(SendRecord {
                m_id,
                content,
                wording,
                part,
                verdict,
                at_ms,
                earliest_ms,
                shown_rewritten,
                sent_forms,
            });
        }
    }
    sends.reverse();
    Ok(sends)
}
