//! A channel sends nothing before its first run has taken stock: what the bridge says must not be counted among what was
//! there before it, where it proves nothing and looks like somebody's answer to a customer.

use tokio::sync::watch;

use super::poller::RoundError;
use crate::work::Line;

/// Rounds in a row that could not take stock, before the channel sends without: some account may never show its
/// conversations.
const MOST_ROUNDS: u32 = 3;

/// What is known of one channel's stock.
#[derive(Debug)]
pub(in crate::work) struct Stock(watch::Sender<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    /// Not taken; so many rounds have failed.
    Open(u32),
    /// Taken, now or by an earlier run.
    Taken,
}

impl Stock {
    pub(in crate::work) fn new() -> Self {
        Self(watch::Sender::new(State::Open(0)))
    }

    pub(in crate::work) fn taken(&self) {
        self.0.send_replace(State::Taken);
    }

    /// A round could not read. Tells whether the channel sends without stock from now on.
    pub(in crate::work) fn could_not(&self) -> bool {
        let mut gives_up = false;
        self.0.send_if_modified(|state| {
            if let State::Open(rounds) = state {
                *rounds += 1;
                gives_up = *rounds == MOST_ROUNDS;
            }
            gives_up
        });
        gives_up
    }

    /// Waits until the channel may send.
    pub(in crate::work) async fn may_send(&self) {
        let may = |state: &State| match state {
            State::Open(rounds) => *rounds >= MOST_ROUNDS,
            State::Taken => true,
        };
        let _ = self.0.subscribe().wait_for(may).await; // its sender lives as long as it does
    }
}

impl Line {
    /// Counts a round that failed, if it was Afilnet's failure: where the store fails, nothing is sent either.
    pub(in crate::work) fn could_not_take_stock(&self, error: &RoundError) {
        if matches!(error, RoundError::Read(_)) && self.stock.could_not() {
            tracing::warn!(
                channel.name = %self.name,
                "channel `{}`: its conversations could not be read before its first message; it is sent all the same, and \
                 what of these messages is in doubt may stay so",
                self.name
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_channel_sends_once_stock_is_taken_or_cannot_be() {
        let waits = async |stock: &Stock| timeout(Duration::from_mins(1), stock.may_send()).await.is_err();
        let stock = Stock::new();
        assert!(waits(&stock).await);
        stock.taken();
        assert!(!waits(&stock).await);
        assert!(!stock.could_not(), "what is taken stays taken");
        let stock = Stock::new();
        assert_eq!([stock.could_not(), stock.could_not()], [false, false]);
        assert!(waits(&stock).await);
        assert_eq!([stock.could_not(), stock.could_not()], [true, false], "said once");
        assert!(!waits(&stock).await);
    }
}
