//! Classification of one page of rows: which of them are new, whose they are, and which events they become. Pure; called
//! by the reader.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::config::DirectionBy;
use crate::domain::content::Text;
use crate::domain::entities;
use crate::domain::matching::{
    Attribution, Match, ReadContext, UnmatchedSend, attribute, content_fingerprint, history, mark_history_ambiguous,
    news,
};
use crate::domain::{AfilnetRow, ContactId, Content, Direction, Event, EventBody, MId, PendingQuestion, Webhook};
use crate::store::NewRow;
use crate::work::channel::ChannelSettings;

/// One page of a conversation, and all that its rows are classified by.
pub(in crate::work) struct PageInput<'a> {
    pub(in crate::work) settings: &'a ChannelSettings,
    pub(in crate::work) contact: &'a ContactId,
    pub(in crate::work) webhook: &'a dyn Webhook,
    /// Oldest first.
    pub(in crate::work) rows: &'a [AfilnetRow],
    /// One a row.
    pub(in crate::work) identities: &'a [String],
    pub(in crate::work) seen: &'a HashSet<&'a str>,
    pub(in crate::work) how: &'a ReadContext<'a>,
    /// The bridge's sends that no row was matched with yet, oldest first.
    pub(in crate::work) unmatched: &'a [UnmatchedSend],
    /// Whether the account is known to show rows of such calls.
    pub(in crate::work) shows: &'a (dyn Fn(&UnmatchedSend) -> bool + Sync),
    /// The question that the customer may answer, as it was before the reading.
    pub(in crate::work) choice: Option<&'a PendingQuestion>,
    /// What is to stand before the rows, where some before them may be missing.
    pub(in crate::work) gap: Option<String>,
    pub(in crate::work) now_ms: i64,
}

/// What the rows of a page come to.
#[derive(Debug)]
pub(in crate::work) struct Classified {
    /// Rows to be recorded, with the events of those that are new.
    pub(in crate::work) rows: Vec<NewRow>,
    /// The message whose question one of them answers.
    pub(in crate::work) answered: Option<MId>,
}

impl PageInput<'_> {
    /// Classifies the rows. The same page gives the same result, however often.
    pub(in crate::work) fn classify(&self) -> Classified {
        let mut classified = Classified { rows: Vec::new(), answered: None };
        let unseen: Vec<bool> = self.identities.iter().map(|identity| !self.seen.contains(identity.as_str())).collect();
        let mut rows = self.rows.to_vec();
        if self.settings.direction != DirectionBy::Flag {
            for row in &mut rows {
                row.direction = Direction::Unknown;
            }
        }
        // History shows no send of the bridge.
        let history = history(&rows, self.how);
        let since: Vec<bool> = unseen.iter().zip(&history).map(|(unseen, old)| *unseen && !old).collect();
        let (mut attributions, left) = attribute(&mut rows, &since, self.unmatched.to_vec());
        mark_history_ambiguous(&rows, &history, &left, &mut attributions);
        // Until the account has shown what it makes of such calls, any row of the business may be one of them.
        let echoes = self.settings.echoes && left.iter().all(self.shows);
        let news = news(&rows, &attributions, self.identities, self.seen, self.how);
        let may_answer = self.may_answer(&rows);
        for (index, ((row, identity), attributions)) in rows.iter().zip(self.identities).zip(attributions).enumerate() {
            if !unseen[index] {
                continue;
            }
            let from_customer = row.direction == Direction::Inbound;
            let doubtful = attributions == Attribution::Ambiguous;
            let mut events: Vec<Event> = Vec::new();
            if index == 0 {
                events.extend(self.gap.as_deref().and_then(|words| self.notice(row, identity, words)));
            }
            if news[index] && from_customer {
                let open = self.choice.filter(|_| may_answer[index] && classified.answered.is_none());
                let contents = match open.and_then(|choice| Some((choice, self.reply(choice, row)?))) {
                    Some((choice, reply)) => {
                        classified.answered = Some(choice.m_id.clone());
                        vec![reply]
                    }
                    None => self.webhook.contents(&self.said(row)),
                };
                events.extend(self.events(row, identity, contents, |content| EventBody::Message { content }));
            } else if news[index] && echoes && attributions == Attribution::Foreign {
                let contents = self.webhook.contents(&self.said(row));
                events.extend(self.events(row, identity, contents, |content| EventBody::MessageEcho { content }));
            }
            let matched: Option<Match> = match attributions {
                Attribution::Ours(matched) => Some(matched),
                Attribution::Ambiguous | Attribution::Foreign => None,
            };
            let (identity, mark) = (identity.clone(), content_fingerprint(row));
            classified.rows.push(NewRow { identity, mark, events, from_customer, matched, doubtful });
        }
        classified
    }

    /// The event that stands before `row`, once, as it is recorded with it.
    fn notice(&self, row: &AfilnetRow, identity: &str, words: &str) -> Option<Event> {
        let m_id = MId::derived(&[self.settings.name.as_str(), self.contact.as_str(), "gap", identity]);
        let content = Content::Text { text: Text::new(words).ok()? };
        Some(Event { m_id, timestamp_ms: self.at_ms(row), body: EventBody::Message { content } })
    }

    /// For each row: whether it can have been written in answer to the open question. Not what was there before the
    /// bridge, nor what stands before the question, where Afilnet shows it. Rows of one time as given prove no order.
    fn may_answer(&self, rows: &[AfilnetRow]) -> Vec<bool> {
        let Some(choice) = self.choice else { return vec![false; rows.len()] };
        let shows = |row: &AfilnetRow| row.direction != Direction::Inbound && choice.shown_in(&self.said(row));
        let asked = rows.iter().rposition(shows);
        let before =
            |index: usize| asked.is_some_and(|asked| index < asked && rows[index].time.raw != rows[asked].time.raw);
        let history = history(rows, self.how);
        history.into_iter().enumerate().map(|(index, old)| !old && !before(index)).collect()
    }

    /// The row's words as they were written.
    fn said<'r>(&self, row: &'r AfilnetRow) -> Cow<'r, str> {
        if self.settings.html_entities { entities::decoded(&row.text).into() } else { row.text.as_str().into() }
    }

    /// What the row says in the words of the question it answers.
    fn reply(&self, choice: &PendingQuestion, row: &AfilnetRow) -> Option<Content> {
        let reply = choice.reply(&self.said(row), self.at_ms(row))?;
        Text::new(reply).ok().map(|text| Content::Text { text })
    }

    /// When the row was written, as far as is known; never in the future.
    fn at_ms(&self, row: &AfilnetRow) -> i64 {
        row.time.epoch_ms.unwrap_or(self.now_ms).clamp(0, self.now_ms)
    }

    /// The events of what one row says. Their ids are those of the row, so that a rebuilt store makes the same.
    fn events(
        &self,
        row: &AfilnetRow,
        identity: &str,
        contents: Vec<Content>,
        body: fn(Content) -> EventBody,
    ) -> Vec<Event> {
        let at_ms = self.at_ms(row);
        let of_part = |(part, content)| {
            let part_text = i64::to_string(&part);
            let m_id = MId::derived(&[self.settings.name.as_str(), self.contact.as_str(), identity, &part_text]);
            let timestamp_ms = at_ms.saturating_add(part).min(self.now_ms);
            Event { m_id, timestamp_ms, body: body(content) }
        };
        (0..).zip(contents).map(of_part).collect()
    }
}

#[cfg(test)]
mod tests;
