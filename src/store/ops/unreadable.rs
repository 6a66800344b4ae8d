//! Messages that do not decode.

use crate::store::tx::{Tx, values};
use crate::store::{StoreError, sql};

/// Marks a message that does not decode as failed: it is not sent, and its conversation continues.
pub(in crate::store) async fn mark(
    db: &mut impl Tx,
    head: Option<i64>,
    error: &StoreError,
    now_ms: i64,
) -> Result<(), StoreError> {
    let m_id: String = db.one(sql::MARK_UNREADABLE, values![now_ms, "unreadable_row", head]).await?;
    tracing::error!(
        message_id = m_id,
        error = error as &dyn std::error::Error,
        "message `{m_id}` cannot be read from the store; it is set aside as failed, and was not sent"
    );
    Ok(())
}
