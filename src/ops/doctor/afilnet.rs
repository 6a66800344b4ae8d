//! Afilnet: each account, and each channel of it. Reads only: `getbalance`, `getchatchannels`, `getchats`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::Method;
use tokio::task::JoinSet;

use super::certificate;
use super::check::{Check, Time};
use super::probe::{self, ProbeRequest};
use crate::afilnet::{self, AccessTokens, AfilnetClient, Balance, Listed};
use crate::config::{Channel, Config};
use crate::domain::{AfilnetRow, Direction, Fault, Language, Messenger as _, ReadError, clock};
use crate::ops::advice;
use crate::telemetry::{harmless, trouble};

const REACH: &str =
    "check afilnet.url, this machine's DNS and its firewall; until it answers, messages wait and none is lost";
/// Calls that are timed, and a median that is worth a look.
const CALLS: u32 = 5;
const SLOW: Duration = Duration::from_secs(2);
const SLOWLY: &str = "messages go out that slowly; let afilnet.timeout be several times that";
/// The time of an older row proves nothing of its zone: zones are up to 26 hours apart.
const OLD: Duration = Duration::from_hours(26);
/// A row further in the future than this has a time of another zone.
const FUTURE: Duration = Duration::from_mins(5);
/// An age at which a row is still taken for a new one, where a zone is looked for.
const RECENT: Duration = Duration::from_hours(1);
/// Rows that are enough to judge a flag by.
const ENOUGH: usize = 5;
/// Zones that are tried in place of a wrong one.
const ZONES: [&str; 10] = [
    "Europe/Madrid",
    "UTC",
    "Atlantic/Canary",
    "Europe/Athens",
    "America/Argentina/Buenos_Aires",
    "America/Santiago",
    "America/New_York",
    "America/Bogota",
    "America/Mexico_City",
    "America/Los_Angeles",
];

pub(super) async fn section(config: &Arc<Config>, time: Time, calls: &Arc<AtomicU32>) -> Vec<Check> {
    let mut accounts: Vec<(String, Vec<Channel>)> = Vec::new();
    for channel in config.channels.values() {
        let key = format!("{} {}", channel.afilnet.url, channel.afilnet.user);
        match accounts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, channels)) => channels.push(channel.clone()),
            None => accounts.push((key, vec![channel.clone()])),
        }
    }
    let mut tasks = JoinSet::new();
    for (at, (_, channels)) in accounts.into_iter().enumerate() {
        let (config, calls) = (Arc::clone(config), Arc::clone(calls));
        tasks.spawn(async move { (at, account(&config, &channels, time, &calls).await) });
    }
    let mut found = tasks.join_all().await;
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().flat_map(|(_, checks)| checks).collect()
}

/// Client of one account: calls at half its rate, because a bridge may call beside it.
struct Account<'a> {
    client: AfilnetClient,
    pause: Duration,
    calls: &'a AtomicU32,
}

impl Account<'_> {
    /// Returns an answer and how long it took, after the pause that follows it.
    async fn ask<T>(&self, call: impl Future<Output = Result<T, ReadError>>) -> (Result<T, ReadError>, Duration) {
        let started = Instant::now();
        let answer = self.count(call).await;
        let took = started.elapsed();
        self.pause().await;
        (answer, took)
    }

    /// Returns an answer, and counts the call.
    async fn count<T>(&self, call: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        call.await
    }

    async fn pause(&self) {
        tokio::time::sleep(self.pause).await;
    }
}

/// Returns the client of a channel, with this limit for each call.
fn client(config: &Config, channel: &Channel, limit: Duration) -> Result<AfilnetClient, reqwest::Error> {
    let mut channel = channel.clone();
    channel.afilnet.timeout = channel.afilnet.timeout.min(limit);
    let http = afilnet::client(channel.afilnet.timeout, &channel.afilnet.ca)?;
    Ok(AfilnetClient::new(&channel, &config.outbound, config.language, http, &AccessTokens::default()))
}

