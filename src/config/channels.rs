//! The channels: each table with what it inherits, and the rules between them.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Certificate;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::anna::LEAST_TEXT_LIMIT;
use super::checker::{Checker, Uniqueness};
use super::read::Leaf as _;
use super::{Admin, Afilnet, Anna, BONYCHAT_LIMIT, Bonychat, Channel, Grant, Transport, UserIdSource, raw, read};
use crate::domain::{ChannelName, Platform};

/// Afilnet's address for Basic authentication (afilnet.md 2).
const BASIC_URL: &str = "https://www.afilnet.com/api/basic/";
/// Host of webhook URLs that the platform has moved (bonychat.md A1).
const MOVED_HOST: &str = "app.respond.io";

/// What all channels share, and state of those checked so far.
pub(super) struct ChannelDefaults {
    afilnet: raw::Afilnet,
    transport: Transport,
    /// `[afilnet]`'s password, from either form.
    password: Option<SecretString>,
    bonychat: raw::Bonychat,
    /// Extra roots for Afilnet and for BonyChat.
    ca: (Vec<Certificate>, Vec<Certificate>),
    poll: (Duration, Duration),
    /// Whether `[anna]` is on.
    anna: bool,
    tokens: Uniqueness,
    places: Uniqueness,
    /// Password of each (address, account), and the channel that set it.
    accounts: BTreeMap<(String, String), (SecretString, String)>,
}

impl ChannelDefaults {
    pub(super) fn new(
        checker: &mut Checker,
        mut afilnet: raw::Afilnet,
        (transport, url): (Transport, Option<Url>),
        mut bonychat: raw::Bonychat,
        inbound: &raw::Inbound,
        admin: &Admin,
        anna: bool,
    ) -> Self {
        let mut password = checker.secret("afilnet.password", afilnet.password.take(), afilnet.password_file.take());
        if matches!(transport, Transport::Basic) && !checker.layers.is_set("afilnet.url") {
            afilnet.url = Url::read(read::Scalar::Text(BASIC_URL.to_owned())).unwrap_or(afilnet.url);
        }
        if let Some(url) = url {
            afilnet.url = url;
        }
        if let Transport::Json(oauth) = &transport
            && oauth.grant == Grant::ClientCredentials
        {
            // The client is the account, so there need not be another user.
            afilnet.user.get_or_insert_with(|| oauth.client_id.clone());
            password.get_or_insert_with(|| oauth.client_secret.clone());
        }
        let ca = (
            checker.certificates("afilnet.ca_file", afilnet.ca_file.take()),
            checker.certificates("bonychat.ca_file", bonychat.ca_file.take()),
        );
        let mut tokens = Uniqueness::default();
        if let Some(token) = &admin.token {
            tokens.earlier_holder(vec![token.expose_secret().to_owned()], "admin.token");
        }
        for (name, person) in &admin.people {
            tokens.earlier_holder(vec![person.token.expose_secret().to_owned()], &format!("admin.people.{name}.token"));
        }
        let poll = (inbound.poll_active, inbound.poll_idle);
        let (places, accounts) = (Uniqueness::default(), BTreeMap::new());
        Self { afilnet, transport, password, bonychat, ca, poll, anna, tokens, places, accounts }
    }

    /// Returns every valid channel, and notes the problems of the others.
    pub(super) fn channels(mut self, checker: &mut Checker) -> BTreeMap<ChannelName, Channel> {
        let mut names: Vec<ChannelName> =
            checker.layers.channels().iter().filter_map(|name| name.parse().ok()).collect();
        names.sort();
        if names.is_empty() && !checker.problems.iter().any(|problem| problem.key.starts_with("channels.")) {
            let what = "no channel is configured, so there is nothing to do. Add a table [channels.NAME] to the \
                        configuration file, or set BRIDGE__CHANNELS__NAME__CHANNEL_ID and its other keys; `bridge config` \
                        shows them";
            checker.note("channels", what);
        }
        let channels = names.into_iter().filter_map(|name| {
            let raw = raw::take::<raw::Table>(&checker.layers, &mut checker.problems, &["channels", name.as_str()])?;
            let channel = self.channel(checker, &name, raw)?;
            Some((name, channel))
        });
        channels.collect()
    }

