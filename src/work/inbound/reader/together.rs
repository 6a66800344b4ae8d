//! Reads of one contact under several destinations: what is new of all of them is recorded in the order in which it was
//! written.

use tokio_util::sync::CancellationToken;

use super::{Fetched, Identified, InboundError, Outcome, ReadReport, ReadRequest, Reader};
use crate::domain::AfilnetRow;
use crate::store::{Position, StoreError};

/// When a row was written: its time, then its id where that is a number.
type Written = (i64, u64);

/// The rows of one read, each with when it was written where it is new.
struct ReadRows {
    new: Vec<Option<Written>>,
    /// Its beginning may be recorded before its end.
    divides: bool,
}

impl ReadRows {
    fn of(request: &ReadRequest, rows: &[AfilnetRow], seen: &crate::store::SeenRows) -> Self {
        let page = Identified::new(request, rows, seen);
        let mut latest = (0, 0);
        let mut written = |row: &AfilnetRow| {
            let id = row.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(u64::MAX);
            latest = latest.max((row.time.epoch_ms.unwrap_or(i64::MAX), id));
            latest
        };
        let new = rows
            .iter()
            .zip(&page.identities)
            .map(|(row, name)| (!page.seen.contains(name.as_str())).then(|| written(row)));
        Self { new: new.collect(), divides: page.snapshot_row.is_none() && !page.known.is_empty() }
    }

    /// Returns when the first new row from there on was written.
    fn next(&self, from: usize) -> Option<Written> {
        self.new[from..].iter().flatten().next().copied()
    }

    /// Returns up to which row it is recorded before anything that was written at `until`: not less than what is known
    /// of it, so that the beginning reaches back to the read before.
    fn up_to(&self, from: usize, until: Option<Written>) -> usize {
        let later = |written: &Option<Written>| written.is_some_and(|at| until.is_some_and(|until| at > until));
        let known = self.new.iter().rposition(Option::is_none).map_or(0, |last| last + 1);
        let end = self.new[from..].iter().position(later).filter(|end| self.divides && from + end >= known);
        end.map_or(self.new.len(), |rows| from + rows)
    }
}

/// Returns the order in which pages are recorded: which one, and up to which row. Each ends with all of its rows.
fn turns(pages: &[ReadRows]) -> Vec<(usize, usize)> {
    let mut done = vec![0; pages.len()];
    let mut left: Vec<usize> = (0..pages.len()).collect();
    let mut turns = Vec::new();
    while let Some(place) = (0..left.len()).min_by_key(|place| {
        let page = left[*place];
        pages[page].next(done[page]).unwrap_or((i64::MAX, u64::MAX))
    }) {
        let page = left[place];
        let others = left.iter().filter(|other| **other != page);
        let until = others.filter_map(|other| pages[*other].next(done[*other])).min();
        let end = pages[page].up_to(done[page], until);
        turns.push((page, end));
        done[page] = end;
        if end == pages[page].new.len() {
            left.remove(place);
        }
    }
    turns
}

impl Reader {
    /// Reads one contact under these destinations, one report for each.
    pub(in crate::work) async fn read_all(
        &self,
        requests: &[ReadRequest],
        stop: &CancellationToken,
    ) -> Vec<ReadReport> {
        if let [request] = requests {
            return vec![self.read(request, stop).await];
        }
        let mut positions: Vec<Position> = requests.iter().map(|request| request.position.clone()).collect();
        let mut fetched: Vec<Fetched> = Vec::new();
        let mut at: Vec<usize> = Vec::new();
        let mut results: Vec<Result<Outcome, InboundError>> = Vec::new();
        for (place, (request, position)) in requests.iter().zip(&mut positions).enumerate() {
            match self.fetched(position, request, stop).await {
                Ok(Some(page)) => {
                    fetched.push(page);
                    at.push(place);
                    results.push(Ok(Outcome::Stopped));
                }
                Ok(None) => results.push(Ok(Outcome::Stopped)),
                Err(error) => results.push(Err(error)),
            }
        }
        if let Err(error) = self.take_in_turns(requests, &mut positions, &at, fetched, &mut results).await {
            // What was not recorded by then is read again.
            for result in &mut results {
                if matches!(result, Ok(Outcome::Stopped)) {
                    *result = Err(error.clone().into());
                }
            }
        }
        positions.into_iter().zip(results).map(|(position, result)| ReadReport { position, result }).collect()
    }

