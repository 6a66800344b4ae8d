//! Which row is which: identities, positions, and what of a reading is new. Pure.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization as _;

use super::ids::fingerprint;
use super::{Direction, MId, Row, entities};

/// The newest rows of a conversation met for the first time after the first run that are always published, however old
/// they look (afilnet.md section 5.1).
const ALWAYS_NEW: usize = 20;

/// Rows that look older than the first run by more than this are history; less may be a wrong time zone.
const ZONE_DOUBT_MS: i64 = 26 * 3_600_000;

/// The identity of each row of one reading (oldest first) of one conversation: by Afilnet's id where there is one, else
/// by direction, time as given, text, and which one it is among equals. Never empty (design.md section 5, afilnet.md U7).
pub(crate) fn identities(rows: &[Row]) -> Vec<String> {
    let mut equals: HashMap<String, u32> = HashMap::new();
    rows.iter()
        .map(|row| {
            let base = match &row.id {
                Some(id) => format!("i{}:{id}", row.direction.letter()),
                None => format!("h{}:{}", row.direction.letter(), content_mark(row)),
            };
            let nth = equals.entry(base.clone()).or_default();
            *nth += 1;
            if *nth == 1 { base } else { format!("{base}#{nth}") }
        })
        .collect()
}

/// How far a conversation is recorded: the row that `getchats` showed, as `id mark status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    id: String,
    content: String,
    status: String,
}

impl Mark {
    /// The mark of a row.
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            id: row.id.clone().unwrap_or_default(),
            content: content_mark(row),
            status: fingerprint(&[row.status.as_deref().unwrap_or_default()])[..8].to_owned(),
        }
    }

    /// Its stored form.
    pub(crate) fn to_text(&self) -> String {
        format!("{} {} {}", self.content, self.status, self.id)
    }

    /// Reads the stored form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let (content, status, id) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { id: id.to_owned(), content: content.to_owned(), status: status.to_owned() })
    }

    /// Whether `row` is the row marked. Ids decide only where they agree: they may differ between methods (U8).
    pub(crate) fn is(&self, row: &Row) -> bool {
        row.id.as_ref().is_some_and(|id| *id == self.id) || content_mark(row) == self.content
    }
}

/// Time as given and text. Not the direction: its field differs between methods.
fn content_mark(row: &Row) -> String {
    fingerprint(&[&row.time.raw, &row.text])
}

/// How the rows of a reading are to be judged.
#[derive(Debug)]
pub(crate) enum Acquaintance<'a> {
    /// Read before: every unseen row is new.
    Known,
    /// Met for the first time, after the first run took stock at this time (epoch ms).
    New { baseline_ms: i64 },
    /// There at first run, up to this row; of the rows up to it those are new that `wanted` names.
    Baseline { anchor: &'a Mark, baseline_ms: i64, wanted: Wanted<'a> },
}

/// Which of the rows that were there before the bridge are published.
#[derive(Debug)]
pub(crate) enum Wanted<'a> {
    None,
    All,
    /// Those that Afilnet called unread.
    Unread(&'a [Mark]),
}

/// For each row of a reading (oldest first): whether it was there before the bridge, as far as the first run took stock
/// of its conversation.
pub(crate) fn history(rows: &[Row], how: &Acquaintance<'_>) -> Vec<bool> {
    let Acquaintance::Baseline { anchor, baseline_ms, .. } = how else { return vec![false; rows.len()] };
    let anchored = rows.iter().rposition(|row| anchor.is(row));
    let before = |(index, row): (usize, &Row)| match anchored {
        Some(anchored) => index <= anchored,
        None => row.time.epoch_ms.is_some_and(|at| at <= *baseline_ms),
    };
    rows.iter().enumerate().map(before).collect()
}

