//! Leases: who owns which channel. Times are the server's.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::db::{Db, args};
use super::{PostgresStore, sql};
use crate::domain::ChannelName;
use crate::domain::clock::{millis, since};
use crate::store::ops::responses::next_epoch;
use crate::store::tx::decode;
use crate::store::{ClusterView, Epoch, Leases, Owner, StoreError};

#[async_trait]
impl Leases for PostgresStore {
    fn join(&self) {
        self.joins.store(true, Ordering::Relaxed);
    }

    async fn heartbeat(&self, lease: Duration, held: Vec<(ChannelName, bool)>) -> Result<ClusterView, StoreError> {
        let starts = self.notifier.start(lease);
        let joins = self.joins.load(Ordering::Relaxed);
        let said = Heartbeat { lease_ms: millis(lease), held, joins };
        let view = self.write("heartbeat", said, |db, said| Box::pin(heartbeat(db, said))).await?;
        if joins {
            self.joins.store(false, Ordering::Relaxed);
        }
        if starts || joins {
            self.notifier.leases(); // there is one more process to share with
        }
        Ok(view)
    }

    async fn acquire(&self, lease: Duration, channels: Vec<ChannelName>) -> Result<Option<Vec<Epoch>>, StoreError> {
        let lease_ms = millis(lease);
        let all = channels.clone();
        if self.pool.direct().is_some() {
            self.read(channels.clone(), |db, channels| Box::pin(end_connections(db, channels))).await?;
        }
        let acquired =
            self.write("acquire", channels, move |db, channels| Box::pin(acquire(db, lease_ms, channels))).await?;
        if let Some(epochs) = &acquired {
            all.iter().zip(epochs).for_each(|(channel, epoch)| self.owns(channel, *epoch));
            self.notifier.owns(&all, true);
        }
        Ok(acquired)
    }

    async fn release(&self, channels: Vec<ChannelName>) -> Result<(), StoreError> {
        self.notifier.owns(&channels, false);
        self.write("release", channels, |db, channels| Box::pin(release(db, channels))).await?;
        self.notifier.leases();
        Ok(())
    }

    async fn deregister(&self) -> Result<(), StoreError> {
        self.write("deregister", (), |db, ()| Box::pin(deregister(db))).await?;
        self.notifier.leases();
        Ok(())
    }

    fn changes(&self) -> &Notify {
        &self.notifier.changes
    }
}

/// What a process announces of itself.
pub(super) struct Heartbeat {
    pub(super) lease_ms: i64,
    pub(super) held: Vec<(ChannelName, bool)>,
    pub(super) joins: bool,
}

pub(super) async fn heartbeat(db: &mut Db, heartbeat: &Heartbeat) -> Result<ClusterView, StoreError> {
    let me = db.me();
    db.execute(sql::ALIVE, args![me, heartbeat.lease_ms, i64::from(heartbeat.joins)]).await?;
    let channels: Vec<String> = heartbeat.held.iter().map(|(channel, _)| channel.as_str().to_owned()).collect();
    let prompt: Vec<i64> = heartbeat.held.iter().map(|(_, prompt)| i64::from(*prompt)).collect();
    if !channels.is_empty() {
        db.execute(sql::RENEW, args![channels, prompt, me, heartbeat.lease_ms]).await?;
    }
    db.execute(sql::FORGET_PROCESSES, args![]).await?;
    let processes: i64 = db.one(sql::LIVING, args![]).await?;
    let leases: Vec<(String, String, i64, i64)> = db.rows(sql::OWNERS, args![]).await?;
    let others = leases.iter().filter(|(_, process, ..)| process.as_str() != &*me);
    let runs_out = others.map(|(.., left_ms)| since(0, *left_ms)).min();
    let owner = |(channel, process, prompt, _): (String, String, i64, i64)| {
        let owner = if process == *me { Owner::Me } else { Owner::Other { prompt: prompt != 0 } };
        Some((channel.parse().ok()?, owner)) // a channel name that does not parse is not configured here
    };
    let owners: HashMap<ChannelName, Owner> = leases.into_iter().filter_map(owner).collect();
    Ok(ClusterView { processes: usize::try_from(processes).unwrap_or(1).max(1), owners, runs_out })
}

/// Ends the connections of former owners of these channels that count as dead.
async fn end_connections(db: &mut Db, channels: &[ChannelName]) -> Result<(), StoreError> {
    let names: Vec<String> = channels.iter().map(|channel| channel.as_str().to_owned()).collect();
    let me = db.me();
    let gone: Vec<(String,)> = db.rows(sql::FORMER_OWNERS, args![names, me]).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let gone: Vec<String> = gone.into_iter().map(|(process,)| process).collect();
    let ended: i64 = db.one(sql::END_CONNECTIONS, args![gone]).await?;
    if ended > 0 {
        tracing::warn!(connections = ended, "a process that does not renew its leases was cut off from the database");
    }
    Ok(())
}

/// Takes all or none. One order of locks, against deadlocks.
pub(super) async fn acquire(
    db: &mut Db,
    lease_ms: i64,
    channels: &[ChannelName],
) -> Result<Option<Vec<Epoch>>, StoreError> {
    let me = db.me();
    let mut names: Vec<String> = channels.iter().map(|channel| channel.as_str().to_owned()).collect();
    names.sort_unstable();
    db.execute(sql::MAKE_LEASES, args![names]).await?;
    let taken: Vec<(i64,)> = db.rows(sql::LEASES_LOCKED, args![names, me]).await?;
    if taken.iter().any(|(by_another,)| *by_another != 0) {
        return Ok(None);
    }
    db.execute(sql::TAKE_LEASES, args![names, me, lease_ms]).await?;
    let mut epochs = HashMap::with_capacity(names.len());
    for name in names {
        let channel: ChannelName = decode("leases", &name)?;
        let epoch = next_epoch(db, &channel).await?;
        epochs.insert(channel, epoch);
    }
    let epochs = channels.iter().filter_map(|channel| epochs.get(channel).copied()).collect();
    Ok(Some(epochs))
}

pub(super) async fn release(db: &mut Db, channels: &[ChannelName]) -> Result<(), StoreError> {
    let names: Vec<String> = channels.iter().map(|channel| channel.as_str().to_owned()).collect();
    let me = db.me();
    db.execute(sql::RELEASE, args![names, me]).await.map(drop)
}

pub(super) async fn deregister(db: &mut Db) -> Result<(), StoreError> {
    let me = db.me();
    db.execute(sql::DEREGISTER, args![me]).await.map(drop)
}

/// Returns the process that has the lease of each channel.
pub(super) async fn owners(db: &mut Db) -> Result<BTreeMap<String, String>, StoreError> {
    let leases: Vec<(String, String, i64, i64)> = db.rows(sql::OWNERS, args![]).await?;
    Ok(leases.into_iter().map(|(channel, process, ..)| (channel, process)).collect())
}
