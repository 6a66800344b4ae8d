//! The bridge of a simulated world: the real rules, and a model of the store.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use super::world::{Attempt, Author, Message, Outcome, World};
use crate::domain::content::Text;
use crate::domain::matching::{
    AccountTraits, Elsewhere, Known, Match, ReadContext, RowFingerprint, RowShape, RowSince, SendStanding, SendVerdict,
    ShownAs, Shows, UnmatchedSend, identify, next_tail, standing,
};
use crate::domain::reconcile::{LookupFindings, ReconcileState, Reconciliation, next};
use crate::domain::{AfilnetRow, Called, ContactId, Content, Delivery, Event, EventBody, MId, Webhook};
use crate::store::{NewRow, PostponedRow, RowChange, SeenRow};
use crate::work::inbound::classify::{ChatRef, Classified, KnownBefore, Now, PageInput, Sends, ShownRows};
use crate::work::testing;

const LOOKS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45)];
const DECIDE_WITHIN: Duration = Duration::from_secs(90);
const RESYNC_MS: i64 = 60_000;
const PLACEHOLDER: &str = "[unsupported message]";

/// An event, by the number of its row in the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) row: usize,
    pub(super) echo: bool,
    /// A placeholder.
    pub(super) blank: bool,
    /// What a row said later.
    pub(super) words: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    Sent,
    Found,
    InDoubt,
    Queued,
    Unconfirmed,
    Failed,
}

struct Send {
    m_id: MId,
    message: Message,
    state: State,
    at_ms: i64,
    began_ms: i64,
    earliest_ms: i64,
    anchor: Option<String>,
    unknown_ms: Option<i64>,
    lookups: u32,
    absences: u32,
    absent_ms: Option<i64>,
    look_ms: i64,
}

/// What a row that was seen is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShownSend {
    Of { send: usize, verbatim: bool },
    Doubtful,
}

#[derive(Default)]
pub(super) struct Bridge {
    seen: Vec<(SeenRow, Option<ShownSend>)>,
    page: Vec<String>,
    postponed: Vec<PostponedRow>,
    /// When it is read again for these.
    reread_ms: Option<i64>,
    account: AccountTraits,
    new_shown: bool,
    sends: Vec<Send>,
    read_to: Option<String>,
    newest: Option<String>,
    previous_ms: Option<i64>,
    resynced_ms: i64,
    repeated: u64,
    doubted: HashSet<usize>,
    rows: HashMap<String, usize>,
    pub(super) told: Vec<Told>,
    pub(super) reads: u64,
    lost: Vec<String>,
}

/// Shows each row's words as they are, and a placeholder for a row without any.
struct WithPlaceholder;

#[async_trait]
impl Webhook for WithPlaceholder {
    fn contents(&self, text: &str) -> Vec<Content> {
        let text = if text.trim().is_empty() { PLACEHOLDER } else { text };
        Text::new(text).into_iter().map(|text| Content::Text { text }).collect()
    }

    async fn publish(&self, _: &ContactId, _: &Event) -> Called<Delivery> {
        Delivery::Done.into()
    }
}

impl Bridge {
    pub(super) fn is_free(&self) -> bool {
        !self.sends.iter().any(|send| matches!(send.state, State::Sending | State::InDoubt | State::Queued))
    }

    /// Returns whether nothing waits for a decision or a lookup.
    pub(super) fn is_settled(&self) -> bool {
        self.postponed.is_empty() && self.is_free()
    }

    /// An agent's message is accepted and sent.
    pub(super) fn send(&mut self, world: &mut World, message: &Message, surely: bool) {
        let number = self.sends.len();
        world.agents.push(message.clone());
        world.carried_out.push(0);
        self.sends.push(Send {
            m_id: MId::derived(&["simulated", &number.to_string()]),
            message: message.clone(),
            state: State::Queued,
            at_ms: 0,
            began_ms: 0,
            earliest_ms: world.now_ms,
            anchor: None,
            unknown_ms: None,
            lookups: 0,
            absences: 0,
            absent_ms: None,
            look_ms: 0,
        });
        self.attempt(world, number, surely);
    }

