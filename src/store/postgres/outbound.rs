//! What this engine does of its own with outbound messages: rows are locked before they are read, and a caller may wait at
//! another process. Each function runs inside one transaction, and locks the channel, then its conversations, then rows.

use super::db::{Db, args};
use super::sql as engine_sql;
use crate::store::ops::outbound::{self, follow_head};
use crate::store::tx::Tx as _;
use crate::store::{Begun, StoreError};

/// Arguments of `begin`.
pub(super) struct BeginRequest {
    pub(super) of: outbound::BeginRequest,
    /// Messages that earlier calls may have begun without their reply having arrived.
    pub(super) maybe_claimed: Vec<i64>,
    /// Messages that this call has begun so far, in case the reply to its commit is lost.
    pub(super) begun: std::sync::Mutex<Vec<i64>>,
}

pub(super) async fn begin(db: &mut Db, request: &BeginRequest) -> Result<Begun, StoreError> {
    let BeginRequest { of, begun, .. } = request;
    outbound::check_epoch(db, &of.channel, of.epoch).await?;
    requeue(db, request).await?;
    let note = |head| begun.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(head);
    outbound::begin(db, of, note).await
}

/// Requeues what was begun and never handed out.
async fn requeue(db: &mut Db, request: &BeginRequest) -> Result<(), StoreError> {
    if request.maybe_claimed.is_empty() {
        return Ok(());
    }
    let conversations: Vec<(i64,)> = db.rows(engine_sql::CONVERSATIONS_OF, args![request.maybe_claimed]).await?;
    for (conversation,) in &conversations {
        db.lock(*conversation).await?;
    }
    db.execute(engine_sql::REQUEUE_BEGUN, args![request.maybe_claimed, request.of.epoch.0]).await?;
    for (conversation,) in conversations {
        follow_head(db, conversation).await?;
    }
    Ok(())
}
