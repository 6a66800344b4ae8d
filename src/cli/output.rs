//! What a command prints, and how it fails.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::Problems;
use crate::telemetry::harmless;

/// Why a command did not do its work.
pub(super) enum Failure {
    /// Exit code 2.
    Configuration(Problems),
    /// Exit code 2: valid, but cannot be served by this version.
    Unservable(anyhow::Error),
    /// Exit code 2.
    Usage(String),
    /// Exit code 1.
    Work(anyhow::Error),
    /// Exit code 1: what was printed names it.
    Found,
    /// Exit code 3: the far side could not be reached, or gave no valid response.
    Remote(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Work(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl Failure {
    /// Returns the text for stderr, and the exit code.
    pub(super) fn report(self) -> (String, ExitCode) {
        match self {
            Self::Configuration(problems) => (format!("{problems}\n"), ExitCode::from(2)),
            Self::Unservable(error) => {
                let why = harmless(&format!("{error:#}"));
                (format!("the configuration cannot be served:\n  {why}\n"), ExitCode::from(2))
            }
            Self::Usage(why) => (format!("bridge: {why}\n"), ExitCode::from(2)),
            Self::Work(error) => (format!("bridge: {}\n", harmless(&format!("{error:#}"))), ExitCode::from(1)),
            Self::Found => (String::new(), ExitCode::from(1)),
            Self::Remote(error) => (format!("bridge: {}\n", harmless(&format!("{error:#}"))), ExitCode::from(3)),
        }
    }
}

/// Prints data to stdout; a reader that has gone away is not a failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
