//! The shared engine: one PostgreSQL database, reached over a bounded number of connections. Operations run side by side
//! in READ COMMITTED; each locks the conversation that it changes first, so that those on one conversation follow each
//! other. Commits that come together share a flush of the server's log.

mod choice;
mod claims;
mod db;
mod doubts;
mod inbound;
mod links;
mod open;
mod outbound;
mod sql;
mod upkeep;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Accepted, Attempt, Decision, Doubt, DueEvent, Epoch, Evidence, Filter, Interrupted, Listed, Look, NewOutbound,
    OwnSend, Position, Publication, Reading, Settlement, Signals, Store, StoreError, Waiting,
};
use crate::domain::{ChannelName, Choice, ContactId};

use db::Db;
use links::{Links, Work};
pub(crate) use open::OpenError;

/// Longest time for an answer to "can something be written now".
const CHECK: Duration = Duration::from_millis(1500);

/// Rows of one channel that may have been begun without anyone having been told.
type Adrift = Arc<tokio::sync::Mutex<Vec<i64>>>;

/// The store over one PostgreSQL database.
pub(crate) struct PostgresStore {
    links: Arc<Links>,
    signals: Arc<Signals>,
    adrift: Mutex<HashMap<ChannelName, Adrift>>,
}

impl PostgresStore {
    /// Opens the database for a process that owns channels; makes the schema or brings it forward.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator: out of reach, not a store, made by a newer bridge.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self::over(open::owner(url).await?))
    }

    /// Opens an existing store beside a running process, for commands. Nothing is migrated.
    ///
    /// # Errors
    /// [`OpenError`], also where a bridge of this version has not served the database yet.
    pub(crate) async fn visit(url: &str) -> Result<Self, OpenError> {
        Ok(Self::over(open::visitor(url).await?))
    }

    /// Whether `url` can be understood, without asking anyone.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator.
    pub(crate) fn verify(url: &str) -> Result<(), OpenError> {
        open::verify(url)
    }

    fn over(links: Links) -> Self {
        Self { links: Arc::new(links), signals: Arc::default(), adrift: Mutex::default() }
    }

    /// Runs `work` in a transaction and returns once it is durable. `name` names it among the crash points. In a task of
    /// its own: a caller that goes away stops nothing halfway.
    async fn write<A, T, F>(&self, name: &'static str, args: A, work: F) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync + 'static,
    {
        let links = Arc::clone(&self.links);
        tokio::spawn(async move { links.write(name, &args, &work).await }).await.map_err(|_| StoreError::Closed)?
    }

    async fn read<A, T, F>(&self, args: A, work: F) -> Result<T, StoreError>
    where
        A: Send + Sync,
        T: Send,
        F: for<'c> Fn(&'c mut Db, &'c A) -> Work<'c, T> + Send + Sync,
    {
        self.links.read(&args, &work).await
    }

    fn adrift(&self, channel: &ChannelName) -> Adrift {
        let mut all = self.adrift.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(channel.clone()).or_default())
    }
}

