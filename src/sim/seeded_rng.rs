//! Reproducible random numbers: each is a function of the printed seed and of its purpose, never of the order in which
//! connections happen to arrive.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Returns 64 bits from `seed`, `what` and `turn` (splitmix64).
pub(super) fn random(seed: u64, what: u64, turn: u64) -> u64 {
    let mut z = seed ^ what.rotate_left(32) ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..2 {
        z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
    }
    z
}

/// Returns the same as a number from 0 to below 1.
pub(super) fn probability(seed: u64, what: u64, turn: u64) -> f64 {
    let upper = u32::try_from(random(seed, what, turn) >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / (f64::from(u32::MAX) + 1.0)
}

/// Counts events within the last second, and the maximum of it.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    times: VecDeque<Instant>,
    busiest: usize,
}

impl RateMeter {
    /// Returns the number of events in the second before `now`.
    pub(super) fn within(&mut self, now: Instant) -> usize {
        while self.times.front().is_some_and(|time| now.duration_since(*time) >= Duration::from_secs(1)) {
            self.times.pop_front();
        }
        self.times.len()
    }

    /// Counts one event.
    pub(super) fn note(&mut self, now: Instant) {
        self.times.push_back(now);
        self.busiest = self.busiest.max(self.within(now));
    }

    /// Returns the most in any one second.
    pub(super) fn busiest(&self) -> usize {
        self.busiest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls_repeat_and_spread() {
        assert_eq!(random(7, 1, 1), random(7, 1, 1));
        assert_ne!(random(7, 1, 1), random(8, 1, 1));
        let hits = (0..10_000).filter(|turn| probability(1, 2, *turn) < 0.3).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
    }

    #[test]
    fn pace_forgets_after_a_second() {
        let start = Instant::now();
        let mut rate = RateMeter::default();
        for ms in [0, 100, 900, 1_050, 3_000] {
            rate.note(start + Duration::from_millis(ms));
        }
        assert_eq!(rate.busiest(), 3);
        assert_eq!(rate.within(start + Duration::from_secs(9)), 0);
    }
}
