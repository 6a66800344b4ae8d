//! Refusals of the listeners: each is counted, and few of many equal ones are logged. Anyone can cause them without a
//! token, so one log line each could fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::metrics;

/// After this long without a refusal of the same kind the next one counts as the first again.
const QUIET: Duration = Duration::from_mins(1);

/// Why a request or a connection was refused, or could not be accepted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A rule broken by a caller with a token, or a message that Afilnet refuses. 400.
    BadRequest,
    /// The token is missing or wrong. 401.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// The body did not arrive in time. 408.
    BodyTooSlow,
    /// 413.
    BodyTooLarge,
    /// 414.
    UriTooLong,
    /// 415.
    MediaType,
    /// 422.
    KeyTaken,
    /// A wrong token after too many of them. 429.
    TooManyWrongTokens,
    /// A bug. 500.
    Internal,
    /// The store is unavailable, or a person has the channel accept nothing. 503.
    Unavailable,
    /// The request is not HTTP, or its header is too large. 400, 414 or 431.
    Malformed,
    /// The caller did not read its response and was cut off.
    NotRead,
    /// The connection limit is reached: callers wait.
    ConnectionLimit,
    /// The system refused to accept a connection.
    NotAccepted,
}

impl Refusal {
    pub(super) const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::MediaType,
        Self::KeyTaken,
        Self::TooManyWrongTokens,
        Self::Internal,
        Self::Unavailable,
        Self::Malformed,
        Self::NotRead,
        Self::ConnectionLimit,
        Self::NotAccepted,
    ];

    /// Returns what a response of this status refuses; `None` if it refuses nothing.
    pub(crate) fn of_status(status: u16) -> Option<Self> {
        match status {
            ..400 => None,
            401 => Some(Self::Unauthorized),
            404 => Some(Self::NotFound),
            405 => Some(Self::MethodNotAllowed),
            408 => Some(Self::BodyTooSlow),
            413 => Some(Self::BodyTooLarge),
            414 => Some(Self::UriTooLong),
            415 => Some(Self::MediaType),
            422 => Some(Self::KeyTaken),
            429 => Some(Self::TooManyWrongTokens),
            503 => Some(Self::Unavailable),
            400..500 => Some(Self::BadRequest),
            _ => Some(Self::Internal),
        }
    }

    /// Returns its label `why`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::MediaType => "media_type",
            Self::KeyTaken => "key_taken",
            Self::TooManyWrongTokens => "too_many_wrong_tokens",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::NotRead => "not_read",
            Self::ConnectionLimit => "connection_limit",
            Self::NotAccepted => "not_accepted",
        }
    }

    /// Counts one that is logged elsewhere.
    pub(crate) fn count(self) {
        metrics::refused(self);
    }

    /// Counts one. Returns how many there were without a quiet minute between them, if this one is to be logged: the
    /// first, and each time their number has doubled.
    pub(crate) fn count_and_sample(self) -> Option<u64> {
        static SAMPLERS: [Sampler; Refusal::ALL.len()] = [const { Sampler::new() }; Refusal::ALL.len()];
        self.count();
        SAMPLERS[self as usize].sample(Instant::now())
    }
}

/// Chooses which of equal events are logged.
struct Sampler(Mutex<(u64, Option<Instant>)>);

impl Sampler {
    const fn new() -> Self {
        Self(Mutex::new((0, None)))
    }

    fn sample(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, last) = *state;
        let is_quiet = last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        let times = if is_quiet { 1 } else { times + 1 };
        *state = (times, Some(now));
        times.is_power_of_two().then_some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_each_doubling_are_logged_until_a_quiet_minute() {
        let (sampler, start) = (Sampler::new(), Instant::now());
        let logged = |from: u64| -> Vec<u64> {
            (0..100).filter_map(|n| sampler.sample(start + Duration::from_secs(from + n))).collect()
        };
        let doublings = vec![1, 2, 4, 8, 16, 32, 64];
        assert_eq!(doublings, logged(0));
        assert_eq!(sampler.sample(start + Duration::from_secs(158)), None, "the 101st");
        assert_eq!(doublings, logged(218), "a minute later");
    }

    #[test]
    fn each_kind_has_its_place_and_its_label() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(place, refusal as usize, "{refusal:?}");
            assert_eq!(Refusal::ALL.iter().filter(|other| other.label() == refusal.label()).count(), 1);
        }
        assert_eq!((Refusal::of_status(200), Refusal::of_status(304)), (None, None));
        assert_eq!(Refusal::of_status(418), Some(Refusal::BadRequest));
        assert_eq!(Refusal::of_status(502), Some(Refusal::Internal));
    }
}
