//! The command line. Data goes to stdout, other text to stderr; every error says what to do next. Exit codes: 0 ok, 1
//! failed, 2 wrong usage or configuration, 3 (of `anna`) AnnA could not be reached.

mod anna;
mod audit;
mod bulk;
mod channels;
mod config;
mod doctor;
mod erase;
mod find;
mod health;
mod journey;
mod messages;
mod operator;
mod output;
mod overview;
mod page;
mod send;
mod store;
mod tail;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::app::{self, App};
use crate::bench;
use crate::config::{Config, Problems};
use crate::lifecycle::Signals;
use crate::sim;
use crate::telemetry;

use output::{Failure, print};

/// The bridge between BonyChat custom channels and Afilnet chat.
#[derive(Debug, Parser)]
#[command(name = "bridge", version, max_term_width = 120)]
struct Cli {
    /// Configuration file (TOML); every key can also be set as `BRIDGE__SECTION__KEY` in the environment
    #[arg(long, global = true, env = "BRIDGE_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve POST /message and carry messages both ways (default)
    Serve,
    /// Check the configuration and name every problem
    Check {
        /// Ask AnnA too whether it accepts the login
        #[arg(long)]
        live: bool,
    },
    /// Look at everything that messages depend on, and say what to do; sends nothing to a customer
    Doctor(doctor::DoctorArgs),
    /// List the chat channels that the configured Afilnet accounts have, or pause what the bridge does with one
    Channels {
        #[command(subcommand)]
        command: Option<channels::Command>,
    },
    /// Tell whether anything needs a person, and how each channel is; beside a running bridge or without one
    Overview(overview::OverviewArgs),
    /// Print the documented default configuration, the settings in force, or the files for Prometheus and Grafana
    Config(config::ConfigArgs),
    /// Print a link that signs in to the operators' page, once and within 60 seconds
    Page(page::PageArgs),
    /// Send one message through a running bridge on this machine
    Send(send::SendArgs),
    /// Ask AnnA by hand: prove the login, handle one user
    #[command(subcommand)]
    Anna(anna::Command),
    /// Look at messages, and retry or discard those that were given up
    #[command(subcommand)]
    Messages(messages::Command),
    /// Move a store to another engine
    #[command(subcommand)]
    Store(store::Command),
    /// Print the OpenAPI document of what the bridge serves (a running bridge has it at GET /openapi.json)
    Openapi {
        /// That of the admin listener's API (GET /api/v1/openapi.json there)
        #[arg(long)]
        admin: bool,
    },
    /// Ask a running bridge on this machine whether it lives (for a container's HEALTHCHECK)
    Health,
    /// Show the bridge at work between two simulated platforms; needs no account and no configuration
    Demo(sim::demo::DemoArgs),
    /// Serve a simulated Afilnet and a simulated BonyChat
    Simulate(Box<sim::SimulateArgs>),
    /// Measure durable accepts per second and their latency on this machine
    Bench(bench::BenchArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let serves = matches!(cli.command, None | Some(Command::Serve));
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(cli));
            // Blocking reads of the store may still run; they are not waited for.
            runtime.shutdown_timeout(std::time::Duration::from_millis(200));
            outcome
        }
        Err(error) => Err(anyhow::Error::new(error).context("cannot start the runtime").into()),
    };
    let (words, code) = match outcome {
        Ok(()) => (String::new(), ExitCode::SUCCESS),
        Err(failure) => failure.report(),
    };
    if serves {
        telemetry::end(&words); // its end never waits for a reader of the log
    } else {
        let _ = std::io::stderr().lock().write_all(words.as_bytes());
    }
    code
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let load = || Config::load(cli.config.as_deref(), std::env::vars().collect());
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(servable(load()?)?, load).await?,
        Command::Check { live } => check(&servable(load()?)?, live).await?,
        Command::Doctor(args) => doctor::run(args, load()?).await?,
        Command::Channels { command: None } => print(&channels::list(&load()?).await?)?,
        Command::Channels { command: Some(command) } => channels::run(command, &load()?).await?,
        Command::Overview(args) => overview::run(args, &load()?).await?,
        Command::Config(args) if args.effective => print(&config::effective(&args, &load()?)?)?,
        Command::Config(args) => print(config::file(&args))?,
        Command::Page(args) => page::run(args, &load()?)?,
        Command::Send(args) => send::run(args, &load()?).await?,
        Command::Anna(command) => print(&anna::run(command, &load()?).await?)?,
        Command::Messages(command) => messages::run(command, &load()?).await?,
        Command::Store(command) => store::run(command).await?,
        Command::Openapi { admin: false } => print(&app::openapi())?,
        Command::Openapi { admin: true } => print(&app::admin_openapi())?,
        // 1 whatever is wrong: container runtimes keep 2 for themselves.
        Command::Health => {
            let listen = Config::listen(cli.config.as_deref(), std::env::vars().collect());
            health::ask(listen.map_err(anyhow::Error::new)?)?;
        }
        Command::Demo(args) => sim::demo::run(args).await?,
        Command::Simulate(args) => sim::simulate(*args).await?,
        Command::Bench(args) => bench::run(args).await?,
    }
    Ok(())
}

/// Refuses in `check` what `serve` would refuse before it starts.
fn servable(config: Config) -> Result<Config, Failure> {
    app::verify(&config).map_err(Failure::Unservable)?;
    Ok(config)
}

/// `load` reads the configuration again, at a SIGHUP.
async fn serve(config: Config, load: impl Fn() -> Result<Config, Problems>) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    let signals = Signals::take().context("cannot listen to signals")?;
    app::report(&config);
    App::start(config).await?.run(signals, load).await
}

async fn check(config: &Config, live: bool) -> anyhow::Result<()> {
    let mut report = String::new();
    for line in config.summary() {
        report.push_str(&line);
        report.push('\n');
    }
    for warning in &config.warnings {
        let _ = writeln!(report, "warning: {warning}");
    }
    if live {
        report.push_str(&anna::proof(config).await);
    }
    report.push_str("The configuration is complete. Next: `bridge channels` asks Afilnet, `bridge serve` starts.\n");
    print(&report)
}
