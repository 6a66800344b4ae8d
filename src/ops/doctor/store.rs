//! The store: whether it opens and is whole, and what waits in it.

use std::time::Duration;

use super::check::{Check, Time};
use crate::config::{Config, StoreUrl};
use crate::domain::Language;
use crate::domain::clock::{now_ms, since, wall_ms};
use crate::domain::matching::AccountTraits;
use crate::domain::span::span;
use crate::store::{DataCheck, Examination, QueueDepth, Store, open};
use crate::telemetry::harmless;

/// The oldest server that the bridge runs on: 13.
const OLDEST_SERVER: i64 = 130_000;
/// Connections that a process of the bridge may take.
const CONNECTIONS: i64 = 10;
/// Clocks that are further apart are worth a look.
const APART_MS: i64 = 30_000;
/// A question to the database that takes longer slows each message down.
const SLOW_TRIP: Duration = Duration::from_millis(20);
/// A message that waits longer is worth a look.
const LONG: Duration = Duration::from_mins(5);

pub(super) async fn section(config: &Config, time: Time) -> Vec<Check> {
    if let StoreUrl::Sqlite(file) = &config.store.url
        && !file.exists()
    {
        let why = format!("there is no store at {} yet: `bridge serve` makes it", file.display());
        return vec![Check::skipped("opens", why)];
    }
    let opened = time.run("opens", "is the database reachable?", open::visitor(&config.store.url)).await;
    let store = match opened {
        Err(check) => return vec![check],
        Ok(Ok(store)) => store,
        Ok(Err(error)) => {
            return vec![Check::fail("opens", harmless(&format!("{error:#}")), "as it says; nothing was changed")];
        }
    };
    let mut found = vec![Check::ok("opens", "beside the bridge or without one")];
    let (store_of, next) = (store.as_ref(), "look whether its disk or its server is overloaded");
    let limit = time.next().unwrap_or_else(|| time.each());
    found.extend(time.within("engine", next, engine(store_of, limit)).await);
    found.extend(time.within("waiting", next, waits(config, store_of)).await);
    found.extend(time.within("paused", next, paused(config, store_of)).await);
    found.extend(time.within("learned", next, learned(config, store_of)).await);
    store.close().await;
    found
}

/// Leaves a fifth of `limit` for what is not the check of the data.
async fn engine(store: &dyn Store, limit: Duration) -> Vec<Check> {
    let within = limit / 5 * 4;
    let Examination { engine, data, server } = match store.examine(within).await {
        Ok(examined) => examined,
        Err(error) => return vec![Check::fail("engine", error.to_string(), "see the log of the bridge")],
    };
    let mut found = vec![of_data(&engine, &data, within)];
    let Some(server) = server else { return found };
    if server.version < OLDEST_SERVER {
        found.push(Check::fail(
            "server",
            format!("version {}", server.version),
            "the bridge needs PostgreSQL 13 or newer",
        ));
    }
    if server.encoding != "UTF8" {
        let seen = format!("the database is encoded in {}", harmless(&server.encoding));
        found.push(Check::fail(
            "encoding",
            seen,
            "create it with ENCODING 'UTF8': other encodings lose what people write",
        ));
    }
    found.push(if server.connections_left < CONNECTIONS {
        let seen = format!("{} connections left", server.connections_left);
        Check::warn("connections", seen, "raise max_connections or end other programs' connections")
    } else {
        Check::ok("connections", format!("{} left", server.connections_left))
    });
    let took_ms = server.round_trip.as_secs_f64() * 1000.0;
    let seen = format!(
        "a question and its answer take {took_ms:.1} ms{}",
        if server.pooler { ", through a pooler" } else { "" }
    );
    found.push(if server.round_trip > SLOW_TRIP {
        Check::warn("round_trip", seen, "each message takes several: let the database be nearer to the bridge")
    } else {
        Check::ok("round_trip", seen)
    });
    found.push(if server.unverified {
        let next = "on a network that others use, add sslmode=verify-full to store.url (and sslrootcert=FILE, where its \
                    certificate is of a CA of your own)";
        Check::warn("identity", "the server is not asked to prove its identity", next)
    } else {
        Check::ok("identity", "the server is on this machine, or proves its identity by its certificate")
    });
    let apart_ms = server.clock_ms.saturating_sub(wall_ms());
    found.push(if apart_ms.saturating_abs() > APART_MS {
        let seen = format!("the database's clock is {} s apart from this machine's", apart_ms / 1000);
        Check::warn("database_clock", seen, "set both by NTP")
    } else {
        Check::ok("database_clock", "as this machine's")
    });
    found
}

