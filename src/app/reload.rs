//! SIGHUP: the configuration is read again and the loops are restarted with it. The listeners and the store stay open
//! meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::{App, clients, report, verify};
use crate::config::{Config, Problems};
use crate::domain::ChannelName;
use crate::lifecycle::TaskGroup;
use crate::telemetry::metrics;
use crate::{afilnet, http, work};

/// Wait before starting the loops is retried after an error of the store.
const AGAIN: Duration = Duration::from_secs(1);

impl App {
    /// Applies what `load` reads if it is valid; otherwise nothing changes. May be dropped at any moment before a stop.
    pub(super) async fn reload(&mut self, load: impl Fn() -> Result<Config, Problems>) {
        let read = load().map_err(|problems| problems.to_string());
        let read = read.and_then(|config| match verify(&config) {
            Ok(()) => Ok(config),
            Err(error) => Err(format!("{error:#}")),
        });
        let config = match read {
            Ok(config) => config,
            Err(why) => {
                tracing::error!(
                    signal = "SIGHUP",
                    "nothing was reloaded, and the bridge goes on as before: {why}\nCorrect it, ask `bridge check`, then send \
                     SIGHUP again"
                );
                return;
            }
        };
        for key in self.config.fixed_at_start(&config) {
            tracing::warn!(signal = "SIGHUP", key, "{key} has changed: that takes a restart. The rest is reloaded");
        }
        tracing::info!(signal = "SIGHUP", "reloading: calls are taken, and what is in flight is waited for");
        self.tasks.stop();
        self.tasks.wait_all().await;
        self.tasks = TaskGroup::new();
        let _ = metrics::start(config.channels.keys(), afilnet::METHODS); // started already
        self.start_loops(&config).await;
        self.routes.exchange(http::router(&config, &self.store, &self.responses, &self.calls));
        let gone = |name: &&ChannelName| !config.channels.contains_key(*name);
        for name in self.config.channels.keys().filter(gone) {
            metrics::removed(name);
        }
        report(&config);
        tracing::info!(signal = "SIGHUP", channels = config.channels.len(), "reloaded");
        metrics::configuration(config.digest());
        self.live_config.send_replace(Arc::new(config.clone()));
        self.config = config;
    }

    /// Retries until it succeeds: the former loops have ended, so nothing is delivered meanwhile.
    async fn start_loops(&self, config: &Config) {
        let before = self.config.channels.keys().cloned().collect();
        let mut tries = 0_u32;
        loop {
            let started = async {
                work::start(config, &self.store, clients(config)?, &before, &self.tasks).await?;
                anyhow::Ok(())
            };
            match started.await {
                Ok(()) => return,
                Err(error) if tries == 0 => tracing::error!(
                    error = format!("{error:#}"),
                    "the channels cannot be taken over: messages are kept and wait; trying again"
                ),
                Err(_) => {}
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(AGAIN).await;
        }
    }
}
