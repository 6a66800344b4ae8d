//! Why a call to AnnA brought nothing, in the classes of anna.md section 5. No text of these holds a secret or a
//! contact.

use std::borrow::Cow;
use std::time::Duration;

use crate::telemetry::trouble;

/// Why a call to AnnA brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnnaError {
    /// `success:false`: about this one question.
    #[error("AnnA refused it: {message}")]
    Api {
        /// AnnA's words, without what is private.
        message: String,
        /// They name a reason that is not an unknown user: somebody closed this one on purpose, or the call is not
        /// allowed.
        other_reason: bool,
        /// With an HTTP status of the server's own failures.
        server: bool,
    },
    /// The login or its token is not accepted.
    #[error("AnnA does not accept the login ({0}): check anna.company_hash, anna.user and anna.password")]
    Auth(String),
    /// AnnA takes no calls for now.
    #[error("AnnA takes no more calls for now")]
    Busy {
        /// The wait that `Retry-After` asks for.
        asked: Option<Duration>,
    },
    /// What answers does not speak AnnA's API.
    #[error("what answers is not AnnA's API, or is out of order ({0}): check anna.base_url")]
    Protocol(&'static str),
    /// No answer.
    #[error("AnnA could not be asked ({0}): check anna.base_url, and this machine's DNS and firewall")]
    Transport(Cow<'static, str>),
    /// Not asked: it has failed too often just before.
    #[error("AnnA is not asked for a while, since it has failed several times in a row")]
    Open,
}

impl AnnaError {
    /// Its class as a word, for metrics and the log.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Auth(_) => "auth",
            Self::Busy { .. } => "busy",
            Self::Protocol(_) => "protocol",
            Self::Transport(_) => "transport",
            Self::Open => "open",
        }
    }
}

/// Returns the error of a call that `host` did not answer.
pub(super) fn no_response(host: &str, error: &reqwest::Error) -> AnnaError {
    AnnaError::Transport(match error {
        error if error.is_connect() => format!("{host}: {}", trouble::cause(host, error, "anna.ca_file")).into(),
        error if error.is_timeout() => "no answer in time".into(),
        _ => "the connection broke off".into(),
    })
}
