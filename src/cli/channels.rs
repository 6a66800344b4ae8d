//! `bridge channels`: lists the Afilnet channels of the configured accounts.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::afilnet::{AccessTokens, AfilnetClient, Balance};
use crate::config::Config;
use crate::domain::ReadError;
use crate::ops::advice;
use crate::telemetry::{harmless, trouble};

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
                advice::of_afilnet(&error.fault),
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
