//! Rate limiter: bounds the calls in any one second and the calls in flight, by priority. A sliding window, not a token
//! bucket that starts full: no second ever holds more than the limit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// How long after its start a call of another process may arrive at the platform.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// Priority in the queue: time of arrival plus `yield_for`, then the ticket.
type Priority = (Instant, u64);

/// One limit, shared by all its callers.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    per_second: usize,
    /// Calls that may arrive at the platform in any one second, if it counts arrivals.
    arrivals: Option<usize>,
    max_in_flight: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Starts within the last window, oldest first.
    recent: VecDeque<Instant>,
    /// Ends within the last window, oldest first; recorded if the platform counts arrivals.
    ended: VecDeque<Instant>,
    in_flight: usize,
    waiting: BTreeMap<Priority, Arc<Notify>>,
    tickets: u64,
}

/// Permission to make one call; in flight until dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    limiter: Arc<RateLimiter>,
    start: Instant,
    used: bool,
}

impl RateLimiter {
    pub(crate) fn new(per_second: u32, max_in_flight: u32) -> Arc<Self> {
        Arc::new(Self {
            per_second: per_second.max(1) as usize,
            arrivals: None,
            max_in_flight: max_in_flight.max(1) as usize,
            state: Mutex::default(),
        })
    }

    /// As [`Self::new`], for a platform that accepts at most `arrivals` calls in any one second of its own clock. A
    /// call arrives at any time between its start and its end (a new connection takes long, the next call on it does
    /// not), so it counts until a second after its end. Begins with a full second: a process before may just have made
    /// calls.
    pub(crate) fn counting_arrivals(per_second: u32, max_in_flight: u32, arrivals: u32) -> Arc<Self> {
        let arrivals = arrivals.max(1) as usize;
        let last_arrival = Instant::now() + ON_THE_WAY;
        let ended = std::iter::repeat_n(last_arrival, arrivals).collect();
        Arc::new(Self {
            per_second: per_second.max(1) as usize,
            arrivals: Some(arrivals),
            max_in_flight: max_in_flight.max(1) as usize,
            state: Mutex::new(State { ended, ..State::default() }),
        })
    }

    /// Fills the window, as if all the calls that it allows had just been made: another process may have made them.
    pub(crate) fn fill_window(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        state.recent = std::iter::repeat_n(now, self.per_second).collect();
    }

    /// Returns the most calls in any one second.
    pub(crate) fn per_second(&self) -> usize {
        self.per_second
    }

    /// Waits for a slot. Calls that arrive within `yield_for` go first: a read lets sends go first, but not forever.
    pub(crate) async fn acquire(self: &Arc<Self>, yield_for: Duration) -> Slot {
        let place = self.queue(yield_for);
        loop {
            let until = match self.try_admit(Some(place.priority)) {
                Ok(slot) => return slot,
                Err(until) => until,
            };
            match until {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, place.notify.notified()).await;
                }
                None => place.notify.notified().await,
            }
        }
    }

    /// Returns a slot at once, if the queue is empty and there is room.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Slot> {
        self.try_admit(None).ok()
    }

    /// Admits the holder of `priority`; without one, any call while the queue is empty. Otherwise returns when to try
    /// again (`None`: when notified).
    fn try_admit(self: &Arc<Self>, priority: Option<Priority>) -> Result<Slot, Option<Instant>> {
        let mut state = self.lock();
        let first = state.waiting.first_key_value().map(|(priority, _)| *priority);
        if first != priority || state.in_flight >= self.max_in_flight {
            return Err(None);
        }
        let now = Instant::now();
        while state.recent.front().is_some_and(|start| now.duration_since(*start) >= WINDOW) {
            state.recent.pop_front();
        }
        if state.recent.len() >= self.per_second {
            return Err(state.recent.front().map(|start| *start + WINDOW));
        }
        while state.ended.front().is_some_and(|end| now.duration_since(*end) >= WINDOW) {
            state.ended.pop_front();
        }
        if self.arrivals.is_some_and(|arrivals| state.in_flight + state.ended.len() >= arrivals) {
            return Err(state.ended.front().map(|end| *end + WINDOW)); // `None`: notified when one ends
        }
        state.recent.push_back(now);
        state.in_flight += 1;
        if let Some(priority) = priority {
            state.waiting.remove(&priority);
        }
        state.notify_first();
        drop(state);
        Ok(Slot { limiter: Arc::clone(self), start: now, used: true })
    }

    fn queue(self: &Arc<Self>, yield_for: Duration) -> Place {
        let mut state = self.lock();
        state.tickets += 1;
        let priority = (Instant::now() + yield_for, state.tickets);
        let notify = Arc::new(Notify::new());
        state.waiting.insert(priority, Arc::clone(&notify));
        drop(state);
        Place { limiter: Arc::clone(self), priority, notify }
    }

    /// The state is consistent between any two lines that could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn notify_first(&self) {
        if let Some((_, notify)) = self.waiting.first_key_value() {
            notify.notify_one();
        }
    }
}

