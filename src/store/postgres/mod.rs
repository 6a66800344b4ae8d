//! The shared engine: one PostgreSQL database, reached over a bounded number of connections. Operations run side by side
//! in READ COMMITTED; each locks the conversation that it changes first, so that those on one conversation follow each
//! other. Commits that come together share a flush of the server's log.

mod accept;
mod bulk;
mod db;
mod engine;
mod examine;
mod in_doubt_commits;
mod leases;
mod notifier;
mod open;
mod operators;
mod outbound;
mod pool;
mod reach;
mod remote_verdicts;
mod response_journal;
mod sql;
mod target;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    AcceptOutcome, Accepted, AccountTraits, Attempt, Begun, BulkJobs, ConversationRead, Decision, DecisionTarget,
    DiscardNotices, DueEvent, Epoch, Erase, Erasure, Evidence, Examination, FoundMessages, GivenUp, InDoubtSend,
    Indexing, Interrupted, Leases, ListedMessage, LookupResult, ManualOutcome, NewOutbound, Operators, Paused, Person,
    Position, Publication, QueueDepth, Recorded, SeenRows, SendRecord, Settlement, StaleMessage, StaleQuery, StaleRule,
    Store, StoreError, TailFrom, Tailed, UnreportedSend, Waiting, Wakeups,
};
use crate::domain::clock::now_ms;
use crate::domain::find::Search;
use crate::domain::journey::{Journey, Operator};
use crate::domain::matching::SentForm;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{ChannelName, Chat, ContactId, MId, PendingQuestion, Wordings};

use super::ops;
use super::tx::Tx as _;
pub(crate) use engine::PostgresStore;
use engine::may_be_committed;
pub(super) use open::OpenError as TargetError;
pub(super) use reach::Unreachable;
pub(super) use target::Target;

