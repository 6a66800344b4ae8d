//! The store: whether it opens and is whole, and what waits in it.

use std::time::Duration;

use super::check::{Check, within};
use crate::config::{Config, StoreUrl};
use crate::domain::clock::{now_ms, since, wall_ms};
use crate::store::{DataCheck, Examination, QueueDepth, Store, open};
use crate::telemetry::harmless;

/// The oldest server that the bridge runs on: 13.
const OLDEST_SERVER: i64 = 130_000;
/// Connections that a process of the bridge may take.
const CONNECTIONS: i64 = 10;
/// Clocks that are further apart are worth a look.
const APART_MS: i64 = 30_000;
/// A message that waits longer is worth a look.
const LONG: Duration = Duration::from_mins(5);

pub(super) async fn section(config: &Config, limit: Duration) -> Vec<Check> {
    if let StoreUrl::Sqlite(file) = &config.store.url
        && !file.exists()
    {
        let why = format!("there is no store at {} yet: `bridge serve` makes it", file.display());
        return vec![Check::skipped("opens", why)];
    }
    let Ok(opened) = tokio::time::timeout(limit, open::visitor(&config.store.url)).await else {
        return vec![Check::fail(
            "opens",
            format!("not within {} s", limit.as_secs_f64()),
            "is the database reachable?",
        )];
    };
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            return vec![Check::fail("opens", harmless(&format!("{error:#}")), "as it says; nothing was changed")];
        }
    };
    let mut found = vec![Check::ok("opens", "beside the bridge or without one")];
    found.extend(
        within(limit, "engine", "look whether its disk or its server is overloaded", engine(store.as_ref(), limit))
            .await,
    );
    found.extend(
        within(limit, "waiting", "look whether its disk or its server is overloaded", waits(config, store.as_ref()))
            .await,
    );
    found.extend(
        within(limit, "paused", "look whether its disk or its server is overloaded", paused(config, store.as_ref()))
            .await,
    );
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
        let seen = format!("{} message(s) wait for it, and it is not configured", there.outbound);
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
