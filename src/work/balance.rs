//! The balance of each Afilnet account, for operators. Asked for through the account's limiter, and only while no other
//! call waits there: never in place of a message.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::channel::Channel;
use crate::telemetry::metrics;

/// Time between two questions, and before the first: the start has other calls to make.
const EVERY: Duration = Duration::from_mins(10);
const FIRST: Duration = Duration::from_secs(30);
/// Time between two checks whether a call can be made.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One account, with the channels of it.
struct Account {
    channels: Vec<Arc<Channel>>,
    due: Instant,
    /// Its balance is shown by this process.
    shown: bool,
}

impl Account {
    /// Asks if that is due and this process delivers a channel of the account.
    async fn ask(&mut self) {
        let Some(first) = self.channels.first() else { return };
        let Some(here) = self.channels.iter().find(|channel| channel.state.wakeups.is_local()) else {
            if std::mem::take(&mut self.shown) {
                metrics::balance(first.name(), f64::NAN);
            }
            return;
        };
        if Instant::now() < self.due {
            return;
        }
        if let Some(asked) = here.state.calls.balance_aside().await {
            self.due = Instant::now() + EVERY;
            if let Some(balance) = asked {
                self.shown = true;
                metrics::balance(first.name(), balance);
            }
        }
    }
}

/// Runs until the stop.
pub(super) async fn run(accounts: Vec<Vec<Arc<Channel>>>, stop: CancellationToken) -> anyhow::Result<()> {
    let due = Instant::now() + FIRST;
    let mut accounts: Vec<_> = accounts.into_iter().map(|channels| Account { channels, due, shown: false }).collect();
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        for account in &mut accounts {
            // A call that is under way at the stop is dropped: it changes nothing at Afilnet.
            if stop.run_until_cancelled(account.ask()).await.is_none() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::open::SqliteStore;
    use crate::work::channel::ChannelPorts;
    use crate::work::limits::call_permit::{self, CallKind};
    use crate::work::testing;

    /// Asks, and waits for no other call.
    async fn ask(account: &mut Account) {
        let asked = tokio::time::timeout(Duration::from_millis(1), account.ask()).await;
        assert!(asked.is_ok(), "it waits among the calls that send");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_for_when_due_and_never_before_a_call_that_waits() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let shared = Arc::new(call_permit::Account::new(1, 1));
        let channel = testing::channel(testing::settings("asks"), testing::ports(&store), &shared);
        channel.state.wakeups.set_remote(false);
        let mut account = Account { channels: vec![Arc::clone(&channel)], due: Instant::now(), shown: false };
        ask(&mut account).await;
        assert!(!account.shown, "another process delivers it");
        channel.state.wakeups.set_local(0);

        let stop = CancellationToken::new();
        let held = channel.state.calls.acquire(CallKind::Send, &stop).await;
        ask(&mut account).await;
        assert!(!account.shown, "the one call of this second is made");
        let waits = tokio::spawn({
            let (calls, stop) = (Arc::clone(&channel.state.calls), stop.clone());
            async move { calls.acquire(CallKind::Send, &stop).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(held);
        tokio::time::advance(Duration::from_secs(2)).await; // there is room, and a message waits for it
        ask(&mut account).await;
        assert!(!account.shown, "the message goes first");
        assert!(waits.await.unwrap());
        tokio::time::advance(Duration::from_secs(2)).await;
        ask(&mut account).await;
        assert!(account.shown);

        channel.state.calls.account.upstream.breaker.trip(EVERY * 2);
        tokio::time::advance(EVERY).await;
        let due = account.due;
        ask(&mut account).await;
        assert_eq!(account.due, due, "a paused account is left to its own probes");
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_refuses_the_question_alone_goes_on_sending() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let shared = Arc::new(call_permit::Account::new(10, 4));
        let ports =
            ChannelPorts { messenger: Arc::new(testing::StubPlatforms { balance: None }), ..testing::ports(&store) };
        let channel = testing::channel(testing::settings("asks"), ports, &shared);
        channel.state.wakeups.set_local(0);
        let mut account = Account { channels: vec![Arc::clone(&channel)], due: Instant::now(), shown: false };
        ask(&mut account).await;
        assert!(!account.shown && account.due > Instant::now(), "asked, without a number");
        let stop = CancellationToken::new();
        let permit = channel.state.calls.acquire(CallKind::Send, &stop);
        assert!(tokio::time::timeout(Duration::from_mins(5), permit).await.is_ok(), "a gauge pauses nothing");
    }
}
