//! What failed or was given up, grouped by reason, and whether the cause seems to be fixed.

use serde::Serialize;

use crate::domain::Language;
use crate::domain::find::Side;
use crate::domain::journey::words::{Cause, FarSide, cause};
use crate::store::{FailedGroup, Store, StoreError};

/// Messages or events of one channel with the same fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    pub(crate) channel: String,
    /// `out`: messages that failed; `in`: events that were given up.
    #[serde(rename = "direction")]
    pub(crate) side: Side,
    /// Code of the last fault.
    pub(crate) fault: String,
    pub(crate) count: u64,
    /// When the first and the last of them ended.
    pub(crate) oldest_ms: i64,
    pub(crate) newest_ms: i64,
    /// The same channel has delivered that way since the last of them.
    pub(crate) mended: bool,
}

impl Group {
    /// Returns why they failed, and what mends it.
    pub(crate) fn cause(&self, language: Language) -> Cause {
        let far_side = match self.side {
            Side::Out => FarSide::Afilnet,
            Side::In => FarSide::BonyChat,
        };
        cause(&self.fault, far_side, language)
    }
}

/// Returns the groups, the newest first.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn failed(store: &dyn Store) -> Result<Vec<Group>, StoreError> {
    let activity = store.operators().activity().await?;
    let group = |FailedGroup { channel, side, fault, count, oldest_ms, newest_ms }| {
        let last =
            activity.get(&channel).and_then(|there| if side == Side::Out { there.sent_ms } else { there.published_ms });
        Group {
            mended: last.is_some_and(|last_ms| last_ms > newest_ms),
            channel,
            side,
            fault,
            count,
            oldest_ms,
            newest_ms,
        }
    };
    let mut groups: Vec<Group> = store.operators().failed().await?.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.newest_ms));
    Ok(groups)
}
