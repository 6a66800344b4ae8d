//! Detects when this process last stood still: stopped, or too busy to run. What is read just after that may have
//! arrived before it, and its caller may have called again at another process meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(100);

/// A process without a beat for this long stood still. Longer than a busy process needs, and shorter than the timeout
/// of callers.
const STILL: Duration = Duration::from_secs(1);

/// Calls that arrived during a standstill are read within this time after it.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// Beats as long as the process runs.
#[derive(Default)]
pub(in crate::http) struct StandstillDetector(Mutex<Beats>);

#[derive(Default)]
struct Beats {
    last: Option<Instant>,
    /// The beats before and after the last standstill.
    stood: Option<(Instant, Instant)>,
}

impl StandstillDetector {
    /// Beats in an endless loop.
    pub(in crate::http) async fn run(&self) {
        loop {
            self.beat(Instant::now());
            tokio::time::sleep(BEAT).await;
        }
    }

    fn beat(&self, now: Instant) {
        let mut beats = self.beats();
        if let Some(last) = beats.last.filter(|last| now.saturating_duration_since(*last) > STILL) {
            beats.stood = Some((last, now));
        }
        beats.last = Some(now);
    }

    /// Returns when something that is read at `now` may have arrived, at the earliest.
    pub(in crate::http) fn came_by(&self, now: Instant) -> Instant {
        let beats = self.beats();
        match (beats.last, beats.stood) {
            (Some(last), _) if now.saturating_duration_since(last) > STILL => last, // it has just resumed
            (_, Some((from, until))) if now.saturating_duration_since(until) < CATCHES_UP => from,
            _ => now,
        }
    }

    /// A poisoned lock holds plain times, so it is used on.
    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_after_a_standstill_may_have_come_before_it() {
        let (detector, start) = (StandstillDetector::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(detector.came_by(at(0)), at(0), "before the first beat");
        detector.beat(at(0));
        detector.beat(at(900)); // it was busy
        assert_eq!(detector.came_by(at(1000)), at(1000));
        // It stood still from then on; the first to resume may be the detector or a reader.
        assert_eq!(detector.came_by(at(4000)), at(900));
        for ms in (4001..6001).step_by(100) {
            detector.beat(at(ms));
            assert_eq!(detector.came_by(at(ms)), at(900), "read at {ms}");
        }
        assert_eq!(detector.came_by(at(6001)), at(6001), "long after it");
    }
}