fn of_data(engine: &str, data: &DataCheck, within: Duration) -> Check {
    match data {
        DataCheck::Sound => Check::ok("engine", engine),
        DataCheck::Damaged(damage) => {
            let next = "stop the bridge, keep the file as it is, and start from a backup (docs/deployment.md)";
            Check::fail("engine", format!("{engine}: its data are damaged: {}", harmless(damage)), next)
        }
        DataCheck::NotFinished => {
            let limit = within.as_secs_f64();
            let why = format!("{engine}: its own check of the data was not finished within {limit} s: raise --timeout");
            Check::skipped("engine", why)
        }
    }
}

/// Returns a warning for each pause by hand that lasts.
async fn paused(config: &Config, store: &dyn Store) -> Vec<Check> {
    match store.operator_pauses().await {
        Ok(lasting) => lasting
            .iter()
            .map(|pause| {
                let seen = harmless(&pause.in_words(&config.time_zone_of(&pause.channel)));
                Check::warn("paused", seen, "go on with it once its reason is gone")
            })
            .collect(),
        Err(error) => vec![Check::fail("paused", error.to_string(), "see the log of the bridge")],
    }
}

/// What BonyChat took last of each channel, and what the channel's account is known to show of sends.
async fn learned(config: &Config, store: &dyn Store) -> Vec<Check> {
    let failed =
        |error: crate::store::StoreError| vec![Check::fail("learned", error.to_string(), "see the log of the bridge")];
    let mut activity = match store.operators().activity().await {
        Ok(activity) => activity,
        Err(error) => return failed(error),
    };
    let mut found = Vec::new();
    for channel in config.channels.values() {
        let subject = format!("channel `{}`", channel.name);
        let traits = match store.account_traits(&channel.name).await {
            Ok(traits) => traits,
            Err(error) => return failed(error),
        };
        let published_ms = activity.remove(channel.name.as_str()).unwrap_or_default().published_ms;
        found.push(last_event(published_ms).of(&subject));
        found.push(shown(&traits, &config.outbound.look_after).of(&subject));
    }
    found
}

/// BonyChat takes an event with the right token alone.
fn last_event(published_ms: Option<i64>) -> Check {
    let Some(then_ms) = published_ms else {
        let why = "BonyChat has taken none of this channel yet: whether webhook_url and its token are right shows at the first";
        return Check::skipped("last_event", why);
    };
    let ago = span(since(then_ms, now_ms()), Language::En);
    Check::ok("last_event", format!("BonyChat took one {ago} ago: webhook_url and its token were right then"))
}

/// Checks whether sends without a response can be looked up, and late enough.
fn shown(traits: &AccountTraits, look_after: &[Duration]) -> Check {
    if !traits.shows_texts && !traits.shows_files {
        let why = "no message of the bridge was seen among the account's rows yet: whether it shows them is not known";
        return Check::skipped("shows_sends", why);
    }
    let of = if traits.shows_texts && traits.shows_files {
        "texts and files"
    } else if traits.shows_texts {
        "texts"
    } else {
        "files"
    };
    let lag = Duration::from_millis(u64::try_from(traits.settle_lag_ms).unwrap_or(0));
    let last: Duration = look_after.iter().sum(); // each is the wait since the look before
    let seen = format!("the account shows the bridge's {of}, at the latest after {:.1} s", lag.as_secs_f64());
    if lag >= last {
        let next = format!(
            "what is sent without an answer is looked for {} s after it, at the latest: let outbound.look_after go on for longer",
            last.as_secs()
        );
        return Check::warn("shows_sends", seen, next);
    }
    Check::ok("shows_sends", seen)
}

