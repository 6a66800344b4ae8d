//! What of a reading is new, and what was there before the bridge.

use std::collections::HashSet;

use super::{Attribution, RowFingerprint};
use crate::domain::{AfilnetRow, Direction};

/// The newest rows of a conversation met for the first time after the first run that are always published, however old
/// they look (afilnet.md section 5.1).
const ALWAYS_NEW: usize = 20;

/// Rows that look older than the first run by more than this are history; less may be a wrong time zone.
const ZONE_DOUBT_MS: i64 = 26 * 3_600_000;

/// How the rows of a reading are to be judged.
#[derive(Debug)]
pub(crate) enum ReadContext<'a> {
    /// Read before: every unseen row is new.
    Known,
    /// Met for the first time, after the initial snapshot was taken at this time (epoch ms).
    New { snapshot_ms: i64 },
    /// Met for the first time under this destination, of a contact that was known before under another. What is older than
    /// the first run is history: Afilnet may list a spelling of a number late.
    NewDestination { snapshot_ms: i64 },
    /// There at first run, up to this row; of the rows up to it those are new that `policy` names.
    InitialSync { anchor: &'a RowFingerprint, snapshot_ms: i64, policy: InitialSyncPolicy<'a> },
}

/// Which of the rows that were there before the bridge are published.
#[derive(Debug)]
pub(crate) enum InitialSyncPolicy<'a> {
    None,
    All,
    /// Those that Afilnet called unread.
    Unread(&'a [RowFingerprint]),
    /// The same where an answer that named some may have been lost, and the flags with it: beside these, what the
    /// customer wrote last and no agent had answered before the bridge.
    UnreadOrUnreplied(&'a [RowFingerprint]),
}

/// Returns for each row of a reading (oldest first) whether it was there before the bridge, as far as the initial snapshot
/// has its conversation.
pub(crate) fn history(rows: &[AfilnetRow], how: &ReadContext<'_>) -> Vec<bool> {
    match how {
        ReadContext::InitialSync { anchor, snapshot_ms, .. } => {
            let anchored = anchor.find(rows);
            let before = |(index, row): (usize, &AfilnetRow)| match anchored {
                Some(anchored) => index <= anchored,
                None => row.time.epoch_ms.is_some_and(|at| at <= *snapshot_ms),
            };
            rows.iter().enumerate().map(before).collect()
        }
        ReadContext::NewDestination { snapshot_ms } => {
            let was_there = |row: &AfilnetRow| row.time.epoch_ms.is_some() && looks_older(row, *snapshot_ms);
            rows.iter().map(was_there).collect()
        }
        ReadContext::Known | ReadContext::New { .. } => vec![false; rows.len()],
    }
}

/// Returns for each row of a reading (oldest first), by its attribution and identity, whether it is new, so that it makes an
/// event, or only becomes seen. Rows that are in `seen` are never new.
pub(crate) fn new_rows(
    rows: &[AfilnetRow],
    attributions: &[Attribution],
    identities: &[String],
    seen: &HashSet<&str>,
    how: &ReadContext<'_>,
) -> Vec<bool> {
    let unseen = |index: usize| !seen.contains(identities[index].as_str());
    match how {
        ReadContext::Known => (0..rows.len()).map(unseen).collect(),
        ReadContext::NewDestination { .. } => {
            // A row without a time may be old: of these the customer's newest are new, as of a contact who is new.
            let mut others = rows.iter().filter(|row| row.direction == Direction::Inbound).count();
            let is_new = |(index, (row, was_there)): (usize, (&AfilnetRow, bool))| {
                let from_customer = row.direction == Direction::Inbound;
                others -= usize::from(from_customer);
                let may_be_old = row.time.epoch_ms.is_none() && (!from_customer || others >= ALWAYS_NEW);
                unseen(index) && !was_there && !may_be_old
            };
            rows.iter().zip(history(rows, how)).enumerate().map(is_new).collect()
        }
        ReadContext::New { snapshot_ms } => {
            let from_customer = rows.iter().filter(|row| row.direction == Direction::Inbound).count();
            let mut older = from_customer.saturating_sub(ALWAYS_NEW);
            rows.iter()
                .enumerate()
                .map(|(index, row)| {
                    if row.direction == Direction::Inbound && older > 0 {
                        older -= 1;
                        return unseen(index) && !looks_older(row, *snapshot_ms);
                    }
                    let may_be_old = row.direction == Direction::Outbound;
                    unseen(index) && !(may_be_old && looks_older(row, *snapshot_ms))
                })
                .collect()
        }
        ReadContext::InitialSync { policy, .. } => {
            let mut unread: Vec<RowFingerprint> = match policy {
                InitialSyncPolicy::Unread(unread) | InitialSyncPolicy::UnreadOrUnreplied(unread) => unread.to_vec(),
                InitialSyncPolicy::None | InitialSyncPolicy::All => Vec::new(),
            };
            let history = history(rows, how);
            // Answered before the bridge, that is: what came after may be the answer to a customer that no agent has read.
            let answers = |index: &usize| {
                history[*index]
                    && rows[*index].direction == Direction::Outbound
                    && attributions[*index] == Attribution::Foreign
            };
            let there = history.iter().rposition(|before| *before).map_or(0, |last| last + 1);
            let answered = (0..there).rev().find(answers);
            let unanswered = answered.map_or(0, |last| last + 1).max(there.saturating_sub(ALWAYS_NEW));
            rows.iter()
                .enumerate()
                .zip(history)
                .map(|((index, row), before)| {
                    let is_published = !before
                        || match policy {
                            InitialSyncPolicy::None => false,
                            InitialSyncPolicy::All => true,
                            // Nobody has to read what the business wrote itself.
                            InitialSyncPolicy::Unread(_) => {
                                matched(&mut unread, row) && row.direction == Direction::Inbound
                            }
                            InitialSyncPolicy::UnreadOrUnreplied(_) => {
                                let named = matched(&mut unread, row);
                                (named || index >= unanswered) && row.direction == Direction::Inbound
                            }
                        };
                    is_published && unseen(index)
                })
                .collect()
        }
    }
}

/// Takes one fingerprint of `row` out of `fingerprints`. Returns whether there was one.
fn matched(fingerprints: &mut Vec<RowFingerprint>, row: &AfilnetRow) -> bool {
    let found = fingerprints.iter().position(|fingerprint| fingerprint.is(row));
    found.map(|index| fingerprints.swap_remove(index)).is_some()
}

fn looks_older(row: &AfilnetRow, than_ms: i64) -> bool {
    row.time.epoch_ms.is_none_or(|at| at < than_ms - ZONE_DOUBT_MS)
}

#[cfg(test)]
mod tests {
    use super::super::testing::row;
    use super::*;

    const DAY: i64 = 24 * 3600;

    #[test]
    fn of_a_destination_that_is_met_later_what_was_there_before_the_bridge_is_no_news() {
        let snapshot_ms = 100 * DAY * 1000;
        let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
        let mut rows = vec![
            row("1", inbound, 60 * DAY, "old"),
            row("2", outbound, 60 * DAY, "old answer"),
            row("3", inbound, 101 * DAY, "newer"),
            row("4", inbound, 102 * DAY, "new"),
            row("5", outbound, 102 * DAY, "new answer"),
            row("6", outbound, 0, "of whatever time"),
        ];
        rows[5].time.epoch_ms = None;
        // Without times the newest of the customer's are news, as of a contact who is new.
        rows.extend((0..25).map(|n| row(&format!("t{n}"), inbound, n, "timeless")));
        rows[6..].iter_mut().for_each(|row| row.time.epoch_ms = None);
        let how = ReadContext::NewDestination { snapshot_ms };
        let identities: Vec<String> = (0..rows.len()).map(|n| n.to_string()).collect();
        let attributions = vec![Attribution::Foreign; rows.len()];
        let is_new = new_rows(&rows, &attributions, &identities, &HashSet::new(), &how);
        assert_eq!(is_new[..6], [false, false, true, true, true, false]);
        assert_eq!(is_new[6..].iter().position(|new| *new), Some(5), "the newest {ALWAYS_NEW}");
        assert_eq!(history(&rows, &how)[..6], [true, true, false, false, false, false]);
    }
}
