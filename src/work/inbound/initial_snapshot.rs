//! Start gate: nothing is sent before the channel's initial snapshot is stored. Otherwise our own messages would count as
//! history: they could not confirm a send, and would look like an agent's earlier reply.

use tokio::sync::watch;

/// Rounds that could not take the snapshot, before the channel sends without it: some account may never show its
/// conversations.
const MOST_ROUNDS: u32 = 3;

/// Holds one channel's sends until its initial snapshot is stored.
#[derive(Debug)]
pub(in crate::work) struct SnapshotGate(watch::Sender<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    /// Not taken; so many rounds have failed.
    Missing(u32),
    /// Taken, now or by an earlier run.
    Taken,
}

impl SnapshotGate {
    pub(in crate::work) fn new() -> Self {
        Self(watch::Sender::new(State::Missing(0)))
    }

    pub(in crate::work) fn taken(&self) {
        self.0.send_replace(State::Taken);
    }

    /// A round could not read. Returns whether the channel sends without a snapshot from now on.
    pub(in crate::work) fn could_not(&self) -> bool {
        let mut gives_up = false;
        self.0.send_if_modified(|state| {
            if let State::Missing(rounds) = state {
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
            State::Missing(rounds) => *rounds >= MOST_ROUNDS,
            State::Taken => true,
        };
        let _ = self.0.subscribe().wait_for(may).await; // its sender lives as long as it does
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_channel_sends_once_its_snapshot_is_taken_or_cannot_be() {
        let waits = async |gate: &SnapshotGate| timeout(Duration::from_mins(1), gate.may_send()).await.is_err();
        let gate = SnapshotGate::new();
        assert!(waits(&gate).await);
        gate.taken();
        assert!(!waits(&gate).await);
        assert!(!gate.could_not(), "what is taken stays taken");
        let gate = SnapshotGate::new();
        assert_eq!([gate.could_not(), gate.could_not()], [false, false]);
        assert!(waits(&gate).await);
        assert_eq!([gate.could_not(), gate.could_not()], [true, false], "said once");
        assert!(!waits(&gate).await);
    }
}
