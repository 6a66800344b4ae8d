//! What became of one attempt, and when to try again. Pure: time and dice come in as arguments.

use std::time::Duration;

/// Why an attempt did not simply succeed. Codes are Afilnet's where it gives one (afilnet.md section 4); the rest name
/// what the transport saw. Never holds text of a message, a contact or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection: DNS, refused, connect time-out, or TLS that failed before the certificate. Nothing was sent.
    Unreachable,
    /// The far side's certificate does not prove who it is. Nothing was sent.
    Certificate,
    /// Told to slow down (HTTP 429).
    Busy,
    /// No answer within the time limit, after the first byte left.
    TimedOut,
    /// The connection broke after the first byte left.
    ConnectionLost,
    /// An answer with this HTTP status, with no envelope that explains it.
    Http(u16),
    /// An answer that is not what the contract says: not JSON, no status, cut off, or above the size cap.
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
    /// This call alone.
    Call,
    /// Everything that this Afilnet account sends, until a slow probe succeeds; reads go on.
    Sends,
    /// Everything of this channel, until a slow probe succeeds.
    Channel,
    /// Everything of this Afilnet account, until a slow probe succeeds.
    Account,
}

/// The language of sentences that agents see.
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
    /// A stable word for the store, logs and metrics: the far side's own code where it gave one.
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

    /// The fault of a code that [`Self::code`] gave.
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

    /// How much it stops (the table of afilnet.md section 4).
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Credentials(_) | Self::Forbidden | Self::WrongService(_) | Self::Certificate => Scope::Account,
            // The contract stops reads too; but reads cost nothing, and customers go on writing.
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

    /// Whether the far side could not be reached or did not answer sensibly, whatever was asked.
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

    /// Whether Afilnet looked at a message and refused this one, so that the next may well be taken (afilnet.md section 4:
    /// the codes of a call's own parameters).
    pub(crate) fn is_of_message(&self) -> bool {
        matches!(self, Self::ChatNotFound | Self::MissingParam | Self::FileType | Self::FileUrl | Self::ThumbUrl)
    }

    /// The most tries a message gets under this fault; `None` where only its age ends it ("transient, bounded").
    pub(crate) fn most_tries(&self) -> Option<u32> {
        match self {
            Self::NoRoute | Self::Other(_) => Some(3),
            _ => None,
        }
    }
}

/// What became of one attempt to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Afilnet took it. `afilnet_id` where it gave one.
    Sent { afilnet_id: Option<String> },
    /// Surely not sent; may be tried again, not before `asked` has passed.
    NotSent { fault: Fault, asked: Option<Duration> },
    /// Surely not sent, and it never will be.
    Refused { fault: Fault },
    /// A byte left and no clear answer came: it may have been sent.
    Unknown { fault: Fault },
}

impl Verdict {
    /// Why it did not simply succeed.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Sent { .. } => None,
            Self::NotSent { fault, .. } | Self::Refused { fault } | Self::Unknown { fault } => Some(fault),
        }
    }
}

/// What became of one attempt to post an event to the webhook. Posting again is safe: the mId is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Taken (2xx).
    Done,
    /// Not taken; try again, not before `asked` has passed. Its scope tells whether the channel stops.
    Again { fault: Fault, asked: Option<Duration> },
    /// Refused for good.
    Refused { fault: Fault },
}

/// A read that brought nothing. It proves nothing either ("could not look").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read from Afilnet ({})", fault.code())]
pub(crate) struct ReadError {
    pub(crate) fault: Fault,
    pub(crate) asked: Option<Duration>,
}

/// When to try again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
    pub(crate) give_up_after: Duration,
}

impl RetryPolicy {
    /// Wait before the next try: `initial · 2^(tries-1)` up to `max`, times `jitter` (0.0..=1.0: full jitter), never
    /// less than `asked`. `tries` counts those already made, from 1. Source: design.md section 3, step 6.
    pub(crate) fn wait(&self, tries: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doublings = tries.saturating_sub(1).min(32);
        let ceiling = self.initial.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.max);
        ceiling.mul_f64(jitter.clamp(0.0, 1.0)).max(asked.unwrap_or_default())
    }

    /// Whether a message of this age, refused so far by `fault` at each of `tries`, is given up.
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
    fn an_asked_wait_is_never_cut_short() {
        let asked = Some(Duration::from_mins(15));
        assert_eq!(POLICY.wait(1, asked, 0.3).as_secs(), 900);
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
