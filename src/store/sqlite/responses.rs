//! Which responses to `POST /message` reached their callers.

use rusqlite::{Connection, params};

use super::{execute, outbound};
use crate::domain::{ChannelName, MId};
use crate::store::{Epoch, StoreError, sql};

/// Records which responses were received. Does nothing for a message that was deleted, or of which another response
/// with the same mId was received.
pub(super) fn settle(db: &Connection, responses: &[(MId, bool)]) -> Result<(), StoreError> {
    for (m_id, reached) in responses {
        execute(db, if *reached { sql::ANSWERED } else { sql::ANSWER_LOST }, params![m_id.as_str()])?;
    }
    Ok(())
}

/// Takes a channel over. Responses that its former owner had not recorded count as lost.
pub(super) fn take_ownership(db: &Connection, channel: &ChannelName) -> Result<Epoch, StoreError> {
    execute(db, sql::ANSWERS_LOST, params![channel.as_str()])?;
    outbound::take_ownership(db, channel)
}
