//! Until when a certificate is good, from its DER (RFC 5280, section 4.1).

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use url::Url;

use super::check::Check;

/// Days left that are worth a look, and that are too few.
const WARN_DAYS: i64 = 21;
const FAIL_DAYS: i64 = 3;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// Returns when a certificate ends; `None` if this is none.
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if let Some((_, after)) = expect(VERSION, rest) {
        rest = after;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, rest) = expect(tag, rest)?; // serial number, algorithm, issuer
    }
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, end, _) = element(rest)?;
    time(tag, end)
}

/// Returns the content of an element with this tag, and what follows it.
fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// Returns the tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = match tag {
        // RFC 5280, 4.1.2.5.1: from 50 on it is the last century.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| part(from, from + 2).and_then(|part| i8::try_from(part).ok());
    let day = jiff::civil::Date::new(part(0, 4)?, small(4)?, small(6)?).unwrap_or(date(1, 1, 1));
    let time = jiff::civil::Time::new(small(8)?, small(10)?, small(12)?, 0).ok()?;
    day.to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Returns the check of the certificate of `url`, which is good until `until`. `whose` names who must renew it.
pub(super) fn check(url: &Url, until: Option<Timestamp>, now: Timestamp, whose: &str) -> Check {
    let host = url.host_str().unwrap_or_default();
    let Some(until) = until else {
        let why = if url.scheme() == "https" { "its end could not be read" } else { "it has none: plain HTTP" };
        return Check::skipped("certificate", format!("{host}: {why}"));
    };
    let days = until.duration_since(now).as_hours() / 24;
    let seen = format!("{host}: {days} days left");
    if days < FAIL_DAYS {
        Check::fail("certificate", seen, format!("it ends on {}, and calls fail from then on. {whose}", day(until)))
    } else if days < WARN_DAYS {
        Check::warn("certificate", seen, format!("it ends on {}. {whose}", day(until)))
    } else {
        Check::ok("certificate", seen)
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::ops::doctor::check::Health;

    #[test]
    fn the_end_of_a_certificate_is_read_and_judged() {
        let pem = include_str!("../../../tests/fixtures/tls/server.pem");
        let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(lines).unwrap();
        let until = not_after(&der).unwrap();
        assert!(until > "2100-01-01T00:00:00Z".parse().unwrap(), "{until}");
        for cut in 0..der.len().min(200) {
            let _ = not_after(&der[..cut]); // never a panic
        }
        assert_eq!(not_after(b"no certificate"), None);
        let (now, https): (Timestamp, Url) =
            ("2026-11-30T10:00:00Z".parse().unwrap(), "https://h.test".parse().unwrap());
        for (until, expected) in [
            ("261203095959Z", Health::Fail),
            ("261203100001Z", Health::Warn),
            ("261221095959Z", Health::Warn),
            ("261221100001Z", Health::Ok),
            ("991231235959Z", Health::Fail),
        ] {
            let until = time(UTC_TIME, until.as_bytes());
            assert_eq!(check(&https, until, now, "Renew it").health, expected, "{until:?}");
        }
        assert_eq!(time(GENERALIZED_TIME, b"20501231235959Z"), "2050-12-31T23:59:59Z".parse().ok());
        for (url, expected) in [(https, "could not be read"), ("http://h.test".parse().unwrap(), "plain HTTP")] {
            let check = check(&url, None, now, "");
            assert!(check.health == Health::Skipped && check.seen.contains(expected), "{check:?}");
        }
    }
}
