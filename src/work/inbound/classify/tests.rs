//! What the rows of one page become.

use std::time::Duration;

use super::*;
use crate::domain::RowTime;
use crate::domain::content::Label;
use crate::domain::matching::{Features, InitialSyncPolicy, RowFingerprint, identities};
use crate::work::testing::{self, PlainWebhook};

fn settings(direction: DirectionBy, echoes: bool, html_entities: bool) -> ChannelSettings {
    ChannelSettings { direction, html_entities, echoes, ..testing::settings("support") }
}

/// An account that has shown everything word for word.
fn faithful() -> AccountTraits {
    let verbatim = Features::from_bits(i64::MAX);
    AccountTraits { shows_texts: true, shows_files: true, verbatim, ..AccountTraits::default() }
}

const NOW_MS: i64 = 1_000_000_000;

fn row(direction: Direction, second: i64, text: &str) -> AfilnetRow {
    AfilnetRow {
        destination: "34600111222".parse().unwrap(),
        id: None,
        direction,
        time: RowTime { raw: second.to_string(), epoch_ms: Some(second * 1000) },
        text: text.to_owned(),
        status: None,
    }
}

fn customer(second: i64, text: &str) -> AfilnetRow {
    row(Direction::Inbound, second, text)
}

fn question() -> PendingQuestion {
    let replies = ["Monday", "Tuesday"].map(|reply| Label::new(reply).unwrap()).to_vec();
    PendingQuestion { m_id: "q1".parse().unwrap(), replies, asked_ms: 10_000 }
}

const ASKED: &str = "Which day?\n1. Monday\n2. Tuesday\nReply with the number";

/// The sends of an account; the read before this one is not known.
fn sends(unmatched: &[UnmatchedSend], account: AccountTraits) -> Sends {
    Sends { unmatched: unmatched.to_vec(), account, read_before_ms: None }
}

/// Classifies rows of one conversation of which these are in the store.
fn classified(
    settings: &ChannelSettings,
    further: Option<&Destination>,
    rows: &[AfilnetRow],
    known: KnownBefore<'_>,
    sends: &Sends,
) -> Classified {
    PageInput {
        settings,
        webhook: &PlainWebhook,
        chat: ChatRef { contact: &"+34600111222".parse().unwrap(), further },
        page: ShownRows { rows, identities: &identities(rows), gap: None },
        known,
        sends,
        now: Now { wall_ms: NOW_MS, clock_ms: NOW_MS },
    }
    .classify()
}

/// Calls `then` with a conversation of which these rows are in the store, decided.
fn known<T>(seen: &[&str], context: &ReadContext<'_>, then: impl FnOnce(KnownBefore<'_>) -> T) -> T {
    then(KnownBefore {
        context,
        seen: &seen.iter().copied().collect(),
        blank: &[],
        postponed: &[],
        elsewhere: &Elsewhere::default(),
        question: None,
    })
}

fn fresh(
    rows: &[AfilnetRow],
    seen: &[&str],
    how: &ReadContext<'_>,
    question: Option<&PendingQuestion>,
) -> (Vec<NewRow>, Option<MId>) {
    fresh_at(None, rows, seen, how, question)
}

fn fresh_at(
    further: Option<&Destination>,
    rows: &[AfilnetRow],
    seen: &[&str],
    how: &ReadContext<'_>,
    question: Option<&PendingQuestion>,
) -> (Vec<NewRow>, Option<MId>) {
    let settings = settings(DirectionBy::Flag, false, false);
    let sends = sends(&[], faithful());
    let classified =
        known(seen, how, |known| classified(&settings, further, rows, KnownBefore { question, ..known }, &sends));
    (classified.rows, classified.answered)
}

