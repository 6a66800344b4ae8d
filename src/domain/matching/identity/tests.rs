//! Pages as Afilnet may show them, one after the other, against what may be called new.

use proptest::prelude::*;

use super::super::testing::row;
use super::*;

/// Rows of one conversation as a store would know them, read page by page.
#[derive(Default)]
struct Reader {
    seen: Vec<(String, String)>,
    tail: Vec<String>,
}

impl Reader {
    /// Reads a page: which of its rows are new.
    fn read(&mut self, page: &[AfilnetRow]) -> Vec<bool> {
        let seen = self.seen.iter().map(|(identity, fingerprint)| (identity.as_str(), Some(fingerprint.as_str())));
        let known = Known::new(seen, &self.tail);
        let identities = identify(page, &known);
        assert_eq!(identities.iter().collect::<HashSet<_>>().len(), page.len(), "two rows have one name");
        let new: Vec<bool> = identities.iter().map(|identity| !known.holds(identity)).collect();
        let tail = next_tail(&identities, &known);
        for ((identity, row), new) in identities.iter().zip(page).zip(&new) {
            if *new {
                self.seen.push((identity.clone(), content_fingerprint(row)));
            }
        }
        self.tail = tail.unwrap_or_else(|| self.tail.clone());
        new
    }

    fn texts(&mut self, page: &[AfilnetRow]) -> Vec<String> {
        let new = self.read(page);
        page.iter().zip(new).filter(|(_, new)| *new).map(|(row, _)| row.text.clone()).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Ids {
    Stable,
    Missing,
    /// Others at every read.
    Unstable,
    /// The place in the page.
    Index,
}

/// The rows from `from` to `to` as one read shows them.
fn page(rows: &[(i64, String)], from: usize, to: usize, ids: Ids, turn: usize) -> Vec<AfilnetRow> {
    let id = |at: usize| match ids {
        Ids::Stable => (at + 1).to_string(),
        Ids::Missing => String::new(),
        Ids::Unstable => (at * 1000 + turn + 1).to_string(),
        Ids::Index => (at - from + 1).to_string(),
    };
    (from..to).map(|at| row(&id(at), Direction::Inbound, rows[at].0, &rows[at].1)).collect()
}

fn inbound(texts: &[&str]) -> Vec<AfilnetRow> {
    texts.iter().map(|text| row("", Direction::Inbound, 7, text)).collect()
}

#[test]
fn equal_rows_of_one_second_are_told_apart() {
    let rows = inbound(&["ok"; 10]);
    let ids = identities(&rows);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 10);
    assert_eq!(ids, identities(&rows));
    let mixed = [
        row("1", Direction::Inbound, 7, "a"),
        row("1", Direction::Outbound, 7, "a"),
        row("1", Direction::Inbound, 8, "b"),
    ];
    assert_eq!(identities(&mixed).iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn a_window_that_slides_over_equal_rows_shows_each_of_them() {
    let eight: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let mut first: Vec<&str> = vec!["ok"; 10];
    first.extend(eight.iter().map(String::as_str));
    let mut reader = Reader::default();
    assert_eq!(reader.texts(&inbound(&first)).len(), 20);
    // The ten have slid out, ten more of the same second have come.
    let mut then: Vec<&str> = eight.iter().map(String::as_str).collect();
    then.extend(["ok"; 10]);
    assert_eq!(reader.texts(&inbound(&then)), ["ok"; 10]);
    assert!(reader.texts(&inbound(&then)).is_empty());
}

#[test]
fn order_that_flips_within_a_second_makes_nothing_new() {
    let texts: Vec<String> = (0..20).map(|n| if n % 3 == 0 { "ok".to_owned() } else { n.to_string() }).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (one, other) in [(18, 19), (0, 1), (0, 19), (7, 8), (3, 17)] {
        let mut reader = Reader::default();
        reader.read(&inbound(&texts));
        let mut flipped = texts.clone();
        flipped.swap(one, other);
        assert!(reader.texts(&inbound(&flipped)).is_empty(), "{one} {other}");
        flipped.push("new");
        assert_eq!(reader.texts(&inbound(&flipped)), ["new"]);
        flipped.remove(0);
        flipped.push("newer");
        flipped.swap(17, 18);
        assert_eq!(reader.texts(&inbound(&flipped)), ["newer"]);
    }
}

#[test]
fn a_short_read_and_the_whole_one_after_it_make_nothing_new() {
    let rows: Vec<(i64, String)> = (0..40).map(|n| (7, format!("{}", n % 25))).collect();
    for ids in [Ids::Stable, Ids::Missing, Ids::Unstable] {
        let mut reader = Reader::default();
        assert_eq!(reader.read(&page(&rows, 0, 40, ids, 1)).len(), 40);
        for (turn, (from, to)) in (2..).zip([(0, 15), (0, 40), (5, 30), (39, 40), (0, 40), (20, 40), (0, 40)]) {
            assert!(!reader.read(&page(&rows, from, to, ids, turn)).contains(&true), "{ids:?} {from} {to}");
        }
    }
}

#[test]
fn ids_that_mean_other_rows_at_the_next_read_are_not_believed() {
    let rows: Vec<(i64, String)> = (0..40).map(|n| (n, format!("text {n}"))).collect();
    for ids in [Ids::Unstable, Ids::Index] {
        let mut reader = Reader::default();
        assert!(reader.read(&page(&rows, 0, 20, ids, 1)).iter().all(|new| *new));
        for turn in 2..20 {
            let new = reader.read(&page(&rows, turn, 20 + turn, ids, turn));
            let expected: Vec<bool> = (turn..20 + turn).map(|at| at >= 18 + turn + usize::from(turn > 2)).collect();
            assert_eq!(new, expected, "{ids:?} {turn}");
        }
    }
}

#[test]
fn a_flag_or_ids_that_come_and_go_make_nothing_new() {
    let text = |id: &str, direction, n: i64| row(id, direction, n, "t");
    let mut reader = Reader::default();
    reader.read(&[text("1", Direction::Inbound, 1), text("2", Direction::Inbound, 2)]);
    // The flag is not to be read for a while, and a row comes meanwhile.
    let unflagged: Vec<AfilnetRow> =
        [(1, "1"), (2, "2"), (3, "3")].map(|(n, id)| text(id, Direction::Unknown, n)).into_iter().collect();
    assert_eq!(reader.read(&unflagged), [false, false, true]);
    let flagged: Vec<AfilnetRow> =
        [(1, "1"), (2, "2"), (3, "3"), (4, "4")].map(|(n, id)| text(id, Direction::Inbound, n)).into_iter().collect();
    assert_eq!(reader.read(&flagged), [false, false, false, true]);
    // Without ids, and with them again.
    let mut bare = flagged.clone();
    for row in &mut bare {
        row.id = None;
    }
    bare.push(text("", Direction::Inbound, 5));
    assert_eq!(reader.read(&bare), [false, false, false, false, true]);
    let mut whole = flagged;
    whole.push(text("5", Direction::Inbound, 5));
    assert_eq!(reader.read(&whole), [false; 5]);
}

#[test]
fn an_edited_text_and_another_form_of_time_make_nothing_new_where_ids_hold() {
    let mut reader = Reader::default();
    let mut rows: Vec<AfilnetRow> = (1..=5).map(|n| row(&n.to_string(), Direction::Inbound, n, "t")).collect();
    reader.read(&rows);
    rows[2].text = "edited".to_owned();
    assert_eq!(reader.read(&rows), [false; 5]);
    for row in &mut rows {
        row.time.raw = format!("T{}", row.time.raw);
    }
    assert_eq!(reader.read(&rows), [false; 5]);
}

#[test]
fn rows_that_were_recorded_before_marks_were_kept_are_known() {
    let rows = inbound(&["a", "b", "b"]);
    let stored = identities(&rows);
    let known = Known::new(stored.iter().map(|identity| (identity.as_str(), None)), &[]);
    assert!(identify(&rows, &known).iter().all(|identity| known.holds(identity)));
    assert_eq!((base("hi:a#12"), base("hi:a"), base("ii:a#b")), ("hi:a", "hi:a", "ii:a#b"));
}

#[test]
fn an_equal_that_a_read_leaves_out_is_no_evidence_that_ids_moved() {
    let words = |at: usize| [(4, "3"), (5, "2"), (11, "5"), (13, "4")].iter().find(|(there, _)| *there == at);
    let rows: Vec<(i64, String)> =
        (0..16).map(|at| (7, words(at).map_or("0", |(_, words)| words).to_owned())).collect();
    let mut reader = Reader::default();
    let mut read = |from: usize, to: usize, left_out: Option<usize>| {
        let mut shown = page(&rows, from, to, Ids::Stable, 1);
        shown.retain(|row| row.id.as_deref() != left_out.map(|at| (at + 1).to_string()).as_deref());
        reader.texts(&shown)
    };
    let mut told = read(3, 12, None);
    told.extend(read(0, 15, Some(4)));
    told.extend(read(0, 15, Some(14)));
    told.extend(read(1, 16, None));
    let zeros = told.iter().filter(|text| *text == "0").count();
    assert_eq!((zeros, told.len()), (12, 16), "{told:?}");
}

#[test]
fn the_newest_row_that_a_read_leaves_out_after_one_with_a_gap_is_not_new_at_the_next() {
    let ends = ["1", "2", "3", "4", "1"];
    let rows: Vec<(i64, String)> = (0..30)
        .map(|at| match at {
            0..8 => (0, if at == 7 { "1" } else { "0" }),
            8..25 => (1, "0"),
            _ => (1, ends[at - 25]),
        })
        .map(|(second, words)| (second, words.to_owned()))
        .collect();
    let mut reader = Reader::default();
    let mut read = |from: usize, to: usize, left_out: Option<usize>| {
        let mut shown = page(&rows, from, to, Ids::Missing, 1);
        left_out.map(|at| shown.remove(at - from));
        reader.texts(&shown).len()
    };
    assert_eq!(read(6, 29, None), 23);
    assert_eq!(read(0, 29, Some(7)), 6);
    assert_eq!(read(8, 29, None), 0);
    assert_eq!(read(7, 30, Some(8)), 1);
    assert_eq!(read(5, 30, Some(29)), 0);
    assert_eq!(read(6, 30, None), 0);
}

/// Fifty rows of one second, ten of which say the same; each of the others says something else.
fn fifty() -> impl Strategy<Value = Vec<(i64, String)>> {
    Just((0..50).map(|n| if n < 10 { "ok".to_owned() } else { n.to_string() }).collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(|texts| texts.into_iter().map(|text| (7, text)).collect())
}

fn any_ids() -> impl Strategy<Value = Ids> {
    prop_oneof![Just(Ids::Stable), Just(Ids::Missing), Just(Ids::Unstable)]
}

proptest! {
    /// A window that slides by less than half of itself between reads loses nothing and doubles nothing.
    #[test]
    fn a_sliding_window_shows_every_row_once_and_in_order(
        rows in fifty(),
        slides in proptest::collection::vec(1usize..=8, 10..60),
        ids in any_ids(),
    ) {
        let (mut reader, mut told, mut to) = (Reader::default(), Vec::new(), 0);
        for (turn, slide) in slides.iter().enumerate() {
            to = (to + slide).min(rows.len());
            told.extend(reader.texts(&page(&rows, to.saturating_sub(20), to, ids, turn)));
        }
        let expected: Vec<String> = rows[..to].iter().map(|(_, text)| text.clone()).collect();
        prop_assert_eq!(told, expected);
    }

    /// Whatever a read leaves out, shows twice as late or in another order: no row comes twice.
    #[test]
    fn no_disturbance_makes_a_row_come_twice(
        texts in proptest::collection::vec(0usize..40, 60),
        reads in proptest::collection::vec(
            (0usize..8, 0usize..64, proptest::collection::vec(0usize..59, 0..4), proptest::collection::vec(0usize..60, 0..3)),
            1..30,
        ),
        ids in any_ids(),
    ) {
        let rows: Vec<(i64, String)> =
            texts.iter().enumerate().map(|(at, text)| (i64::from(at > 30), text.to_string())).collect();
        let (mut reader, mut to) = (Reader::default(), 5);
        let mut told: HashMap<(String, String), usize> = HashMap::new();
        for (turn, (more, window, swaps, hidden)) in reads.into_iter().enumerate() {
            to = (to + more).min(rows.len());
            let mut shown = page(&rows, to.saturating_sub(window), to, ids, turn);
            for at in swaps {
                if at + 1 < shown.len() && shown[at].time == shown[at + 1].time {
                    shown.swap(at, at + 1);
                }
            }
            for at in hidden {
                if at < shown.len() {
                    shown.remove(at);
                }
            }
            for (row, _) in shown.iter().zip(reader.read(&shown)).filter(|(_, new)| *new) {
                *told.entry((row.time.raw.clone(), row.text.clone())).or_default() += 1;
            }
            for ((second, text), times) in &told {
                let there = rows[..to].iter().filter(|(at, words)| at.to_string() == *second && words == text).count();
                prop_assert!(*times <= there, "{} of second {} came {} times, and was written {} times", text, second, times, there);
            }
        }
    }
}
