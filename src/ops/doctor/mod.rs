//! `bridge doctor`: asks everything that a message depends on. Sends nothing to a customer: of Afilnet it reads the balance,
//! the channels and the conversations; BonyChat gets no event and no token.

mod afilnet;
mod bonychat;
mod bridge;
mod calls;
mod canaries;
pub(crate) mod capture;
mod certificate;
mod check;
mod machine;
mod outside;
mod probe;
mod store;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use url::Url;

use check::Time;
pub(crate) use check::{Check, Health};

use crate::config::Config;

/// A group of checks that run one after another; the groups run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Section {
    Machine,
    Store,
    Bridge,
    Afilnet,
    BonyChat,
    Outside,
}

impl Section {
    const ALL: [Self; 6] = [Self::Machine, Self::Store, Self::Bridge, Self::Afilnet, Self::BonyChat, Self::Outside];
    /// As they are written on the command line.
    pub(crate) const NAMES: [&str; 6] = ["machine", "store", "bridge", "afilnet", "bonychat", "outside"];

    /// Returns the one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|at| Self::ALL[at])
    }

    fn title(self) -> &'static str {
        match self {
            Self::Machine => "This machine",
            Self::Store => "Store",
            Self::Bridge => "Bridge",
            Self::Afilnet => "Afilnet",
            Self::BonyChat => "BonyChat",
            Self::Outside => "From outside",
        }
    }
}

/// The scope of the checks.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// `None`: everything.
    pub(crate) only: Option<Section>,
    /// Longest time of a check.
    pub(crate) limit: Duration,
    /// The bridge's public address.
    pub(crate) url: Option<Url>,
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    sections: Vec<SectionReport>,
    /// How long that took, in milliseconds.
    took_ms: u64,
    /// Calls that were made.
    calls_to_afilnet: u32,
    calls_to_bonychat: u32,
}

#[derive(Debug, Serialize)]
struct SectionReport {
    section: Section,
    checks: Vec<Check>,
}

/// Looks at everything in `scope`.
pub(crate) async fn examine(config: Config, scope: &Scope) -> Report {
    let (config, started, time) = (Arc::new(config), Instant::now(), Time::new(scope.limit));
    let (afilnet, bonychat) = (Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
    let wanted = |section: Section| scope.only.is_none_or(|only| only == section);
    let of = async |section: Section| -> Option<SectionReport> {
        if !wanted(section) {
            return None;
        }
        let checks = match (section, &scope.url) {
            (Section::Machine, _) => machine::section(&config, time).await,
            (Section::Store, _) => store::section(&config, time).await,
            (Section::Bridge, _) => bridge::section(&config, time).await,
            (Section::Afilnet, _) => afilnet::section(&config, time, &afilnet).await,
            (Section::BonyChat, _) => bonychat::section(&config, time, &bonychat).await,
            (Section::Outside, Some(url)) => outside::section(&config, url, time).await,
            (Section::Outside, None) => vec![Check::skipped("public", "name the bridge's public address with --url")],
        };
        Some(SectionReport { section, checks })
    };
    let (one, two, three, four, five, six) = tokio::join!(
        of(Section::Machine),
        of(Section::Store),
        of(Section::Bridge),
        of(Section::Afilnet),
        of(Section::BonyChat),
        of(Section::Outside)
    );
    let sections = [one, two, three, four, five, six].into_iter().flatten().collect();
    let (calls_to_afilnet, calls_to_bonychat) = (afilnet.load(Ordering::Relaxed), bonychat.load(Ordering::Relaxed));
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Report { sections, took_ms, calls_to_afilnet, calls_to_bonychat }
}

impl Report {
    /// Returns the number of checks of this health.
    pub(crate) fn count(&self, health: Health) -> usize {
        self.sections.iter().flat_map(|found| &found.checks).filter(|check| check.health == health).count()
    }

    /// Returns it for people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for SectionReport { section, checks } in &self.sections {
            let _ = writeln!(out, "{}", section.title());
            for Check { id, subject, health, seen, next } in checks {
                let about = subject.as_ref().map_or_else(String::new, |subject| format!(" {subject}:"));
                let _ = write!(out, "  {:<8}{id:<16}{about} {seen}", health.word());
                let _ = if next.is_empty() { writeln!(out) } else { writeln!(out, ". Next: {next}") };
            }
        }
        let _ = writeln!(
            out,
            "{} ok, {} warning(s), {} failure(s), {} skipped, in {:.1} s. Nothing was sent to a customer. {} call(s) to Afilnet's API, {} to \
             BonyChat.",
            self.count(Health::Ok),
            self.count(Health::Warn),
            self.count(Health::Fail),
            self.count(Health::Skipped),
            Duration::from_millis(self.took_ms).as_secs_f64(),
            self.calls_to_afilnet,
            self.calls_to_bonychat
        );
        out
    }
}
