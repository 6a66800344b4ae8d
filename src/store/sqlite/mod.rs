//! The embedded engine: one SQLite file, WAL, `synchronous=FULL`, one writer that groups commits, readers beside it.

mod accept;
mod bulk;
mod db;
mod disk;
mod engine;
mod examine;
mod files;
mod guard;
mod lock;
mod open;
mod open_error;
mod operators;
mod readers;
mod response_journal;
mod source;
mod stamp;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    AcceptOutcome, Accepted, AccountTraits, Attempt, Begun, BulkJobs, ConversationRead, Decision, DecisionTarget,
    DiscardNotices, DueEvent, Epoch, Erase, Erasure, Evidence, Examination, FoundMessages, GivenUp, InDoubtSend,
    Indexing, Interrupted, ListedMessage, LookupResult, ManualOutcome, NewOutbound, Operators, Paused, Person,
    Position, Publication, QueueDepth, Recorded, SeenRows, SendRecord, Settlement, StaleMessage, StaleQuery, StaleRule,
    Store, StoreError, TailFrom, Tailed, UnreportedSend, Waiting, Wakeups,
};
use crate::domain::clock::now_ms;
use crate::domain::find::Search;
use crate::domain::journey::{Journey, Operator};
use crate::domain::matching::SentForm;
use crate::domain::operator_pause::{OperatorPause, PauseKind};
use crate::domain::{ChannelName, Chat, ContactId, MId, PendingQuestion, Wordings};

