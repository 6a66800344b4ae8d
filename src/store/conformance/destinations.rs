//! What every engine promises of a contact whose conversation Afilnet keeps under several destinations.

use super::*;

on_each_engine! {
    rows_of_two_destinations_are_kept_apart_and_their_events_in_one_conversation
    messages_go_to_the_destination_that_the_customer_wrote_from_last
    what_the_customer_wrote_earlier_and_is_read_later_moves_no_messages
    a_look_knows_where_the_attempt_went_though_messages_go_elsewhere_by_now
    what_shows_elsewhere_than_it_went_teaches_nothing_of_new_destinations
    the_other_spelling_of_a_number_has_the_conversation_that_is_known
    the_initial_snapshot_holds_each_destination
    of_an_erased_person_no_destination_stays_and_no_row_makes_its_events_again
    a_postponed_row_is_due_under_its_own_destination
}

/// The second spelling of the number of contact 1.
const FURTHER: &str = "+34600000001";

fn at(destination: &str, page: ConversationRead) -> ConversationRead {
    ConversationRead { destination: destination.parse().unwrap(), ..page }
}

/// Identities of the rows that are known under a destination.
async fn known(store: &Arc<dyn Store>, destination: &str) -> Vec<String> {
    let seen = store.seen(&channel(), &contact(1)).await.unwrap();
    let seen = seen.at(&channel(), &contact(1), &destination.parse().unwrap());
    seen.rows.into_iter().map(|row| row.identity).collect()
}

async fn positions(store: &Arc<dyn Store>) -> Vec<(String, Option<String>)> {
    let positions = store.positions_of(&channel(), &contact(1)).await.unwrap();
    positions.into_iter().map(|there| (there.destination.as_str().to_owned(), there.read_to)).collect()
}

async fn rows_of_two_destinations_are_kept_apart_and_their_events_in_one_conversation(engine: Engine) {
    let fresh = engine.fresh().await;
    let store = &fresh.store;
    let paged = |page: &[&str], reading| {
        let page = Some(page.iter().map(|name| (*name).to_owned()).collect());
        ConversationRead { page, ..reading }
    };
    assert_eq!(store.record(paged(&["r1"], reading(1, &[("r1", "a")]))).await.unwrap().events, 1);
    let there = paged(&["r1", "r2"], at(FURTHER, reading(1, &[("r1", "b"), ("r2", "c")])));
    let there = ConversationRead { position: Some("q".into()), ..there };
    assert_eq!(store.record(there.clone()).await.unwrap().events, 2, "an id says nothing of another destination");
    assert_eq!(store.record(there).await.unwrap().events, 0);
    let FreshStore { store, folder } = fresh.again().await;
    assert_eq!(known(&store, &FURTHER[1..]).await, ["r1"]);
    assert_eq!(known(&store, FURTHER).await, ["r1", "r2"]);
    assert_eq!(known(&store, "0034600000001").await, [""; 0]);
    let seen = store.seen(&channel(), &contact(1)).await.unwrap();
    let further = seen.clone().at(&channel(), &contact(1), &FURTHER.parse().unwrap());
    assert_eq!(
        (further.is_further, further.page, further.elsewhere),
        (true, vec!["r1".into(), "r2".into()], vec![("r1".into(), "fingerprint of a".into())])
    );
    let first = seen.at(&channel(), &contact(1), &FURTHER[1..].parse().unwrap());
    assert_eq!((first.is_further, first.page), (false, vec!["r1".to_owned()]));
    let expected = [(FURTHER[1..].to_owned(), Some("p".to_owned())), (FURTHER.to_owned(), Some("q".to_owned()))];
    assert_eq!(positions(&store).await, expected);
    assert_eq!(store.positions(&channel()).await.unwrap().len(), 2);
    assert_eq!(folder.ask("SELECT COUNT(*) FROM conversations").await, [Some("1".into())]);
    store.record(ConversationRead { forget: vec!["r1".into()], ..at(FURTHER, reading(1, &[])) }).await.unwrap();
    assert_eq!((known(&store, FURTHER).await.len(), known(&store, &FURTHER[1..]).await.len()), (1, 1));
    let mut told = Vec::new();
    while let Some(due) = store.due_events(&channel(), i64::MAX, 1).await.unwrap().pop() {
        store.published(&due, Publication::Done, 9000).await.unwrap();
        told.push(due.event);
    }
    assert_eq!(told, ["a", "b", "c"].map(customer_says));
}

