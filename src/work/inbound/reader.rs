//! One conversation's read: what Afilnet shows of it, what of that is new, and how far it is recorded.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::account_traits::AccountTraits;
use super::classify::PageInput;
use super::receipts::{self, Receipts};
use crate::config::{DirectionBy, FirstRun};
use crate::domain::clock::{millis, now_ms, wall_ms};
use crate::domain::ledger::{Acquaintance, Claim, Known, Mark, Spoken, Wanted, base, identify, next_tail};
use crate::domain::{
    Choice, ContactId, Content, Destination, Direction, MId, Messenger, ReadError, Row, Webhook, sentence,
};
use crate::store::{NewRow, OwnSend, Position, Reading, Receipt, SeenRow, Store, StoreError};
use crate::telemetry::metrics;
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::limits::call_permit::AfilnetCalls;
use crate::work::lock::lock;

/// Reads of a conversation that do not show its last row, before that row's own absence is taken as it is.
const READS_BEHIND: u32 = 5;

/// Calls of ours that rows are held against, at most: the newest.
const SPOKEN: usize = 200;

/// A message whose last status is older than this is no longer read for.
const WATCH_FOR_MS: i64 = 3_600_000;

/// Why a round or a read brought less than it could.
#[derive(Debug, thiserror::Error)]
pub(in crate::work) enum InboundError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl InboundError {
    /// The wait that Afilnet asked for.
    pub(super) fn asked(&self) -> Option<Duration> {
        match self {
            Self::Read(error) => error.asked,
            Self::Store(_) => None,
        }
    }
}

/// One conversation to be read.
#[derive(Debug)]
pub(in crate::work) struct Job {
    pub(in crate::work) contact: ContactId,
    /// Afilnet's name of it.
    pub(in crate::work) destination: Destination,
    /// What `getchats` shows as its last row; `None` where it was not asked.
    pub(in crate::work) last: Option<Row>,
    /// How far it is read; brought up to date by the read.
    pub(in crate::work) there: Position,
    /// Reads in a row that did not show the last row.
    pub(in crate::work) behind: u32,
    pub(in crate::work) baseline_ms: i64,
    /// Rows that the last read showed; `None` before the first since the start.
    pub(in crate::work) shown_before: Option<usize>,
    /// Rows that this one shows.
    pub(in crate::work) shown: Option<usize>,
    /// When the last read that succeeded began, since the start; of this one once it has succeeded.
    pub(in crate::work) began_ms: Option<i64>,
    /// Identities of the rows that this one shows, in order.
    pub(in crate::work) identities: Vec<String>,
    /// Whether it shows recent messages of ours of whose end nothing final was told.
    pub(in crate::work) awaits: bool,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum Outcome {
    /// The last row is in the store.
    InSync,
    /// Recorded, but the last row was not among them yet.
    Behind,
    /// The stop began first.
    Stopped,
}

/// Stands for a question that was asked and whose answer nobody has; before the marks where one was lost.
const ASKED: &str = "?";

/// Reads conversations, for the poller and the reconciler; each by one of them at a time.
pub(in crate::work) struct Reader {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    webhook: Arc<dyn Webhook>,
    calls: Arc<AfilnetCalls>,
    traits: Arc<AccountTraits>,
    receipts: Arc<Receipts>,
    /// Conversations that are being read.
    reading: Mutex<HashSet<ContactId>>,
}

/// The turn to read one conversation; ends however the read ends.
pub(in crate::work) struct ReadingTurn {
    reader: Arc<Reader>,
    contact: ContactId,
}

impl Drop for ReadingTurn {
    fn drop(&mut self) {
        lock(&self.reader.reading).remove(&self.contact);
    }
}

impl Reader {
    pub(in crate::work) fn new(channel: &Channel) -> Self {
        let (ports, state) = (&channel.ports, &channel.state);
        Self {
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&ports.store),
            messenger: Arc::clone(&ports.messenger),
            webhook: Arc::clone(&ports.webhook),
            calls: Arc::clone(&state.calls),
            traits: Arc::clone(&state.traits),
            receipts: Arc::clone(&state.receipts),
            reading: Mutex::default(),
        }
    }

    /// Returns the turn to read a conversation; `None` while another loop reads it.
    pub(in crate::work) fn turn(self: &Arc<Self>, contact: &ContactId) -> Option<ReadingTurn> {
        let free = lock(&self.reading).insert(contact.clone());
        free.then(|| ReadingTurn { reader: Arc::clone(self), contact: contact.clone() })
    }

