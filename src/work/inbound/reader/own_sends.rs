//! The bridge's own sends that the rows of a read are held against, and what those rows show of one of them.

use std::collections::HashMap;

use super::{Fetched, Identified, LookupTarget, MOST_SENDS, ReadRequest, Reader};
use crate::config::DirectionBy;
use crate::domain::matching::{
    AccountTraits, LookupEvidence, Match, RowSince, SendStanding, Shows, UnmatchedSend, standing,
};
use crate::domain::{ContactId, Content, Direction};
use crate::store::{NewRow, OwnSend, SeenRow, SeenRows, StoreError};
use crate::work::inbound::classify::{Classified, Sends};

impl Reader {
    /// Returns the sends that the rows are held against, where there is a row to be held against any.
    pub(super) async fn sends(
        &self,
        request: &ReadRequest,
        fetched: &Fetched,
        page: &Identified<'_>,
        seen: &SeenRows,
    ) -> Result<Sends, StoreError> {
        let mut unseen = page.identities.iter().filter(|name| !page.seen.contains(name.as_str()));
        let is_wanted = !seen.postponed.is_empty() || request.looked_for.is_some() || unseen.next().is_some();
        // After the call: what a row shows was in the store as `sending` before Afilnet could show it.
        let unmatched = if is_wanted { self.unmatched_sends(&request.position.contact).await? } else { Vec::new() };
        let account = if unmatched.is_empty() && seen.postponed.is_empty() {
            AccountTraits::default()
        } else {
            self.store.account_traits(&self.settings.name).await?
        };
        // Not the beginning of this very page, which may have been recorded in an earlier turn.
        let before = seen.rows.iter().map(|row| row.seen_ms).filter(|seen_ms| *seen_ms < fetched.began_ms);
        let recorded_ms = before.max();
        let read_before_ms = request.previous.map(|previous| previous.began_ms).max(recorded_ms);
        Ok(Sends { unmatched, account, read_before_ms: read_before_ms.map(|ms| ms.min(fetched.began_ms)) })
    }

    /// Returns what the rows show of the send that is looked for.
    pub(super) fn send_standing(
        &self,
        request: &ReadRequest,
        fetched: &Fetched,
        page: &Identified<'_>,
        seen: &SeenRows,
        sends: &Sends,
        classified: &Classified,
    ) -> Option<(SendStanding, LookupEvidence)> {
        let LookupTarget { m_id, part, began_ms } = request.looked_for.as_ref()?;
        let send = sends.unmatched.iter().find(|send| send.matched.m_id == *m_id && send.matched.part == *part)?;
        let known: HashMap<&str, &SeenRow> = seen.rows.iter().map(|row| (row.identity.as_str(), row)).collect();
        let fresh: HashMap<&str, &NewRow> = classified.rows.iter().map(|row| (row.identity.as_str(), row)).collect();
        let mut rows = fetched.rows.clone();
        if self.settings.direction != DirectionBy::Flag {
            for row in &mut rows {
                row.direction = Direction::Unknown;
            }
        }
        let elsewhere = seen.elsewhere();
        let mut since: Vec<RowSince<'_>> = Vec::new();
        for (row, name) in rows.iter().zip(&page.identities) {
            if elsewhere.holds(row) {
                continue; // it counts where it was read first
            }
            let before = known.get(name.as_str());
            if before.is_some_and(|before| before.seen_ms < *began_ms) {
                continue;
            }
            let now = fresh.get(name.as_str()).and_then(|row| row.matched.as_ref());
            let now = now.map(|matched| (&matched.m_id, matched.part));
            let before = before.and_then(|row| row.matched.as_ref()).map(|(m_id, part)| (m_id, *part));
            let shows = match now.or(before) {
                Some(shown) if shown == (m_id, *part) => Shows::It,
                Some(_) => Shows::Another,
                None => Shows::Nothing,
            };
            since.push(RowSince { row, shows });
        }
        let is_shown =
            |send: &UnmatchedSend| classified.rows.iter().any(|row| row.matched.as_ref() == Some(&send.matched));
        let missing = sends.unmatched.iter().filter(|send| send.is_missing_at(*began_ms) && !is_shown(send)).count();
        Some(standing(send, &since, missing, &sends.account))
    }

    /// Returns the bridge's sends in the conversation that no row was matched with yet, in the forms that rows may
    /// show.
    async fn unmatched_sends(&self, contact: &ContactId) -> Result<Vec<UnmatchedSend>, StoreError> {
        let made = self.store.own_sends(&self.settings.name, contact, MOST_SENDS).await?;
        let of = |call: OwnSend| {
            let words = self.messenger.words(&call.content, call.part, call.wording.as_ref());
            let file_url = match &call.content {
                Content::Attachment(file) => Some(file.url.as_str().to_owned()),
                Content::Text { .. } | Content::Location(_) | Content::QuickReply(_) => None,
            };
            let last = call.part + 1 >= self.messenger.parts(&call.content, call.wording.as_ref());
            let matched = Match { m_id: call.m_id, part: call.part, last };
            let send = if call.sent_forms.is_empty() {
                UnmatchedSend::new(matched, words.as_deref(), file_url.as_deref(), call.at_ms)
            } else {
                let template = words.as_deref().unwrap_or_default();
                UnmatchedSend::filled(matched, template, call.sent_forms, file_url.as_deref(), call.at_ms)
            };
            send.not_before(call.earliest_ms).with(call.verdict, call.shown_rewritten)
        };
        Ok(made.into_iter().map(of).collect())
    }
}
