//! Searches: whatever is asked for, in pages of any size and whatever the time, exactly what a plain scan finds.

use std::time::{Duration, Instant};

use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Runs, TestRunner};

use super::*;
use crate::domain::find::{Cursor, MessageState, Query, Search, Side};
use crate::store::many_rows::{INTO_BLOCKS, LATE_MS};
use crate::store::{FoundMessage, Indexing};

on_each_engine! {
    whatever_is_asked_for_is_what_a_plain_scan_finds
    an_m_id_is_found_of_the_contact_that_is_asked_for_alone
    a_search_of_which_the_time_is_up_says_how_far_it_came_and_goes_on_there
    an_erased_text_leaves_the_index_with_the_transaction_that_erases_it
    both_directions_are_shown_newest_first
    what_was_posted_again_is_found_by_its_time
}

/// A store with 9,000 messages each way.
async fn filled(engine: Engine) -> FreshStore {
    let fresh = engine.fresh().await;
    for statement in INTO_BLOCKS {
        fresh.folder.ask(statement).await;
    }
    fresh
}

/// Indexes what can be. Returns the blocks that are indexed.
async fn indexed(FreshStore { store, folder }: &FreshStore) -> String {
    while matches!(store.index_texts(LATE_MS).await.unwrap(), Indexing::More | Indexing::Again) {}
    folder.ask("SELECT COUNT(*) FROM text_lists WHERE part = -1").await.remove(0).unwrap()
}

/// All pages of a search.
async fn all(store: &Arc<dyn Store>, mut search: Search, within: Option<Duration>) -> Vec<FoundMessage> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + Duration::from_mins(1));
    loop {
        let found = match store.find(search.clone(), within).await {
            // On a busy machine a transaction may reach its limit of time.
            Err(StoreError::Unavailable(_)) if Instant::now() < deadline => continue,
            found => found.unwrap(),
        };
        assert!(found.messages.len() <= search.limit as usize);
        all.extend(found.messages);
        match found.next {
            Some(next) => search.before = next,
            None => return all,
        }
    }
}

/// What a row of [`INTO_BLOCKS`] is, by its number.
struct Known {
    side: Side,
    n: i64,
}

impl Known {
    fn rare(&self) -> bool {
        self.n % 1000 == 7
    }

    fn is_status(&self) -> bool {
        self.side == Side::In && !self.rare() && self.n % 3 == 0
    }

    fn contact(&self) -> i64 {
        1 + self.n % 900
    }

    fn channel(&self) -> &'static str {
        match self.contact() {
            1 => "quiet",
            n if n % 2 == 0 => "support",
            _ => "sales",
        }
    }

    fn at_ms(&self) -> i64 {
        self.n * 1000 + if self.side == Side::In { 500 } else { 0 }
    }

    fn m_id(&self) -> String {
        let first = if self.side == Side::In { "e" } else { "0" };
        let digits = self.n.to_string();
        format!("{first}{}{digits}", "0".repeat(31 - digits.len()))
    }

    fn text(&self) -> String {
        match (self.side, self.rare()) {
            (Side::Out, true) => format!("senor xilofono azul {}", self.n),
            (Side::Out, false) => format!("gracias por su mensaje, en breve le atendemos {}", self.n),
            (Side::In, true) => format!("mi xilofono no suena {}", self.n),
            (Side::In, false) => format!("muchas gracias {}", self.n),
        }
    }

    fn state(&self) -> MessageState {
        match (self.side, self.rare()) {
            (Side::Out, true) => MessageState::Failed,
            (Side::Out, false) => MessageState::Sent,
            (Side::In, true) => MessageState::Dead,
            (Side::In, false) => MessageState::Done,
        }
    }

    /// The plain scan's question.
    fn fulfils(&self, search: &Search) -> bool {
        let query = match &search.query {
            Query::All => true,
            Query::MId(m_id) => self.m_id() == *m_id,
            Query::Number(digits) => {
                digits.iter().any(|digits| format!("+34{}", 600_000_000 + self.contact()).contains(digits.as_str()))
            }
            Query::Words(words) => words.iter().all(|word| self.text().contains(word.as_str())),
        };
        query
            && (!self.is_status() || matches!(search.query, Query::MId(_)))
            && search.side.is_none_or(|side| side == self.side)
            && search.channel.as_deref().is_none_or(|channel| channel == self.channel())
            && search.state.is_none_or(|state| state == self.state())
            && search.fault.as_deref().is_none_or(|fault| self.rare() && fault == "http_400")
            && search.since_ms.is_none_or(|since_ms| self.at_ms() >= since_ms)
            && search.until_ms.is_none_or(|until_ms| self.at_ms() < until_ms)
            && (search.contacts.is_empty() || search.contacts.contains(&format!("+34{}", 600_000_000 + self.contact())))
    }
}