    /// Records pages, each of the request at its place `at`.
    async fn take_in_turns(
        &self,
        requests: &[ReadRequest],
        positions: &mut [Position],
        at: &[usize],
        mut fetched: Vec<Fetched>,
        results: &mut [Result<Outcome, InboundError>],
    ) -> Result<(), StoreError> {
        let name = &self.settings.name;
        let mut pages = Vec::new();
        for (page, place) in fetched.iter().zip(at) {
            let request = &requests[*place];
            let contact = &request.position.contact;
            let seen = self.store.seen(name, contact).await?.at(name, contact, &request.destination);
            pages.push(ReadRows::of(request, &page.rows, &seen));
        }
        for (turn, (page, end)) in turns(&pages).into_iter().enumerate() {
            let (place, there) = (at[page], &mut fetched[page]);
            let request = &requests[place];
            if turn > 0 && there.question.is_some() {
                // What was recorded before may have answered it.
                let open = self.pending_question(&request.position.contact).await?;
                there.question =
                    there.question.take().filter(|question| open.is_some_and(|open| open.m_id == question.m_id));
            }
            if end == there.rows.len() {
                results[place] = Ok(self.take_in(&mut positions[place], request, there).await?);
            } else {
                // As if it had been read before the rest was written.
                let rows = there.rows[..end].to_vec();
                let beginning = Fetched { rows, ..there.clone() };
                let request = ReadRequest { last: None, behind: 0, ..request.clone() };
                self.take_in(&mut positions[place], &request, &beginning).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(new: &[i64], divides: bool) -> ReadRows {
        ReadRows { new: new.iter().map(|at| (*at > 0).then_some((*at, 0))).collect(), divides }
    }

    #[test]
    fn rows_of_several_destinations_take_turns_as_they_were_written() {
        let old = 0;
        let both = [page(&[old, 1, 5], true), page(&[old, 3], true)];
        assert_eq!(turns(&both), [(0, 2), (1, 2), (0, 3)]);
        let first = [page(&[3], true), page(&[1, 2], true)];
        assert_eq!(turns(&first), [(1, 2), (0, 1)]);
        let equal = [page(&[1, 1], true), page(&[1], true)];
        assert_eq!(turns(&equal), [(0, 2), (1, 1)]);
        let nothing = [page(&[old], true), page(&[2], true), page(&[], true)];
        assert_eq!(turns(&nothing), [(1, 1), (0, 1), (2, 0)]);
    }

    #[test]
    fn a_page_is_divided_only_behind_what_is_known_of_it() {
        let old = 0;
        let above = [page(&[1, 5, old, 6], true), page(&[3], true)];
        assert_eq!(turns(&above), [(0, 4), (1, 1)], "its beginning would not reach back to the read before");
        let behind = [page(&[1, old, 5], true), page(&[3], true)];
        assert_eq!(turns(&behind), [(0, 2), (1, 1), (0, 3)]);
    }

    #[tokio::test]
    async fn the_end_of_a_divided_page_was_not_shown_by_the_read_before_and_not_by_its_beginning() {
        use std::sync::Arc;

        use crate::domain::Direction::{Inbound, Outbound};
        use crate::domain::clock::now_ms;
        use crate::domain::content::Text;
        use crate::domain::{ContactId, Content, MId, Wordings};
        use crate::store::open::SqliteStore;
        use crate::store::{Caller, NewOutbound, Settlement, Store};
        use crate::work::channel::ChannelPorts;
        use crate::work::limits::call_permit::Account;
        use crate::work::testing::{self, Destinations, PlainWebhook};

        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let afilnet = Arc::new(Destinations::default());
        let ports = ChannelPorts {
            messenger: Arc::<Destinations>::clone(&afilnet),
            webhook: Arc::new(PlainWebhook),
            ..testing::ports(&store)
        };
        let channel = testing::channel(testing::settings("support"), ports, &Arc::new(Account::new(100, 4)));
        let name = channel.name();
        let epoch = store.take_ownership(name).await.unwrap();
        let reader = Reader::new(&channel);
        let (bare, plus, contact) = ("34600111222", "+34600111222", "+34600111222".parse::<ContactId>().unwrap());
        let requests = [bare, plus].map(|destination| ReadRequest {
            destination: destination.parse().unwrap(),
            position: crate::work::inbound::reader::unread_position(&contact, &destination.parse().unwrap()),
            last: None,
            behind: 0,
            snapshot_ms: 0,
            previous: None,
            looked_for: None,
        });
        let stop = CancellationToken::new();
        let known = async || store.seen(name, &contact).await.unwrap();
        afilnet.shows(bare, Inbound, 1, "hello");
        afilnet.shows(plus, Inbound, 2, "hello there");
        reader.read_all(&requests, &stop).await;
        let read_ms = known().await.rows.iter().map(|row| row.seen_ms).min().unwrap();
        while now_ms() <= known().await.rows.iter().map(|row| row.seen_ms).max().unwrap() {
            tokio::task::yield_now().await;
        }
        // A message that may be any row of the business, and rows that make the page divide.
        let message = NewOutbound {
            m_id: MId::fresh(),
            channel: name.clone(),
            contact: contact.clone(),
            other_spelling: None,
            destination: bare.parse().unwrap(),
            content: Content::Text { text: Text::new("Su pedido sale hoy").unwrap() },
            request_id: String::new(),
            accepted_ms: now_ms(),
            key: None,
            waits: std::time::Duration::ZERO,
            is_drained: false,
            caller: Caller::stays(),
        };
        store.accept(message).await.unwrap();
        let attempt = store.begin(name, epoch, now_ms(), 0, 9, &Wordings::default()).await.unwrap().attempts.remove(0);
        store.settle(&attempt, Settlement::Sent { afilnet_id: None, more: false }, now_ms()).await.unwrap();
        for (destination, direction, second, words) in
            [(bare, Inbound, 10, "a"), (plus, Inbound, 20, "b"), (bare, Outbound, 30, "Le llamo en cinco minutos")]
        {
            afilnet.shows(destination, direction, second, words);
        }
        reader.read_all(&requests, &stop).await;
        let [waits] = &known().await.postponed[..] else { panic!("one row waits") };
        assert_eq!(waits.postponement.read_before_ms, Some(read_ms));
    }

    #[test]
    fn a_page_that_is_read_for_the_first_time_is_recorded_at_once() {
        let first = [page(&[1, 5], false), page(&[3], true)];
        assert_eq!(turns(&first), [(0, 2), (1, 1)]);
    }
}
