//! Decides which channels this process delivers, if several share a store: each has one owner at a time, by a lease
//! that is renewed while its process lives. All channels of one Afilnet account have the same owner, so that one
//! process keeps the account's rate limit; accounts are distributed evenly.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::channel::Channel;
use super::loops;
use super::wait::jitter;
use crate::domain::ChannelName;
use crate::domain::clock::{millis, now_ms};
use crate::lifecycle::{GRACE, TaskGroup};
use crate::store::{ClusterView, Epoch, Leases, Owner, Store, StoreError};
use crate::telemetry::metrics;

/// Renewals in the time of a lease.
const RENEWALS: u32 = 4;

/// A lease that was not renewed is checked this much later: the server's clock and this one differ slightly.
const SOON_AFTER: Duration = Duration::from_millis(20);

/// Approximate wait before more is acquired after another process was quicker: others may be free.
const RACED: Duration = Duration::from_millis(100);

/// Wait before a failed heartbeat is retried.
const AGAIN: Duration = Duration::from_millis(500);

/// The channels of one account.
struct Group {
    channels: Vec<Arc<Channel>>,
    /// While this process owns them.
    ownership: Option<Ownership>,
}

/// From the moment that an account's leases are acquired until the last of its tasks has ended.
struct Ownership {
    tasks: TaskGroup,
    /// Its tasks were asked to end. Its lease is renewed until they have, unless it was lost.
    ending: bool,
    lost: bool,
}

/// Result of acquiring free accounts.
enum AcquireOutcome {
    /// They are this process's, or will be at the next heartbeat.
    All,
    /// Another process has acquired some meanwhile.
    Raced,
}

/// Shares the channels with other processes.
pub(super) struct LeaseManager {
    store: Arc<dyn Store>,
    lease: Duration,
    answer_within: Duration,
    groups: Vec<Group>,
    /// Groups of tasks that are ending.
    endings: JoinSet<usize>,
    /// The last heartbeat failed.
    failing: bool,
    stop: CancellationToken,
}

impl LeaseManager {
    /// `accounts`: the channels of each. They start without an owner.
    pub(super) fn new(
        store: &Arc<dyn Store>,
        lease: Duration,
        answer_within: Duration,
        accounts: Vec<Vec<Arc<Channel>>>,
        stop: CancellationToken,
    ) -> Self {
        accounts.iter().flatten().for_each(|channel| channel.state.wakeups.set_remote(false));
        let group = |channels| Group { channels, ownership: None };
        Self {
            store: Arc::clone(store),
            lease,
            answer_within,
            groups: accounts.into_iter().map(group).collect(),
            endings: JoinSet::new(),
            failing: false,
            stop,
        }
    }

    /// Acquires free channels before the listener opens, so that a single process can answer its first requests with a
    /// verdict.
    pub(super) async fn begin(&mut self) {
        let store = Arc::clone(&self.store);
        if let Some(leases) = store.leases() {
            leases.join();
            self.heartbeat(leases, true).await;
        }
    }

