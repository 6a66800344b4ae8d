//! The pace of one account: at most so many requests in any one second, at most so many in flight, the most pressing
//! first. A window that counts, not a bucket that starts full: no second ever holds more than the limit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// Who is served first: by arrival plus patience, then by ticket.
type Turn = (Instant, u64);

/// A shared limit.
#[derive(Debug)]
pub(crate) struct Gate {
    per_second: usize,
    max_in_flight: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Starts within the last window, oldest first.
    recent: VecDeque<Instant>,
    in_flight: usize,
    waiting: BTreeMap<Turn, Arc<Notify>>,
    tickets: u64,
}

/// Leave to make one request; in flight until dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    start: Instant,
    used: bool,
}

impl Gate {
    pub(crate) fn new(per_second: u32, max_in_flight: u32) -> Arc<Self> {
        Arc::new(Self {
            per_second: per_second.max(1) as usize,
            max_in_flight: max_in_flight.max(1) as usize,
            state: Mutex::default(),
        })
    }

    /// Begins with a full window, as if another had just made all the requests that one allows.
    pub(crate) fn rest(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        state.recent = std::iter::repeat_n(now, self.per_second).collect();
    }

    /// The limit of requests in any one second.
    pub(crate) fn per_second(&self) -> usize {
        self.per_second
    }

    /// Waits for leave. Who has `patience` lets others go before for that long: a read waits for sends, never for ever.
    pub(crate) async fn permit(self: &Arc<Self>, patience: Duration) -> Permit {
        let place = self.queue(patience);
        loop {
            let until = match self.try_admit(Some(place.turn)) {
                Ok(permit) => return permit,
                Err(until) => until,
            };
            match until {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, place.bell.notified()).await;
                }
                None => place.bell.notified().await,
            }
        }
    }

    /// Leave at once, where nobody waits and there is room.
    pub(crate) fn permit_now(self: &Arc<Self>) -> Option<Permit> {
        self.try_admit(None).ok()
    }

    /// Admits the holder of `turn`, or, without one, anyone while nobody waits. Otherwise tells when to look again
    /// (`None`: when the bell rings).
    fn try_admit(self: &Arc<Self>, turn: Option<Turn>) -> Result<Permit, Option<Instant>> {
        let mut state = self.lock();
        let first = state.waiting.first_key_value().map(|(turn, _)| *turn);
        if first != turn || state.in_flight >= self.max_in_flight {
            return Err(None);
        }
        let now = Instant::now();
        while state.recent.front().is_some_and(|start| now.duration_since(*start) >= WINDOW) {
            state.recent.pop_front();
        }
        if state.recent.len() >= self.per_second {
            return Err(state.recent.front().map(|start| *start + WINDOW));
        }
        state.recent.push_back(now);
        state.in_flight += 1;
        if let Some(turn) = turn {
            state.waiting.remove(&turn);
        }
        state.ring_first();
        drop(state);
        Ok(Permit { gate: Arc::clone(self), start: now, used: true })
    }

    fn queue(self: &Arc<Self>, patience: Duration) -> Place {
        let mut state = self.lock();
        state.tickets += 1;
        let turn = (Instant::now() + patience, state.tickets);
        let bell = Arc::new(Notify::new());
        state.waiting.insert(turn, Arc::clone(&bell));
        drop(state);
        Place { gate: Arc::clone(self), turn, bell }
    }

    /// The state is whole between any two lines that could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ring_first(&self) {
        if let Some((_, bell)) = self.waiting.first_key_value() {
            bell.notify_one();
        }
    }
}

impl Permit {
    /// Gives it back: no request was made with it.
    pub(crate) fn unused(mut self) {
        self.used = false;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if !self.used {
            // Equal instants are as good as each other.
            if let Some(index) = state.recent.iter().rposition(|start| *start == self.start) {
                state.recent.remove(index);
            }
        }
        state.ring_first();
    }
}

/// A place in the queue; left by being admitted or by being dropped.
struct Place {
    gate: Arc<Gate>,
    turn: Turn,
    bell: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.waiting.remove(&self.turn).is_some() {
            state.ring_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_limit() {
        let gate = Gate::new(5, 100);
        let mut starts = Vec::new();
        for _ in 0..23 {
            let permit = gate.permit(Duration::ZERO).await;
            starts.push(Instant::now());
            drop(permit);
            tokio::time::advance(Duration::from_millis(37)).await;
        }
        for window in starts.windows(6) {
            assert!(window[5] - window[0] >= WINDOW);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_given_back_unused_costs_nothing() {
        let gate = Gate::new(1, 1);
        for _ in 0..10 {
            gate.permit(Duration::ZERO).await.unused();
        }
        assert!(gate.permit_now().is_some());
        assert!(gate.permit_now().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn in_flight_is_bounded_and_handed_on() {
        let gate = Gate::new(100, 2);
        let (a, _b) = (gate.permit(Duration::ZERO).await, gate.permit(Duration::ZERO).await);
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.permit(Duration::ZERO)).await.is_err());
        let waiter = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.permit(Duration::ZERO).await }
        });
        tokio::task::yield_now().await;
        drop(a);
        assert!(tokio::time::timeout(Duration::from_secs(5), waiter).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_lets_sends_go_first_but_not_for_ever() {
        let gate = Gate::new(1, 10);
        drop(gate.permit(Duration::ZERO).await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for (name, after, patience) in [("read", 0, 500), ("send 1", 1, 0), ("send 2", 2, 0), ("send late", 600, 0)] {
            let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
            waiters.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                drop(gate.permit(Duration::from_millis(patience)).await);
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
        let gate = Gate::new(1, 1);
        let held = gate.permit(Duration::ZERO).await;
        assert!(tokio::time::timeout(Duration::from_millis(10), gate.permit(Duration::ZERO)).await.is_err());
        let next = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { drop(gate.permit(Duration::ZERO).await) }
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(held);
        next.await.unwrap();
    }
}
