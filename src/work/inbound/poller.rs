//! Inbound, before the durable line: one `getchats` a round, then a read of each conversation whose last row is not in
//! the store. What is new is recorded together with how far the conversation is read. A round costs requests in
//! proportion to what changed; a slow full resync reads the rest again, for what the summary hides.

mod contacts;
mod progress;
mod unlisted;
mod unread;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::contacts::Contacts;
use self::progress::Progress;
use self::unlisted::{ACTIVE_FOR, Unlisted};
use self::unread::Unread;
use super::initial_snapshot::SnapshotGate;
use super::reader::{
    InboundError, Outcome, Previous, ReadReport, ReadRequest, Reader, ReadingTurn, Shown, unread_position,
};
use crate::domain::clock::{millis, now_ms, since, wall_ms};
use crate::domain::matching::RowFingerprint;
use crate::domain::{AfilnetRow, Chat, ContactId, Direction, Messenger};
use crate::store::{ConversationRead, Position, Store, StoreError};
use crate::work::channel::{Channel, ChannelSettings};
use crate::work::limits::call_permit::{AfilnetCalls, CallKind};
use crate::work::wait::{STORE_PAUSE, jitter};

/// Rounds with nothing new before the pace slows, and the factor it slows by each further one.
const SLOW_AFTER: u32 = 10;
const SLOWER: f64 = 1.5;

/// Conversations read side by side, at most; the account bounds them further.
const SIDE_BY_SIDE: usize = 16;

/// Reads that did not show the last row, before the next ones wait.
const MOST_BEHIND: u32 = 10;

/// How long the stop waits for reads in flight. One cut off is made again after the next start.
const LAST_READS: Duration = Duration::from_secs(2);

/// Conversations that wait to be read, at most. Each is kept with its last row, and the first run finds all of them.
const MOST_DUE: usize = 10_000;

/// Of an account's requests, the share that the full resync may take.
const RESYNC_SHARE: f64 = 0.25;

/// Least time between two reads for statuses that `getchats` does not show.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// A conversation is not read until then: its reads failed so often in a row.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    times: u32,
    until: Instant,
}

/// What the poller holds of one conversation under one destination.
#[derive(Debug, Default)]
struct ConversationState {
    /// How far it is read, as in the store; `None` where nothing of it is.
    progress: Option<Progress>,
    /// What `getchats` last showed of it, while it is due to be read: few are at a time.
    last: Option<Box<AfilnetRow>>,
    /// Its last read that succeeded.
    previous: Option<Previous>,
    /// When it was last read in sync, or unlisted, for the full resync; `None` counts from the start.
    read_at: Option<Instant>,
    /// Reads in a row that did not show its last row.
    behind: u32,
    backoff: Option<Backoff>,
    /// When it is to be read again for statuses: those of the bridge's sends may still change.
    watch_at: Option<Instant>,
    /// It is due to be read though the list does not show it.
    unlisted: bool,
    /// The list showed it when the read in hand began.
    listed: bool,
}

/// Reports of the reads of a contact. Their turn lasts until these are applied: the next read starts from them.
type Ended = (Vec<(Chat, ReadReport)>, ReadingTurn);

/// The chats of reads that have ended, and their end; `None` where one panicked.
type Finished = (Vec<Chat>, Option<Ended>);

/// One channel's poller: how far each conversation is read (what the store holds, kept at hand), and what is to be
/// read.
pub(in crate::work) struct Poller {
    settings: Arc<ChannelSettings>,
    store: Arc<dyn Store>,
    messenger: Arc<dyn Messenger>,
    calls: Arc<AfilnetCalls>,
    snapshot: Arc<SnapshotGate>,
    reader: Arc<Reader>,
    snapshot_ms: Option<i64>,
    conversations: HashMap<Chat, ConversationState>,
    started: Instant,
    /// Conversations to be read, in this order.
    due_first: VecDeque<Chat>,
    due: VecDeque<Chat>,
    reads: JoinSet<Finished>,
    contacts: Contacts,
    unlisted: Unlisted,
    unread: Unread,
}