    fn attempt(&mut self, world: &mut World, number: usize, surely: bool) {
        let again = self.sends[number].unknown_ms.is_some();
        self.repeated += u64::from(again);
        let (anchor, now_ms) = (self.newest.clone(), world.now_ms);
        let send = &mut self.sends[number];
        (send.state, send.began_ms, send.at_ms, send.anchor) = (State::Sending, now_ms, now_ms, anchor);
        (send.lookups, send.absences, send.absent_ms) = (0, 0, None);
        let (attempt, carried_out) = world.attempt(surely, again);
        if carried_out {
            world.carried_out[number] += 1;
            let message = self.sends[number].message.clone();
            world.write(Author::Bridge(number), &message);
        }
        if attempt == Attempt::InDoubt && world.flips() {
            world.now_ms += 1000;
            self.read(world, None); // another row is read meanwhile
        }
        let (now_ms, shown) = (world.now_ms, self.is_shown(number));
        let send = &mut self.sends[number];
        send.at_ms = now_ms;
        match attempt {
            Attempt::Taken => send.state = State::Sent,
            Attempt::Refused => send.state = State::Failed,
            Attempt::InDoubt => {
                send.state = State::InDoubt;
                send.unknown_ms = Some(send.unknown_ms.unwrap_or(now_ms));
                send.look_ms = if shown { now_ms } else { now_ms + 5000 };
                self.doubted.insert(number);
            }
        }
    }

    fn is_shown(&self, number: usize) -> bool {
        self.seen.iter().any(|(_, matched)| matches!(matched, Some(ShownSend::Of { send, .. }) if *send == number))
    }

    /// All that is due by now.
    pub(super) fn tick(&mut self, world: &mut World) {
        for number in 0..self.sends.len() {
            match self.sends[number].state {
                State::Queued => self.attempt(world, number, false),
                State::InDoubt if self.sends[number].look_ms <= world.now_ms => self.run_lookup(world, number),
                _ => {}
            }
        }
        let now_ms = world.now_ms;
        let rereads = self.reread_ms.is_some_and(|reread_ms| reread_ms <= now_ms);
        let resyncs = now_ms >= self.resynced_ms + RESYNC_MS;
        if !world.shows_any() {
            return;
        }
        // What the list does not show is read with the full resync alone, and for what waits.
        let last = world.last();
        let read_to = self.read_to.as_deref().and_then(RowFingerprint::parse);
        let in_sync = last.as_ref().is_none_or(|last| read_to.as_ref().is_some_and(|known| known.still_is(last)));
        if !in_sync || rereads || resyncs {
            self.reads += u64::from(!resyncs);
            if resyncs {
                self.resynced_ms = now_ms;
            }
            let shown = self.read(world, None);
            let fingerprint = last.as_ref().map(RowFingerprint::of);
            if let Some(fingerprint) = fingerprint.filter(|fingerprint| shown.iter().any(|row| fingerprint.is(row))) {
                self.read_to = Some(fingerprint.to_text());
            }
            self.previous_ms = Some(now_ms);
        }
    }

    fn unmatched(&self) -> Vec<UnmatchedSend> {
        let mut unmatched = Vec::new();
        for (number, send) in self.sends.iter().enumerate() {
            let verdict = match send.state {
                State::Sent | State::Found => SendVerdict::Taken,
                State::Sending => SendVerdict::InFlight,
                State::InDoubt | State::Unconfirmed => SendVerdict::InDoubt,
                State::Queued if send.unknown_ms.is_some() => SendVerdict::InDoubt,
                State::Queued | State::Failed => continue,
            };
            let is_matched = |verbatim| {
                let of = Some(ShownSend::Of { send: number, verbatim });
                self.seen.iter().any(|(_, matched)| *matched == of)
            };
            if is_matched(true) {
                continue;
            }
            let words = Some(send.message.text.as_str()).filter(|text| !text.is_empty());
            let matched = Match { m_id: send.m_id.clone(), part: 0, last: true };
            let unmatched_send = UnmatchedSend::new(matched, words, send.message.file.as_deref(), send.at_ms);
            unmatched.push(unmatched_send.not_before(send.earliest_ms).with(verdict, is_matched(false)));
        }
        unmatched
    }

    /// Reads the conversation and records what is new. Returns its rows; with what they show of a send where one is
    /// looked for.
    fn read(&mut self, world: &mut World, looked_for: Option<usize>) -> Vec<AfilnetRow> {
        self.read_for(world, looked_for).0
    }

