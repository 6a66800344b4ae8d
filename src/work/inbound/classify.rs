//! Classification of one page of rows: which of them are new, who wrote them, and which events they become. Pure;
//! called by the reader.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::config::DirectionBy;
use crate::domain::clock::millis;
use crate::domain::content::Text;
use crate::domain::entities;
use crate::domain::matching::{
    AccountTraits, Attribution, Elsewhere, Match, OpenRow, ReadContext, RowShape, ShownAs, UnmatchedSend, attribute,
    content_fingerprint, history, mark_history_ambiguous, new_rows,
};
use crate::domain::{
    AfilnetRow, ContactId, Content, Destination, Direction, Event, EventBody, MId, PendingQuestion, Webhook,
};
use crate::store::{Lesson, NewRow, PostponedRow, Postponement, RowChange, SeenRow};
use crate::work::channel::ChannelSettings;

/// A flag that is right so soon after a send was not set later.
const AT_ONCE_MS: i64 = 500;

/// A flag that has not turned so long after its row was read first does not turn any more.
const FLAG_SETTLES_MS: i64 = 10_000;

/// One page of a conversation, and all that its rows are classified by.
pub(in crate::work) struct PageInput<'a> {
    pub(in crate::work) settings: &'a ChannelSettings,
    pub(in crate::work) webhook: &'a dyn Webhook,
    pub(in crate::work) chat: ChatRef<'a>,
    pub(in crate::work) page: ShownRows<'a>,
    pub(in crate::work) known: KnownBefore<'a>,
    pub(in crate::work) sends: &'a Sends,
    pub(in crate::work) now: Now,
}

/// Whose rows they are.
#[derive(Clone, Copy)]
pub(in crate::work) struct ChatRef<'a> {
    pub(in crate::work) contact: &'a ContactId,
    /// The destination, where it is not the conversation's first: ids of rows may be the same in both.
    pub(in crate::work) further: Option<&'a Destination>,
}

/// What the read shows.
pub(in crate::work) struct ShownRows<'a> {
    /// Oldest first.
    pub(in crate::work) rows: &'a [AfilnetRow],
    /// One a row.
    pub(in crate::work) identities: &'a [String],
    /// Text of the notice before the rows, if rows before them may be missing.
    pub(in crate::work) gap: Option<String>,
}

/// What was known of the conversation before the read.
#[derive(Clone, Copy)]
pub(in crate::work) struct KnownBefore<'a> {
    pub(in crate::work) context: &'a ReadContext<'a>,
    /// Identities of the rows that are in the store.
    pub(in crate::work) seen: &'a HashSet<&'a str>,
    /// Of these rows, those without content when they were published.
    pub(in crate::work) blank: &'a [&'a SeenRow],
    /// Of these rows, those that are not decided, oldest first.
    pub(in crate::work) postponed: &'a [PostponedRow],
    /// Rows that are known under other destinations of the contact: they were published there.
    pub(in crate::work) elsewhere: &'a Elsewhere<'a>,
    /// The question that the customer may answer.
    pub(in crate::work) question: Option<&'a PendingQuestion>,
}

/// The bridge's own sends that the rows are matched with, and how the account shows them.
pub(in crate::work) struct Sends {
    /// Those that no row was matched with yet, oldest first.
    pub(in crate::work) unmatched: Vec<UnmatchedSend>,
    pub(in crate::work) account: AccountTraits,
    /// When the read before this one began (epoch ms); `None` where it is not known.
    pub(in crate::work) read_before_ms: Option<i64>,
}

/// The time of the classification, in epoch ms.
#[derive(Clone, Copy)]
pub(in crate::work) struct Now {
    /// By the wall clock: times of rows are compared with it.
    pub(in crate::work) wall_ms: i64,
    /// By the process's own clock, as stored times are.
    pub(in crate::work) clock_ms: i64,
}

/// Result of classifying a page.
#[derive(Debug)]
pub(in crate::work) struct Classified {
    /// Rows to be recorded, with the events of those that are new.
    pub(in crate::work) rows: Vec<NewRow>,
    /// The message with the question that one of them answers.
    pub(in crate::work) answered: Option<MId>,
    /// A row of the bridge had the customer's flag at first.
    pub(in crate::work) late_flags: bool,
    /// One had the business's flag at once.
    pub(in crate::work) prompt_flags: bool,
    /// When the conversation is to be read again for those that are postponed.
    pub(in crate::work) reread_ms: Option<i64>,
}

/// One row of a page, or one that was postponed and that the page does not show.
struct PageRow<'a> {
    row: AfilnetRow,
    identity: &'a str,
    /// Its number in the page.
    at: Option<usize>,
    postponed: Option<&'a PostponedRow>,
    /// Nothing is decided of it yet.
    open: Option<OpenRow>,
    is_new: bool,
    history: bool,
    may_answer: bool,
}

