//! The shared engine: one PostgreSQL database, reached over a bounded number of connections. Operations run side by side
//! in READ COMMITTED; each locks the conversation that it changes first, so that those on one conversation follow each
//! other. Commits that come together share a flush of the server's log.

mod answers;
mod bells;
mod choice;
mod claims;
mod db;
mod doubts;
mod engine;
mod erase;
mod inbound;
mod learned;
mod leases;
mod links;
mod notes;
mod open;
mod outbound;
mod person;
mod sql;
mod target;
mod times;
mod unsure;
mod upkeep;
mod verdicts;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Accepted, Attempt, ByHand, Decision, Depth, DiscardNotices, Doubt, DueEvent, Epoch, Erase, Erasure, Evidence,
    Filter, GivenUp, Interrupted, Kept, Learned, Leases, Listed, Look, NewOutbound, OwnSend, Person, Position,
    Publication, Reading, Recorded, Seen, Settlement, Signals, Store, StoreError, Untold, Waiting,
};
use crate::domain::{ChannelName, ContactId, MId, PendingQuestion};

pub(crate) use engine::PostgresStore;
use engine::may_stand;
pub(super) use open::OpenError as TargetError;
pub(super) use target::Target;

/// Longest time for an answer to "can something be written now".
const CHECK: Duration = Duration::from_millis(1500);

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, mut message: NewOutbound) -> Result<Accepted, StoreError> {
        // In a task of its own: the caller may go away before the commit, and the bell must ring all the same.
        let (links, bells) = (Arc::clone(&self.links), Arc::clone(&self.bells));
        let signals = self.signals.channel(&message.channel);
        let here = signals.as_ref().is_none_or(|signals| signals.is_here());
        if here {
            message.waits = Duration::ZERO; // this process gives the verdict
        } else if !message.waits.is_zero() {
            bells.await_verdict(&message.m_id, message.waits);
        }
        let call = self.unsure.call(message);
        let kept = tokio::spawn(async move {
            let outcome = call.kept(&links, bells.lease()).await;
            let new = outcome.as_ref().is_ok_and(|accepted| accepted.kept == Kept::New);
            if (new || outcome.is_err()) && may_stand(&outcome) {
                match signals {
                    Some(signals) if here => signals.ring_outbound(i64::from(new)),
                    _ => bells.outbound(&call.message.channel),
                }
            }
            if let Some(lost) = call.over(&outcome) {
                tokio::spawn(lost.tell(links));
            }
            outcome
        });
        kept.await.map_err(|_| StoreError::Closed)?
    }

    async fn answered(&self, answers: Vec<(MId, bool)>) -> Result<(), StoreError> {
        self.write("answered", answers, |db, answers| Box::pin(answers::settle(db, answers))).await
    }

    fn note_answer(&self, m_id: &MId, reached: bool) {
        self.bells.notes.note(m_id, reached);
    }

    async fn follow_clock(&self, now_ms: i64) -> Result<i64, StoreError> {
        self.write("follow_clock", now_ms, |db, now_ms| Box::pin(times::follow(db, *now_ms))).await
    }

    async fn own(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        let epoch = self.write("own", channel.clone(), |db, channel| Box::pin(answers::own(db, channel))).await?;
        self.owns(channel, epoch);
        Ok(epoch)
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
        if attempt.awaited {
            self.bells.verdict();
        }
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
        self.write_owned("look_again", &doubt.attempt.channel, doubt.clone(), move |db, doubt| {
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
        if !self.adrift(channel).lock().await.is_empty() {
            return Ok(Some(0)); // no lane is open for them until `begin` has queued them again
        }
        self.read(channel.clone(), |db, channel| Box::pin(outbound::next_ms(db, channel))).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read((), |db, ()| Box::pin(upkeep::waiting(db))).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        self.read((), |db, ()| Box::pin(upkeep::depths(db))).await
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
        self.write_owned(
            "take_baseline",
            channel,
            (channel.clone(), conversations),
            move |db, (channel, conversations)| Box::pin(inbound::take_baseline(db, channel, conversations, now_ms)),
        )
        .await
    }

    async fn note_unread(&self, channel: &ChannelName, contact: &ContactId, unread: String) -> Result<(), StoreError> {
        let args = (channel.clone(), contact.clone(), unread);
        self.write_owned("note_unread", channel, args, |db, (channel, contact, unread)| {
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

    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<Seen, StoreError> {
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

    async fn untold(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<Untold>, StoreError> {
        self.read((channel.clone(), contact.clone()), move |db, (channel, contact)| {
            Box::pin(learned::untold(db, channel.as_str(), contact.as_str(), limit))
        })
        .await
    }

    async fn learned(&self, channel: &ChannelName) -> Result<Learned, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(learned::learned(db, channel.as_str()))).await
    }

    async fn pending_question(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
    ) -> Result<Option<PendingQuestion>, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| Box::pin(choice::open(db, channel.as_str(), contact.as_str()))).await
    }

    async fn record(&self, reading: Reading) -> Result<Recorded, StoreError> {
        let channel = reading.channel.clone();
        let outcome =
            self.write_owned("record", &channel, reading, |db, reading| Box::pin(inbound::record(db, reading))).await;
        if may_stand(&outcome) && !matches!(outcome, Ok((Recorded { events: 0, .. }, _))) {
            self.signals.ring_events(&channel);
        }
        if may_stand(&outcome) && !matches!(outcome, Ok((_, false))) {
            self.signals.ring_looks(&channel);
        }
        outcome.map(|(recorded, _)| recorded)
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

    async fn event_behind(&self, event: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
        self.read(event.clone(), move |db, event| Box::pin(inbound::event_behind(db, event, now_ms))).await
    }

    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), move |db, channel| Box::pin(inbound::next_ms(db, channel, now_ms))).await
    }

    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError> {
        self.write_owned("published", &event.channel, (event.clone(), publication), move |db, (event, publication)| {
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

    async fn retry(&self, m_id: String, now_ms: i64) -> Result<ByHand, StoreError> {
        self.write("retry", m_id, move |db, m_id| Box::pin(person::retry(db, m_id, now_ms))).await
    }

    async fn given_up(&self, channel: Option<String>, since_ms: i64) -> Result<Vec<GivenUp>, StoreError> {
        self.read(channel, move |db, channel| Box::pin(person::given_up(db, channel.as_deref(), since_ms))).await
    }

    async fn retry_given_up(
        &self,
        channel: Option<String>,
        since_ms: i64,
        limit: u32,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        self.write("retry", channel, move |db, channel| {
            Box::pin(person::retry_given_up(db, channel.as_deref(), since_ms, limit, now_ms))
        })
        .await
    }

    async fn channel_names(&self) -> Result<Vec<String>, StoreError> {
        self.read((), |db, ()| Box::pin(upkeep::channel_names(db))).await
    }

    async fn discard(&self, m_id: String, notices: DiscardNotices, now_ms: i64) -> Result<ByHand, StoreError> {
        self.write("discard", (m_id, notices), move |db, (m_id, notices)| {
            Box::pin(person::discard(db, m_id, notices, now_ms))
        })
        .await
    }

    async fn erase(&self, person: Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError> {
        self.write("erase", person, move |db, person| Box::pin(erase::erase(db, person, how, now_ms))).await
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

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    async fn close(&self) {
        self.bells.close().await;
        self.links.close().await;
    }
}

#[cfg(test)]
mod tests;
