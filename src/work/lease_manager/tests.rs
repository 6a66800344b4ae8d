//! A lease manager with scripted leases, on a clock that the test moves.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::advance;

use super::*;
use crate::domain::LeaseDeadline;
use crate::store::open::SqliteStore;
use crate::work::channel::{Channel, ChannelPorts};
use crate::work::limits::call_permit::Account;
use crate::work::lock::lock;
use crate::work::testing;

/// Renewed every five seconds; the deadline is sixteen seconds away.
const LEASE: Duration = Duration::from_secs(20);

/// What the store returns, and what was requested from it.
struct Dealt {
    store: Arc<dyn Store>,
    changes: Notify,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    processes: usize,
    owners: HashMap<ChannelName, Owner>,
    runs_out: Option<Duration>,
    /// Another process is always quicker.
    raced: bool,
    /// Time that each call takes.
    takes: Duration,
    fails: bool,
    asked: Vec<String>,
}

impl Dealt {
    async fn ask(&self, what: String) -> Result<(), StoreError> {
        let (takes, fails) = {
            let mut table = lock(&self.table);
            table.asked.push(what);
            (table.takes, table.fails)
        };
        advance(takes).await;
        if fails { Err(StoreError::Closed) } else { Ok(()) }
    }
}

#[async_trait]
impl Leases for Dealt {
    async fn heartbeat(&self, _: Duration, held: Vec<(ChannelName, bool)>) -> Result<ClusterView, StoreError> {
        self.ask(format!("heartbeat {}", held.len())).await?;
        let table = lock(&self.table);
        Ok(ClusterView { processes: table.processes, owners: table.owners.clone(), runs_out: table.runs_out })
    }

    async fn acquire(&self, _: Duration, channels: Vec<ChannelName>) -> Result<Option<Vec<Epoch>>, StoreError> {
        self.ask("acquire".into()).await?;
        if lock(&self.table).raced {
            return Ok(None);
        }
        let mut epochs = Vec::new();
        for channel in channels {
            epochs.push(self.store.take_ownership(&channel).await?);
            lock(&self.table).owners.insert(channel, Owner::Me);
        }
        Ok(Some(epochs))
    }

    async fn release(&self, channels: Vec<ChannelName>) -> Result<(), StoreError> {
        self.ask(format!("release {}", channels.len())).await?;
        lock(&self.table).owners.retain(|name, _| !channels.contains(name));
        Ok(())
    }

    async fn deregister(&self) -> Result<(), StoreError> {
        self.ask("deregister".into()).await
    }

    fn changes(&self) -> &Notify {
        &self.changes
    }
}

/// A process and its scripted leases.
struct Process {
    manager: LeaseManager,
    dealt: Dealt,
    channels: Vec<Arc<Channel>>,
    _folder: tempfile::TempDir,
    _clock: Still,
}

impl Process {
    /// Returns one of `processes` processes, with `accounts` accounts of `of_each` channels.
    async fn of(processes: usize, accounts: usize, of_each: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let account = |which: usize| -> Vec<Arc<Channel>> {
            let account = Arc::new(Account::new(100, 4));
            let ports = || ChannelPorts { deadline: LeaseDeadline::expired(), ..testing::ports(&store) };
            let settings = |n| testing::settings(&format!("channel{which}_{n}"));
            (0..of_each).map(|n| testing::channel(settings(n), ports(), &account)).collect()
        };
        let groups: Vec<_> = (0..accounts).map(account).collect();
        let channels = groups.iter().flatten().cloned().collect();
        let manager = LeaseManager::new(&store, LEASE, Duration::ZERO, groups, CancellationToken::new());
        let table = Mutex::new(Table { processes, ..Table::default() });
        let dealt = Dealt { store, changes: Notify::new(), table };
        // Starts the process's own clock from the real one, which continues while tokio's clock is paused.
        now_ms();
        advance(Duration::from_mins(1)).await;
        Self { manager, dealt, channels, _folder: folder, _clock: Still::new() }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        lock(&self.dealt.table)
    }

    /// Returns what was requested, and when the next heartbeat is due.
    async fn heartbeat(&mut self) -> (Vec<String>, Instant) {
        let next = self.manager.heartbeat(&self.dealt, true).await;
        (std::mem::take(&mut self.table().asked), next)
    }

    /// Waits for the tasks of one account to end. Returns what was requested then.
    async fn one_ended(&mut self) -> Vec<String> {
        let ended = self.manager.endings.join_next().await.expect("an account is ending");
        self.manager.ended(&self.dealt, ended).await;
        std::mem::take(&mut self.table().asked)
    }

    /// Returns the number of channels that may start calls.
    fn open(&self) -> usize {
        self.channels.iter().filter(|channel| channel.ports.deadline.is_valid()).count()
    }

    fn wait_valid(&self) -> usize {
        self.manager.groups.iter().filter(|group| group.ownership.is_some()).count()
    }
}

/// Keeps a paused clock from advancing by itself, as it does when all tasks wait, also for the store's thread.
struct Still(AbortHandle);