async fn account(config: &Config, channels: &[Channel], time: Time, calls: &AtomicU32) -> Vec<Check> {
    let limit = time.each();
    let Some(first) = channels.first() else { return Vec::new() };
    let subject = format!("account behind `{}`", first.name);
    let made = client(config, first, limit);
    let Ok(client) = made else {
        return vec![Check::fail("login", "no client can be built", "report it").of(&subject)];
    };
    let pause = Duration::from_secs(2) / first.afilnet.requests_per_second.max(1);
    let account = Account { client, pause, calls };
    let reached = time.within("reach", REACH, reach(first, limit)).await;
    let mut found: Vec<Check> = reached.into_iter().map(|check| check.of(&subject)).collect();
    let took = match time.run("login", REACH, account.ask(account.client.balance())).await {
        Ok((Ok(balance), took)) => {
            found.push(login(balance.as_ref()).of(&subject));
            took
        }
        other => {
            found.push(match other {
                Ok((Err(error), _)) => refused("login", first, &error).of(&subject),
                Ok((Ok(_), _)) => return found,
                Err(check) => check.of(&subject),
            });
            // Another try with wrong credentials could lock the account.
            found.extend(channels.iter().map(|channel| skipped(channel, "its account cannot be asked")));
            return found;
        }
    };
    match time.run("channel", REACH, account.ask(account.client.channels())).await {
        Ok((Ok(listed), _)) => found.extend(channels.iter().map(|channel| in_list(channel, &listed))),
        Ok((Err(error), _)) => found.push(refused("channel", first, &error).of(&subject)),
        Err(check) => found.push(check.of(&subject)),
    }
    for channel in channels {
        let next = "raise --timeout, and afilnet.timeout if it is shorter than that";
        let checks = time.within("conversations", next, conversations(config, channel, limit, &account)).await;
        found.extend(checks.into_iter().map(|check| check.of(&named(channel))));
        account.pause().await;
    }
    // Last, because it is the least useful.
    found.push(speed(&account, took, time).await.of(&subject));
    found
}

fn named(channel: &Channel) -> String {
    format!("channel `{}`", channel.name)
}

fn skipped(channel: &Channel, why: &str) -> Check {
    Check::skipped("channel", why).of(&named(channel))
}

/// Checks that the host can be reached, and its certificate.
async fn reach(channel: &Channel, limit: Duration) -> Vec<Check> {
    let origin = probe::origin(&channel.afilnet.url);
    let host = origin.host_str().unwrap_or_default().to_owned();
    let asked = match probe::client(limit, &channel.afilnet.ca) {
        Ok(client) => probe::call(&client, Method::HEAD, &origin, ProbeRequest::default()).await,
        Err(error) => Err(error.to_string()),
    };
    match asked {
        Ok(answer) => vec![
            Check::ok("reach", format!("{host} answers in {} ms", answer.took.as_millis())),
            certificate::check(
                &origin,
                answer.certificate_until,
                clock::wall(),
                "Nothing of yours: tell Afilnet if it is still there in a few days",
            ),
        ],
        Err(cause) => {
            vec![Check::fail("reach", cause, REACH)]
        }
    }
}

fn login(balance: Option<&Balance>) -> Check {
    match balance {
        Some(Balance::Amount(amount)) => Check::ok("login", format!("balance {}", harmless(amount))),
        Some(Balance::NoAmount) | None => Check::ok("login", "accepted; it gives no balance"),
    }
}

/// Returns the check of a call that was not answered as it should.
fn refused(id: &'static str, channel: &Channel, error: &ReadError) -> Check {
    let cause =
        channel.afilnet.url.host_str().and_then(trouble::of).map_or_else(String::new, |cause| format!(": {cause}"));
    Check::fail(id, format!("{}{cause}", error.fault.code()), advice::of_afilnet(&error.fault, Language::En))
}

/// Times a few calls that change nothing; `first` is one that was made already.
async fn speed(account: &Account<'_>, first: Duration, limit: Time) -> Check {
    let mut took = vec![first];
    for _ in 1..CALLS {
        let (answer, time) = match limit.run("speed", SLOWLY, account.ask(account.client.balance())).await {
            Ok(asked) => asked,
            Err(check) => return check,
        };
        took.push(time);
        match answer {
            Ok(_) => {}
            Err(ReadError { fault: Fault::Busy, .. }) => {
                let next = "lower afilnet.requests_per_second: other programs may use the account too";
                return Check::warn("speed", "Afilnet takes no more calls for now (HTTP 429)", next);
            }
            Err(error) => {
                let seen = format!("of {} equal calls one failed ({})", took.len(), error.fault.code());
                return Check::warn("speed", seen, advice::of_afilnet(&error.fault, Language::En));
            }
        }
    }
    took.sort_unstable();
    let median = took[took.len() / 2];
    let seen = format!("a call takes {} ms (median of {CALLS})", median.as_millis());
    if median > SLOW {
        return Check::warn("speed", seen, SLOWLY);
    }
    Check::ok("speed", seen)
}