    fn read_for(
        &mut self,
        world: &mut World,
        looked_for: Option<usize>,
    ) -> (Vec<AfilnetRow>, Vec<String>, Option<SendStanding>) {
        let page = world.page();
        let rows: Vec<AfilnetRow> = page.iter().map(|(_, row)| row.clone()).collect();
        let seen = self.seen.clone();
        let known =
            Known::new(seen.iter().map(|(row, _)| (row.identity.as_str(), row.fingerprint.as_deref())), &self.page)
                .shaped(seen.iter().filter_map(|(row, _)| Some((row.identity.as_str(), row.shape.as_deref()?))));
        let identities = identify(&rows, &known);
        if std::env::var("BRIDGE_TRACE").is_ok() {
            println!("{} s, for {looked_for:?}: {:?}", world.now_ms / 1000 % 100_000, self.account);
            for (identity, (at, row)) in identities.iter().zip(&page) {
                println!("  {at} {identity} {}", row.text);
            }
        }
        for (identity, (at, row)) in identities.iter().zip(&page) {
            let before = *self.rows.entry(identity.clone()).or_insert(*at);
            if before != *at && world.rows[before].text != world.rows[*at].text {
                self.lost.push(format!("{row:?} was taken for {:?}", world.rows[before]));
            }
        }
        let unmatched = self.unmatched();
        let is_seen: HashSet<&str> = seen.iter().map(|(row, _)| row.identity.as_str()).collect();
        let blank: Vec<&SeenRow> = seen
            .iter()
            .map(|(row, _)| row)
            .filter(|row| row.shape.as_deref().and_then(RowShape::parse).is_some_and(|shape| shape.is_blank()))
            .collect();
        let settings =
            crate::work::channel::ChannelSettings { decide_within: DECIDE_WITHIN, ..testing::settings("support") };
        let context = if known.is_empty() { ReadContext::New { snapshot_ms: 0 } } else { ReadContext::Known };
        let recorded_ms = seen.iter().map(|(row, _)| row.seen_ms).max();
        let account =
            if unmatched.is_empty() && self.postponed.is_empty() { AccountTraits::default() } else { self.account };
        let sends = Sends { unmatched, account, read_before_ms: self.previous_ms.max(recorded_ms) };
        let classified = PageInput {
            settings: &settings,
            webhook: &WithPlaceholder,
            chat: ChatRef { contact: &"+34600111222".parse().unwrap(), further: None },
            page: ShownRows { rows: &rows, identities: &identities, gap: None },
            known: KnownBefore {
                context: &context,
                seen: &is_seen,
                blank: &blank,
                postponed: &self.postponed,
                elsewhere: &Elsewhere::default(),
                question: None,
            },
            sends: &sends,
            now: Now { wall_ms: world.now_ms, clock_ms: world.now_ms },
        }
        .classify();
        if std::env::var("BRIDGE_TRACE").is_ok() {
            print(&classified, &sends.unmatched);
        }
        let stands = looked_for.and_then(|number| {
            let send = sends.unmatched.iter().find(|send| send.matched.m_id == self.sends[number].m_id)?;
            let began_ms = self.sends[number].began_ms;
            let fresh: HashMap<&str, &NewRow> =
                classified.rows.iter().map(|row| (row.identity.as_str(), row)).collect();
            let known: HashMap<&str, &(SeenRow, Option<ShownSend>)> =
                seen.iter().map(|there| (there.0.identity.as_str(), there)).collect();
            let since = rows.iter().zip(&identities).filter_map(|(row, name)| {
                let before = known.get(name.as_str());
                if before.is_some_and(|(before, _)| before.seen_ms < began_ms) {
                    return None;
                }
                let now = fresh.get(name.as_str()).and_then(|row| row.matched.as_ref()).map(|matched| &matched.m_id);
                let before = before.and_then(|(_, matched)| match matched {
                    Some(ShownSend::Of { send, .. }) => Some(&self.sends[*send].m_id),
                    _ => None,
                });
                let shows = match now.or(before) {
                    Some(m_id) if *m_id == self.sends[number].m_id => Shows::It,
                    Some(_) => Shows::Another,
                    None => Shows::Nothing,
                };
                Some(RowSince { row, shows })
            });
            let is_shown =
                |send: &UnmatchedSend| classified.rows.iter().any(|row| row.matched.as_ref() == Some(&send.matched));
            let missing = sends.unmatched.iter().filter(|send| send.is_missing_at(began_ms) && !is_shown(send)).count();
            Some(standing(send, &since.collect::<Vec<_>>(), missing, &self.account).0)
        });
        let tail = next_tail(&identities, &known);
        self.record(world, &classified);
        self.page = tail.unwrap_or_else(|| std::mem::take(&mut self.page));
        self.newest = identities.last().cloned().or_else(|| self.newest.take());
        (rows, identities, stands)
    }

