//! The configuration in a few lines for the start of the log: no secrets, no accounts, no Afilnet ids.

use std::collections::BTreeSet;

use super::{Config, StoreUrl, Transport};

/// Channels that are named, at most.
const NAMED: usize = 20;

/// Keys of the durations in the summary.
pub(super) const DURATIONS: [&str; 10] = [
    "store.keep_text",
    "store.keep_rows",
    "store.lease",
    "outbound.answer_within",
    "outbound.stale_after",
    "outbound.look_after",
    "inbound.sweep_every",
    "retry.initial",
    "retry.max",
    "retry.give_up_after",
];

impl Config {
    /// Returns one line per section.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let text = |key: &str| self.written.get(key).map(String::as_str).unwrap_or_default();
        let (server, store) = (&self.server, &self.store);
        let (outbound, inbound) = (&self.outbound, &self.inbound);
        let engine = match &store.url {
            StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            StoreUrl::Postgres(_) => format!("postgres, leases of {}", text("store.lease")),
        };
        let anna = self.anna.as_ref().map(|anna| {
            let channels = self.channels.values().filter(|channel| channel.anna).count();
            format!("anna: {}, {channels} channel(s) fill in placeholders", anna.summary())
        });
        let lines = vec![
            format!("server: {}{}, bodies up to {} bytes", server.listen, server.path_prefix, server.body_limit_bytes),
            format!("store: {engine}, texts {}, rows {}", text("store.keep_text"), text("store.keep_rows")),
            self.afilnet_summary(),
            self.bonychat_summary(),
            format!(
                "outbound: answer within {}, unconfirmed {:?}, looks after {}, stale after {}",
                text("outbound.answer_within"),
                outbound.on_unconfirmed,
                text("outbound.look_after"),
                outbound.stale_after.map_or("never", |_| text("outbound.stale_after")),
            ),
            format!(
                "inbound: sweep every {}, first run {:?}, direction by {:?}, html entities {}, echoes {}, statuses {} ({} mapped), attachments {}",
                text("inbound.sweep_every"),
                inbound.first_run,
                inbound.direction,
                inbound.html_entities,
                inbound.echoes,
                inbound.statuses,
                inbound.status_map.len(),
                inbound.attachments,
            ),
            format!(
                "retry: {} to {}, gives up after {}",
                text("retry.initial"),
                text("retry.max"),
                text("retry.give_up_after")
            ),
            format!("log: {:?}, level {}, contacts {:?}", self.log.format, self.log.level, self.log.contacts),
            self.channels_summary(),
        ];
        lines.into_iter().chain(anna).collect()
    }

    fn afilnet_summary(&self) -> String {
        let accounts: BTreeSet<_> = self.channels.values().map(|c| (&c.afilnet.url, &c.afilnet.user)).collect();
        let hosts: BTreeSet<_> =
            self.channels.values().map(|c| format!("{} to {}", named(&c.afilnet.transport), c.afilnet.url)).collect();
        let hosts: Vec<String> = hosts.into_iter().collect();
        let limits = self.channels.values().next().map(|c| (c.afilnet.requests_per_second, c.afilnet.max_in_flight));
        let (per_second, in_flight) = limits.unwrap_or_default();
        let accounts = accounts.len();
        format!("afilnet: {}, {accounts} account(s), each {per_second}/s and {in_flight} in flight", hosts.join(", "))
    }

    fn bonychat_summary(&self) -> String {
        let host = |url: &str| url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let hosts: BTreeSet<String> = self.channels.values().filter_map(|c| host(&c.bonychat.webhook_url)).collect();
        let per_second = self.channels.values().next().map_or(0, |c| c.bonychat.requests_per_second);
        let hosts: Vec<String> = hosts.into_iter().take(NAMED).collect();
        format!("bonychat: webhook at {}, {per_second}/s a channel, language {:?}", hosts.join(" "), self.language)
    }

    fn channels_summary(&self) -> String {
        let named = self.channels.values().take(NAMED).map(|c| format!("{} ({})", c.name, c.platform.as_str()));
        let named: Vec<String> = named.collect();
        let more = self.channels.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("channels: {}: {}{more}", self.channels.len(), named.join(" "))
    }
}

/// Returns a transport without its secrets.
fn named(transport: &Transport) -> String {
    match transport {
        Transport::Post => "Post".to_owned(),
        Transport::Get => "Get".to_owned(),
        Transport::Basic => "Basic".to_owned(),
        Transport::Json(oauth) => {
            format!("Json with {:?} tokens of {}", oauth.grant, oauth.token_url.host_str().unwrap_or_default())
        }
        Transport::Soap(_) => "Soap".to_owned(),
    }
}
