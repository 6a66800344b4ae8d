//! Verdicts on attempts, and when to retry. Pure: time and random numbers are arguments.

use std::time::Duration;

use super::excerpt::Excerpt;

/// Why an attempt did not succeed. Codes are Afilnet's if there is one (afilnet.md section 4); the rest name what the
/// transport saw. Never holds text of a message, a contact or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection: DNS, refused, connect time-out, or TLS that failed before the certificate. Nothing was sent.
    Unreachable,
    /// The server's certificate is not valid. Nothing was sent.
    Certificate,
    /// Asked to slow down (HTTP 429).
    Busy,
    /// No response within the time limit, after the first byte was sent.
    TimedOut,
    /// The connection broke after the first byte was sent.
    ConnectionLost,
    /// A response with this HTTP status, without an envelope that explains it.
    Http(u16),
    /// A response that does not follow the contract: not JSON, no status, cut off, or above the size cap.
    NotUnderstood,
    /// The process ended while the attempt was under way.
    Interrupted,
    /// `MISSING_USER`, `MISSING_PASSWORD`, `INCORRECT_USER_PASSWORD`, HTTP 401: Afilnet does not accept the credentials.
    Credentials(String),
    /// HTTP 403, perhaps Afilnet's filter of addresses.
    Forbidden,
    /// `NO_CREDITS`.
    NoCredits,
    /// `MISSING_CLASS`, `MISSING_METHOD`, `INCORRECT_CLASS`, `INCORRECT_METHOD`, HTTP 404, a redirect: the wrong service.
    WrongService(String),
    /// `CHANNEL_NOT_FOUND`.
    ChannelNotFound,
    /// `CHAT_NOT_FOUND`.
    ChatNotFound,
    /// `MISSING_COMPULSORY_PARAM`.
    MissingParam,
    /// `INCORRECT_FILETYPE`.
    FileType,
    /// `INCORRECT_FILEURL`.
    FileUrl,
    /// `INCORRECT_THUMBURL`.
    ThumbUrl,
    /// `NO_ROUTE_AVAILABLE`.
    NoRoute,
    /// Too long for the transport that is configured (GET).
    TooLong,
    /// Any other code, verbatim, at most 60 characters.
    Other(String),
}

/// How much a fault stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This call only.
    Call,
    /// All sends of this Afilnet account, until a slow probe succeeds; reads continue.
    Sends,
    /// Everything of this channel, until a slow probe succeeds.
    Channel,
    /// Everything of this Afilnet account, until a slow probe succeeds.
    Account,
}

/// The language of texts for agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

impl Fault {
    /// Returns a stable code for the store, logs and metrics: the platform's own if there is one.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Unreachable => "unreachable".into(),
            Self::Certificate => "certificate".into(),
            Self::Busy => "busy".into(),
            Self::TimedOut => "timed_out".into(),
            Self::ConnectionLost => "connection_lost".into(),
            Self::Http(status) => format!("http_{status}"),
            Self::NotUnderstood => "not_understood".into(),
            Self::Interrupted => "interrupted".into(),
            Self::Credentials(code) | Self::WrongService(code) | Self::Other(code) => code.clone(),
            Self::Forbidden => "http_403".into(),
            Self::NoCredits => "NO_CREDITS".into(),
            Self::ChannelNotFound => "CHANNEL_NOT_FOUND".into(),
            Self::ChatNotFound => "CHAT_NOT_FOUND".into(),
            Self::MissingParam => "MISSING_COMPULSORY_PARAM".into(),
            Self::FileType => "INCORRECT_FILETYPE".into(),
            Self::FileUrl => "INCORRECT_FILEURL".into(),
            Self::ThumbUrl => "INCORRECT_THUMBURL".into(),
            Self::NoRoute => "NO_ROUTE_AVAILABLE".into(),
            Self::TooLong => "too_long".into(),
        }
    }

    /// Returns the fault of a code from [`Self::code`].
    pub(crate) fn from_code(code: &str) -> Self {
        let plain = [
            Self::Unreachable,
            Self::Certificate,
            Self::Busy,
            Self::TimedOut,
            Self::ConnectionLost,
            Self::NotUnderstood,
            Self::Interrupted,
            Self::Forbidden,
            Self::NoCredits,
            Self::ChannelNotFound,
            Self::ChatNotFound,
            Self::MissingParam,
            Self::FileType,
            Self::FileUrl,
            Self::ThumbUrl,
            Self::NoRoute,
            Self::TooLong,
        ];
        if let Some(fault) = plain.into_iter().find(|fault| fault.code() == code) {
            return fault;
        }
        match code.strip_prefix("http_").and_then(|status| status.parse().ok()) {
            Some(status) => Self::Http(status),
            None => Self::Other(code.to_owned()),
        }
    }

    /// Returns how much it stops (the table of afilnet.md section 4).
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Credentials(_) | Self::Forbidden | Self::WrongService(_) | Self::Certificate => Scope::Account,
            // The contract stops reads too; but reads cost nothing, and customers continue to write.
            Self::NoCredits => Scope::Sends,
            Self::ChannelNotFound => Scope::Channel,
            Self::Unreachable
            | Self::Busy
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::Http(_)
            | Self::NotUnderstood
            | Self::Interrupted
            | Self::ChatNotFound
            | Self::MissingParam
            | Self::FileType
            | Self::FileUrl
            | Self::ThumbUrl
            | Self::NoRoute
            | Self::TooLong
            | Self::Other(_) => Scope::Call,
        }
    }

    /// Returns whether the platform could not be reached or did not respond sensibly, whatever the call was.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::Busy
                | Self::TimedOut
                | Self::ConnectionLost
                | Self::Http(_)
                | Self::NotUnderstood
        )
    }

    /// Returns whether Afilnet refused this message for itself, so that the next may be accepted (afilnet.md section 4:
    /// the codes of a call's own parameters).
    pub(crate) fn is_of_message(&self) -> bool {
        matches!(self, Self::ChatNotFound | Self::MissingParam | Self::FileType | Self::FileUrl | Self::ThumbUrl)
    }

    /// Returns the most attempts for a message with this fault; `None` if only its age ends it ("transient, bounded").
    pub(crate) fn most_tries(&self) -> Option<u32> {
        match self {
            Self::NoRoute | Self::Other(_) => Some(3),
            _ => None,
        }
    }
}

