//! Reads one conversation: fetches what Afilnet shows of it, identifies the rows, classifies them, records what is new.

mod own_sends;
mod together;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::classify::{ChatRef, Classified, KnownBefore, Now, PageInput, Sends, ShownRows};
use super::receipts::{self, Receipts};
use crate::config::FirstRun;
use crate::domain::clock::{millis, now_ms, wall_ms};
use crate::domain::matching::{
    InitialSyncPolicy, Known, LookupEvidence, Match, ReadContext, RowFingerprint, RowShape, SendStanding, base,
    identify, next_tail,
};
use crate::domain::{
    AfilnetRow, Chat, ContactId, Destination, MId, Messenger, PendingQuestion, ReadError, Webhook, agent_text,
};
use crate::store::{ConversationRead, NewRow, Position, Receipt, Recorded, SeenRow, SeenRows, Store, StoreError};
use crate::telemetry::metrics;
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::limits::call_permit::{AfilnetCalls, CallKind};
use crate::work::lock::lock;

/// Reads of a conversation that do not show its last row, before that row's own absence is taken as it is.
const READS_BEHIND: u32 = 5;

/// The bridge's own sends that rows are matched with, at most: the newest.
const MOST_SENDS: usize = 200;

/// A conversation is no longer read for a message with an older status than this.
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
    /// Returns the wait that Afilnet asked for.
    pub(super) fn asked(&self) -> Option<Duration> {
        match self {
            Self::Read(error) => error.asked,
            Self::Store(_) => None,
        }
    }
}

/// A conversation to be read under one of its destinations.
#[derive(Debug, Clone)]
pub(in crate::work) struct ReadRequest {
    /// Afilnet's name of it.
    pub(in crate::work) destination: Destination,
    /// How far it is read.
    pub(in crate::work) position: Position,
    /// What `getchats` shows as its last row; `None` where it was not asked.
    pub(in crate::work) last: Option<AfilnetRow>,
    /// Reads in a row that did not show the last row.
    pub(in crate::work) behind: u32,
    /// When the channel's initial snapshot was taken.
    pub(in crate::work) snapshot_ms: i64,
    /// The last read of it that succeeded; `None` before the first since the start.
    pub(in crate::work) previous: Option<Previous>,
    /// The send that it is read for.
    pub(in crate::work) looked_for: Option<LookupTarget>,
}

/// A send that may be shown or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::work) struct LookupTarget {
    pub(in crate::work) m_id: MId,
    pub(in crate::work) part: u32,
    /// When the attempt began.
    pub(in crate::work) began_ms: i64,
}

/// An earlier read that succeeded.
#[derive(Debug, Clone, Copy)]
pub(in crate::work) struct Previous {
    /// Rows that it showed.
    pub(in crate::work) rows: usize,
    /// When it began.
    pub(in crate::work) began_ms: i64,
}

/// Result of a read.
#[derive(Debug)]
pub(in crate::work) struct ReadReport {
    /// How far the conversation is read now. A read that failed may have learned what is unread: that is in it too.
    pub(in crate::work) position: Position,
    pub(in crate::work) result: Result<Outcome, InboundError>,
}

/// How a read that did not fail ended.
#[derive(Debug)]
pub(in crate::work) enum Outcome {
    /// What it showed is recorded.
    Read(Shown),
    /// The stop began first.
    Stopped,
}

/// What a read showed.
#[derive(Debug)]
pub(in crate::work) struct Shown {
    /// Whether the last row is in the store; otherwise it was not among the rows yet.
    pub(in crate::work) in_sync: bool,
    pub(in crate::work) read: Previous,
    /// Identities of its rows, in order.
    pub(in crate::work) identities: Vec<String>,
    /// Whether it shows recent sends of the bridge without a published final status.
    pub(in crate::work) awaits: bool,
    /// What its rows show of the send that was looked for; `None` where that has a row, or none was.
    pub(in crate::work) looked_for: Option<(SendStanding, LookupEvidence)>,
    pub(in crate::work) there: KnownThere,
}