fn scanned(search: &Search) -> Vec<String> {
    let rows = (1..=9000).rev().flat_map(|n| [Side::In, Side::Out].map(|side| Known { side, n }));
    rows.filter(|row| row.fulfils(search)).map(|row| row.m_id()).collect()
}

fn searches() -> impl Strategy<Value = Search> {
    let word = |words: &'static [&'static str]| proptest::sample::select(words);
    let query = prop_oneof![
        2 => Just(String::new()),
        6 => word(&["xilófono", "XILO azul", "suena", "gracias", "\"mi xilófono\"", "senor 4007", "mensaje 88", "no", "nowhere",
            "muchas gracias 4100", "atendemos 41"]).prop_map(str::to_owned),
        3 => word(&["600000001", "0000077", "34600", "+34 600 000 899", "99999"]).prop_map(str::to_owned),
        1 => (1..9000_i64, any::<bool>())
            .prop_map(|(n, out)| Known { side: if out { Side::Out } else { Side::In }, n }.m_id()),
    ];
    let time = || proptest::option::weighted(0.3, 0..9_100_000_i64);
    let some = |words: &'static [&'static str]| proptest::option::weighted(0.3, word(words).prop_map(str::to_owned));
    let state = proptest::option::weighted(0.3, proptest::sample::select(&MessageState::ALL[..]));
    let side = proptest::option::weighted(0.3, proptest::sample::select(&Side::BOTH[..]));
    let contact = proptest::option::weighted(0.15, 1..900_i64);
    (
        (query, side, some(&["quiet", "sales", "support", "none"]), state),
        (some(&["http_400", "http_500"]), time(), time(), contact),
        1..200_u32,
    )
        .prop_map(|((query, side, channel, state), (fault, since_ms, until_ms, contact), limit)| Search {
            query: Query::parse(&query),
            side,
            channel,
            state,
            fault,
            since_ms,
            until_ms,
            contacts: contact.map(|n| format!("+34{}", 600_000_000 + n)).into_iter().collect(),
            before: Cursor::TOP,
            limit: limit.pow(2).min(5000),
        })
}

/// Searches of a run: of these, half without the index of words.
const SEARCHES: u32 = 60;

async fn whatever_is_asked_for_is_what_a_plain_scan_finds(engine: Engine) {
    let fresh = filled(engine).await;
    let mut runner = TestRunner::new(Runs::default());
    for turn in 0..SEARCHES {
        if turn == SEARCHES / 2 {
            assert_eq!(indexed(&fresh).await, "4", "two whole blocks each way; the third is not complete");
        }
        let search = searches().new_tree(&mut runner).unwrap().current();
        let found = all(&fresh.store, search.clone(), None).await;
        let found: Vec<String> = found.into_iter().map(|found| found.message.m_id).collect();
        assert_eq!(found, scanned(&search), "turn {turn}: {search:?}");
    }
}

async fn an_m_id_is_found_of_the_contact_that_is_asked_for_alone(engine: Engine) {
    let fresh = filled(engine).await;
    for (contact, expected) in [(6, 1), (7, 0)] {
        let contacts = vec![format!("+34{}", 600_000_000 + contact)];
        let search = Search { query: Query::MId(Known { side: Side::In, n: 5 }.m_id()), contacts, ..Search::all() };
        assert_eq!(all(&fresh.store, search.clone(), None).await.len(), expected);
        assert_eq!(scanned(&search).len(), expected);
    }
}

async fn a_search_of_which_the_time_is_up_says_how_far_it_came_and_goes_on_there(engine: Engine) {
    let fresh = filled(engine).await;
    let search = Search { query: Query::parse("xilofono"), ..Search::all() };
    let found = fresh.store.find(search.clone(), Some(Duration::ZERO)).await.unwrap();
    assert!(found.cut && found.messages.len() < 18 && found.next.is_some(), "{found:?}");
    let short = Duration::from_millis(20);
    let (mut pages, mut at, mut m_ids, mut reached) = (0, search.clone(), Vec::new(), Vec::new());
    loop {
        let found = fresh.store.find(at.clone(), Some(short)).await.unwrap();
        assert!(!found.cut || found.next.is_some());
        if let (true, Some(back_to_ms)) = (found.cut, found.searched_back_to_ms) {
            reached.push(back_to_ms);
        }
        m_ids.extend(found.messages.into_iter().map(|found| found.message.m_id));
        pages += 1;
        assert!(pages < 2_000, "it does not come forward");
        let Some(next) = found.next else { break };
        at.before = next;
    }
    assert!(reached.is_sorted_by(|one, next| one >= next), "from page to page further back: {reached:?}");
    let mut expected = scanned(&search);
    m_ids.sort();
    expected.sort();
    assert_eq!(m_ids, expected);
}