fn texts(rows: &[NewRow]) -> Vec<String> {
    let text = |event: &Event| match &event.body {
        EventBody::Message { content: Content::Text { text } } => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    rows.iter().flat_map(|row| row.events.iter().map(text)).collect()
}

/// What the rows of a known conversation say with the question open, and whether one answers.
fn replies(rows: &[AfilnetRow]) -> (Vec<String>, bool) {
    let (rows, answered) = fresh(rows, &[], &ReadContext::Known, Some(&question()));
    (texts(&rows), answered.is_some())
}

#[test]
fn the_first_row_that_answers_gives_the_reply_and_the_rest_its_own_words() {
    let rows = [customer(11, "hm"), customer(12, "2"), customer(13, "1"), customer(14, "monday")];
    let (made, answered) = fresh(&rows, &[], &ReadContext::Known, Some(&question()));
    assert_eq!(texts(&made), ["hm", "Tuesday", "1", "monday"]);
    assert_eq!(answered, Some(question().m_id));
    let (raw, nothing) = fresh(&rows, &[], &ReadContext::Known, None);
    assert_eq!((texts(&raw), nothing), (["hm", "2", "1", "monday"].map(str::to_owned).to_vec(), None));
    let ids = |rows: &[NewRow]| rows.iter().flat_map(|row| &row.events).map(|e| e.m_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&made), ids(&raw), "an event's id is that of its row, whatever it says");
}

#[test]
fn the_same_page_makes_the_same_again() {
    let rows = [customer(12, "2"), customer(13, "2")];
    let once = fresh(&rows, &[], &ReadContext::Known, Some(&question()));
    let again = fresh(&rows, &[], &ReadContext::Known, Some(&question()));
    let events =
        |(rows, answered): (Vec<NewRow>, _)| (rows.into_iter().flat_map(|r| r.events).collect::<Vec<_>>(), answered);
    assert_eq!(events(once), events(again));
}

#[test]
fn rows_that_make_no_event_answer_nothing() {
    let rows = [customer(12, "2"), row(Direction::Outbound, 13, "2"), row(Direction::Unknown, 14, "2")];
    let seen = identities(&rows[..1]);
    let seen = [seen[0].as_str(), &identities(&rows)[2]];
    let (made, answered) = fresh(&rows, &seen, &ReadContext::Known, Some(&question()));
    assert_eq!((texts(&made), made.len(), answered), (vec![], 1, None));
}

#[test]
fn history_answers_nothing_and_what_came_after_it_does() {
    let rows = [customer(12, "1"), customer(13, "2")];
    let anchor = RowFingerprint::of(&rows[0]);
    for (policy, expected) in
        [(InitialSyncPolicy::All, vec!["1", "Tuesday"]), (InitialSyncPolicy::None, vec!["Tuesday"])]
    {
        let how = ReadContext::InitialSync { anchor: &anchor, snapshot_ms: 12_000, policy };
        let (made, answered) = fresh(&rows, &[], &how, Some(&question()));
        assert_eq!(
            (texts(&made), answered),
            (expected.iter().map(ToString::to_string).collect(), Some(question().m_id))
        );
    }
    let how = ReadContext::New { snapshot_ms: 0 };
    assert_eq!(texts(&fresh(&rows, &[], &how, Some(&question())).0), ["Monday", "2"]);
}

#[test]
fn a_row_that_stands_before_the_question_is_no_answer_to_it() {
    let asked = |second| row(Direction::Outbound, second, ASKED);
    let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(replies(&[customer(9, "2"), asked(10)]), (own(&["2"]), false));
    assert_eq!(replies(&[customer(9, "2"), asked(10), customer(11, "1")]), (own(&["2", "Monday"]), true));
    assert_eq!(replies(&[customer(9, "2"), asked(9)]), (own(&["Tuesday"]), true), "one second proves no order");
    // The same question once more: only its last showing counts.
    assert_eq!(replies(&[asked(8), customer(9, "2"), asked(10)]), (own(&["2"]), false));
    // Other words of ours, or the customer's own quoting, prove nothing.
    assert_eq!(
        replies(&[customer(9, "2"), row(Direction::Outbound, 10, "Monday or Tuesday?")]),
        (own(&["Tuesday"]), true)
    );
    assert_eq!(replies(&[customer(9, "2"), customer(10, ASKED)]), (own(&["Tuesday", ASKED]), true));
}

