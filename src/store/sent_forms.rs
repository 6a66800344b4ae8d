//! What is kept of the words of calls whose placeholders were filled in, as one text of an outbound row.

use std::sync::Arc;

use super::{Attempt, StoreError};
use crate::domain::matching::SentForm;

/// Forms that are kept of one message, at most: the newest. Only attempts that may have been sent add one.
const MOST: usize = 64;

/// The stored text with one more form. Earlier attempts at its part count only where they may have been sent.
pub(super) fn with(stored: Option<&str>, attempt: &Attempt, form: SentForm) -> Result<String, StoreError> {
    let mut forms = parse(stored)?;
    forms.retain(|known| known.part != form.part || attempt.maybe_sent);
    forms.push(form);
    let newest = forms.iter().skip(forms.len().saturating_sub(MOST));
    Ok(newest.map(SentForm::to_string).collect::<Vec<_>>().join(" "))
}

/// Returns the forms of one part.
pub(super) fn of(stored: Option<&str>, part: u32) -> Result<Vec<SentForm>, StoreError> {
    Ok(parse(stored)?.into_iter().filter(|form| form.part == part).collect())
}

fn parse(stored: Option<&str>) -> Result<Vec<SentForm>, StoreError> {
    let forms = stored.unwrap_or_default().split_whitespace().map(str::parse);
    forms.collect::<Result<_, _>>().map_err(|source: crate::domain::matching::BadSentForm| StoreError::Corrupt {
        table: "outbound",
        source: Arc::new(source),
    })
}