    fn channel(&mut self, checker: &mut Checker, name: &ChannelName, mut raw: raw::Table) -> Option<Channel> {
        let key = |last: &str| format!("channels.{name}.{last}");
        let api_token = checker.token(&key("api_token"), raw.api_token.take(), raw.api_token_file.take());
        let previous_key = key("previous_api_token");
        let previous = checker.token(&previous_key, raw.previous_api_token.take(), raw.previous_api_token_file.take());
        for (last, token) in [("api_token", &api_token), ("previous_api_token", &previous)] {
            self.token_is_its_own(checker, name, &key(last), token.as_ref());
        }
        let afilnet = self.afilnet(checker, name, &mut raw);
        let bonychat = self.bonychat(checker, name, &mut raw);
        let (poll_active, poll_idle) = self.poll(checker, name, &raw);

        let channel_id = checker.required(&key("channel_id"), raw.channel_id);
        let api_token = checker.required(&key("api_token"), api_token);
        let id_type = checker.required(&key("id_type"), raw.id_type);
        let platform = checker.required(&key("platform"), raw.platform);
        let platform_id = checker.required(&key("platform_id"), raw.platform_id);
        if let (Some(afilnet), Some(platform), Some(id)) = (&afilnet, platform, &platform_id) {
            let place = [afilnet.url.as_str(), &afilnet.user, platform.as_str(), id.as_str()].map(str::to_owned);
            if let Some(first) = self.places.earlier_holder(place.into(), name.as_str()) {
                let what = format!("is the same Afilnet channel as that of channels.{first}. Each needs its own");
                checker.note(&key("platform_id"), what);
            }
        }
        let platform = platform?;
        let default_limit = if matches!(platform, Platform::Whatsapp | Platform::Telegram) { 4096 } else { 7000 };
        let text_limit = raw.text_limit.map_or(default_limit, |limit| limit as usize);
        let anna = raw.anna.unwrap_or(false);
        self.check_anna(checker, name, anna, text_limit);
        Some(Channel {
            name: name.clone(),
            channel_id: channel_id?,
            api_token: api_token?,
            previous_api_token: previous,
            id_type: id_type?,
            platform,
            platform_id: platform_id?,
            text_limit,
            anna,
            poll_active,
            poll_idle,
            afilnet: afilnet?,
            bonychat: bonychat?,
        })
    }

    /// Checks what a channel needs to fill in placeholders.
    fn check_anna(&self, checker: &mut Checker, name: &ChannelName, anna: bool, text_limit: usize) {
        let key = |last: &str| format!("channels.{name}.{last}");
        if anna && !self.anna && checker.clean(&["anna.base_url"]) {
            checker.note(&key("anna"), "is true, but anna.base_url is not set. Fill in [anna], or leave this out");
        }
        if anna && text_limit < LEAST_TEXT_LIMIT {
            let what = format!("must be {LEAST_TEXT_LIMIT} or more where anna = true: a link is not cut");
            checker.note(&key("text_limit"), what);
        }
    }

    /// Checks that no two channels share a token: the token decides the channel.
    fn token_is_its_own(&mut self, checker: &mut Checker, name: &ChannelName, key: &str, token: Option<&SecretString>) {
        let Some(token) = token else { return };
        let Some(first) = self.tokens.earlier_holder(vec![token.expose_secret().to_owned()], key) else { return };
        let own = first.starts_with(&format!("channels.{name}."));
        if !own {
            checker.note(
                key,
                format!("is the same token as {first}. The token tells the channels apart: each needs its own"),
            );
        }
    }

    fn afilnet(&mut self, checker: &mut Checker, name: &ChannelName, raw: &mut raw::Table) -> Option<Afilnet> {
        let (user_key, password_key) =
            (format!("channels.{name}.afilnet_user"), format!("channels.{name}.afilnet_password"));
        let twin = format!("{password_key}_file");
        let own = checker.secret(&password_key, raw.afilnet_password.take(), raw.afilnet_password_file.take());
        if let Transport::Json(oauth) = &self.transport
            && oauth.grant == Grant::ClientCredentials
            && (raw.afilnet_user.is_some() || own.is_some())
        {
            let what = "has no effect where afilnet.json.grant is client_credentials: the client is the account of every \
                        channel. Leave it out";
            checker.note(if raw.afilnet_user.is_some() { &user_key } else { &password_key }, what);
        }
        if !checker.clean(&[&user_key, &password_key, &twin]) {
            return None;
        }
        let other_account = raw.afilnet_user.is_some() && raw.afilnet_user != self.afilnet.user;
        let user = match raw.afilnet_user.take() {
            Some(user) => Some(user),
            None => checker.required("afilnet.user", self.afilnet.user.clone()),
        };
        let brought = if own.is_some() { password_key.as_str() } else { "afilnet.password" };
        let password = match own {
            Some(own) => Some(own),
            None if other_account && self.afilnet.user.is_some() => {
                let what = format!(
                    "is not set, and the password of [afilnet] belongs to another user. Set it in the configuration file, or \
                     name a file that holds it as {twin}"
                );
                checker.note(&password_key, what);
                None
            }
            None => checker.required("afilnet.password", self.password.clone()),
        };
        let (user, password) = (user?, password?);
        let account = (self.afilnet.url.to_string(), user.clone());
        let (known, first) = self.accounts.entry(account).or_insert_with(|| (password.clone(), brought.to_owned()));
        if known.expose_secret() != password.expose_secret() {
            let culprit = if brought == password_key { brought } else { first.as_str() }.to_owned();
            let other = if brought == password_key { first.as_str() } else { brought };
            let what =
                format!("differs from {other}, but both are for the same Afilnet user. One account has one password");
            checker.note(&culprit, what);
        }
        let shared = &self.afilnet;
        Some(Afilnet {
            url: shared.url.clone(),
            transport: self.transport.clone(),
            user,
            password,
            timeout: shared.timeout,
            answer_limit: shared.answer_limit.0,
            ca: self.ca.0.clone(),
            time_zone: shared.time_zone.clone(),
            requests_per_second: shared.requests_per_second,
            max_in_flight: shared.max_in_flight,
        })
    }