async fn waits(config: &Config, store: &dyn Store) -> Vec<Check> {
    let failed =
        |error: &dyn std::error::Error| vec![Check::fail("waiting", error.to_string(), "see the log of the bridge")];
    let (depths, waiting) = match (store.depths().await, store.waiting().await) {
        (Ok(depths), Ok(waiting)) => (depths, waiting),
        (Err(error), _) | (_, Err(error)) => return failed(&error),
    };
    let mut found: Vec<Check> = depths.iter().flat_map(of_channel).collect();
    for there in waiting.iter().filter(|there| config.channels.keys().all(|name| name.as_str() != there.channel)) {
        let name = harmless(&there.channel);
        let seen = format!(
            "{} message(s) and events of {} conversation(s) wait for it, and it is not configured",
            there.outbound, there.events
        );
        let next =
            format!("configure it again under this name, or see them with `bridge messages list --channel {name}`");
        found.push(Check::fail("not_configured", seen, next).of(&format!("channel `{name}`")));
    }
    if found.is_empty() {
        found.push(Check::ok("waiting", "nothing waits, and nothing waits for a person"));
    }
    found
}

fn of_channel(depth: &QueueDepth) -> Vec<Check> {
    let subject = format!("channel `{}`", harmless(&depth.channel));
    let mut found = Vec::new();
    let age = depth.oldest_ms.map_or(Duration::ZERO, |then_ms| since(then_ms, now_ms()));
    if depth.outbound > 0 {
        let seen = format!("{} message(s) wait for Afilnet, the oldest for {} s", depth.outbound, age.as_secs());
        found.push(if age > LONG {
            Check::warn("waiting", seen, "is a bridge running, and is anything paused? See the section bridge")
        } else {
            Check::ok("waiting", seen)
        });
    }
    if depth.events > 0 {
        found.push(Check::ok("events", format!("{} event(s) wait for BonyChat", depth.events)));
    }
    if depth.unconfirmed > 0 {
        let seen = format!("{} message(s) may or may not have reached the customer", depth.unconfirmed);
        let next =
            "`bridge messages list --state unconfirmed`, then `bridge messages settle`, or `--as noted` to leave it so";
        found.push(Check::warn("unconfirmed", seen, next));
    }
    if depth.dead_events > 0 {
        let seen = format!("{} event(s) did not reach BonyChat and were given up", depth.dead_events);
        let next = "`bridge messages list --state dead`, then `bridge messages retry` or `discard`";
        found.push(Check::warn("dead_events", seen, next));
    }
    found.into_iter().map(|check| check.of(&subject)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Health;

    #[test]
    fn sends_that_show_later_than_they_are_looked_for_are_named() {
        let looks = [Duration::from_secs(15), Duration::from_secs(45)];
        let after = |settle_lag_ms| AccountTraits { shows_texts: true, settle_lag_ms, ..AccountTraits::default() };
        assert_eq!(shown(&AccountTraits::default(), &looks).health, Health::Skipped);
        let soon = shown(&after(59_000), &looks);
        assert!(
            soon.health == Health::Ok && soon.seen.contains("bridge's texts, at the latest after 59.0 s"),
            "{soon:?}"
        );
        let late = shown(&after(60_000), &looks);
        assert!(late.health == Health::Warn && late.next.contains("60 s after it"), "{late:?}");
    }

    #[test]
    fn a_check_of_the_data_that_was_ended_is_skipped_and_damage_fails() {
        for (data, health, seen) in [
            (DataCheck::Sound, Health::Ok, "SQLite 3"),
            (DataCheck::Damaged("page 7".into()), Health::Fail, "damaged: page 7"),
            (DataCheck::NotFinished, Health::Skipped, "not finished within 8 s: raise --timeout"),
        ] {
            let check = of_data("SQLite 3", &data, Duration::from_secs(8));
            assert!(check.health == health && check.seen.contains(seen), "{check:?}");
        }
    }
}
