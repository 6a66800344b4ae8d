//! `bridge config`: prints the files that come with the bridge: its default configuration, Prometheus' rules, Grafana's
//! board.

use crate::config::Config;

const PROMETHEUS_RULES: &str = include_str!("../../config/prometheus/bridge.rules.yml");
const PROMETHEUS_SCRAPE: &str = include_str!("../../config/prometheus/scrape.yml");
const GRAFANA: &str = include_str!("../../config/grafana/bridge.json");

/// Which file; the default configuration where none is named.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct ConfigArgs {
    /// Prometheus' alerts instead
    #[arg(long)]
    prometheus_rules: bool,
    /// An example of how Prometheus reads the bridge instead
    #[arg(long)]
    prometheus_scrape: bool,
    /// Grafana's board instead
    #[arg(long)]
    grafana: bool,
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