impl Poller {
    /// The poller of a channel; `reader` reads its conversations.
    pub(in crate::work) fn new(channel: &Channel, reader: Arc<Reader>) -> Self {
        let (ports, state) = (&channel.ports, &channel.state);
        Self {
            settings: Arc::clone(&channel.settings),
            store: Arc::clone(&ports.store),
            messenger: Arc::clone(&ports.messenger),
            calls: Arc::clone(&state.calls),
            snapshot: Arc::clone(&state.snapshot),
            reader,
            snapshot_ms: None,
            conversations: HashMap::new(),
            started: Instant::now(),
            due_first: VecDeque::new(),
            due: VecDeque::new(),
            reads: JoinSet::new(),
            contacts: Contacts::default(),
            unlisted: Unlisted::default(),
            unread: Unread::default(),
        }
    }

    /// Runs until the stop.
    pub(in crate::work) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        while !stop.is_cancelled() && !self.load().await {
            stop.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
        }
        let (mut quiet, mut failures) = (0u32, 0u32);
        let mut next = Instant::now();
        // A conversation that is slow to read holds up neither the next round nor any other.
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(Ok((chats, read))) = self.reads.join_next(), if !self.reads.is_empty() => {
                    self.finish(chats, read);
                }
                () = tokio::time::sleep_until(next) => {
                    let wait = match self.round(&stop).await {
                        Ok(moved) => {
                            quiet = if moved { 0 } else { quiet.saturating_add(1) };
                            failures = 0;
                            self.pause(quiet).min(self.until_reread())
                        }
                        Err(error) => {
                            failures = failures.saturating_add(1);
                            self.report(&error, failures);
                            self.could_not_take_snapshot(&error);
                            self.after_failure(&error, failures)
                        }
                    };
                    next = Instant::now() + wait;
                }
            }
            self.start_reads(&stop);
        }
        // What is read already may still be recorded.
        let _ = tokio::time::timeout(LAST_READS, async { while self.reads.join_next().await.is_some() {} }).await;
        Ok(())
    }

    /// Loads from the store how far everything is read. Returns false if that failed.
    async fn load(&mut self) -> bool {
        let (store, name) = (&self.store, &self.settings.name);
        let all = async {
            let snapshot_ms = store.snapshot_ms(name).await?;
            self.reader.load_postponed().await?;
            Ok::<_, StoreError>((snapshot_ms, store.positions(name).await?))
        };
        match all.await {
            Ok((snapshot_ms, positions)) => {
                if snapshot_ms.is_some() {
                    self.snapshot.taken();
                }
                self.snapshot_ms = snapshot_ms;
                for position in positions {
                    self.moved_to(position);
                }
                true
            }
            Err(error) => {
                self.report(&error.into(), 1);
                false
            }
        }
    }

    /// Returns the time to the next round: `poll_active` while things move, then slower up to `poll_idle`.
    fn pause(&self, quiet: u32) -> Duration {
        let steps = i32::try_from(quiet.saturating_sub(SLOW_AFTER).min(30)).unwrap_or(30);
        self.settings.poll_active.mul_f64(SLOWER.powi(steps)).min(self.settings.poll_idle)
    }

    /// Returns the time to the next read for postponed rows; at least `poll_active`.
    fn until_reread(&self) -> Duration {
        let due_ms = self.reader.next_reread_ms();
        due_ms.map_or(Duration::MAX, |due_ms| since(now_ms(), due_ms).max(self.settings.poll_active))
    }

    fn after_failure(&self, error: &InboundError, times: u32) -> Duration {
        let asked = error.asked();
        let wait = self.settings.retry.wait(times, asked, 0.5 + jitter() / 2.0);
        wait.min(self.settings.poll_idle.max(asked.unwrap_or_default()))
    }

    /// Logs failure number 1, 2, 4, 8, ….
    fn report(&self, error: &InboundError, failures: u32) {
        if failures.is_power_of_two() {
            tracing::warn!(
                channel_name = %self.settings.name,
                failures,
                error = error as &dyn std::error::Error,
                "channel `{}`: a poll failed; customers' messages wait at Afilnet until one succeeds", self.settings.name
            );
        }
    }

    /// Runs one round: finds what changed and what the full resync is to read. Returns whether anything moved.
    async fn round(&mut self, stop: &CancellationToken) -> Result<bool, InboundError> {
        let Some(permit) = self.calls.acquire(CallKind::Read, stop).await else { return Ok(false) };
        let Some(chats) = stop.run_until_cancelled(self.messenger.chats()).await else { return Ok(false) };
        self.calls.on_read_result(chats.as_ref().err());
        drop(permit);
        let chats = self.contacts.named(&self.settings, self.store.as_ref(), chats?).await?;
        crate::telemetry::metrics::polled(&self.settings.name);
        if self.snapshot_ms.is_none() {
            self.take_snapshot(&chats).await?;
        }
        let mut moved = false;
        let now = Instant::now();
        self.find_unlisted(&chats, now).await?;
        let (to_resync, mut watch) = (self.to_resync(&chats, now), self.share());
        let mut rereads = self.reader.rereads_due(now_ms());
        let mut failures = self.unread.failures(now);
        for (chat, row) in chats {
            failures.remove(&chat);
            self.recall_erased(&chat);
            let state = self.conversations.entry(chat.clone()).or_default();
            let backs_off = state.backoff.is_some_and(|backoff| now < backoff.until);
            let rereads = rereads.remove(&chat);
            let read_to = state.progress.as_ref().and_then(|progress| progress.read_to.as_deref());
            let in_sync = read_to.and_then(RowFingerprint::parse).is_some_and(|known| known.still_is(&row));
            let resyncs = in_sync && to_resync.contains(&chat);
            let watches = in_sync && !resyncs && watch > 0 && state.watch_at.is_some_and(|at| now >= at);
            if in_sync {
                self.unread.ends(&chat);
            }
            if backs_off || (in_sync && !resyncs && !watches && !rereads) {
                continue;
            }
            if self.reader.is_reading(&chat.contact) {
                // What that read brings is not known here: it may be older than this row.
                if !in_sync {
                    self.unread.put_off(&chat, &row, now);
                }
                continue;
            }
            watch -= usize::from(watches);
            moved |= !in_sync && state.behind == 0 && state.backoff.is_none();
            if state.last.is_none() && self.due_first.len() + self.due.len() >= MOST_DUE {
                self.unread.put_off(&chat, &row, now);
                continue;
            }
            // Customers do not wait behind the rows of a broadcast of the bridge's.
            let heard = row.direction != Direction::Outbound;
            match state.last.replace(Box::new(row)) {
                None if heard => self.due_first.push_back(chat),
                None => self.due.push_back(chat),
                Some(before) if heard && before.direction == Direction::Outbound => self.due_first.push_back(chat),
                Some(_) => {}
            }
        }
        self.read_again(failures, now).await?;
        rereads.extend(to_resync.into_iter().filter(|chat| self.unlisted.holds(chat)));
        self.read_unlisted(rereads, now);
        Ok(moved)
    }

    /// Finds the active chats that the list does not show.
    async fn find_unlisted(&mut self, chats: &[(Chat, AfilnetRow)], now: Instant) -> Result<(), StoreError> {
        if self.unlisted.is_poll_due(self.started, now, self.settings.sweep_every) {
            let since_ms = now_ms().saturating_sub(millis(ACTIVE_FOR));
            let active = self.store.active_since(&self.settings.name, since_ms).await?;
            let contacts: HashSet<&ContactId> = active.iter().map(|chat| &chat.contact).collect();
            // Those of the first run were in its list, and count as active then.
            let recent = self.snapshot_ms.is_some_and(|snapshot_ms| snapshot_ms >= since_ms);
            let known = self.conversations.iter().filter_map(|(chat, state)| Some((chat, state.progress.as_ref()?)));
            let is_active = |(chat, progress): &(&Chat, &Progress)| {
                (recent && progress.snapshot_row.is_some() && !chat.contact.is_erased())
                    || contacts.contains(&chat.contact)
            };
            let read = known.filter(is_active).map(|(chat, _)| chat);
            let read: HashSet<Chat> = read.filter(|chat| !chat.destination.is_erased()).cloned().collect();
            self.unlisted.polled(read, &active, chats, now);
        }
        self.unlisted.listed(&self.settings.name, chats);
        Ok(())
    }

    /// Has chats read again that could not be read when a list showed them, and that it does not show now. The store is to
    /// know them: the full resync reads them after a restart.
    async fn read_again(&mut self, chats: HashMap<Chat, AfilnetRow>, now: Instant) -> Result<(), StoreError> {
        for (chat, last) in chats {
            if self.unread.is_to_note(&chat) {
                self.store.record(ConversationRead::listed_only(&self.settings.name, &chat, now_ms())).await?;
                self.unread.noted(&chat);
            }
            self.recall_erased(&chat);
            let state = self.conversations.entry(chat.clone()).or_default();
            let backs_off = state.backoff.is_some_and(|backoff| now < backoff.until);
            if !backs_off && state.last.is_none() && !self.reader.is_reading(&chat.contact) {
                state.last = Some(Box::new(last));
                self.due.push_back(chat);
            }
        }
        Ok(())
    }

    /// Has chats read that the list does not show: they have rows that wait for a decision, or it is their turn in the full resync.
    fn read_unlisted(&mut self, chats: HashSet<Chat>, now: Instant) {
        for chat in chats {
            self.recall_erased(&chat);
            let state = self.conversations.entry(chat.clone()).or_default();
            let backs_off = state.backoff.is_some_and(|backoff| now < backoff.until);
            if !backs_off && state.last.is_none() && !state.unlisted && !self.reader.is_reading(&chat.contact) {
                state.unlisted = true;
                self.due.push_back(chat);
            }
        }
    }

    /// Moves the state of an erased conversation to its name, so that its past is not published again.
    fn recall_erased(&mut self, chat: &Chat) {
        if self.conversations.contains_key(chat) {
            return;
        }
        let name = &self.settings.name;
        let (contact, destination) = (chat.contact.erased(name), chat.destination.erased(name));
        let mut stored = vec![
            Chat { contact: contact.clone(), destination: destination.clone() },
            Chat { contact: chat.contact.clone(), destination }, // it was written to again since
        ];
        // An older version kept the contact's hash in place of the destination's.
        stored.extend(contact.as_str().parse().ok().map(|destination| Chat { contact, destination }));
        if let Some(state) = stored.iter().find_map(|stored| self.conversations.remove(stored)) {
            self.conversations.insert(chat.clone(), state);
        }
    }

    /// Returns how many unchanged conversations this round may read again: all of them within `sweep_every`, at a share
    /// of the account's requests.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
    fn resync_room(&self) -> usize {
        let rounds = self.settings.sweep_every.as_secs_f64() / self.settings.poll_idle.as_secs_f64().max(0.001);
        let even = (self.conversations.len() + self.unlisted.len()) as f64 / rounds.max(1.0);
        (even.ceil() as usize).min(self.share())
    }

    /// Reads of one round that nothing new asks for.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
    fn share(&self) -> usize {
        let a_round = self.calls.account.upstream.limiter.per_second() as f64 * self.settings.poll_active.as_secs_f64();
        (a_round * RESYNC_SHARE).ceil() as usize
    }

    /// Returns the chats, listed or active, that were not read for `sweep_every`: as many as there is room for, the one
    /// read longest ago first.
    fn to_resync(&self, chats: &[(Chat, AfilnetRow)], now: Instant) -> HashSet<Chat> {
        let read_at =
            |chat: &Chat| self.conversations.get(chat).and_then(|state| state.read_at).unwrap_or(self.started);
        let old = |chat: &&Chat| {
            let backoff = self.conversations.get(*chat).and_then(|state| state.backoff);
            now.duration_since(read_at(chat)) >= self.settings.sweep_every
                && backoff.is_none_or(|backoff| now >= backoff.until)
        };
        let all = chats.iter().map(|(chat, _)| chat).chain(self.unlisted.chats());
        let mut old: Vec<&Chat> = all.filter(old).collect();
        let room = self.resync_room().min(old.len());
        old.sort_by_key(|chat| read_at(chat));
        old.into_iter().take(room).cloned().collect()
    }

    /// First run: all that is there now was there before the bridge.
    async fn take_snapshot(&mut self, chats: &[(Chat, AfilnetRow)]) -> Result<(), InboundError> {
        let position = |(chat, row): &(Chat, AfilnetRow)| Position {
            snapshot_row: Some(RowFingerprint::of(row).to_text()),
            ..unread_position(&chat.contact, &chat.destination)
        };
        let wall_ms = wall_ms(); // rows that are older were there before
        let name = &self.settings.name;
        // Made twice rather than kept twice: there may be a hundred thousand.
        self.store.store_initial_snapshot(name, chats.iter().map(position).collect(), wall_ms).await?;
        tracing::info!(channel_name = %name, conversations = chats.len(), rule = ?self.settings.first_run,
            "channel `{name}`: first run, stored the initial snapshot of what was there before");
        self.snapshot_ms = Some(wall_ms);
        self.snapshot.taken();
        self.conversations.reserve(chats.len());
        for there in chats {
            self.moved_to(position(there));
        }
        Ok(())
    }

    /// Counts a round that failed, if it was Afilnet's failure: where the store fails, nothing is sent either.
    fn could_not_take_snapshot(&self, error: &InboundError) {
        if matches!(error, InboundError::Read(_)) && self.snapshot.could_not() {
            let name = &self.settings.name;
            tracing::warn!(
                channel_name = %name,
                "channel `{name}`: its conversations could not be read before its first message; it is sent all the same, \
                 and what of these messages is in doubt may stay so"
            );
        }
    }

    /// Starts reads of what is due, as many as there is room for, one in any case.
    fn start_reads(&mut self, stop: &CancellationToken) {
        while self.reads.len() < SIDE_BY_SIDE && !stop.is_cancelled() {
            let room = self.calls.account.room_for_read();
            if room.is_none() && !self.reads.is_empty() {
                return; // the end of one of them starts the next
            }
            let Some(chat) = self.due_first.pop_front().or_else(|| self.due.pop_front()) else { return };
            // All that is due of one contact is read in one turn.
            let chats = std::iter::once(chat.clone()).chain(self.contacts.others_of(&chat));
            let requests: Vec<ReadRequest> = chats.filter_map(|chat| self.request(&chat)).collect();
            if requests.is_empty() {
                continue;
            }
            let chats: Vec<Chat> = requests.iter().map(|request| request.position.chat()).collect();
            // Another loop reads it: the next round shows whether there is anything left to read, also where no list does.
            let Some(turn) = self.reader.turn(&chat.contact) else {
                for chat in &chats {
                    self.unread.failed(chat);
                }
                continue;
            };
            let (reader, stop) = (Arc::clone(&self.reader), stop.clone());
            // In a task of its own: should it panic, this conversation is read again and no other notices.
            let read = tokio::spawn(async move {
                let reports = reader.read_all(&requests, &stop).await;
                (requests.iter().map(|request| request.position.chat()).zip(reports).collect(), turn)
            });
            self.reads.spawn(async move {
                let _room = room;
                (chats, read.await.ok())
            });
        }
    }

    /// Returns the request to read a chat, if it is due.
    fn request(&mut self, chat: &Chat) -> Option<ReadRequest> {
        let state = self.conversations.get_mut(chat)?;
        let (last, unlisted) = (state.last.take(), std::mem::take(&mut state.unlisted));
        if last.is_none() && (!unlisted || chat.destination.is_erased()) {
            return None;
        }
        state.listed = last.is_some();
        if let Some(last) = &last {
            self.unread.begins(chat, last, Instant::now());
        }
        Some(ReadRequest {
            position: state.progress.as_ref().unwrap_or(&Progress::default()).of(chat),
            destination: chat.destination.clone(),
            last: last.map(|last| *last),
            behind: state.behind,
            snapshot_ms: self.snapshot_ms.unwrap_or(0),
            previous: state.previous,
            looked_for: None,
        })
    }

    /// Applies the results of reads. A failed one is repeated in a later round and delays no other.
    fn finish(&mut self, chats: Vec<Chat>, read: Option<Ended>) {
        let Some((reports, _turn)) = read else {
            for chat in chats {
                let times = self.failures(&chat);
                tracing::error!(contact = %crate::telemetry::contact(&chat.contact), "a read broke inside; it is made again later");
                let wait = self.settings.retry.wait(times, None, 1.0).min(self.settings.poll_idle);
                self.back_off(chat, times, wait);
            }
            return;
        };
        for (chat, ReadReport { position, result }) in reports {
            match result {
                Ok(Outcome::Stopped) => continue,
                Ok(Outcome::Read(shown)) => self.keep(&chat, &shown),
                Err(error) => {
                    let times = self.failures(&chat);
                    self.report(&error, times);
                    self.back_off(chat, times, self.after_failure(&error, times));
                }
            }
            self.moved_to(position);
        }
    }

    /// Returns how often reads of a chat have failed in a row, including the one that just failed.
    fn failures(&self, chat: &Chat) -> u32 {
        let before = self.conversations.get(chat).and_then(|state| state.backoff);
        before.map_or(0, |backoff| backoff.times).saturating_add(1)
    }

    /// Sets how far a conversation is read.
    fn moved_to(&mut self, position: Position) {
        let (chat, progress) = Progress::split(position);
        self.conversations.entry(chat).or_default().progress = Some(progress);
    }

    /// Delays the next read of a conversation after so many failures in a row.
    fn back_off(&mut self, chat: Chat, times: u32, wait: Duration) {
        self.unread.failed(&chat);
        let backoff = Backoff { times, until: Instant::now() + wait };
        self.conversations.entry(chat).or_default().backoff = Some(backoff);
    }

    /// Applies the result of a read that succeeded.
    fn keep(&mut self, chat: &Chat, shown: &Shown) {
        let (settings, now) = (&self.settings, Instant::now());
        let state = self.conversations.entry(chat.clone()).or_default();
        state.previous = Some(shown.read);
        state.watch_at = shown.awaits.then(|| now + settings.poll_idle.max(WATCH_EVERY));
        state.backoff = None;
        if !state.listed {
            // The list did not show how far it is to be read.
            state.read_at = Some(now);
            self.unlisted.read(chat, shown.read.rows > 0);
            return;
        }
        if shown.in_sync {
            self.unread.read(chat);
            (state.behind, state.read_at) = (0, Some(now));
            return;
        }
        self.unread.failed(chat);
        state.behind = state.behind.saturating_add(1);
        if state.behind > MOST_BEHIND {
            self.unread.ends(chat);
            // What never shows its last row is not read with every round.
            let wait = settings.retry.wait(state.behind - MOST_BEHIND, None, 1.0);
            state.backoff = Some(Backoff { times: 1, until: now + wait });
        }
    }
}

#[cfg(test)]
mod tests;