#[test]
fn an_answer_is_as_old_as_its_row() {
    let late = 10 + 24 * 3600;
    assert_eq!(replies(&[customer(late, "2")]).0, ["Tuesday"]);
    assert_eq!(replies(&[customer(late + 1, "2")]).0, ["2"]);
    let mut timeless = customer(11, "2");
    timeless.time.epoch_ms = None;
    assert_eq!(replies(&[timeless.clone()]).0, ["2"], "it is as old as its reading: days");
    let mut recent = question();
    recent.asked_ms = NOW_MS;
    assert_eq!(texts(&fresh(&[timeless], &[], &ReadContext::Known, Some(&recent)).0), ["Tuesday"]);
}

#[test]
fn with_matching_no_flag_counts_and_what_was_not_sent_is_the_customers() {
    let rows = [
        row(Direction::Outbound, 1, "hola &amp; m&aacute;s"),
        row(Direction::Outbound, 2, "Hi "),
        row(Direction::Inbound, 3, "Hi"),
    ];
    let matched = Match { m_id: "m1".parse().unwrap(), part: 0, last: true };
    let settings = settings(DirectionBy::Matching, true, true);
    let sends = sends(&[UnmatchedSend::new(matched.clone(), Some("Hi"), None, 0)], AccountTraits::default());
    let classified = known(&[], &ReadContext::Known, |known| classified(&settings, None, &rows, known, &sends));
    let made = classified.rows;
    assert_eq!(texts(&made), ["hola & más", "Hi"]);
    assert_eq!(made.into_iter().map(|row| row.matched).collect::<Vec<_>>(), [None, Some(matched), None]);
}

/// What a page of these rows publishes, `+` before the customer's and `=` before echoes; and how many rows are in doubt.
fn published(
    rows: &[AfilnetRow],
    how: &ReadContext<'_>,
    unmatched: &[UnmatchedSend],
    shows: bool,
) -> (Vec<String>, usize) {
    let settings = settings(DirectionBy::Flag, true, false);
    let sends = sends(unmatched, if shows { faithful() } else { AccountTraits::default() });
    let classified = known(&[], how, |known| classified(&settings, None, rows, known, &sends));
    let text = |event: &Event| match &event.body {
        EventBody::Message { content: Content::Text { text } } => format!("+{}", text.as_str()),
        EventBody::MessageEcho { content: Content::Text { text } } => format!("={}", text.as_str()),
        other => panic!("{other:?}"),
    };
    (
        classified.rows.iter().flat_map(|row| row.events.iter().map(text)).collect(),
        classified.rows.iter().filter(|row| row.doubtful).count(),
    )
}

fn operator(second: i64, text: &str) -> AfilnetRow {
    row(Direction::Outbound, second, text)
}

fn own(text: &str) -> UnmatchedSend {
    UnmatchedSend::new(Match { m_id: "m1".parse().unwrap(), part: 0, last: true }, Some(text), None, 0)
}

#[test]
fn what_somebody_wrote_in_the_panel_is_echoed_and_what_the_bridge_sent_is_not() {
    let rows = [customer(1, "hi"), operator(2, "from the panel"), operator(3, "ours"), customer(4, "bye")];
    let (told, doubtful) = published(&rows, &ReadContext::Known, &[own("ours")], false);
    assert_eq!((told, doubtful), (["+hi", "=from the panel", "+bye"].map(str::to_owned).to_vec(), 0));
    // What is like a call of ours is neither.
    let (told, doubtful) = published(&rows, &ReadContext::Known, &[own("Ours!")], true);
    assert_eq!((told, doubtful), (["+hi", "=from the panel", "+bye"].map(str::to_owned).to_vec(), 1));
    // An account that never showed a row of ours may show this one in words of its own.
    let (told, _) = published(&rows, &ReadContext::Known, &[own("something else")], false);
    assert_eq!(told, ["+hi", "+bye"]);
}

#[test]
fn what_the_business_wrote_before_the_bridge_is_no_echo() {
    let day = 86_400;
    let rows = [operator(1, "old"), customer(2, "old"), operator(9 * day, "new")];
    let how = ReadContext::New { snapshot_ms: 10 * day * 1000 };
    assert_eq!(published(&rows, &how, &[], true).0, ["+old", "=new"]);
    let mut timeless = rows.clone();
    for row in &mut timeless {
        row.time.epoch_ms = None;
    }
    assert_eq!(published(&timeless, &how, &[], true).0, ["+old"]);
    let anchor = RowFingerprint::of(&rows[1]);
    let unread = [RowFingerprint::of(&rows[0]), RowFingerprint::of(&rows[1])];
    for (policy, expected) in [
        (InitialSyncPolicy::None, vec!["=new"]),
        (InitialSyncPolicy::Unread(&unread), vec!["+old", "=new"]),
        (InitialSyncPolicy::All, vec!["=old", "+old", "=new"]),
    ] {
        let how = ReadContext::InitialSync { anchor: &anchor, snapshot_ms: 0, policy };
        assert_eq!(published(&rows, &how, &[], true).0, expected);
    }
}

