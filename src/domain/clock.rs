//! The one place that reads clocks. Rules get the time as an argument.
//!
//! Two clocks. The process's own is monotonic, whatever is done to the machine's: for waits, ages and retention. The
//! wall clock is that of the platforms and people: for times that are shown or compared with theirs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::time::Instant;

/// Longest wait that is read from `Retry-After`. How long no call is made is shorter: see `until_probe`.
const LONGEST_ASK: Duration = Duration::from_hours(1);
/// Parses HTTP dates; a wrong weekday is ignored.
const DATE: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// A smaller difference between the two clocks comes from reading them, or is corrected by NTP.
const APART_MS: i64 = 1000;

/// What both clocks showed at the first call.
static START: OnceLock<(i64, Instant)> = OnceLock::new();

/// How far the process's own clock was moved from the wall clock, to follow another clock.
static APART: AtomicI64 = AtomicI64::new(0);

/// Returns the time of the process's own clock, in epoch milliseconds: that of the wall clock at the first call, plus
/// the time since.
pub(crate) fn now_ms() -> i64 {
    let (wall_ms, start) = START.get_or_init(|| (wall_ms(), Instant::from_std(std::time::Instant::now())));
    let passed_ms = millis(Instant::now().saturating_duration_since(*start));
    wall_ms.saturating_add(passed_ms).saturating_add(APART.load(Ordering::Relaxed))
}

/// Sets the process's own clock by another one, which several processes share, if they differ. Returns by how much. To
/// be called before anything waits.
pub(crate) fn follow(other_ms: i64) -> Option<i64> {
    let apart_ms = other_ms.saturating_sub(now_ms());
    if apart_ms.saturating_abs() < APART_MS {
        return None;
    }
    APART.fetch_add(apart_ms, Ordering::Relaxed);
    Some(apart_ms)
}

/// Returns the time of the wall clock, in epoch milliseconds.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Returns the time of the wall clock, for dates that are written out or compared.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}

/// Returns what the wall clock shows when the process's own shows `then_ms`: for times that are shown.
pub(crate) fn wall_of(then_ms: i64) -> i64 {
    told(then_ms, wall_ms().saturating_sub(now_ms()))
}

fn told(then_ms: i64, ahead_ms: i64) -> i64 {
    if ahead_ms.saturating_abs() < APART_MS { then_ms } else { then_ms.saturating_add(ahead_ms) }
}

/// Returns a duration in whole milliseconds.
pub(crate) fn millis(span: impl Into<Duration>) -> i64 {
    i64::try_from(span.into().as_millis()).unwrap_or(i64::MAX)
}

/// Returns the time since `then_ms`, zero if that is in the future.
pub(crate) fn since(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
}

/// Returns the wait of a `Retry-After` in seconds or as a date, at most an hour; zero if it has passed, `None` if it is
/// neither.
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

    #[tokio::test(start_paused = true)]
    async fn the_processs_clock_goes_by_time_passed_and_not_by_the_wall() {
        let (before, wall_before) = (now_ms(), wall_ms());
        tokio::time::advance(Duration::from_hours(24)).await;
        assert!((86_399_000..=86_400_000).contains(&(now_ms() - before)), "the wall has not moved");
        assert!(wall_ms() - wall_before < 60_000);
    }

    #[test]
    fn what_is_told_follows_the_wall_where_it_was_set() {
        assert_eq!(told(5_000, 0), 5_000);
        assert_eq!(told(5_000, -999), 5_000);
        assert_eq!(told(5_000, 86_400_000), 86_405_000);
        assert_eq!(told(86_400_000, -3_600_000), 82_800_000);
    }

    #[test]
    fn an_asked_wait_is_read_in_both_forms() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("3600", Some(3600)),
            ("99999999999", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sat, 21 Nov 2026 10:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 2999 23:59:59 GMT", Some(3600)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now).map(|wait| wait.as_secs()), seconds, "{value}");
        }
    }
}
