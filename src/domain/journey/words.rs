//! A journey in words, for operators: whether the customer got the message, what happens next and what to do; then what
//! happened, line by line. In English and Spanish.

mod cause;
mod lines;
mod phrase;
mod verdict;

use super::Journey;
pub(crate) use cause::{Cause, FarSide, cause};
pub(crate) use phrase::Words;

/// A journey in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JourneyText {
    /// Whether it arrived, what happens next, what to do.
    pub(crate) verdict: String,
    /// Each begins with its time.
    pub(crate) lines: Vec<String>,
}

/// Returns a journey in words.
pub(crate) fn tell(words: &Words<'_>, journey: &Journey) -> JourneyText {
    JourneyText { verdict: verdict::verdict(words, journey), lines: lines::lines(words, journey) }
}

#[cfg(test)]
mod tests;