/// For each row of a reading (oldest first) with its identity: whether it is new, so that it makes an event, or only
/// becomes seen. Rows that are in `seen` are never new.
pub(crate) fn news(rows: &[Row], identities: &[String], seen: &HashSet<&str>, how: &Acquaintance<'_>) -> Vec<bool> {
    let unseen = |index: usize| !seen.contains(identities[index].as_str());
    match how {
        Acquaintance::Known => (0..rows.len()).map(unseen).collect(),
        Acquaintance::New { baseline_ms } => {
            let from_customer = rows.iter().filter(|row| row.direction == Direction::Inbound).count();
            let mut older = from_customer.saturating_sub(ALWAYS_NEW);
            rows.iter()
                .enumerate()
                .map(|(index, row)| {
                    if row.direction == Direction::Inbound && older > 0 {
                        older -= 1;
                        return unseen(index) && !looks_older(row, *baseline_ms);
                    }
                    unseen(index)
                })
                .collect()
        }
        Acquaintance::Baseline { wanted, .. } => {
            let mut unread: Vec<Mark> = match wanted {
                Wanted::Unread(marks) => marks.to_vec(),
                Wanted::None | Wanted::All => Vec::new(),
            };
            rows.iter()
                .enumerate()
                .zip(history(rows, how))
                .map(|((index, row), before)| {
                    let wanted = !before
                        || match wanted {
                            Wanted::None => false,
                            Wanted::All => true,
                            Wanted::Unread(_) => claim(&mut unread, row),
                        };
                    wanted && unseen(index)
                })
                .collect()
        }
    }
}

/// One call that the bridge made and whose row nobody has claimed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) m_id: MId,
    pub(crate) part: u32,
    /// The normal forms that its row may show: the words, or a file's link or caption.
    pub(crate) says: Vec<String>,
}