    fn record(&mut self, world: &World, classified: &Classified) {
        self.reread_ms = classified.reread_ms;
        self.account.late_flags |= classified.late_flags;
        self.account.prompt_flags |= classified.prompt_flags;
        self.account.prompt_flags &= !self.account.late_flags;
        for row in &classified.rows {
            let number = row.matched.as_ref().and_then(|m| self.sends.iter().position(|send| send.m_id == m.m_id));
            let verbatim = row.lesson.is_none_or(|lesson| lesson.how != ShownAs::Alike);
            let taken = |send: usize| {
                let is = |matched: &Option<ShownSend>| match matched {
                    Some(ShownSend::Of { send: other, verbatim: as_it_is }) => {
                        *other == send && (*as_it_is || !verbatim)
                    }
                    _ => false,
                };
                self.seen.iter().any(|(_, matched)| is(matched))
            };
            let matched = match number {
                Some(send) => (!taken(send)).then_some(ShownSend::Of { send, verbatim }),
                None => row.doubtful.then_some(ShownSend::Doubtful),
            };
            let new = match row.change {
                RowChange::New => {
                    let new = !self.seen.iter().any(|(there, _)| there.identity == row.identity);
                    if new {
                        let (fingerprint, shape) = (Some(row.fingerprint.clone()), row.shape.clone());
                        let identity = row.identity.clone();
                        let there = SeenRow { identity, seen_ms: world.now_ms, fingerprint, shape, matched: None };
                        self.seen.push((there, matched));
                        if let Some((content, postponement)) = &row.postponed {
                            let (row, identity) = (content.clone(), row.identity.clone());
                            let since_ms = world.now_ms;
                            self.postponed.push(PostponedRow { identity, row, since_ms, postponement: *postponement });
                        }
                    }
                    new
                }
                RowChange::Decided => {
                    let before = self.postponed.len();
                    self.postponed.retain(|there| there.identity != row.identity);
                    let there = self.seen.iter_mut().find(|(there, _)| there.identity == row.identity);
                    let there = there.unwrap();
                    there.1 = matched;
                    (there.0.fingerprint, there.0.shape) = (Some(row.fingerprint.clone()), row.shape.clone());
                    self.postponed.len() < before
                }
                RowChange::GainedWords => {
                    let there = self.seen.iter_mut().find(|(there, _)| there.identity == row.identity);
                    let there = &mut there.unwrap().0;
                    (there.fingerprint, there.shape) = (Some(row.fingerprint.clone()), row.shape.clone());
                    true
                }
            };
            if !new {
                continue;
            }
            let at = self.rows[&row.identity];
            for event in &row.events {
                let (echo, content) = match &event.body {
                    EventBody::MessageEcho { content } => (true, content),
                    EventBody::Message { content } => (false, content),
                    EventBody::MessageStatus { .. } => continue,
                };
                let blank = matches!(content, Content::Text { text } if text.as_str() == PLACEHOLDER);
                self.told.push(Told { row: at, echo, blank, words: row.change == RowChange::GainedWords });
            }
            if let (Some(ShownSend::Of { send, .. }), Some(_)) = (matched, number) {
                self.learn(row, send);
            }
        }
    }

    fn learn(&mut self, row: &NewRow, number: usize) {
        let previous_ms = self.previous_ms.filter(|_| row.change == RowChange::New);
        let send = &mut self.sends[number];
        match send.state {
            State::Sent | State::Found => {
                if send.message.file.is_some() {
                    self.account.shows_files = true;
                } else {
                    self.account.shows_texts = true;
                }
                if let Some(lesson) = row.lesson {
                    let (verbatim, rewritten) = self.account.learned(lesson.features, lesson.how == ShownAs::Verbatim);
                    (self.account.verbatim, self.account.rewritten) = (verbatim, rewritten);
                }
                self.new_shown |= send.anchor.is_none();
                if let Some(lag_ms) = previous_ms.map(|ms| ms - send.at_ms).filter(|lag| (1..=600_000).contains(lag)) {
                    self.account.settle_lag_ms = self.account.settle_lag_ms.max(lag_ms);
                }
            }
            State::InDoubt => send.look_ms = 0,
            State::Queued => (send.state, send.look_ms) = (State::InDoubt, 0),
            State::Unconfirmed => send.state = State::Found,
            State::Sending | State::Failed => {}
        }
    }