    /// Whether a conversation is being read now.
    pub(super) fn is_reading(&self, contact: &ContactId) -> bool {
        lock(&self.reading).contains(contact)
    }

    /// Reads one conversation and records what is new.
    pub(in crate::work) async fn read_one(
        &self,
        job: &mut Job,
        stop: &CancellationToken,
    ) -> Result<Outcome, InboundError> {
        let baseline = job.there.baseline.as_deref().and_then(Mark::parse);
        let met = job.there.read_to.is_some();
        if baseline.is_some()
            && self.settings.first_run == FirstRun::Unread
            && job.there.unread.as_deref().is_none_or(|kept| kept == ASKED)
            && !self.ask_unread(job, stop).await?
        {
            return Ok(Outcome::Stopped);
        }
        let unread = job.there.unread.as_deref().map(marks).unwrap_or_default();
        let read_before_ms = job.began_ms;
        let began_ms = now_ms();
        // The choice is looked up last before the call: no row that it brings can answer a question that comes later.
        let call = async {
            let choice = self.open_choice(&job.contact).await;
            self.messenger.messages(&job.destination).await.map(|rows| (rows, choice))
        };
        let Some((rows, choice)) = self.read(stop, call).await? else { return Ok(Outcome::Stopped) };
        let choice = choice?;
        let seen = self.store.seen(&self.settings.name, &job.contact).await?;
        let known = Known::new(seen.rows.iter().map(|row| (row.identity.as_str(), row.mark.as_deref())), &seen.page);
        let identities = identify(&rows, &known);
        let wanted = match self.settings.first_run {
            FirstRun::Unread if job.there.unread.as_deref().is_some_and(|kept| kept.starts_with(ASKED)) => {
                Wanted::UnreadOrUnanswered(&unread)
            }
            FirstRun::Unread => Wanted::Unread(&unread),
            FirstRun::Skip => Wanted::None,
            FirstRun::All => Wanted::All,
        };
        let how = match &baseline {
            Some(anchor) => Acquaintance::Baseline { anchor, baseline_ms: job.baseline_ms, wanted },
            None if !known.is_empty() => Acquaintance::Known,
            None => Acquaintance::New { baseline_ms: job.baseline_ms },
        };
        let now_ms = now_ms();
        let apart = met && baseline.is_none() && !known.is_empty() && !identities.iter().any(|name| known.holds(name));
        let gap = rows.first().filter(|_| apart).map(|first| self.gap(&job.contact, first, &seen.rows, now_ms));
        let seen_set: HashSet<&str> = seen.rows.iter().map(|row| row.identity.as_str()).collect();
        let flag_tells = self.settings.direction == DirectionBy::Flag;
        let ours = |row: &Row| !flag_tells || row.direction != Direction::Inbound;
        let mut unseen = rows.iter().zip(&identities).filter(|(_, identity)| !seen_set.contains(identity.as_str()));
        // After the call: what a row shows was in the store as `sending` before Afilnet could show it.
        let spoken = if unseen.any(|(row, _)| ours(row)) { self.spoken(&job.contact).await? } else { Vec::new() };
        let last = job.last.as_ref().map(Mark::of);
        let whole = last.as_ref().is_some_and(|last| rows.iter().any(|row| last.is(row)));
        let in_sync = whole || (last.is_some() && job.behind >= READS_BEHIND && !rows.is_empty());
        // A read that shows less than the one before proves nothing of what it leaves out: forgotten rows would come up as
        // new with the next whole one.
        let may_forget = whole && job.shown_before.is_some_and(|before| rows.len() >= before);
        let read_to = last.filter(|_| in_sync).map(|last| last.to_text());
        let wall_ms = wall_ms();
        let page = PageInput {
            channel: &self.settings.name,
            contact: &job.contact,
            webhook: self.webhook.as_ref(),
            rows: &rows,
            identities: &identities,
            seen: &seen_set,
            how: &how,
            spoken: &spoken,
            shows: &|call| self.traits.shows(call.is_file()),
            flag_tells,
            echoes: self.settings.echoes,
            html_entities: self.settings.html_entities,
            choice: choice.as_ref(),
            gap,
            now_ms: wall_ms, // times of rows are compared with it
        };
        let classified = page.classify();
        let (receipts, awaits) =
            self.receipts(&job.contact, &rows, &identities, &seen.rows, &classified.rows, now_ms).await?;
        let kept_ms = now_ms.saturating_sub(millis(self.settings.keep_rows));
        let reading = Reading {
            channel: self.settings.name.clone(),
            contact: job.contact.clone(),
            destination: job.destination.clone(),
            forget: if may_forget { forgettable(kept_ms, &seen.rows, &identities) } else { Vec::new() },
            rows: classified.rows,
            newest: identities.last().cloned(),
            receipts,
            page: next_tail(&identities, &known),
            position: read_to.clone(),
            answered: classified.answered,
            read_before_ms,
            now_ms,
        };
        let moves = in_sync && job.there.read_to != read_to;
        self.keep(reading, moves).await?;
        if in_sync {
            job.there = Position { read_to, baseline: None, unread: None, ..job.there.clone() };
        }
        job.shown = Some(rows.len());
        job.began_ms = Some(began_ms);
        (job.identities, job.awaits) = (identities, awaits);
        Ok(if in_sync { Outcome::InSync } else { Outcome::Behind })
    }

