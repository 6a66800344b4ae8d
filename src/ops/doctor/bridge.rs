//! The bridge on this machine: whether it runs, which version, and what it says itself.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::check::{Check, Time};
use super::probe::{self, ProbeRequest, ProbeResponse};
use crate::config::Config;
use crate::ops::local::on_this_machine;
use crate::telemetry::harmless;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The response of its admin listener.
pub(super) struct Admin<'a> {
    address: SocketAddr,
    token: Option<&'a str>,
    client: reqwest::Client,
}

impl<'a> Admin<'a> {
    pub(super) fn new(config: &'a Config, limit: Duration) -> Result<Self, String> {
        let token = config.admin.token.as_ref().map(ExposeSecret::expose_secret);
        let client = probe::client(limit, &[]).map_err(|error| error.to_string())?;
        Ok(Self { address: on_this_machine(config.admin.listen), token, client })
    }

    async fn get(&self, path: &str) -> Result<ProbeResponse, String> {
        let url = local(self.address, path)?;
        probe::call(&self.client, Method::GET, &url, ProbeRequest { bearer: self.token, json: None }).await
    }

    /// Returns the sum of the series of a metric that have this label.
    pub(super) async fn sum(&self, metric: &str, label: &str) -> Option<f64> {
        let answer = self.get("/metrics").await.ok().filter(|answer| answer.status == StatusCode::OK)?;
        let of = |line: &str| {
            let (labels, value) = line.strip_prefix(metric)?.strip_prefix('{')?.rsplit_once("} ")?;
            labels.contains(label).then(|| value.parse::<f64>().ok())?
        };
        Some(answer.body.lines().filter_map(of).sum())
    }
}

fn local(address: SocketAddr, path: &str) -> Result<Url, String> {
    Url::parse(&format!("http://{address}{path}")).map_err(|error| error.to_string())
}

pub(super) async fn section(config: &Config, time: Time) -> Vec<Check> {
    let limit = time.each();
    let client = match probe::client(limit, &[]) {
        Ok(client) => client,
        Err(error) => return vec![Check::fail("runs", error.to_string(), "report it")],
    };
    let address = on_this_machine(config.server.listen);
    let ask = async |path: &str| match local(address, path) {
        Ok(url) => probe::call(&client, Method::GET, &url, ProbeRequest::default()).await,
        Err(error) => Err(error),
    };
    match ask("/healthz").await {
        Ok(answer) if answer.status == StatusCode::OK => {}
        Ok(answer) => {
            let seen = format!("something else answers on {address}: HTTP {}", answer.status.as_u16());
            return vec![Check::fail("runs", seen, "free that address, or set server.listen to another one")];
        }
        // A bridge that hangs takes connections all the same.
        Err(cause) => {
            // So does one whose queue of connections is full: a connection that is not refused has a listener.
            if let Ok(Err(error)) = timeout(time.next().unwrap_or_default(), TcpStream::connect(address)).await
                && error.kind() == ErrorKind::ConnectionRefused
            {
                return vec![Check::skipped("runs", format!("nobody listens on {address}: it does not run here"))];
            }
            let seen = format!("{address} takes connections, and /healthz has no answer: {cause}");
            let next = "if that is the bridge, it hangs: see its log, and restart it; otherwise free that address, or set \
                        server.listen to another one";
            return vec![Check::fail("runs", seen, next)];
        }
    }
    let mut found = vec![Check::ok("runs", format!("on {address}"))];
    let answer = match time.run("ready", "see its log", ask("/readyz")).await {
        Ok(answer) => answer,
        Err(check) => {
            found.push(check);
            return found;
        }
    };
    found.push(match answer {
        Ok(answer) if answer.status == StatusCode::OK => Check::ok("ready", "it takes messages"),
        Ok(answer) => Check::fail("ready", harmless(answer.body.trim()), "see its log; it goes on by itself"),
        Err(cause) => Check::fail("ready", cause, "see its log"),
    });
    found.extend(time.within("delivers", "see its log", admin(config, limit)).await);
    found
}

async fn admin(config: &Config, limit: Duration) -> Vec<Check> {
    let admin = match Admin::new(config, limit) {
        Ok(admin) => admin,
        Err(error) => return vec![Check::fail("delivers", error, "report it")],
    };
    let mut found = Vec::new();
    match admin.get("/deliverz").await {
        Ok(answer) if matches!(answer.status.as_u16(), 401 | 403 | 429) => {
            let seen = format!("its admin listener refuses us: HTTP {}", answer.status.as_u16());
            found.push(Check::fail(
                "delivers",
                seen,
                "it runs with another admin.token: restart it, or set the same one here",
            ));
        }
        Ok(answer) if matches!(answer.status.as_u16(), 200 | 503) => found.extend(delivers(&answer)),
        Ok(answer) => {
            let seen = format!("its admin listener answers HTTP {} to /deliverz", answer.status.as_u16());
            found.push(Check::warn("delivers", seen, "another version runs: restart it"));
        }
        Err(cause) => {
            let next = "is admin.listen the same there? Its log tells whether that address was taken";
            found.push(Check::warn("delivers", format!("its admin listener cannot be asked: {cause}"), next));
        }
    }
    if let Ok(answer) = admin.get("/metrics").await
        && answer.status == StatusCode::OK
    {
        found.push(version(&answer.body));
        found.extend(configuration(&answer.body, &config.digest()));
    }
    found
}

/// Returns a check for each line of `/deliverz`: what is under its first heading fails, short pauses and what waits for a
/// person warn.
fn delivers(answer: &ProbeResponse) -> Vec<Check> {
    let (mut found, mut headings) = (Vec::new(), 0_u32);
    for line in answer.body.lines() {
        match line.strip_prefix("- ").map(harmless) {
            None => headings += 1,
            Some(seen) if headings == 1 => found.push(Check::fail("delivers", seen, "as it says")),
            Some(seen) => found.push(Check::warn("delivers", seen, "as it says")),
        }
    }
    if found.is_empty() {
        found.push(Check::ok("delivers", harmless(answer.body.trim())));
    }
    found
}

/// Compares the configuration in force with the one that is read here; an older version does not tell it.
fn configuration(metrics: &str, here: &str) -> Option<Check> {
    let digest = |line: &str| {
        let (digest, value) = line.strip_prefix("bridge_configuration_info{digest=\"")?.split_once("\"} ")?;
        value.starts_with('1').then(|| digest.to_owned())
    };
    let in_force = metrics.lines().find_map(digest)?;
    Some(if in_force == here {
        Check::ok("same_settings", "it runs with the settings that are read here")
    } else {
        let next = "`bridge config --effective` shows those here; if the file was changed, reload it (SIGHUP) or restart the bridge. \
                    If its environment is another one, run the doctor with that";
        Check::warn("same_settings", "it runs with other settings than those that are read here", next)
    })
}

/// Compares the version that runs with this one.
fn version(metrics: &str) -> Check {
    let rest = metrics.lines().find_map(|line| line.strip_prefix("bridge_build_info{version=\""));
    match rest.and_then(|rest| rest.split('"').next()) {
        Some(runs) if runs == VERSION => Check::ok("version", VERSION),
        runs => {
            let runs = runs.map_or_else(|| "an older version".to_owned(), harmless);
            Check::warn("version", format!("{runs} runs, and this is {VERSION}"), "restart the bridge with this one")
        }
    }
}
