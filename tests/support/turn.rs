//! Campaigns use the cores, and some of them measure time: as many run side by side as there are cores, however many
//! threads the test runner has for tests that wait.

use std::cell::RefCell;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, PoisonError};

/// How many campaigns run.
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

// The test runner has a thread for each test, which ends with it.
thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

struct Turn;

impl Turn {
    fn wait() -> Self {
        let most = std::thread::available_parallelism().map_or(1, NonZero::get);
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ENDED.wait_while(running, |running| *running >= most).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// Waits for the turn of the calling test, which then has it until it ends; at once where it is no campaign.
pub(super) fn take() {
    let is_test = std::thread::current().name().is_some_and(|name| name.contains("::"));
    if env!("CARGO_CRATE_NAME") == "campaigns" && is_test {
        TURN.with_borrow_mut(|turn| {
            turn.get_or_insert_with(Turn::wait);
        });
    }
}