    fn run_lookup(&mut self, world: &mut World, number: usize) {
        if self.is_shown(number) {
            self.sends[number].state = State::Found;
            return;
        }
        let (_, identities, stands) = self.read_for(world, Some(number));
        if self.is_shown(number) {
            self.sends[number].state = State::Found;
            return;
        }
        let now_ms = world.now_ms;
        let before = self.sends[..number].iter().rposition(|send| send.state == State::Sent);
        let before_shown = before.map(|before| self.is_shown(before));
        let send = &self.sends[number];
        let doubtful = |(row, matched): &(SeenRow, Option<ShownSend>)| {
            *matched == Some(ShownSend::Doubtful) && row.seen_ms >= send.began_ms
        };
        let findings = LookupFindings {
            reaches_back: send.anchor.as_ref().is_none_or(|anchor| identities.contains(anchor)),
            known_before: send.anchor.is_some(),
            before_shown,
            new_shown: self.new_shown,
            doubtful: self.seen.iter().any(doubtful),
            standing: stands.unwrap_or(SendStanding::Undecidable),
        };
        let lag_ms = self.account.settle_lag_ms.min(600_000);
        let proves = findings.prove_absence() && now_ms - send.unknown_ms.unwrap_or(now_ms) >= lag_ms;
        let shows = self.account.shows_texts && (send.message.file.is_none() || self.account.shows_files);
        let send = &mut self.sends[number];
        send.lookups += 1;
        send.absences += u32::from(proves);
        if proves && send.absent_ms.is_none() {
            send.absent_ms = Some(now_ms);
        }
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let state = ReconcileState {
            made: send.lookups,
            absences: send.absences,
            absent_for: send.absent_ms.map_or(Duration::ZERO, |then_ms| millis(now_ms - then_ms)),
            lag: millis(lag_ms),
        };
        match next(&LOOKS, state) {
            Reconciliation::LookUpAgain(wait) => send.look_ms = now_ms + i64::try_from(wait.as_millis()).unwrap(),
            Reconciliation::NotSent if shows => send.state = State::Queued,
            Reconciliation::NotSent | Reconciliation::Unresolved => send.state = State::Unconfirmed,
        }
    }

    /// What became of what was in doubt.
    pub(super) fn outcome(&self, operators: &[&str], carried_out: &[u32]) -> Outcome {
        let in_state = |state: State| {
            let doubted = self.doubted.iter().filter(|number| self.sends[**number].state == state);
            u64::try_from(doubted.count()).unwrap()
        };
        let mut faults = self.lost.clone();
        if !self.postponed.is_empty() {
            faults.push(format!("never decided: {:?}", self.postponed));
        }
        for (number, send) in self.sends.iter().enumerate() {
            let typed = operators.contains(&send.message.text.as_str());
            if send.state == State::Found && carried_out[number] == 0 && !typed {
                faults.push(format!("taken for sent and never carried out: {:?}", send.message));
            }
        }
        Outcome {
            confirmed: in_state(State::Found),
            unconfirmed: in_state(State::Unconfirmed),
            repeated: self.repeated,
            explained: 0,
            list_cut: false,
            faults,
        }
    }
}

fn print(classified: &Classified, unmatched: &[UnmatchedSend]) {
    for send in unmatched {
        println!("  open: {}", send.traced());
    }
    for row in &classified.rows {
        let how = row.lesson.map(|lesson| lesson.how);
        let matched = row.matched.as_ref().map(|matched| matched.m_id.as_str().to_owned());
        let NewRow { change, doubtful, identity, .. } = row;
        let (waits, events) = (row.postponed.is_some(), row.events.len());
        println!("  -> {identity} {change:?} {matched:?} {how:?} doubtful {doubtful} waits {waits} events {events}");
    }
}
