//! When this process last stood still: stopped, or so busy that it came to nothing. What is read just after that may have
//! come before it, and its caller may have called again elsewhere meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(100);

/// A process without a beat for so long stood still. Longer than a busy one needs, and shorter than a caller waits before
/// it calls again.
const STILL: Duration = Duration::from_secs(1);

/// Calls that came during a standstill are read within this time after it.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// Beats as long as the process comes to anything.
#[derive(Default)]
pub(in crate::http) struct StandstillDetector(Mutex<Beats>);

#[derive(Default)]
struct Beats {
    last: Option<Instant>,
    /// The beats before and after the last standstill.
    stood: Option<(Instant, Instant)>,
}

impl StandstillDetector {
    /// Beats for ever.
    pub(in crate::http) async fn keep(&self) {
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

    /// Returns when something that is read at `now` may have come, at the earliest.
    pub(in crate::http) fn came_by(&self, now: Instant) -> Instant {
        let beats = self.beats();
        match (beats.last, beats.stood) {
            (Some(last), _) if now.saturating_duration_since(last) > STILL => last, // it has just gone on
            (_, Some((from, until))) if now.saturating_duration_since(until) < CATCHES_UP => from,
            _ => now,
        }
    }

    /// A poisoned lock holds plain times: go on.
    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_after_a_standstill_may_have_come_before_it() {
        let (pulse, start) = (StandstillDetector::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pulse.came_by(at(0)), at(0), "before the first beat");
        pulse.beat(at(0));
        pulse.beat(at(900)); // it was busy
        assert_eq!(pulse.came_by(at(1000)), at(1000));
        // It stood still from then on; whether the first to go on is the pulse or a reader.
        assert_eq!(pulse.came_by(at(4000)), at(900));
        for ms in (4001..6001).step_by(100) {
            pulse.beat(at(ms));
            assert_eq!(pulse.came_by(at(ms)), at(900), "read at {ms}");
        }
        assert_eq!(pulse.came_by(at(6001)), at(6001), "long after it");
    }
}
