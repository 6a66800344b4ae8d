//! Finds messages, newest first, of both ways. Each way is a stream of its own; they are merged by time. Every step reads a bounded
//! number of rows, and no step begins when the time is up: then the search returns what it has, and how far it came.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::find::{Cursor, MessageState, Query, Search, Side, holds, searchable, searchable_event};
use crate::domain::gram_lists::{BLOCK_ROWS, GramList, lists_of};
use crate::domain::{Content, Event};
use crate::store::admin::ListedRow;
use crate::store::found::{FoundMessage, FoundMessages};
use crate::store::tx::{BoxError, Columns, FromRow, Tx, Value, values};
use crate::store::{ListedMessage, StoreError, sql_find as sql};

/// Conversations that a search goes through one by one, at most: of a number, and of a channel. With more of them, rows are read
/// newest first.
const FEW_CONTACTS: usize = 200;
const FEW_OF_A_CHANNEL: usize = 5_000;
/// Conversations that one statement reads.
const CONVERSATIONS: usize = 500;
/// Rows that wait, and rows of a channel, that make a list; with more of them, rows are read newest first.
const LONGEST_LIST: usize = 50_000;
const QUIET: usize = 20_000;
/// Ids that one statement returns.
const IDS: usize = 500;
/// Rows that one step walks: the first, and at most; and those whose texts it compares.
const FIRST_WALK: i64 = 1_000;
const LONGEST_WALK: i64 = 20_000;
const TEXTS: i64 = 1_024;
/// Blocks that one step reads the lists of: the first, and at most.
const FIRST_BLOCKS: i64 = 4;
const MOST_BLOCKS: i64 = 64;
/// Until its first step is made, a statement may take so many times the time of its search: a search that goes on comes forward,
/// on a busy machine too.
const FIRST_STEP: u32 = 8;
/// Times may be out of the order of ids by so much.
const OUT_OF_ORDER_MS: i64 = 60_000;

/// A row of either table, with its text.
struct Row {
    id: i64,
    message: ListedMessage,
    text: Option<String>,
}

impl FromRow for Row {
    fn from_row(row: &dyn Columns) -> Result<Self, BoxError> {
        type Maybe = Option<i64>;
        type All =
            (i64, String, String, String, String, String, i64, i64, Maybe, Option<String>, Maybe, Option<String>);
        let (id, m_id, channel, contact, state, kind, attempt, at_ms, done_ms, fault, noted_ms, text): All =
            FromRow::from_row(row)?;
        let message: ListedRow = (m_id, channel, contact, state, kind, attempt, at_ms, done_ms, fault, noted_ms);
        Ok(Self { id, message: message.into(), text })
    }
}

/// Where the rows of a stream come from.
enum Source {
    /// All rows, newest first, so many in the next step.
    Walk(i64),
    /// Ids in a list, newest first.
    List(VecDeque<i64>),
    /// Ids by a statement that takes further ones below the last.
    MId(String),
    Conversations(String),
    Trouble,
    Sending,
    Dead,
    /// Rows that the index of words names, of so many blocks in the next step. Blocks without lists are walked.
    Words(Vec<GramList>, i64),
}

/// The search of one way.
struct Stream<'s> {
    search: &'s Search,
    side: Side,
    /// Words that a text must hold.
    words: &'s [String],
    /// Patterns of contacts.
    like: [Option<String>; 2],
    source: Source,
    /// Every row from this id on was looked at; no row is below the floor.
    below: i64,
    floor: i64,
    done: bool,
    found: VecDeque<Row>,
    /// Time that it has taken.
    took: Duration,
}

