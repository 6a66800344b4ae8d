//! The embedded engine: one SQLite file, WAL, `synchronous=FULL`, one writer that groups commits, readers beside it.

mod choice;
mod claims;
mod inbound;
mod learned;
mod open;
mod outbound;
mod readers;
mod upkeep;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::{
    Accepted, Attempt, DueEvent, Epoch, Filter, Interrupted, Learned, Listed, NewOutbound, OwnSend, Position,
    Publication, Reading, Seen, Settlement, Signals, Store, StoreError, Untold, Waiting, sql,
};
use crate::domain::{ChannelName, Choice, ContactId, Destination};
use crate::store::ChannelSignals;

pub(crate) use open::OpenError;
use readers::Readers;

/// Operations that share one commit, at most.
const GROUP: usize = 1000;

/// The store over one SQLite file.
pub(crate) struct SqliteStore {
    writer: Mutex<Option<writer::Writer>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: Arc<Readers>,
    signals: Arc<Signals>,
    /// Held as long as this process owns the channels; `None` for commands that only look.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens (or makes) the file for the process that owns its channels.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator: held by another process, not a store, damaged, made by a newer bridge.
    pub(crate) fn open(file: &Path) -> Result<Self, OpenError> {
        Self::owned(file, GROUP)
    }

    /// As [`Self::open`], every operation with a commit of its own: what grouping is measured against.
    pub(crate) fn open_ungrouped(file: &Path) -> Result<Self, OpenError> {
        Self::owned(file, 1)
    }

    /// Opens an existing file beside a running process, for commands. Nothing is migrated.
    ///
    /// # Errors
    /// [`OpenError`], also where a bridge of this version has not served the file yet.
    pub(crate) fn visit(file: &Path) -> Result<Self, OpenError> {
        if !file.exists() {
            return Err(OpenError::Missing(file.to_owned()));
        }
        Self::over(open::visitor(file)?, None, file, GROUP)
    }

    fn owned(file: &Path, most: usize) -> Result<Self, OpenError> {
        let (db, lock) = open::writer(file)?;
        Self::over(db, Some(lock), file, most)
    }

    fn over(db: Connection, lock: Option<std::fs::File>, file: &Path, most: usize) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::new(file));
        let (writer, thread) = writer::Writer::start(db, most).map_err(OpenError::Thread)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(thread)),
            readers,
            signals: Arc::default(),
            _lock: lock,
        })
    }

    fn writer(&self) -> Result<writer::Writer, StoreError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)
    }

    /// Runs `work` in the next commit. `name` names it among the crash points.
    async fn write<T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer()?.run(name, work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let _turn = self.readers.turns.acquire().await.map_err(|_| StoreError::Closed)?;
        tokio::task::spawn_blocking(move || readers.with(work)).await.map_err(|_| StoreError::Closed)?
    }

    fn ring_events(&self, channel: &ChannelName) {
        if let Some(signals) = self.signals.channel(channel) {
            signals.events.notify_one();
        }
    }
}

/// The engine could not do it: later, perhaps.
fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(Arc::new(error))
}

/// A row that this version cannot read.
fn corrupt(table: &'static str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    move |source| StoreError::Corrupt { table, source: Arc::from(source) }
}

/// Rings for a channel after a commit.
fn ring_outbound(channel: Option<&ChannelSignals>, more_waiting: i64) {
    if let Some(signals) = channel {
        signals.add_waiting(more_waiting);
        signals.outbound.notify_one();
    }
}

/// The store's own name of a conversation, which is made where it is new.
fn conversation(
    db: &Connection,
    channel: &ChannelName,
    contact: &ContactId,
    destination: &Destination,
) -> Result<i64, StoreError> {
    let (channel, contact) = (channel.as_str(), contact.as_str());
    let known: Option<i64> = db
        .prepare_cached(sql::CONVERSATION)
        .and_then(|mut s| s.query_row(params![channel, contact], |r| r.get(0)).optional())
        .map_err(unavailable)?;
    match known {
        Some(id) => Ok(id),
        None => one(db, sql::ADD_CONVERSATION, params![channel, contact, destination.as_str()]),
    }
}

/// The one value of a statement that always has one.
fn one<T: rusqlite::types::FromSql>(db: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<T, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.query_row(params, |r| r.get(0))).map_err(unavailable)
}

/// All rows of a statement.
fn rows<T>(
    db: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.query_map(params, read)?.collect()).map_err(unavailable)
}

/// Tells how many rows it changed.
fn execute(db: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<usize, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(unavailable)
}

