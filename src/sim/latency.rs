//! How long a simulator takes for one call.

use std::str::FromStr;
use std::time::Duration;

use super::seeded_rng;

/// A wait before each answer, between two bounds. Written `20ms` or `5ms-50ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// The shortest wait.
    pub least: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Latency {
    /// Always this long.
    #[must_use]
    pub fn fixed(wait: Duration) -> Self {
        Self { least: wait, most: wait }
    }

    /// The wait of call number `turn`.
    pub(super) fn of(self, seed: u64, turn: u64) -> Duration {
        let spread = self.most.saturating_sub(self.least);
        if spread.is_zero() {
            self.least
        } else {
            self.least + spread.mul_f64(seeded_rng::probability(seed, 0x1A7E, turn))
        }
    }
}

/// A latency that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a latency: write one like 20ms or a range like 5ms-50ms")]
pub struct BadLatency(String);

impl FromStr for Latency {
    type Err = BadLatency;
    fn from_str(text: &str) -> Result<Self, BadLatency> {
        let bad = || BadLatency(text.to_owned());
        let wait = |part: &str| humantime::parse_duration(part.trim()).map_err(|_| bad());
        let (least, most) = match text.split_once('-') {
            Some((least, most)) => (wait(least)?, wait(most)?),
            None => (wait(text)?, wait(text)?),
        };
        if least > most { Err(bad()) } else { Ok(Self { least, most }) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]
    use super::*;

    #[test]
    fn a_latency_is_one_wait_or_a_range() {
        assert_eq!("20ms".parse::<Latency>().unwrap(), Latency::fixed(Duration::from_millis(20)));
        let range: Latency = "5ms-50ms".parse().unwrap();
        for turn in 0..100 {
            let wait = range.of(1, turn);
            assert!(range.least <= wait && wait <= range.most, "{wait:?}");
        }
        for bad in ["", "fast", "9ms-1ms", "5"] {
            assert!(bad.parse::<Latency>().is_err(), "{bad}");
        }
    }
}