    /// Asks what is unread and keeps it before anything else is read: the other read may clear the mark, and any failure
    /// after this one would lose it for good. Whether it was asked is kept before: Afilnet may clear the mark with an answer
    /// that never comes. False when the stop began first.
    async fn ask_unread(&self, job: &mut Job, stop: &CancellationToken) -> Result<bool, InboundError> {
        let before = if job.there.unread.is_some() { ASKED } else { "" };
        self.store.note_unread(&self.settings.name, &job.contact, ASKED.to_owned()).await?;
        job.there.unread = Some(ASKED.to_owned());
        let Some(unread) = self.read(stop, self.messenger.unread(&job.destination)).await? else { return Ok(false) };
        let marks: Vec<String> = unread.iter().map(|row| Mark::of(row).to_text()).collect();
        let marks = format!("{before}{}", serde_json::to_string(&marks).unwrap_or_default());
        self.store.note_unread(&self.settings.name, &job.contact, marks.clone()).await?;
        job.there.unread = Some(marks);
        Ok(true)
    }

    /// Records a reading if anything changes by it, and learns from its rows.
    async fn keep(&self, reading: Reading, moves: bool) -> Result<(), StoreError> {
        let (rows, contact, answered) = (reading.rows.len(), reading.contact.clone(), reading.answered.clone());
        let claimed = reading.rows.iter().filter(|row| row.claims.is_some()).count();
        let brings = rows > 0 || !reading.receipts.is_empty() || reading.page.is_some() || !reading.forget.is_empty();
        let made = if brings || moves { self.store.record(reading).await? } else { 0 };
        (0..claimed).for_each(|_| metrics::correlated(&self.settings.name));
        if claimed > 0 {
            self.learn().await?;
        }
        if made > 0 {
            tracing::info!(
                channel.name = %self.settings.name,
                contact = %crate::telemetry::contact(&contact),
                rows,
                events = made,
                answered = answered.as_ref().map(MId::as_str),
                "recorded {made} event(s) of a conversation"
            );
        }
        Ok(())
    }

    /// Takes from the store what rows of our own messages have shown.
    async fn learn(&self) -> Result<(), StoreError> {
        let learned = self.store.learned(&self.settings.name).await?;
        let lag_ms = u64::try_from(learned.settle_lag_ms).unwrap_or(0);
        metrics::settle_lag(&self.settings.name, std::time::Duration::from_millis(lag_ms));
        self.traits.set(learned);
        Ok(())
    }

    /// A read of a known conversation shows nothing that is known: what was written before its first row may be lost. Says
    /// so, and gives the words that stand in the conversation.
    fn gap(&self, contact: &ContactId, first: &Row, seen: &[SeenRow], now_ms: i64) -> String {
        metrics::gap(&self.settings.name);
        tracing::warn!(
            channel.name = %self.settings.name,
            contact = %crate::telemetry::contact(contact),
            "a read of a conversation does not reach back to the one before it: messages may be missing between them, and \
             the agent is told. Poll more often if this happens again (poll_active)"
        );
        let from_ms = seen.iter().map(|row| row.seen_ms).max();
        let to_ms = first.time.epoch_ms.map(|at_ms| at_ms.min(now_ms));
        let from_ms = from_ms.map(|from_ms| to_ms.map_or(from_ms, |to_ms| from_ms.min(to_ms)));
        sentence::gap(from_ms, to_ms, self.settings.language)
    }