/// What was known of the destination that was read.
#[derive(Debug, Clone, Copy)]
pub(in crate::work) struct KnownThere {
    /// It is the conversation's first.
    pub(in crate::work) is_first: bool,
    /// Rows of it were known before the send that was looked for.
    pub(in crate::work) known_before: bool,
    /// The read shows one of the newest of them, where there are any.
    pub(in crate::work) reaches_back: bool,
}

/// What Afilnet shows of a conversation.
#[derive(Clone)]
struct Fetched {
    began_ms: i64,
    /// Oldest first.
    rows: Vec<AfilnetRow>,
    /// The question that the customer may answer, as it was before the call.
    question: Option<PendingQuestion>,
}

/// The rows of a read held against those that the store knows.
struct Identified<'a> {
    /// The last row that was there before the bridge, until it has been read past.
    snapshot_row: Option<RowFingerprint>,
    known: Known<'a>,
    /// One a row.
    identities: Vec<String>,
    seen: HashSet<&'a str>,
    /// How far the conversation is read once this is recorded; `None` where it stays as far as it was.
    read_to: Option<String>,
    /// Rows that are old and that it does not show may be forgotten.
    may_forget: bool,
    /// It shows nothing that is known of a conversation that was read before.
    apart: bool,
}

impl<'a> Identified<'a> {
    fn new(request: &ReadRequest, rows: &[AfilnetRow], seen: &'a SeenRows) -> Self {
        let snapshot_row = request.position.snapshot_row.as_deref().and_then(RowFingerprint::parse);
        let shapes = seen.rows.iter().filter_map(|row| Some((row.identity.as_str(), row.shape.as_deref()?)));
        let known =
            Known::new(seen.rows.iter().map(|row| (row.identity.as_str(), row.fingerprint.as_deref())), &seen.page);
        let known = known.shaped(shapes);
        let identities = identify(rows, &known);
        let last = request.last.as_ref().map(RowFingerprint::of);
        let whole = last.as_ref().is_some_and(|last| rows.iter().any(|row| last.is(row)));
        let in_sync = whole || (last.is_some() && request.behind >= READS_BEHIND && !rows.is_empty());
        // A read that shows less than the one before proves nothing of what it leaves out: forgotten rows would come up
        // as new with the next whole one.
        let may_forget = whole && request.previous.is_some_and(|previous| rows.len() >= previous.rows);
        let known_before = request.position.read_to.is_some() && snapshot_row.is_none();
        let apart = known_before && !known.is_empty() && !identities.iter().any(|name| known.holds(name));
        let read_to = last.filter(|_| in_sync).map(|last| last.to_text());
        let seen = seen.rows.iter().map(|row| row.identity.as_str()).collect();
        Self { snapshot_row, known, identities, seen, read_to, may_forget, apart }
    }
}

/// `getunreadmessages` was asked and its response is not stored; as a prefix of the fingerprints: such a response was lost.
const ASKED: &str = "?";

