//! This machine: clock, disk, open files, and what the configuration warns of.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Resource, getrlimit};
use url::Url;

use super::check::{Check, Time, blocking};
use super::probe::{self, ProbeRequest};
use crate::config::{Config, StoreUrl};

/// Differences of clocks that are worth a look, and that are too large.
const CLOCK_WARN_MS: i64 = 30_000;
const CLOCK_FAIL_MS: i64 = 5 * 60_000;
/// Free room of the store's disk, in bytes.
const DISK_WARN: u64 = 1024 * 1024 * 1024;
const DISK_FAIL: u64 = 100 * 1024 * 1024;
/// Syncs that are measured, and medians.
const SYNCS: usize = 20;
const SYNC_WARN: Duration = Duration::from_millis(10);
const SYNC_FAIL: Duration = Duration::from_millis(100);
/// Each connection of a caller or to a far side takes one.
const OPEN_FILES: u64 = 1024;

pub(super) async fn section(config: &Config, time: Time) -> Vec<Check> {
    let mut found = vec![configuration(config)];
    found.extend(
        config.warnings.iter().map(|warning| {
            Check::warn("configuration", warning.clone(), "as it says; `bridge check` shows all of them")
        }),
    );
    found.push(open_files());
    match &config.store.url {
        StoreUrl::Sqlite(file) => {
            let folder =
                file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(".".into(), Path::to_owned);
            let (of_room, of_sync) = (folder.clone(), folder);
            let next = "the disk does not answer: look at it, and at what else uses it";
            let room = time.run("disk", next, blocking("disk", move || disk(&of_room))).await;
            found.push(room.unwrap_or_else(|check| check));
            let synced = time.run("sync", next, blocking("sync", move || sync(&of_sync))).await;
            found.push(synced.unwrap_or_else(|check| check));
        }
        StoreUrl::Postgres(_) => found.push(Check::skipped("disk", "the store is on a database server")),
    }
    found.extend(clocks(config, time).await);
    found
}

fn configuration(config: &Config) -> Check {
    Check::ok("configuration", format!("{} channel(s), {} warning(s)", config.channels.len(), config.warnings.len()))
}

fn open_files() -> Check {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if hard < OPEN_FILES {
        let next = "raise it (ulimit -n, LimitNOFILE): the bridge divides it between callers and far sides";
        return Check::warn("open_files", format!("at most {hard} for a process"), next);
    }
    Check::ok("open_files", format!("at most {hard} for a process"))
}

fn disk(folder: &Path) -> Check {
    let shown = folder.display();
    let room = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(_) if !folder.exists() => return Check::skipped("disk", format!("there is no folder {shown} yet")),
        Err(error) => return Check::skipped("disk", format!("{shown}: {error}")),
    };
    let seen = format!("{} MiB free at {shown}", room / 1024 / 1024);
    let next = "free some: on a full disk /message answers 503 and nothing new is taken";
    if room < DISK_FAIL {
        Check::fail("disk", seen, next)
    } else if room < DISK_WARN {
        Check::warn("disk", seen, next)
    } else {
        Check::ok("disk", seen)
    }
}

/// Removes a file when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn sync(folder: &Path) -> Check {
    if !folder.exists() {
        return Check::skipped("sync", format!("there is no folder {} yet", folder.display()));
    }
    let file = Scratch(folder.join(format!(".doctor-{}", std::process::id())));
    match measure(&file.0) {
        Ok(median) => {
            let seen =
                format!("a commit to this disk takes {:.1} ms (median of {SYNCS})", median.as_secs_f64() * 1000.0);
            let next = "messages are answered after their commit: use a faster disk, or one that nobody else writes to";
            match median {
                _ if median >= SYNC_FAIL => Check::fail("sync", seen, next),
                _ if median >= SYNC_WARN => Check::warn("sync", seen, next),
                _ => Check::ok("sync", seen),
            }
        }
        Err(error) => Check::fail(
            "sync",
            format!("nothing can be written to {}: {error}", folder.display()),
            "free some room or let this user write there: the bridge answers 503 while its store cannot be written",
        ),
    }
}

/// Returns the median time of a write with its sync.
fn measure(file: &Path) -> std::io::Result<Duration> {
    let mut scratch = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        scratch.write_all(&[0; 4096])?;
        scratch.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took[SYNCS / 2])
}

/// Compares this machine's clock with those of both platforms.
async fn clocks(config: &Config, time: Time) -> Vec<Check> {
    let mut found = Vec::new();
    let Some(any) = config.channels.values().next() else { return found };
    let webhook = Url::parse(any.bonychat.webhook_url.trim()).ok();
    let afilnet = (&any.afilnet.url, &any.afilnet.ca);
    for (url, ca) in [Some(afilnet), webhook.as_ref().map(|url| (url, &any.bonychat.ca))].into_iter().flatten() {
        let origin = probe::origin(url);
        let host = origin.host_str().unwrap_or_default().to_owned();
        let Some(limit) = time.next() else {
            found.push(Time::over("clock"));
            continue;
        };
        let asked = match probe::client(limit, ca) {
            Ok(client) => probe::call(&client, Method::HEAD, &origin, ProbeRequest::default()).await,
            Err(error) => Err(error.to_string()),
        };
        found.push(match asked.map(|answer| answer.ahead_ms) {
            Ok(Some(ahead_ms)) => clock(&host, ahead_ms),
            Ok(None) => Check::skipped("clock", format!("{host} does not tell its time")),
            Err(_) => Check::skipped("clock", format!("{host} cannot be asked")),
        });
    }
    found
}

fn clock(host: &str, ahead_ms: i64) -> Check {
    let seconds = ahead_ms.saturating_abs() / 1000;
    let way = if ahead_ms > 0 { "behind" } else { "ahead of" };
    let seen = format!("this machine is {seconds} s {way} {host}");
    let next = "set it by NTP (`timedatectl set-ntp true`): certificates and times of messages depend on it";
    match ahead_ms.saturating_abs() {
        CLOCK_FAIL_MS.. => Check::fail("clock", seen, next),
        CLOCK_WARN_MS.. => Check::warn("clock", seen, next),
        _ => Check::ok("clock", format!("within {} s of {host}", seconds + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Health;

    #[test]
    fn a_clock_a_disk_and_a_sync_are_judged_by_their_bounds() {
        for (ahead_ms, expected) in [
            (0, Health::Ok),
            (-29_999, Health::Ok),
            (30_000, Health::Warn),
            (-299_999, Health::Warn),
            (300_000, Health::Fail),
        ] {
            assert_eq!(clock("h.test", ahead_ms).health, expected, "{ahead_ms}");
        }
        assert!(clock("h.test", 60_000).seen.contains("60 s behind h.test"));
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(sync(folder.path()).health, Health::Skipped);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing there");
        assert_eq!(sync(&folder.path().join("none")).health, Health::Skipped);
        assert_eq!(disk(&folder.path().join("none")).health, Health::Skipped);
    }
}
