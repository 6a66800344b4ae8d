//! `bridge channels`: lists the Afilnet channels of the configured accounts; pauses what the bridge does with a channel, and
//! goes on. Pauses are in the store, so they work beside a running bridge and without one.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Subcommand;

use super::find::failure;
use super::operator::operator;
use super::output::{Failure, print};
use crate::afilnet::{AccessTokens, AfilnetClient, Balance};
use crate::config::Config;
use crate::domain::operator_pause::PauseKind;
use crate::domain::{Language, ReadError};
use crate::ops::find::Refusal;
use crate::ops::{advice, pause};
use crate::store::{Store, open};
use crate::telemetry::{harmless, trouble};

/// What to stop, or to go on with.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Stop what is sent (out) or what is posted to BonyChat (in); everything is kept, and no age counts meanwhile
    Pause {
        /// Its name in the configuration
        channel: String,
        /// out: nothing is sent to customers. in: nothing is posted to BonyChat, while Afilnet is still read
        #[arg(value_parser = ["out", "in"])]
        what: String,
        /// Why, for those who find it paused and for the audit
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Have /message answer 503 for a channel, while what waits goes out
    Drain {
        /// Its name in the configuration
        channel: String,
        /// Why, for those who find it paused and for the audit
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Go on with what was paused
    Resume {
        /// Its name in the configuration
        channel: String,
        /// What was paused; drain: accept messages again
        #[arg(value_parser = ["out", "in", "drain"])]
        what: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// List what is paused by hand, one a line: channel, what, since, who, why
    Pauses,
}

pub(super) async fn run(command: Command, config: &Config) -> Result<(), Failure> {
    let store = open::visitor(&config.store.url).await?;
    let outcome = done(command, config, store.as_ref()).await;
    store.close().await;
    print(&outcome.map_err(failure)?)?;
    Ok(())
}

async fn done(command: Command, config: &Config, store: &dyn Store) -> Result<String, Refusal> {
    let kind = |what: &str| what.parse::<PauseKind>().map_err(|error| Refusal::Request(error.to_string()));
    Ok(match command {
        Command::Pause { channel, what, why } => {
            told(&pause::pause(store, config, &channel, kind(&what)?, operator(Some(&why))).await?)?
        }
        Command::Drain { channel, why } => {
            told(&pause::pause(store, config, &channel, PauseKind::Drain, operator(Some(&why))).await?)?
        }
        Command::Resume { channel, what, why } => {
            told(&pause::resume(store, config, &channel, kind(&what)?, operator(why.as_deref())).await?)?
        }
        Command::Pauses => {
            let mut report = String::new();
            for lasting in pause::lasting(store).await? {
                let since = lasting.since(&config.time_zone_of(&lasting.channel));
                let [channel, who, why] = [&lasting.channel, &lasting.who, &lasting.why].map(|word| harmless(word));
                let _ = writeln!(report, "{channel}\t{}\t{since}\t{who}\t{why}", lasting.kind.name());
            }
            if report.is_empty() {
                let _ = writeln!(std::io::stderr().lock(), "nothing is paused by hand");
            }
            report
        }
    })
}

/// Returns what happened, with the command that goes on from there. What is not paused cannot be gone on with: that is a failure.
fn told(outcome: &pause::Outcome) -> Result<String, Refusal> {
    let words = outcome.sentence(Language::En) + &outcome.next_command();
    if outcome.change == pause::Change::NotPaused { Err(Refusal::Request(words)) } else { Ok(words + "\n") }
}

/// Lists the channels of each account, and which of them this configuration serves.
pub(super) async fn list(config: &Config) -> anyhow::Result<String> {
    let mut asked = std::collections::BTreeSet::new();
    let mut report = String::new();
    for channel in config.channels.values() {
        if !asked.insert((channel.afilnet.url.to_string(), channel.afilnet.user.clone())) {
            continue;
        }
        let http = crate::afilnet::client(channel.afilnet.timeout, &channel.afilnet.ca)?;
        let client = AfilnetClient::new(channel, &config.outbound, config.language, http, &AccessTokens::default());
        let refused = |error: ReadError| {
            let cause =
                channel.afilnet.url.host_str().and_then(|host| Some(format!("; {host}: {}", trouble::of(host)?)));
            anyhow::anyhow!(
                "the channels of the account behind `{}` could not be read: {} ({}){}",
                channel.name,
                advice::of_afilnet(&error.fault, Language::En),
                error.fault.code(),
                cause.unwrap_or_default()
            )
        };
        if let Some(balance) = client.balance().await.map_err(refused)? {
            let words = match balance {
                Balance::Amount(amount) => harmless(&amount),
                Balance::NoAmount => "is no amount, and is not shown".to_owned(),
            };
            let _ = writeln!(std::io::stderr().lock(), "account behind `{}`: balance {words}", channel.name);
        }
        let found = client.channels().await.map_err(refused)?;
        for there in found {
            let served = config.channels.values().find(|ours| {
                ours.platform.as_str() == there.platform && ours.platform_id.as_str() == there.platform_id
            });
            let name = served.map_or("not configured", |ours| ours.name.as_str());
            let [platform, id, title] = [&there.platform, &there.platform_id, &there.name].map(|word| harmless(word));
            let _ = writeln!(report, "{platform}\t{id}\t{title}\t{name}");
        }
    }
    Ok(report)
}