impl Slot {
    /// Returns the slot unused: no call was made with it.
    pub(crate) fn unused(mut self) {
        self.used = false;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if !self.used {
            // Equal instants are interchangeable.
            if let Some(index) = state.recent.iter().rposition(|start| *start == self.start) {
                state.recent.remove(index);
            }
        } else if self.limiter.arrivals.is_some() {
            state.ended.push_back(Instant::now());
        }
        state.notify_first();
    }
}

/// A place in the queue; left by being admitted or by being dropped.
struct Place {
    limiter: Arc<RateLimiter>,
    priority: Priority,
    notify: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        if state.waiting.remove(&self.priority).is_some() {
            state.notify_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_limit() {
        let limiter = RateLimiter::new(5, 100);
        let mut starts = Vec::new();
        for _ in 0..23 {
            let slot = limiter.acquire(Duration::ZERO).await;
            starts.push(Instant::now());
            drop(slot);
            tokio::time::advance(Duration::from_millis(37)).await;
        }
        for window in starts.windows(6) {
            assert!(window[5] - window[0] >= WINDOW);
        }
    }

    /// Makes `count` calls side by side through `limiter`, each arriving somewhere between its start and its end, which
    /// is `most` later at most, and returns when they arrived.
    async fn arrivals(limiter: &Arc<RateLimiter>, count: usize, most: Duration, seed: u64) -> Vec<Instant> {
        use rand::{Rng as _, SeedableRng as _};
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let (arrived, mut calls) = (Arc::new(Mutex::new(Vec::new())), Vec::new());
        for _ in 0..count {
            let slot = limiter.acquire(Duration::ZERO).await;
            let there = most.mul_f64(rng.random_range(0.0..=1.0));
            let back = most.saturating_sub(there).mul_f64(rng.random_range(0.0..=1.0));
            let arrived = Arc::clone(&arrived);
            calls.push(tokio::spawn(async move {
                tokio::time::sleep(there).await;
                arrived.lock().unwrap().push(Instant::now());
                tokio::time::sleep(back).await;
                drop(slot);
            }));
        }
        for call in calls {
            call.await.unwrap();
        }
        let mut arrived = arrived.lock().unwrap().clone();
        arrived.sort_unstable();
        arrived
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_of_the_far_side_holds_more_than_it_takes_whatever_the_way_costs() {
        for seed in 0..200 {
            let most = Duration::from_millis(seed * 5);
            let limiter = RateLimiter::counting_arrivals(15, 8, 20);
            let mut arrived = arrivals(&limiter, 60, most, seed).await;
            // Another process takes over when this one has ended.
            let next = RateLimiter::counting_arrivals(15, 8, 20);
            arrived.extend(arrivals(&next, 60, most, seed + 1000).await);
            for window in arrived.windows(21) {
                assert!(window[20] - window[0] >= WINDOW, "seed {seed}: 21 within {:?}", window[20] - window[0]);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_far_sides_limit_costs_nothing_where_answers_come_within_a_third_of_a_second() {
        let limiter = RateLimiter::counting_arrivals(15, 8, 20);
        drop(limiter.acquire(Duration::ZERO).await); // after the second that it begins with
        let begun = Instant::now();
        arrivals(&limiter, 149, Duration::from_millis(330), 1).await;
        let took = begun.elapsed();
        assert!(took <= Duration::from_secs(10), "150 at 15 a second took {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_given_back_unused_costs_nothing() {
        let limiter = RateLimiter::new(1, 1);
        for _ in 0..10 {
            limiter.acquire(Duration::ZERO).await.unused();
        }
        assert!(limiter.try_acquire().is_some());
        assert!(limiter.try_acquire().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn in_flight_is_bounded_and_handed_on() {
        let limiter = RateLimiter::new(100, 2);
        let (a, _b) = (limiter.acquire(Duration::ZERO).await, limiter.acquire(Duration::ZERO).await);
        assert!(tokio::time::timeout(Duration::from_secs(5), limiter.acquire(Duration::ZERO)).await.is_err());
        let waiter = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire(Duration::ZERO).await }
        });
        tokio::task::yield_now().await;
        drop(a);
        assert!(tokio::time::timeout(Duration::from_secs(5), waiter).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_lets_sends_go_first_but_not_for_ever() {
        let limiter = RateLimiter::new(1, 10);
        drop(limiter.acquire(Duration::ZERO).await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for (name, after, yield_for) in [("read", 0, 500), ("send 1", 1, 0), ("send 2", 2, 0), ("send late", 600, 0)] {
            let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
            waiters.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                drop(limiter.acquire(Duration::from_millis(yield_for)).await);
                order.lock().unwrap().push(name);
            }));
        }
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["send 1", "send 2", "read", "send late"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_holds_up_nobody() {
        let limiter = RateLimiter::new(1, 1);
        let held = limiter.acquire(Duration::ZERO).await;
        assert!(tokio::time::timeout(Duration::from_millis(10), limiter.acquire(Duration::ZERO)).await.is_err());
        let next = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { drop(limiter.acquire(Duration::ZERO).await) }
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(held);
        next.await.unwrap();
    }
}