/// Where the next message to contact 1 goes.
async fn goes_to(store: &Arc<dyn Store>, epoch: Epoch) -> String {
    store.accept(message(1, MId::fresh().as_str(), 10)).await.unwrap();
    let attempt = take(store, epoch, 100).await.remove(0);
    send(store, &attempt).await;
    attempt.destination.as_str().to_owned()
}

async fn messages_go_to_the_destination_that_the_customer_wrote_from_last(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.record(reading(1, &[("r1", "a")])).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, FURTHER[1..]);
    let mut history = at(FURTHER, reading(1, &[("r1", "old")]));
    history.rows[0].events.clear();
    store.record(history).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, FURTHER[1..], "nobody wrote there");
    store.record(at(FURTHER, reading(1, &[("r2", "b")]))).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, FURTHER);
    store.record(reading(1, &[("r2", "c")])).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, FURTHER[1..]);
    assert_eq!(positions(&store).await.len(), 2);
    assert_eq!((known(&store, &FURTHER[1..]).await.len(), known(&store, FURTHER).await.len()), (2, 2));
    // What was read earlier and is decided now says nothing of where the customer writes.
    let mut waits = at(FURTHER, reading(1, &[("r3", "d")]));
    waits.rows[0].events.clear();
    let row = crate::domain::matching::testing::row("3", crate::domain::Direction::Inbound, 7, "d");
    waits.rows[0].postponed = Some((row, Postponement { read_before_ms: None, due_ms: 900 }));
    store.record(waits).await.unwrap();
    let mut decided = at(FURTHER, reading(1, &[("r3", "d")]));
    decided.rows[0].change = RowChange::Decided;
    assert_eq!(store.record(decided).await.unwrap().events, 1);
    assert_eq!(goes_to(&store, epoch).await, FURTHER[1..]);
}

async fn what_the_customer_wrote_earlier_and_is_read_later_moves_no_messages(engine: Engine) {
    let (bare, mut n) = (&FURTHER[1..], 0);
    let mut written = |destination: &str, written_ms: &[Option<i64>]| {
        let names: Vec<String> = written_ms.iter().zip(n..).map(|(_, n)| format!("r{n}")).collect();
        n += names.len();
        let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        let mut page = at(destination, reading(1, &rows));
        for (row, written_ms) in page.rows.iter_mut().zip(written_ms) {
            row.written_ms = *written_ms;
        }
        page
    };
    let fresh = engine.fresh().await;
    let store = &fresh.store;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.record(written(FURTHER, &[Some(40)])).await.unwrap();
    store.record(written(bare, &[Some(100), Some(70)])).await.unwrap();
    assert_eq!(goes_to(store, epoch).await, bare);
    store.record(written(FURTHER, &[Some(50), Some(99)])).await.unwrap();
    assert_eq!(goes_to(store, epoch).await, bare, "written before, though read after");
    let FreshStore { store, folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.record(written(FURTHER, &[Some(99)])).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, bare);
    store.record(written(FURTHER, &[Some(100)])).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, FURTHER, "of one time, read last");
    store.record(written(bare, &[None])).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, bare, "read last, and nobody knows when it was written");
    store.record(written(FURTHER, &[Some(99)])).await.unwrap();
    assert_eq!(goes_to(&store, epoch).await, bare);
    assert_eq!((positions(&store).await.len(), known(&store, FURTHER).await.len()), (2, 6));
    assert_eq!(folder.ask("SELECT heard_ms FROM conversations").await, [Some("100".into())]);
    let person = Person { names: [FURTHER.to_owned(), bare.to_owned()], channel: None };
    assert!(store.erase(person, Erase::Waiting, 1_000_000).await.unwrap().done);
    assert_eq!(folder.ask("SELECT heard_ms FROM conversations").await, [None]);
}