    /// Runs until the stop, then until what it owned is given back.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let store = Arc::clone(&self.store);
        let Some(leases) = store.leases() else { anyhow::bail!("the store has no leases") };
        let stop = self.stop.clone();
        let mut next = Instant::now() + self.lease / RENEWALS;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.endings.join_next(), if !self.endings.is_empty() => self.ended(leases, ended).await,
                () = tokio::time::sleep_until(next) => next = self.heartbeat(leases, true).await,
                () = leases.changes().notified() => next = self.heartbeat(leases, true).await,
            }
            self.watch_tasks()?;
        }
        self.give_all_back(leases).await;
        Ok(())
    }

    /// A loop that ends by itself stops the process, as it does where one process has the store to itself.
    fn watch_tasks(&self) -> anyhow::Result<()> {
        let broken = |ownership: &Ownership| !ownership.ending && ownership.tasks.stopping().is_cancelled();
        match self.groups.iter().find(|group| group.ownership.as_ref().is_some_and(broken)) {
            Some(group) if !self.stop.is_cancelled() => {
                anyhow::bail!("a task of channel `{}` ended early", group.channels[0].name())
            }
            _ => Ok(()),
        }
    }

    /// Renews, learns who owns what, acquires what is free and gives back what is too much. Returns when to do so
    /// again.
    async fn heartbeat(&mut self, leases: &dyn Leases, share: bool) -> Instant {
        let (asked, asked_ms) = (Instant::now(), now_ms());
        let held = self.groups.iter().filter(|group| group.ownership.as_ref().is_some_and(|ownership| !ownership.lost));
        let prompt = |channel: &Arc<Channel>| {
            (channel.name().clone(), channel.state.wakeups.verdict_expected(self.answer_within))
        };
        let held = held.flat_map(|group| &group.channels).map(prompt).collect();
        match leases.heartbeat(self.lease, held).await {
            Ok(view) => {
                self.failing = false;
                self.renewed(&view, asked_ms);
                if share {
                    match self.share(leases, &view).await {
                        Ok(AcquireOutcome::All) => {}
                        Ok(AcquireOutcome::Raced) => return Instant::now() + RACED.mul_f64(0.5 + jitter()),
                        Err(error) => {
                            self.failed(&error);
                            return Instant::now() + AGAIN;
                        }
                    }
                }
                // A process that has not renewed by then counts as dead: its channels are free.
                let gone = view.runs_out.map(|left| Instant::now() + left + SOON_AFTER);
                let next = asked + self.lease / RENEWALS;
                gone.map_or(next, |gone| gone.min(next))
            }
            Err(error) => {
                self.failed(&error);
                Instant::now() + AGAIN
            }
        }
    }

    fn failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "leases cannot be renewed: without the store nothing is sent or published; trying again"
            );
        }
    }

    /// Returns the deadline of a lease: counted from before the request, less a part for clocks that run unevenly.
    fn until_ms(&self, asked_ms: i64) -> i64 {
        asked_ms.saturating_add(millis(self.lease * 4 / 5))
    }

    /// Updates which leases are still held or were lost.
    fn renewed(&mut self, view: &ClusterView, asked_ms: i64) {
        let until_ms = self.until_ms(asked_ms);
        for (index, group) in self.groups.iter_mut().enumerate() {
            let mine = group.channels.iter().all(|channel| view.owners.get(channel.name()) == Some(&Owner::Me));
            match &mut group.ownership {
                Some(ownership) if mine && !ownership.lost => {
                    group.channels.iter().for_each(|channel| channel.ports.deadline.extend_to(until_ms));
                }
                Some(ownership) if !ownership.lost => {
                    ownership.lost = true;
                    for channel in &group.channels {
                        channel.ports.deadline.extend_to(0);
                        tracing::warn!(
                            channel_name = %channel.name(),
                            "channel `{}`: its lease has passed to another process, which goes on with it",
                            channel.name()
                        );
                    }
                    if !ownership.ending {
                        ownership.ending = true;
                        self.endings.spawn(end(index, ownership.tasks.clone()));
                    }
                }
                Some(_) => {}
                None => {
                    for channel in &group.channels {
                        let soon = view.owners.get(channel.name()) == Some(&Owner::Other { prompt: true });
                        channel.state.wakeups.set_remote(soon);
                    }
                }
            }
        }
    }

    /// Acquires free accounts up to this process's share, or starts to give back what exceeds it.
    async fn share(&mut self, leases: &dyn Leases, view: &ClusterView) -> Result<AcquireOutcome, StoreError> {
        let fair = self.groups.len().div_ceil(view.processes.max(1));
        let kept = |group: &Group| group.ownership.as_ref().is_some_and(|ownership| !ownership.ending);
        let held = self.groups.iter().filter(|group| kept(group)).count();
        let beyond: Vec<usize> = (0..self.groups.len())
            .rev()
            .filter(|index| kept(&self.groups[*index]))
            .take(held.saturating_sub(fair))
            .collect();
        for index in beyond {
            let Some(ownership) = &mut self.groups[index].ownership else { continue };
            ownership.ending = true;
            self.endings.spawn(end(index, ownership.tasks.clone()));
        }
        let free = |group: &Group| {
            group.ownership.is_none() && group.channels.iter().all(|channel| !view.owners.contains_key(channel.name()))
        };
        let all = self.groups.len();
        // From a random start, so that processes do not all try the same first.
        let first = rand::random_range(0..all.max(1));
        let order = (0..all).map(|step| (first + step) % all);
        let wanted: Vec<usize> =
            order.filter(|index| free(&self.groups[*index])).take(fair.saturating_sub(held)).collect();
        // Held leases must be renewed meanwhile: the rest is acquired after the next heartbeat.
        let until = Instant::now() + self.lease / RENEWALS;
        let mut taken = AcquireOutcome::All;
        for index in wanted {
            if !self.acquire(leases, index).await? {
                taken = AcquireOutcome::Raced;
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok(taken)
    }

    /// Acquires the leases of one account and starts its loops. Returns false if another process was quicker.
    async fn acquire(&mut self, leases: &dyn Leases, index: usize) -> Result<bool, StoreError> {
        let (asked_ms, until_ms) = (now_ms(), self.until_ms(now_ms()));
        let channels = self.groups[index].channels.clone();
        let names: Vec<ChannelName> = channels.iter().map(|channel| channel.name().clone()).collect();
        let Some(epochs) = leases.acquire(self.lease, names).await? else { return Ok(false) };
        let tasks = TaskGroup::child_of(&self.stop);
        let ownership = Ownership { tasks: tasks.clone(), ending: false, lost: false };
        self.groups[index].ownership = Some(ownership);
        match take_over(&channels, &epochs).await {
            Ok(waiting) => {
                for ((channel, epoch), waiting) in channels.into_iter().zip(epochs).zip(waiting) {
                    channel.state.calls.account.upstream.limiter.fill_window();
                    channel.ports.deadline.extend_to(until_ms);
                    channel.state.wakeups.set_local(waiting);
                    metrics::owned(channel.name(), true);
                    let took_ms = now_ms() - asked_ms;
                    tracing::info!(channel_name = %channel.name(), waiting, took_ms, "channel `{}` is served here", channel.name());
                    loops::start(&channel, epoch, &tasks);
                }
                Ok(true)
            }
            Err(error) => {
                // Nothing runs yet; the lease is given back as after any other end.
                let Some(ownership) = &mut self.groups[index].ownership else { return Err(error) };
                ownership.ending = true;
                self.endings.spawn(end(index, tasks));
                Err(error)
            }
        }
    }

    /// Gives back the leases of an account after its tasks have ended, except those that are lost.
    async fn ended(&mut self, leases: &dyn Leases, ended: Result<usize, tokio::task::JoinError>) {
        let Ok(index) = ended else { return };
        let group = &mut self.groups[index];
        let Some(ownership) = group.ownership.take() else { return };
        for channel in &group.channels {
            channel.ports.deadline.extend_to(0);
            channel.state.wakeups.set_remote(false);
            metrics::owned(channel.name(), false);
        }
        if ownership.lost {
            return;
        }
        let names = group.channels.iter().map(|channel| channel.name().clone()).collect();
        match leases.release(names).await {
            Ok(()) => group.channels.iter().for_each(|channel| {
                tracing::info!(channel_name = %channel.name(), "channel `{}` was handed over", channel.name());
            }),
            Err(error) => self.failed(&error), // the lease expires by itself
        }
    }

    /// At the stop: gives each account back as soon as its tasks have ended, and renews it until then.
    async fn give_all_back(&mut self, leases: &dyn Leases) {
        let by = Instant::now() + GRACE;
        if let Err(error) = leases.deregister().await {
            self.failed(&error);
        }
        for (index, group) in self.groups.iter_mut().enumerate() {
            if let Some(ownership) = group.ownership.as_mut().filter(|ownership| !ownership.ending) {
                ownership.ending = true;
                self.endings.spawn(end(index, ownership.tasks.clone()));
            }
        }
        let every = self.lease / RENEWALS;
        let mut next = Instant::now() + every;
        while !self.endings.is_empty() && Instant::now() < by {
            tokio::select! {
                Some(ended) = self.endings.join_next() => self.ended(leases, ended).await,
                () = tokio::time::sleep_until(next) => {
                    self.heartbeat(leases, false).await;
                    next = Instant::now() + every;
                }
                () = tokio::time::sleep_until(by) => {}
            }
        }
    }
}

/// Asks the tasks of an account to end, and waits until they have. Each call has a timeout, so they do.
async fn end(index: usize, tasks: TaskGroup) -> usize {
    tasks.stop();
    tasks.wait_all().await;
    index
}

/// Marks the sends that former owners left unfinished as in doubt. Returns how many messages wait in each channel.
async fn take_over(channels: &[Arc<Channel>], epochs: &[Epoch]) -> Result<Vec<i64>, StoreError> {
    for (channel, epoch) in channels.iter().zip(epochs) {
        loops::account_for_left(channel, *epoch).await?;
    }
    let Some(first) = channels.first() else { return Ok(Vec::new()) };
    let waiting = first.ports.store.waiting().await?;
    let of = |channel: &Arc<Channel>| waiting.iter().find(|there| there.channel == channel.name().as_str());
    let count =
        |channel: &Arc<Channel>| of(channel).map_or(0, |there| i64::try_from(there.outbound).unwrap_or(i64::MAX));
    Ok(channels.iter().map(count).collect())
}

#[cfg(test)]
mod tests;