/// Checks that Afilnet lists the channel.
fn in_list(channel: &Channel, listed: &[Listed]) -> Check {
    let (platform, id) = (channel.platform.as_str(), channel.platform_id.as_str());
    let shown = |there: &Listed| {
        let [platform, id, name] = [&there.platform, &there.platform_id, &there.name].map(|word| harmless(word));
        format!("{platform} {id} \"{name}\"")
    };
    let ours = listed.iter().find(|there| there.platform == platform && there.platform_id == id);
    let check = ours.map_or_else(|| not_in_list(channel, listed, &shown), |there| Check::ok("channel", shown(there)));
    check.of(&named(channel))
}

/// Returns the check of a channel that Afilnet does not list, with those that it does.
fn not_in_list(channel: &Channel, listed: &[Listed], shown: &dyn Fn(&Listed) -> String) -> Check {
    let (platform, id) = (channel.platform.as_str(), channel.platform_id.as_str());
    let all: Vec<String> = listed.iter().take(10).map(shown).collect();
    let seen = format!("{platform} {id} is not among Afilnet's channels ({})", all.join(", "));
    let mut same = listed.iter().filter(|there| there.platform == platform);
    let name = &channel.name;
    let next = match (same.next(), same.next()) {
        (Some(only), None) => format!("set channels.{name}.platform_id = \"{}\"", harmless(&only.platform_id)),
        (Some(_), Some(_)) => format!("set channels.{name}.platform_id to one of those"),
        (None, _) => {
            format!("this account has no channel of {platform}: correct channels.{name}.platform, or afilnet_user")
        }
    };
    Check::fail("channel", seen, next)
}

/// The list of conversations of a channel, and what its rows show.
async fn conversations(config: &Config, channel: &Channel, limit: Duration, account: &Account<'_>) -> Vec<Check> {
    let Ok(client) = client(config, channel, limit) else { return Vec::new() };
    let rows = match account.count(client.chats()).await {
        Ok(rows) => rows,
        Err(error) => return vec![refused("conversations", channel, &error)],
    };
    let mut found = vec![Check::ok("conversations", format!("{} listed", rows.len()))];
    found.extend(ids(&rows));
    found.extend(direction(&rows));
    found.push(time(&rows, &channel.afilnet.time_zone, clock::wall()));
    found.extend(statuses(&rows, config));
    found
}

fn ids(rows: &[AfilnetRow]) -> Option<Check> {
    let known: Vec<&str> = rows.iter().filter_map(|row| row.id.as_deref()).collect();
    let different: BTreeSet<&str> = known.iter().copied().collect();
    let seen = if known.len() < rows.len() {
        format!("{} of {} rows have no message id", rows.len() - known.len(), rows.len())
    } else if different.len() < known.len() {
        "several rows have one message id".to_owned()
    } else {
        return (!rows.is_empty()).then(|| Check::ok("ids", "each row has its own"));
    };
    Some(Check::ok("ids", format!("{seen}: rows are told apart by words, time and order")))
}

/// Checks that the direction flags of rows can be as documented.
fn direction(rows: &[AfilnetRow]) -> Option<Check> {
    let of = |direction: Direction| rows.iter().filter(|row| row.direction == direction).count();
    let next = "if customers wrote some of them, set inbound.direction = \"matching\"";
    if rows.len() < ENOUGH {
        return None;
    }
    Some(if of(Direction::Unknown) > 0 {
        Check::warn(
            "direction",
            format!("{} of {} rows do not tell who wrote them", of(Direction::Unknown), rows.len()),
            next,
        )
    } else if of(Direction::Outbound) == rows.len() {
        Check::warn("direction", format!("all {} rows say that the business wrote them", rows.len()), next)
    } else {
        Check::ok(
            "direction",
            format!("{} by customers, {} by the business", of(Direction::Inbound), of(Direction::Outbound)),
        )
    })
}

