//! `bridge channels`: lists the Afilnet channels of the configured accounts.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::afilnet::{AccessTokens, AfilnetClient, Balance};
use crate::config::Config;
use crate::domain::{Fault, ReadError};
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
                what_to_do(&error.fault),
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

/// Returns what happened and what to do, for the operator.
fn what_to_do(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unreachable => {
            "Afilnet could not be reached. Check afilnet.url, and this machine's DNS and firewall; if they are right, Afilnet \
             is down, and a running bridge goes on by itself when it is back"
        }
        Fault::Certificate => {
            "Afilnet's certificate does not prove who it is. Check this machine's clock and its CA certificates; where a \
             proxy inspects the traffic, set afilnet.ca_file"
        }
        Fault::Credentials(code) if code.starts_with("oauth_") => {
            "the token endpoint does not accept them. Check client_id, client_secret, grant and scope of [afilnet.json]; with \
             the grant password, afilnet.user and afilnet.password too"
        }
        Fault::Credentials(_) => {
            "Afilnet does not accept them. Check afilnet.user and afilnet.password of this account"
        }
        Fault::Forbidden => {
            "Afilnet does not let this machine in. Allow its address in Afilnet's panel (Options > Access to API)"
        }
        Fault::WrongService(code) if code.starts_with("oauth_") => {
            "what answers is not a token endpoint. Check afilnet.json.token_url"
        }
        Fault::WrongService(_) => "what answers is not Afilnet's API. Check afilnet.url and afilnet.transport",
        Fault::Busy => "Afilnet takes no more calls for now. Try again in a minute",
        Fault::TimedOut | Fault::ConnectionLost | Fault::Http(_) | Fault::NotUnderstood | Fault::Interrupted => {
            "Afilnet is out of order or did not answer in full. Try again in a minute; if this lasts, check afilnet.url and \
             ask Afilnet"
        }
        Fault::NoCredits
        | Fault::ChannelNotFound
        | Fault::ChatNotFound
        | Fault::MissingParam
        | Fault::FileType
        | Fault::FileUrl
        | Fault::ThumbUrl
        | Fault::NoRoute
        | Fault::TooLong
        | Fault::Other(_) => "Afilnet refused the question. Look its code up with Afilnet",
    }
}