/// Reads conversations, for the poller and the reconciler; each by one of them at a time.
pub(in crate::work) struct Reader {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    webhook: Arc<dyn Webhook>,
    calls: Arc<AfilnetCalls>,
    receipts: Arc<Receipts>,
    /// Conversations that are being read.
    reading: Mutex<HashSet<ContactId>>,
    /// Chats with postponed rows, each with the time (epoch ms) at which it is to be read again for them. Here and not in the
    /// poller's `ConversationState`, since the reads of the reconciler postpone and decide rows as well.
    postponed: Mutex<HashMap<Chat, i64>>,
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
            receipts: Arc::clone(&state.receipts),
            reading: Mutex::default(),
            postponed: Mutex::default(),
        }
    }

    /// Returns the turn to read a conversation; `None` while another loop reads it.
    pub(in crate::work) fn turn(self: &Arc<Self>, contact: &ContactId) -> Option<ReadingTurn> {
        let free = lock(&self.reading).insert(contact.clone());
        free.then(|| ReadingTurn { reader: Arc::clone(self), contact: contact.clone() })
    }

    /// Returns whether a conversation is being read now.
    pub(super) fn is_reading(&self, contact: &ContactId) -> bool {
        lock(&self.reading).contains(contact)
    }

    /// Loads from the store which chats have postponed rows. They are read at once: new rows may decide them.
    pub(super) async fn load_postponed(&self) -> Result<(), StoreError> {
        let (postponed, now_ms) = (self.store.chats_with_postponed(&self.settings.name).await?, now_ms());
        *lock(&self.postponed) = postponed.into_iter().map(|chat| (chat, now_ms)).collect();
        Ok(())
    }

    /// Returns the chats that are to be read by `now_ms` for postponed rows.
    pub(super) fn rereads_due(&self, now_ms: i64) -> HashSet<Chat> {
        let postponed = lock(&self.postponed);
        let due = postponed.iter().filter(|(_, reread_ms)| **reread_ms <= now_ms);
        due.map(|(chat, _)| chat.clone()).collect()
    }

    /// Returns when the next of these reads is due.
    pub(super) fn next_reread_ms(&self) -> Option<i64> {
        lock(&self.postponed).values().min().copied()
    }

    /// Reads one conversation and records what is new.
    pub(in crate::work) async fn read(&self, request: &ReadRequest, stop: &CancellationToken) -> ReadReport {
        let mut position = request.position.clone();
        let result = self.read_from(&mut position, request, stop).await;
        ReadReport { position, result }
    }

    async fn read_from(
        &self,
        position: &mut Position,
        request: &ReadRequest,
        stop: &CancellationToken,
    ) -> Result<Outcome, InboundError> {
        match self.fetched(position, request, stop).await? {
            Some(fetched) => Ok(self.take_in(position, request, &fetched).await?),
            None => Ok(Outcome::Stopped),
        }
    }

    /// Asks Afilnet what is unread, where that is needed, and for the rows. `None` when the stop began first.
    async fn fetched(
        &self,
        position: &mut Position,
        request: &ReadRequest,
        stop: &CancellationToken,
    ) -> Result<Option<Fetched>, InboundError> {
        if self.settings.first_run == FirstRun::Unread
            && request.position.snapshot_row.as_deref().and_then(RowFingerprint::parse).is_some()
            && position.unread.as_deref().is_none_or(|kept| kept == ASKED)
            && !self.ask_unread(position, request, stop).await?
        {
            return Ok(None);
        }
        self.fetch(request, stop).await
    }

    /// Records what is new of the rows.
    async fn take_in(
        &self,
        position: &mut Position,
        request: &ReadRequest,
        fetched: &Fetched,
    ) -> Result<Outcome, StoreError> {
        let (name, contact) = (&self.settings.name, &position.contact);
        let seen = self.store.seen(name, contact).await?.at(name, contact, &request.destination);
        let page = Identified::new(request, &fetched.rows, &seen);
        let sends = self.sends(request, fetched, &page, &seen).await?;
        let classified = self.classify(position, request, fetched, &page, &seen, &sends);
        let looked_for = self.send_standing(request, fetched, &page, &seen, &sends, &classified);
        let reread_ms = classified.reread_ms;
        let awaits = self.record(position, request, fetched, &page, &seen, classified).await?;
        match reread_ms {
            Some(reread_ms) => lock(&self.postponed).insert(position.chat(), reread_ms),
            None => lock(&self.postponed).remove(&position.chat()),
        };
        let began_ms = request.looked_for.as_ref().map_or(0, |looked_for| looked_for.began_ms);
        let known_before = seen.rows.iter().map(|row| row.seen_ms).filter(|seen_ms| *seen_ms < began_ms).max();
        let shows = |row: &SeenRow| Some(row.seen_ms) == known_before && page.identities.contains(&row.identity);
        let reaches_back = known_before.is_none() || seen.rows.iter().any(shows);
        let there = KnownThere { is_first: !seen.is_further, known_before: known_before.is_some(), reaches_back };
        let in_sync = page.read_to.is_some();
        if in_sync {
            (position.read_to, position.snapshot_row, position.unread) = (page.read_to, None, None);
        }
        let read = Previous { rows: fetched.rows.len(), began_ms: fetched.began_ms };
        let identities = page.identities;
        Ok(Outcome::Read(Shown { in_sync, read, identities, awaits, looked_for, there }))
    }

    /// Asks Afilnet for the rows. `None` when the stop began first.
    async fn fetch(&self, request: &ReadRequest, stop: &CancellationToken) -> Result<Option<Fetched>, InboundError> {
        let began_ms = now_ms();
        // The question is looked up last before the call: no row that it brings can answer a question that comes later.
        let call = async {
            let question = self.pending_question(&request.position.contact).await;
            self.messenger.messages(&request.destination).await.map(|rows| (rows, question))
        };
        let Some((rows, question)) = self.call(stop, call).await? else { return Ok(None) };
        Ok(Some(Fetched { began_ms, rows, question: question? }))
    }

    /// Classifies the rows, and makes events of the new ones.
    fn classify(
        &self,
        position: &Position,
        request: &ReadRequest,
        fetched: &Fetched,
        page: &Identified<'_>,
        seen: &SeenRows,
        sends: &Sends,
    ) -> Classified {
        let (settings, rows) = (&self.settings, &fetched.rows);
        let unread = position.unread.as_deref().map(unread_fingerprints).unwrap_or_default();
        let policy = match settings.first_run {
            FirstRun::Unread if position.unread.as_deref().is_some_and(|kept| kept.starts_with(ASKED)) => {
                InitialSyncPolicy::UnreadOrUnreplied(&unread)
            }
            FirstRun::Unread => InitialSyncPolicy::Unread(&unread),
            FirstRun::Skip => InitialSyncPolicy::None,
            FirstRun::All => InitialSyncPolicy::All,
        };
        let snapshot_ms = request.snapshot_ms;
        let elsewhere = seen.elsewhere();
        let context = match &page.snapshot_row {
            Some(anchor) => ReadContext::InitialSync { anchor, snapshot_ms, policy },
            None if !page.known.is_empty() => ReadContext::Known,
            None if seen.is_further => ReadContext::NewDestination { snapshot_ms },
            None => ReadContext::New { snapshot_ms },
        };
        let contact = &position.contact;
        let gap = rows.first().filter(|_| page.apart).map(|first| self.gap(contact, first, &seen.rows, now_ms()));
        let was_blank = |row: &&SeenRow| row.shape.as_deref().and_then(RowShape::parse).is_some_and(|s| s.is_blank());
        let blank: Vec<&SeenRow> = seen.rows.iter().filter(was_blank).collect();
        let input = PageInput {
            settings,
            webhook: self.webhook.as_ref(),
            chat: ChatRef { contact, further: seen.is_further.then_some(&request.destination) },
            page: ShownRows { rows, identities: &page.identities, gap },
            known: KnownBefore {
                context: &context,
                seen: &page.seen,
                blank: &blank,
                postponed: &seen.postponed,
                elsewhere: &elsewhere,
                question: fetched.question.as_ref(),
            },
            sends,
            now: Now { wall_ms: wall_ms(), clock_ms: now_ms() },
        };
        input.classify()
    }

    /// Records what is new, and the statuses of the bridge's sends. Returns whether more of them are to be expected
    /// soon.
    async fn record(
        &self,
        position: &Position,
        request: &ReadRequest,
        fetched: &Fetched,
        page: &Identified<'_>,
        seen: &SeenRows,
        classified: Classified,
    ) -> Result<bool, StoreError> {
        let (rows, identities, now_ms) = (&fetched.rows, &page.identities, now_ms());
        let contact = &position.contact;
        let (receipts, awaits) = self.receipts(contact, rows, identities, &seen.rows, &classified.rows, now_ms).await?;
        let kept_ms = now_ms.saturating_sub(millis(self.settings.keep_rows));
        let reading = ConversationRead {
            channel: self.settings.name.clone(),
            contact: contact.clone(),
            destination: request.destination.clone(),
            forget: if page.may_forget { forgettable(kept_ms, &seen.rows, identities) } else { Vec::new() },
            rows: classified.rows,
            late_flags: classified.late_flags,
            prompt_flags: classified.prompt_flags,
            newest: identities.last().cloned(),
            receipts,
            page: next_tail(identities, &page.known),
            position: page.read_to.clone(),
            answered: classified.answered,
            read_before_ms: request.previous.map(|previous| previous.began_ms),
            listed_only: false,
            now_ms,
        };
        let moves = page.read_to.is_some() && position.read_to != page.read_to;
        self.keep(reading, moves).await?;
        Ok(awaits)
    }

    /// Asks what is unread and keeps it before anything else is read: the other read may clear the mark, and any
    /// failure after this one would lose it for good. Whether it was asked is kept before: Afilnet may clear the mark
    /// with an answer that never comes. False when the stop began first.
    async fn ask_unread(
        &self,
        position: &mut Position,
        request: &ReadRequest,
        stop: &CancellationToken,
    ) -> Result<bool, InboundError> {
        let name = &self.settings.name;
        let before = if position.unread.is_some() { ASKED } else { "" };
        let chat = Chat { contact: position.contact.clone(), destination: request.destination.clone() };
        self.store.note_unread(name, &chat, ASKED.to_owned()).await?;
        position.unread = Some(ASKED.to_owned());
        let call = self.messenger.unread(&request.destination);
        let Some(unread) = self.call(stop, call).await? else { return Ok(false) };
        let fingerprints: Vec<String> = unread.iter().map(|row| RowFingerprint::of(row).to_text()).collect();
        let unread = format!("{before}{}", serde_json::to_string(&fingerprints).unwrap_or_default());
        self.store.note_unread(name, &chat, unread.clone()).await?;
        position.unread = Some(unread);
        Ok(true)
    }

    /// Records a reading if anything changes by it, and keeps what its rows have shown of the account.
    async fn keep(&self, reading: ConversationRead, moves: bool) -> Result<(), StoreError> {
        let (rows, contact, answered) = (reading.rows.len(), reading.contact.clone(), reading.answered.clone());
        let matched = reading.rows.iter().filter(|row| row.matched.is_some()).count();
        let brings = rows > 0 || !reading.receipts.is_empty() || reading.page.is_some() || !reading.forget.is_empty();
        let Recorded { events: made, account_traits } =
            if brings || moves { self.store.record(reading).await? } else { Recorded::default() };
        (0..matched).for_each(|_| metrics::correlated(&self.settings.name));
        if let Some(account_traits) = account_traits {
            let lag_ms = u64::try_from(account_traits.settle_lag_ms).unwrap_or(0);
            metrics::settle_lag(&self.settings.name, Duration::from_millis(lag_ms));
        }
        if made > 0 {
            tracing::info!(
                channel_name = %self.settings.name,
                contact = %crate::telemetry::contact(&contact),
                rows,
                events = made,
                answered = answered.as_ref().map(MId::as_str),
                "recorded {made} event(s) of a conversation"
            );
        }
        Ok(())
    }

    /// A read of a known conversation shows nothing that is known: what was written before its first row may be lost.
    /// Says so, and gives the words that stand in the conversation.
    fn gap(&self, contact: &ContactId, first: &AfilnetRow, seen: &[SeenRow], now_ms: i64) -> String {
        metrics::gap(&self.settings.name);
        tracing::warn!(
            channel_name = %self.settings.name,
            contact = %crate::telemetry::contact(contact),
            "a read of a conversation does not reach back to the one before it: messages may be missing between them, and \
             the agent is told. Poll more often if this happens again (poll_active)"
        );
        let from_ms = seen.iter().map(|row| row.seen_ms).max();
        let to_ms = first.time.epoch_ms.map(|at_ms| at_ms.min(now_ms));
        let from_ms = from_ms.map(|from_ms| to_ms.map_or(from_ms, |to_ms| from_ms.min(to_ms)));
        agent_text::gap(from_ms, to_ms, self.settings.language)
    }

    /// Returns the statuses that the rows show beyond those published, and whether more are to be expected soon.
    async fn receipts(
        &self,
        contact: &ContactId,
        rows: &[AfilnetRow],
        identities: &[String],
        seen: &[SeenRow],
        fresh: &[NewRow],
        now_ms: i64,
    ) -> Result<(Vec<Receipt>, bool), StoreError> {
        let before = seen.iter().filter_map(|row| Some((row.identity.as_str(), row.matched.clone()?)));
        let of_new = |matched: &Match| (matched.m_id.clone(), matched.part);
        let now = fresh.iter().filter_map(|row| Some((row.identity.as_str(), row.matched.as_ref().map(of_new)?)));
        let matched: HashMap<&str, (MId, u32)> = before.chain(now).collect();
        let ours =
            rows.iter().zip(identities).filter_map(|(row, name)| Some((row, matched.get(name.as_str())?.clone())));
        let receipts = self.receipts.of(&self.settings.name, ours.clone(), self.settings.language);
        if !self.receipts.any() || ours.clone().next().is_none() {
            return Ok((Vec::new(), false));
        }
        let unreported_sends = self.store.unreported_sends(&self.settings.name, contact, MOST_SENDS).await?;
        let receipts = receipts::unreported(receipts, &unreported_sends);
        let ended = |m_id: &MId| receipts.iter().any(|receipt| receipt.m_id == *m_id && receipt.value.rank() > 1);
        let shown: HashSet<MId> = ours.map(|(_, (m_id, _))| m_id).collect();
        let awaited = unreported_sends.iter().filter(|message| message.since_ms > now_ms.saturating_sub(WATCH_FOR_MS));
        let awaits = awaited.into_iter().any(|message| shown.contains(&message.m_id) && !ended(&message.m_id));
        Ok((receipts, awaits))
    }

    /// Makes one read under the account's limits. `None` when the stop began first.
    async fn call<T>(
        &self,
        stop: &CancellationToken,
        call: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<Option<T>, ReadError> {
        let Some(_permit) = self.calls.acquire(CallKind::Read, stop).await else { return Ok(None) };
        let rows = call.await;
        self.calls.on_read_result(rows.as_ref().err());
        rows.map(Some)
    }

    /// Returns the quick-reply question that the customer may answer, where questions are numbered. One that cannot be
    /// decoded costs its answer the right words, not the conversation its messages.
    async fn pending_question(&self, contact: &ContactId) -> Result<Option<PendingQuestion>, StoreError> {
        if !self.settings.number_quick_replies {
            return Ok(None);
        }
        match self.store.pending_question(&self.settings.name, contact).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(channel_name = %self.settings.name, contact = %crate::telemetry::contact(contact),
                    error = &error as &dyn std::error::Error,
                    "an open question cannot be read from the store; its answer goes on as the customer wrote it");
                Ok(None)
            }
            other => other,
        }
    }
}

/// Returns the stored fingerprints of unread rows.
fn unread_fingerprints(stored: &str) -> Vec<RowFingerprint> {
    let stored = stored.strip_prefix(ASKED).unwrap_or(stored);
    let texts: Vec<String> = serde_json::from_str(stored).unwrap_or_default();
    texts.iter().filter_map(|text| RowFingerprint::parse(text)).collect()
}

/// Identities that this read no longer shows and that are older than this. Not one among equals of which it
/// shows another: numbered again, that one would be taken for the forgotten.
pub(in crate::work) fn forgettable(before_ms: i64, seen: &[SeenRow], shown: &[String]) -> Vec<String> {
    let shown: HashSet<&str> = shown.iter().map(|identity| base(identity)).collect();
    let old = seen.iter().filter(|row| row.seen_ms < before_ms && !shown.contains(base(&row.identity)));
    old.map(|row| row.identity.clone()).collect()
}

/// Returns the position of a destination of which nothing is read.
pub(in crate::work) fn unread_position(contact: &ContactId, destination: &Destination) -> Position {
    let (contact, destination) = (contact.clone(), destination.clone());
    Position { contact, destination, read_to: None, snapshot_row: None, unread: None }
}
