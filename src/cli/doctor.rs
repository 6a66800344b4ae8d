//! `bridge doctor`: what it looks at and how it shows it; the checks are in `ops`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::output::{Failure, print};
use crate::config::Config;
use crate::ops::doctor::capture::{Written, capture};
use crate::ops::doctor::{Health, Scope, Section, examine};
use crate::telemetry::harmless_json;

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// JSON instead of text
    #[arg(long)]
    json: bool,
    /// Exit code 1 on a warning too
    #[arg(long)]
    strict: bool,
    /// One section alone
    #[arg(long, value_name = "SECTION", value_parser = Section::NAMES)]
    only: Option<String>,
    /// Longest time of a check
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// The bridge's public address, as BonyChat has it, without /message: looks at it from outside
    #[arg(long, value_name = "URL", value_parser = address)]
    url: Option<Url>,
    /// In place of the checks: write what the platforms answer into this new folder, without persons and secrets, for those who
    /// mend the bridge
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "strict", "only", "url"])]
    capture: Option<PathBuf>,
    /// With --capture: wait so long, 10 minutes at most, for one call of each kind that the running bridge gets from BonyChat
    #[arg(long, value_name = "TIME", requires = "capture", value_parser = waiting)]
    calls: Option<Duration>,
}

fn waiting(text: &str) -> Result<Duration, String> {
    let given = humantime::parse_duration(text).ok().filter(|given| (1..=600).contains(&given.as_secs()));
    given.ok_or_else(|| "must be a time from 1s to 10m".to_owned())
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "must be an http or https URL, such as https://chat.example.com".to_owned())
}

/// Looks, prints what was found, and fails if something does.
pub(super) async fn run(args: DoctorArgs, config: Config) -> Result<(), Failure> {
    if let Some(folder) = &args.capture {
        let Written { files, answers, calls, canaries } = Box::pin(capture(&config, folder, args.calls, args.timeout))
            .await
            .map_err(|why| Failure::Work(anyhow::anyhow!(why)))?;
        let calls = calls.map_or_else(String::new, |calls| format!(" and {calls} call(s) of BonyChat"));
        return Ok(print(&format!(
            "{answers} answer(s){calls} in {files} file(s) in {}: each letter is x, each number another one, each date moved. {canaries} \
             contact(s), text(s) and secret(s) were looked for in them, and none is there. Nothing was sent to a customer. Look at \
             the files before you give them away\n",
            folder.display()
        ))?);
    }
    let only = args.only.as_deref().and_then(Section::named);
    let report = Box::pin(examine(config, &Scope { only, limit: args.timeout, url: args.url })).await;
    if args.json {
        let json = serde_json::to_string(&report).map_err(anyhow::Error::new)?;
        print(&format!("{}\n", harmless_json(&json)))?;
    } else {
        print(&report.text())?;
    }
    let bad = report.count(Health::Fail) + if args.strict { report.count(Health::Warn) } else { 0 };
    if bad > 0 { Err(Failure::Found) } else { Ok(()) }
}