async fn an_erased_text_leaves_the_index_with_the_transaction_that_erases_it(engine: Engine) {
    let fresh = filled(engine).await;
    let FreshStore { store, folder } = &fresh;
    assert_eq!(indexed(&fresh).await, "4");
    let lists = async |side: &str, block: i64| {
        let count = format!("SELECT COUNT(*) FROM text_lists WHERE side = '{side}' AND block = {block}");
        folder.ask(&count).await.remove(0).unwrap()
    };
    let notices = DiscardNotices { not_sent: String::new(), perhaps_sent: String::new() };
    let of = |side, n| Known { side, n }.m_id();
    // Of one message, of one event.
    store.discard(of(Side::Out, 1007).into(), notices.clone(), by(), LATE_MS).await.unwrap();
    assert_eq!(lists("out", 0).await, "0");
    assert_ne!(lists("in", 0).await, "0", "no event of it was erased");
    store.discard(of(Side::In, 1007).into(), notices, by(), LATE_MS).await.unwrap();
    assert_eq!([lists("out", 0).await, lists("in", 0).await], ["0", "0"]);
    let rare = Search { query: Query::parse("xilofono"), ..Search::all() };
    assert_eq!(all(store, rare.clone(), None).await.len(), 16, "the others are found without their lists");
    assert_eq!(indexed(&fresh).await, "4", "and are indexed again");
    assert_eq!(all(store, rare.clone(), None).await.len(), 16);
    // Of a person: in every block.
    let person = Person { names: ["+34600000008".into(), "34600000008".into()], channel: None };
    assert!(store.erase(person, Erase::Waiting, LATE_MS).await.unwrap().done);
    for (side, block) in [("out", 0), ("out", 1), ("in", 0), ("in", 1)] {
        assert_eq!(lists(side, block).await, "0", "{side} {block}");
    }
    assert_eq!(indexed(&fresh).await, "4");
    // By retention, of the oldest.
    assert_eq!(store.purge(1_000_000, 0, 500).await.unwrap(), 500);
    assert_eq!([lists("out", 0).await, lists("in", 0).await], ["0", "0"]);
    assert_ne!(lists("out", 1).await, "0", "nothing of it was erased");
    while store.purge(LATE_MS, 0, 500).await.unwrap() == 500 {}
    assert_eq!(folder.ask("SELECT COUNT(*) FROM text_lists").await, [Some("0".into())]);
    assert!(all(store, rare, None).await.is_empty());
    indexed(&fresh).await;
    let left = folder.ask("SELECT COUNT(*) FROM text_lists WHERE part <> -1").await;
    assert_eq!(left, [Some("0".into())], "of blocks without texts only a mark");
    // SQLite may give the ids of deleted rows to new ones, of which the mark would hide the words.
    while store.purge(LATE_MS, LATE_MS, 5000).await.unwrap() == 5000 {}
    assert_eq!(folder.ask("SELECT COUNT(*) FROM text_lists").await, [Some("0".into())], "and of deleted rows none");
}

async fn both_directions_are_shown_newest_first(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    assert!(all(&store, Search::all(), None).await.is_empty());
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.accept(message(1, "to the customer", 10)).await.unwrap();
    store.record(reading(1, &[("r1", "from the customer")])).await.unwrap();
    store.accept(message(2, "later", 2000)).await.unwrap();
    send(&store, &take(&store, epoch, 100).await[0]).await;
    let found = all(&store, Search { limit: 1, ..Search::all() }, None).await;
    let shown: Vec<_> = found.iter().map(|found| (found.side, found.message.state.as_str())).collect();
    assert_eq!(shown, [(Side::Out, "queued"), (Side::In, "queued"), (Side::Out, "sent")]);
    let event = found[1].message.clone();
    assert_eq!(
        (event.kind.as_str(), event.contact.as_str(), event.accepted_ms),
        ("message", contact(1).as_str(), 1000)
    );
    assert_eq!(store.show(event.m_id).await.unwrap().unwrap().state, "queued");
    let waits = Search { state: Some(MessageState::Queued), ..Search::all() };
    assert_eq!(all(&store, waits, None).await.len(), 2);
    assert_eq!(store.index_texts(LATE_MS).await.unwrap(), Indexing::Done, "no block is complete");
}

async fn what_was_posted_again_is_found_by_its_time(engine: Engine) {
    let fresh = filled(engine).await;
    for n in (7..9000).step_by(1000) {
        let again = fresh.store.retry(Known { side: Side::In, n }.m_id().into(), by(), LATE_MS).await.unwrap();
        assert_eq!(again, ManualOutcome::Events(1));
    }
    // Their times are out of the order of their ids now; others are found all the same.
    for from in (0..8_900_000).step_by(450_000) {
        let search = Search { since_ms: Some(from), until_ms: Some(from + 20_000), ..Search::all() };
        let found: Vec<String> =
            all(&fresh.store, search.clone(), None).await.into_iter().map(|f| f.message.m_id).collect();
        let expected: Vec<String> = scanned(&search);
        let moved = |m_id: &String| m_id.starts_with('e') && m_id.ends_with("007");
        assert_eq!(found, expected.into_iter().filter(|m_id| !moved(m_id)).collect::<Vec<_>>(), "{from}");
    }
}