/// Checks that the times of rows can be in the configured zone.
fn time(rows: &[AfilnetRow], zone: &TimeZone, now: Timestamp) -> Check {
    let Some(newest_ms) = rows.iter().filter_map(|row| row.time.epoch_ms).max() else {
        return match rows.first() {
            None => Check::skipped("time_zone", "there is no row to judge it by"),
            Some(_) => {
                Check::warn("time_zone", "the times of rows cannot be read", "rows are taken in their order; report it")
            }
        };
    };
    let ahead_ms = newest_ms.saturating_sub(now.as_millisecond());
    if ahead_ms < -clock::millis(OLD) {
        let hours = -ahead_ms / 3_600_000;
        let why =
            format!("the newest row is {hours} h old, which tells nothing of its zone: ask again after a message");
        return Check::skipped("time_zone", why);
    }
    if ahead_ms <= clock::millis(FUTURE) {
        return Check::ok("time_zone", format!("the newest row is {} min old", (-ahead_ms).max(0) / 60_000));
    }
    let seen = format!("the newest row is {} min in the future", ahead_ms / 60_000);
    let next = match better_zone(zone, newest_ms, now) {
        Some(name) => format!("did you mean afilnet.time_zone = \"{name}\"?"),
        None => "set afilnet.time_zone to the zone of the account".to_owned(),
    };
    Check::fail("time_zone", format!("{seen}: it was written in another zone than afilnet.time_zone"), next)
}

/// Returns the first zone in which the newest row would have been written just now.
fn better_zone(zone: &TimeZone, newest_ms: i64, now: Timestamp) -> Option<&'static str> {
    let offset = zone.to_offset(now).seconds();
    ZONES.into_iter().find(|name| {
        let Ok(other) = TimeZone::get(name) else { return false };
        let moved_ms = i64::from(other.to_offset(now).seconds() - offset) * 1000;
        let ahead_ms = newest_ms.saturating_sub(moved_ms).saturating_sub(now.as_millisecond());
        (-clock::millis(RECENT)..=clock::millis(FUTURE)).contains(&ahead_ms)
    })
}

/// Statuses of what the business wrote that `inbound.status_map` lacks.
fn statuses(rows: &[AfilnetRow], config: &Config) -> Option<Check> {
    if !config.inbound.statuses {
        return None;
    }
    let ours = rows.iter().filter(|row| row.direction == Direction::Outbound);
    let seen: BTreeSet<&str> = ours.filter_map(|row| row.status.as_deref()).collect();
    let unknown: Vec<String> = seen
        .iter()
        .filter(|status| !config.inbound.status_map.contains_key(**status))
        .map(|status| harmless(status))
        .collect();
    (!unknown.is_empty()).then(|| {
        let values = format!("rows show the statuses {}, which inbound.status_map does not have", unknown.join(", "));
        Check::ok("statuses", format!("{values}: agents do not see them"))
    })
}

#[cfg(test)]
mod tests {
    use Direction::{Inbound, Outbound, Unknown};

    use super::*;
    use crate::domain::RowTime;
    use crate::ops::doctor::check::Health;

    fn row(direction: Direction, epoch_ms: i64) -> AfilnetRow {
        AfilnetRow {
            destination: "34600111222".parse().unwrap(),
            id: Some(epoch_ms.to_string()),
            direction,
            time: RowTime { raw: String::new(), epoch_ms: Some(epoch_ms) },
            text: String::new(),
            status: Some("1".into()),
        }
    }

    #[test]
    fn a_zone_is_wrong_where_rows_are_in_the_future_and_the_right_one_is_named() {
        let now: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
        let configured = TimeZone::get("America/Bogota").unwrap();
        let minute = 60_000;
        let judged =
            |minutes: i64| time(&[row(Direction::Inbound, now.as_millisecond() + minutes * minute)], &configured, now);
        for (minutes, expected) in
            [(-26 * 60 - 1, Health::Skipped), (-600, Health::Ok), (0, Health::Ok), (5, Health::Ok), (6, Health::Fail)]
        {
            assert_eq!(judged(minutes).health, expected, "{minutes}");
        }
        assert!(judged(6 * 60 - 2).next.contains("Europe/Madrid"), "{:?}", judged(6 * 60 - 2));
        assert!(judged(5 * 60 - 2).next.contains("UTC"));
        assert_eq!(time(&[], &configured, now).health, Health::Skipped);
    }

    #[test]
    fn a_flag_that_is_the_same_on_all_rows_is_named() {
        let rows = |of: [Direction; 6]| of.map(|direction| row(direction, 1));
        assert_eq!(direction(&rows([Outbound; 6])).unwrap().health, Health::Warn);
        assert_eq!(direction(&rows([Unknown; 6])).unwrap().health, Health::Warn);
        assert_eq!(
            direction(&rows([Inbound, Outbound, Outbound, Outbound, Outbound, Outbound])).unwrap().health,
            Health::Ok
        );
        assert_eq!(direction(&rows([Outbound; 6])[..4]), None, "too few");
    }
}