/// A commit whose answer was lost may stand all the same: whom it concerns is rung then too.
fn may_stand<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Ok(_) | Err(StoreError::Unavailable(_)))
}

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, message: NewOutbound) -> Result<Accepted, StoreError> {
        // In a task of its own: the caller may go away before the commit, and the bell must ring all the same.
        let (links, signals) = (Arc::clone(&self.links), Arc::clone(&self.signals));
        let kept = tokio::spawn(async move {
            let outcome = links.write("accept", &message, &|db, new| Box::pin(outbound::accept(db, new))).await;
            if may_stand(&outcome) {
                signals.ring_outbound(&message.channel, i64::from(outcome.is_ok()));
            }
            outcome
        });
        kept.await.map_err(|_| StoreError::Closed)?
    }

    async fn own(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        self.write("own", channel.clone(), |db, channel| Box::pin(outbound::own(db, channel))).await
    }

    async fn interrupted(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Interrupted>, StoreError> {
        let found = self
            .write("interrupted", (channel.clone(), epoch, look_ms, now_ms), |db, (channel, epoch, look_ms, now_ms)| {
                Box::pin(doubts::interrupted(db, channel, *epoch, *look_ms, *now_ms))
            })
            .await?;
        self.signals.ring_looks(channel);
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
        let mut adrift = self.adrift(channel).lock_owned().await;
        let (channel, begun) = (channel.clone(), Mutex::default());
        let turn = outbound::Turn { channel, epoch, now_ms, live_since_ms, limit, adrift: adrift.clone(), begun };
        let turn = Arc::new(turn);
        let outcome = self.write("begin", Arc::clone(&turn), |db, turn| Box::pin(outbound::begin(db, turn))).await;
        match &outcome {
            Ok(begun) => {
                adrift.clear();
                if let Some(signals) = self.signals.channel(&turn.channel) {
                    signals.add_waiting(-i64::try_from(begun.len()).unwrap_or(0));
                }
            }
            // The commit may stand. None of them was handed out, so the next call may queue them again.
            Err(StoreError::Unavailable(_) | StoreError::Closed) => {
                adrift.append(&mut turn.begun.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Err(StoreError::Stale | StoreError::Corrupt { .. }) => {}
        }
        outcome
    }

    async fn settle(&self, attempt: &Attempt, settlement: Settlement, now_ms: i64) -> Result<(), StoreError> {
        let noticed = self
            .write("settle", (attempt.clone(), settlement.clone(), now_ms), |db, (attempt, settlement, now_ms)| {
                Box::pin(outbound::settle(db, attempt, settlement, "sending", *now_ms))
            })
            .await?;
        self.signals.ring_settled(&attempt.channel, &settlement, noticed);
        Ok(())
    }

    async fn due_looks(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<Doubt>, StoreError> {
        self.read(channel.clone(), move |db, channel| Box::pin(doubts::due(db, channel, now_ms, limit))).await
    }

    async fn next_look_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(doubts::next_ms(db, channel))).await
    }

    async fn evidence(&self, doubt: &Doubt) -> Result<Evidence, StoreError> {
        self.read(doubt.clone(), |db, doubt| Box::pin(doubts::evidence(db, doubt))).await
    }

    async fn look_again(&self, doubt: &Doubt, look: Look, look_ms: i64, now_ms: i64) -> Result<(), StoreError> {
        self.write("look_again", doubt.clone(), move |db, doubt| {
            Box::pin(doubts::look_again(db, doubt, look, look_ms, now_ms))
        })
        .await
    }

    async fn resolve(
        &self,
        doubt: &Doubt,
        epoch: Epoch,
        settlement: Settlement,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let noticed = self
            .write("resolve", (doubt.attempt.clone(), settlement.clone()), move |db, (attempt, settlement)| {
                Box::pin(async move {
                    outbound::check_epoch(db, &attempt.channel, epoch).await?;
                    outbound::settle(db, attempt, settlement, "unknown", now_ms).await
                })
            })
            .await?;
        self.signals.ring_settled(&doubt.attempt.channel, &settlement, noticed);
        Ok(())
    }

    async fn decide(
        &self,
        m_id: String,
        decision: Decision,
        notice: String,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        self.write("decide", (m_id, notice), move |db, (m_id, notice)| {
            Box::pin(doubts::decide(db, m_id, decision, notice, now_ms))
        })
        .await
    }

    async fn notify_failed(&self, attempt: &Attempt, notice: String, now_ms: i64) -> Result<(), StoreError> {
        self.write("notify_failed", (attempt.clone(), notice), move |db, (attempt, notice)| {
            Box::pin(async move {
                db.lock(attempt.conversation).await?;
                outbound::notice(db, attempt.conversation, &attempt.m_id, notice, now_ms).await
            })
        })
        .await?;
        self.signals.ring_events(&attempt.channel);
        Ok(())
    }

    async fn next_outbound_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(outbound::next_ms(db, channel))).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read((), |db, ()| Box::pin(upkeep::waiting(db))).await
    }

    async fn baseline_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(inbound::baseline_ms(db, channel))).await
    }

    async fn take_baseline(
        &self,
        channel: &ChannelName,
        conversations: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write("take_baseline", (channel.clone(), conversations), move |db, (channel, conversations)| {
            Box::pin(inbound::take_baseline(db, channel, conversations, now_ms))
        })
        .await
    }

    async fn note_unread(&self, channel: &ChannelName, contact: &ContactId, unread: String) -> Result<(), StoreError> {
        self.write("note_unread", (channel.clone(), contact.clone(), unread), |db, (channel, contact, unread)| {
            Box::pin(inbound::note_unread(db, channel, contact, unread))
        })
        .await
    }

    async fn position(&self, channel: &ChannelName, contact: &ContactId) -> Result<Option<Position>, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| Box::pin(inbound::position(db, channel, contact))).await
    }

    async fn positions(&self, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(inbound::positions(db, channel))).await
    }

    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<Vec<(String, i64)>, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| Box::pin(inbound::seen(db, channel, contact))).await
    }

    async fn own_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<OwnSend>, StoreError> {
        self.read((channel.clone(), contact.clone()), move |db, (channel, contact)| {
            Box::pin(claims::own_sends(db, channel.as_str(), contact.as_str(), limit))
        })
        .await
    }

    async fn open_choice(&self, channel: &ChannelName, contact: &ContactId) -> Result<Option<Choice>, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| Box::pin(choice::open(db, channel.as_str(), contact.as_str()))).await
    }

    async fn record(&self, reading: Reading) -> Result<usize, StoreError> {
        let channel = reading.channel.clone();
        let outcome = self.write("record", reading, |db, reading| Box::pin(inbound::record(db, reading))).await;
        if may_stand(&outcome) && !matches!(outcome, Ok((0, _))) {
            self.signals.ring_events(&channel);
        }
        if may_stand(&outcome) && !matches!(outcome, Ok((_, false))) {
            self.signals.ring_looks(&channel);
        }
        outcome.map(|(events, _)| events)
    }

    async fn due_events(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<DueEvent>, StoreError> {
        let (due, unreadable) = self
            .read(channel.clone(), move |db, channel| Box::pin(inbound::due_events(db, channel, now_ms, limit)))
            .await?;
        if !unreadable.is_empty() {
            self.write("bury", unreadable, move |db, unreadable| Box::pin(inbound::bury(db, unreadable, now_ms)))
                .await?;
        }
        Ok(due)
    }

    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), move |db, channel| Box::pin(inbound::next_ms(db, channel, now_ms))).await
    }

    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError> {
        self.write("published", (event.clone(), publication), move |db, (event, publication)| {
            Box::pin(inbound::published(db, event, publication, now_ms))
        })
        .await?;
        self.signals.ring_events(&event.channel);
        Ok(())
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Listed>, StoreError> {
        self.read(filter, |db, filter| Box::pin(upkeep::list(db, filter))).await
    }

    async fn show(&self, m_id: String) -> Result<Option<Listed>, StoreError> {
        self.read(m_id, |db, m_id| Box::pin(upkeep::show(db, m_id))).await
    }

    async fn sweep(&self, text_before_ms: i64, rows_before_ms: i64, limit: u32) -> Result<usize, StoreError> {
        self.write("sweep", (), move |db, ()| Box::pin(upkeep::sweep(db, text_before_ms, rows_before_ms, limit))).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let check = async {
            if !self.links.healthy() {
                self.write("probe", (), |db, ()| Box::pin(upkeep::probe(db))).await?;
            }
            self.read((), |db, ()| Box::pin(upkeep::writable(db))).await
        };
        tokio::time::timeout(CHECK, check).await.unwrap_or_else(|elapsed| {
            self.links.forget_idle();
            Err(StoreError::Unavailable(Arc::new(elapsed)))
        })
    }

    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    async fn close(&self) {
        self.links.close().await;
    }
}

#[cfg(test)]
mod tests;
