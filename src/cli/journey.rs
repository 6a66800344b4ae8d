//! `bridge messages journey`: what happened to one message, in words.

use std::fmt::Write as _;

use super::output::Failure;
use crate::config::Config;
use crate::domain::Language;
use crate::ops::journey::{Account, journey, missing};
use crate::store::Store;
use crate::telemetry::harmless;

/// Returns it for the terminal: the verdict, an empty line, and a line for each step. Times are those of the channel's
/// account, which the first line of the steps names.
pub(super) async fn tell(
    store: &dyn Store,
    config: &Config,
    m_id: &str,
    language: Option<&str>,
    contacts: bool,
) -> Result<String, Failure> {
    let language = language.map(|language| if language == "es" { Language::Es } else { Language::En });
    let found = journey(store, config, m_id, language, contacts).await.map_err(anyhow::Error::new)?;
    let Some(Account { told, zone, .. }) = found else {
        return Err(Failure::Work(anyhow::anyhow!(missing(m_id))));
    };
    let mut text = told.verdict.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", harmless(line));
        text
    });
    let _ = writeln!(text, "\n{} ({zone})", harmless(m_id));
    for line in told.lines {
        let _ = writeln!(text, "{}", harmless(&line));
    }
    Ok(text)
}
