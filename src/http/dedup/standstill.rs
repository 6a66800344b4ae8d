//! Detects when this process last stood still: stopped, or too busy to run. What is read just after that may have
//! arrived before it, and its caller may have called again at another process meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(100);

/// A process without a tick for this long stood still. Longer than a busy process needs, and shorter than the timeout
/// of callers.
const STILL: Duration = Duration::from_secs(1);

/// Calls that arrived during a standstill are read within this time after it.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// Ticks as long as the process runs.
#[derive(Default)]
pub(in crate::http) struct StandstillDetector(Mutex<Ticks>);

#[derive(Default)]
struct Ticks {
    last: Option<Instant>,
    /// The ticks before and after the last standstill.
    stood: Option<(Instant, Instant)>,
}

impl StandstillDetector {
    /// Registers a tick every [`TICK`], forever.
    pub(in crate::http) async fn run(&self) {
        loop {
            self.tick(Instant::now());
            tokio::time::sleep(TICK).await;
        }
    }

    fn tick(&self, now: Instant) {
        let mut ticks = self.ticks();
        if let Some(last) = ticks.last.filter(|last| now.saturating_duration_since(*last) > STILL) {
            ticks.stood = Some((last, now));
        }
        ticks.last = Some(now);
    }

    /// Returns when something that is read at `now` may have arrived, at the earliest.
    pub(in crate::http) fn came_by(&self, now: Instant) -> Instant {
        let ticks = self.ticks();
        match (ticks.last, ticks.stood) {
            (Some(last), _) if now.saturating_duration_since(last) > STILL => last, // it has just resumed
            (_, Some((from, until))) if now.saturating_duration_since(until) < CATCHES_UP => from,
            _ => now,
        }
    }

    /// A poisoned lock holds plain times, so it is used on.
    fn ticks(&self) -> MutexGuard<'_, Ticks> {
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
        assert_eq!(detector.came_by(at(0)), at(0), "before the first tick");
        detector.tick(at(0));
        detector.tick(at(900)); // it was busy
        assert_eq!(detector.came_by(at(1000)), at(1000));
        // It stood still from then on; the first to resume may be the detector or a reader.
        assert_eq!(detector.came_by(at(4000)), at(900));
        for ms in (4001..6001).step_by(100) {
            detector.tick(at(ms));
            assert_eq!(detector.came_by(at(ms)), at(900), "read at {ms}");
        }
        assert_eq!(detector.came_by(at(6001)), at(6001), "long after it");
    }
}
