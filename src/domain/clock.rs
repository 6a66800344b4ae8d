//! The one place that reads the wall clock. Rules never do: time comes to them as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Longest wait that is taken from `Retry-After`: past this a message is given up anyway (`retry.give_up_after`).
const LONGEST_ASK: Duration = Duration::from_hours(24);
/// Reads HTTP's form of a date; a weekday that is not that date's does no harm.
const DATE: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// Now, in epoch milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A span in whole milliseconds.
pub(crate) fn millis(span: impl Into<Duration>) -> i64 {
    i64::try_from(span.into().as_millis()).unwrap_or(i64::MAX)
}

/// Time since `then_ms`, zero where that lies ahead.
pub(crate) fn since(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
}

/// `Retry-After` in seconds or as a date, at most a day; `None` where it is neither, and nothing where it has passed.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST_ASK, Duration::from_secs).min(LONGEST_ASK));
    }
    let then = DATE.parse_timestamp(value).ok()?;
    Some(Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST_ASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asked_wait_is_read_in_both_forms() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(86_400)),
            ("Sat, 21 Nov 2026 10:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 2999 23:59:59 GMT", Some(86_400)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now).map(|wait| wait.as_secs()), seconds, "{value}");
        }
    }
}