impl Still {
    fn new() -> Self {
        let busy = async {
            loop {
                yield_now().await;
            }
        };
        Self(tokio::spawn(busy).abort_handle())
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_renewed_while_more_is_taken() {
    let mut process = Process::of(1, 12, 1).await;
    process.table().takes = Duration::from_secs(2);
    let mut heartbeats = 0;
    while process.wait_valid() < 12 {
        let before = process.wait_valid();
        let (asked, next) = process.heartbeat().await;
        assert_eq!(asked[0], format!("heartbeat {before}"), "what is held is renewed first");
        assert!(asked.len() <= 4, "as much as goes into a quarter of a lease: {asked:?}");
        assert!(next <= Instant::now(), "the next heartbeat is due");
        assert_eq!(process.open(), process.wait_valid(), "nothing has run out meanwhile");
        heartbeats += 1;
    }
    assert_eq!(heartbeats, 4);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_owns_is_closed_at_once_ended_and_not_given_back() {
    let mut process = Process::of(1, 1, 2).await;
    assert_eq!(process.heartbeat().await.0, ["heartbeat 0", "acquire"]);
    assert_eq!(process.open(), 2);
    assert!(process.channels.iter().all(|channel| channel.state.wakeups.is_local()));
    // One of its channels is enough: an account is one process's.
    let passed_on = process.channels[1].name().clone();
    process.table().owners.insert(passed_on, Owner::Other { prompt: false });
    process.manager.heartbeat(&process.dealt, true).await;
    assert_eq!(process.open(), 0);
    assert_eq!(std::mem::take(&mut process.table().asked), ["heartbeat 2"]);
    assert_eq!(process.heartbeat().await.0, ["heartbeat 0"], "it is not renewed while its tasks end");
    assert_eq!(process.one_ended().await, [""; 0], "it is not ours to give back");
    assert!(process.channels.iter().all(|channel| !channel.state.wakeups.is_local()));
    assert!(process.manager.endings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_before_it_was_asked_for_and_a_heartbeat_that_fails_ends_it_no_sooner() {
    let mut process = Process::of(1, 1, 1).await;
    process.heartbeat().await;
    process.table().takes = Duration::from_secs(3);
    let asked = Instant::now();
    let (_, next) = process.heartbeat().await;
    assert_eq!(next, asked + LEASE / RENEWALS);
    process.table().fails = true;
    let (_, next) = process.heartbeat().await;
    assert_eq!(next, Instant::now() + AGAIN);
    assert_eq!((process.open(), process.wait_valid()), (1, 1), "it is held all the same");
    advance(asked + Duration::from_millis(15_900) - Instant::now()).await;
    assert_eq!(process.open(), 1);
    advance(Duration::from_millis(100)).await;
    assert_eq!(process.open(), 0, "four fifths of the lease are over");
    assert!(process.manager.endings.is_empty(), "nobody else is known to have it");
    process.table().fails = false;
    process.heartbeat().await;
    assert_eq!(process.open(), 1, "it is ours still");
}

#[tokio::test(start_paused = true)]
async fn accounts_are_shared_out_evenly_and_what_is_too_much_is_given_back_when_its_tasks_have_ended() {
    let mut process = Process::of(2, 5, 1).await;
    let (asked, _) = process.heartbeat().await;
    assert_eq!(asked, ["heartbeat 0", "acquire", "acquire", "acquire"], "five of two are three at most");
    process.table().processes = 1;
    assert_eq!(process.heartbeat().await.0, ["heartbeat 3", "acquire", "acquire"]);
    // A call is under way in each.
    let call = Arc::new(tokio::sync::Semaphore::new(0));
    for group in &process.manager.groups {
        let call = Arc::clone(&call);
        let ended = async move { call.acquire().await.map(drop).map_err(Into::into) };
        group.ownership.as_ref().unwrap().tasks.spawn("a call".into(), ended);
    }
    process.table().processes = 2;
    assert_eq!(process.heartbeat().await.0, ["heartbeat 5"]);
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(process.manager.endings.try_join_next().is_none(), "its calls are under way");
    assert_eq!(
        process.heartbeat().await.0,
        ["heartbeat 5"],
        "it is renewed until they have ended, and nothing more is given up"
    );
    assert_eq!((process.open(), process.manager.endings.len()), (5, 2));
    call.add_permits(5);
    for left in [4, 3] {
        assert_eq!(process.one_ended().await, ["release 1"]);
        assert_eq!((process.open(), process.wait_valid()), (left, left));
    }
    assert_eq!(process.heartbeat().await.0, ["heartbeat 3"], "what is free is somebody else's share");
}

#[tokio::test(start_paused = true)]
async fn the_moment_a_lease_runs_out_is_not_slept_through() {
    let mut process = Process::of(2, 1, 1).await;
    let channel = process.channels[0].name().clone();
    process.table().owners.insert(channel, Owner::Other { prompt: false });
    for (runs_out, expected) in [
        (None, LEASE / RENEWALS),
        (Some(LEASE), LEASE / RENEWALS),
        (Some(Duration::from_secs(2)), Duration::from_secs(2) + SOON_AFTER),
    ] {
        process.table().runs_out = runs_out;
        let asked = Instant::now();
        let (_, next) = process.heartbeat().await;
        assert_eq!(next - asked, expected, "{runs_out:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_somebody_else_was_quicker_the_rest_is_looked_at_soon() {
    let mut process = Process::of(1, 3, 1).await;
    process.table().raced = true;
    let asked = Instant::now();
    let (made, next) = process.heartbeat().await;
    assert_eq!(made.iter().filter(|what| *what == "acquire").count(), 3);
    assert!(next - asked <= 2 * RACED, "{:?}", next - asked);
    process.table().raced = false;
    process.heartbeat().await;
    assert_eq!(process.wait_valid(), 3);
}