/// Words as they compare, whatever a platform did to their form: NFC, entities decoded, white space trimmed and each
/// run of it one space (so that CRLF is LF).
pub(crate) fn normal(text: &str) -> String {
    let composed: String = entities::decoded(text).nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Says who wrote each unseen row (oldest first) that does not say so itself: the bridge, where the row shows what an
/// unclaimed call said (the oldest such call, each once), else the customer. Returns the claims, one a row; a row that
/// says it is the business's claims too, one that says it is the customer's never does.
pub(crate) fn attribute(rows: &mut [Row], unseen: &[bool], mut spoken: Vec<Spoken>) -> Vec<Option<(MId, u32)>> {
    let mut claim = |row: &Row| {
        let words = normal(&row.text);
        let found = spoken.iter().position(|call| !words.is_empty() && call.says.contains(&words))?;
        let call = spoken.remove(found);
        Some((call.m_id, call.part))
    };
    rows.iter_mut()
        .zip(unseen)
        .map(|(row, unseen)| {
            let claimed = if *unseen && row.direction != Direction::Inbound { claim(row) } else { None };
            if *unseen && row.direction == Direction::Unknown {
                row.direction = if claimed.is_some() { Direction::Outbound } else { Direction::Inbound };
            }
            claimed
        })
        .collect()
}

/// Takes one mark that is `row` out of `marks`.
fn claim(marks: &mut Vec<Mark>, row: &Row) -> bool {
    let found = marks.iter().position(|mark| mark.is(row));
    found.map(|index| marks.swap_remove(index)).is_some()
}

fn looks_older(row: &Row, than_ms: i64) -> bool {
    row.time.epoch_ms.is_none_or(|at| at < than_ms - ZONE_DOUBT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RowTime;

    fn row(id: &str, direction: Direction, second: i64, text: &str) -> Row {
        Row {
            destination: "34600111222".parse().unwrap(),
            id: (!id.is_empty()).then(|| id.to_owned()),
            direction,
            time: RowTime { raw: second.to_string(), epoch_ms: Some(second * 1000) },
            text: text.to_owned(),
            status: None,
        }
    }

    fn texts(rows: &[Row], news: &[bool]) -> Vec<String> {
        rows.iter().zip(news).filter(|(_, new)| **new).map(|(row, _)| row.text.clone()).collect()
    }

    fn judge(rows: &[Row], how: &Acquaintance<'_>) -> Vec<String> {
        texts(rows, &news(rows, &identities(rows), &HashSet::new(), how))
    }

    #[test]
    fn equal_rows_of_one_second_are_told_apart() {
        let rows: Vec<Row> = (0..10).map(|_| row("", Direction::Inbound, 7, "ok")).collect();
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
    fn a_mark_survives_its_stored_form_and_knows_its_row() {
        let there = row("98 765", Direction::Inbound, 7, "hola");
        let mark = Mark::of(&there);
        assert_eq!(Mark::parse(&mark.to_text()), Some(mark.clone()));
        assert!(mark.is(&there));
        assert!(mark.is(&row("other id", Direction::Unknown, 7, "hola")));
        assert!(!mark.is(&row("", Direction::Inbound, 8, "hola")));
    }

    #[test]
    fn a_known_conversation_publishes_what_is_unseen() {
        let rows = [row("1", Direction::Inbound, 1, "a"), row("2", Direction::Inbound, 2, "b")];
        let seen = HashSet::from(["ii:1"]);
        let fresh = news(&rows, &identities(&rows), &seen, &Acquaintance::Known);
        assert_eq!(texts(&rows, &fresh), ["b"]);
    }

    #[test]
    fn a_new_conversation_brings_its_newest_rows_and_whatever_is_recent() {
        let day = 86_400;
        let history: Vec<Row> = (0..30).map(|n| row(&n.to_string(), Direction::Inbound, n, &n.to_string())).collect();
        let how = Acquaintance::New { baseline_ms: 100 * day * 1000 };
        assert_eq!(judge(&history, &how), (10..30).map(|n| n.to_string()).collect::<Vec<_>>());
        let burst: Vec<Row> =
            (0..500).map(|n| row(&n.to_string(), Direction::Inbound, 101 * day + n, &n.to_string())).collect();
        assert_eq!(judge(&burst, &how).len(), 500);
    }

    #[test]
    fn the_first_run_rule_holds_up_to_the_anchor_and_no_further() {
        let rows = [
            row("1", Direction::Inbound, 1, "read"),
            row("2", Direction::Inbound, 2, "unread"),
            row("3", Direction::Inbound, 3, "written meanwhile"),
        ];
        let anchor = Mark::of(&rows[1]);
        let with = |wanted| Acquaintance::Baseline { anchor: &anchor, baseline_ms: 2000, wanted };
        assert_eq!(judge(&rows, &with(Wanted::None)), ["written meanwhile"]);
        assert_eq!(judge(&rows, &with(Wanted::All)), ["read", "unread", "written meanwhile"]);
        let unread = [Mark::of(&row("2", Direction::Unknown, 2, "unread"))];
        assert_eq!(judge(&rows, &with(Wanted::Unread(&unread))), ["unread", "written meanwhile"]);
    }

    fn spoken(m_id: &str, says: &[&str]) -> Spoken {
        Spoken { m_id: m_id.parse().unwrap(), part: 0, says: says.iter().map(|text| normal(text)).collect() }
    }

    #[test]
    fn words_compare_whatever_was_done_to_their_form() {
        assert_eq!(normal(" Se\u{301}  \r\n ma\u{f1}ana&nbsp;"), "S\u{e9} ma\u{f1}ana");
        assert_eq!(normal("&iquest;a &amp; b?"), normal("\u{bf}a &\tb?\n"));
        assert_eq!(normal(" \n"), "");
    }

    #[test]
    fn a_row_that_does_not_say_is_ours_where_we_said_so_and_else_the_customers() {
        let unknown = |id: &str, text: &str| row(id, Direction::Unknown, 7, text);
        let mut rows = vec![
            unknown("1", "ok"),
            unknown("2", "ok\r\n"),
            unknown("3", "https://x.test/a.pdf"),
            unknown("4", ""),
            row("5", Direction::Outbound, 8, "bye"),
            row("6", Direction::Inbound, 9, "bye"),
            unknown("7", "seen"),
        ];
        let own = vec![
            spoken("a", &["ok"]),
            spoken("b", &["https://x.test/a.pdf", "caption"]),
            spoken("c", &["bye"]),
            spoken("d", &["bye"]),
            spoken("e", &["seen"]),
        ];
        let claims = attribute(&mut rows, &[true, true, true, true, true, true, false], own);
        let letters: String = rows.iter().map(|row| row.direction.letter()).collect();
        assert_eq!(letters, "oioioiu");
        let ids: Vec<_> = claims.iter().map(|claim| claim.as_ref().map_or("-", |(m_id, _)| m_id.as_str())).collect();
        assert_eq!(ids, ["a", "-", "b", "-", "c", "-", "-"]);
    }

    #[test]
    fn an_anchor_that_has_slid_out_falls_back_to_time() {
        let rows = [row("1", Direction::Inbound, 1, "old"), row("9", Direction::Inbound, 9, "new")];
        let anchor = Mark::of(&row("5", Direction::Inbound, 5, "gone"));
        let how = Acquaintance::Baseline { anchor: &anchor, baseline_ms: 5000, wanted: Wanted::None };
        assert_eq!(judge(&rows, &how), ["new"]);
    }
}
