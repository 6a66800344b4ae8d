//! What is kept of the words of calls whose placeholders were filled in, as one text of an outbound row: a form for each part
//! that was sent and for each attempt that may have been. One that is forgotten would be echoed, so none of these is: there
//! are as many as parts and unknown outcomes.

use std::sync::Arc;

use super::{Attempt, StoreError};
use crate::domain::matching::{BadSentForm, SentForm};

/// Forms in front of the last one of these may have been sent. A form of the same part behind it is of an attempt that was
/// certainly not sent, or is under way.
const MAY_BE_SENT: &str = "!";

/// The stored text with the form of `attempt`, which is about to be made.
pub(super) fn with(stored: Option<&str>, attempt: &Attempt, form: &SentForm) -> Result<String, StoreError> {
    let stored = stored.unwrap_or_default();
    let (maybe_sent, certain) = match stored.rsplit_once(MAY_BE_SENT) {
        Some(parted) => parted,
        // Written by an older version, which had no mark.
        None if attempt.maybe_sent => (stored, ""),
        None => ("", stored),
    };
    let (maybe_sent, mut certain) = (parse(maybe_sent)?, parse(certain)?);
    certain.retain(|known| known.part != form.part);
    let mut words: Vec<String> = maybe_sent.iter().map(SentForm::to_string).collect();
    if !words.is_empty() {
        words.push(MAY_BE_SENT.to_owned());
    }
    words.extend(certain.iter().chain([form]).map(SentForm::to_string));
    Ok(words.join(" "))
}

/// Returns the forms of one part.
pub(super) fn of(stored: Option<&str>, part: u32) -> Result<Vec<SentForm>, StoreError> {
    Ok(parse(stored.unwrap_or_default())?.into_iter().filter(|form| form.part == part).collect())
}

fn parse(stored: &str) -> Result<Vec<SentForm>, StoreError> {
    let forms = stored.split_whitespace().filter(|word| *word != MAY_BE_SENT).map(str::parse);
    forms
        .collect::<Result<_, _>>()
        .map_err(|source: BadSentForm| StoreError::Corrupt { table: "outbound", source: Arc::new(source) })
}