async fn a_look_knows_where_the_attempt_went_though_messages_go_elsewhere_by_now(engine: Engine) {
    let fresh = engine.fresh().await;
    let epoch = fresh.store.take_ownership(&channel()).await.unwrap();
    fresh.store.accept(message(1, "a", 10)).await.unwrap();
    take(&fresh.store, epoch, 100).await;
    fresh.store.record(at("600000001@c.us", reading(1, &[("r1", "b")]))).await.unwrap();
    let FreshStore { store, folder: _folder } = fresh.again().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    store.interrupted(&channel(), epoch, 500, 200).await.unwrap();
    let in_doubt = store.due_lookups(&channel(), 500, 9).await.unwrap().remove(0);
    assert_eq!(in_doubt.attempt.destination.as_str(), &FURTHER[1..]);
}

async fn what_shows_elsewhere_than_it_went_teaches_nothing_of_new_destinations(engine: Engine) {
    for (shown_at, teaches) in [("541155551234", false), ("5491155551234", true)] {
        let FreshStore { store, folder } = engine.fresh().await;
        let epoch = store.take_ownership(&channel()).await.unwrap();
        let to = NewOutbound { destination: "5491155551234".parse().unwrap(), ..message(1, "a", 10) };
        store.accept(to).await.unwrap();
        let attempt = take(&store, epoch, 100).await.remove(0);
        send(&store, &attempt).await;
        let mut page = at(shown_at, reading(1, &[("r1", "a")]));
        page.rows[0].events.clear();
        page.rows[0].matched = Some(crate::domain::matching::Match { m_id: attempt.m_id.clone(), part: 0, last: true });
        store.record(page).await.unwrap();
        let learned = folder.ask("SELECT new_destinations FROM channels").await;
        assert_eq!(learned[0].as_deref().unwrap_or_default().contains("54"), teaches, "{shown_at}: {learned:?}");
        assert_eq!(goes_to(&store, epoch).await, "5491155551234", "the customer did not write yet");
    }
}

async fn the_other_spelling_of_a_number_has_the_conversation_that_is_known(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let short = contact(7);
    store.record(reading(7, &[("r1", "a")])).await.unwrap();
    let long: ContactId = "+34960000000007".parse().unwrap();
    let by_long = |words: &str| NewOutbound {
        contact: long.clone(),
        other_spelling: Some(short.clone()),
        destination: long.as_str()[1..].parse().unwrap(),
        ..message(7, words, 10)
    };
    store.accept(by_long("one")).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    assert_eq!((&attempt.contact, attempt.destination.as_str()), (&short, &short.as_str()[1..]));
    assert_eq!(folder.ask("SELECT COUNT(*) FROM conversations").await, [Some("1".into())]);
    assert_eq!(
        store.known_contacts(&channel(), vec![short.clone(), long.clone()]).await.unwrap(),
        std::slice::from_ref(&short)
    );
    // Where both are known each stays what it is.
    let both = NewOutbound { other_spelling: None, ..by_long("two") };
    store.accept(both).await.unwrap();
    store.accept(by_long("three")).await.unwrap();
    assert_eq!(folder.ask("SELECT COUNT(*) FROM conversations").await, [Some("2".into())]);
    assert_eq!(store.waiting().await.unwrap()[0].outbound, 3);
    assert_eq!(folder.ask("SELECT COUNT(DISTINCT conversation) FROM outbound").await, [Some("2".into())]);
}

async fn the_initial_snapshot_holds_each_destination(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.take_ownership(&channel()).await.unwrap();
    let there = |destination: &str, snapshot_row: &str| Position {
        contact: contact(1),
        destination: destination.parse().unwrap(),
        read_to: None,
        snapshot_row: Some(snapshot_row.into()),
        unread: None,
    };
    let both = vec![there(&FURTHER[1..], "fingerprint"), there(FURTHER, "other fingerprint")];
    store.store_initial_snapshot(&channel(), both.clone(), 77).await.unwrap();
    assert_eq!(store.positions_of(&channel(), &contact(1)).await.unwrap(), both);
    let further = Chat { contact: contact(1), destination: FURTHER.parse().unwrap() };
    store.note_unread(&channel(), &further, "x".into()).await.unwrap();
    store.note_unread(&channel(), &chat(1), "y".into()).await.unwrap();
    let unread = store.positions_of(&channel(), &contact(1)).await.unwrap();
    assert_eq!(unread.iter().map(|there| there.unread.as_deref()).collect::<Vec<_>>(), [Some("y"), Some("x")]);
    store.record(at(FURTHER, reading(1, &[("r1", "a")]))).await.unwrap();
    let read = store.positions_of(&channel(), &contact(1)).await.unwrap();
    assert_eq!(read.iter().map(|there| there.snapshot_row.as_deref()).collect::<Vec<_>>(), [Some("fingerprint"), None]);
}

