//! Which row is which: identities, positions, what of a reading is new, and what of it is ours. Pure.

mod claims;
mod identity;
mod mark;
mod news;

pub(crate) use claims::{Claim, Spoken, Whose, attribute, doubt_history};
pub(crate) use identity::{Known, base, identify, next_tail};
pub(crate) use mark::{Mark, content_mark};
pub(crate) use news::{Acquaintance, Wanted, history, news};

#[cfg(test)]
pub(crate) use identity::identities;

#[cfg(test)]
pub(crate) mod testing {
    use crate::domain::{Direction, Row, RowTime};

    /// A row of one conversation; without an id where that is empty.
    pub(crate) fn row(id: &str, direction: Direction, second: i64, text: &str) -> Row {
        Row {
            destination: "34600111222".parse().unwrap(),
            id: (!id.is_empty()).then(|| id.to_owned()),
            direction,
            time: RowTime { raw: second.to_string(), epoch_ms: Some(second * 1000) },
            text: text.to_owned(),
            status: None,
        }
    }
}
