//! What this engine does of its own with outbound messages. Each function runs inside one operation of the writer.

use rusqlite::{Connection, params};

use super::db::SqliteTx;
use super::one;
use crate::domain::ChannelName;
use crate::store::ops::outbound::{self, BeginRequest, follow_head};
use crate::store::tx::at_once;
use crate::store::{Begun, Epoch, NewOutbound, StoreError, sql};

/// Adds a message, last of its conversation. Returns whether others are queued before it.
pub(super) fn add(db: &Connection, conversation: i64, new: &NewOutbound, content: &str) -> Result<bool, StoreError> {
    let outbound_id: i64 = one(
        db,
        sql::ADD_OUTBOUND,
        params![conversation, new.m_id.as_str(), new.content.kind(), content, new.accepted_ms, new.request_id],
    )?;
    let ahead: bool = one(db, sql::AHEAD, params![conversation, outbound_id])?;
    if !ahead {
        at_once(follow_head(&mut SqliteTx(db), conversation))?;
    }
    Ok(ahead)
}

pub(super) fn take_ownership(db: &Connection, channel: &ChannelName) -> Result<Epoch, StoreError> {
    one(db, sql::TAKE_OWNERSHIP, params![channel.as_str()]).map(Epoch)
}

pub(super) fn begin(db: &Connection, request: &BeginRequest) -> Result<Begun, StoreError> {
    let tx = &mut SqliteTx(db);
    at_once(outbound::check_epoch(tx, &request.channel, request.epoch))?;
    at_once(outbound::begin(tx, request, |_| {}))
}