    /// What the page's rows tell of our messages beyond what was told, and whether more is to be expected of it soon.
    async fn receipts(
        &self,
        contact: &ContactId,
        rows: &[Row],
        identities: &[String],
        seen: &[SeenRow],
        fresh: &[NewRow],
        now_ms: i64,
    ) -> Result<(Vec<Receipt>, bool), StoreError> {
        let before = seen.iter().filter_map(|row| Some((row.identity.as_str(), row.claim.clone()?)));
        let of_new = |claim: &Claim| (claim.m_id.clone(), claim.part);
        let now = fresh.iter().filter_map(|row| Some((row.identity.as_str(), row.claims.as_ref().map(of_new)?)));
        let claims: HashMap<&str, (MId, u32)> = before.chain(now).collect();
        let ours =
            rows.iter().zip(identities).filter_map(|(row, name)| Some((row, claims.get(name.as_str())?.clone())));
        let receipts = self.receipts.of(&self.settings.name, ours.clone(), self.settings.language);
        if !self.receipts.any() || ours.clone().next().is_none() {
            return Ok((Vec::new(), false));
        }
        let untold = self.store.untold(&self.settings.name, contact, SPOKEN).await?;
        let receipts = receipts::news(receipts, &untold);
        let ended = |m_id: &MId| receipts.iter().any(|receipt| receipt.m_id == *m_id && receipt.value.rank() > 1);
        let shown: HashSet<MId> = ours.map(|(_, (m_id, _))| m_id).collect();
        let awaited = untold.iter().filter(|message| message.since_ms > now_ms.saturating_sub(WATCH_FOR_MS));
        let awaits = awaited.into_iter().any(|message| shown.contains(&message.m_id) && !ended(&message.m_id));
        Ok((receipts, awaits))
    }

    /// What the bridge said in the conversation and no row shows yet, in the forms that its rows may show.
    async fn spoken(&self, contact: &ContactId) -> Result<Vec<Spoken>, StoreError> {
        let made = self.store.own_sends(&self.settings.name, contact, SPOKEN).await?;
        let of = |call: OwnSend| {
            let words = self.messenger.words(&call.content, call.part);
            let file_url = match &call.content {
                Content::Attachment(file) => Some(file.url.as_str().to_owned()),
                Content::Text { .. } | Content::Location(_) | Content::QuickReply(_) => None,
            };
            let last = call.part + 1 >= self.messenger.parts(&call.content);
            let claim = Claim { m_id: call.m_id, part: call.part, last };
            Spoken::new(claim, words.as_deref(), file_url.as_deref())
        };
        Ok(made.into_iter().map(of).collect())
    }

    /// Makes one read under the account's limits. `None` when the stop began first.
    async fn read<T>(
        &self,
        stop: &CancellationToken,
        call: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<Option<T>, ReadError> {
        let Some(_permit) = self.calls.may_read(stop).await else { return Ok(None) };
        let rows = call.await;
        self.calls.on_read_result(rows.as_ref().err());
        rows.map(Some)
    }

    /// The question that the customer may answer, where questions are numbered. One that cannot be read costs its answer the
    /// right words, not the conversation its messages.
    async fn open_choice(&self, contact: &ContactId) -> Result<Option<Choice>, StoreError> {
        if !self.settings.number_quick_replies {
            return Ok(None);
        }
        match self.store.open_choice(&self.settings.name, contact).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(channel.name = %self.settings.name, contact = %crate::telemetry::contact(contact),
                    error = &error as &dyn std::error::Error,
                    "an open question cannot be read from the store; its answer goes on as the customer wrote it");
                Ok(None)
            }
            other => other,
        }
    }
}

/// The marks that were kept of what was unread.
fn marks(stored: &str) -> Vec<Mark> {
    let stored = stored.strip_prefix(ASKED).unwrap_or(stored);
    let texts: Vec<String> = serde_json::from_str(stored).unwrap_or_default();
    texts.iter().filter_map(|text| Mark::parse(text)).collect()
}

/// Identities that this read no longer shows and that are older than this. Not one among equals of which it
/// shows another: counted anew, that one would be taken for the forgotten.
pub(in crate::work) fn forgettable(before_ms: i64, seen: &[SeenRow], shown: &[String]) -> Vec<String> {
    let shown: HashSet<&str> = shown.iter().map(|identity| base(identity)).collect();
    let old = seen.iter().filter(|row| row.seen_ms < before_ms && !shown.contains(base(&row.identity)));
    old.map(|row| row.identity.clone()).collect()
}
