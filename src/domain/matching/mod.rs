//! Which row is which: identities, positions, what of a reading is new, and what of it is ours. Pure.

mod account_traits;
mod alignment;
mod elsewhere;
mod freshness;
mod identity;
mod likeness;
mod row_fingerprint;
mod sent_form;
mod wrapping;

pub(crate) use account_traits::AccountTraits;
pub(crate) use alignment::{
    Attribution, LookupEvidence, Match, OpenRow, RowSince, SendStanding, SendVerdict, ShownAs, Shows, UnmatchedSend,
    attribute, mark_history_ambiguous, standing,
};
pub(crate) use elsewhere::Elsewhere;
pub(crate) use freshness::{InitialSyncPolicy, ReadContext, history, new_rows};
pub(crate) use identity::{Known, base, identify, next_tail};
pub(crate) use likeness::{Features, sent_form};
pub(crate) use row_fingerprint::{RowFingerprint, RowShape, content_fingerprint};
pub(crate) use sent_form::{BadSentForm, SentForm};

#[cfg(test)]
pub(crate) use identity::identities;

#[cfg(test)]
pub(crate) mod testing {
    use crate::domain::{AfilnetRow, Direction, RowTime};

    /// A row of one conversation; without an id where that is empty.
    pub(crate) fn row(id: &str, direction: Direction, second: i64, text: &str) -> AfilnetRow {
        AfilnetRow {
            destination: "34600111222".parse().unwrap(),
            id: (!id.is_empty()).then(|| id.to_owned()),
            direction,
            time: RowTime { raw: second.to_string(), epoch_ms: Some(second * 1000) },
            text: text.to_owned(),
            status: None,
        }
    }
}