async fn of_an_erased_person_no_destination_stays_and_no_row_makes_its_events_again(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "a")])).await.unwrap();
    store.record(at(FURTHER, reading(1, &[("r1", "b")]))).await.unwrap();
    let person = Person { names: [FURTHER.to_owned(), FURTHER[1..].to_owned()], channel: None };
    assert!(store.erase(person, Erase::Waiting, 1_000_000).await.unwrap().done);
    let names = "SELECT destination, read_from, (SELECT destination FROM destinations) FROM conversations";
    for name in folder.ask(names).await {
        assert!(name.as_deref().is_some_and(|name| name.starts_with("erased/")), "{name:?}");
    }
    assert_eq!(
        (known(&store, &FURTHER[1..]).await, known(&store, FURTHER).await),
        (vec!["r1".to_owned()], vec!["r1".to_owned()])
    );
    assert_eq!(store.record(at(FURTHER, reading(1, &[]))).await.unwrap().events, 0);
    assert!(folder.ask(names).await.iter().flatten().all(|name| name.starts_with("erased/")), "a read names nobody");
    assert_eq!(store.record(at(FURTHER, reading(1, &[("r1", "b"), ("r2", "c")]))).await.unwrap().events, 1);
    assert_eq!(store.record(reading(1, &[("r1", "a"), ("r2", "d")])).await.unwrap().events, 1);
    assert_eq!(
        positions(&store).await.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        [&FURTHER[1..], FURTHER]
    );
    assert_eq!(folder.ask("SELECT COUNT(*) FROM destinations").await, [Some("1".into())]);
    // Found by a further destination alone.
    let odd = Person { names: ["odd".to_owned(), "odd".to_owned()], channel: None };
    store.record(at("odd", reading(1, &[("r9", "e")]))).await.unwrap();
    assert_eq!(store.erase(odd, Erase::DryRun, 1_000_000).await.unwrap().conversations, 1);
}

async fn a_postponed_row_is_due_under_its_own_destination(engine: Engine) {
    use crate::domain::{AfilnetRow, Direction, RowTime};
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    store.record(reading(1, &[("r1", "a")])).await.unwrap();
    let postponed = |destination: &str, due_ms| {
        let mut page = at(destination, reading(1, &[("r2", "x")]));
        page.rows[0].events.clear();
        let row = AfilnetRow {
            destination: destination.parse().unwrap(),
            id: None,
            direction: Direction::Outbound,
            time: RowTime { raw: "1".into(), epoch_ms: Some(1) },
            text: "x".into(),
            status: None,
        };
        page.rows[0].postponed = Some((row, Postponement { read_before_ms: None, due_ms }));
        page
    };
    store.record(postponed(FURTHER, 700)).await.unwrap();
    store.record(postponed(&FURTHER[1..], 900)).await.unwrap();
    let further = Chat { contact: contact(1), destination: FURTHER.parse().unwrap() };
    let mut undecided = store.chats_with_postponed(&channel()).await.unwrap();
    undecided.sort_by_key(|chat| chat.destination.as_str().to_owned());
    assert_eq!(undecided, [further, chat(1)]);
    let seen = store.seen(&channel(), &contact(1)).await.unwrap();
    let there = seen.at(&channel(), &contact(1), &FURTHER.parse().unwrap());
    assert_eq!(there.postponed.iter().map(|row| row.identity.as_str()).collect::<Vec<_>>(), ["r2"]);
    let mut decided = at(FURTHER, reading(1, &[("r2", "x")]));
    decided.rows[0].change = RowChange::Decided;
    assert_eq!(store.record(decided).await.unwrap().events, 1);
    assert_eq!(store.chats_with_postponed(&channel()).await.unwrap(), [chat(1)]);
}