use super::ops::{self, outbound::BeginRequest};
use super::tx::at_once;
use db::{SqliteTx, unavailable};
pub(crate) use disk::DiskFault;
pub(crate) use engine::SqliteStore;
pub(crate) use files::FileGone;
pub(super) use open_error::OpenError as SourceError;
pub(super) use source::{ReadError, Source};

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, message: NewOutbound) -> Result<Accepted, StoreError> {
        let wakeups = self.wakeups.channel(&message.channel);
        // The caller may go away before the commit, and the sender must be notified all the same.
        let notify = move |accepted: &Accepted| {
            if accepted.outcome == AcceptOutcome::New
                && let Some(wakeups) = wakeups
            {
                wakeups.notify_outbound(1);
            }
        };
        self.writer()?.run_and_notify("accept", move |db| accept::take(db, &message), notify).await
    }

    async fn record_responses(&self, responses: Vec<(MId, bool)>) -> Result<Vec<(MId, bool)>, StoreError> {
        let journaled = self.response_journal.as_ref().map(|response_journal| (response_journal, responses.clone()));
        let left = self
            .write("record_responses", move |db| at_once(ops::responses::record(&mut SqliteTx(db), &responses)))
            .await?;
        if let Some((response_journal, responses)) = journaled {
            response_journal.recorded(&responses);
        }
        Ok(left)
    }

    fn journal_response(&self, m_id: &MId, reached: bool) {
        if let Some(response_journal) = &self.response_journal {
            response_journal.note(m_id, reached);
        }
    }

    async fn correct_clock_rollback(&self, now_ms: i64) -> Result<i64, StoreError> {
        self.write("follow_clock", move |db| at_once(ops::clock_rollback::correct(&mut SqliteTx(db), now_ms))).await
    }

    async fn take_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        let channel = channel.clone();
        self.write("take_ownership", move |db| at_once(ops::responses::take_ownership(&mut SqliteTx(db), &channel)))
            .await
    }

    async fn retake_ownership(&self, channel: &ChannelName) -> Result<Epoch, StoreError> {
        let channel = channel.clone();
        self.write("take_ownership", move |db| at_once(ops::responses::next_epoch(&mut SqliteTx(db), &channel))).await
    }

    async fn interrupted(
        &self,
        channel: &ChannelName,
        epoch: Epoch,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<Interrupted>, StoreError> {
        let name = channel.clone();
        let interrupted = move |db: &Connection| {
            at_once(ops::in_doubt::interrupted(&mut SqliteTx(db), &name, epoch, look_ms, now_ms))
        };
        let found = self.write("interrupted", interrupted).await?;
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
        let (channel, wordings) = (channel.clone(), wordings.clone());
        let request = BeginRequest { channel, epoch, now_ms, live_since_ms, limit, wordings, stale };
        let name = request.channel.clone();
        let begun = self
            .write("begin", move |db| {
                let tx = &mut SqliteTx(db);
                at_once(ops::outbound::check_epoch(tx, &request.channel, request.epoch))?;
                at_once(ops::outbound::begin(tx, &request, |_| {}))
            })
            .await?;
        if let Some(wakeups) = self.wakeups.channel(&name) {
            wakeups.add_waiting(-i64::try_from(begun.attempts.len()).unwrap_or(0));
        }
        if !begun.stale.is_empty() {
            self.wakeups.notify_failed(&name, begun.stale.len());
        }
        Ok(begun)
    }

    async fn fail_stale(&self, query: StaleQuery, limit: u32, now_ms: i64) -> Result<Vec<StaleMessage>, StoreError> {
        let (channel, looked_for) = (query.channel.clone(), query.clone());
        let heads =
            self.read(move |db| at_once(ops::stale::heads(&mut SqliteTx(db), &looked_for, limit, now_ms))).await?;
        if heads.is_empty() {
            return Ok(Vec::new());
        }
        let failed = self
            .write("fail_stale", move |db| {
                let tx = &mut SqliteTx(db);
                at_once(ops::outbound::check_epoch(tx, &query.channel, query.epoch))?;
                at_once(ops::stale::fail(tx, &query, &heads, now_ms))
            })
            .await?;
        self.wakeups.notify_failed(&channel, failed.len());
        Ok(failed)
    }

    async fn prepare_call(&self, attempt: &Attempt, form: Option<SentForm>, now_ms: i64) -> Result<(), StoreError> {
        let attempt = attempt.clone();
        self.write("prepare_call", move |db| {
            at_once(ops::outbound::prepare_call(&mut SqliteTx(db), &attempt, form.as_ref(), now_ms))
        })
        .await
    }

    async fn settle(&self, attempt: &Attempt, settlement: Settlement, now_ms: i64) -> Result<(), StoreError> {
        let (kept, told) = (attempt.clone(), settlement.clone());
        let noticed = self
            .write("settle", move |db| {
                at_once(ops::outbound::settle(&mut SqliteTx(db), &kept, &told, "sending", now_ms))
            })
            .await?;
        self.wakeups.notify_settled(&attempt.channel, &settlement, noticed);
        Ok(())
    }

    async fn due_lookups(
        &self,
        channel: &ChannelName,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<InDoubtSend>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::in_doubt::due(&mut SqliteTx(db), &channel, now_ms, limit))).await
    }

    async fn next_lookup_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::in_doubt::next_ms(&mut SqliteTx(db), &channel))).await
    }

    async fn evidence(&self, in_doubt: &InDoubtSend) -> Result<Evidence, StoreError> {
        let in_doubt = in_doubt.clone();
        self.read(move |db| at_once(ops::in_doubt::evidence(&mut SqliteTx(db), &in_doubt))).await
    }

    async fn record_lookup(
        &self,
        in_doubt: &InDoubtSend,
        look: LookupResult,
        look_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let in_doubt = in_doubt.clone();
        self.write("record_lookup", move |db| {
            at_once(ops::in_doubt::record_lookup(&mut SqliteTx(db), &in_doubt, look, look_ms, now_ms))
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
        let (kept, told, channel) = (in_doubt.clone(), settlement.clone(), in_doubt.attempt.channel.clone());
        let resolve =
            move |db: &Connection| at_once(ops::in_doubt::resolve(&mut SqliteTx(db), &kept, epoch, &told, now_ms));
        let noticed = self.write("resolve", resolve).await?;
        self.wakeups.notify_settled(&channel, &settlement, noticed);
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
        self.write("decide", move |db| {
            at_once(ops::in_doubt::decide(&mut SqliteTx(db), &target, decision, &notice, &by, now_ms))
        })
        .await
    }

    async fn notify_failed(&self, attempt: &Attempt, notice: String, now_ms: i64) -> Result<(), StoreError> {
        let channel = attempt.channel.clone();
        let attempt = attempt.clone();
        self.write("notify_failed", move |db| {
            at_once(ops::events::notice(&mut SqliteTx(db), attempt.conversation, &attempt.m_id, &notice, now_ms))
        })
        .await?;
        self.wakeups.notify_events(&channel);
        Ok(())
    }

    async fn next_outbound_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::outbound::next_ms(&mut SqliteTx(db), &channel))).await
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read(|db| at_once(ops::admin::waiting(&mut SqliteTx(db)))).await
    }

    async fn examine(&self, within: Duration) -> Result<Examination, StoreError> {
        self.read(move |db| at_once(examine::examine(SqliteTx(db), within))).await
    }

    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError> {
        self.read(|db| at_once(ops::admin::depths(&mut SqliteTx(db)))).await
    }

    async fn snapshot_ms(&self, channel: &ChannelName) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::inbound::snapshot_ms(&mut SqliteTx(db), &channel))).await
    }

    async fn store_initial_snapshot(
        &self,
        channel: &ChannelName,
        conversations: Vec<Position>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let channel = channel.clone();
        self.write("take_baseline", move |db| {
            at_once(ops::inbound::store_initial_snapshot(&mut SqliteTx(db), &channel, &conversations, now_ms))
        })
        .await
    }

    async fn note_unread(&self, channel: &ChannelName, chat: &Chat, unread: String) -> Result<(), StoreError> {
        let (channel, chat) = (channel.clone(), chat.clone());
        self.write("note_unread", move |db| {
            at_once(ops::inbound::note_unread(&mut SqliteTx(db), &channel, &chat, &unread))
        })
        .await
    }

    async fn positions_of(&self, channel: &ChannelName, contact: &ContactId) -> Result<Vec<Position>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| at_once(ops::inbound::positions_of(&mut SqliteTx(db), &channel, &contact))).await
    }

    async fn known_contacts(
        &self,
        channel: &ChannelName,
        contacts: Vec<ContactId>,
    ) -> Result<Vec<ContactId>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::inbound::known_contacts(&mut SqliteTx(db), &channel, &contacts))).await
    }

    async fn positions(&self, channel: &ChannelName) -> Result<Vec<Position>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::inbound::positions(&mut SqliteTx(db), &channel))).await
    }

    async fn active_since(&self, channel: &ChannelName, since_ms: i64) -> Result<Vec<Chat>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::inbound::active_since(&mut SqliteTx(db), &channel, since_ms))).await
    }

    async fn seen(&self, channel: &ChannelName, contact: &ContactId) -> Result<SeenRows, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| at_once(ops::inbound::seen(&mut SqliteTx(db), &channel, &contact))).await
    }

    async fn chats_with_postponed(&self, channel: &ChannelName) -> Result<Vec<Chat>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::inbound::chats_with_postponed(&mut SqliteTx(db), &channel))).await
    }

    async fn own_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<SendRecord>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| {
            at_once(ops::matches::own_sends(&mut SqliteTx(db), channel.as_str(), contact.as_str(), limit))
        })
        .await
    }

    async fn unreported_sends(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
        limit: usize,
    ) -> Result<Vec<UnreportedSend>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| {
            at_once(ops::account_traits::unreported_sends(&mut SqliteTx(db), channel.as_str(), contact.as_str(), limit))
        })
        .await
    }

    async fn account_traits(&self, channel: &ChannelName) -> Result<AccountTraits, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::account_traits::account_traits(&mut SqliteTx(db), channel.as_str()))).await
    }

    async fn pending_question(
        &self,
        channel: &ChannelName,
        contact: &ContactId,
    ) -> Result<Option<PendingQuestion>, StoreError> {
        let (channel, contact) = (channel.clone(), contact.clone());
        self.read(move |db| at_once(ops::pending_question::open(&mut SqliteTx(db), channel.as_str(), contact.as_str())))
            .await
    }

    async fn record(&self, reading: ConversationRead) -> Result<Recorded, StoreError> {
        let channel = reading.channel.clone();
        let (recorded, shown) =
            self.write("record", move |db| at_once(ops::inbound::record(&mut SqliteTx(db), &reading))).await?;
        if recorded.events > 0 {
            self.wakeups.notify_events(&channel);
        }
        if shown {
            self.wakeups.notify_lookups(&channel);
        }
        Ok(recorded)
    }

    async fn due_events(&self, channel: &ChannelName, now_ms: i64, limit: u32) -> Result<Vec<DueEvent>, StoreError> {
        let channel = channel.clone();
        let (due, unreadable) =
            self.read(move |db| at_once(ops::events::due_events(&mut SqliteTx(db), &channel, now_ms, limit))).await?;
        if !unreadable.is_empty() {
            self.write("mark_dead", move |db| at_once(ops::events::mark_dead(&mut SqliteTx(db), &unreadable, now_ms)))
                .await?;
        }
        Ok(due)
    }

    async fn event_behind(&self, event: &DueEvent, now_ms: i64) -> Result<Option<DueEvent>, StoreError> {
        let event = event.clone();
        self.read(move |db| at_once(ops::events::event_behind(&mut SqliteTx(db), &event, now_ms))).await
    }

    async fn next_event_ms(&self, channel: &ChannelName, now_ms: i64) -> Result<Option<i64>, StoreError> {
        let channel = channel.clone();
        self.read(move |db| at_once(ops::events::next_ms(&mut SqliteTx(db), &channel, now_ms))).await
    }

    async fn published(&self, event: &DueEvent, publication: Publication, now_ms: i64) -> Result<(), StoreError> {
        let channel = event.channel.clone();
        let event = event.clone();
        self.write("published", move |db| {
            at_once(ops::events::published(&mut SqliteTx(db), &event, &publication, now_ms))
        })
        .await?;
        self.wakeups.notify_events(&channel);
        Ok(())
    }

    async fn find(&self, search: Search, within: Option<Duration>) -> Result<FoundMessages, StoreError> {
        self.read(move |db| {
            let found = at_once(ops::find::find(&mut SqliteTx(db), &search, within));
            db::lift_limit(db);
            found
        })
        .await
    }

    async fn index_texts(&self, now_ms: i64) -> Result<Indexing, StoreError> {
        let due = self.read(move |db| at_once(ops::text_index::due(&mut SqliteTx(db), now_ms))).await?;
        let Some(due) = due else { return Ok(Indexing::Done) };
        if self.writer()?.is_busy()
            && let Some(put_off) = due.put_off(now_ms)
        {
            return Ok(put_off);
        }
        let indexed = due.indexed();
        let read = self.read(move |db| at_once(ops::text_index::read(&mut SqliteTx(db), &due))).await?;
        self.write("index_texts", move |db| at_once(ops::text_index::store(&mut SqliteTx(db), &read))).await?;
        Ok(indexed)
    }

    async fn tail(&self, from: TailFrom) -> Result<Tailed, StoreError> {
        self.read(move |db| at_once(ops::tail::tail(&mut SqliteTx(db), from))).await
    }

    async fn pause(
        &self,
        channel: &ChannelName,
        kind: PauseKind,
        by: Operator,
        now_ms: i64,
    ) -> Result<Paused, StoreError> {
        let channel = channel.clone();
        self.write("pause", move |db| at_once(ops::pauses::pause(&mut SqliteTx(db), &channel, kind, &by, now_ms))).await
    }

    async fn resume(
        &self,
        channel: &ChannelName,
        kind: PauseKind,
        by: Operator,
        now_ms: i64,
    ) -> Result<Option<OperatorPause>, StoreError> {
        let channel = channel.clone();
        self.write("resume", move |db| at_once(ops::pauses::resume(&mut SqliteTx(db), &channel, kind, &by, now_ms)))
            .await
    }

    async fn operator_pauses(&self) -> Result<Vec<OperatorPause>, StoreError> {
        self.read(|db| at_once(ops::pauses::lasting(&mut SqliteTx(db)))).await
    }

    async fn set_paused_by(&self, channels: Vec<(ChannelName, Option<String>)>, now_ms: i64) -> Result<(), StoreError> {
        self.write("set_paused_by", move |db| {
            at_once(ops::journey::set_paused_by(&mut SqliteTx(db), &channels, now_ms))
        })
        .await
    }

    async fn show(&self, m_id: String) -> Result<Option<ListedMessage>, StoreError> {
        self.read(move |db| at_once(ops::admin::show(&mut SqliteTx(db), &m_id))).await
    }

    async fn journey(&self, m_id: String) -> Result<Option<Journey>, StoreError> {
        self.read(move |db| at_once(ops::journey::read(&mut SqliteTx(db), &m_id, now_ms()))).await
    }

    async fn retry(&self, target: DecisionTarget, by: Operator, now_ms: i64) -> Result<ManualOutcome, StoreError> {
        self.write("retry", move |db| at_once(ops::manual::retry(&mut SqliteTx(db), &target, &by, now_ms))).await
    }

    async fn given_up(&self, channel: Option<String>, since_ms: i64) -> Result<Vec<GivenUp>, StoreError> {
        self.read(move |db| at_once(ops::manual::given_up(&mut SqliteTx(db), channel.as_deref(), since_ms))).await
    }

    async fn retry_given_up(
        &self,
        channel: Option<String>,
        since_ms: i64,
        limit: u32,
        by: Operator,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        self.write("retry", move |db| {
            let channel = channel.as_deref();
            at_once(ops::manual::retry_given_up(&mut SqliteTx(db), channel, since_ms, limit, &by, now_ms))
        })
        .await
    }

    async fn channel_names(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| at_once(ops::admin::channel_names(&mut SqliteTx(db)))).await
    }

    async fn discard(
        &self,
        target: DecisionTarget,
        notices: DiscardNotices,
        by: Operator,
        now_ms: i64,
    ) -> Result<ManualOutcome, StoreError> {
        self.write("discard", move |db| {
            at_once(ops::manual::discard(&mut SqliteTx(db), &target, &notices, &by, now_ms))
        })
        .await
    }

    async fn erase(&self, person: Person, how: Erase, now_ms: i64) -> Result<Erasure, StoreError> {
        self.write("erase", move |db| at_once(ops::erase::erase(&mut SqliteTx(db), &person, how, now_ms))).await
    }

    async fn scrub(&self) -> Result<Option<bool>, StoreError> {
        self.writer()?.fold(true).await.map(Some)
    }

    async fn purge(&self, text_before_ms: i64, rows_before_ms: i64, limit: u32) -> Result<usize, StoreError> {
        let most = self
            .write("purge", move |db| {
                at_once(ops::purge::purge(&mut SqliteTx(db), text_before_ms, rows_before_ms, limit))
            })
            .await?;
        if most < limit as usize {
            self.fold().await?;
        }
        Ok(most)
    }

    async fn check(&self) -> Result<(), StoreError> {
        if let Some(response_journal) = &self.response_journal {
            response_journal.restore();
        }
        let gone = self.files.as_ref().is_some_and(|files| files.check().is_err());
        if gone || !self.writer()?.healthy() {
            self.write("probe", db::probe).await?;
        }
        self.read(|db| db.query_row("SELECT 1", [], |_| Ok(())).map_err(unavailable)).await
    }

    fn bulk(&self) -> &dyn BulkJobs {
        self
    }

    fn wakeups(&self) -> &Arc<Wakeups> {
        &self.wakeups
    }

    fn operators(&self) -> &dyn Operators {
        self
    }

    async fn close(&self) {
        self.end().await;
    }
}

#[cfg(test)]
mod tests;
