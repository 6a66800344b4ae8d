//! Times as Afilnet writes them (afilnet.md sections 3.7 and 5.3 U6). Pure; called by `wire` and `transport`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// From here on an epoch counts milliseconds: 1973 in milliseconds, the year 5138 in seconds.
const FIRST_MS: i64 = 100_000_000_000;
/// The year 2100 in milliseconds. A larger number is not a time (`20240510123456`, for example).
const LAST_MS: i64 = 4_102_444_800_000;

/// Returns the epoch milliseconds of a row's `datetime`: `YYYY-MM-DD HH:MM:SS` in `zone` (an hour that the clock shows
/// twice is the first; one that it skips is read as if it did not), RFC 3339, or an epoch in seconds or milliseconds.
/// `None` for anything else, and for the zero dates that databases write for "never".
pub(super) fn epoch_ms(raw: &str, zone: &TimeZone) -> Option<i64> {
    let raw = raw.trim();
    let ms = if raw.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        epoch_number(raw)?
    } else if let Ok(instant) = raw.parse::<Timestamp>() {
        instant.as_millisecond()
    } else {
        // A bare date would parse as midnight, which was not written.
        let local: DateTime = raw.contains(':').then(|| raw.parse().ok())??;
        zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond()
    };
    (ms > 0).then_some(ms)
}

/// Parses an epoch in seconds, with or without a fraction, or in milliseconds.
fn epoch_number(raw: &str) -> Option<i64> {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, ""));
    let whole: i64 = whole.parse().ok()?;
    if whole >= FIRST_MS {
        return (whole <= LAST_MS).then_some(whole);
    }
    let fraction: i64 = match fraction {
        "" => 0,
        digits => format!("{digits:0<3}").get(..3)?.parse().ok()?,
    };
    let ms = whole.checked_mul(1000)?.checked_add(fraction)?;
    (ms <= LAST_MS).then_some(ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::retry_after;

    fn madrid() -> TimeZone {
        TimeZone::get("Europe/Madrid").unwrap()
    }

    fn utc(ms: i64) -> String {
        Timestamp::from_millisecond(ms).unwrap().to_string()
    }

    #[test]
    fn the_three_documented_forms_are_one_instant() {
        for raw in [
            "2024-05-10 12:34:56",
            " 2024-05-10 12:34:56 ",
            "2024-05-10T12:34:56",
            "2024-05-10T12:34:56+02:00",
            "2024-05-10T10:34:56Z",
            "2024-05-10 10:34:56Z",
            "1715337296",
            "1715337296000",
            "1715337296.0",
        ] {
            assert_eq!(epoch_ms(raw, &madrid()).map(utc).as_deref(), Some("2024-05-10T10:34:56Z"), "{raw}");
        }
        assert_eq!(epoch_ms("2024-01-10 12:00:00", &madrid()).map(utc).as_deref(), Some("2024-01-10T11:00:00Z"));
        assert_eq!(epoch_ms("1715337296.25", &madrid()), Some(1_715_337_296_250));
        assert_eq!(epoch_ms("2024-05-10 12:34:56", &TimeZone::UTC), Some(1_715_344_496_000));
    }

    #[test]
    fn the_hour_that_comes_twice_is_the_first_and_the_one_that_never_comes_goes_on() {
        assert_eq!(epoch_ms("2024-10-27 02:30:00", &madrid()).map(utc).as_deref(), Some("2024-10-27T00:30:00Z"));
        assert_eq!(epoch_ms("2024-03-31 02:30:00", &madrid()).map(utc).as_deref(), Some("2024-03-31T01:30:00Z"));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for raw in [
            "",
            " ",
            "yesterday",
            "0",
            ".",
            "1.2.3",
            "0000-00-00 00:00:00",
            "1970-01-01 00:00:00",
            "2024-13-01 00:00:00",
            "2024-02-30 10:00:00",
            "2024-05-10",
            "10/05/2024 12:34",
            "20240510123456",
            "99999999999999999999999999",
            "-5",
        ] {
            assert_eq!(epoch_ms(raw, &madrid()), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>(), timeish in "[0-9TZ:+. -]{0,30}") {
            let _ = (epoch_ms(&text, &madrid()), epoch_ms(&timeish, &madrid()));
            let _ = (retry_after(&text, Timestamp::UNIX_EPOCH), retry_after(&timeish, Timestamp::UNIX_EPOCH));
        }
    }
}