impl PageInput<'_> {
    /// Classifies the rows. The same page gives the same result, however often.
    pub(in crate::work) fn classify(&self) -> Classified {
        let mut classified =
            Classified { rows: Vec::new(), answered: None, late_flags: false, prompt_flags: false, reread_ms: None };
        let mut lines = self.page_rows();
        let (attributions, late_flags) = self.attributions(&mut lines);
        classified.late_flags = late_flags;
        classified.prompt_flags = self.has_prompt_flags(&lines, &attributions);
        // What comes behind something undecided of the same side waits with it, so that its order is kept.
        let (mut customer_waits, mut business_waits) = (false, false);
        for (line, attribution) in lines.iter().zip(attributions) {
            let PageRow { row, identity, .. } = line;
            let mut events: Vec<Event> = Vec::new();
            if line.at == Some(0) && !self.known.seen.contains(identity) {
                events.extend(self.page.gap.as_deref().and_then(|words| self.notice(row, identity, words)));
            }
            let Some(open) = line.open else {
                classified.rows.extend(self.filled(line));
                continue;
            };
            let from_customer = row.direction == Direction::Inbound;
            let publishes =
                line.is_new && attribution == Attribution::Foreign && (from_customer || self.settings.echoes);
            let waits = if from_customer { &mut customer_waits } else { &mut business_waits };
            let undecided = matches!(attribution, Attribution::Undecided | Attribution::AwaitsFlag)
                && (line.is_new || !from_customer);
            // What waits for nothing but its turn is not held beyond its time.
            let postpones = undecided || (publishes && *waits && !open.due);
            if postpones {
                *waits = true;
                let reread_ms = self.reread_ms(line, &attribution);
                classified.reread_ms = Some(classified.reread_ms.map_or(reread_ms, |before| before.min(reread_ms)));
                classified.rows.extend(self.postponed(line, events));
                continue;
            }
            if publishes {
                let open =
                    self.known.question.filter(|_| from_customer && line.may_answer && classified.answered.is_none());
                let contents = match open.and_then(|question| Some((question, self.reply(question, row)?))) {
                    Some((question, reply)) => {
                        classified.answered = Some(question.m_id.clone());
                        vec![reply]
                    }
                    None => self.webhook.contents(&self.text_of(row)),
                };
                events.extend(self.events(row, identity, "", contents, body_of(from_customer)));
            }
            classified.rows.push(self.settled(line, attribution, events, publishes));
        }
        classified
    }

    /// Returns the postponed rows that the page does not show, then the rows of the page.
    fn page_rows(&self) -> Vec<PageRow<'_>> {
        let mut rows = self.page.rows.to_vec();
        if self.settings.direction != DirectionBy::Flag {
            for row in &mut rows {
                row.direction = Direction::Unknown;
            }
        }
        let mut history = history(&rows, self.known.context);
        for (history, row) in history.iter_mut().zip(&rows) {
            *history |= self.known.elsewhere.holds(row);
        }
        let may_answer = self.may_answer(&rows);
        let shown: HashSet<&str> = self.page.identities.iter().map(String::as_str).collect();
        let waiting: HashMap<&str, &PostponedRow> =
            self.known.postponed.iter().map(|there| (there.identity.as_str(), there)).collect();
        let open_since = |there: &PostponedRow| OpenRow {
            read_before_ms: there.postponement.read_before_ms,
            seen_ms: Some(there.since_ms),
            flag_settled: self.now.clock_ms.saturating_sub(there.since_ms) >= FLAG_SETTLES_MS,
            due: there.postponement.due_ms <= self.now.clock_ms,
        };
        let gone = self.known.postponed.iter().filter(|there| !shown.contains(there.identity.as_str()));
        let gone = gone.map(|there| PageRow {
            row: there.row.clone(),
            identity: &there.identity,
            at: None,
            postponed: Some(there),
            open: Some(open_since(there)),
            is_new: true,
            history: false,
            may_answer: false,
        });
        let fresh = OpenRow { read_before_ms: self.sends.read_before_ms, ..OpenRow::default() };
        let here = rows.into_iter().zip(self.page.identities).enumerate().map(|(at, (row, identity))| {
            let postponed = waiting.get(identity.as_str()).copied();
            let unseen = !self.known.seen.contains(identity.as_str());
            let open = postponed.map(open_since).or_else(|| unseen.then_some(fresh));
            let (history, may_answer) = (history[at], may_answer[at]);
            PageRow { row, identity, at: Some(at), postponed, open, is_new: postponed.is_some(), history, may_answer }
        });
        gone.chain(here).collect()
    }

    /// Returns who wrote each row, and whether one of the bridge's had the customer's flag before. What is new of the
    /// page is set in the rows.
    fn attributions(&self, lines: &mut [PageRow<'_>]) -> (Vec<Attribution>, bool) {
        let mut rows: Vec<AfilnetRow> = lines.iter().map(|line| line.row.clone()).collect();
        // History shows no send of the bridge.
        let open: Vec<Option<OpenRow>> = lines.iter().map(|line| line.open.filter(|_| !line.history)).collect();
        let (mut attributions, left) = attribute(&mut rows, &open, self.sends.unmatched.clone(), &self.sends.account);
        let history: Vec<bool> = lines.iter().map(|line| line.history).collect();
        mark_history_ambiguous(&rows, &history, &left, &mut attributions);
        let first = lines.iter().position(|line| line.at.is_some()).unwrap_or(lines.len());
        let is_new =
            new_rows(&rows[first..], &attributions[first..], self.page.identities, self.known.seen, self.known.context);
        let mut late_flags = false;
        for ((line, row), attribution) in lines.iter_mut().zip(rows).zip(&attributions) {
            line.row = row;
            line.is_new |= line.at.is_some_and(|at| is_new[at]) && !self.known.elsewhere.holds(&line.row);
            let flagged = line.postponed.is_some_and(|there| there.row.direction == Direction::Inbound);
            late_flags |= flagged && matches!(attribution, Attribution::Ours { .. });
        }
        (attributions, late_flags)
    }

    /// Returns whether a row with the business's flag shows a send that was taken just before.
    fn has_prompt_flags(&self, lines: &[PageRow<'_>], attributions: &[Attribution]) -> bool {
        let just_sent = |matched: &Match| {
            let send = self.sends.unmatched.iter().find(|send| send.matched == *matched);
            send.is_some_and(|send| send.was_taken_since(self.now.clock_ms.saturating_sub(AT_ONCE_MS)))
        };
        let is_known = self.sends.account.prompt_flags || self.sends.account.late_flags;
        !is_known
            && self.settings.direction == DirectionBy::Flag
            && lines.iter().zip(attributions).any(|(line, attribution)| match attribution {
                Attribution::Ours { matched, how: ShownAs::Verbatim } => {
                    let flagged = line.at.is_some_and(|at| self.page.rows[at].direction == Direction::Outbound);
                    flagged && line.postponed.is_none() && just_sent(matched)
                }
                _ => false,
            })
    }

    /// Returns when a row is decided at the latest.
    fn due_ms(&self, line: &PageRow<'_>) -> i64 {
        line.postponed.map_or_else(
            || self.now.clock_ms.saturating_add(millis(self.settings.decide_within)),
            |there| there.postponement.due_ms,
        )
    }

    /// Returns when the conversation is to be read again for a row that is postponed. What would decide it may come up
    /// in the middle of a page, where the list shows nothing of it: the time between two reads doubles, beginning with
    /// the pace of an active channel. For a flag, when that has settled.
    fn reread_ms(&self, line: &PageRow<'_>, attribution: &Attribution) -> i64 {
        let since_ms = line.postponed.map_or(self.now.clock_ms, |there| there.since_ms);
        let age_ms = self.now.clock_ms.saturating_sub(since_ms);
        let again_ms = self.now.clock_ms.saturating_add(age_ms.max(millis(self.settings.poll_active)));
        let settles_ms = since_ms.saturating_add(FLAG_SETTLES_MS);
        let flag_ms = (*attribution == Attribution::AwaitsFlag && settles_ms > self.now.clock_ms).then_some(settles_ms);
        self.due_ms(line).min(again_ms).min(flag_ms.unwrap_or(i64::MAX))
    }

    /// Returns what is to be recorded of an open row with a postponed decision, if anything.
    fn postponed(&self, line: &PageRow<'_>, events: Vec<Event>) -> Option<NewRow> {
        let due_ms = self.due_ms(line);
        line.postponed.is_none().then(|| NewRow {
            postponed: Some((line.row.clone(), Postponement { read_before_ms: self.sends.read_before_ms, due_ms })),
            doubtful: true,
            events,
            ..new_row(line)
        })
    }

    /// Returns what is recorded of a row that is decided.
    fn settled(&self, line: &PageRow<'_>, attribution: Attribution, events: Vec<Event>, publishes: bool) -> NewRow {
        let lesson = |how, matched: &Match| {
            let send = self.sends.unmatched.iter().find(|send| send.matched == *matched)?;
            Some(Lesson { features: send.features(), how })
        };
        let (matched, lesson, doubtful) = match attribution {
            Attribution::Ours { matched, how } => (Some(matched.clone()), lesson(how, &matched), false),
            Attribution::Explained => (None, None, true),
            Attribution::Foreign | Attribution::Undecided | Attribution::AwaitsFlag => (None, None, false),
        };
        let row = new_row(line);
        // Its words are published later only where a placeholder was published.
        let shape = RowShape::of(&line.row);
        let shape = Some(if publishes { shape.to_text() } else { shape.untold().to_text() });
        let from_customer = line.row.direction == Direction::Inbound;
        let written_ms = line.row.time.epoch_ms.filter(|_| from_customer).map(|_| self.at_ms(&line.row));
        NewRow { shape, events, from_customer, written_ms, matched, lesson, doubtful, ..row }
    }

    /// Returns what is recorded of a row that was published as a placeholder and has content by now.
    fn filled(&self, line: &PageRow<'_>) -> Option<NewRow> {
        let shape = RowShape::of(&line.row);
        if shape.is_blank() || !self.known.blank.iter().any(|row| row.identity == *line.identity) {
            return None;
        }
        let from_customer = line.row.direction != Direction::Outbound;
        let contents = self.webhook.contents(&self.text_of(&line.row));
        let events = self.events(&line.row, line.identity, "words", contents, body_of(from_customer));
        Some(NewRow { change: RowChange::GainedWords, events, from_customer, ..new_row(line) })
    }

    /// Returns the event that is published before `row`; recorded with it, so that there is one.
    fn notice(&self, row: &AfilnetRow, identity: &str, words: &str) -> Option<Event> {
        let m_id = self.m_id("gap", identity);
        let content = Content::Text { text: Text::new(words).ok()? };
        Some(Event { m_id, timestamp_ms: self.at_ms(row), body: EventBody::Message { content } })
    }

    /// Returns for each row whether it can have been written in reply to the pending question. Not what was there
    /// before the bridge, nor what stands before the question, where Afilnet shows it. Rows of one time as given prove
    /// no order.
    fn may_answer(&self, rows: &[AfilnetRow]) -> Vec<bool> {
        let Some(question) = self.known.question else { return vec![false; rows.len()] };
        let shows = |row: &AfilnetRow| row.direction != Direction::Inbound && question.shown_in(&self.text_of(row));
        let asked = rows.iter().rposition(shows);
        let before =
            |index: usize| asked.is_some_and(|asked| index < asked && rows[index].time.raw != rows[asked].time.raw);
        let history = history(rows, self.known.context);
        history.into_iter().enumerate().map(|(index, old)| !old && !before(index)).collect()
    }

    /// Returns the row's text as it was written.
    fn text_of<'r>(&self, row: &'r AfilnetRow) -> Cow<'r, str> {
        if self.settings.html_entities { entities::decoded(&row.text).into() } else { row.text.as_str().into() }
    }

    /// Returns the reply of the question that the row means.
    fn reply(&self, question: &PendingQuestion, row: &AfilnetRow) -> Option<Content> {
        let reply = question.reply(&self.text_of(row), self.at_ms(row))?;
        Text::new(reply).ok().map(|text| Content::Text { text })
    }

    /// Returns when the row was written, as far as is known; never a time in the future.
    fn at_ms(&self, row: &AfilnetRow) -> i64 {
        row.time.epoch_ms.unwrap_or(self.now.wall_ms).clamp(0, self.now.wall_ms)
    }

    /// Returns the id of an event of a row: the same at every call.
    fn m_id(&self, one: &str, other: &str) -> MId {
        let (channel, contact) = (self.settings.name.as_str(), self.chat.contact.as_str());
        match self.chat.further {
            None => MId::derived(&[channel, contact, one, other]),
            Some(destination) => MId::derived(&[channel, contact, destination.as_str(), one, other]),
        }
    }

    /// Returns the events of one row with these contents. Their ids are those of the row, so that a rebuilt store makes
    /// the same.
    fn events(
        &self,
        row: &AfilnetRow,
        identity: &str,
        what: &str,
        contents: Vec<Content>,
        body: fn(Content) -> EventBody,
    ) -> Vec<Event> {
        let at_ms = self.at_ms(row);
        let of_part = |(part, content)| {
            let part_text = format!("{what}{part}");
            let m_id = self.m_id(identity, &part_text);
            let timestamp_ms = at_ms.saturating_add(part).min(self.now.wall_ms);
            Event { m_id, timestamp_ms, body: body(content) }
        };
        (0..).zip(contents).map(of_part).collect()
    }
}

fn body_of(from_customer: bool) -> fn(Content) -> EventBody {
    if from_customer { |content| EventBody::Message { content } } else { |content| EventBody::MessageEcho { content } }
}

/// Returns the row as it is recorded, without events.
fn new_row(line: &PageRow<'_>) -> NewRow {
    NewRow {
        change: if line.postponed.is_some() { RowChange::Decided } else { RowChange::New },
        identity: line.identity.to_owned(),
        fingerprint: content_fingerprint(&line.row),
        shape: Some(RowShape::of(&line.row).to_text()),
        ..NewRow::default()
    }
}

#[cfg(test)]
mod tests;