    fn bonychat(&self, checker: &mut Checker, name: &ChannelName, raw: &mut raw::Table) -> Option<Bonychat> {
        if !checker.clean(&[&format!("channels.{name}.webhook_url")]) {
            return None;
        }
        let url = match raw.webhook_url.take() {
            Some(url) => url,
            None => checker.required("bonychat.webhook_url", self.bonychat.webhook_url.clone())?,
        };
        let requests_per_second = self.bonychat.requests_per_second;
        if !url.loopback && requests_per_second > BONYCHAT_LIMIT {
            let what = format!("must be 1 to {BONYCHAT_LIMIT}: BonyChat refuses more");
            checker.note("bonychat.requests_per_second", what);
        }
        let moved = url::Url::parse(url.text.trim()).is_ok_and(|url| url.host_str() == Some(MOVED_HOST));
        let warning = format!(
            "webhook_url: addresses at {MOVED_HOST} moved in August 2026 and may take nothing any more; copy it anew from the \
             channel's page in BonyChat"
        );
        if moved && !checker.warnings.contains(&warning) {
            checker.warnings.push(warning);
        }
        let ca = self.ca.1.clone();
        Some(Bonychat { webhook_url: url.text, timeout: self.bonychat.timeout, ca, requests_per_second })
    }

    fn poll(&self, checker: &mut Checker, name: &ChannelName, raw: &raw::Table) -> (Duration, Duration) {
        let (active_key, idle_key) = (format!("channels.{name}.poll_active"), format!("channels.{name}.poll_idle"));
        let active = raw.poll_active.unwrap_or(self.poll.0);
        let idle = raw.poll_idle.unwrap_or(self.poll.1);
        let own = raw.poll_active.is_some() || raw.poll_idle.is_some();
        if own && active > idle && checker.clean(&[&active_key, &idle_key, "inbound.poll_active", "inbound.poll_idle"])
        {
            let key = if raw.poll_active.is_some() { &active_key } else { &idle_key };
            checker.note(key, "leaves this channel with a poll_active longer than its poll_idle");
        }
        (active, idle)
    }
}

/// Warns of channels that fill in placeholders and whose contacts have no phone number, where `anna.user_id` needs one.
pub(super) fn warn_of_user_ids(checker: &mut Checker, channels: &BTreeMap<ChannelName, Channel>, anna: Option<&Anna>) {
    let Some(rule) = anna.map(|anna| &anna.user_id).filter(|rule| rule.source == UserIdSource::Digits) else { return };
    for channel in channels.values().filter(|channel| channel.anna && channel.platform != Platform::Whatsapp) {
        let (name, platform, prefix) = (&channel.name, channel.platform.as_str(), &rule.prefix);
        checker.warnings.push(format!(
            "channels.{name}.anna: contacts on {platform} are not named by phone numbers, and anna.user_id = \
             \"{prefix}{{digits}}\" needs one: what agents write there goes out with the fallback, never with a link of the \
             customer's own. Set anna.user_id to \"{prefix}{{contact}}\" if AnnA knows its users by these ids, or take \
             anna = true out"
        ));
    }
}

/// Warns if the channels of one account, all of them active, would use all allowed calls for polls: a round makes at
/// least one call, so nothing would be left for messages.
pub(super) fn warn_of_polls(checker: &mut Checker, channels: &BTreeMap<ChannelName, Channel>) {
    let mut accounts: BTreeMap<(&str, &str), Vec<&Channel>> = BTreeMap::new();
    for channel in channels.values() {
        accounts.entry((channel.afilnet.url.as_str(), &channel.afilnet.user)).or_default().push(channel);
    }
    for channels in accounts.into_values() {
        let [first, ..] = channels[..] else { continue };
        let an_hour = |channel: &&Channel| 3_600_000 / channel.poll_active.as_millis().max(1);
        let polls: u128 = channels.iter().map(an_hour).sum();
        let allowed = u128::from(first.afilnet.requests_per_second) * 3_600;
        if allowed > 0 && polls >= allowed {
            checker.warnings.push(format!(
                "afilnet.requests_per_second: the {} channel(s) of the account behind `{}` ask for conversations up to {} \
                 times a second (poll_active), and {} calls a second are allowed: nothing is left to send and to read \
                 messages with. Make poll_active {} times as long or more, or ask Afilnet for more calls",
                channels.len(),
                first.name,
                polls / 3_600,
                first.afilnet.requests_per_second,
                (2 * polls).div_ceil(allowed),
            ));
        }
    }
}