/// Returns the first page of what `search` describes, within this time; `None` lets it take as long as it needs.
pub(in crate::store) async fn find(
    db: &mut impl Tx,
    search: &Search,
    within: Option<Duration>,
) -> Result<FoundMessages, StoreError> {
    let until = within.map(|within| Instant::now() + within);
    let spent = || until.is_some_and(|until| Instant::now() >= until);
    if let Some(within) = within {
        db.limit_statements(within.saturating_mul(FIRST_STEP)).await?;
    }
    let (mut streams, mut unopened) = (Vec::new(), Vec::new());
    for side in Side::BOTH {
        match Stream::open(db, search, side).await {
            Ok(stream) => streams.extend(stream),
            Err(StoreError::Unavailable(_)) if spent() => unopened.push(side),
            Err(error) => return Err(error),
        }
    }
    let (mut cut, mut stepped) = (!unopened.is_empty(), false);
    let mut messages = Vec::new();
    while messages.len() < search.limit as usize && !cut {
        // None is shown before the other way has shown that it has no newer one.
        let lacks = streams.iter_mut().filter(|stream| stream.found.is_empty() && !stream.done);
        let Some(stream) = lacks.min_by_key(|stream| stream.took) else {
            let Some(found) = newest(&mut streams) else { break };
            messages.push(found);
            continue;
        };
        let started = Instant::now();
        // One step is always made: a search that goes on comes forward, however late it begins.
        cut = stepped && spent();
        if !cut {
            match stream.step(db).await {
                Ok(()) => {
                    if let (false, Some(within)) = (stepped, within) {
                        db.limit_statements(within).await?;
                    }
                    stepped = true;
                }
                Err(StoreError::Unavailable(_)) if spent() => cut = true,
                Err(error) => return Err(error),
            }
        }
        stream.took += started.elapsed();
    }
    while messages.len() < search.limit as usize
        && let Some(found) = newest(&mut streams)
    {
        messages.push(found);
    }
    let mut searched_back_to_ms = (cut && unopened.is_empty()).then_some(i64::MIN);
    for stream in streams.iter().filter(|stream| !stream.done) {
        let Some(newest_ms) = searched_back_to_ms else { break };
        let at_ms = stream.at_ms(db).await.ok().flatten();
        searched_back_to_ms = at_ms.map(|at_ms| at_ms.max(newest_ms));
    }
    let searched_back_to_ms = searched_back_to_ms.filter(|at_ms| *at_ms > i64::MIN);
    let ended = !cut && streams.iter().all(|stream| stream.done && stream.found.is_empty());
    let next = (!ended).then(|| {
        let of = |side: Side| match streams.iter().find(|stream| stream.side == side) {
            Some(stream) => stream.found.front().map_or(stream.below, |row| row.id + 1),
            None if unopened.contains(&side) => search.before.of(side),
            None => 0,
        };
        Cursor { out: of(Side::Out), inbound: of(Side::In) }
    });
    Ok(FoundMessages { messages, next, cut, searched_back_to_ms })
}

