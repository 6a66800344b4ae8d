//! What was said to a conversation, and which of it the rows seen there show.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::{corrupt, decode, rows};
use crate::domain::MId;
use crate::store::{OwnSend, StoreError, sql};

/// A claim as it is stored.
pub(super) fn stored(m_id: &str, part: u32) -> String {
    format!("{m_id} {part}")
}

/// Reads the stored form.
pub(super) fn parse(claim: &str) -> Option<(MId, u32)> {
    let (m_id, part) = claim.split_once(' ')?;
    Some((m_id.parse().ok()?, part.parse().ok()?))
}

/// A message that cannot be read was set aside before it was sent, so each of these can.
pub(super) fn own_sends(
    db: &Connection,
    channel: &str,
    contact: &str,
    limit: usize,
) -> Result<Vec<OwnSend>, StoreError> {
    let claimed: HashSet<String> =
        rows(db, sql::CLAIMS, params![channel, contact], |r| r.get(0))?.into_iter().collect();
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let messages: Vec<(String, String, u32, String)> =
        rows(db, sql::SPOKEN, params![channel, contact, most], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
    let mut sends = Vec::new();
    'newest_first: for (m_id, content, part, state) in messages {
        let parts = if matches!(state.as_str(), "queued" | "failed") { part } else { part + 1 };
        for part in (0..parts).rev().filter(|part| !claimed.contains(&stored(&m_id, *part))) {
            if sends.len() == limit {
                break 'newest_first;
            }
            let content = serde_json::from_str(&content).map_err(|e| corrupt("outbound")(Box::new(e)))?;
            sends.push(OwnSend { m_id: decode("outbound", &m_id)?, content, part });
        }
    }
    sends.reverse();
    Ok(sends)
}