#[test]
fn where_the_answer_that_named_the_unread_was_lost_nobodys_answer_counts_as_unread() {
    let rows =
        [customer(1, "answered"), operator(2, "the answer"), customer(3, "not answered"), customer(4, "nor this")];
    let anchor = RowFingerprint::of(&rows[3]);
    let named = [RowFingerprint::of(&rows[0])];
    for (policy, expected) in [
        (InitialSyncPolicy::Unread(&[]), vec![]),
        (InitialSyncPolicy::UnreadOrUnreplied(&[]), vec!["+not answered", "+nor this"]),
        (InitialSyncPolicy::UnreadOrUnreplied(&named), vec!["+answered", "+not answered", "+nor this"]),
    ] {
        let how = ReadContext::InitialSync { anchor: &anchor, snapshot_ms: 0, policy };
        assert_eq!(published(&rows, &how, &[], true).0, expected);
    }
}

#[test]
fn what_was_there_before_the_bridge_shows_nothing_that_it_said() {
    let rows = [operator(1, "ours"), customer(2, "hi"), operator(3, "ours"), operator(4, "from the panel")];
    let anchor = RowFingerprint::of(&rows[1]);
    let how = ReadContext::InitialSync { anchor: &anchor, snapshot_ms: 2_000, policy: InitialSyncPolicy::None };
    let (told, _) = published(&rows, &how, &[own("ours")], true);
    assert_eq!(told, ["=from the panel"], "the later row of these words is the bridge's own");
}

#[test]
fn only_what_the_business_wrote_before_the_bridge_answers_what_was_there_before_it() {
    let rows = [
        customer(1, "answered"),
        operator(2, "the answer"),
        customer(3, "not answered"),
        operator(4, "from the bridge"),
        operator(5, "*From the bridge*, too"),
        operator(6, "from the panel"),
    ];
    let said = ["from the bridge", "from the bridge, too"].map(|text| {
        let matched = Match { m_id: format!("m{}", text.len()).parse().unwrap(), part: 0, last: true };
        UnmatchedSend::new(matched, Some(text), None, 0)
    });
    // The initial snapshot was taken before any of the bridge's, or only after them all.
    for (last, expected) in
        // What is like a send that no row shows waits, and what was typed after it with it.
        [(2, vec!["+not answered"]), (4, vec!["+not answered", "=from the panel"])]
    {
        let anchor = RowFingerprint::of(&rows[last]);
        let how = ReadContext::InitialSync {
            anchor: &anchor,
            snapshot_ms: 0,
            policy: InitialSyncPolicy::UnreadOrUnreplied(&[]),
        };
        assert_eq!(published(&rows, &how, &said, true).0, expected, "up to {last}");
    }
    // What is like a call of the bridge among what was there before may be that call: it proves nothing either way.
    let anchor = RowFingerprint::of(&rows[4]);
    let how = ReadContext::InitialSync { anchor: &anchor, snapshot_ms: 0, policy: InitialSyncPolicy::None };
    assert_eq!(published(&rows, &how, &said, true).1, 2);
    assert_eq!(published(&rows, &how, &[], true).1, 0);
}