/// Takes the newest of what the streams have found.
fn newest(streams: &mut [Stream<'_>]) -> Option<FoundMessage> {
    let heads = streams.iter_mut().filter(|stream| !stream.found.is_empty());
    let stream = heads.max_by_key(|stream| stream.found.front().map(|row| row.message.accepted_ms))?;
    let side = stream.side;
    stream.found.pop_front().map(|row| FoundMessage { side, message: row.message })
}

impl<'s> Stream<'s> {
    /// Decides where the rows of one way come from; `None` where there can be none.
    async fn open<T: Tx>(db: &mut T, search: &'s Search, side: Side) -> Result<Option<Self>, StoreError> {
        let other_way = search.side.is_some_and(|only| only != side);
        if other_way || search.state.is_some_and(|state| !state.is_of(side)) {
            return Ok(None);
        }
        let ids = if side == Side::Out { sql::OUTBOUND_IDS } else { sql::EVENT_IDS };
        let Some((Some(least), Some(greatest))) = db.optional::<(Option<i64>, Option<i64>)>(ids, values![]).await?
        else {
            return Ok(None);
        };
        let mut stream = Self {
            search,
            side,
            words: &[],
            like: [None, None],
            source: Source::Walk(FIRST_WALK),
            below: search.before.of(side).min(greatest.saturating_add(1)),
            floor: least,
            done: false,
            found: VecDeque::new(),
            took: Duration::ZERO,
        };
        match &search.query {
            Query::All | Query::MId(_) => {}
            Query::Words(words) => stream.words = words,
            Query::Number(digits) => {
                let pattern = |at: usize| digits.get(at).or(digits.first()).map(|digits| format!("%{digits}%"));
                stream.like = [pattern(0), pattern(1)];
            }
        }
        stream.bound_by_time(db).await?;
        stream.source = stream.source(db).await?;
        stream.done = stream.below <= stream.floor;
        Ok(Some(stream))
    }

    async fn source<T: Tx>(&self, db: &mut T) -> Result<Source, StoreError> {
        let Search { query, channel, state, fault, contacts, .. } = self.search;
        if let Query::MId(m_id) = query {
            return Ok(Source::MId(m_id.clone()));
        }
        if let Some(conversations) = self.conversations(db).await? {
            return Ok(Source::Conversations(listing(&conversations)));
        }
        debug_assert!(contacts.is_empty(), "a contact has few conversations");
        match (self.side, state) {
            (Side::Out, Some(MessageState::Sending)) => return Ok(Source::Sending),
            (
                Side::Out,
                Some(MessageState::Failed | MessageState::Unknown | MessageState::Unconfirmed | MessageState::Noted),
            ) => return Ok(Source::Trouble),
            (Side::In, Some(MessageState::Dead)) => return Ok(Source::Dead),
            (Side::Out, None) if fault.is_some() => return Ok(Source::Trouble),
            (Side::In, None) if fault.is_some() => return Ok(Source::Dead),
            (side, Some(MessageState::Queued)) => {
                let statement = if side == Side::Out { sql::OUTBOUND_QUEUED } else { sql::EVENTS_QUEUED };
                if let Some(list) = few(db.ids(statement, values![count(LONGEST_LIST + 1)]).await?) {
                    return Ok(Source::List(self.listed(list)));
                }
            }
            _ => {}
        }
        if let Some(channel) = channel
            && let Some(list) = self.quiet(db, channel).await?
        {
            return Ok(Source::List(self.listed(list)));
        }
        let lists = lists_of(self.words);
        Ok(if lists.is_empty() { Source::Walk(FIRST_WALK) } else { Source::Words(lists, FIRST_BLOCKS) })
    }

    /// Returns the conversations with the contacts that are looked for, if they are few.
    async fn conversations<T: Tx>(&self, db: &mut T) -> Result<Option<Vec<i64>>, StoreError> {
        let most = count(FEW_CONTACTS + 1);
        if !self.search.contacts.is_empty() {
            let mut found = Vec::new();
            for contact in &self.search.contacts {
                found.extend(db.ids(sql::CONVERSATIONS_WITH, values![contact, most]).await?);
            }
            return Ok(Some(found));
        }
        let [Some(one), Some(other)] = &self.like else { return Ok(None) };
        let found = db.ids(sql::CONVERSATIONS_LIKE, values![one, other, most]).await?;
        Ok((found.len() <= FEW_CONTACTS).then_some(found))
    }

    /// Returns the rows of a channel that has few: its rows may be far behind those of others.
    async fn quiet<T: Tx>(&self, db: &mut T, channel: &str) -> Result<Option<Vec<i64>>, StoreError> {
        let conversations =
            db.ids(sql::CONVERSATIONS_OF_CHANNEL, values![channel, count(FEW_OF_A_CHANNEL + 1)]).await?;
        if conversations.len() > FEW_OF_A_CHANNEL {
            return Ok(None);
        }
        let statement = if self.side == Side::Out { T::BY_IDS.outbound_of } else { T::BY_IDS.events_of };
        let mut rows = Vec::new();
        for some in conversations.chunks(CONVERSATIONS) {
            let most = count(QUIET + 1 - rows.len());
            rows.extend(db.ids(statement, values![listing(some), self.below, most]).await?);
            if rows.len() > QUIET {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    }

    /// Returns the ids of a list that are to be looked at, newest first.
    fn listed(&self, mut list: Vec<i64>) -> VecDeque<i64> {
        list.retain(|id| (self.floor..self.below).contains(id));
        list.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        list.into()
    }

    /// Moves both ends to the ids of the times that are looked for: ids rise with time.
    async fn bound_by_time<T: Tx>(&mut self, db: &mut T) -> Result<(), StoreError> {
        if let Some(until_ms) = self.search.until_ms {
            self.below = self.first_from(db, until_ms.saturating_add(OUT_OF_ORDER_MS)).await?;
        }
        if let Some(since_ms) = self.search.since_ms {
            self.floor = self.first_from(db, since_ms.saturating_sub(OUT_OF_ORDER_MS)).await?;
        }
        Ok(())
    }

    /// Returns the first id from which on rows are of this time or later.
    async fn first_from<T: Tx>(&self, db: &mut T, at_ms: i64) -> Result<i64, StoreError> {
        let statement = if self.side == Side::Out { sql::OUTBOUND_MS } else { sql::EVENTS_MS };
        let (mut low, mut high) = (self.floor, self.below);
        while low < high {
            let middle = low + (high - low) / 2;
            let earliest: Option<i64> = db.one(statement, values![middle]).await?;
            if earliest.is_none_or(|earliest| earliest >= at_ms) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// Looks at the next rows.
    async fn step<T: Tx>(&mut self, db: &mut T) -> Result<(), StoreError> {
        let most = count(IDS);
        match &mut self.source {
            Source::Walk(rows) => {
                let window = *rows;
                *rows = (2 * window).min(LONGEST_WALK);
                self.walk(db, self.below.saturating_sub(window).max(self.floor)).await?;
                self.done = self.below <= self.floor;
                return Ok(());
            }
            Source::Words(lists, blocks) => {
                let (lists, window) = (lists.clone(), *blocks);
                *blocks = (4 * window).min(MOST_BLOCKS);
                return self.named(db, &lists, window).await;
            }
            Source::List(list) => {
                let some: Vec<i64> = list.drain(..list.len().min(IDS)).collect();
                self.done = list.is_empty();
                return self.fetch(db, &some).await;
            }
            Source::MId(_) | Source::Conversations(_) | Source::Trouble | Source::Sending | Source::Dead => {}
        }
        let Search { state, fault, .. } = self.search;
        let state = state.map(MessageState::as_str);
        let some = match (&self.source, self.side) {
            (Source::MId(m_id), Side::Out) => db.ids(sql::OUTBOUND_OF_M_ID, values![m_id, self.below, most]).await?,
            (Source::MId(m_id), Side::In) => db.ids(sql::EVENTS_OF_M_ID, values![m_id, self.below, most]).await?,
            (Source::Conversations(list), Side::Out) => {
                db.ids(T::BY_IDS.outbound_of, values![list, self.below, most]).await?
            }
            (Source::Conversations(list), Side::In) => {
                db.ids(T::BY_IDS.events_of, values![list, self.below, most]).await?
            }
            (Source::Sending, _) => db.ids(sql::OUTBOUND_SENDING, values![self.below, most]).await?,
            (Source::Dead, _) => db.ids(sql::EVENTS_DEAD, values![fault, self.below, most]).await?,
            _ => db.ids(sql::OUTBOUND_IN_TROUBLE, values![state, fault, self.below, most]).await?,
        };
        self.done = some.len() < IDS;
        self.fetch(db, &some).await
    }

    /// Looks at the rows from `from` on.
    async fn walk<T: Tx>(&mut self, db: &mut T, from: i64) -> Result<(), StoreError> {
        // Where texts are compared all rows come back, else only those that are found.
        let from = if self.words.is_empty() { from } else { from.max(self.below - TEXTS) };
        let most = if self.words.is_empty() { i64::from(self.search.limit) } else { TEXTS };
        let statement = if self.side == Side::Out { sql::OUTBOUND_BETWEEN } else { sql::EVENTS_BETWEEN };
        let rows = self.rows(db, statement, from.into(), most).await?;
        let full = count(rows.len()) == most;
        self.below = rows.last().filter(|_| full).map_or(from, |row| row.id);
        self.keep(rows);
        Ok(())
    }

    /// Looks at the rows with these ids, newest first.
    async fn fetch<T: Tx>(&mut self, db: &mut T, ids: &[i64]) -> Result<(), StoreError> {
        let Some(last) = ids.last() else { return Ok(()) };
        let statement = if self.side == Side::Out { T::BY_IDS.outbound } else { T::BY_IDS.events };
        let rows = self.rows(db, statement, listing(ids).into(), count(ids.len())).await?;
        self.below = *last;
        self.keep(rows);
        Ok(())
    }

    /// Returns the rows of a statement that fulfil all but the words.
    async fn rows<T: Tx>(
        &self,
        db: &mut T,
        statement: &'static str,
        first: Value<'_>,
        most: i64,
    ) -> Result<Vec<Row>, StoreError> {
        let Search { query, channel, state, fault, since_ms, until_ms, .. } = self.search;
        let state = state.map(MessageState::as_str);
        let (since_ms, until_ms) = (since_ms.unwrap_or(i64::MIN), until_ms.unwrap_or(i64::MAX));
        let [one, other] = &self.like;
        let with_text = i64::from(!self.words.is_empty());
        if self.side == Side::Out {
            let values =
                values![first, self.below, state, channel, fault, since_ms, until_ms, one, other, with_text, most];
            return db.rows(statement, values).await;
        }
        let statuses = matches!(query, Query::MId(_)) || matches!(self.search.state, Some(MessageState::Dead));
        let values = values![
            first,
            self.below,
            state,
            channel,
            fault,
            since_ms,
            until_ms,
            one,
            other,
            with_text,
            i64::from(statuses),
            most
        ];
        db.rows(statement, values).await
    }

    /// Keeps the rows of the contacts that are looked for, if any, of which the texts hold the words.
    fn keep(&mut self, rows: Vec<Row>) {
        let contacts = &self.search.contacts;
        for mut row in rows.into_iter().filter(|row| contacts.is_empty() || contacts.contains(&row.message.contact)) {
            let text = row.text.take();
            if self.words.is_empty() || holds(&folded(self.side, text.as_deref().unwrap_or_default()), self.words) {
                self.found.push_back(row);
            }
        }
    }

    /// Looks at the rows that the lists name in the next blocks; reads a block without lists row by row.
    async fn named<T: Tx>(&mut self, db: &mut T, lists: &[GramList], window: i64) -> Result<(), StoreError> {
        let (side, high) = (self.side.as_str(), (self.below - 1).div_euclid(BLOCK_ROWS));
        let low = (high - window + 1).max(self.floor.div_euclid(BLOCK_ROWS));
        let indexed = db.ids(sql::INDEXED_BLOCKS, values![side, low, high + 1]).await?;
        let mut named: Vec<Option<Vec<i64>>> = vec![None; usize::try_from(high - low + 1).unwrap_or_default()];
        for list in lists.iter().filter(|_| !indexed.is_empty()) {
            let parts: Vec<(i64, String)> = db.rows(sql::LISTS, values![side, list.part(), low, high + 1]).await?;
            for (at, block) in (low..).zip(&mut named) {
                if block.as_ref().is_some_and(Vec::is_empty) {
                    continue;
                }
                let mut rows =
                    parts.iter().find(|(of, _)| *of == at).map(|(_, part)| list.rows(part)).unwrap_or_default();
                if let Some(before) = block {
                    rows.retain(|row| before.binary_search_by(|other| row.cmp(other)).is_ok());
                }
                *block = Some(rows);
            }
        }
        for (block, rows) in (low..=high).rev().zip(named.into_iter().rev()) {
            let from = (block * BLOCK_ROWS).max(self.floor);
            if indexed.contains(&block) {
                let mut some: Vec<i64> =
                    rows.unwrap_or_default().into_iter().map(|row| block * BLOCK_ROWS + row).collect();
                some.retain(|id| (from..self.below).contains(id));
                for some in some.chunks(IDS) {
                    self.fetch(db, some).await?;
                    if self.found.len() >= self.search.limit as usize {
                        return Ok(());
                    }
                }
                self.below = from;
            } else {
                // One block is as much as a step may read so.
                while self.below > from && self.found.is_empty() {
                    self.walk(db, from).await?;
                }
                break;
            }
        }
        self.done = self.below <= self.floor;
        Ok(())
    }

    /// Returns when the oldest of the rows was stored that were looked at.
    async fn at_ms<T: Tx>(&self, db: &mut T) -> Result<Option<i64>, StoreError> {
        let statement = if self.side == Side::Out { sql::OUTBOUND_FROM_MS } else { sql::EVENTS_FROM_MS };
        let found: Option<(i64,)> = db.optional(statement, values![self.below]).await?;
        Ok(found.map(|(at_ms,)| at_ms))
    }
}

/// Returns the words of a stored content or event, folded; none where it cannot be read.
pub(super) fn folded(side: Side, json: &str) -> String {
    match side {
        Side::Out => serde_json::from_str::<Content>(json).map(|content| searchable(&content)).unwrap_or_default(),
        Side::In => serde_json::from_str::<Event>(json).map(|event| searchable_event(&event.body)).unwrap_or_default(),
    }
}

/// Returns ids as the engines take them.
fn listing(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(","))
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn few(list: Vec<i64>) -> Option<Vec<i64>> {
    (list.len() <= LONGEST_LIST).then_some(list)
}
