//! Sorts the rows of one conversation, oldest first, whatever order Afilnet gives them in (afilnet.md section 5.3, U4).
//! Pure.

use std::cmp::{Ordering, Reverse};

use crate::domain::AfilnetRow;

/// Returns `rows` with the oldest first. A list that is monotonic by (time, numeric id) is kept or reversed whole, so
/// that equal rows keep Afilnet's order; any other list is sorted, ties in the direction in which most of it ran. A row
/// without a time stays with its neighbour; ids count only if every row has a numeric one.
pub(super) fn oldest_first(rows: Vec<AfilnetRow>) -> Vec<AfilnetRow> {
    let keys = keys(&rows);
    let steps = |way| keys.windows(2).filter(|pair| pair[0].cmp(&pair[1]) == way).count();
    let (up, down) = (steps(Ordering::Less), steps(Ordering::Greater));
    let mut keyed: Vec<_> = keys.into_iter().zip(rows).enumerate().collect();
    match (up, down) {
        (_, 0) => {}
        (0, _) => keyed.reverse(),
        _ if down > up => keyed.sort_by(|(i, (a, _)), (j, (b, _))| (a, Reverse(i)).cmp(&(b, Reverse(j)))),
        _ => keyed.sort_by(|(i, (a, _)), (j, (b, _))| (a, i).cmp(&(b, j))),
    }
    keyed.into_iter().map(|(_, (_, row))| row).collect()
}

/// Returns the sort key of each row: its time, and its id if ids can be compared (digits without leading zeros, by
/// length and then by text: an id may be longer than any integer type).
fn keys(rows: &[AfilnetRow]) -> Vec<(i64, Option<(usize, String)>)> {
    let ids: Option<Vec<_>> = rows.iter().map(numeric_id).collect();
    let mut last = rows.iter().find_map(|row| row.time.epoch_ms).unwrap_or(0);
    let times = rows.iter().map(|row| {
        last = row.time.epoch_ms.unwrap_or(last);
        last
    });
    match ids {
        Some(ids) => times.zip(ids.into_iter().map(Some)).collect(),
        None => times.map(|time| (time, None)).collect(),
    }
}

fn numeric_id(row: &AfilnetRow) -> Option<(usize, String)> {
    let digits = row.id.as_deref().filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))?;
    let digits = digits.trim_start_matches('0');
    Some((digits.len(), digits.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Direction, RowTime};

    fn row(time: Option<i64>, id: Option<&str>, text: &str) -> AfilnetRow {
        AfilnetRow {
            destination: "34600000000".parse().unwrap(),
            id: id.map(str::to_owned),
            direction: Direction::Inbound,
            time: RowTime { raw: String::new(), epoch_ms: time },
            text: text.to_owned(),
            status: None,
        }
    }

    fn texts(rows: Vec<AfilnetRow>) -> String {
        oldest_first(rows).into_iter().map(|row| row.text).collect()
    }

    #[test]
    fn a_list_that_runs_one_way_is_kept_or_turned_around() {
        let at = |time, text| row(Some(time), None, text);
        assert_eq!(texts(vec![at(1, "a"), at(1, "b"), at(2, "c"), at(2, "d")]), "abcd");
        assert_eq!(texts(vec![at(2, "d"), at(2, "c"), at(1, "b"), at(1, "a")]), "abcd");
        assert_eq!(texts(vec![at(1, "a"), at(1, "b")]), "ab");
        assert_eq!(texts(vec![]), "");
        assert_eq!(texts(vec![at(1, "a")]), "a");
    }

    #[test]
    fn numeric_ids_break_ties() {
        let at = |time, id, text| row(Some(time), Some(id), text);
        assert_eq!(texts(vec![at(1, "10", "b"), at(1, "9", "a")]), "ab");
        assert_eq!(texts(vec![at(1, "9", "a"), at(1, "10", "b")]), "ab");
        assert_eq!(texts(vec![at(1, "99999999999999999999999", "b"), at(1, "7", "a"), at(2, "3", "c")]), "abc");
        assert_eq!(texts(vec![at(1, "007", "a"), at(1, "8", "b")]), "ab");
    }

    #[test]
    fn ids_that_are_not_all_numeric_are_left_alone() {
        let at = |time, id, text| row(Some(time), Some(id), text);
        assert_eq!(texts(vec![at(1, "10", "a"), at(1, "9", "b"), at(1, "f3", "c")]), "abc");
        assert_eq!(texts(vec![row(Some(1), Some("10"), "a"), row(Some(1), None, "b"), at(1, "9", "c")]), "abc");
    }

    #[test]
    fn a_shuffled_list_is_sorted_and_its_ties_go_the_way_most_of_it_ran() {
        let at = |time, text| row(Some(time), None, text);
        assert_eq!(texts(vec![at(3, "d"), at(1, "a"), at(2, "b"), at(2, "c")]), "abcd");
        assert_eq!(texts(vec![at(4, "e"), at(2, "c"), at(2, "b"), at(1, "a"), at(3, "d")]), "abcde");
    }

    #[test]
    fn a_row_without_a_time_stands_with_its_neighbour() {
        let at = |time, text| row(time, None, text);
        assert_eq!(texts(vec![at(Some(1), "a"), at(None, "b"), at(Some(2), "c")]), "abc");
        assert_eq!(texts(vec![at(Some(2), "c"), at(None, "b"), at(Some(1), "a")]), "abc");
        assert_eq!(texts(vec![at(None, "a"), at(None, "b"), at(None, "c")]), "abc");
        assert_eq!(texts(vec![at(None, "a"), at(Some(5), "b"), at(Some(9), "c")]), "abc");
    }

    proptest! {
        #[test]
        fn either_direction_of_the_same_list_reads_the_same(
            mut stamps in prop::collection::vec((0i64..20, 0u32..500), 0..40)
        ) {
            stamps.sort_unstable();
            stamps.dedup();
            let list: Vec<AfilnetRow> = stamps
                .iter()
                .map(|(time, id)| row(Some(*time), Some(&id.to_string()), &format!("{time}/{id} ")))
                .collect();
            let mut turned = list.clone();
            turned.reverse();
            prop_assert_eq!(oldest_first(list.clone()), list.clone());
            prop_assert_eq!(oldest_first(turned), list);
        }

        #[test]
        fn no_list_loses_a_row_or_its_order(
            fields in prop::collection::vec((prop::option::of(0i64..9), prop::option::of("[0-9a]{0,3}")), 0..40)
        ) {
            let rows: Vec<AfilnetRow> =
                fields.iter().enumerate().map(|(n, (t, id))| row(*t, id.as_deref(), &n.to_string())).collect();
            let sorted = oldest_first(rows.clone());
            let mut numbers: Vec<usize> = sorted.iter().map(|row| row.text.parse().unwrap()).collect();
            if fields.iter().all(|(time, _)| time.is_some()) {
                prop_assert!(sorted.windows(2).all(|pair| pair[0].time.epoch_ms <= pair[1].time.epoch_ms));
            }
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..rows.len()).collect::<Vec<_>>());
        }
    }
}
