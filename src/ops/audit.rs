//! The audit: what each person did, newest first.

use serde::Serialize;

use super::find::{Refusal, time};
use crate::store::{AuditEntry, Store};

/// Rows of one page: by default, and at most.
pub(crate) const PAGE: u32 = 50;
pub(crate) const MOST: u32 = 1000;

/// One deed of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AuditLine {
    pub(crate) at: String,
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    /// `cli`, `api`, `page`.
    pub(crate) means: String,
    pub(crate) what: String,
    /// An mId, the name of a channel, the id of a job.
    pub(crate) target: String,
    /// Why, and what else matters; by name.
    pub(crate) detail: Option<serde_json::Value>,
}

/// One page of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Page {
    pub(crate) deeds: Vec<AuditLine>,
    /// Where the next page begins; `None` after the last.
    pub(crate) next: Option<String>,
}

/// Returns the page of so many rows before a cursor, or the first one; `about`: of this person, mId, channel or job alone.
///
/// # Errors
/// A cursor that is none; or the store could not be read.
pub(crate) async fn audit(
    store: &dyn Store,
    before: Option<&str>,
    about: Option<&str>,
    limit: u32,
) -> Result<Page, Refusal> {
    let before_id: Option<i64> = match before.map(str::parse) {
        None => None,
        Some(Ok(before)) => Some(before),
        Some(Err(_)) => {
            let typed = before.unwrap_or_default().to_owned();
            return Err(Refusal::Cursor { typed, takes: "what the page before ended with, a number" });
        }
    };
    let limit = limit.clamp(1, MOST);
    let mut entries = store.operators().audit(before_id, about.map(str::to_owned), limit + 1).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Page { deeds: entries.into_iter().map(deed).collect(), next })
}

fn deed(entry: AuditEntry) -> AuditLine {
    let AuditEntry { at_ms, who, means, what, target, detail, .. } = entry;
    let detail = detail.and_then(|detail| serde_json::from_str(&detail).ok());
    AuditLine { at: time(at_ms), at_ms, who, means, what, target, detail }
}

impl AuditLine {
    /// Returns why, where the person said it.
    pub(crate) fn why(&self) -> Option<&str> {
        self.detail.as_ref()?.get("why")?.as_str()
    }
}