#[test]
fn what_came_after_the_initial_snapshot_is_no_history_though_it_equals_the_last_row_of_that() {
    let id = |id: &str, row: AfilnetRow| AfilnetRow { id: Some(id.to_owned()), ..row };
    let rows = [id("1", customer(7, "ok")), id("2", customer(7, "and")), id("3", customer(7, "ok"))];
    let last = RowFingerprint::of(&rows[0]);
    let how = |anchor| ReadContext::InitialSync { anchor, snapshot_ms: 0, policy: InitialSyncPolicy::None };
    assert_eq!(published(&rows, &how(&last), &[], true).0, ["+and", "+ok"]);
    // The one with its id, wherever it stands; without ids the first, as what is published twice is not lost.
    let last = RowFingerprint::of(&rows[2]);
    assert_eq!(published(&rows, &how(&last), &[], true).0, [] as [&str; 0]);
    let nameless = rows.clone().map(|row| AfilnetRow { id: None, ..row });
    assert_eq!(published(&nameless, &how(&last), &[], true).0, ["+and", "+ok"]);
    // An id that means another row does not move it.
    let others = [id("3", customer(6, "old")), id("9", customer(7, "ok")), id("1", customer(8, "new"))];
    assert_eq!(published(&others, &how(&last), &[], true).0, ["+new"]);
    let edited = [id("3", customer(7, "ok, edited")), id("4", customer(8, "new"))];
    assert_eq!(published(&edited, &how(&last), &[], true).0, ["+new"]);
}

#[test]
fn a_conversation_is_read_again_for_a_postponed_row_in_doubling_times_and_when_it_is_due() {
    let settings = ChannelSettings {
        poll_active: Duration::from_secs(5),
        decide_within: Duration::from_secs(90),
        ..settings(DirectionBy::Flag, true, false)
    };
    // As an agent's words, which no row shows yet.
    let rows = [customer(2, "ok")];
    let identities = identities(&rows);
    let reread_s = |age_s: i64, rows: &[AfilnetRow], unmatched: &[UnmatchedSend]| {
        let since_ms = NOW_MS - age_s * 1000;
        let postponement = Postponement { read_before_ms: Some(0), due_ms: since_ms + 90_000 };
        let row = rows[0].clone();
        let there = PostponedRow { identity: identities[0].clone(), row, since_ms, postponement };
        let sends = Sends { read_before_ms: Some(0), ..sends(unmatched, faithful()) };
        let classified = known(&[identities[0].as_str()], &ReadContext::Known, |known| {
            classified(&settings, None, rows, KnownBefore { postponed: &[there], ..known }, &sends)
        });
        classified.reread_ms.map(|reread_ms| (reread_ms - NOW_MS) / 1000)
    };
    let sent = [own("ok").not_before(0)];
    let times = [0, 5, 10, 20, 40, 80].map(|age_s| reread_s(age_s, &rows, &sent));
    assert_eq!(times, [Some(5), Some(5), Some(10), Some(20), Some(40), Some(10)]);
    assert_eq!(reread_s(90, &rows, &sent), None, "it is decided");
    // Once another row shows these words only the flag may still turn, for ten seconds.
    let both = [customer(2, "ok"), operator(1, "ok")];
    assert_eq!(reread_s(7, &both, &sent), Some(3));
    assert_eq!(reread_s(10, &both, &sent), None);
}

#[test]
fn a_customers_row_says_when_it_was_written_as_far_as_that_is_known() {
    let mut rows = [customer(11, "hm"), customer(12, "later"), customer(13, "?"), operator(14, "ok")];
    rows[1].time.epoch_ms = Some(NOW_MS + 5000);
    rows[2].time.epoch_ms = None;
    let (made, _) = fresh(&rows, &[], &ReadContext::Known, None);
    let written: Vec<Option<i64>> = made.iter().map(|row| row.written_ms).collect();
    assert_eq!(written, [rows[0].time.epoch_ms, Some(NOW_MS), None, None]);
}

#[test]
fn rows_of_two_destinations_with_one_id_and_equal_words_make_events_of_their_own() {
    let rows = [row(Direction::Inbound, 1, "hola")];
    let ids = |further: Option<&Destination>| {
        let (made, _) = fresh_at(further, &rows, &[], &ReadContext::Known, None);
        made.into_iter().flat_map(|row| row.events).map(|event| event.m_id).collect::<Vec<_>>()
    };
    let (plus, bare) = ("+34600111222".parse().unwrap(), "34600111222".parse().unwrap());
    let all = [ids(None), ids(Some(&plus)), ids(Some(&bare))];
    assert!(all.iter().all(|ids| ids.len() == 1));
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    assert_eq!(ids(Some(&plus)), all[1], "the same whenever it is made");
}