/// Changes exactly one row; `Stale` where it is no longer as expected.
fn change(db: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<(), StoreError> {
    if execute(db, sql, params)? == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

/// Parses a stored id or JSON text, naming the table where it does not decode.
fn decode<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| corrupt(table)(Box::new(error)))
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, message: NewOutbound) -> Result<Accepted, StoreError> {
        // In a task of its own: the caller may go away before the commit, and the bell must ring all the same.
        let (writer, signals) = (self.writer()?, self.signals.channel(&message.channel));
        let kept = tokio::spawn(async move {
            let accepted = writer.run("accept", move |db| outbound::accept(db, &message)).await?;
            ring_outbound(signals.as_deref(), 1);
            Ok(accepted)
        });
        kept.await.map_err(|_| StoreError::Closed)?
    }

    async fn own(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        let channel = channel.clone();
        self.write("own", move |db| outbound::own(db, &channel)).await
    }

    async fn interrupted(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        notice: String,
        now_ms: i64,
    ) -> Result<Vec<Interrupted>, StoreError> {
        let name = channel.clone();
        let found =
            self.write("interrupted", move |db| outbound::interrupted(db, &name, epoch, &notice, now_ms)).await?;
        self.ring_events(channel);
        Ok(found)
    }

    async fn begin(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        now_ms: i64,
        live_since_ms: i64,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let name = channel.clone();
        let begun =
            self.write("begin", move |db| outbound::begin(db, &name, epoch, now_ms, live_since_ms, limit)).await?;
        if let Some(signals) = self.signals.channel(channel) {
            signals.add_waiting(-i64::try_from(begun.len()).unwrap_or(0));
        }
        Ok(begun)
    }

    async fn settle(&self, attempt: &Attempt, settlement: Settlement, now_ms: i64) -> Result<(), StoreError> {
        let requeued = match &settlement {
            Settlement::Queued { .. } | Settlement::Sent { more: true, .. } => 1,
            Settlement::Sent { .. } | Settlement::Failed { .. } | Settlement::Unknown { .. } => 0,
        };
        let attempt = attempt.clone();
        let channel = attempt.channel.clone();
        let noticed = self.write("settle", move |db| outbound::settle(db, &attempt, &settlement, now_ms)).await?;
        ring_outbound(self.signals.channel(&channel).as_deref(), requeued);
        if noticed {
            self.ring_events(&channel);
        }
        Ok(())
    }

    async fn notify_failed(&self, attempt: &Attempt, notice: String, now_ms: i64) -> Result<(), StoreError> {
        let channel = attempt.channel.clone();
        let attempt = attempt.clone();
        self.write("notify_failed", move |db| {
            outbound::notice(db, attempt.conversation, &attempt.m_id, &notice, now_ms)
        })
        .await?;
        self.ring_events(&channel);
        Ok(())
    }

    async fn next_outbound_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| outbound::next_ms(db, &channel)).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read(upkeep::waiting).await
    }

    async fn baseline_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| inbound::baseline_ms(db, &channel)).await
    }

    async fn take_baseline(
        &self,
        channel: &ChannelName,
        conversations: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let channel = channel.clone();
        self.write("take_baseline", move |db| inbound::take_baseline(db, &channel, &conversations, now_ms)).await
    }

    async fn note_unread(&self, channel: &ChannelName, contact: &ContactId, unread: String) -> Result<(), StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.write("note_unread", move |db| inbound::note_unread(db, &channel, &contact, &unread)).await
    }

    async fn positions(&self, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| inbound::positions(db, &channel)).await
    }

    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<Seen, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| inbound::seen(db, &channel, &contact)).await
    }

    async fn own_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<OwnSend>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| claims::own_sends(db, channel.as_str(), contact.as_str(), limit)).await
    }

    async fn untold(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<Untold>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| learned::untold(db, channel.as_str(), contact.as_str(), limit)).await
    }

    async fn learned(&self, channel: &ChannelName) -> Result<Learned, StoreError> {
        let channel = channel.clone();
        self.read(move |db| learned::learned(db, channel.as_str())).await
    }

    async fn open_choice(&self, channel: &ChannelName, contact: &ContactId) -> Result<Option<Choice>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| choice::open(db, channel.as_str(), contact.as_str())).await
    }

    async fn record(&self, reading: Reading) -> Result<usize, StoreError> {
        let channel = reading.channel.clone();
        let events = self.write("record", move |db| inbound::record(db, &reading)).await?;
        if events > 0 {
            self.ring_events(&channel);
        }
        Ok(events)
    }

    async fn due_events(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<DueEvent>, StoreError> {
        let channel = channel.clone();
        let (due, unreadable) = self.read(move |db| inbound::due_events(db, &channel, now_ms, limit)).await?;
        if !unreadable.is_empty() {
            self.write("bury", move |db| inbound::bury(db, &unreadable, now_ms)).await?;
        }
        Ok(due)
    }

    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| inbound::next_ms(db, &channel, now_ms)).await
    }

    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError> {
        let channel = event.channel.clone();
        let event = event.clone();
        self.write("published", move |db| inbound::published(db, &event, &publication, now_ms)).await?;
        self.ring_events(&channel);
        Ok(())
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Listed>, StoreError> {
        self.read(move |db| upkeep::list(db, &filter)).await
    }

    async fn show(&self, m_id: String) -> Result<Option<Listed>, StoreError> {
        self.read(move |db| upkeep::show(db, &m_id)).await
    }

    async fn sweep(&self, text_before_ms: i64, rows_before_ms: i64, limit: u32) -> Result<usize, StoreError> {
        self.write("sweep", move |db| upkeep::sweep(db, text_before_ms, rows_before_ms, limit)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        if !self.writer()?.healthy() {
            self.write("probe", upkeep::probe).await?;
        }
        self.read(|db| db.query_row("SELECT 1", [], |_| Ok(())).map_err(unavailable)).await
    }

    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    async fn close(&self) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.readers.clear();
    }
}