/// Longest time for [`Store::check`].
const CHECK: Duration = Duration::from_millis(1500);

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, mut message: NewOutbound) -> Result<Accepted, StoreError> {
        // In a task of its own: the caller may go away before the commit, and the sender must be notified all the same.
        let (pool, notifier) = (Arc::clone(&self.pool), Arc::clone(&self.notifier));
        let wakeups = self.wakeups.channel(&message.channel);
        let here = wakeups.as_ref().is_none_or(|wakeups| wakeups.is_local());
        if here {
            message.waits = Duration::ZERO; // this process gives the verdict
        } else if !message.waits.is_zero() {
            notifier.await_verdict(&message.m_id, message.waits);
        }
        let call = self.in_doubt_commits.begin(message);
        let kept = tokio::spawn(async move {
            let outcome = accept::store(&call, &pool, notifier.lease()).await;
            let new = outcome.as_ref().is_ok_and(|accepted| accepted.outcome == AcceptOutcome::New);
            if (new || outcome.is_err()) && may_be_committed(&outcome) {
                match wakeups {
                    Some(wakeups) if here => wakeups.notify_outbound(i64::from(new)),
                    _ => notifier.outbound(&call.message.channel),
                }
            }
            if let Some(lost) = call.finish(&outcome) {
                tokio::spawn(lost.record(pool));
            }
            outcome
        });
        kept.await.map_err(|_| StoreError::Closed)?
    }

    async fn record_responses(&self, responses: Vec<(MId, bool)>) -> Result<Vec<(MId, bool)>, StoreError> {
        self.write("record_responses", responses, |db, responses| Box::pin(ops::responses::record(db, responses))).await
    }

    fn journal_response(&self, m_id: &MId, reached: bool) {
        self.notifier.response_journal.note(m_id, reached);
    }

    async fn correct_clock_rollback(&self, now_ms: i64) -> Result<i64, StoreError> {
        self.write("follow_clock", now_ms, |db, now_ms| Box::pin(ops::clock_rollback::correct(db, *now_ms))).await
    }

    async fn take_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        let epoch = self
            .write("take_ownership", channel.clone(), |db, channel| {
                Box::pin(ops::responses::take_ownership(db, channel))
            })
            .await?;
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
                Box::pin(ops::in_doubt::interrupted(db, channel, *epoch, *look_ms, *now_ms))
            })
            .await?;
        self.wakeups.notify_lookups(channel);
        Ok(found)
    }

    async fn begin_unless_stale(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        now_ms: i64,
        live_since_ms: i64,
        limit: u32,
        wordings: &Wordings,
        stale: Option<StaleRule>,
    ) -> Result<Begun, StoreError> {
        let mut maybe_claimed = self.maybe_claimed(channel).lock_owned().await;
        let (channel, begun) = (channel.clone(), Mutex::default());
        let wordings = wordings.clone();
        let of = ops::outbound::BeginRequest { channel, epoch, now_ms, live_since_ms, limit, wordings, stale };
        let request = outbound::BeginRequest { of, maybe_claimed: maybe_claimed.clone(), begun };
        let request = Arc::new(request);
        let outcome =
            self.write("begin", Arc::clone(&request), |db, request| Box::pin(outbound::begin(db, request))).await;
        match &outcome {
            Ok(begun) => {
                maybe_claimed.clear();
                if let Some(wakeups) = self.wakeups.channel(&request.of.channel) {
                    wakeups.add_waiting(-i64::try_from(begun.attempts.len()).unwrap_or(0));
                }
                if !begun.stale.is_empty() {
                    self.wakeups.notify_failed(&request.of.channel, begun.stale.len());
                }
            }
            // The commit may stand. None of them was handed out, so the next call may requeue them.
            Err(StoreError::Unavailable(_) | StoreError::Closed) => {
                maybe_claimed.append(&mut request.begun.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Err(StoreError::Stale | StoreError::Corrupt { .. }) => {}
        }
        outcome
    }

    async fn fail_stale(&self, query: StaleQuery, limit: u32, now_ms: i64) -> Result<Vec<StaleMessage>, StoreError> {
        let heads =
            self.read(query.clone(), move |db, query| Box::pin(ops::stale::heads(db, query, limit, now_ms))).await?;
        if heads.is_empty() {
            return Ok(Vec::new());
        }
        let channel = query.channel.clone();
        let failed = self
            .write("fail_stale", (query, heads), move |db, (query, heads)| {
                Box::pin(async move {
                    ops::outbound::check_epoch(db, &query.channel, query.epoch).await?;
                    ops::stale::fail(db, query, heads, now_ms).await
                })
            })
            .await;
        if engine::may_be_committed(&failed) {
            self.wakeups.notify_failed(&channel, failed.as_ref().map_or(0, Vec::len));
        }
        failed
    }

    async fn prepare_call(&self, attempt: &Attempt, form: Option<SentForm>, now_ms: i64) -> Result<(), StoreError> {
        let args = (attempt.clone(), form, now_ms);
        self.write_owned("prepare_call", &attempt.channel, args, |db, (attempt, form, now_ms)| {
            Box::pin(ops::outbound::prepare_call(db, attempt, form.as_ref(), *now_ms))
        })
        .await
    }

    async fn settle(&self, attempt: &Attempt, settlement: Settlement, now_ms: i64) -> Result<(), StoreError> {
        let noticed = self
            .write("settle", (attempt.clone(), settlement.clone(), now_ms), |db, (attempt, settlement, now_ms)| {
                Box::pin(ops::outbound::settle(db, attempt, settlement, "sending", *now_ms))
            })
            .await?;
        self.wakeups.notify_settled(&attempt.channel, &settlement, noticed);
        if attempt.awaited {
            self.notifier.verdict();
        }
        Ok(())
    }

    async fn due_lookups(
        &self,
        channel: &ChannelName,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<InDoubtSend>, StoreError> {
        self.read(channel.clone(), move |db, channel| Box::pin(ops::in_doubt::due(db, channel, now_ms, limit))).await
    }

    async fn next_lookup_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(ops::in_doubt::next_ms(db, channel))).await
    }

    async fn evidence(&self, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError> {
        self.read(in_doubt.clone(), |db, in_doubt| Box::pin(ops::in_doubt::evidence(db, in_doubt))).await
    }

    async fn record_lookup(
        &self,
        in_doubt: &InDoubtSend,
        look: LookupResult,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write_owned("record_lookup", &in_doubt.attempt.channel, in_doubt.clone(), move |db, in_doubt| {
            Box::pin(ops::in_doubt::record_lookup(db, in_doubt, look, look_ms, now_ms))
        })
        .await
    }

    async fn resolve(
        &self,
        in_doubt: &InDoubtSend,
        epoch: Epoch,
        settlement: Settlement,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let noticed = self
            .write("resolve", (in_doubt.clone(), settlement.clone()), move |db, (kept, settlement)| {
                Box::pin(ops::in_doubt::resolve(db, kept, epoch, settlement, now_ms))
            })
            .await?;
        self.wakeups.notify_settled(&in_doubt.attempt.channel, &settlement, noticed);
        Ok(())
    }

    async fn decide(
        &self,
        target: DecisionTarget,
        decision: Decision,
        notice: String,
        by: Operator,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        self.write("decide", (target, notice, by), move |db, (target, notice, by)| {
            Box::pin(ops::in_doubt::decide(db, target, decision, notice, by, now_ms))
        })
        .await
    }

    async fn notify_failed(&self, attempt: &Attempt, notice: String, now_ms: i64) -> Result<(), StoreError> {
        self.write("notify_failed", (attempt.clone(), notice), move |db, (attempt, notice)| {
            Box::pin(async move {
                db.lock(attempt.conversation).await?;
                ops::events::notice(db, attempt.conversation, &attempt.m_id, notice, now_ms).await
            })
        })
        .await?;
        self.wakeups.notify_events(&attempt.channel);
        Ok(())
    }

    async fn next_outbound_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        if !self.maybe_claimed(channel).lock().await.is_empty() {
            return Ok(Some(0)); // no lane is open for them until `begin` has queued them again
        }
        self.read(channel.clone(), |db, channel| Box::pin(ops::outbound::next_ms(db, channel))).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read((), |db, ()| Box::pin(ops::admin::waiting(db))).await
    }

    async fn examine(&self, _: Duration) -> Result<Examination, StoreError> {
        let how = (self.pool.is_unverified(), self.pool.is_behind_pooler());
        self.read(how, |db, (unverified, pooler)| Box::pin(examine::examine(db, *unverified, *pooler))).await
    }

    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError> {
        self.read((), |db, ()| Box::pin(ops::admin::depths(db))).await
    }

    async fn snapshot_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(ops::inbound::snapshot_ms(db, channel))).await
    }

    async fn store_initial_snapshot(
        &self,
        channel: &ChannelName,
        conversations: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.write_owned(
            "take_baseline",
            channel,
            (channel.clone(), conversations),
            move |db, (channel, conversations)| {
                Box::pin(ops::inbound::store_initial_snapshot(db, channel, conversations, now_ms))
            },
        )
        .await
    }

    async fn note_unread(&self, channel: &ChannelName, chat: &Chat, unread: String) -> Result<(), StoreError> {
        let args = (channel.clone(), chat.clone(), unread);
        self.write_owned("note_unread", channel, args, |db, (channel, chat, unread)| {
            Box::pin(ops::inbound::note_unread(db, channel, chat, unread))
        })
        .await
    }

    async fn positions_of(&self, channel: &ChannelName, contact: &ContactId) -> Result<Vec<Position>, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| Box::pin(ops::inbound::positions_of(db, channel, contact))).await
    }

    async fn known_contacts(
        &self,
        channel: &ChannelName,
        contacts: Vec<ContactId>,
    ) -> Result<Vec<ContactId>, StoreError> {
        let of = (channel.clone(), contacts);
        self.read(of, |db, (channel, contacts)| Box::pin(ops::inbound::known_contacts(db, channel, contacts))).await
    }

    async fn positions(&self, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(ops::inbound::positions(db, channel))).await
    }

    async fn active_since(&self, channel: &ChannelName, since_ms: i64) -> Result<Vec<Chat>, StoreError> {
        let of = (channel.clone(), since_ms);
        self.read(of, |db, (channel, since_ms)| Box::pin(ops::inbound::active_since(db, channel, *since_ms))).await
    }

    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| Box::pin(ops::inbound::seen(db, channel, contact))).await
    }

    async fn chats_with_postponed(&self, channel: &ChannelName) -> Result<Vec<Chat>, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(ops::inbound::chats_with_postponed(db, channel))).await
    }

    async fn own_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<SendRecord>, StoreError> {
        self.read((channel.clone(), contact.clone()), move |db, (channel, contact)| {
            Box::pin(ops::matches::own_sends(db, channel.as_str(), contact.as_str(), limit))
        })
        .await
    }

    async fn unreported_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<UnreportedSend>, StoreError> {
        self.read((channel.clone(), contact.clone()), move |db, (channel, contact)| {
            Box::pin(ops::account_traits::unreported_sends(db, channel.as_str(), contact.as_str(), limit))
        })
        .await
    }

    async fn account_traits(&self, channel: &ChannelName) -> Result<AccountTraits, StoreError> {
        self.read(channel.clone(), |db, channel| Box::pin(ops::account_traits::account_traits(db, channel.as_str())))
            .await
    }

    async fn pending_question(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
    ) -> Result<Option<PendingQuestion>, StoreError> {
        let of = (channel.clone(), contact.clone());
        self.read(of, |db, (channel, contact)| {
            Box::pin(ops::pending_question::open(db, channel.as_str(), contact.as_str()))
        })
        .await
    }

    async fn record(&self, reading: ConversationRead) -> Result<Recorded, StoreError> {
        let channel = reading.channel.clone();
        let outcome = self
            .write_owned("record", &channel, reading, |db, reading| Box::pin(ops::inbound::record(db, reading)))
            .await;
        if may_be_committed(&outcome) && !matches!(outcome, Ok((Recorded { events: 0, .. }, _))) {
            self.wakeups.notify_events(&channel);
        }
        if may_be_committed(&outcome) && !matches!(outcome, Ok((_, false))) {
            self.wakeups.notify_lookups(&channel);
        }
        outcome.map(|(recorded, _)| recorded)
    }

    async fn due_events(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<DueEvent>, StoreError> {
        let (due, unreadable) = self
            .read(channel.clone(), move |db, channel| Box::pin(ops::events::due_events(db, channel, now_ms, limit)))
            .await?;
        if !unreadable.is_empty() {
            self.write("mark_dead", unreadable, move |db, unreadable| {
                Box::pin(ops::events::mark_dead(db, unreadable, now_ms))
            })
            .await?;
        }
        Ok(due)
    }

    async fn event_behind(&self, event: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
        self.read(event.clone(), move |db, event| Box::pin(ops::events::event_behind(db, event, now_ms))).await
    }

    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
        self.read(channel.clone(), move |db, channel| Box::pin(ops::events::next_ms(db, channel, now_ms))).await
    }

    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError> {
        self.write_owned("published", &event.channel, (event.clone(), publication), move |db, (event, publication)| {
            Box::pin(ops::events::published(db, event, publication, now_ms))
        })
        .await?;
        self.wakeups.notify_events(&event.channel);
        Ok(())
    }

    async fn find(&self, search: Search, within: Option<Duration>) -> Result<FoundMessages, StoreError> {
        if within.is_none() {
            return self.read(search, |db, search| Box::pin(ops::find::find(db, search, None))).await;
        }
        self.pool.read_limited(&search, &move |db, search| Box::pin(ops::find::find(db, search, within))).await
    }

    async fn index_texts(&self, now_ms: i64) -> Result<Indexing, StoreError> {
        let due = self.read((), move |db, ()| Box::pin(ops::text_index::due(db, now_ms))).await?;
        let Some(due) = due else { return Ok(Indexing::Done) };
        if self.pool.is_busy()
            && let Some(put_off) = due.put_off(now_ms)
        {
            return Ok(put_off);
        }
        let indexed = due.indexed();
        let read = self.read(due, |db, due| Box::pin(ops::text_index::read(db, due))).await?;
        self.write("index_texts", read, |db, read| Box::pin(ops::text_index::store(db, read))).await?;
        Ok(indexed)
    }

    async fn tail(&self, from: TailFrom) -> Result<Tailed, StoreError> {
        self.read(from, |db, from| Box::pin(ops::tail::tail(db, *from))).await
    }

    async fn pause(
        &self,
        channel: &ChannelName,
        kind: PauseKind,
        by: Operator,
        now_ms: i64,
    ) -> Result<Paused, StoreError> {
        let args = (channel.clone(), by);
        let paused = self
            .write("pause", args, move |db, (channel, by)| Box::pin(ops::pauses::pause(db, channel, kind, by, now_ms)))
            .await?;
        self.notifier.pauses().await;
        Ok(paused)
    }

    async fn resume(
        &self,
        channel: &ChannelName,
        kind: PauseKind,
        by: Operator,
        now_ms: i64,
    ) -> Result<Option<OperatorPause>, StoreError> {
        let args = (channel.clone(), by);
        let ended = self
            .write("resume", args, move |db, (channel, by)| {
                Box::pin(ops::pauses::resume(db, channel, kind, by, now_ms))
            })
            .await?;
        self.notifier.pauses().await;
        Ok(ended)
    }

    async fn operator_pauses(&self) -> Result<Vec<OperatorPause>, StoreError> {
        self.read((), |db, ()| Box::pin(ops::pauses::lasting(db))).await
    }

    async fn set_paused_by(&self, channels: Vec<(ChannelName, Option<String>)>, now_ms: i64) -> Result<(), StoreError> {
        self.write("set_paused_by", (channels, now_ms), |db, (channels, now_ms)| {
            Box::pin(ops::journey::set_paused_by(db, channels, *now_ms))
        })
        .await
    }

    async fn show(&self, m_id: String) -> Result<Option<ListedMessage>, StoreError> {
        self.read(m_id, |db, m_id| Box::pin(ops::admin::show(db, m_id))).await
    }

    async fn journey(&self, m_id: String) -> Result<Option<Journey>, StoreError> {
        self.read(m_id, |db, m_id| Box::pin(ops::journey::read(db, m_id, now_ms()))).await
    }

    async fn retry(&self, target: DecisionTarget, by: Operator, now_ms: i64) -> Result<ManualOutcome, StoreError> {
        self.write("retry", (target, by), move |db, (target, by)| Box::pin(ops::manual::retry(db, target, by, now_ms)))
            .await
    }

    async fn given_up(&self, channel: Option<String>, since_ms: i64) -> Result<Vec<GivenUp>, StoreError> {
        self.read(channel, move |db, channel| Box::pin(ops::manual::given_up(db, channel.as_deref(), since_ms))).await
    }

    async fn retry_given_up(
        &self,
        channel: Option<String>,
        since_ms: i64,
        limit: u32,
        by: Operator,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        self.write("retry", (channel, by), move |db, (channel, by)| {
            Box::pin(ops::manual::retry_given_up(db, channel.as_deref(), since_ms, limit, by, now_ms))
        })
        .await
    }

    async fn channel_names(&self) -> Result<Vec<String>, StoreError> {
        self.read((), |db, ()| Box::pin(ops::admin::channel_names(db))).await
    }

    async fn discard(
        &self,
        target: DecisionTarget,
        notices: DiscardNotices,
        by: Operator,
        now_ms: i64,
    ) -> Result<ManualOutcome, StoreError> {
        self.write("discard", (target, notices, by), move |db, (target, notices, by)| {
            Box::pin(ops::manual::discard(db, target, notices, by, now_ms))
        })
        .await
    }

    async fn erase(&self, person: Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError> {
        self.write("erase", person, move |db, person| Box::pin(ops::erase::erase(db, person, how, now_ms))).await
    }

    async fn purge(&self, text_before_ms: i64, rows_before_ms: i64, limit: u32) -> Result<usize, StoreError> {
        self.write("purge", (), move |db, ()| Box::pin(ops::purge::purge(db, text_before_ms, rows_before_ms, limit)))
            .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let check = async {
            if !self.pool.healthy() {
                self.write("probe", (), |db, ()| Box::pin(pool::probe(db))).await?;
            }
            self.read((), |db, ()| Box::pin(pool::writable(db))).await
        };
        tokio::time::timeout(CHECK, check).await.unwrap_or_else(|elapsed| {
            self.pool.forget_idle();
            Err(StoreError::Unavailable(Arc::new(elapsed)))
        })
    }

    fn bulk(&self) -> &dyn BulkJobs {
        self
    }

    fn wakeups(&self) -> &Arc<Wakeups> {
        &self.wakeups
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    fn operators(&self) -> &dyn Operators {
        self
    }

    async fn close(&self) {
        self.notifier.close().await;
        self.pool.close().await;
    }
}

#[cfg(test)]
mod tests;
