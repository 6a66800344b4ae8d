//! What every engine promises of decisions that are postponed, of rows that are taken for sends by their likeness, and of
//! what both teach.

use super::*;
use crate::domain::matching::{Features, Match, ShownAs};
use crate::domain::{AfilnetRow, Direction, RowTime};
use crate::store::{Lesson, Postponement, RowChange};

on_each_engine! {
    a_postponed_row_outlives_a_restart_and_is_decided_once
    what_a_row_says_that_said_nothing_is_told_once
    a_row_that_is_decided_is_known_as_what_it_says_by_then
    a_row_taken_for_a_send_by_its_likeness_leaves_that_to_its_own_words
    rows_teach_which_sends_are_shown_word_for_word_and_where_first_sends_show
    a_postponed_row_is_erased_with_its_person_and_dropped_with_old_texts
}

fn row(text: &str) -> AfilnetRow {
    AfilnetRow {
        destination: "34600000001".parse().unwrap(),
        id: Some("7".into()),
        direction: Direction::Outbound,
        time: RowTime { raw: "2026-01-01 10:00:00".into(), epoch_ms: Some(7) },
        text: text.to_owned(),
        status: Some("1".into()),
    }
}

/// A reading of contact 1 with one row whose decision is postponed until `due_ms`.
fn postponed(identity: &str, due_ms: i64) -> ConversationRead {
    let mut page = reading(1, &[(identity, "x")]);
    let there = &mut page.rows[0];
    (there.events, there.from_customer, there.doubtful) = (Vec::new(), false, true);
    there.postponed = Some((row("?"), Postponement { read_before_ms: Some(5), due_ms }));
    page
}

fn decided(identity: &str) -> ConversationRead {
    let mut page = reading(1, &[(identity, "x")]);
    page.rows[0].change = RowChange::Decided;
    page
}

async fn a_postponed_row_outlives_a_restart_and_is_decided_once(engine: Engine) {
    let fresh = engine.fresh().await;
    fresh.store.record(postponed("r2", 900)).await.unwrap();
    assert_eq!(fresh.store.record(postponed("r1", 700)).await.unwrap().events, 0);
    fresh.store.record(postponed("r1", 100)).await.unwrap();
    let FreshStore { store, folder: _folder } = fresh.again().await;
    assert_eq!(store.chats_with_postponed(&channel()).await.unwrap(), [chat(1)]);
    let seen = store.seen(&channel(), &contact(1)).await.unwrap();
    assert_eq!(seen.rows.len(), 2);
    let there = seen.postponed.iter().find(|there| there.identity == "r1").unwrap();
    assert_eq!((&there.row, there.postponement), (&row("?"), Postponement { read_before_ms: Some(5), due_ms: 700 }));
    assert_eq!(store.record(decided("r1")).await.unwrap().events, 1);
    assert_eq!(store.record(decided("r1")).await.unwrap().events, 0, "once");
    assert_eq!(store.record(decided("r9")).await.unwrap().events, 0, "nothing of it was postponed");
    assert_eq!(store.chats_with_postponed(&channel()).await.unwrap(), [chat(1)]);
    assert_eq!(store.record(decided("r2")).await.unwrap().events, 1);
    assert_eq!(store.chats_with_postponed(&channel()).await.unwrap(), []);
}

async fn what_a_row_says_that_said_nothing_is_told_once(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let with = |change: RowChange, shape: Option<&str>, words: &str| {
        let mut page = reading(1, &[("r1", words)]);
        (page.rows[0].change, page.rows[0].shape) = (change, shape.map(str::to_owned));
        page
    };
    assert_eq!(store.record(with(RowChange::GainedWords, Some("t1"), "never seen")).await.unwrap().events, 0);
    assert_eq!(store.record(with(RowChange::New, Some("b1"), "placeholder")).await.unwrap().events, 1);
    assert_eq!(store.record(with(RowChange::GainedWords, Some("l1"), "words")).await.unwrap().events, 1);
    assert_eq!(store.record(with(RowChange::GainedWords, Some("l1"), "words again")).await.unwrap().events, 0);
    let seen = store.seen(&channel(), &contact(1)).await.unwrap().rows;
    assert_eq!((seen[0].shape.as_deref(), seen[0].fingerprint.as_deref()), (Some("l1"), Some("fingerprint of words")));
}

