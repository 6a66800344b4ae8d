//! `bridge config`: prints the files that come with the bridge: its default configuration, Prometheus' rules, Grafana's
//! board; or the settings in force.

use std::fmt::Write as _;

use crate::config::Config;
use crate::ops::settings::settings;
use crate::telemetry::{harmless, harmless_json};

const PROMETHEUS_RULES: &str = include_str!("../../config/prometheus/bridge.rules.yml");
const PROMETHEUS_SCRAPE: &str = include_str!("../../config/prometheus/scrape.yml");
const GRAFANA: &str = include_str!("../../config/grafana/bridge.json");

/// Which file; the default configuration where none is named.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches that exclude each other, and one beside them")]
pub(super) struct ConfigArgs {
    /// Prometheus' alerts instead
    #[arg(long, group = "which")]
    prometheus_rules: bool,
    /// An example of how Prometheus reads the bridge instead
    #[arg(long, group = "which")]
    prometheus_scrape: bool,
    /// Grafana's board instead
    #[arg(long, group = "which")]
    grafana: bool,
    /// The settings in force instead, with where each comes from: default, file or environment; of secrets their length
    #[arg(long, group = "which")]
    pub(super) effective: bool,
    /// With --effective: JSON, one object a line
    #[arg(long, requires = "effective")]
    json: bool,
}

/// Returns the file.
pub(super) fn file(args: &ConfigArgs) -> &'static str {
    if args.prometheus_rules {
        PROMETHEUS_RULES
    } else if args.prometheus_scrape {
        PROMETHEUS_SCRAPE
    } else if args.grafana {
        GRAFANA
    } else {
        Config::DEFAULT_TOML
    }
}

/// Returns the settings in force, one a line: key, value, source.
pub(super) fn effective(args: &ConfigArgs, config: &Config) -> anyhow::Result<String> {
    let mut out = String::new();
    for setting in settings(config) {
        if args.json {
            let _ = writeln!(out, "{}", harmless_json(&serde_json::to_string(&setting)?));
        } else {
            let [value, source] = [setting.value, setting.source.as_str()].map(harmless);
            let _ = writeln!(out, "{}\t{value}\t{source}", setting.key);
        }
    }
    Ok(out)
}