/// The outcome of one attempt to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Afilnet accepted it; with `afilnet_id`, if it gave one.
    Sent { afilnet_id: Option<String> },
    /// Certainly not sent; may be retried, not before [`until_probe`] of `asked` has passed.
    NotSent { fault: Fault, asked: Option<Duration> },
    /// Certainly not sent, and a retry would not succeed.
    Refused { fault: Fault },
    /// A byte was sent and no clear response came: it may have been sent.
    Unknown { fault: Fault },
}

impl Verdict {
    /// Returns why it did not succeed.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Sent { .. } => None,
            Self::NotSent { fault, .. } | Self::Refused { fault } | Self::Unknown { fault } => Some(fault),
        }
    }
}

/// The outcome of one attempt to post an event to the webhook. Posting again is safe: the mId is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Accepted (2xx).
    Done,
    /// Not accepted; to be retried, not before [`until_probe`] of `asked` has passed. Its scope decides whether the channel stops.
    Again { fault: Fault, asked: Option<Duration> },
    /// Refused for good.
    Refused { fault: Fault },
}

/// The outcome of a call, and what a person may be shown of the response to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Called<T> {
    pub(crate) outcome: T,
    pub(crate) response: Response,
}

/// What a person may be shown of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// HTTP status; `None` where no response came.
    pub(crate) http: Option<u16>,
    /// Only of a response that is no success.
    pub(crate) excerpt: Option<Excerpt>,
}

impl<T> From<T> for Called<T> {
    fn from(outcome: T) -> Self {
        Self { outcome, response: Response::default() }
    }
}

/// A failed read, which proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read from Afilnet ({})", fault.code())]
pub(crate) struct ReadError {
    pub(crate) fault: Fault,
    pub(crate) asked: Option<Duration>,
}

/// Longest that a platform's `Retry-After` keeps every call back.
const LONGEST_WITHOUT_PROBE: Duration = Duration::from_mins(1);

/// Returns how long no call is made where a platform asked to wait: all of a short wait. Of a longer one a minute, then a
/// probe shows whether it still applies: a mistake of the platform (milliseconds for seconds, a wrong clock) costs minutes
/// and not the whole wait.
pub(crate) fn until_probe(asked: Option<Duration>) -> Duration {
    asked.unwrap_or_default().min(LONGEST_WITHOUT_PROBE)
}

/// When to retry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
    pub(crate) give_up_after: Duration,
}

impl RetryPolicy {
    /// Returns the wait before the next try: `initial · 2^(tries-1)` up to `max`, times `jitter` (0.0..=1.0: full
    /// jitter), at least [`until_probe`] of `asked`. `tries` counts those already made, from 1. Source: design.md section 3, step 6.
    pub(crate) fn wait(&self, tries: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doublings = tries.saturating_sub(1).min(32);
        let ceiling = self.initial.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.max);
        ceiling.mul_f64(jitter.clamp(0.0, 1.0)).max(until_probe(asked))
    }

    /// Returns whether a message of this age, with `fault` at each of its `tries`, is given up.
    pub(crate) fn gives_up(&self, age: Duration, tries: u32, fault: &Fault) -> bool {
        age >= self.give_up_after || fault.most_tries().is_some_and(|most| tries >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        initial: Duration::from_secs(1),
        max: Duration::from_mins(5),
        give_up_after: Duration::from_hours(24),
    };

    #[test]
    fn a_fault_comes_back_from_its_code() {
        for fault in [Fault::TimedOut, Fault::Http(502), Fault::Interrupted, Fault::Other("NEW".into())] {
            assert_eq!(Fault::from_code(&fault.code()), fault);
        }
    }

    #[test]
    fn waits_double_up_to_the_limit() {
        let waits: Vec<u64> = (1..=10).map(|n| POLICY.wait(n, None, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(POLICY.wait(u32::MAX, None, 1.0).as_secs(), 300);
        assert_eq!(POLICY.wait(3, None, 0.0), Duration::ZERO);
    }

    #[test]
    fn an_asked_wait_of_up_to_a_minute_is_not_cut_short_and_a_longer_one_lasts_a_minute_until_the_next_try() {
        for (asked, waited) in [(45, 45), (60, 60), (900, 60), (3600, 60)] {
            assert_eq!(POLICY.wait(1, Some(Duration::from_secs(asked)), 0.3).as_secs(), waited);
        }
        assert_eq!(POLICY.wait(10, Some(Duration::from_hours(1)), 1.0), POLICY.max, "as slowly as without one");
    }

    #[test]
    fn unknown_codes_get_three_tries_and_outages_a_day() {
        let minute = Duration::from_mins(1);
        assert!(!POLICY.gives_up(minute, 2, &Fault::Other("NEW".into())));
        assert!(POLICY.gives_up(minute, 3, &Fault::Other("NEW".into())));
        assert!(!POLICY.gives_up(minute, 1000, &Fault::Unreachable));
        assert!(POLICY.gives_up(Duration::from_hours(24), 1000, &Fault::Unreachable));
    }
}