async fn a_row_that_is_decided_is_known_as_what_it_says_by_then(engine: Engine) {
    let FreshStore { store, folder: _folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let m_id = sent(&store, epoch, "a").await;
    let mut blank = postponed("r1", 700);
    blank.rows[0].shape = Some("b1".to_owned());
    store.record(blank).await.unwrap();
    let mut page = decided("r1");
    (page.rows[0].shape, page.rows[0].fingerprint) = (Some("l1".to_owned()), "fingerprint of more".to_owned());
    page.rows[0].matched = Some(Match { m_id: m_id.clone(), part: 0, last: true });
    assert_eq!(store.record(page.clone()).await.unwrap().events, 1);
    let seen = store.seen(&channel(), &contact(1)).await.unwrap().rows;
    assert_eq!((seen[0].shape.as_deref(), seen[0].fingerprint.as_deref()), (Some("l1"), Some("fingerprint of more")));
    assert_eq!(seen[0].matched, Some((m_id, 0)));
    page.rows[0].change = RowChange::GainedWords;
    assert_eq!(store.record(page).await.unwrap().events, 0, "its words are told already");
}

/// A message to contact 1 that was certainly sent.
async fn sent(store: &Arc<dyn Store>, epoch: Epoch, words: &str) -> MId {
    store.accept(message(1, words, 10)).await.unwrap();
    let attempt = take(store, epoch, 100).await.remove(0);
    send(store, &attempt).await;
    attempt.m_id
}

fn showing(identity: &str, m_id: &MId, lesson: Lesson) -> ConversationRead {
    let mut page = reading(1, &[(identity, "x")]);
    let there = &mut page.rows[0];
    (there.events, there.from_customer, there.lesson) = (Vec::new(), false, Some(lesson));
    there.matched = Some(Match { m_id: m_id.clone(), part: 0, last: true });
    page
}

const REWRITTEN: Lesson = Lesson { features: Features::WORDS, how: ShownAs::Alike };
const VERBATIM: Lesson = Lesson { features: Features::WORDS, how: ShownAs::Verbatim };

async fn a_row_taken_for_a_send_by_its_likeness_leaves_that_to_its_own_words(engine: Engine) {
    let (fresh, store) = {
        let fresh = engine.fresh().await;
        let store = Arc::clone(&fresh.store);
        (fresh, store)
    };
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let m_id = sent(&store, epoch, "a").await;
    let left = async || {
        let sends = store.own_sends(&channel(), &contact(1), 9).await.unwrap();
        sends.iter().map(|send| (send.m_id.clone(), send.shown_rewritten)).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [(m_id.clone(), false)]);
    store.record(showing("r1", &m_id, REWRITTEN)).await.unwrap();
    store.record(showing("r2", &m_id, REWRITTEN)).await.unwrap();
    assert_eq!(left().await, [(m_id.clone(), true)]);
    let seen = store.seen(&channel(), &contact(1)).await.unwrap().rows;
    assert_eq!(seen.iter().filter(|row| row.matched == Some((m_id.clone(), 0))).count(), 1);
    store.record(showing("r3", &m_id, VERBATIM)).await.unwrap();
    assert_eq!(left().await, []);
    drop(fresh);
}

async fn rows_teach_which_sends_are_shown_word_for_word_and_where_first_sends_show(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    let epoch = store.take_ownership(&channel()).await.unwrap();
    let first = sent(&store, epoch, "a").await;
    let links = Features::WORDS.with(Features::LINK);
    let traits = async || {
        let traits = store.account_traits(&channel()).await.unwrap();
        (traits.verbatim, traits.rewritten, traits.late_flags)
    };
    store.record(showing("r1", &first, Lesson { features: links, how: ShownAs::Verbatim })).await.unwrap();
    assert_eq!(traits().await, (links, Features::default(), false));
    let second = sent(&store, epoch, "b").await;
    store.record(showing("r2", &second, Lesson { features: links, how: ShownAs::Alike })).await.unwrap();
    assert_eq!(traits().await, (Features::WORDS, Features::LINK, false));
    store.record(ConversationRead { late_flags: true, ..reading(1, &[]) }).await.unwrap();
    assert!(traits().await.2);
    store.record(ConversationRead { prompt_flags: true, ..reading(1, &[]) }).await.unwrap();
    assert!(traits().await.2, "what was late once is not taken for prompt");
    assert_eq!(folder.ask("SELECT new_destinations FROM channels").await, [Some(" 34 ".to_owned())]);
    // From here on it is known how a message to another number of that country ends.
    store.accept(message(2, "c", 10)).await.unwrap();
    let attempt = take(&store, epoch, 100).await.remove(0);
    store.settle(&attempt, Settlement::Unknown { fault: Fault::TimedOut, look_ms: 200 }, 150).await.unwrap();
    let in_doubt = store.due_lookups(&channel(), 200, 9).await.unwrap().remove(0);
    assert!(store.evidence(&in_doubt).await.unwrap().new_shown);
    assert_eq!(in_doubt.began_ms, 100);
    let looked = InDoubtSend { evidence: Some("look 1: nothing".into()), ..in_doubt };
    store.record_lookup(&looked, crate::store::LookupResult::Inconclusive, 300, 250).await.unwrap();
    let looked = InDoubtSend { evidence: Some("look 2: nothing".into()), ..looked };
    store.resolve(&looked, epoch, Settlement::Sent { afilnet_id: None, more: false }, 400).await.unwrap();
    let shown = store.show(looked.attempt.m_id.as_str().to_owned()).await.unwrap().unwrap();
    assert_eq!(shown.looks, ["look 1: nothing", "look 2: nothing"]);
}

async fn a_postponed_row_is_erased_with_its_person_and_dropped_with_old_texts(engine: Engine) {
    let FreshStore { store, folder } = engine.fresh().await;
    store.take_ownership(&channel()).await.unwrap();
    store.record(postponed("r1", 700)).await.unwrap();
    let left = async || folder.ask("SELECT COUNT(*) FROM postponed").await;
    let plus = contact(1).to_string();
    let person = Person { names: [plus.clone(), plus[1..].to_owned()], channel: None };
    assert!(store.erase(person, Erase::Settled, 1_000_000).await.unwrap().done);
    assert_eq!(left().await, [Some("0".to_owned())]);
    store.record(ConversationRead { contact: contact(2), ..postponed("r1", 700) }).await.unwrap();
    store.purge(999, 0, 10).await.unwrap();
    assert_eq!(left().await, [Some("1".to_owned())]);
    store.purge(1001, 0, 10).await.unwrap();
    assert_eq!(left().await, [Some("0".to_owned())]);
}
