//! `bridge messages audit`: who did what, newest first.

use std::io::Write as _;

use super::output::{Failure, print};
use crate::ops::audit::{AuditLine, PAGE, Page, audit};
use crate::store::Store;
use crate::telemetry::{harmless, harmless_json};

/// Arguments of `messages audit`.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Go on behind the page that ended with this
    #[arg(long, value_name = "CURSOR")]
    before: Option<String>,
    /// Only what this person did, or what was done to this mId, channel or job (`job 3`)
    #[arg(long, value_name = "WHO|WHAT")]
    about: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = PAGE)]
    limit: u32,
    /// JSON, one object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: AuditArgs, store: &dyn Store) -> Result<(), Failure> {
    let AuditArgs { before, about, limit, json } = arguments;
    let Page { deeds, next } =
        audit(store, before.as_deref(), about.as_deref(), limit).await.map_err(super::find::failure)?;
    print(&deeds.iter().map(|deed| line(deed, json)).collect::<String>())?;
    if let Some(next) = next {
        let _ = writeln!(std::io::stderr().lock(), "there may be more: go on with --before {next}"); // a reader may have gone
    }
    Ok(())
}

fn line(deed: &AuditLine, json: bool) -> String {
    if json {
        return harmless_json(&serde_json::to_string(deed).unwrap_or_default()) + "\n";
    }
    let why = deed.why().unwrap_or("-");
    let [who, what, target, why] = [deed.who.as_str(), &deed.what, &deed.target, why].map(harmless);
    format!("{}\t{who}\t{}\t{what}\t{target}\t{why}\n", deed.at, deed.means)
}
